#include "capture/store/recording_sessions.h"

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "capture/session_analyzer.h"

namespace smtpscope {
namespace {

/// One session that has not ended yet.
struct Open {
  explicit Open(SessionFacts facts) : analyzer(std::move(facts)) {}

  SessionAnalyzer analyzer;
  int64_t last_us = 0;
  uint64_t bytes[2] = {0, 0};  ///< of the sender's and the gateway's stream, as far as the recording tells
  ByteRange span;

  void passed(From from, uint64_t end) {
    uint64_t& total = bytes[from == From::sender ? 0 : 1];
    total = std::max(total, end);
  }

  void feed(const GatewayConnect& connect) {
    last_us = std::max(last_us, connect.at_us);
    analyzer.connected(connect);
  }
  void feed(const Chunk& chunk) {
    last_us = std::max(last_us, chunk.at_us);
    passed(chunk.from, chunk.offset + chunk.bytes.size());
    analyzer.chunk(chunk);
  }
  void feed(const Hole& hole) {
    last_us = std::max(last_us, hole.at_us);
    passed(hole.from, hole.offset + hole.length);
    analyzer.hole(hole);
  }
  void feed(const Closed& closed) {
    last_us = std::max(last_us, closed.at_us);
    analyzer.closed(closed);
  }
};

}  // namespace

ReadReport read_sessions(std::string_view file, std::string_view recording,
                         const std::function<bool(const SessionFacts&)>& wanted,
                         const std::function<void(Transcript&&)>& on_transcript) {
  std::map<uint64_t, Open> open;
  const auto finish = [&](Open& session, const SessionEnd& end) {
    Transcript transcript = session.analyzer.finish(end);
    transcript.recording = recording;
    transcript.recording_bytes = session.span;
    on_transcript(std::move(transcript));
  };
  ReadReport report = read_recording(file, [&](uint64_t flow, const Record& record, ByteRange block) {
    if (const auto* facts = std::get_if<SessionFacts>(&record)) {
      if (wanted(*facts)) open.try_emplace(flow, *facts).first->second.span = block;
      return;
    }
    const auto found = open.find(flow);
    if (found == open.end()) return;
    Open& session = found->second;
    session.span.length = block.offset + block.length - session.span.offset;
    if (const auto* connect = std::get_if<GatewayConnect>(&record)) session.feed(*connect);
    if (const auto* chunk = std::get_if<Chunk>(&record)) session.feed(*chunk);
    if (const auto* hole = std::get_if<Hole>(&record)) session.feed(*hole);
    if (const auto* closed = std::get_if<Closed>(&record)) session.feed(*closed);
    if (const auto* end = std::get_if<SessionEnd>(&record)) {
      finish(session, *end);
      open.erase(found);
    }
  });
  for (auto& [flow, session] : open) {
    SessionEnd end;
    end.at_us = session.last_us;
    end.sender_stream.bytes = session.bytes[0];
    end.gateway_stream.bytes = session.bytes[1];
    end.interrupted = true;
    finish(session, end);
  }
  return report;
}

}  // namespace smtpscope
