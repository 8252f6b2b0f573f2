#include "proxy/relay/batch.h"

#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <new>
#include <utility>

namespace smtpscope {

std::unique_ptr<char[], Batch::Unmap> Batch::map() {
  void* bytes = mmap(nullptr, kCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) throw std::bad_alloc();
  return std::unique_ptr<char[], Unmap>(static_cast<char*>(bytes));
}

void Batch::Unmap::operator()(char* bytes) const { munmap(bytes, kCapacity); }

void Batch::append(const BatchRecord& record) {
  std::memcpy(bytes_.get() + used_, &record, sizeof record);
  const size_t length = record.type == BatchRecord::Type::data ? record.length : 0;
  used_ += sizeof record + (length + alignof(BatchRecord) - 1) / alignof(BatchRecord) * alignof(BatchRecord);
}

std::unique_ptr<Batch> BatchQueue::exchange(std::unique_ptr<Batch> full) {
  std::unique_ptr<Batch> empty;
  {
    const std::lock_guard lock(mutex_);
    pending_.fetch_add(full->used(), std::memory_order_relaxed);
    full_.push_back(std::move(full));
    if (!free_.empty()) {
      empty = std::move(free_.back());
      free_.pop_back();
    }
  }
  ready_.notify_one();
  return empty ? std::move(empty) : std::make_unique<Batch>();
}

void BatchQueue::leave() {
  {
    const std::lock_guard lock(mutex_);
    if (loops_ > 0) --loops_;
  }
  ready_.notify_one();
}

void BatchQueue::stop() {
  {
    const std::lock_guard lock(mutex_);
    loops_ = 0;
  }
  ready_.notify_one();
}

bool BatchQueue::take(std::vector<std::unique_ptr<Batch>>& out, int timeout_ms) {
  std::unique_lock lock(mutex_);
  ready_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return loops_ == 0 || !full_.empty(); });
  out.swap(full_);
  return loops_ > 0 || !out.empty();
}

void BatchQueue::give_back(std::unique_ptr<Batch> batch) {
  pending_.fetch_sub(batch->used(), std::memory_order_relaxed);
  batch->clear();
  const std::lock_guard lock(mutex_);
  if (free_.size() < max_free_) free_.push_back(std::move(batch));
}

void BatchQueue::trim() {
  const std::lock_guard lock(mutex_);
  free_.clear();
}

}  // namespace smtpscope
