// How it works. Each side is a stream whose bytes are consumed as soon as they are understood; what cannot be
// understood yet (a partial line, what follows DATA or STARTTLS before their reply) is held, with the times of its
// chunks. Commands wait in a queue for their replies, which come in order (RFC 5321 4.1.4, RFC 2920); a body is an
// entry of that queue like a command.
#include "capture/smtp/conversation.h"

#include <algorithm>
#include <utility>

#include "capture/smtp/auth.h"
#include "capture/smtp/body_digest.h"
#include "capture/smtp/body_scanner.h"
#include "capture/smtp/syntax.h"
#include "capture/smtp/tls_reader.h"

namespace smtpscope {
namespace {

constexpr size_t kMaxRetained = 64 * 1024;  // bytes kept behind a look-alike of the end of data
constexpr size_t kMaxTotalText = 4 * 1024 * 1024;

/// One side's stream: what has been consumed, what is held, and when the held bytes came.
struct Stream {
  struct Mark {
    uint64_t offset;
    int64_t at_us;
  };
  std::string held;
  uint64_t position = 0;  ///< offset of the first byte not consumed
  uint64_t end = 0;       ///< offset behind the last byte seen
  std::vector<Mark> marks;
  bool lost_sync = false;  ///< bytes were lost; the rest of the line is skipped

  void mark(uint64_t offset, int64_t at_us) {
    if (marks.empty() || marks.back().at_us != at_us) marks.push_back({offset, at_us});
  }
  int64_t time_of(uint64_t offset) const {
    int64_t at_us = marks.empty() ? 0 : marks.front().at_us;
    for (const Mark& m : marks)
      if (m.offset <= offset) at_us = m.at_us;
    return at_us;
  }
  void forget_marks_before(uint64_t offset) {
    size_t keep = 0;
    while (keep + 1 < marks.size() && marks[keep + 1].offset <= offset) ++keep;
    if (keep > 0) marks.erase(marks.begin(), marks.begin() + static_cast<std::ptrdiff_t>(keep));
  }
};

/// Something that the gateway owes a reply to.
struct Owed {
  enum class To : uint8_t { banner, command, data, body, bdat, bdat_last, auth, auth_response, starttls, blank_line };
  To to;
  int32_t event = -1;
  int32_t message = -1;
  int32_t recipient = -1;
};

/// First in, first out; what is owed for nothing but an empty promise is bounded.
class OwedQueue {
 public:
  bool empty() const { return head_ == items_.size(); }
  size_t size() const { return items_.size() - head_; }
  Owed& front() { return items_[head_]; }
  const Owed& front() const { return items_[head_]; }
  auto begin() { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() { return items_.end(); }
  auto begin() const { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() const { return items_.end(); }
  void push_back(const Owed& owed) {
    if (size() < kMaxOwed) items_.push_back(owed);
  }
  void push_front(const Owed& owed) {
    if (head_ > 0)
      items_[--head_] = owed;
    else
      items_.insert(items_.begin(), owed);
  }
  void pop_front() {
    if (++head_ == items_.size()) {
      items_.clear();
      head_ = 0;
    }
  }

 private:
  static constexpr size_t kMaxOwed = 65'536;
  std::vector<Owed> items_;
  size_t head_ = 0;
};

/// What the sender's next bytes are.
enum class Mode : uint8_t { command, long_line, await_data, body, chunk, await_starttls, tls };

bool tls_record_starts(std::string_view bytes) { return bytes.size() >= 2 && bytes[0] == 0x16 && bytes[1] == 0x03; }

}  // namespace

struct Conversation::State {
  Policy policy;
  std::vector<Event> events;
  std::vector<Message> messages;
  uint64_t dropped = 0;
  size_t text_left = kMaxTotalText;

  Stream sender, gateway;
  Mode mode = Mode::command;
  OwedQueue owed;
  bool gateway_reached = false;
  bool banner_done = false, helo_done = false, quit_sent = false;
  int32_t message = -1;  ///< open transaction

  // the body now sent
  std::unique_ptr<BodyScanner> scanner;
  BodyDigest digest;
  int32_t body_event = -1;
  uint64_t chunk_left = 0;
  bool chunk_last = false;
  uint64_t body_seen = 0, body_kept = 0;  ///< of this message, all BDAT chunks together
  bool body_cut = false;
  std::string retained;  ///< bytes behind the first look-alike
  std::vector<Stream::Mark> retained_marks;
  bool retaining = false;
  std::vector<ByteRange> omissions;
  uint64_t omitted_to = 0;

  // AUTH
  bool challenge = false;  ///< a 334 waits for its response
  bool auth_tail = false;  ///< AUTH was refused; what follows may still be credentials
  SecretEchoes echoes;
  std::vector<ByteRange> secrets, gateway_secrets;

  // the reply now being read
  int32_t reply_code = -1;
  Event reply;
  bool reply_open = false;

  std::optional<TlsFacts> tls;
  std::optional<uint64_t> sender_tls_at, gateway_tls_at;
  std::unique_ptr<TlsReader> sender_tls, gateway_tls;
  int32_t sender_tls_run = -1, gateway_tls_run = -1;  ///< the event that counts a run of encrypted records
  bool tls_may_start = false;                         ///< STARTTLS was granted

  // ---------------------------------------------------------------- events

  int32_t push(Event event) {
    if (events.size() >= kMaxEvents) {
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

  bool auth_pending() const {
    return challenge || std::any_of(owed.begin(), owed.end(), [](const Owed& o) {
             return o.to == Owed::To::auth || o.to == Owed::To::auth_response;
           });
  }

  /// The phase the session is in: that of the oldest thing owed, else what the sender is expected to do next.
  Phase here() const {
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

  /// The phase in which a command is awaited.
  Phase between_commands() const {
    if (tls_may_start) return Phase::starttls;
    if (!helo_done) return Phase::helo;
    if (message < 0) return Phase::idle;
    const Message& m = messages[static_cast<size_t>(message)];
    if (m.bdat) return Phase::body;
    const bool accepted = std::any_of(m.recipients.begin(), m.recipients.end(),
                                      [](const Recipient& r) { return r.code >= 200 && r.code < 300; });
    return accepted ? Phase::data : Phase::rcpt;
  }

  Phase phase_of_verb(Verb verb) const {
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

  // ---------------------------------------------------------------- sender

  /// Covers [offset, offset + range.length) and remembers it, to find echoes.
  void mask(std::string& text, uint64_t line_offset, ByteRange range) {
    if (range.length == 0) return;
    secrets.push_back({line_offset + range.offset, range.length});
    echoes.remember(std::string_view(text).substr(range.offset, range.length));
    std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(range.offset), range.length, '*');
  }

  /// One command line (or what there is of it); `wire` counts its line end too.
  int32_t command(std::string_view line, uint64_t offset, uint64_t wire, int64_t at_us, int64_t end_us, bool complete) {
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
    const bool pending = auth_pending();
    const bool response = challenge || ((pending || auth_tail) && looks_like_response(line));
    event.verb = response ? Verb::auth_response : parse_verb(line);
    if (!complete && !response && may_be_auth(line)) event.verb = Verb::auth;
    if (response) {
      if (line != "*") mask(event.text, offset, {0, line.size()});
    } else if (event.verb == Verb::auth || (event.verb == Verb::unknown && may_be_auth(line))) {
      mask(event.text, offset, secret_of_auth_line(line));
    } else if (event.verb != Verb::none && event.verb != Verb::unknown) {
      auth_tail = false;
    }
    event.phase = phase_of_verb(event.verb);
    const Verb verb = event.verb;
    const int32_t index = push(std::move(event));
    if (complete) follow(verb, line, index);
    return index;
  }

  /// What a command does to the session.
  void follow(Verb verb, std::string_view line, int32_t index) {
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
        owes.message = message;
        if (message >= 0 && index >= 0) {
          auto& recipients = messages[static_cast<size_t>(message)].recipients;
          recipients.push_back({parse_path(line), index, -1, 0});
          owes.recipient = static_cast<int32_t>(recipients.size()) - 1;
        }
        break;
      case Verb::data:
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
        break;
    }
    owed.push_back(owes);
  }

  void begin_message(std::string_view line, int32_t index) {
    message = -1;
    if (index < 0) return;
    Message m;
    m.mail = index;
    m.mail_from = parse_path(line);
    m.size_declared = parse_size_parameter(line);
    messages.push_back(std::move(m));
    message = static_cast<int32_t>(messages.size()) - 1;
    body_seen = body_kept = 0;
    body_cut = false;
  }

  /// The sender ends the open transaction: given up, unless it had got as far as DATA.
  void withdraw() {
    if (message >= 0 && messages[static_cast<size_t>(message)].data < 0)
      messages[static_cast<size_t>(message)].withdrawn = true;
    message = -1;
  }

  void begin_chunk(std::string_view line, int32_t index, Owed& owes) {
    const std::optional<BdatCommand> bdat = parse_bdat(line);
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

  // ---------------------------------------------------------------- bodies

  void open_body_event(uint64_t offset, int64_t at_us) {
    Event event;
    event.kind = Event::Kind::body;
    event.from = From::sender;
    event.phase = Phase::body;
    event.complete = false;
    event.offset = offset;
    event.at_us = event.end_us = at_us;
    body_event = push(std::move(event));
    if (message < 0 && body_event >= 0) {  // a body that no MAIL announced (the beginning of a capture is missing)
      messages.emplace_back();
      message = static_cast<int32_t>(messages.size()) - 1;
      body_seen = body_kept = 0;
    }
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

  uint64_t keep_limit() const {
    if (policy.body == Body::none) return 0;
    if (policy.body == Body::headers) {
      // The header ends at its blank line; until that came, all is header (and `limit` bounds it).
      const std::optional<uint64_t> end = scanner ? scanner->header_end() : std::nullopt;
      const uint64_t header = end ? *end - scanner->start() : UINT64_MAX;
      return policy.limit == 0 ? header : std::min(policy.limit, header);
    }
    return policy.limit == 0 ? UINT64_MAX : policy.limit;
  }

  /// Accounts for the content bytes of [offset, offset + bytes.size()); `safe`: what the policy may leave out by now.
  void account_body(uint64_t offset, std::string_view bytes, uint64_t safe) {
    const uint64_t limit = keep_limit();
    const uint64_t begin = offset - body_seen;  // where this message's body would begin, were it in one piece
    const uint64_t keep_to = limit > UINT64_MAX - begin ? UINT64_MAX : begin + limit;
    const uint64_t end = offset + bytes.size();
    const uint64_t cut_from = std::max({keep_to, omitted_to, body_start_});
    if (safe > cut_from) {
      add_omission(cut_from, safe - cut_from);
      body_cut = true;
    }
    // The final dot line is never left out, so a little more than the limit may be whole.
    const uint64_t known_to = limit == 0 || keep_to > UINT64_MAX - 5 ? keep_to : keep_to + 5;
    digest.feed(bytes.substr(0, std::min<uint64_t>(known_to > offset ? known_to - offset : 0, bytes.size())));
    body_seen += end - offset;
  }
  uint64_t body_start_ = 0;

  void add_omission(uint64_t offset, uint64_t length) {
    if (!omissions.empty() && omissions.back().offset + omissions.back().length == offset)
      omissions.back().length += length;
    else
      omissions.push_back({offset, length});
    omitted_to = offset + length;
  }

  /// Body bytes of DATA. Returns how many were consumed.
  size_t read_body(std::string_view bytes, uint64_t offset, int64_t at_us) {
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

  void retain_behind_look_alike(std::string_view bytes, uint64_t offset, int64_t at_us) {
    const std::optional<uint64_t> end = scanner->look_alike();
    if (!end || body_cut || retained.size() > kMaxRetained) return;
    const uint64_t from = retaining ? offset : std::max(*end, offset);
    retaining = true;
    if (from > offset + bytes.size()) return;
    retained_marks.push_back({from, at_us});
    retained.append(bytes.substr(from - offset));
  }

  void finish_body(bool ended) {
    Event* event = body_event >= 0 ? &events[static_cast<size_t>(body_event)] : nullptr;
    if (event != nullptr) {
      event->complete = ended;
      event->lines = body_cut ? 0 : scanner->lines();
      event->text = digest.head();
      if (ended && !body_cut) event->sha256 = digest.hex(scanner->content_length());
    }
    if (message >= 0) {
      Message& m = messages[static_cast<size_t>(message)];
      m.bytes = scanner->content_length();
      m.ended = ended;
      if (event != nullptr) m.sha256 = event->sha256;
    }
    leave_body();
  }

  void leave_body() {
    scanner.reset();
    body_event = -1;
    retaining = false;
    retained.clear();
    retained.shrink_to_fit();
    retained_marks.clear();
    mode = Mode::command;
    message = -1;
  }

  size_t read_chunk(std::string_view bytes, uint64_t offset, int64_t at_us) {
    if (body_event < 0) {
      body_start_ = omitted_to = offset;
      if (message >= 0 && messages[static_cast<size_t>(message)].body < 0) body_seen = 0, body_cut = false;
      open_body_event(offset, at_us);
    }
    const size_t n = std::min<uint64_t>(bytes.size(), chunk_left);
    account_body(offset, bytes.substr(0, n), offset + n);
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

  void end_chunk() {
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
      if (ended_event >= 0 && !messages.empty())
        events[static_cast<size_t>(ended_event)].sha256 = messages.back().sha256;
    }
  }

  /// BDAT LAST was sent whole.
  void end_message_body() {
    if (message < 0) return;
    Message& m = messages[static_cast<size_t>(message)];
    m.ended = true;
    m.bytes = m.body >= 0 ? body_seen : 0;
    if (m.body >= 0 && !body_cut) m.sha256 = digest.hex(m.bytes);
    message = -1;
  }

  // ---------------------------------------------------------------- TLS

  void start_tls(From from, uint64_t offset) {
    if (!tls) tls.emplace().mode = "implicit";
    auto& reader = from == From::sender ? sender_tls : gateway_tls;
    reader = std::make_unique<TlsReader>(offset);
    auto& at = from == From::sender ? sender_tls_at : gateway_tls_at;
    if (!at) at = offset;
    if (from == From::sender) {
      withdraw();
      mode = Mode::tls;
    }
  }

  void read_tls(From from, std::string_view bytes, int64_t at_us) {
    TlsReader& reader = from == From::sender ? *sender_tls : *gateway_tls;
    int32_t& run = from == From::sender ? sender_tls_run : gateway_tls_run;
    for (TlsRecord& record : reader.feed(bytes)) {
      const bool counted = record.type == TlsRecord::Type::encrypted || record.type == TlsRecord::Type::garbage;
      if (counted && run >= 0 && events[static_cast<size_t>(run)].text == record.text) {
        Event& event = events[static_cast<size_t>(run)];
        event.bytes += record.bytes;
        event.end_us = at_us;
        event.lines += record.type == TlsRecord::Type::encrypted ? 1 : 0;
        continue;
      }
      if (record.is_alert)
        tls->alert = std::string(name(from)) + ": " + record.text.substr(record.text.find_last_of(' ') + 1);
      Event event;
      event.kind = Event::Kind::tls;
      event.from = from;
      event.phase = Phase::tls;
      event.offset = record.offset;
      event.bytes = record.bytes;
      event.at_us = event.end_us = at_us;
      event.lines = record.type == TlsRecord::Type::encrypted ? 1 : 0;
      event.text = std::move(record.text);
      const int32_t index = push(std::move(event));
      run = counted ? index : -1;
    }
    if (from == From::sender) {
      tls->client_version = reader.version();
      tls->sni = reader.sni();
    } else {
      tls->server_version = reader.version();
    }
    // TLS 1.3 sends the end of its handshake as application data too: one record of a side may be all there is to it.
    const uint32_t needed = tls->server_version == "TLS 1.3" ? 2 : 1;
    tls->application_data = sender_tls && gateway_tls && sender_tls->application_records() >= needed &&
                            gateway_tls->application_records() >= needed;
  }

  // ---------------------------------------------------------------- gateway

  void reply_line(std::string_view line, uint64_t offset, uint64_t wire, int64_t at_us, int64_t end_us, bool complete) {
    std::string text(line);
    if (!echoes.empty())
      for (const ByteRange& echo : echoes.find_in(line)) {
        gateway_secrets.push_back({offset + echo.offset, echo.length});
        std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(echo.offset), echo.length, '*');
      }
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
    } else if (reply.text.size() <= kMaxReplyText) {
      reply.text += '\n';
    }
    if (reply.text.size() <= kMaxReplyText) reply.text += text;
    reply.bytes = offset + wire - reply.offset;
    reply.end_us = end_us;
    reply.bare_lf = reply.bare_lf || (complete && wire == line.size() + 1);
    const bool goes_on = parsed.continues || (more_of_same && parsed.code == 0);
    if (!goes_on || !complete) finish_reply(complete);
  }

  void finish_reply(bool complete) {
    if (!reply_open) return;
    reply_open = false;
    reply.complete = complete;
    // A blank line may go unanswered: only a complaint answers it.
    while (owed.size() > 1 && owed.front().to == Owed::To::blank_line && reply.code < 500) owed.pop_front();
    const bool early = owed.empty();
    const Owed owes = early ? Owed{} : owed.front();
    reply.answers = early || owes.to == Owed::To::banner ? -1 : owes.event;
    reply.phase = phase_of_reply(early, owes);
    const uint16_t code = reply.code;
    const int32_t index = push(std::move(reply));
    reply = Event{};
    if (early) return;
    owed.pop_front();
    answered(owes, index, code);
  }

  Phase phase_of_reply(bool early, const Owed& owes) const {
    if (early) return here();
    switch (owes.to) {
      case Owed::To::banner:
        return Phase::banner;
      case Owed::To::body:
        return mode == Mode::body && !retaining ? Phase::body : Phase::end_of_data;
      case Owed::To::bdat:
        return Phase::body;
      case Owed::To::bdat_last:
        return Phase::end_of_data;
      default:
        return owes.event >= 0 ? events[static_cast<size_t>(owes.event)].phase : here();
    }
  }

  /// What a reply does to the session.
  void answered(const Owed& owes, int32_t reply_event, uint16_t code) {
    const bool ok = code >= 200 && code < 300;
    Message* m = owes.message >= 0 ? &messages[static_cast<size_t>(owes.message)] : nullptr;
    const Verb verb = owes.event >= 0 ? events[static_cast<size_t>(owes.event)].verb : Verb::none;
    switch (owes.to) {
      case Owed::To::banner:
        banner_done = true;
        break;
      case Owed::To::command:
        if (ok && (verb == Verb::ehlo || verb == Verb::helo || verb == Verb::lhlo)) {
          helo_done = true;
          tls_may_start = false;  // plain SMTP went on behind STARTTLS (a capture that was decrypted)
        }
        if (verb == Verb::mail && m != nullptr) mail_answered(owes.message, reply_event, code);
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
        if (mode == Mode::body && code != 421) end_at_look_alike();
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
        if (code == 334)
          challenge = owed.empty() || owed.front().to != Owed::To::auth_response;
        else
          auth_tail = !ok;
        break;
      case Owed::To::starttls:
        starttls_answered(code);
        break;
      case Owed::To::blank_line:
        break;
    }
  }

  void settle(int32_t index, int32_t reply_event, bool ok) {
    if (index < 0 || messages[static_cast<size_t>(index)].final_reply >= 0) return;
    Message& m = messages[static_cast<size_t>(index)];
    m.final_reply = reply_event;
    m.accepted = ok;
    if (ok && reply_event >= 0) m.queue_id = parse_queue_id(events[static_cast<size_t>(reply_event)].text);
  }

  /// A MAIL inside a transaction that is refused for that (503) leaves the first one standing.
  void mail_answered(int32_t index, int32_t reply_event, uint16_t code) {
    Message& m = messages[static_cast<size_t>(index)];
    m.mail_reply = reply_event;
    if (code != 503 || index == 0 || index + 1 != static_cast<int32_t>(messages.size()) || m.data >= 0) return;
    Message& first = messages[static_cast<size_t>(index - 1)];
    if (first.withdrawn || first.data >= 0 || first.mail_reply < 0) return;
    const uint16_t first_code = events[static_cast<size_t>(first.mail_reply)].code;
    if (first_code < 200 || first_code >= 300) return;
    const auto shift = static_cast<int32_t>(first.recipients.size());
    for (Owed& o : owed)
      if (o.message == index) {
        o.message = index - 1;
        if (o.recipient >= 0) o.recipient += shift;
      }
    std::move(m.recipients.begin(), m.recipients.end(), std::back_inserter(first.recipients));
    if (message == index) message = index - 1;
    messages.pop_back();
  }

  void data_answered(const Owed& owes, Message* m, int32_t reply_event, uint16_t code) {
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

  /// The gateway answered although CRLF.CRLF has not come: if a look-alike has, it took that for the end.
  void end_at_look_alike() {
    if (!retaining || retained.size() > kMaxRetained) return;
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
      m.bytes = end - scanner->start() - 2;  // without the dot and its LF
      m.ended = true;
    }
    std::string rest = std::move(retained);
    std::vector<Stream::Mark> marks = std::move(retained_marks);
    leave_body();
    sender.position = end;
    sender.held = std::move(rest);
    sender.marks = std::move(marks);
    read_sender();
  }

  void starttls_answered(uint16_t code) {
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
  uint64_t reply_end = 0;  ///< offset behind the reply line now handled

  // ---------------------------------------------------------------- streams

  /// Is this partial line of the sender one that must not be written before it is whole?
  bool holds_secret(std::string_view partial) const {
    return !partial.empty() && (auth_pending() || auth_tail || may_be_auth(partial));
  }

  /// Consumes what can be understood at the front of the sender's bytes; 0: more is needed.
  size_t step_sender(std::string_view bytes, uint64_t offset) {
    const int64_t at_us = sender.time_of(offset);
    switch (mode) {
      case Mode::await_data:
      case Mode::await_starttls:
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
    if ((offset == 0 || tls_may_start) && bytes[0] == 0x16) {
      if (bytes.size() < 2) return 0;
      if (tls_record_starts(bytes)) {
        start_tls(From::sender, offset);
        return step_sender(bytes, offset);
      }
    }
    if (sender.lost_sync) return skip_line(sender, bytes);
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

  /// The rest of a line whose beginning is not known.
  static size_t skip_line(Stream& stream, std::string_view bytes) {
    const size_t lf = bytes.find('\n');
    stream.lost_sync = lf == std::string_view::npos;
    return stream.lost_sync ? bytes.size() : lf + 1;
  }

  /// Bytes from `offset` that arrived at one time, so that events get the times of their own bytes.
  static size_t same_time(const Stream& stream, size_t size, uint64_t offset) {
    for (const Stream::Mark& m : stream.marks)
      if (m.offset > offset) return std::min<uint64_t>(size, m.offset - offset);
    return size;
  }

  size_t read_body_in_time(std::string_view bytes, uint64_t offset) {
    const size_t n = same_time(sender, bytes.size(), offset);
    return read_body(bytes.substr(0, n), offset, sender.time_of(offset));
  }

  bool long_line_secret = false;
  int32_t long_line_event = -1;

  void begin_long_line(std::string_view bytes, uint64_t offset, int64_t at_us) {
    const size_t before = secrets.size();
    sender.position = offset + bytes.size();
    long_line_event = command(bytes, offset, bytes.size(), at_us, sender.time_of(sender.position - 1), false);
    long_line_secret = secrets.size() > before;
    mode = Mode::long_line;
    // It is owed a reply like any other; what it would start is not followed.
    owed.push_back({long_line_secret ? Owed::To::auth : Owed::To::command, long_line_event, -1, -1});
  }

  void extend_long_line(size_t n, uint64_t offset, bool ended) {
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

  void read_sender() {
    if (reading_sender) return;  // a reply that was just handled unblocked it; the outer loop goes on
    reading_sender = true;
    std::string bytes = std::move(sender.held);
    sender.held.clear();
    size_t at = consume_sender(bytes);
    bytes.erase(0, at);
    sender.held = std::move(bytes);
    reading_sender = false;
  }
  bool reading_sender = false;

  size_t consume_sender(std::string_view bytes) {
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

  size_t step_gateway(std::string_view bytes, uint64_t offset) {
    const int64_t at_us = gateway.time_of(offset);
    if (gateway_tls) {
      const size_t n = same_time(gateway, bytes.size(), offset);
      read_tls(From::gateway, bytes.substr(0, n), at_us);
      return n;
    }
    const bool tls_here = (offset == 0 && sender_tls) || tls_may_start;
    if (tls_here && !reply_open && (bytes[0] == 0x16 || bytes[0] == 0x15)) {
      if (bytes.size() < 2) return 0;
      if (bytes[1] == 0x03) {
        start_tls(From::gateway, offset);
        return step_gateway(bytes, offset);
      }
    }
    if (gateway.lost_sync) return skip_line(gateway, bytes);
    const size_t lf = bytes.substr(0, kMaxHeld).find('\n');
    if (lf == std::string_view::npos) {
      if (bytes.size() < kMaxHeld) return 0;
      gateway.lost_sync = true;  // a reply line of this size has no end worth waiting for
      reply_end = offset + kMaxHeld;
      reply_line(bytes.substr(0, kMaxHeld), offset, kMaxHeld, at_us, gateway.time_of(offset + kMaxHeld - 1), false);
      return kMaxHeld;
    }
    const size_t length = lf > 0 && bytes[lf - 1] == '\r' ? lf - 1 : lf;
    reply_end = gateway.position = offset + lf + 1;
    reply_line(bytes.substr(0, length), offset, lf + 1, at_us, gateway.time_of(offset + lf), true);
    return lf + 1;
  }

  size_t consume_gateway(std::string_view bytes) {
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

  void chunk(const Chunk& c) {
    Stream& stream = c.from == From::sender ? sender : gateway;
    std::string_view bytes = c.bytes;
    if (bytes.empty()) return;
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

  void hole(From from, int64_t at_us, uint64_t length) {
    Stream& stream = from == From::sender ? sender : gateway;
    if (from == From::gateway) {
      if (gateway_tls) gateway_tls->skip(length);
      if (reply_open) finish_reply(false);
      drop_held(stream, length);
      gateway.lost_sync = !gateway_tls;
      return;
    }
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
      if (n < length) sender.lost_sync = true;
    } else if (mode == Mode::tls) {
      sender_tls->skip(length);
    } else {
      drop_held(stream, length);
      sender.lost_sync = true;
      mode = Mode::command;
      return;
    }
    drop_held(stream, length);
  }

  void cut_body(uint64_t length, int64_t at_us) {
    body_cut = true;
    retaining = false;
    retained.clear();
    body_seen += length;
    digest.cut();
    if (body_event < 0) return;
    Event& event = events[static_cast<size_t>(body_event)];
    event.bytes += length;
    event.end_us = at_us;
  }

  /// Held bytes will never be understood: what might be secret among them is covered.
  void drop_held(Stream& stream, uint64_t length) {
    const bool waits = mode == Mode::await_starttls || (mode == Mode::command && holds_secret(stream.held));
    if (&stream == &sender && waits && !stream.held.empty()) secrets.push_back({stream.position, stream.held.size()});
    stream.held.clear();
    stream.marks.clear();
    stream.end += length;
    stream.position = stream.end;
  }

  bool finished = false;
  void finish() {
    if (std::exchange(finished, true)) return;
    if (mode == Mode::await_data && !sender.held.empty() && parse_verb(first_line(sender.held)) == Verb::unknown) {
      mode = Mode::body;
      owed.push_back({Owed::To::body, -1, message, -1});
    } else if (mode == Mode::await_data || mode == Mode::await_starttls) {
      mode = Mode::command;
    }
    read_sender();
    if (!sender.held.empty() && mode == Mode::command) {
      const uint64_t offset = sender.position;
      const std::string rest = std::move(sender.held);
      sender.held.clear();
      command(rest, offset, rest.size(), sender.time_of(offset), sender.time_of(offset + rest.size() - 1), false);
      sender.position = sender.end;
    }
    if (!gateway.held.empty() && !gateway_tls) {
      const uint64_t offset = gateway.position;
      const std::string rest = std::move(gateway.held);
      gateway.held.clear();
      gateway.position = reply_end = gateway.end;
      reply_line(rest, offset, rest.size(), gateway.time_of(offset), gateway.time_of(offset + rest.size() - 1), false);
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

  static std::string_view first_line(std::string_view text) { return text.substr(0, text.find_first_of("\r\n")); }

  uint64_t stable_sender() const {
    if (mode == Mode::await_data || mode == Mode::await_starttls) return sender.position;
    if (mode == Mode::body && scanner && keep_limit() != UINT64_MAX) {
      // Behind the kept part, what may belong to the final dot line waits.
      const uint64_t keep_to =
          keep_limit() > UINT64_MAX - scanner->start() ? UINT64_MAX : scanner->start() + keep_limit();
      return std::min(sender.end, std::max(std::min(keep_to, sender.end), scanner->safe()));
    }
    if (mode == Mode::command && holds_secret(sender.held)) return sender.position;
    return sender.end;
  }
};

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

void Conversation::hole(From from, int64_t at_us, uint64_t length) { s_->hole(from, at_us, length); }

void Conversation::close(From from, CloseHow how, int64_t at_us) {
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
  return !s_->echoes.empty() && !s_->gateway_tls ? s_->gateway.position : s_->gateway.end;
}

std::vector<ByteRange> Conversation::take_secrets(From from) {
  return std::exchange(from == From::sender ? s_->secrets : s_->gateway_secrets, {});
}
std::vector<ByteRange> Conversation::take_omissions() { return std::exchange(s_->omissions, {}); }
uint64_t Conversation::dropped_events() const { return s_->dropped; }
std::vector<Event> Conversation::release_events() { return std::move(s_->events); }
std::vector<Message> Conversation::release_messages() { return std::move(s_->messages); }

}  // namespace smtpscope
