// One session on its way into its recording: understands the bytes as they come (SessionAnalyzer), masks secrets,
// leaves out what the body policy leaves out, and appends the rest as pcapng blocks. Pure: the caller owns the output
// buffer and the file.
//
// Nothing is written before it is understood (Conversation::stable), so a secret that arrives cut in pieces never
// reaches the output unmasked. What waits is bounded by Conversation::kMaxHeld a side, and records behind it wait with
// it, so that the recording keeps the order of arrival.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <variant>

#include "capture/recording/pcapng_writer.h"
#include "capture/session_analyzer.h"

namespace smtpscope {

class SessionRecorder {
 public:
  /// Appends the session's first block to `out`.
  SessionRecorder(SessionFacts facts, std::string& out);

  void connected(const GatewayConnect& connect, std::string& out);
  /// Bytes of one side, next in its stream. They may be changed in place (masked).
  void chunk(From from, int64_t at_us, char* bytes, size_t size, std::string& out);
  /// Bytes that passed but could not be recorded.
  void lost(const Hole& hole, std::string& out);
  void closed(const Closed& closed, std::string& out);
  /// Ends the session: appends its last blocks and returns its transcript. The recorder is spent.
  Transcript ended(const SessionEnd& end, std::string& out);

  const SessionFacts& facts() const { return analyzer_.facts(); }
  /// Where the next byte of this side will stand in its stream.
  uint64_t offset(From from) const { return offset_[from == From::sender ? 0 : 1]; }
  /// About how many bytes it holds; cheap.
  size_t memory() const;

 private:
  struct HeldBytes {
    From from;
    int64_t at_us;
    uint64_t offset;
    std::string bytes;
  };
  using Held = std::variant<HeldBytes, GatewayConnect, Hole, Closed>;

  void mask(char* bytes, size_t size, From from, uint64_t offset);
  void write_data(From from, int64_t at_us, uint64_t offset, std::string_view bytes, std::string& out);
  void write_omission(std::string& out);
  void hold(Held held, std::string& out);
  void write_held(std::string& out, bool all = false);
  void mask_above(uint64_t offset, HeldBytes& data);

  SessionAnalyzer analyzer_;
  PcapngFlow flow_;
  uint64_t offset_[2] = {0, 0};             ///< next offset of each side's stream
  std::unique_ptr<std::deque<Held>> held_;  ///< only while something waits
  size_t held_bytes_ = 0;
  std::vector<ByteRange> omissions_;  ///< not written yet
  Hole omission_;                     ///< what of them stands before the next byte to be written
};

}  // namespace smtpscope
