#include "proxy/commands/stored_line.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "capture/store/transcript_line.h"

namespace smtpscope {

bool StoredLines::read(const IndexEntry& entry, std::string& line, std::string& error) {
  if (path_ != entry.file) {
    path_ = entry.file;
    fd_ = UniqueFd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  }
  line.resize(entry.length);
  size_t got = 0;
  while (fd_ && got < line.size()) {
    const ssize_t n = ::pread(fd_.get(), line.data() + got, line.size() - got, static_cast<off_t>(entry.offset + got));
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  if (fd_ && got == line.size() && scan_transcript_id(line) == entry.id) return true;
  error = fmt::format("{}: the transcript of {} is no longer at byte {}; run the command again", entry.file, entry.id,
                      entry.offset);
  return false;
}

}  // namespace smtpscope
