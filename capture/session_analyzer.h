// analyze(recording) -> transcript. The records of one session go in, in their order; the transcript comes out. The
// live path, crash recovery, `show FILE` and every test use this one class, so a transcript is a pure function of its
// recording.
#pragma once

#include "capture/recording/record.h"
#include "capture/smtp/conversation.h"
#include "capture/transcript/transcript.h"

namespace smtpscope {

class SessionAnalyzer {
 public:
  explicit SessionAnalyzer(SessionFacts facts);

  /// Feeds any record but the first (the facts) and the last (the end).
  void connected(const GatewayConnect& connect);
  void chunk(const Chunk& chunk) { conversation_.chunk(chunk); }
  void hole(const Hole& hole);
  void closed(const Closed& closed);

  /// Ends the session. The analyzer is spent.
  Transcript finish(const SessionEnd& end);

  Conversation& conversation() { return conversation_; }
  const Conversation& conversation() const { return conversation_; }
  const SessionFacts& facts() const { return facts_; }
  CaptureCounts& counts() { return counts_; }

 private:
  SessionFacts facts_;
  GatewayConnect connect_;
  CaptureCounts counts_;
  Conversation conversation_;
};

}  // namespace smtpscope
