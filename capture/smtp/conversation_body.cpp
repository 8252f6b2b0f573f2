// Message bodies: DATA up to its dot line, BDAT by its count, what the body policy leaves out of them, and ends that
// only the gateway saw.
#include "capture/smtp/conversation_state.h"

namespace smtpscope {

void Conversation::State::open_body_event(uint64_t offset, int64_t at_us) {
  Event event;
  event.kind = Event::Kind::body;
  event.from = From::sender;
  event.phase = Phase::body;
  event.complete = false;
  event.offset = offset;
  event.at_us = event.end_us = at_us;
  body_event = push(std::move(event));
  begin_message_without_mail(body_event);  // a body that nothing announced: the beginning of a capture is missing
  if (message < 0) return;
  Message& m = messages[static_cast<size_t>(message)];
  if (m.body < 0 || !m.bdat) {
    m.body = body_event;
    digest.restart();
  }
  for (Owed& o : owed)
    if (o.to == Owed::To::body && o.event < 0) {
      o.event = body_event;
      o.message = message;
    }
}

uint64_t Conversation::State::keep_limit() const {
  if (policy.body == Body::none) return 0;
  if (policy.body == Body::headers) {
    // The header ends at its blank line; until that came, all is header (and `limit` bounds it).
    const std::optional<uint64_t> end = scanner ? scanner->header_end() : std::nullopt;
    const uint64_t header = end ? *end - scanner->start() : UINT64_MAX;
    return policy.limit == 0 ? header : std::min(policy.limit, header);
  }
  return policy.limit == 0 ? UINT64_MAX : policy.limit;
}

void Conversation::State::account_body(uint64_t offset, std::string_view bytes, uint64_t safe) {
  const uint64_t limit = keep_limit();
  const uint64_t begin = offset - body_seen;  // where this message's body would begin, were it in one piece
  const uint64_t keep_to = limit > UINT64_MAX - begin ? UINT64_MAX : begin + limit;
  const uint64_t end = offset + bytes.size();
  const uint64_t cut_from = std::max({keep_to, omitted_to, body_start_});
  if (safe > cut_from) {
    add_omission(cut_from, safe - cut_from);
    body_cut = true;
    stop_retaining();  // of what is left out, no commands can be read
  }
  // The final dot line is never left out, so a little more than the limit may be whole.
  const uint64_t known_to = limit == 0 || keep_to > UINT64_MAX - 5 ? keep_to : keep_to + 5;
  digest.feed(bytes.substr(0, std::min<uint64_t>(known_to > offset ? known_to - offset : 0, bytes.size())));
  body_seen += end - offset;
}

void Conversation::State::add_omission(uint64_t offset, uint64_t length) {
  if (!omissions.empty() && omissions.back().offset + omissions.back().length == offset)
    omissions.back().length += length;
  else
    omissions.push_back({offset, length});
  omitted_to = offset + length;
}

size_t Conversation::State::read_body(std::string_view bytes, uint64_t offset, int64_t at_us) {
  if (!scanner) {
    scanner = std::make_unique<BodyScanner>(offset);
    body_start_ = omitted_to = offset;
    body_seen = 0;
    body_cut = false;
    open_body_event(offset, at_us);
  }
  const size_t n = scanner->feed(bytes);
  account_body(offset, bytes.substr(0, n), scanner->safe());
  if (body_event >= 0) {
    Event& event = events[static_cast<size_t>(body_event)];
    event.end_us = at_us;
    event.bytes = scanner->offset() - event.offset;
  }
  if (scanner->ended()) {
    finish_body(true);
    return n;
  }
  retain_behind_look_alike(bytes.substr(0, n), offset, at_us);
  return n;
}

void Conversation::State::retain_behind_look_alike(std::string_view bytes, uint64_t offset, int64_t at_us) {
  const std::optional<uint64_t> end = scanner->look_alike();
  if (!end || body_cut || retained.size() > kMaxRetained) return;
  const uint64_t from = retaining ? offset : std::max(*end, offset);
  retaining = true;
  if (from > offset + bytes.size()) return;
  retained_marks.push_back({from, at_us});
  retained.append(bytes.substr(from - offset));
}

void Conversation::State::stop_retaining() {
  retaining = false;
  retained.clear();
  retained.shrink_to_fit();
  retained_marks.clear();
}

void Conversation::State::finish_body(bool ended) {
  Event* event = body_event >= 0 ? &events[static_cast<size_t>(body_event)] : nullptr;
  if (event != nullptr) {
    event->complete = ended;
    event->lines = body_cut ? 0 : scanner->lines();
    event->text = digest.head();
    event->bare_lf = !body_cut && scanner->oddities().bare_lf.count > 0;
    if (ended && !body_cut) event->sha256 = digest.hex(scanner->content_length());
  }
  if (message >= 0) {
    Message& m = messages[static_cast<size_t>(message)];
    // An end that was not seen is a dot line all the same.
    const uint64_t unseen = ended && !scanner->ended() ? std::min<uint64_t>(3, scanner->content_length()) : 0;
    m.bytes = scanner->content_length() - unseen;
    m.ended = ended;
    if (event != nullptr) m.sha256 = event->sha256;
    if (!body_cut) m.odd = scanner->oddities();
  }
  leave_body();
}

void Conversation::State::leave_body() {
  scanner.reset();
  body_event = -1;
  body_hole_end = 0;
  stop_retaining();
  mode = Mode::command;
  message = -1;
}

void Conversation::State::look_at_chunk(uint64_t offset, std::string_view bytes) {
  if (message < 0 || body_cut) return;
  BodyOddities& odd = messages[static_cast<size_t>(message)].odd;
  if (const auto zeros = static_cast<uint64_t>(std::count(bytes.begin(), bytes.end(), '\0')); zeros > 0) {
    if (odd.nul.count == 0) odd.nul.first = offset + bytes.find('\0');
    odd.nul.count += zeros;
  }
  if (odd.eight_bit.count > 0) return;
  const auto high =
      std::find_if(bytes.begin(), bytes.end(), [](char c) { return (static_cast<uint8_t>(c) & 0x80U) != 0; });
  if (high != bytes.end()) odd.eight_bit = {1, offset + static_cast<uint64_t>(high - bytes.begin())};
}

size_t Conversation::State::read_chunk(std::string_view bytes, uint64_t offset, int64_t at_us) {
  if (body_event < 0) {
    body_start_ = omitted_to = offset;
    if (message >= 0 && messages[static_cast<size_t>(message)].body < 0) body_seen = 0, body_cut = false;
    open_body_event(offset, at_us);
  }
  const size_t n = std::min<uint64_t>(bytes.size(), chunk_left);
  account_body(offset, bytes.substr(0, n), offset + n);
  look_at_chunk(offset, bytes.substr(0, n));
  chunk_left -= n;
  Event* event = body_event >= 0 ? &events[static_cast<size_t>(body_event)] : nullptr;
  if (event != nullptr) {
    event->end_us = at_us;
    event->bytes += n;
    if (!body_cut)
      event->lines +=
          static_cast<uint64_t>(std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n), '\n'));
  }
  if (chunk_left == 0) end_chunk();
  return n;
}

void Conversation::State::end_chunk() {
  if (body_event >= 0) {
    Event& event = events[static_cast<size_t>(body_event)];
    event.complete = true;
    event.text = digest.head();
    if (body_cut) event.lines = 0;
  }
  const int32_t ended_event = body_event;
  body_event = -1;
  mode = Mode::command;
  if (message >= 0) messages[static_cast<size_t>(message)].bytes = body_seen;
  if (chunk_last) {
    end_message_body();
    if (ended_event >= 0 && !messages.empty()) events[static_cast<size_t>(ended_event)].sha256 = messages.back().sha256;
  }
}

void Conversation::State::end_message_body() {
  if (message < 0) return;
  Message& m = messages[static_cast<size_t>(message)];
  m.ended = true;
  if (body_cut) m.odd = {};
  m.bytes = m.body >= 0 ? body_seen : 0;
  if (m.body >= 0 && !body_cut) m.sha256 = digest.hex(m.bytes);
  message = -1;
}

}  // namespace smtpscope
