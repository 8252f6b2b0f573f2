#include "capture/store/paths.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>

namespace smtpscope {
namespace {

std::string join(std::string_view store, std::string_view rest) {
  std::string path(store.empty() ? std::string_view(".") : store);
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path.back() != '/') path += '/';
  path += rest;
  return path;
}

std::string day_path(std::string_view store, std::string_view ip, int64_t started_us, std::string_view suffix) {
  std::string path = join(store, "senders/");
  path += sender_directory(ip);
  path += '/';
  path += utc_day(started_us);
  path += suffix;
  return path;
}

std::error_code last_error() { return {errno, std::generic_category()}; }

}  // namespace

std::string utc_day(int64_t unix_us) {
  using namespace std::chrono;
  constexpr int64_t kYear0 = -62'167'219'200'000'000, kYear9999End = 253'402'300'799'999'999;
  const auto days =
      floor<std::chrono::days>(sys_time<microseconds>(microseconds(std::clamp(unix_us, kYear0, kYear9999End))));
  const year_month_day date(days);
  char text[16];
  const int length = std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()),
                                   static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return {text, static_cast<size_t>(length)};
}

std::string sender_directory(std::string_view ip) {
  std::string name(ip.substr(0, 64));
  for (char& c : name) {
    const bool fine =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.' || c == ':';
    if (!fine) c = '_';
  }
  if (name.find_first_not_of('.') == std::string::npos) return "_";  // "", ".", "..": not names of a directory of ours
  return name;
}

std::string transcripts_path(std::string_view store, std::string_view ip, int64_t started_us) {
  return day_path(store, ip, started_us, ".jsonl");
}
std::string recording_path(std::string_view store, std::string_view ip, int64_t started_us) {
  return day_path(store, ip, started_us, ".pcapng");
}
std::string senders_path(std::string_view store) { return join(store, "senders"); }
std::string run_path(std::string_view store) { return join(store, "run"); }
std::string index_path(std::string_view store) { return join(store, "index.sqlite"); }
std::string windows_path(std::string_view store) { return join(store, "windows.log"); }
std::string debug_windows_path(std::string_view store) { return join(store, "windows"); }

std::error_code make_private_directories(const std::string& path) noexcept {
  try {
    for (size_t end = 0; end != std::string::npos;) {
      end = path.find('/', end + 1);
      const std::string each = path.substr(0, end);
      if (each.empty() || each == "/") continue;
      if (::mkdir(each.c_str(), 0700) == 0) {
        if (::chmod(each.c_str(), 0700) != 0) return last_error();  // the umask may have taken bits away
      } else if (errno != EEXIST) {
        const int error = errno;
        struct stat there {};
        // On a read-only or closed parent mkdir may fail otherwise although the directory exists.
        if (::stat(each.c_str(), &there) == 0 && S_ISDIR(there.st_mode)) continue;
        return {error, std::generic_category()};
      }
    }
    struct stat there {};
    if (::stat(path.c_str(), &there) != 0) return last_error();
    if (!S_ISDIR(there.st_mode)) return std::make_error_code(std::errc::not_a_directory);
    return {};
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  }
}

int open_private(const std::string& path, int flags) noexcept {
  const bool creates = (flags & O_CREAT) != 0;
  if (creates) {
    // Created here or there before: only what we create gets its mode set, so the two cases are kept apart.
    const int created = ::open(path.c_str(), flags | O_EXCL | O_CLOEXEC, 0600);
    if (created >= 0) {
      (void)::fchmod(created, 0600);
      return created;
    }
    if (errno != EEXIST || (flags & O_EXCL) != 0) return -1;
  }
  return ::open(path.c_str(), flags | O_CLOEXEC, 0600);
}

MappedFile::MappedFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) throw std::system_error(last_error(), path);
  if (!S_ISREG(status.st_mode))
    throw std::system_error(std::make_error_code(std::errc::invalid_argument), path + ": not a file");
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* const mapped = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) throw std::system_error(last_error(), path);
  data_ = static_cast<const char*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

}  // namespace smtpscope
