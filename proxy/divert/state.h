// What was, or is about to be, changed in the kernel, so that it can be undone whatever happens: written to the disk
// before each change, and removed when all is undone. One file a network namespace in a folder that only root reads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "capture/unique_fd.h"
#include "config/result.h"

namespace smtpscope {

/// Numbers that nobody else uses on this host.
struct DivertNumbers {
  uint32_t mark = 0;      ///< one bit, set on packets that go to the proxy
  uint32_t table = 0;     ///< of routes: everything is local
  uint32_t priority = 0;  ///< of the rule that leads marked packets to that table
  uint16_t zone = 0;      ///< of connection tracking, for the proxy's own connections to the gateway; 0: none needed
  bool operator==(const DivertNumbers&) const = default;
};

/// A kernel setting that is changed while the diversion is on.
struct ChangedSetting {
  std::string
      name;  ///< as sysctl takes it with slashes, "net/ipv4/conf/eth0/forwarding"; or "bridge/br0/nf_call_iptables"
  std::string before, during;
  bool operator==(const ChangedSetting&) const = default;
};

struct DivertState {
  enum class Phase : uint8_t { changing, on, ending };
  Phase phase = Phase::changing;
  DivertNumbers numbers;
  std::array<bool, 2> families{};   ///< IPv4, IPv6
  std::array<uint16_t, 2> ports{};  ///< of the listeners, 0: none
  uint16_t port = 25;               ///< that senders dial
  bool bridged = false;
  std::vector<ChangedSetting> settings;
  std::string intent;    ///< describe() of what was wanted
  std::string listing;   ///< of our tables as the kernel shows them without what changes by itself; empty: not known
  int64_t since_us = 0;  ///< Unix time
  bool operator==(const DivertState&) const = default;
};

/// One line of JSON. Of the reader, none if it is no state of this version.
std::string state_json(const DivertState& state);
std::optional<DivertState> read_state_json(const std::string& text);

/// The record of this network namespace.
class StateFile {
 public:
  /// To change it: while the object exists no other process does. Waits up to 60 s for another `divert` to end. The
  /// error is a sentence.
  static Result<StateFile> lock();
  /// To read it only.
  static Result<StateFile> look();
  /// One that was locked takes the folder away if no record is left in it.
  ~StateFile();
  StateFile(StateFile&&) = default;
  StateFile& operator=(StateFile&&) = default;

  /// None: nothing was changed. The error is that there is a record that cannot be read.
  Result<std::optional<DivertState>> read() const;
  /// Atomic and on the disk when it returns; the error is a sentence.
  std::optional<Error> write(const DivertState& state) const;
  std::optional<Error> remove() const;
  const std::string& path() const { return path_; }

 private:
  StateFile() = default;

  UniqueFd folder_;  ///< if it is locked
  std::string path_;
};

}  // namespace smtpscope
