// Events, phases, and the streams that feed all else; the public face.
#include "capture/smtp/conversation_state.h"

namespace smtpscope {

int32_t Conversation::State::push(Event event) {
  // Closes and notes are few and always told; the cap is for what a peer can make without end.
  if (events.size() >= kMaxEvents && event.kind != Event::Kind::close && event.kind != Event::Kind::note) {
    ++dropped;
    return -1;
  }
  const size_t allowed = std::min(event.kind == Event::Kind::reply ? kMaxReplyText : kMaxEventText, text_left);
  if (event.text.size() > allowed) {
    event.text.resize(allowed);
    event.truncated = true;
  }
  text_left -= event.text.size();
  events.push_back(std::move(event));
  return static_cast<int32_t>(events.size()) - 1;
}

bool Conversation::State::auth_pending() const { return challenge || auth_unclear || owed.awaits_auth(); }

Phase Conversation::State::here() const {
  if (!gateway_reached) return Phase::connect;
  if (!banner_done) return Phase::banner;
  if (mode == Mode::tls) return Phase::tls;
  if (challenge) return Phase::auth;
  if (!owed.empty()) {
    const Owed& first = owed.front();
    if (first.to == Owed::To::body) return mode == Mode::body ? Phase::body : Phase::end_of_data;
    if (first.to == Owed::To::bdat || first.to == Owed::To::bdat_last)
      return mode == Mode::chunk ? Phase::body : first.to == Owed::To::bdat ? Phase::body : Phase::end_of_data;
    if (first.event >= 0) return events[static_cast<size_t>(first.event)].phase;
  }
  if (mode == Mode::body || mode == Mode::chunk) return Phase::body;
  if (quit_sent) return Phase::quit;
  return between_commands();
}

Phase Conversation::State::between_commands() const {
  if (tls_may_start) return Phase::starttls;
  if (!helo_done) return Phase::helo;
  if (message < 0) return Phase::idle;
  const Message& m = messages[static_cast<size_t>(message)];
  if (m.bdat) return Phase::body;
  const bool accepted = std::any_of(m.recipients.begin(), m.recipients.end(),
                                    [](const Recipient& r) { return r.code >= 200 && r.code < 300; });
  return accepted ? Phase::data : Phase::rcpt;
}

Phase Conversation::State::phase_of_verb(Verb verb) const {
  switch (verb) {
    case Verb::ehlo:
    case Verb::helo:
    case Verb::lhlo:
      return Phase::helo;
    case Verb::mail:
      return Phase::mail;
    case Verb::rcpt:
      return Phase::rcpt;
    case Verb::data:
    case Verb::bdat:
      return Phase::data;
    case Verb::auth:
    case Verb::auth_response:
      return Phase::auth;
    case Verb::starttls:
      return Phase::starttls;
    case Verb::quit:
      return Phase::quit;
    default:
      return !banner_done ? Phase::helo : between_commands();
  }
}

bool Conversation::State::holds_secret(std::string_view partial) const {
  return !partial.empty() && (auth_pending() || auth_tail || may_be_auth(partial));
}

bool Conversation::State::may_echo() const {
  return !echoes.empty() || secret_lost || (mode == Mode::command && holds_secret(sender.held));
}

size_t Conversation::State::step_sender(std::string_view bytes, uint64_t offset) {
  const int64_t at_us = sender.time_of(offset);
  switch (mode) {
    case Mode::await_data:
    case Mode::await_starttls:
      if (goes_on_as_granted(bytes)) return step_sender(bytes, offset);
      if (bytes.size() < kMaxHeld) return 0;
      // More than is held for a reply that may never come: what follows DATA is most likely its message.
      mode = mode == Mode::await_data ? Mode::body : Mode::command;
      if (mode == Mode::body) owed.push_back({Owed::To::body, -1, message, -1});
      return step_sender(bytes, offset);
    case Mode::body:
      return read_body_in_time(bytes, offset);
    case Mode::chunk:
      return read_chunk(bytes.substr(0, same_time(sender, bytes.size(), offset)), offset, at_us);
    case Mode::tls: {
      const size_t n = same_time(sender, bytes.size(), offset);
      read_tls(From::sender, bytes.substr(0, n), at_us);
      return n;
    }
    case Mode::long_line: {
      const size_t lf = bytes.find('\n');
      const size_t n = lf == std::string_view::npos ? bytes.size() : lf + 1;
      extend_long_line(n, offset, lf != std::string_view::npos);
      return n;
    }
    case Mode::command:
      break;
  }
  const Fit tls_begins = fits_tls(From::sender, bytes, offset);
  if (tls_begins == Fit::perhaps) return 0;
  if (tls_begins == Fit::yes) {
    start_tls(From::sender, offset);
    return step_sender(bytes, offset);
  }
  if (sender.at_gap && !find_step(sender, fits_command(bytes))) return 0;
  if (sender.lost_sync) return skip_line(From::sender, bytes, offset);
  const size_t lf = bytes.substr(0, kMaxHeld).find('\n');
  if (lf == std::string_view::npos) {
    if (bytes.size() < kMaxHeld) return 0;
    begin_long_line(bytes.substr(0, kMaxHeld), offset, at_us);
    return kMaxHeld;
  }
  const size_t length = lf > 0 && bytes[lf - 1] == '\r' ? lf - 1 : lf;
  sender.position = offset + lf + 1;
  command(bytes.substr(0, length), offset, lf + 1, at_us, sender.time_of(offset + lf), true);
  return lf + 1;
}

size_t Conversation::State::same_time(const Stream& stream, size_t size, uint64_t offset) {
  for (const Stream::Mark& m : stream.marks)
    if (m.offset > offset) return std::min<uint64_t>(size, m.offset - offset);
  return size;
}

size_t Conversation::State::read_body_in_time(std::string_view bytes, uint64_t offset) {
  const size_t n = same_time(sender, bytes.size(), offset);
  return read_body(bytes.substr(0, n), offset, sender.time_of(offset));
}

void Conversation::State::begin_long_line(std::string_view bytes, uint64_t offset, int64_t at_us) {
  const size_t before = secrets.size();
  sender.position = offset + bytes.size();
  long_line_event = command(bytes, offset, bytes.size(), at_us, sender.time_of(sender.position - 1), false);
  long_line_secret = secrets.size() > before;
  mode = Mode::long_line;
  // It is owed a reply like any other; what it would start is not followed.
  owed.push_back({long_line_secret ? Owed::To::auth : Owed::To::command, long_line_event, -1, -1});
}

void Conversation::State::extend_long_line(size_t n, uint64_t offset, bool ended) {
  if (long_line_secret) secrets.push_back({offset, n});
  if (long_line_event >= 0) {
    Event& event = events[static_cast<size_t>(long_line_event)];
    event.bytes += n;
    event.end_us = sender.time_of(offset);
    event.truncated = true;
    event.complete = ended;
  }
  if (ended) mode = Mode::command;
}

void Conversation::State::read_sender() {
  if (reading_sender) return;  // a reply that was just handled unblocked it; the outer loop goes on
  reading_sender = true;
  std::string bytes = std::move(sender.held);
  sender.held.clear();
  size_t at = consume_sender(bytes);
  bytes.erase(0, at);
  sender.held = std::move(bytes);
  reading_sender = false;
}

size_t Conversation::State::consume_sender(std::string_view bytes) {
  size_t at = 0;
  const uint64_t base = sender.position;
  while (at < bytes.size()) {
    const size_t n = step_sender(bytes.substr(at), base + at);
    if (n == 0) break;
    at += n;
    sender.position = base + at;
    sender.forget_marks_before(sender.position);
  }
  return at;
}

size_t Conversation::State::step_gateway(std::string_view bytes, uint64_t offset) {
  const int64_t at_us = gateway.time_of(offset);
  if (gateway_tls) {
    const size_t n = same_time(gateway, bytes.size(), offset);
    read_tls(From::gateway, bytes.substr(0, n), at_us);
    return n;
  }
  const Fit tls_begins = fits_tls(From::gateway, bytes, offset);
  if (tls_begins == Fit::perhaps) return 0;
  if (tls_begins == Fit::yes) {
    start_tls(From::gateway, offset);
    return step_gateway(bytes, offset);
  }
  if (gateway.at_gap && !find_step(gateway, fits_reply(bytes))) return 0;
  if (gateway.lost_sync) return skip_line(From::gateway, bytes, offset);
  const size_t lf = bytes.substr(0, kMaxHeld).find('\n');
  if (lf == std::string_view::npos) {
    if (bytes.size() < kMaxHeld) return 0;
    gateway.lost_sync = true;  // a reply line of this size has no end worth waiting for
    reply_end = offset + kMaxHeld;
    reply_line(bytes.substr(0, kMaxHeld), offset, kMaxHeld, at_us, gateway.time_of(offset + kMaxHeld - 1),
               LineEnd::none);
    return kMaxHeld;
  }
  const size_t length = lf > 0 && bytes[lf - 1] == '\r' ? lf - 1 : lf;
  reply_end = gateway.position = offset + lf + 1;
  reply_line(bytes.substr(0, length), offset, lf + 1, at_us, gateway.time_of(offset + lf), LineEnd::seen);
  return lf + 1;
}

size_t Conversation::State::consume_gateway(std::string_view bytes) {
  size_t at = 0;
  const uint64_t base = gateway.position;
  while (at < bytes.size()) {
    const size_t n = step_gateway(bytes.substr(at), base + at);
    if (n == 0) break;
    at += n;
    gateway.position = base + at;
    gateway.forget_marks_before(gateway.position);
  }
  return at;
}

void Conversation::State::chunk(const Chunk& c) {
  Stream& stream = c.from == From::sender ? sender : gateway;
  std::string_view bytes = c.bytes;
  if (bytes.empty()) return;
  if (c.from == From::sender) end_cut_reply();
  if (stream.held.empty()) {
    stream.marks.clear();
    stream.position = stream.end;
  }
  stream.mark(stream.end, c.at_us);
  stream.end += bytes.size();
  const auto consume = [&](std::string_view all) {
    return c.from == From::sender ? consume_sender(all) : consume_gateway(all);
  };
  if (stream.held.empty()) {
    if (c.from == From::sender) reading_sender = true;
    const size_t n = consume(bytes);
    reading_sender = false;
    stream.held.assign(bytes.substr(n));
  } else {
    stream.held.append(bytes);
    if (c.from == From::sender) {
      read_sender();
    } else {
      const size_t n = consume(stream.held);
      stream.held.erase(0, n);
    }
  }
  if (stream.held.empty() && stream.held.capacity() > 1024) stream.held.shrink_to_fit();
}

void Conversation::State::finish() {
  if (std::exchange(finished, true)) return;
  // What still waits for the reply to DATA is a message if it looks like one, else commands, which may wait again.
  while (mode == Mode::await_data || mode == Mode::await_starttls) {
    const bool message_like = mode == Mode::await_data && parse_verb(first_line(sender.held)) == Verb::unknown;
    if (message_like) owed.push_back({Owed::To::body, -1, message, -1});
    mode = message_like ? Mode::body : Mode::command;
    read_sender();
  }
  if (!sender.held.empty() && mode == Mode::command) {
    const uint64_t offset = sender.position;
    const std::string rest = std::move(sender.held);
    sender.held.clear();
    if (sender.lost_sync)
      skip_line(From::sender, rest, offset);
    else
      command(rest, offset, rest.size(), sender.time_of(offset), sender.time_of(offset + rest.size() - 1), false);
    sender.position = sender.end;
  }
  if (!gateway.held.empty() && !gateway_tls) {
    const uint64_t offset = gateway.position;
    const std::string rest = std::move(gateway.held);
    gateway.held.clear();
    gateway.position = reply_end = gateway.end;
    if (gateway.lost_sync)
      skip_line(From::gateway, rest, offset);
    else
      reply_line(rest, offset, rest.size(), gateway.time_of(offset), gateway.time_of(offset + rest.size() - 1),
                 LineEnd::none);
  }
  finish_reply(false);
  if (scanner) finish_body(false);
  if (body_event >= 0) {  // a chunk that was not sent whole
    Event& event = events[static_cast<size_t>(body_event)];
    event.text = digest.head();
    if (body_cut) event.lines = 0;
    if (message >= 0) messages[static_cast<size_t>(message)].bytes = body_seen;
    body_event = -1;
  }
}

size_t Conversation::State::memory() const {
  // Addresses are not counted among the text. The last message may still grow, those before it do not.
  for (; measured.message < messages.size(); ++measured.message) {
    const std::vector<Recipient>& recipients = messages[measured.message].recipients;
    for (; measured.recipient < recipients.size(); ++measured.recipient)
      measured.bytes += sizeof(Recipient) + recipients[measured.recipient].address.capacity();
    if (measured.message + 1 == messages.size()) break;
    measured.bytes +=
        sizeof(Message) + (messages[measured.message].mail_from ? messages[measured.message].mail_from->capacity() : 0);
    measured.recipient = 0;
  }
  size_t bytes = sizeof *this + measured.bytes + owed.memory() + retained.capacity() + reply.text.capacity();
  bytes += events.capacity() * sizeof(Event) + (kMaxTotalText - text_left);
  for (const Stream* stream : {&sender, &gateway})
    bytes += stream->held.capacity() + stream->marks.capacity() * sizeof(Stream::Mark);
  for (const auto* tls_reader : {sender_tls.get(), gateway_tls.get()})
    if (tls_reader != nullptr) bytes += tls_reader->memory();
  return bytes;
}

std::string_view Conversation::State::first_line(std::string_view text) {
  return text.substr(0, text.find_first_of("\r\n"));
}

uint64_t Conversation::State::stable_sender() const {
  if (mode == Mode::await_data || mode == Mode::await_starttls) return sender.position;
  if (mode == Mode::body && scanner && keep_limit() != UINT64_MAX) {
    // Behind the kept part, what may belong to the final dot line waits.
    const uint64_t keep_to =
        keep_limit() > UINT64_MAX - scanner->start() ? UINT64_MAX : scanner->start() + keep_limit();
    return std::min(sender.end, std::max(std::min(keep_to, sender.end), scanner->safe()));
  }
  // What is right behind lost bytes may be the rest of a secret.
  if (mode == Mode::command && (sender.lost_sync || holds_secret(sender.held))) return sender.position;
  return sender.end;
}

Conversation::Conversation(Policy policy) : s_(std::make_unique<State>()) {
  s_->policy = policy;
  s_->owed.push_back({Owed::To::banner, -1, -1, -1});
}
Conversation::~Conversation() = default;
Conversation::Conversation(Conversation&&) noexcept = default;
Conversation& Conversation::operator=(Conversation&&) noexcept = default;

void Conversation::open(int64_t at_us) {
  Event event;
  event.kind = Event::Kind::connect;
  event.from = From::sender;
  event.at_us = event.end_us = at_us;
  s_->push(std::move(event));
}

void Conversation::gateway_connected() { s_->gateway_reached = true; }

void Conversation::begin_late(bool in_message) {
  s_->begun_late = s_->gateway_reached = s_->banner_done = s_->helo_done = s_->auth_tail = true;
  s_->owed = {};
  if (!in_message) return;
  s_->mode = Mode::body;
  s_->owed.push_back({Owed::To::body, -1, -1, -1});
}

std::optional<uint64_t> Conversation::message_missing() const {
  if (s_->owed.size() != 1 || s_->retaining) return std::nullopt;  // behind a look-alike of its end, it may be whole
  const Owed::To to = s_->owed.front().to;
  if (to == Owed::To::body && s_->mode == Mode::body) return 0;
  if ((to == Owed::To::bdat || to == Owed::To::bdat_last) && s_->mode == Mode::chunk) return s_->chunk_left;
  return std::nullopt;
}

void Conversation::note(int64_t at_us, Phase phase, std::string text) {
  Event event;
  event.kind = Event::Kind::note;
  event.from = From::proxy;
  event.phase = phase;
  event.at_us = event.end_us = at_us;
  event.text = std::move(text);
  s_->push(std::move(event));
}

void Conversation::chunk(const Chunk& chunk) {
  s_->gateway_reached = s_->gateway_reached || chunk.from == From::gateway;
  s_->chunk(chunk);
}

void Conversation::hole(From from, int64_t at_us, uint64_t length, bool of_body) {
  s_->hole(from, at_us, length, of_body);
}

void Conversation::close(From from, CloseHow how, int64_t at_us) {
  s_->end_cut_reply();
  Event event;
  event.kind = Event::Kind::close;
  event.from = from;
  event.phase = s_->here();
  event.how = how;
  event.offset = from == From::sender ? s_->sender.end : from == From::gateway ? s_->gateway.end : 0;
  event.at_us = event.end_us = at_us;
  s_->push(std::move(event));
}

void Conversation::finish() { s_->finish(); }

const std::vector<Event>& Conversation::events() const { return s_->events; }
const std::vector<Message>& Conversation::messages() const { return s_->messages; }
const std::optional<TlsFacts>& Conversation::tls() const { return s_->tls; }
std::optional<uint64_t> Conversation::tls_offset(From from) const {
  return from == From::sender ? s_->sender_tls_at : s_->gateway_tls_at;
}

uint64_t Conversation::stable(From from) const {
  if (from == From::sender) return s_->stable_sender();
  return s_->may_echo() && !s_->gateway_tls ? s_->gateway.position : s_->gateway.end;
}

std::vector<ByteRange> Conversation::take_secrets(From from) {
  return std::exchange(from == From::sender ? s_->secrets : s_->gateway_secrets, {});
}
std::vector<ByteRange> Conversation::take_omissions() { return std::exchange(s_->omissions, {}); }
size_t Conversation::memory() const { return s_->memory(); }
uint64_t Conversation::dropped_events() const { return s_->dropped; }
std::vector<Event> Conversation::release_events() { return std::move(s_->events); }
std::vector<Message> Conversation::release_messages() { return std::move(s_->messages); }

}  // namespace smtpscope
