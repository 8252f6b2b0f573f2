// Lost bytes: where the streams are understood again behind them, and what of it that was owed the lost bytes answered.
//
// Nothing here makes less secret: behind lost bytes of the sender only what cannot but be a command is read, all else
// up to the end of the line is covered; and while AUTH may go on unseen (auth_unclear), lines are taken for its
// responses.
#include "capture/smtp/conversation_state.h"

namespace smtpscope {

size_t Conversation::State::skip_line(From from, std::string_view bytes, uint64_t offset) {
  Stream& stream = from == From::sender ? sender : gateway;
  const size_t lf = bytes.find('\n');
  stream.lost_sync = lf == std::string_view::npos;
  size_t n = stream.lost_sync ? bytes.size() : lf + 1, text = n;
  if (!stream.lost_sync)
    text -= lf > 0 && bytes[lf - 1] == '\r' ? 2U : 1U;
  else if (bytes.back() == '\r')
    n = --text;                                                      // it may belong to the line end
  if (from == From::sender && !stream.lost_sync) challenge = false;  // if one waited, this was what answers it
  if (text > 0 && from == From::sender) secrets.push_back({offset, text});
  if (text > 0 && from == From::gateway && may_echo()) gateway_secrets.push_back({offset, text});
  return n;
}

bool Conversation::State::find_step(Stream& stream, Fit line) {
  if (line == Fit::perhaps) return false;
  stream.at_gap = false;
  stream.lost_sync = line == Fit::no;
  return true;
}

void Conversation::State::hole(From from, int64_t at_us, uint64_t length, bool of_body) {
  if (from == From::gateway) return gateway_hole(length);
  end_cut_reply();
  Stream& stream = sender;
  if (mode == Mode::await_data) {
    mode = Mode::body;
    owed.push_back({Owed::To::body, -1, message, -1});
    read_sender();
  }
  const uint64_t at = stream.end;
  if (mode == Mode::body) {
    if (!scanner) {
      scanner = std::make_unique<BodyScanner>(at);
      body_start_ = omitted_to = at;
      body_seen = 0;
      open_body_event(at, at_us);
    }
    scanner->skip(length);
    cut_body(length, at_us);
    if (!of_body) body_hole_end = at + length;
  } else if (mode == Mode::chunk) {
    if (body_event < 0) {
      body_start_ = omitted_to = at;
      if (message >= 0 && messages[static_cast<size_t>(message)].body < 0) body_seen = 0;
      open_body_event(at, at_us);
    }
    const uint64_t n = std::min(chunk_left, length);
    chunk_left -= n;
    cut_body(n, at_us);
    if (chunk_left == 0) end_chunk();
    if (n < length) sender.lost_sync = sender.at_gap = true;
  } else if (mode == Mode::tls) {
    sender_tls->skip(length);
  } else {
    auth_tail = auth_tail || (!stream.held.empty() && may_be_auth(stream.held));
    auth_unclear = auth_tail || auth_pending();
    secret_lost = secret_lost || auth_unclear;
    challenge = false;  // what answers it may be among the lost bytes; what is left of it is covered all the same
    drop_held(stream, length);
    sender.lost_sync = sender.at_gap = true;
    mode = Mode::command;
    return;
  }
  drop_held(stream, length);
}

/// A multi-line reply may go on behind the gap. What of one stands before it answers all the same.
void Conversation::State::gateway_hole(uint64_t length) {
  if (!gateway_tls && !gateway.lost_sync && !gateway.held.empty()) {
    const std::string text = std::move(gateway.held);
    gateway.held.clear();
    const ReplyLine cut = parse_reply_line(text);
    // Where a secret may be repeated, no more than the code of half a line is sure to be none of it.
    const size_t shown = may_echo() ? std::min<size_t>(text.size(), cut.code == 0 ? 0 : 4) : text.size();
    if (shown < text.size()) gateway_secrets.push_back({gateway.position + shown, text.size() - shown});
    reply_end = gateway.end + length;
    if (cut.code >= 200 || reply_open)
      reply_line(std::string_view(text).substr(0, shown), gateway.position, text.size(),
                 gateway.time_of(gateway.position), gateway.time_of(gateway.end - 1), LineEnd::lost);
  }
  if (gateway_tls) gateway_tls->skip(length);
  reply_cut = reply_open;
  drop_held(gateway, length);
  gateway.lost_sync = gateway.at_gap = !gateway_tls;
  // Each reply that is all lost took five bytes at least; of one more the end may be seen.
  constexpr uint64_t kShortest = 5;
  owed_at_gap = std::min<uint64_t>(owed.size(), length / kShortest + 1);
}

void Conversation::State::end_cut_reply() {
  if (reply_cut && reply_open) finish_reply(false);
  reply_cut = false;
}

void Conversation::State::cut_body(uint64_t length, int64_t at_us) {
  body_cut = true;
  stop_retaining();
  body_seen += length;
  digest.cut();
  if (body_event < 0) return;
  Event& event = events[static_cast<size_t>(body_event)];
  event.bytes += length;
  event.end_us = at_us;
}

void Conversation::State::drop_held(Stream& stream, uint64_t length) {
  const bool waits =
      mode == Mode::await_starttls || (mode == Mode::command && (stream.lost_sync || holds_secret(stream.held)));
  if (&stream == &sender && waits && !stream.held.empty()) secrets.push_back({stream.position, stream.held.size()});
  if (&stream == &gateway && !gateway_tls && may_echo() && !stream.held.empty())
    gateway_secrets.push_back({stream.position, stream.held.size()});
  stream.held.clear();
  stream.marks.clear();
  stream.end += length;
  stream.position = stream.end;
}

void Conversation::State::pop_owed() {
  if (owed_at_gap > 0) --owed_at_gap;
  owed.pop_front();
}

void Conversation::State::forget_oldest() {
  const Owed& oldest = owed.front();
  const Verb verb = oldest.event >= 0 ? events[static_cast<size_t>(oldest.event)].verb : Verb::none;
  banner_done = banner_done || oldest.to == Owed::To::banner;
  helo_done = helo_done || verb == Verb::ehlo || verb == Verb::helo || verb == Verb::lhlo;
  auth_unclear = auth_unclear || oldest.to == Owed::To::auth || oldest.to == Owed::To::auth_response;
  pop_owed();
}

void Conversation::State::forget_owed_at_gap() {
  while (owed_at_gap > 0) forget_oldest();
}

void Conversation::State::forget_owed_before(uint16_t code) {
  if (code != 221 && code != 354) return;
  const auto answered_so = [&](const Owed& each) {
    if (code == 354) return each.to == Owed::To::data;
    return each.event >= 0 && events[static_cast<size_t>(each.event)].verb == Verb::quit;
  };
  if (std::none_of(owed.begin(), owed.end(), answered_so)) return;
  while (!answered_so(owed.front())) forget_oldest();
}

bool Conversation::State::goes_on_as_granted(std::string_view bytes) {
  // Of what is owed, this came last.
  if (owed_at_gap == 0 || owed_at_gap != owed.size() || gateway_tls || auth_pending()) return false;
  if (mode == Mode::await_starttls) {
    if (!tls_record_starts(bytes)) return false;
    forget_owed_at_gap();
    reply_end = gateway.position;
    starttls_answered(220);
    return true;
  }
  if (bytes.find('\n') == std::string_view::npos || parse_verb(first_line(bytes)) != Verb::unknown) return false;
  forget_owed_at_gap();
  mode = Mode::body;
  owed.push_front({Owed::To::body, -1, message, -1});
  return true;
}

bool Conversation::State::reply_ends_body(uint16_t code) const {
  if (mode != Mode::body || code == 421) return false;
  if (retaining) return true;
  // A refusal may come while the message goes on; where nothing came behind the gap, it ended in it.
  return body_hole_end > 0 && scanner && ((code >= 200 && code < 300) || body_hole_end == scanner->offset());
}

}  // namespace smtpscope
