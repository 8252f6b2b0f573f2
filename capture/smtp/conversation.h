// The SMTP conversation, understood from the bytes of both sides as they came. Sans-I/O: chunks (with their times) go
// in, events and messages come out; no clock, no I/O, no callbacks, bounded memory whatever comes. The same input bytes
// in the same order give the same result however they are cut into chunks.
//
// It also says what may be done with the bytes, for the recorder:
//  * stable(side): bytes below this offset are understood for good. The recorder writes no byte above it, since only a
//    whole line shows whether it carries a secret, and only the reply to DATA shows whether what follows is a message.
//    What is held so is at most kMaxHeld bytes a side.
//  * take_secrets(): ranges of the sender's stream (and of replies that echo them) to be masked, below stable().
//  * take_omissions(): ranges of message bodies that the body policy leaves out, below stable().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/smtp/event.h"

namespace smtpscope {

class Conversation {
 public:
  static constexpr size_t kMaxHeld = 64 * 1024;       ///< bytes of one side that wait to be understood
  static constexpr size_t kMaxEventText = 4096;       ///< bytes of a command kept as text
  static constexpr size_t kMaxReplyText = 16 * 1024;  ///< bytes of a reply kept as text
  static constexpr size_t kMaxEvents = 20'000;        ///< later ones are counted, not kept

  enum class Body : uint8_t { full, headers, none };
  struct Policy {
    Body body = Body::full;
    uint64_t limit = 0;  ///< bytes of each body kept; 0: all
  };

  explicit Conversation(Policy policy);
  Conversation() : Conversation(Policy{}) {}
  ~Conversation();
  Conversation(Conversation&&) noexcept;
  Conversation& operator=(Conversation&&) noexcept;

  /// The session began: the sender was accepted. Call once, first.
  void open(int64_t at_us);
  /// The gateway answered the connection attempt; until then the session is in the phase `connect`.
  void gateway_connected();
  /// What is known begins in the middle of the session: no greeting is owed, and the sender has introduced itself; it
  /// may be in the middle of AUTH, or (`in_message`) of a message. Call after open(), before any bytes.
  void begin_late(bool in_message);
  /// A line of the proxy's own ("gateway refused the connection: ECONNREFUSED").
  void note(int64_t at_us, Phase phase, std::string text);
  void chunk(const Chunk& chunk);
  /// The next `length` bytes of this side passed but are not known: lost, or (`of_body`) left out by the body policy,
  /// which never leaves out the end of a message.
  void hole(From from, int64_t at_us, uint64_t length, bool of_body = false);
  void close(From from, CloseHow how, int64_t at_us);
  /// Nothing more comes: what was held becomes events, and everything is stable. A second call does nothing.
  void finish();

  const std::vector<Event>& events() const;
  const std::vector<Message>& messages() const;
  const std::optional<TlsFacts>& tls() const;

  /// Where one side's stream turns into TLS records (behind STARTTLS's line end, behind its 220); none before that.
  std::optional<uint64_t> tls_offset(From from) const;

  /// Bytes below this offset of a side's stream are understood for good.
  uint64_t stable(From from) const;
  /// Secret ranges of this side found since the last call, ascending, all below stable(from).
  std::vector<ByteRange> take_secrets(From from);
  /// Ranges of the sender's stream that the body policy leaves out, found since the last call, ascending, below
  /// stable().
  std::vector<ByteRange> take_omissions();
  /// Would the gateway's next reply answer a message that has not come whole? Then how many bytes are missing of its
  /// BDAT chunk; 0: its dot line is.
  std::optional<uint64_t> message_missing() const;
  /// Events that came after kMaxEvents.
  uint64_t dropped_events() const;

  /// About how many bytes it holds; cheap.
  size_t memory() const;

  /// Moves the results out; the conversation is spent.
  std::vector<Event> release_events();
  std::vector<Message> release_messages();

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace smtpscope
