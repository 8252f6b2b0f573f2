#include "capture/foreign/flow_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "capture/foreign/foreign_session.h"
#include "capture/foreign/smtp_sniffer.h"

namespace smtpscope {
namespace {

constexpr int64_t kNoAnswer =
    15'000'000;  // a connection attempt that went unanswered for so long, and was repeated, failed

constexpr uint16_t kIdentPort = 113;

uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15;
  return hash ^ (hash >> 29);
}

bool says_nothing(const TcpSegment& segment) { return segment.payload.empty() && segment.missing == 0; }

}  // namespace

size_t FlowTable::KeyHash::operator()(const Key& key) const {
  uint64_t hash = uint64_t{key.low.port} << 16 | key.high.port;
  for (const TcpEnd* end : {&key.low, &key.high}) {
    std::array<uint64_t, 2> words{};
    std::memcpy(words.data(), end->ip.data(), sizeof words);
    hash = mix(mix(hash, words[0]), words[1]);
  }
  return hash;
}

void FlowTable::segment(const TcpSegment& segment) {
  now_us_ = std::max(now_us_, segment.at_us);
  expire();
  if (segment.to.port == kIdentPort || segment.from.port == kIdentPort) note_ident(segment);
  const Key key = segment.from < segment.to ? Key{segment.from, segment.to} : Key{segment.to, segment.from};
  auto found = table_.find(key);
  const bool syn = (segment.flags & kTcpSyn) != 0, ack = (segment.flags & kTcpAck) != 0;
  if (found != table_.end() && syn && !ack) {
    Flow& old = *found->second;
    if (old.from_start && old.isn == segment.sequence && segment.from == old.ends[old.sender.value_or(0)]) {
      ++old.syns;  // sent again
    } else {
      erase(found->second, "the end of it is missing: the sender's port was used again");
      found = table_.end();
    }
  } else if (found != table_.end() && is_of_another(*found->second, segment)) {
    erase(found->second, "");
    found = table_.end();
  }
  Flow* flow = found != table_.end() ? &*found->second : open(segment, key);
  if (flow == nullptr) return;
  Flows& list = flow->state == State::smtp ? sessions_ : others_;
  const auto place = table_.find(key)->second;
  list.splice(list.end(), list, place);
  if (flow->state == State::told) return;
  flow->last_us = std::max(flow->last_us, segment.at_us);
  // Where an ACK stands in the stream is not told by it alone: a probe of keep-alive stands before its place.
  if (flow->bare_ack && !syn && says_nothing(segment)) return;
  flow->bare_ack = false;
  if (flow->state == State::other) {
    if (segment.flags & kTcpRst) erase(place, "");
    return;
  }
  const size_t side = segment.from == flow->ends[0] ? 0 : 1;
  current_ = flow;
  handshake(*flow, side, segment);
  if (flow->state == State::smtp && flow->connected && !flow->told_connect) tell_connect(*flow, flow->connected_us);
  flow->tcp.segment(side, segment, *this);
  current_ = nullptr;
  if (flow->tcp.over() && !flow->lingers) {
    if (flow->state == State::undecided && !flow->refused) decide_unsaid(*flow);
    if (flow->state != State::smtp) {
      erase(place, "");
      return;
    }
    flow->lingers = true;
    flow->damages_at_end = damages_;
    lingering_.push_back({now_us_ + kLinger, flow->id, key});
  }
  if (sink_.full() && !sessions_.empty()) erase(sessions_.begin(), "there was no room to follow it further");
}

/// Of a connection that is over: is this packet of a later one between the same ports, whose SYN was not captured?
bool FlowTable::is_of_another(const Flow& flow, const TcpSegment& segment) {
  if (!flow.lingers || ((segment.flags & kTcpSyn) == 0 && segment.payload.empty())) return false;
  return !flow.tcp.is_near(segment.from == flow.ends[0] ? 0 : 1, segment);
}

FlowTable::Flow* FlowTable::open(const TcpSegment& segment, const Key& key) {
  const bool syn = (segment.flags & kTcpSyn) != 0, ack = (segment.flags & kTcpAck) != 0;
  // What neither begins a connection nor says anything: the end of one that is not known; or, where SMTP lives, the
  // first that was captured of one that goes on.
  const bool bare_ack = !syn && says_nothing(segment);
  const bool smtp_lives = is_smtp_port(segment.from.port) || is_smtp_port(segment.to.port);
  if (!syn && segment.payload.empty() && (!smtp_lives || (segment.flags & (kTcpFin | kTcpRst)))) return nullptr;
  if (others_.size() >= kMaxOthers) erase(others_.begin(), "");
  Flow& flow = others_.emplace_back();
  flow.key = key;
  flow.ends = {segment.from, segment.to};
  flow.id = ++ids_;
  flow.damages_before = damages_;
  flow.bare_ack = bare_ack;
  flow.first_us = flow.last_us = segment.at_us;
  if (syn) {
    flow.from_start = true;
    flow.sender = ack ? 1 : 0;
    flow.syns = ack ? 0 : 1;
    flow.isn = ack ? segment.acknowledged - 1 : segment.sequence;
  } else {
    flow.connected = true;
    flow.connected_us = segment.at_us;
  }
  table_.emplace(key, std::prev(others_.end()));
  return &flow;
}

/// How the connection came about.
void FlowTable::handshake(Flow& flow, size_t side, const TcpSegment& segment) {
  if (flow.connected || flow.refused || !flow.sender) return;
  const bool syn = (segment.flags & kTcpSyn) != 0, rst = (segment.flags & kTcpRst) != 0;
  const bool from_gateway = side != *flow.sender;
  if (from_gateway && rst) {
    flow.refused = true;
  } else if (from_gateway || (!syn && !rst && (segment.flags & kTcpAck))) {
    flow.connected = true;  // it answered; or the sender's ACK says that it did
    flow.connected_us = segment.at_us;
    // It will be told of whatever is said. Sessions count from where they began, as they do at the gateway.
    if (flow.number == 0 && is_smtp_port(flow.ends[1 - *flow.sender].port)) flow.number = ++numbers_;
  }
}

FlowTable::Early& FlowTable::early(Flow& flow) {
  if (!flow.early) flow.early = std::make_unique<Early>();
  return *flow.early;
}

void FlowTable::bytes(size_t side, int64_t at_us, std::string_view bytes) {
  Flow& flow = *current_;
  if (flow.state == State::smtp) {
    const uint64_t offset = flow.tcp.bytes(side) - bytes.size();
    sink_.record(flow.number, Chunk{from(flow, side), at_us - flow.first_us, offset, bytes});
  } else if (flow.state == State::undecided) {
    Early& kept = early(flow);
    kept.items.push_back({side, at_us, Early::Bytes{std::string(bytes)}});
    std::string& first = kept.first[side];
    first.append(bytes.substr(0, kMaxEarly - std::min(kMaxEarly, first.size())));
    kept.size += bytes.size();
    decide(flow, kept.size > kMaxEarly);
  }
}

void FlowTable::lost(size_t side, int64_t at_us, uint64_t length) {
  Flow& flow = *current_;
  if (flow.state == State::smtp)
    sink_.record(flow.number,
                 Hole{from(flow, side), at_us - flow.first_us, flow.tcp.bytes(side) - length, length, "lost"});
  else if (flow.state == State::undecided && early(flow).items.size() < kMaxEarly / 16)
    early(flow).items.push_back({side, at_us, Early::Lost{length}});
}

void FlowTable::closed(size_t side, int64_t at_us, CloseHow how) {
  Flow& flow = *current_;
  if (flow.state == State::smtp)
    sink_.record(flow.number, Closed{from(flow, side), at_us - flow.first_us, how});
  else if (flow.state == State::undecided)
    early(flow).items.push_back({side, at_us, how});
}

void FlowTable::decide(Flow& flow, bool ended) {
  FirstBytes first;
  if (flow.early) first.bytes = {flow.early->first[0], flow.early->first[1]};
  first.ports = {flow.ends[0].port, flow.ends[1].port};
  first.sender = flow.sender;
  first.ended = ended;
  const SniffResult result = sniff_smtp(first);
  if (result.what == Sniffed::wait) return;
  if (result.what == Sniffed::other) {
    flow.state = State::other;
    flow.early.reset();
    return;
  }
  flow.sender = result.sender;
  begin_session(flow);
}

/// A connection in which nothing was said is told of where SMTP lives, an attempt if it was refused or repeated.
void FlowTable::decide_unsaid(Flow& flow) {
  if (flow.sender && is_smtp_port(flow.ends[1 - *flow.sender].port) &&
      (flow.connected || flow.refused || flow.syns > 1))
    decide(flow, true);
}

void FlowTable::begin_session(Flow& flow) {
  flow.state = State::smtp;
  if (flow.number == 0) flow.number = ++numbers_;
  sessions_.splice(sessions_.end(), others_, table_.find(flow.key)->second);
  const size_t sender = *flow.sender;
  // Without its beginning a session may still be whole: the greeting is the first that is said in one.
  const std::string_view greeting = flow.early ? std::string_view(flow.early->first[1 - sender]) : std::string_view{};
  const bool greeted =
      !greeting.empty() && (!flow.early->first[sender].empty() ? flow.early->items.front().side != sender : true);
  const bool joined = !flow.from_start && !(greeted && (greeting.starts_with("220") || greeting.starts_with("554")));
  sink_.record(flow.number, foreign_facts({flow.ends[sender], flow.ends[1 - sender], flow.first_us,
                                           flow.tcp.base(sender), flow.tcp.base(1 - sender), flow.number, joined}));
  if (flow.connected) tell_connect(flow, flow.connected_us);
  const auto kept = std::exchange(flow.early, nullptr);
  if (!kept) return;
  std::array<uint64_t, 2> offset{0, 0};
  for (const Early::Item& item : kept->items) {
    const From side = from(flow, item.side);
    const int64_t at_us = item.at_us - flow.first_us;
    if (const auto* said = std::get_if<Early::Bytes>(&item.what)) {
      sink_.record(flow.number, Chunk{side, at_us, offset[item.side], said->bytes});
      offset[item.side] += said->bytes.size();
    } else if (const auto* gap = std::get_if<Early::Lost>(&item.what)) {
      sink_.record(flow.number, Hole{side, at_us, offset[item.side], gap->length, "lost"});
      offset[item.side] += gap->length;
    } else {
      if (!flow.told_connect) tell_connect(flow, item.at_us);
      sink_.record(flow.number, Closed{side, at_us, std::get<CloseHow>(item.what)});
    }
  }
}

void FlowTable::tell_connect(Flow& flow, int64_t at_us) {
  flow.told_connect = true;
  GatewayConnect connect;
  connect.at_us = connect.took_us = at_us - flow.first_us;
  connect.state = flow.connected ? GatewayConnect::State::connected : GatewayConnect::State::failed;
  if (!flow.connected) connect.error = flow.refused ? "ECONNREFUSED" : "ETIMEDOUT";
  sink_.record(flow.number, connect);
}

void FlowTable::note_ident(const TcpSegment& segment) {
  const bool asks = segment.to.port == kIdentPort && (segment.flags & kTcpSyn) && !(segment.flags & kTcpAck);
  const TcpEnd& asker = asks ? segment.from : segment.to;
  const TcpEnd& asked = asks ? segment.to : segment.from;
  if (!asks && segment.from.port != kIdentPort) return;
  const auto known = std::find_if(idents_.rbegin(), idents_.rend(),
                                  [&](const Ident& i) { return i.asker == asker && i.asked == asked; });
  if (asks && (known == idents_.rend() || known->outcome != "no-answer")) {
    if (idents_.size() == kMaxIdents) idents_.pop_front();
    idents_.push_back({asker, asked, segment.at_us, segment.at_us, "no-answer"});
  } else if (known != idents_.rend() && known->outcome == "no-answer") {
    known->last_us = segment.at_us;
    if (!asks) known->outcome = (segment.flags & kTcpRst) ? "refused" : "answered";
  }
}

std::optional<IdentQuery> FlowTable::ident_of(const Flow& flow) const {
  const TcpEnd& sender = flow.ends[*flow.sender];
  const TcpEnd& gateway = flow.ends[1 - *flow.sender];
  for (const Ident& i : idents_)
    if (i.asked.ip == sender.ip && i.asker.ip == gateway.ip && i.at_us >= flow.first_us && i.at_us <= flow.last_us)
      return IdentQuery{i.outcome, i.at_us - flow.first_us, i.last_us - i.at_us};
  return std::nullopt;
}

/// `why`: what is missing if it did not close; empty: it is over or was forgotten.
void FlowTable::end(Flow& flow, std::string_view why) {
  current_ = &flow;
  flow.tcp.finish(*this);
  if (flow.state == State::undecided) {
    const bool spoke = flow.early && flow.early->size > 0;
    if (spoke)
      decide(flow, true);
    else
      decide_unsaid(flow);
  }
  current_ = nullptr;
  if (flow.state != State::smtp) return;
  if (!flow.told_connect && !flow.connected && now_us_ - flow.first_us >= kNoAnswer) tell_connect(flow, flow.last_us);
  const bool closed = flow.tcp.over() || flow.tcp.closed(0) || flow.tcp.closed(1) || flow.refused;
  const size_t sender = *flow.sender;
  SessionEnd end;
  end.at_us = flow.last_us - flow.first_us;
  end.sender_stream.bytes = flow.tcp.bytes(sender);
  end.gateway_stream.bytes = flow.tcp.bytes(1 - sender);
  end.ident = ident_of(flow);
  if (!closed) end.capture_loss = why;
  if ((flow.lingers ? flow.damages_at_end : damages_) > flow.damages_before)
    end.capture_loss = "it is damaged at a place where the session was open";
  for (const size_t each : {size_t{0}, size_t{1}})
    if (flow.connected && !flow.tcp.seen(each))
      end.capture_loss = each == sender ? "it holds no packet of the sender" : "it holds no packet of the gateway";
  sink_.record(flow.number, end);
}

void FlowTable::erase(Flows::iterator flow, std::string_view why) {
  end(*flow, why);
  table_.erase(flow->key);
  Flows& list = flow->state == State::smtp ? sessions_ : others_;
  list.erase(flow);
}

/// The session is over. Its connection stays known.
void FlowTable::retire(Flows::iterator flow) {
  end(*flow, "");
  flow->state = State::told;
  if (others_.size() >= kMaxOthers) erase(others_.begin(), "");
  others_.splice(others_.end(), sessions_, flow);
}

void FlowTable::expire() {
  while (!lingering_.empty() && (lingering_.front().until_us < now_us_ || lingering_.size() > kMaxLingering)) {
    const Lingering& over = lingering_.front();
    const auto found = table_.find(over.key);
    if (found != table_.end() && found->second->id == over.id) retire(found->second);
    lingering_.pop_front();
  }
  while (!sessions_.empty() && sessions_.front().last_us < now_us_ - kMaxIdle)
    erase(sessions_.begin(), "no packet of it came for an hour");
  while (!others_.empty() && others_.front().last_us < now_us_ - kMaxIdle) erase(others_.begin(), "");
}

void FlowTable::finish() {
  for (Flows* list : {&others_, &sessions_})
    while (!list->empty()) {
      const auto flow = list->begin();
      erase(flow, "it ends before the session does");
    }
}

}  // namespace smtpscope
