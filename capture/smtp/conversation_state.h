// How it works. Each side is a stream whose bytes are consumed as soon as they are understood; what cannot be
// understood yet (a partial line, what follows DATA or STARTTLS before their reply) is held, with the times of its
// chunks. Commands wait in a queue for their replies, which come in order (RFC 5321 4.1.4, RFC 2920); a body is an
// entry of that queue like a command.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/smtp/auth.h"
#include "capture/smtp/body_digest.h"
#include "capture/smtp/body_scanner.h"
#include "capture/smtp/conversation.h"
#include "capture/smtp/syntax.h"
#include "capture/smtp/tls_reader.h"

namespace smtpscope {

inline constexpr size_t kMaxRetained = 64 * 1024;  // bytes kept behind a look-alike of the end of data
inline constexpr size_t kMaxUnfinished = 1024;     // bytes of an unfinished secret looked for in replies
inline constexpr size_t kMaxTotalText = 1024 * 1024;
inline constexpr size_t kMaxAddress = 1024;  // RFC 5321 4.5.3.1.3 allows a path 256 bytes

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
  bool at_gap = false;     ///< and nothing behind them was looked at yet

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
  size_t memory() const { return items_.capacity() * sizeof(Owed); }
  /// Is a reply to AUTH or to one of its lines among them? Asked for every line, so it is counted.
  bool awaits_auth() const { return auths_ > 0; }
  void push_back(const Owed& owed) {
    if (size() == kMaxOwed) return;
    if (items_.size() == items_.capacity() && head_ >= items_.size() / 2) {  // what was answered makes room
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    items_.push_back(owed);
    auths_ += is_auth(owed);
  }
  void push_front(const Owed& owed) {
    auths_ += is_auth(owed);
    if (head_ > 0)
      items_[--head_] = owed;
    else
      items_.insert(items_.begin(), owed);
  }
  void pop_front() {
    auths_ -= is_auth(front());
    if (++head_ == items_.size()) {
      items_.clear();
      head_ = 0;
    }
  }

 private:
  static constexpr size_t kMaxOwed = 65'536;
  static size_t is_auth(const Owed& owed) {
    return owed.to == Owed::To::auth || owed.to == Owed::To::auth_response ? 1 : 0;
  }
  std::vector<Owed> items_;
  size_t head_ = 0;
  size_t auths_ = 0;
};

/// What the sender's next bytes are.
enum class Mode : uint8_t { command, long_line, await_data, body, chunk, await_starttls, tls };

/// How a line of a reply ended: with its line end, in lost bytes, or not at all.
enum class LineEnd : uint8_t { seen, lost, none };

inline bool tls_record_starts(std::string_view bytes) {
  return bytes.size() >= 2 && bytes[0] == 0x16 && bytes[1] == 0x03;
}

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
  uint64_t body_seen = 0;  ///< of this message, all BDAT chunks together
  bool body_cut = false;
  std::string retained;  ///< bytes behind the first look-alike
  std::vector<Stream::Mark> retained_marks;
  bool retaining = false;
  std::vector<ByteRange> omissions;
  uint64_t omitted_to = 0;
  // AUTH
  bool challenge = false;     ///< a 334 waits for its response
  bool auth_tail = false;     ///< no AUTH is open, but what follows may still be credentials, up to the next command
  bool secret_lost = false;   ///< bytes were lost where a secret may have been; replies may repeat it
  bool auth_unclear = false;  ///< bytes were lost in AUTH: it may go on, until a command is granted
  SecretEchoes echoes;
  std::vector<ByteRange> secrets, gateway_secrets;
  // the reply now being read
  Event reply;
  bool reply_open = false;
  std::optional<TlsFacts> tls;
  std::optional<uint64_t> sender_tls_at, gateway_tls_at;
  std::unique_ptr<TlsReader> sender_tls, gateway_tls;
  int32_t sender_tls_run = -1, gateway_tls_run = -1;  ///< the event that counts a run of encrypted records
  bool tls_may_start = false;                         ///< STARTTLS was granted
  uint64_t body_start_ = 0;
  uint64_t reply_end = 0;  ///< offset behind the reply line now handled
  bool long_line_secret = false;
  int32_t long_line_event = -1;
  bool reading_sender = false;
  bool finished = false;
  bool begun_late = false;
  // what lost bytes left open
  size_t owed_at_gap = 0;      ///< of what is owed, how much may have been answered in them
  bool reply_cut = false;      ///< they are in the middle of the open reply, which may go on or not
  uint64_t body_hole_end = 0;  ///< the last ones of the body now sent end here; its end may be among them
  /// What memory() has added up of the messages: those before `message`, and of it the recipients before `recipient`.
  struct Measured {
    size_t message = 0, recipient = 0, bytes = 0;
  };
  mutable Measured measured;

  // events and phases (conversation.cpp)
  int32_t push(Event event);
  bool auth_pending() const;
  /// The phase the session is in: that of the oldest thing owed, else what the sender is expected to do next.
  Phase here() const;
  /// The phase in which a command is awaited.
  Phase between_commands() const;
  Phase phase_of_verb(Verb verb) const;

  // command lines (conversation_sender.cpp)
  /// Covers [offset, offset + range.length) and remembers it, to find echoes.
  void mask(std::string& text, uint64_t line_offset, ByteRange range);
  /// Does this line answer a challenge, for all that is known?
  bool is_response(std::string_view line) const;
  /// What of this line of commands, or of its beginning, is secret.
  ByteRange secret_in(std::string_view line) const;
  /// The same of a line that is no response.
  static ByteRange secret_of(std::string_view line, Verb verb);
  /// One command line (or what there is of it); `wire` counts its line end too.
  int32_t command(std::string_view line, uint64_t offset, uint64_t wire, int64_t at_us, int64_t end_us, bool complete);
  /// What a command does to the session.
  void follow(Verb verb, std::string_view line, int32_t index);
  void begin_message(std::string_view line, int32_t index);
  /// RCPT, DATA or BDAT where no transaction is open: a message all the same, which the gateway will hardly take.
  void begin_message_without_mail(int32_t index);
  Message& open_message();
  /// The sender ends the open transaction: given up, unless it had got as far as DATA.
  void withdraw();
  void begin_chunk(std::string_view line, int32_t index, Owed& owes);

  // bodies (conversation_body.cpp)
  void open_body_event(uint64_t offset, int64_t at_us);
  uint64_t keep_limit() const;
  /// Accounts for the content bytes of [offset, offset + bytes.size()); `safe`: what the policy may leave out by now.
  void account_body(uint64_t offset, std::string_view bytes, uint64_t safe);
  void add_omission(uint64_t offset, uint64_t length);
  /// Body bytes of DATA. Returns how many were consumed.
  size_t read_body(std::string_view bytes, uint64_t offset, int64_t at_us);
  void retain_behind_look_alike(std::string_view bytes, uint64_t offset, int64_t at_us);
  void stop_retaining();
  void finish_body(bool ended);
  void leave_body();
  size_t read_chunk(std::string_view bytes, uint64_t offset, int64_t at_us);
  /// Counts what of a chunk is no text of a mail. Nothing in it can be taken for its end.
  void look_at_chunk(uint64_t offset, std::string_view bytes);
  void end_chunk();
  /// BDAT LAST was sent whole.
  void end_message_body();

  // TLS (conversation_tls.cpp)
  /// Do these bytes, the next of this side's plain ones, begin TLS?
  Fit fits_tls(From from, std::string_view bytes, uint64_t offset) const;
  void start_tls(From from, uint64_t offset);
  void read_tls(From from, std::string_view bytes, int64_t at_us);

  // replies (conversation_gateway.cpp)
  /// What of a reply's line repeats a secret, or may do so.
  std::vector<ByteRange> echoes_in(std::string_view line) const;
  void reply_line(std::string_view line, uint64_t offset, uint64_t wire, int64_t at_us, int64_t end_us, LineEnd end);
  void finish_reply(bool complete);
  Phase phase_of_reply(bool early, const Owed& owes) const;
  /// What a reply does to the session.
  void answered(const Owed& owes, int32_t reply_event, uint16_t code);
  void settle(int32_t index, int32_t reply_event, bool ok);
  void data_answered(const Owed& owes, Message* m, int32_t reply_event, uint16_t code);
  /// The gateway answered although CRLF.CRLF was not seen: it is among lost bytes, or a look-alike was taken for it.
  void end_body_unseen();
  void starttls_answered(uint16_t code);

  // streams (conversation.cpp)
  /// Is this partial line of the sender one that must not be written before it is whole?
  bool holds_secret(std::string_view partial) const;
  /// Could the gateway now repeat a secret?
  bool may_echo() const;
  /// Consumes what can be understood at the front of the sender's bytes; 0: more is needed.
  size_t step_sender(std::string_view bytes, uint64_t offset);
  /// Bytes from `offset` that arrived at one time, so that events get the times of their own bytes.
  static size_t same_time(const Stream& stream, size_t size, uint64_t offset);
  size_t read_body_in_time(std::string_view bytes, uint64_t offset);
  void begin_long_line(std::string_view bytes, uint64_t offset, int64_t at_us);
  void extend_long_line(size_t n, uint64_t offset, bool ended);
  void read_sender();
  size_t consume_sender(std::string_view bytes);
  size_t step_gateway(std::string_view bytes, uint64_t offset);
  size_t consume_gateway(std::string_view bytes);
  void chunk(const Chunk& c);
  void finish();

  // lost bytes (conversation_gap.cpp)
  /// The rest of a line whose beginning is not known. It is covered: it may be the end of a secret.
  size_t skip_line(From from, std::string_view bytes, uint64_t offset);
  /// The first bytes behind lost ones fit a line, or do not, or there are too few of them: then false.
  static bool find_step(Stream& stream, Fit line);
  void hole(From from, int64_t at_us, uint64_t length, bool of_body);
  void gateway_hole(uint64_t length);
  /// The sender goes on, or a side closes: a reply that lost bytes were in the middle of is over.
  void end_cut_reply();
  void cut_body(uint64_t length, int64_t at_us);
  /// Held bytes will never be understood: what might be secret among them is covered.
  void drop_held(Stream& stream, uint64_t length);
  void pop_owed();
  /// The oldest thing owed got no reply that was seen.
  void forget_oldest();
  /// Bytes of the gateway were lost and the sender goes on: it had its replies.
  void forget_owed_at_gap();
  /// Only QUIT is answered with 221 and only DATA with 354: what was owed before them got no reply, or it was lost.
  void forget_owed_before(uint16_t code);
  /// The reply to DATA or STARTTLS may have been lost: does the sender go on as if it had been granted?
  bool goes_on_as_granted(std::string_view bytes);
  /// Does a reply with this code show that the body now read is over, although its dot line was not seen?
  bool reply_ends_body(uint16_t code) const;

  size_t memory() const;
  static std::string_view first_line(std::string_view text);
  uint64_t stable_sender() const;
};

}  // namespace smtpscope
