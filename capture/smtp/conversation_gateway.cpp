// Replies: read line by line, matched to what they answer, and what they do to the session.
#include "capture/smtp/conversation_state.h"

namespace smtpscope {

std::vector<ByteRange> Conversation::State::echoes_in(std::string_view line) const {
  if (!may_echo()) return {};
  ByteRange unfinished;
  if (mode == Mode::command && holds_secret(sender.held)) unfinished = secret_in(sender.held);
  // Rare: what might be repeated is not known, or would take long to look for.
  if (secret_lost || unfinished.length > kMaxUnfinished) {
    const size_t text = parse_reply_line(line).code == 0 ? 0 : std::min<size_t>(4, line.size());
    if (text == line.size()) return {};
    return {{text, line.size() - text}};
  }
  if (unfinished.length == 0) return echoes.find_in(line);
  SecretEchoes known = echoes;
  known.remember(std::string_view(sender.held).substr(unfinished.offset, unfinished.length));
  return known.find_in(line);
}

void Conversation::State::reply_line(std::string_view line, uint64_t offset, uint64_t wire, int64_t at_us,
                                     int64_t end_us, LineEnd end) {
  const std::vector<ByteRange> repeated = echoes_in(line);  // as things stand before this line does anything
  const ReplyLine parsed = parse_reply_line(line);
  // A code that changes inside a reply begins a new one (postscreen: 220-... and then 250-...).
  if (reply_open && parsed.code != 0 && parsed.code != reply.code) finish_reply(false);
  const bool more_of_same = reply_open;
  if (!more_of_same) {
    reply = Event{};
    reply.kind = Event::Kind::reply;
    reply.from = From::gateway;
    reply.code = parsed.code;
    reply.offset = offset;
    reply.at_us = at_us;
    reply_open = true;
    reply_cut = false;
  } else if (reply.text.size() <= kMaxReplyText) {
    reply.text += '\n';
  }
  const size_t begins = reply.text.size();
  const bool kept = begins <= kMaxReplyText;
  if (kept) reply.text += line;
  for (const ByteRange& echo : repeated) {
    gateway_secrets.push_back({offset + echo.offset, echo.length});
    if (kept) std::fill_n(reply.text.begin() + static_cast<std::ptrdiff_t>(begins + echo.offset), echo.length, '*');
  }
  reply.bytes = offset + wire - reply.offset;
  reply.end_us = end_us;
  reply.bare_lf = reply.bare_lf || (end == LineEnd::seen && wire == line.size() + 1);
  reply_cut = reply_cut || end == LineEnd::lost;
  const bool goes_on = parsed.continues || (more_of_same && parsed.code == 0);
  if (!goes_on || end == LineEnd::none) finish_reply(end == LineEnd::seen && !reply_cut);
}

void Conversation::State::finish_reply(bool complete) {
  if (!reply_open) return;
  reply_open = false;
  reply.complete = complete;
  // A blank line may go unanswered: only a complaint about its syntax answers it, not the refusal of what follows.
  const bool complaint = reply.code >= 500 && reply.code <= 503;
  while (!owed.empty() && owed.front().to == Owed::To::blank_line && !complaint) pop_owed();
  forget_owed_before(reply.code);
  // A second 354 says nothing of the message that comes behind the first.
  const bool early = owed.empty() || (reply.code == 354 && owed.front().to == Owed::To::body && mode == Mode::body);
  const Owed owes = early ? Owed{} : owed.front();
  reply.answers = early || owes.to == Owed::To::banner ? -1 : owes.event;
  reply.phase = phase_of_reply(early, owes);
  const uint16_t code = reply.code;
  const int32_t index = push(std::move(reply));
  reply = Event{};
  // Replies that nobody asked for may have used up what a challenge answers.
  auth_tail = auth_tail || code == 334;
  challenge = challenge || (early && auth_unclear && code == 334);
  if (early) return;
  pop_owed();
  answered(owes, index, code);
}

Phase Conversation::State::phase_of_reply(bool early, const Owed& owes) const {
  if (early) return here();
  switch (owes.to) {
    case Owed::To::banner:
      return Phase::banner;
    case Owed::To::body:
      return mode == Mode::body && !reply_ends_body(reply.code) ? Phase::body : Phase::end_of_data;
    case Owed::To::bdat:
      return Phase::body;
    case Owed::To::bdat_last:  // refused while its chunk still comes?
      return mode == Mode::chunk && owes.message == message ? Phase::body : Phase::end_of_data;
    default:
      return owes.event >= 0 ? events[static_cast<size_t>(owes.event)].phase : here();
  }
}

void Conversation::State::answered(const Owed& owes, int32_t reply_event, uint16_t code) {
  const bool ok = code >= 200 && code < 300 && code != 221;  // which takes leave, and grants nothing
  Message* m = owes.message >= 0 ? &messages[static_cast<size_t>(owes.message)] : nullptr;
  const Verb verb = owes.event >= 0 ? events[static_cast<size_t>(owes.event)].verb : Verb::none;
  switch (owes.to) {
    case Owed::To::banner:
      banner_done = true;
      break;
    case Owed::To::command:
      // Behind lost bytes a reply may belong to what was lost; one that grants a command shows that AUTH is over.
      if (ok && code != 235 && verb != Verb::none && verb != Verb::unknown && verb != Verb::auth_response)
        secret_lost = auth_unclear = false;
      if (ok && (verb == Verb::ehlo || verb == Verb::helo || verb == Verb::lhlo)) {
        helo_done = true;
        tls_may_start = false;  // plain SMTP went on behind STARTTLS (a capture that was decrypted)
      }
      if (verb == Verb::mail && m != nullptr) m->mail_reply = reply_event;
      if (verb == Verb::rcpt && m != nullptr && owes.recipient >= 0) {
        Recipient& r = m->recipients[static_cast<size_t>(owes.recipient)];
        r.reply = reply_event;
        r.code = code;
      }
      break;
    case Owed::To::data:
      data_answered(owes, m, reply_event, code);
      break;
    case Owed::To::body:
      if (reply_ends_body(code)) end_body_unseen();
      settle(owes.message, reply_event, ok);
      break;
    case Owed::To::bdat:
      if (!ok) settle(owes.message, reply_event, false);
      break;
    case Owed::To::bdat_last:
      settle(owes.message, reply_event, ok);
      break;
    case Owed::To::auth:
    case Owed::To::auth_response:
      if (code == 334) challenge = owed.empty() || owed.front().to != Owed::To::auth_response;
      // Refused, or granted too soon: the sender may have credentials on their way.
      auth_tail = true;
      break;
    case Owed::To::starttls:
      starttls_answered(code);
      break;
    case Owed::To::blank_line:
      break;
  }
}

void Conversation::State::settle(int32_t index, int32_t reply_event, bool ok) {
  if (index < 0 || messages[static_cast<size_t>(index)].final_reply >= 0) return;
  Message& m = messages[static_cast<size_t>(index)];
  m.final_reply = reply_event;
  m.accepted = ok;
  if (ok && reply_event >= 0) m.queue_id = parse_queue_id(events[static_cast<size_t>(reply_event)].text);
}

void Conversation::State::data_answered(const Owed& owes, Message* m, int32_t reply_event, uint16_t code) {
  if (m != nullptr) m->data_reply = reply_event;
  if (mode != Mode::await_data) return;
  if (code >= 300 && code < 400) {
    mode = Mode::body;
    owed.push_front({Owed::To::body, -1, owes.message, -1});
  } else {
    mode = Mode::command;
  }
  read_sender();
}

void Conversation::State::end_body_unseen() {
  if (!retaining) return finish_body(true);
  if (retained.size() > kMaxRetained) return;
  const uint64_t end = *scanner->look_alike();
  if (body_event >= 0) {
    Event& event = events[static_cast<size_t>(body_event)];
    event.bytes = end - event.offset;
    event.complete = true;
    event.text = digest.head();
    event.end_us = retained_marks.front().at_us;
  }
  if (message >= 0) {
    Message& m = messages[static_cast<size_t>(message)];
    m.bytes = scanner->look_alike_content();
    m.ended = true;
    m.odd = {};
    m.odd.ended_at_look_alike = true;
    m.odd.look_alike = {1, scanner->look_alike_from()};
    m.odd.look_alike_length = end - scanner->look_alike_from();
  }
  std::string rest = std::move(retained);
  std::vector<Stream::Mark> marks = std::move(retained_marks);
  leave_body();
  sender.position = end;
  sender.held = std::move(rest);
  sender.marks = std::move(marks);
  read_sender();
}

void Conversation::State::starttls_answered(uint16_t code) {
  if (mode != Mode::await_starttls) return;
  mode = Mode::command;
  if (code == 220) {
    tls_may_start = true;
    sender_tls_at = sender.position;
    gateway_tls_at = reply_end;
    helo_done = false;
    withdraw();
    tls.emplace().mode = "starttls";
  }
  read_sender();
}

}  // namespace smtpscope
