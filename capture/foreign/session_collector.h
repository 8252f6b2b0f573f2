// Records of sessions in, transcripts out: each session goes through SessionAnalyzer as on the live path, and if a
// store is given through SessionRecorder into it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "capture/foreign/flow_table.h"
#include "capture/store/filing.h"
#include "capture/transcript/transcript.h"

namespace smtpscope {

class SessionCollector : public RecordSink {
 public:
  static constexpr size_t kMaxMemory = size_t{160} << 20;  ///< bytes that sessions in progress may hold

  using OnTranscript = std::function<void(Transcript&&)>;
  /// `store` may be null; else it has to live as long.
  SessionCollector(OnTranscript on_transcript, Filing* store);
  ~SessionCollector() override;

  void record(uint64_t flow, const Record& record) override;
  bool full() const override { return memory_ > kMaxMemory; }
  /// Unix time at which the oldest session that is not over began; INT64_MAX if none is open.
  int64_t oldest_us() const;
  /// Ends what is still open (recordings of ours without an end): marked as interrupted.
  void finish();

 private:
  struct Session;
  void feed(Session& session, const Record& record);
  void end(Session& session, const SessionEnd& end);

  OnTranscript on_transcript_;
  Filing* store_;
  std::unordered_map<uint64_t, std::unique_ptr<Session>> sessions_;
  std::map<int64_t, size_t> began_;  ///< how many of the open sessions began then
  size_t memory_ = 0;
  std::string scratch_;
};

}  // namespace smtpscope
