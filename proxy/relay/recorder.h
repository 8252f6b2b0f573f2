// One thread per worker that turns batches into recordings and transcripts: understands, masks, appends pcapng blocks,
// and when a session ends appends its transcript. What the disk does not take is lost to the capture, said in the log
// and in the transcripts, and never waits in the way of mail.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "capture/transcript/transcript.h"
#include "proxy/relay/batch.h"
#include "proxy/relay/capture_gate.h"

namespace smtpscope {

class Recorder {
 public:
  Recorder(std::string store, BatchQueue& queue, CaptureGate& gate);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// Handles what is queued, then ends the thread. BatchQueue::stop() must have been called.
  void join();

 private:
  friend struct CaptureSession::Recording;
  struct DayFile;
  struct Ended;

  void run();
  void handle(const BatchRecord& record, char* bytes);
  DayFile& file_of(const SessionFacts& facts);
  void flush();
  void flush_blocks(DayFile& file);
  /// Appends the transcripts that wait; false if the disk does not take them.
  bool flush_lines(DayFile& file);
  void close_idle_files();

  std::string store_;
  BatchQueue& queue_;
  CaptureGate& gate_;
  std::map<std::string, std::unique_ptr<DayFile>> files_;
  std::vector<DayFile*> dirty_;
  std::vector<Ended> ended_;
  std::thread thread_;
};

}  // namespace smtpscope
