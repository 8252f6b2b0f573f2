// Which sessions are captured, and for how long: the sender filter, a number of sessions, a time. Shared by all
// workers, and the same one from the proxy's beginning to its end.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "capture/session.h"

namespace smtpscope {

class CaptureGate {
 public:
  /// `match` names the entry of the sender filter that covers an address. `sessions` and `for_ms`: 0 is no limit.
  using Match = std::function<std::optional<std::string_view>(const std::string& ip)>;
  CaptureGate(uint64_t sessions, uint64_t for_ms) { restart(sessions, for_ms); }

  /// From now on a window of so many sessions and so long. Those of an earlier one that still go on count in this one
  /// when they end.
  void restart(uint64_t sessions, uint64_t for_ms);

  /// The filter entry if a session of this sender, beginning now, is to be captured; it counts as begun.
  std::optional<std::string> admit(const Match& match, const std::string& ip);
  /// Is nothing more to be captured?
  bool over() const;
  /// A captured session ended so.
  void ended(Verdict verdict);
  /// A line for the log once the window is over and its last session has ended; none before that, and only once.
  std::optional<std::string> closing_line();
  uint64_t next_icid() { return icid_.fetch_add(1) + 1; }

 private:
  std::atomic<uint64_t> limit_{0};        ///< of admitted_; 0: none
  std::atomic<uint64_t> deadline_ns_{0};  ///< 0: none
  std::atomic<uint64_t> icid_{0}, admitted_{0}, finished_{0};
  std::array<std::atomic<uint64_t>, 4> verdicts_{};
  std::array<std::atomic<uint64_t>, 4> before_{};  ///< verdicts_ when the window began
  std::atomic<bool> told_{false};
};

}  // namespace smtpscope
