#include "capture/foreign/session_collector.h"

#include <xxhash.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "capture/hex.h"
#include "capture/recording/session_recorder.h"

namespace smtpscope {
namespace {

/// XXH3 of one side's stream; of a stream with holes there is none.
class StreamHash {
 public:
  StreamHash() : state_(XXH3_createState(), &XXH3_freeState) { XXH3_128bits_reset(state_.get()); }
  void add(std::string_view bytes) {
    if (whole_) XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  }
  void lose() { whole_ = false; }
  std::string digest() const {
    if (!whole_) return {};
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_.get()));
    return to_hex(canonical.digest);
  }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
  bool whole_ = true;
};

size_t side(From from) { return from == From::sender ? 0 : 1; }

}  // namespace

struct SessionCollector::Session {
  Session(const SessionFacts& facts, Filing* store) : started_us(facts.started_us) {
    if (store != nullptr) place = store->begin(facts);
    if (place)
      recorder = std::make_unique<SessionRecorder>(facts, place->blocks());
    else
      analyzer = std::make_unique<SessionAnalyzer>(facts);
  }

  const int64_t started_us;
  std::optional<Filing::Place> place;
  std::unique_ptr<SessionAnalyzer> analyzer;  ///< one of the two
  std::unique_ptr<SessionRecorder> recorder;
  std::array<StreamHash, 2> hash;
  std::array<uint64_t, 2> bytes{0, 0};
  int64_t last_us = 0;
  size_t memory = 0;
};

SessionCollector::SessionCollector(OnTranscript on_transcript, Filing* store)
    : on_transcript_(std::move(on_transcript)), store_(store) {}
SessionCollector::~SessionCollector() = default;

int64_t SessionCollector::oldest_us() const { return began_.empty() ? INT64_MAX : began_.begin()->first; }

void SessionCollector::record(uint64_t flow, const Record& record) {
  if (const auto* facts = std::get_if<SessionFacts>(&record)) {
    sessions_[flow] = std::make_unique<Session>(*facts, store_);
    ++began_[facts->started_us];
    return;
  }
  const auto found = sessions_.find(flow);
  if (found == sessions_.end()) return;
  Session& session = *found->second;
  if (const auto* last = std::get_if<SessionEnd>(&record)) {
    end(session, *last);
    sessions_.erase(found);
    return;
  }
  feed(session, record);
  memory_ -= session.memory;
  session.memory = 2048 + (session.recorder ? session.recorder->memory() : session.analyzer->conversation().memory());
  memory_ += session.memory;
}

void SessionCollector::feed(Session& session, const Record& record) {
  if (const auto* connect = std::get_if<GatewayConnect>(&record)) {
    session.last_us = std::max(session.last_us, connect->at_us);
    if (session.recorder)
      session.recorder->connected(*connect, session.place->blocks());
    else
      session.analyzer->connected(*connect);
  } else if (const auto* chunk = std::get_if<Chunk>(&record)) {
    session.last_us = std::max(session.last_us, chunk->at_us);
    session.bytes[side(chunk->from)] = chunk->offset + chunk->bytes.size();
    session.hash[side(chunk->from)].add(chunk->bytes);
    if (session.recorder) {
      scratch_.assign(chunk->bytes);  // secrets are covered in place
      session.recorder->chunk(chunk->from, chunk->at_us, scratch_.data(), scratch_.size(), session.place->blocks());
    } else {
      session.analyzer->chunk(*chunk);
    }
  } else if (const auto* hole = std::get_if<Hole>(&record)) {
    session.last_us = std::max(session.last_us, hole->at_us);
    session.bytes[side(hole->from)] = hole->offset + hole->length;
    session.hash[side(hole->from)].lose();
    if (session.recorder)
      session.recorder->lost(*hole, session.place->blocks());
    else
      session.analyzer->hole(*hole);
  } else if (const auto* closed = std::get_if<Closed>(&record)) {
    session.last_us = std::max(session.last_us, closed->at_us);
    if (session.recorder)
      session.recorder->closed(*closed, session.place->blocks());
    else
      session.analyzer->closed(*closed);
  }
  if (session.place) session.place->wrote();
}

void SessionCollector::end(Session& session, const SessionEnd& last) {
  SessionEnd end = last;
  // Recordings of ours say it themselves: what they hold may be masked.
  if (end.sender_stream.xxh128.empty()) end.sender_stream.xxh128 = session.hash[0].digest();
  if (end.gateway_stream.xxh128.empty()) end.gateway_stream.xxh128 = session.hash[1].digest();
  Transcript transcript;
  if (session.recorder) {
    transcript = session.recorder->ended(end, session.place->blocks());
    session.place->ended(transcript);
  } else {
    transcript = session.analyzer->finish(end);
  }
  memory_ -= session.memory;
  const auto began = began_.find(session.started_us);
  if (--began->second == 0) began_.erase(began);
  on_transcript_(std::move(transcript));
}

void SessionCollector::finish() {
  while (!sessions_.empty()) {
    Session& session = *sessions_.begin()->second;
    SessionEnd last;
    last.at_us = session.last_us;
    last.sender_stream.bytes = session.bytes[0];
    last.gateway_stream.bytes = session.bytes[1];
    last.interrupted = true;
    end(session, last);
    sessions_.erase(sessions_.begin());
  }
}

}  // namespace smtpscope
