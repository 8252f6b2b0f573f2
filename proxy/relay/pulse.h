// The sign of life of one event loop: a count that a timer of the loop itself raises, and that any other thread may
// read. A loop that is stuck in one callback, or whose thread does not run, raises it no more.
#pragma once

#include <atomic>
#include <cstdint>

namespace smtpscope {

class Pulse {
 public:
  static constexpr uint64_t kEveryMs = 250;

  void beat() { beats_.fetch_add(1, std::memory_order_relaxed); }
  /// The loop has ended in good order: no more beats are due. What its thread still waits for (the recorder, which
  /// waits for the disk) is no relaying.
  void end() { ended_.store(true, std::memory_order_relaxed); }

  uint64_t beats() const { return beats_.load(std::memory_order_relaxed); }
  bool ended() const { return ended_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> beats_{0};
  std::atomic<bool> ended_{false};
};

}  // namespace smtpscope
