// How a loop hands what it saw to its recorder thread. recv() reads straight into a batch, so recording costs no copy;
// a batch goes over when it is full or kFlushMs old. The recorder gets each loop's batches in order; if it falls behind
// by its share of kMaxPending bytes, the bytes of further chunks are dropped and counted (the session's mail goes on).
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "capture/session.h"
#include "proxy/relay/capture_window.h"

namespace smtpscope {

class HeldCapture;

/// What the loop and the recorder share of a captured session. The loop makes it and fills `connect` and `end` before
/// it sends the record that tells of them; the recorder deletes it after its `ended` record, or after `forgotten`.
struct CaptureSession {
  SessionFacts facts;
  bool undecided = false;  ///< when it is opened: a record `kept` or `forgotten` follows, and until then all is held
  std::unique_ptr<GatewayConnect> connect;
  std::unique_ptr<SessionEnd> end;
  std::vector<std::shared_ptr<CaptureWindow>> windows;  ///< in which it counts; set before `opened`
  struct Recording;                                     ///< the recorder's own
  std::unique_ptr<Recording> recording;
  std::unique_ptr<HeldCapture> held;  ///< the recorder's own, while it is undecided

  CaptureSession();
  ~CaptureSession();
};

struct BatchRecord {
  enum class Type : uint8_t { opened, connected, data, lost, closed, ended, kept, forgotten };
  CaptureSession* session;
  int64_t at_us;
  uint64_t offset;  ///< lost: of the first byte missing
  uint64_t length;  ///< data: bytes behind this record; lost: bytes missing
  Type type;
  From from;
  CloseHow how;
};

class Batch {
 public:
  static constexpr size_t kCapacity = 512 * 1024;
  static constexpr size_t kMaxRead = 128 * 1024;

  bool has_room(size_t bytes) const { return kCapacity - used_ >= sizeof(BatchRecord) + bytes + alignof(BatchRecord); }
  bool empty() const { return used_ == 0; }
  size_t used() const { return used_; }
  /// Where the bytes of the next data record go: at most kMaxRead of them.
  char* space() { return bytes_.get() + used_ + sizeof(BatchRecord); }
  void append(const BatchRecord& record);
  void clear() { used_ = 0; }

  /// Calls visit(record, bytes) for each record in order.
  template <class Visit>
  void for_each(Visit visit) {
    for (size_t at = 0; at < used_;) {
      auto& record = *reinterpret_cast<BatchRecord*>(bytes_.get() + at);
      const size_t length = record.type == BatchRecord::Type::data ? record.length : 0;
      visit(record, bytes_.get() + at + sizeof(BatchRecord));
      at += sizeof(BatchRecord) + (length + alignof(BatchRecord) - 1) / alignof(BatchRecord) * alignof(BatchRecord);
    }
  }

 private:
  struct Unmap {
    void operator()(char* bytes) const;
  };
  static std::unique_ptr<char[], Unmap> map();
  // Pages of its own: those never used cost nothing, and a burst's batches go back to the system, not to a heap.
  std::unique_ptr<char[], Unmap> bytes_ = map();
  size_t used_ = 0;
};

/// The way from the loops that share a recorder thread to it, and back.
class BatchQueue {
 public:
  static constexpr size_t kMaxPending = 64 << 20;                ///< of all queues
  static constexpr size_t kLeastPending = 8 * Batch::kCapacity;  ///< that each may hold however many there are

  /// Of so many loops; one of `queues`, which share kMaxPending.
  explicit BatchQueue(uint32_t loops = 1, uint32_t queues = 1)
      : max_pending_(std::max(kMaxPending / queues, kLeastPending)), max_free_(loops + 1), loops_(loops) {}

  /// Loop side. Takes a full batch, gives an empty one.
  std::unique_ptr<Batch> exchange(std::unique_ptr<Batch> full);
  /// Bytes that the recorder has not finished with.
  size_t pending() const { return pending_.load(std::memory_order_relaxed); }
  bool overloaded() const { return pending() > max_pending_; }
  /// One loop has no more to give.
  void leave();
  /// No loop has.
  void stop();

  /// Recorder side. Waits at most `timeout_ms` for batches; false once no loop is left and it is empty.
  bool take(std::vector<std::unique_ptr<Batch>>& out, int timeout_ms);
  void give_back(std::unique_ptr<Batch> batch);
  /// What was kept for the loops goes back to the system.
  void trim();

 private:
  const size_t max_pending_, max_free_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<std::unique_ptr<Batch>> full_, free_;
  std::atomic<size_t> pending_{0};
  uint32_t loops_;
};

}  // namespace smtpscope
