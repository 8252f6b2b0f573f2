// A thread that turns the batches of one loop or two into recordings and transcripts: understands, masks, appends
// pcapng blocks, and when a session ends appends its transcript. What the disk does not take is lost to the capture,
// said in the log and in the transcripts, and never waits in the way of mail.
//
// What all sessions' analysis holds is bounded by kMaxMemory, of which each recorder has its share. Beyond half of it a
// session that holds more than kModestMemory is no longer understood, beyond all of it none is: their bytes are holes
// with the reason "memory" until there is room again. So a few sessions that grow without end do not blind the
// recording of all others.
//
// A session that is undecided (proxy/relay/undecided.h) is held in memory as it came, within bounds of its own, and is
// understood and written only when it is kept.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "capture/transcript/transcript.h"
#include "proxy/relay/batch.h"
#include "proxy/relay/relay_metrics.h"

namespace smtpscope {

class Recorder {
 public:
  static constexpr size_t kMaxMemory = 256 << 20;
  static constexpr size_t kModestMemory = 64 << 10;

  /// Of so many loops; one of `recorders`, which share the bounds.
  Recorder(std::string store, RelayMetrics& metrics, uint32_t loops = 1, uint32_t recorders = 1);
  /// Whatever the loops do.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// Where the loops put what they saw.
  BatchQueue& queue() { return queue_; }
  /// Waits until all is handled that the loops have put; each has to have left the queue.
  void join();
  /// From any thread: join() would not wait.
  bool done() const { return done_.load(); }

 private:
  friend struct CaptureSession::Recording;
  struct DayFile;
  struct Ended;
  using DayKey = std::pair<std::string, int64_t>;  ///< the sender's address, the day since 1970

  void run();
  void handle(const BatchRecord& record, char* bytes);
  /// Of an undecided session.
  void hold(const BatchRecord& record, const char* bytes);
  void keep(CaptureSession& session);
  void data(CaptureSession::Recording& recording, const BatchRecord& record, char* bytes);
  void count(CaptureSession::Recording& recording);
  bool no_room(const CaptureSession::Recording& recording) const;
  /// Writes the hole of what found no room.
  void write_lost(CaptureSession::Recording& recording, int64_t at_us);
  DayFile& file_of(const SessionFacts& facts);
  void flush();
  void flush_blocks(DayFile& file);
  /// Appends the transcripts that wait; false if the disk does not take them.
  bool flush_lines(DayFile& file);
  void counted(const std::vector<std::shared_ptr<CaptureWindow>>& windows);
  void save_windows();
  void close_idle_files();
  void rest();

  const size_t max_memory_, max_ended_, max_kept_lines_, max_held_;
  std::string store_;
  BatchQueue queue_;
  RelayMetrics& metrics_;
  std::map<DayKey, std::unique_ptr<DayFile>> files_;
  std::vector<DayFile*> dirty_;
  std::vector<Ended> ended_;
  std::vector<std::shared_ptr<CaptureWindow>> counted_;  ///< windows whose count is to be kept
  std::string spare_;        ///< a large empty buffer for lines: growing one anew at each flush is dear
  size_t memory_ = 0;        ///< of all sessions, those in ended_ included
  size_t ended_memory_ = 0;  ///< of those in ended_
  size_t held_ = 0;          ///< bytes of undecided sessions
  size_t kept_lines_ = 0;    ///< bytes of transcripts that wait for the disk
  bool squeezed_ = false;    ///< said in the log that memory is short
  bool worked_ = false;      ///< since it last rested
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace smtpscope
