#include "capture/store/recovery.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <unordered_set>

#include "capture/store/instance.h"
#include "capture/store/paths.h"
#include "capture/store/recording_sessions.h"
#include "capture/store/transcript_line.h"
#include "capture/transcript/json_writer.h"

namespace smtpscope {
namespace {

namespace fs = std::filesystem;

constexpr size_t kWriteSize = 1 << 20;
constexpr int64_t kClockSlackUs = 5'000'000;  ///< file times are coarser than the clock

[[noreturn]] void fail(const std::string& path) { throw std::system_error(errno, std::generic_category(), path); }

int64_t modified_us(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail(path);
  return int64_t{status.st_mtim.tv_sec} * 1'000'000 + status.st_mtim.tv_nsec / 1000;
}

class Recovery {
 public:
  Recovery(const Instances& instances, RecoveryReport& report) : may_cut_(instances.alive == 0), report_(report) {
    for (const Instances::Dead& dead : instances.dead) {
      dead_.insert(dead.id);
      began_us_ = std::min(began_us_, dead.began_us);
    }
  }

  void directory(const fs::path& directory) {
    for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
      const std::string path = entry.path().string();
      try {
        const std::string suffix = entry.path().extension().string();
        if ((suffix != ".pcapng" && suffix != ".jsonl") || !entry.is_regular_file()) continue;
        if (modified_us(path) < began_us_ - kClockSlackUs) continue;
        if (suffix == ".jsonl") cut_transcripts(path);
        if (suffix == ".pcapng") recording(entry.path());
      } catch (const std::system_error& e) {
        report_.problems.push_back(e.what());
      }
    }
  }

 private:
  void recording(const fs::path& path) {
    ++report_.files;
    const std::string transcripts = fs::path(path).replace_extension(".jsonl").string();
    cut_transcripts(transcripts);
    const std::unordered_set<std::string> known = known_ids(transcripts);
    uint64_t whole = 0, size = 0;
    {
      const MappedFile file(path.string());
      size = file.bytes().size();
      std::string lines;
      const auto wanted = [&](const SessionFacts& facts) {
        return dead_.contains(facts.instance) && !known.contains(facts.id);
      };
      const ReadReport read =
          read_sessions(file.bytes(), path.filename().string(), wanted, [&](const Transcript& transcript) {
            append_json(lines, transcript);
            lines += '\n';
            ++report_.transcripts;
            report_.interrupted += transcript.interrupted;
            if (lines.size() >= kWriteSize) write(transcripts, lines);
          });
      if (!lines.empty()) write(transcripts, lines);
      // A file that does not begin as ours is none of ours to cut.
      const bool ours = file.bytes().substr(0, 4) == std::string_view("\x0A\x0D\x0D\x0A", 4).substr(0, size);
      whole = ours ? read.whole_bytes : size;
    }
    if (whole < size) cut(path.string(), whole, size);
  }

  static std::unordered_set<std::string> known_ids(const std::string& path) {
    std::unordered_set<std::string> ids;
    if (!fs::exists(path)) return ids;
    const MappedFile file(path);
    std::string_view rest = file.bytes();
    for (size_t end = 0; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1))
      if (std::string id = scan_transcript_id(rest.substr(0, end)); !id.empty()) ids.insert(std::move(id));
    return ids;
  }

  /// A last line without its end is what a crash left of a write.
  void cut_transcripts(const std::string& path) {
    uint64_t whole = 0, size = 0;
    {
      if (!fs::exists(path)) return;
      const MappedFile file(path);
      size = file.bytes().size();
      whole = file.bytes().rfind('\n') + 1;  // npos + 1 is 0
    }
    if (whole < size) cut(path, whole, size);
  }

  void cut(const std::string& path, uint64_t whole, uint64_t size) {
    if (!may_cut_) return;
    if (::truncate(path.c_str(), static_cast<off_t>(whole)) != 0) fail(path);
    report_.cut_bytes += size - whole;
  }

  /// Appends the lines and clears them. A torn line before them that could not be cut is ended first, so that they do
  /// not become part of it. What a full disk took only in part is cut back.
  void write(const std::string& path, std::string& lines) {
    const UniqueFd fd(open_private(path, O_CREAT | O_RDWR | O_APPEND));
    struct stat before {};
    if (!fd || ::fstat(fd.get(), &before) != 0) fail(path);
    char last = '\n';
    if (before.st_size > 0 && ::pread(fd.get(), &last, 1, before.st_size - 1) == 1 && last != '\n')
      lines.insert(lines.begin(), '\n');
    std::string_view rest = lines;
    while (!rest.empty()) {
      const ssize_t n = ::write(fd.get(), rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        const int error = errno;
        if (may_cut_) (void)!::ftruncate(fd.get(), before.st_size);
        throw std::system_error(error, std::generic_category(), path);
      }
      rest.remove_prefix(static_cast<size_t>(n));
    }
    if (::fdatasync(fd.get()) != 0) fail(path);
    lines.clear();
  }

  std::set<std::string> dead_;
  int64_t began_us_ = INT64_MAX;
  bool may_cut_;
  RecoveryReport& report_;
};

}  // namespace

RecoveryReport recover(std::string_view store, std::string_view own) {
  RecoveryReport report;
  // The locks of the dead are held until all is done: of two processes that start at once, one recovers each of them.
  const Instances instances = find_instances(store, own);
  report.instances = instances.dead.size();
  if (instances.dead.empty()) return report;
  Recovery recovery(instances, report);
  try {
    const std::string senders = senders_path(store);
    if (fs::exists(senders))
      for (const fs::directory_entry& entry : fs::directory_iterator(senders))
        if (entry.is_directory()) recovery.directory(entry.path());
  } catch (const fs::filesystem_error& e) {
    report.problems.push_back(e.what());
  }
  if (report.problems.empty())
    for (const Instances::Dead& dead : instances.dead) ::unlink(dead.path.c_str());
  return report;
}

}  // namespace smtpscope
