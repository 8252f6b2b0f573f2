// What the main loop has to do in the store, done by a thread of its own, in order. The loop waits for it, since a disk
// answers in no time; but never long, since a disk may hang, and whoever watches this process would take the loop for
// hung. While the disk does not answer nothing is waited for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace smtpscope {

class StoreThread {
 public:
  /// So long the loop waits at the most; a third of the time that goes by may be spent so again.
  static constexpr uint64_t kPatienceMs = 1000;
  static constexpr size_t kMostWaiting = 1000;

  StoreThread() = default;
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;
  /// Does what is left, however long that takes.
  ~StoreThread();

  /// True if `job` has been done. False: it will be, or never if kMostWaiting are before it; it has to own all that it
  /// refers to.
  bool run(std::function<void()> job);
  /// Something that was not waited for is still to be done.
  bool behind() const;

 private:
  using Clock = std::chrono::steady_clock;

  void work();

  mutable std::mutex mutex_;
  std::condition_variable asked_, done_;
  std::deque<std::function<void()>> jobs_;
  uint64_t given_ = 0, finished_ = 0;
  bool stopping_ = false;
  std::thread thread_;  ///< none before the first job
  Clock::time_point waited_at_{};
  Clock::duration allowance_ = std::chrono::milliseconds(kPatienceMs);  ///< of waiting, then
};

}  // namespace smtpscope
