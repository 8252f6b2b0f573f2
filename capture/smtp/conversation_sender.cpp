// Command lines of the sender: what each is, what of it is secret, and what it does to the session.
#include "capture/smtp/conversation_state.h"

namespace smtpscope {

void Conversation::State::mask(std::string& text, uint64_t line_offset, ByteRange range) {
  if (range.length == 0) return;
  secrets.push_back({line_offset + range.offset, range.length});
  echoes.remember(std::string_view(text).substr(range.offset, range.length));
  std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(range.offset), range.length, '*');
}

bool Conversation::State::is_response(std::string_view line) const {
  return challenge || ((auth_tail || auth_pending()) && looks_like_response(line));
}

ByteRange Conversation::State::secret_in(std::string_view line) const {
  return is_response(line) ? ByteRange{0, line == "*" ? 0 : line.size()} : secret_of(line, parse_verb(line));
}

ByteRange Conversation::State::secret_of(std::string_view line, Verb verb) {
  if (verb == Verb::auth || (verb == Verb::unknown && may_be_auth(line))) return secret_of_auth_line(line);
  return {};
}

int32_t Conversation::State::command(std::string_view line, uint64_t offset, uint64_t wire, int64_t at_us,
                                     int64_t end_us, bool complete) {
  constexpr size_t kUsual = 24;  // what a session comes to that goes on at all
  if (events.capacity() < kUsual) events.reserve(kUsual);
  Event event;
  event.kind = Event::Kind::command;
  event.from = From::sender;
  event.offset = offset;
  event.bytes = wire;
  event.at_us = at_us;
  event.end_us = end_us;
  event.complete = complete;
  event.bare_lf = complete && wire == line.size() + 1;
  event.text = std::string(line);
  forget_owed_at_gap();
  const bool response = is_response(line);
  event.verb = response ? Verb::auth_response : parse_verb(line);
  mask(event.text, offset, response ? secret_in(line) : secret_of(line, event.verb));
  if (!complete && !response && may_be_auth(line)) event.verb = Verb::auth;
  if (event.verb != Verb::auth && event.verb != Verb::auth_response && event.verb != Verb::none &&
      event.verb != Verb::unknown)
    auth_tail = false;
  event.phase = phase_of_verb(event.verb);
  const Verb verb = event.verb;
  const int32_t index = push(std::move(event));
  if (complete) follow(verb, line, index);
  return index;
}

void Conversation::State::follow(Verb verb, std::string_view line, int32_t index) {
  Owed owes{Owed::To::command, index, -1, -1};
  switch (verb) {
    case Verb::auth_response:
      owes.to = challenge || auth_pending() ? Owed::To::auth_response : Owed::To::command;
      challenge = false;
      break;
    case Verb::auth:
      owes.to = Owed::To::auth;
      break;
    case Verb::none:
      owes.to = Owed::To::blank_line;
      break;
    case Verb::ehlo:
    case Verb::helo:
    case Verb::lhlo:
    case Verb::rset:
      withdraw();
      break;
    case Verb::quit:
      withdraw();
      quit_sent = true;
      break;
    case Verb::mail:
      begin_message(line, index);
      owes.message = message;
      break;
    case Verb::rcpt:
      begin_message_without_mail(index);
      owes.message = message;
      if (message >= 0 && index >= 0) {
        auto& recipients = messages[static_cast<size_t>(message)].recipients;
        recipients.push_back({parse_path(line).substr(0, kMaxAddress), index, -1, 0});
        owes.recipient = static_cast<int32_t>(recipients.size()) - 1;
      }
      break;
    case Verb::data:
      begin_message_without_mail(index);
      owes.to = Owed::To::data;
      owes.message = message;
      if (message >= 0) messages[static_cast<size_t>(message)].data = index;
      mode = Mode::await_data;
      break;
    case Verb::bdat:
      begin_chunk(line, index, owes);
      break;
    case Verb::starttls:
      owes.to = Owed::To::starttls;
      mode = Mode::await_starttls;
      break;
    default:
      if (starts_with_nocase(line, "AUTH=")) owes.to = Owed::To::auth;
      break;
  }
  owed.push_back(owes);
}

void Conversation::State::begin_message(std::string_view line, int32_t index) {
  withdraw();
  if (index < 0) return;
  Message& m = open_message();
  m.mail = index;
  m.mail_from = parse_path(line).substr(0, kMaxAddress);
  m.size_declared = parse_size_parameter(line);
}

void Conversation::State::begin_message_without_mail(int32_t index) {
  if (message < 0 && index >= 0) open_message();
}

Message& Conversation::State::open_message() {
  messages.emplace_back();
  message = static_cast<int32_t>(messages.size()) - 1;
  body_seen = 0;
  body_cut = false;
  return messages.back();
}

void Conversation::State::withdraw() {
  if (message >= 0 && messages[static_cast<size_t>(message)].data < 0)
    messages[static_cast<size_t>(message)].withdrawn = true;
  message = -1;
}

void Conversation::State::begin_chunk(std::string_view line, int32_t index, Owed& owes) {
  const std::optional<BdatCommand> bdat = parse_bdat(line);
  if (bdat) begin_message_without_mail(index);
  owes.message = message;
  if (message >= 0) {
    Message& m = messages[static_cast<size_t>(message)];
    if (m.data < 0) m.data = index;
    if (bdat) m.bdat = true;
  }
  if (!bdat) return;  // the gateway will refuse it, and no chunk can be told from commands
  owes.to = bdat->last ? Owed::To::bdat_last : Owed::To::bdat;
  chunk_left = bdat->size;
  chunk_last = bdat->last;
  if (chunk_left > 0)
    mode = Mode::chunk;
  else if (chunk_last)
    end_message_body();
}

}  // namespace smtpscope
