// Each running process holds <store>/run/<instance> with flock(2) for as long as it lives. The kernel lets go of the
// lock however the process ends; a file whose lock can be had is what a crashed process left, and its sessions are due
// for recovery. A process that stops in good order takes its file away.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capture/store/paths.h"

namespace smtpscope {

/// A ULID for this moment: 48 bits of `unix_us` in milliseconds, 80 random bits, 26 characters that sort by time.
std::string new_ulid(int64_t unix_us);
/// The moment in it, Unix time in microseconds; -1 if it is no ULID.
int64_t ulid_time_us(std::string_view ulid);

class Instance {
 public:
  /// Announces `id`. Throws std::system_error if the store cannot be written.
  Instance(std::string_view store, const std::string& id);
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  /// Not a clean end: the file stays and the next start recovers.
  ~Instance() = default;

  /// A clean end: all transcripts of this instance are on disk.
  void finish() noexcept;

 private:
  std::string path_;
  UniqueFd fd_;
};

/// Does a process hold this instance? False too if the file may not be looked at.
bool instance_alive(std::string_view store, std::string_view id);

/// Does a process other than `own` use the store?
bool another_instance_lives(std::string_view store, std::string_view own);

/// What stands in <store>/run.
struct Instances {
  struct Dead {
    std::string id;
    std::string path;
    int64_t began_us = 0;  ///< Unix time
    UniqueFd lock;         ///< held, so that nobody else recovers it at the same time
  };
  std::vector<Dead> dead;
  size_t alive = 0;  ///< other processes that use the store, `own` not counted
};

/// Looks at all instances but `own`. A directory that cannot be read holds none.
Instances find_instances(std::string_view store, std::string_view own);

}  // namespace smtpscope
