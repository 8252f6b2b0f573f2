#include "capture/foreign/tcp_flow.h"

#include <algorithm>
#include <utility>

namespace smtpscope {

OnStream TcpFlow::to(size_t side, Listener& listener) const {
  return [this, side, &listener](std::string_view bytes, uint64_t missing) {
    if (missing > 0)
      listener.lost(side, now_us_, missing);
    else
      listener.bytes(side, now_us_, bytes);
  };
}

void TcpFlow::segment(size_t side, const TcpSegment& segment, Listener& listener) {
  if (!waiting_) {
    if (!process(side, segment, listener)) wait(side, segment);
    return;
  }
  if (fills(side, segment)) {
    fill(side, segment, listener);
    if (!misses(sides_[missing_side_])) resume(listener);
    return;
  }
  wait(side, segment);
  while (waiting_ && (waiting_->size() > kMaxWaiting || segment.at_us - waiting_->front().segment.at_us > kMaxWait)) {
    give_up(missing_side_, listener);
    resume(listener);
  }
}

/// Takes bytes that were waited for, and those behind them that came before them and wait.
void TcpFlow::fill(size_t side, const TcpSegment& segment, Listener& listener) {
  const auto take = [&](size_t from, TcpSegment late) {
    late.flags &= static_cast<uint8_t>(~kTcpAck);  // what it acknowledges is no reason to wait once more
    process(from, late, listener);
  };
  take(side, segment);
  for (auto next = waiting_->begin(); next != waiting_->end();) {
    if (!fills(next->side, next->segment)) {
      ++next;
      continue;
    }
    TcpSegment early = next->segment;
    early.payload = next->payload;
    take(next->side, early);
    next = waiting_->begin();
  }
}

/// False if it has to wait for bytes that it acknowledges.
bool TcpFlow::process(size_t side, const TcpSegment& s, Listener& listener) {
  Side& me = sides_[side];
  const bool syn = (s.flags & kTcpSyn) != 0, rst = (s.flags & kTcpRst) != 0;
  me.seen = true;
  if (!me.order.begun() && !rst) {
    me.base = s.sequence + (syn ? 1 : 0);
    me.order.begin(me.base);
  }
  if (reset_by_) {
    if (!rst && side != *reset_by_) take_crossing(side, s, listener);
    return true;
  }
  if ((s.flags & kTcpAck) && !rst && !acknowledge(1 - side, s.acknowledged)) return false;
  now_us_ = std::max(now_us_, s.at_us);
  if (rst) {
    // One that is far away is forged or of an earlier connection with these ports.
    const int64_t away = me.order.begun() ? me.order.offset_of(s.sequence) - static_cast<int64_t>(me.order.next()) : 0;
    if (s.sequence != 0 && (away < -(1 << 24) || away > (1 << 24))) return true;
    for (const size_t each : {size_t{0}, size_t{1}})
      while (misses(sides_[each]) || sides_[each].order.holds()) give_up(each, listener);
    if (!over()) listener.closed(side, now_us_, CloseHow::rst);
    reset_by_ = side;
    return true;
  }
  if (me.closed) return true;
  const int64_t offset = me.order.offset_of(s.sequence + (syn ? 1 : 0));
  const uint64_t length = s.payload.size() + s.missing;
  if (length > 0) me.order.insert(offset, s.payload, s.missing, to(side, listener));
  if ((s.flags & kTcpFin) && !me.fin) {
    const int64_t end = offset + static_cast<int64_t>(length);
    if (end >= static_cast<int64_t>(me.order.next()) &&
        end < static_cast<int64_t>(me.order.next()) + StreamOrder::kMaxAhead) {
      me.fin = static_cast<uint64_t>(end);
      me.fin_us = now_us_;
      me.acked = std::min(me.acked, *me.fin);
    }
  }
  me.ahead = me.order.holds() ? me.ahead + 1 : 0;
  if (me.order.held_bytes() > kMaxHeld || (me.ahead > kMaxAheadAlone && !sides_[1 - side].seen))
    give_up(side, listener);
  close_if_ended(side, listener);
  return true;
}

/// What a side had on its way before it knew of the other's RST was said all the same.
void TcpFlow::take_crossing(size_t side, const TcpSegment& s, Listener& listener) {
  StreamOrder& order = sides_[side].order;
  const int64_t offset = order.offset_of(s.sequence + ((s.flags & kTcpSyn) != 0 ? 1 : 0));
  if (offset > static_cast<int64_t>(order.next())) return;  // whether there was anything between them nobody knows
  now_us_ = std::max(now_us_, s.at_us);
  order.insert(offset, s.payload, s.missing, to(side, listener));
}

/// The other side has all bytes of `side` below `acknowledged`. False if the capture may still bring some of them.
bool TcpFlow::acknowledge(size_t side, uint32_t acknowledged) {
  Side& acked = sides_[side];
  if (!acked.order.begun()) {
    acked.base = acknowledged;
    acked.order.begin(acknowledged);
    return true;
  }
  const int64_t offset = acked.order.offset_of(acknowledged);
  const auto next = static_cast<int64_t>(acked.order.next());
  if (offset <= next || offset > next + kMaxLoss) return true;
  acked.acked = std::max(acked.acked, static_cast<uint64_t>(offset));
  if (acked.fin) acked.acked = std::min(acked.acked, *acked.fin);
  if (!misses(acked)) return true;
  missing_side_ = side;
  return false;
}

bool TcpFlow::is_near(size_t side, const TcpSegment& s) const {
  const Side& me = sides_[side];
  constexpr int64_t kNear = int64_t{1} << 20;  // bytes; more than is on its way at once
  if (!me.order.begun()) return true;
  const int64_t away = me.order.offset_of(s.sequence) - static_cast<int64_t>(me.order.next());
  return away >= -kNear && away <= kNear;
}

bool TcpFlow::misses(const Side& side) {
  // Of a side that the capture does not hold at all, no byte is missing in it.
  if (!side.seen || side.acked <= side.order.next()) return false;
  // One byte more than there is may be a FIN that the capture does not have.
  return side.acked != side.order.next() + 1 || side.order.holds() || side.fin.has_value();
}

bool TcpFlow::fills(size_t side, const TcpSegment& s) const {
  if (side != missing_side_ || (s.flags & (kTcpSyn | kTcpRst))) return false;
  const int64_t begin = sides_[side].order.offset_of(s.sequence);
  const int64_t end = begin + static_cast<int64_t>(s.payload.size() + s.missing);
  const auto next = static_cast<int64_t>(sides_[side].order.next());
  return begin <= next && end > next;
}

void TcpFlow::wait(size_t side, const TcpSegment& segment) {
  if (!waiting_) waiting_ = std::make_unique<std::vector<Waiting>>();
  waiting_->push_back({side, segment, std::string(segment.payload)});
}

void TcpFlow::resume(Listener& listener) {
  const auto list = std::exchange(waiting_, nullptr);
  if (!list) return;
  for (Waiting& each : *list) {
    each.segment.payload = each.payload;
    if (waiting_)
      waiting_->push_back(std::move(each));
    else if (!process(each.side, each.segment, listener))
      wait(each.side, each.segment);
  }
}

void TcpFlow::give_up(size_t side, Listener& listener) {
  Side& s = sides_[side];
  uint64_t target = s.order.holds() ? s.order.first_held() : s.acked;
  if (misses(s)) target = std::min(target, s.acked);
  s.ahead = 0;
  s.order.give_up_to(std::max(target, s.order.next()), to(side, listener));
  close_if_ended(side, listener);
}

void TcpFlow::close_if_ended(size_t side, Listener& listener) {
  Side& s = sides_[side];
  if (s.closed || !s.fin || s.order.next() < *s.fin) return;
  s.closed = true;
  if (!reset_by_) listener.closed(side, s.fin_us, CloseHow::fin);
}

void TcpFlow::finish(Listener& listener) {
  while (waiting_) {
    give_up(missing_side_, listener);
    resume(listener);
  }
  if (reset_by_) return;
  for (const size_t side : {size_t{0}, size_t{1}}) {
    Side& s = sides_[side];
    while (misses(s) || s.order.holds()) give_up(side, listener);
    if (s.fin && s.order.next() < *s.fin) s.order.give_up_to(*s.fin, to(side, listener));
    close_if_ended(side, listener);
  }
}

size_t TcpFlow::memory() const {
  size_t bytes = sides_[0].order.held_bytes() + sides_[1].order.held_bytes();
  if (waiting_)
    for (const Waiting& each : *waiting_) bytes += sizeof each + each.payload.size();
  return bytes;
}

}  // namespace smtpscope
