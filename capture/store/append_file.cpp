#include "capture/store/append_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace smtpscope {
namespace {

std::error_code last_error() { return {errno, std::generic_category()}; }

}  // namespace

std::error_code AppendFile::open() noexcept {
  fd_.reset(open_private(path_, O_WRONLY | O_APPEND | O_CREAT));
  if (!fd_ && errno == ENOENT) {
    if (const std::error_code error = make_private_directories(path_.substr(0, path_.rfind('/')))) return error;
    fd_.reset(open_private(path_, O_WRONLY | O_APPEND | O_CREAT));
  }
  if (!fd_) return last_error();
  return {};
}

std::error_code AppendFile::append(std::string_view bytes) noexcept {
  if (!fd_)
    if (const std::error_code error = open()) return error;
  size_t written = 0;
  std::error_code error;
  while (written < bytes.size()) {
    const ssize_t n = ::write(fd_.get(), bytes.data() + written, bytes.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      error = n == 0 ? std::make_error_code(std::errc::no_space_on_device) : last_error();
      break;
    }
    written += static_cast<size_t>(n);
  }
  const off_t position = ::lseek(fd_.get(), 0, SEEK_CUR);
  end_ = position < 0 ? 0 : static_cast<uint64_t>(position);
  if (!error) return {};
  if (written > 0 && ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0) {
    struct stat status {};
    // Only our own torn piece is cut, and only if nobody has appended behind it.
    if (::fstat(fd_.get(), &status) == 0 && static_cast<uint64_t>(status.st_size) == end_ &&
        ::ftruncate(fd_.get(), static_cast<off_t>(end_ - written)) == 0)
      end_ -= written;
    ::flock(fd_.get(), LOCK_UN);
  }
  fd_.reset();
  return error;
}

}  // namespace smtpscope
