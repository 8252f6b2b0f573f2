// What the relay counts for /metrics. Written by workers and recorders a few times a session, never on the path of a
// byte; read by the main loop at any time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "capture/smtp/vocabulary.h"

namespace smtpscope {

struct RelayMetrics {
  using Count = std::atomic<uint64_t>;
  static void add(Count& count, uint64_t n = 1) { count.fetch_add(n, std::memory_order_relaxed); }

  static constexpr size_t kPhases = static_cast<size_t>(Phase::idle) + 1;
  static constexpr size_t kParties = static_cast<size_t>(Party::unknown) + 1;
  static constexpr size_t kVerdicts = static_cast<size_t>(Verdict::unknown) + 1;
  /// Why parts of a session were not recorded: for want of time, of memory, or of a disk.
  enum class Loss : uint8_t { overload, memory, disk };
  static constexpr std::array<std::string_view, 3> kLosses{"overload", "memory", "disk"};

  /// Why a session whose sender's name decides was not recorded: the name is another's, it could not be looked up, too
  /// many waited for theirs, or the window ended meanwhile.
  enum class Forgotten : uint8_t { name, dns, room, window };
  static constexpr std::array<std::string_view, 4> kForgotten{"name", "dns", "room", "window"};

  Count sessions_begun{0}, sessions_ended{0};
  Count captured_begun{0};
  Count gateway_failed{0};                  ///< sessions whose gateway was not reached
  Count sender_bytes{0}, gateway_bytes{0};  ///< that each side sent, of sessions that have ended
  std::array<Count, kVerdicts> verdicts{};
  std::array<std::array<Count, kParties>, kPhases> breakdowns{};
  std::array<Count, kLosses.size()> losses{};  ///< captured sessions
  std::array<Count, kForgotten.size()> forgotten{};
  Count names_good{0}, names_kept{0}, names_failed{0};  ///< gauges: senders' names by how their last look-up went
  Count reloads{0}, reloads_refused{0};
};

}  // namespace smtpscope
