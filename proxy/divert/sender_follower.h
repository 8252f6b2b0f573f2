// A proxy that runs keeps the kernel's sets of senders up to date: names mean other addresses by now, windows have been
// opened or are over. Whether anybody is diverted at all is for `divert on` and `divert off` to say: where nothing is
// diverted, or no longer, nothing is changed. Needs CAP_NET_ADMIN, which such a proxy keeps, and `nft`.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "proxy/divert/host_facts.h"
#include "proxy/divert/intent.h"

namespace smtpscope {

/// Who is to be diverted now.
struct WantedSenders {
  DivertIntent intent;
  bool whole = true;  ///< false: some names are not known now; those who are diverted stay so
};

/// What the sets are to hold in place of what they hold; none if nothing has to be changed. `may_begin`: also where
/// they hold nobody. Pure.
std::optional<DivertIntent> changed_senders(const WantedSenders& wanted, const HostFacts& facts, bool may_begin);

class SenderFollower {
 public:
  /// After a change, which is made at once: further ones meanwhile are one.
  static constexpr uint64_t kSettleMs = 1000;

  /// Before any thread is started.
  SenderFollower();
  ~SenderFollower();
  SenderFollower(const SenderFollower&) = delete;
  SenderFollower& operator=(const SenderFollower&) = delete;

  /// From now on these. Does not wait; what comes of it is told in the log.
  void follow(WantedSenders wanted);

 private:
  void work();
  void apply(WantedSenders wanted);
  void warn(const std::string& why);

  std::mutex mutex_;
  std::condition_variable asked_;
  std::optional<WantedSenders> next_;
  bool stopping_ = false;
  std::string told_;                                                    ///< of what went wrong
  std::optional<std::chrono::steady_clock::time_point> emptied_until_;  ///< the sets were emptied here before their end
  std::thread thread_;                                                  ///< none before the first call
};

}  // namespace smtpscope
