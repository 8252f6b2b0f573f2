#include "proxy/relay/store_thread.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace smtpscope {

StoreThread::~StoreThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  asked_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool StoreThread::run(std::function<void()> job) {
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  std::unique_lock lock(mutex_);
  if (jobs_.size() >= kMostWaiting) return false;
  const bool behind = given_ != finished_;
  jobs_.push_back(std::move(job));
  const uint64_t number = ++given_;
  asked_.notify_one();
  if (behind) return false;
  constexpr int kShare = 3;
  const auto before = Clock::now();
  allowance_ =
      std::min<Clock::duration>(std::chrono::milliseconds(kPatienceMs), allowance_ + (before - waited_at_) / kShare);
  const bool done = done_.wait_for(lock, allowance_, [&] { return finished_ >= number; });
  waited_at_ = Clock::now();
  allowance_ = std::max(Clock::duration::zero(), allowance_ - (waited_at_ - before));
  return done;
}

bool StoreThread::behind() const {
  const std::lock_guard lock(mutex_);
  return given_ != finished_;
}

void StoreThread::work() {
  pthread_setname_np(pthread_self(), "store");
  std::unique_lock lock(mutex_);
  for (;;) {
    asked_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
    ++finished_;
    done_.notify_one();
  }
}

}  // namespace smtpscope
