// How long the gateway let all its senders wait for the greeting, minute by minute: what is slow for many at once is
// not the doing of one of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "capture/summary/summary.h"

namespace smtpscope {

class Greetings {
 public:
  static constexpr size_t kMostMinutes = 100'000;
  static constexpr size_t kMostSenders = 64;  ///< that are told apart in one minute; more count as many

  void add(const SessionDigest& digest);
  /// Calls on(ip, observation) for each sender whose greeting was slow while it was slow for most.
  void tell(const std::function<void(const std::string&, const Observation&)>& on) const;

 private:
  struct Slow {
    std::string ip, id;
    int64_t banner_us;
  };
  struct Minute {
    std::vector<Slow> slow;          ///< one a sender
    std::vector<std::string> quick;  ///< addresses
  };
  std::map<int64_t, Minute> minutes_;  ///< by Unix time in minutes, of the session's begin
};

}  // namespace smtpscope
