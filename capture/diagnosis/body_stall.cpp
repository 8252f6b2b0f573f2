#include "capture/diagnosis/body_stall.h"

#include <algorithm>

#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

/// The first thing that happened after the body had stopped: a reply of the gateway or a close.
const Event* after_body(const View& v) {
  const int64_t since = last_body_time(v);
  const Event* first = nullptr;
  for (const Event& e : v.events) {
    const bool ends =
        e.kind == Event::Kind::close || (e.kind == Event::Kind::reply && e.phase == Phase::body && e.code >= 400);
    if (ends && e.at_us >= since && (first == nullptr || e.at_us < first->at_us)) first = &e;
  }
  return first;
}

const Message* stalled_message(const View& v) {
  for (const Message& m : v.messages)
    if (v.stalled_body >= 0 && m.body == v.stalled_body) return &m;
  return v.messages.empty() ? nullptr : &v.messages.back();
}

constexpr uint64_t kRoom = 4096;      // what every receiver has room for: a sender that sent less was not held up
constexpr uint64_t kWindow = 65'535;  // the largest without scaling, RFC 9293 3.1

/// Is a part of the chunk missing that the last BDAT announced?
bool chunk_short(const View& v) {
  int32_t asked = count_of(v) - 1;
  while (asked >= 0 && v.at(asked)->verb != Verb::bdat) --asked;
  const std::optional<BdatCommand> bdat = asked >= 0 ? parse_bdat(v.at(asked)->text) : std::nullopt;
  if (!bdat || bdat->size == 0) return false;
  for (int32_t i = asked + 1; i < count_of(v); ++i)
    if (v.at(i)->kind == Event::Kind::body) return !v.at(i)->complete;
  return true;
}

}  // namespace

bool in_body(const View& v) {
  if (!v.broken()) return false;
  if (v.stalled_body >= 0) return true;
  if (v.messages.empty()) return false;
  const Message& m = v.messages.back();
  const Event* granted = v.at(m.data_reply);
  const bool in_time = granted != nullptr && (v.close() == nullptr || granted->at_us <= v.close()->at_us);
  if (in_time && granted->code >= 300 && granted->code < 400 && m.body < 0) return true;
  if (!m.bdat || m.ended || m.final_reply >= 0 || v.close() == nullptr || v.close()->phase != Phase::body) return false;
  return chunk_short(v) || v.unanswered < 0;  // else the chunks have come, and the gateway owes the reply to one
}

int64_t last_body_time(const View& v) {
  if (const Event* body = v.at(v.stalled_body)) return body->end_us;
  const Message* m = stalled_message(v);
  if (m != nullptr && m->bdat && !chunk_short(v)) {  // since the reply to the last chunk
    int64_t since = 0;
    for (const Event& e : v.events)
      if (e.kind == Event::Kind::reply && e.code < 400) since = std::max(since, e.end_us);
    return since;
  }
  if (const Event* leave = m != nullptr ? v.at(m->bdat ? m->data : m->data_reply) : nullptr) return leave->end_us;
  return v.owed_since();
}

std::string progress(const View& v) {
  const Event* body = v.at(v.stalled_body);
  const Message* m = stalled_message(v);
  const uint64_t bytes = m != nullptr && m->bdat ? m->bytes : body == nullptr ? 0 : body->bytes;
  std::string text = std::to_string(bytes) + " bytes of the message had come";
  if (!v.messages.empty() && v.messages.back().size_declared)
    text += " of " + std::to_string(*v.messages.back().size_declared) + " declared";
  return text;
}

int64_t stalled_for(const View& v) {
  const Event* next = after_body(v);
  return next != nullptr ? next->at_us - last_body_time(v) : 0;
}

Stall stall_of(const View& v) {
  if (!in_body(v)) return Stall::none;
  const Event* next = after_body(v);
  if (next == nullptr || next->from == From::proxy) return Stall::none;
  if (path_tells_stall(v)) return Stall::on_path;
  const Event* body = v.at(v.stalled_body);
  const Message* m = stalled_message(v);
  const bool bdat = m != nullptr && m->bdat;
  const bool begun = body != nullptr && body->bytes > 0;
  const bool at_dot = body != nullptr && m != nullptr && m->odd.stops_at_dot;
  if (at_dot && v.at_least(stalled_for(v), kImpatient)) return Stall::at_dot;
  if (!v.at_least(stalled_for(v), next->from == From::gateway ? kSlow : kWaitedToSend)) {
    const bool left = !begun && !bdat && next->from == From::sender && next->kind == Event::Kind::close;
    return left ? Stall::not_begun : Stall::none;
  }
  if (bdat && chunk_short(v)) return Stall::in_chunk;
  if (bdat) return next->from == From::gateway ? Stall::other : Stall::none;  // between two chunks
  if (!begun) return Stall::at_once;
  if (body->bytes >= kWindow - 2048 && body->bytes <= kWindow + 2048) return Stall::at_64k;
  if (next->from == From::gateway) return Stall::other;
  return body->bytes >= kRoom ? Stall::not_taken : Stall::none;
}

Match match_stall(const View& v) {
  const Message* message = stalled_message(v);
  const int32_t event = v.stalled_body >= 0                          ? v.stalled_body
                        : message == nullptr                         ? -1
                        : message->data_reply >= 0 && !message->bdat ? message->data_reply
                                                                     : message->data;
  Match m = match_missing(v, event, From::sender);
  m.at_us = last_body_time(v);
  m.got = "silence for " + v.seconds(stalled_for(v));
  return m;
}

bool forgotten_while_idle(const View& v) {
  constexpr int64_t kIdle = 120 * kSecond;
  if (!v.cut_short() || v.banner_owed() || v.inside_tls() || v.close()->how == CloseHow::fin ||
      v.closed_by(From::proxy))
    return false;
  const Event* asked = v.at(v.unanswered);
  if (asked == nullptr || asked->kind != Event::Kind::command) return false;
  int64_t before = 0;
  for (const Event& e : v.events)
    if (e.end_us < asked->at_us) before = std::max(before, e.end_us);
  return asked->at_us - before >= kIdle && (v.close()->how == CloseHow::timeout || v.silence_us() < 60 * kSecond);
}

}  // namespace smtpscope
