#include "capture/store/instance.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <random>

namespace smtpscope {
namespace {

constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t kUlidLength = 26, kTimeLength = 10;

[[noreturn]] void fail(const std::string& path) { throw std::system_error(errno, std::generic_category(), path); }

/// Asked of the system once a thread: its own source costs 6 us an id in a virtual machine (RDRAND), a twentieth of a
/// session. An id has to be unlike all others, not hard to guess.
std::mt19937_64 seeded() {
  std::random_device system;
  std::seed_seq seed{system(), system(), system(), system(), system(), system(), system(), system()};
  return std::mt19937_64(seed);
}

}  // namespace

std::string new_ulid(int64_t unix_us) {
  thread_local std::mt19937_64 random = seeded();
  auto ms = static_cast<uint64_t>(std::max<int64_t>(unix_us, 0)) / 1000;
  std::string ulid(kUlidLength, '0');
  for (size_t i = kTimeLength; i-- > 0; ms >>= 5) ulid[i] = kCrockford[ms & 31];
  constexpr size_t kHalf = (kUlidLength - kTimeLength) / 2;
  for (size_t begin = kTimeLength; begin < kUlidLength; begin += kHalf) {
    uint64_t bits = random();
    for (size_t i = begin; i < begin + kHalf; ++i, bits >>= 5) ulid[i] = kCrockford[bits & 31];
  }
  return ulid;
}

int64_t ulid_time_us(std::string_view ulid) {
  if (ulid.size() != kUlidLength || ulid[0] > '7') return -1;
  int64_t ms = 0;
  for (size_t i = 0; i < kUlidLength; ++i) {
    const size_t digit = kCrockford.find(ulid[i]);
    if (digit == std::string_view::npos) return -1;
    if (i < kTimeLength) ms = ms << 5 | static_cast<int64_t>(digit);
  }
  return ms * 1000;
}

Instance::Instance(std::string_view store, const std::string& id) {
  const std::string directory = run_path(store);
  if (const std::error_code error = make_private_directories(directory)) throw std::system_error(error, directory);
  path_ = directory + '/' + id;
  // Locked under another name first: a process that starts at the same time must not take a file that exists but is
  // not locked yet for a crashed instance.
  const std::string unlocked = directory + "/." + id;
  fd_ = UniqueFd(open_private(unlocked, O_CREAT | O_RDWR | O_TRUNC));
  if (!fd_) fail(unlocked);
  if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) fail(unlocked);
  if (::rename(unlocked.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(unlocked.c_str());
    throw std::system_error(error, std::generic_category(), path_);
  }
}

void Instance::finish() noexcept {
  if (!fd_) return;
  ::unlink(path_.c_str());
  fd_.reset();
}

bool instance_alive(std::string_view store, std::string_view id) {
  if (ulid_time_us(id) < 0) return false;
  const std::string path = run_path(store) + '/' + std::string(id);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

bool another_instance_lives(std::string_view store, std::string_view own) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(run_path(store).c_str()),
                                                    [](DIR* d) { return ::closedir(d); });
  if (!listing) return false;
  while (const dirent* entry = ::readdir(listing.get()))
    if (own != entry->d_name && instance_alive(store, entry->d_name)) return true;
  return false;
}

Instances find_instances(std::string_view store, std::string_view own) {
  Instances found;
  const std::string directory = run_path(store);
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), [](DIR* d) { return ::closedir(d); });
  if (!listing) return found;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    const int64_t named_us = ulid_time_us(name);
    if (named_us < 0 || name == own) continue;
    Instances::Dead dead{std::string(name), directory + '/' + entry->d_name, named_us, {}};
    dead.lock = UniqueFd(::open(dead.path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!dead.lock) continue;  // gone meanwhile
    if (::flock(dead.lock.get(), LOCK_EX | LOCK_NB) != 0) {
      ++found.alive;
      continue;
    }
    struct stat by_name {
    }, by_fd{};
    // The clean end takes the file away before the lock: a lock on a file that has no name any more is nobody's crash.
    if (::stat(dead.path.c_str(), &by_name) != 0 || ::fstat(dead.lock.get(), &by_fd) != 0 ||
        by_name.st_ino != by_fd.st_ino)
      continue;
    dead.began_us = std::min<int64_t>(named_us, int64_t{by_fd.st_mtim.tv_sec} * 1'000'000);
    found.dead.push_back(std::move(dead));
  }
  return found;
}

}  // namespace smtpscope
