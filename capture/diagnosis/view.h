// One session as the rules look at it: the case, and what most of them ask (who closed first, what was left unanswered,
// which replies refused, which messages failed), worked out once. Pure; borrowed for one diagnosis.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "capture/diagnosis/rule.h"

namespace smtpscope {

inline constexpr int64_t kSecond = 1'000'000;
/// A side that left sooner than this, while the other owed it bytes, was impatient; later, the other was silent.
inline constexpr int64_t kImpatient = 1 * kSecond;
/// A connection without a byte of the sender that ends within this time is a port probe.
inline constexpr int64_t kProbe = kSecond / 4;
/// From here on a reply is called slow.
inline constexpr int64_t kSlow = 5 * kSecond;

/// "; that looks like a limit of 30 s" if the time is near a usual limit, else "". Among coarse times, a short one is
/// near some limit by chance, so it is not named.
std::string looks_like_limit(int64_t us, int64_t resolution_us = 0);

struct View {
  explicit View(const Case& session);

  const Case& c;
  const std::vector<Event>& events;
  const std::vector<Message>& messages;

  // indices into events; -1: none
  int32_t banner = -1;
  int32_t first_sent = -1;  ///< the sender's first bytes
  int32_t helo_ok = -1;     ///< the last 2xx reply to EHLO or HELO
  int32_t quit = -1;
  int32_t first_close = -1;
  int32_t unanswered = -1;       ///< the first command or body that was sent whole and got no reply
  int32_t gave_up = -1;          ///< the QUIT or close with which the sender ended its wait for a reply
  int32_t stalled_body = -1;     ///< a body that never ended
  int32_t cut_command = -1;      ///< a command line that never ended
  int32_t cut_reply = -1;        ///< a reply that never ended
  bool answered_in_tls = false;  ///< TLS from the first byte on, and the gateway speaks it too: there is no greeting
  Verdict verdict = Verdict::unknown;  ///< decided before the rules run
  std::vector<int32_t> refusals;       ///< replies 4xx and 5xx
  std::vector<int32_t> replies;        ///< for each event: the reply that answers it, -1
  int64_t ended_us = 0;

  /// Not null if the index is valid.
  const Event* at(int32_t index) const {
    return index >= 0 && index < static_cast<int32_t>(events.size()) ? &events[static_cast<size_t>(index)] : nullptr;
  }
  const Event* close() const { return at(first_close); }
  bool closed_by(From from) const { return close() != nullptr && close()->from == from; }
  bool broken() const { return verdict == Verdict::breakdown; }
  /// The sender or the gateway ended a session that was not over: no QUIT before, and mail undone.
  bool cut_short() const { return broken() && close() != nullptr && (quit < 0 || quit > first_close); }
  /// Does the gateway owe the banner or a reply at the end?
  bool gateway_owes() const { return banner_owed() || cut_reply >= 0 || unanswered >= 0; }
  /// Was the greeting still to come at the end? (It is not known of a session that begins late.)
  bool banner_owed() const { return banner < 0 && !c.session.begins_late && !answered_in_tls; }
  /// Is what followed STARTTLS hidden? It is not where plain SMTP goes on behind it, as in a log.
  bool inside_tls() const;
  /// Did both sides take their leave (QUIT and 221), or the gateway with a 421? Then no close has to tell of it.
  bool took_leave() const;
  /// Is a time taken from this session surely at least this limit?
  bool at_least(int64_t us, int64_t limit) const { return us - c.session.resolution_us >= limit; }
  /// "30.0 s", or "30 s (+-1 s)" where times are whole seconds.
  std::string seconds(int64_t us) const;
  std::string looks_like_limit(int64_t us) const { return smtpscope::looks_like_limit(us, c.session.resolution_us); }
  /// The last reply before the first close; null if there is none.
  const Event* last_reply() const;
  /// How long the side that owed bytes had been silent when the session ended.
  int64_t silence_us() const;

  bool accepted(int32_t reply) const;
  bool refused(int32_t reply) const;
  /// Was this message accepted for at least one recipient, as far as its sender could know?
  bool delivered(const Message& message) const;
  /// Did the sender leave while the final reply was owed, although one came afterwards?
  bool left_unread(const Message& message) const;
  /// In a capture: did the sender's host go on taking what came behind its FIN?
  bool reads_on() const;
  /// Was it begun and not delivered? A transaction given up before DATA without a refusal is neither; one that was out
  /// of order (503) and begun anew comes out as the new one does. `message` is one of `messages`.
  bool failed(const Message& message) const { return failed_[static_cast<size_t>(&message - messages.data())]; }
  /// The message to which an event belongs: the last that began before it; null if none had.
  const Message* message_at(int32_t event) const;
  bool mail_accepted_after(int32_t event) const;
  bool rcpt_accepted_after(int32_t event) const;

  /// The reply to EHLO or HELO that held for this event: the last before it; for what was sent before the first, the
  /// first. Null if there was none.
  const Event* hello_for(int32_t event) const;
  /// Does that reply name this extension (capitals)?
  bool offers(std::string_view keyword, int32_t event) const;
  /// May the sender begin before the greeting, and go on before the reply to EHLO? (Exim allows it to those it knows.)
  bool offers_pipe_connect(int32_t event) const {
    return offers("PIPECONNECT", event) || offers("PIPE_CONNECT", event);
  }
  /// The reply to this event came later than this; INT64_MAX if none came.
  int64_t answered_at(int32_t event) const;

  /// The first command or message that was sent whole by then and had no reply yet; -1 if there is none.
  int32_t waiting_at(int64_t at_us) const;
  /// When the unanswered thing had been sent; for the banner, when the gateway was reached.
  int64_t owed_since() const;
  /// The event that has been waiting for its reply, for its phase; null if none.
  const Event* waiting() const;
  /// Bytes of this side that were seen up to the end.
  uint64_t seen(From from) const;

 private:
  void find_end_of_patience();
  void find_wait_until(int32_t leave);
  bool failed_alone(const Message& message) const;
  std::vector<int32_t> helos_;  ///< the 2xx replies to EHLO and HELO
  std::vector<bool> failed_;    ///< for each message
};

inline int32_t count_of(const View& v) { return static_cast<int32_t>(v.events.size()); }

/// Something that the sender said.
inline bool is_sent(const Event& e) {
  return e.from == From::sender &&
         (e.kind == Event::Kind::body || (e.kind == Event::Kind::command && e.verb != Verb::none));
}

/// How long a command line may be, its CR LF included: RFC 5321 4.5.3.1.4 and what extensions add.
uint64_t allowed_bytes(const Event& command);

/// Which side owed the next bytes at this time: gateway while the banner or a reply was missing, else the sender.
From owes(const std::vector<Event>& events, const std::vector<Message>& messages, int64_t at_us);

/// A match on these very bytes; for a close, at the point where the stream ended.
Match match_event(const View& view, int32_t event);
/// A match at the point where bytes of `side` were missing, seen at `event`.
Match match_missing(const View& view, int32_t event, From side);

}  // namespace smtpscope
