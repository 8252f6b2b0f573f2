// What a summary needs of one session, small enough that those of a busy day fit in memory: read from a transcript's
// line in one pass, without a tree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/smtp/vocabulary.h"

namespace smtpscope {

/// What came of one recipient, or of a whole message.
enum class Outcome : uint8_t { delivered, put_off, refused, unfinished, withdrawn };

struct DigestRecipient {
  std::string address;   ///< lossless text, as all text here
  uint16_t code = 0;     ///< of the reply that decided: 0 if none came
  std::string enhanced;  ///< "5.1.1"; empty if the reply had none
  Outcome outcome = Outcome::unfinished;
};

struct DigestMessage {
  std::optional<std::string> mail_from;
  std::vector<DigestRecipient> recipients;  ///< at most kMostRecipients
  int64_t at_us = 0;                        ///< Unix time of its first command
  int64_t end_us = 0;                       ///< of its last reply, or of the session's end if that never came
  uint64_t bytes = 0;                       ///< of the body as sent
  uint64_t declared = 0;                    ///< SIZE=; 0: not declared
  std::string sha256;                       ///< empty: not known
  std::string queue_id;
  uint16_t code = 0;  ///< of the refusal, or of the final reply
  Outcome outcome = Outcome::unfinished;
  bool size_matters = false;  ///< it failed, if it did, where its size may have been the cause
  bool reply_lost = false;    ///< it was sent whole, and its sender left before the final reply
};

struct SessionDigest {
  std::string id, ip;
  std::string code;  ///< of the breakdown; empty if none
  std::string helo;  ///< as the sender calls itself, or its verified PTR name; empty if it gave none
  int64_t started_us = 0, ended_us = 0;
  Verdict verdict = Verdict::unknown;
  bool starttls = false;    ///< STARTTLS was begun
  bool inside_tls = false;  ///< it went on inside TLS, unread
  int64_t banner_us = -1;   ///< from the connect to the end of the greeting; -1: none came
  int64_t look_up_us = -1;  ///< what the proxy's own reverse look-up took; -1: it made none

  /// A session that broke because one side did not wait any longer: who left, after which silence, in which phase.
  std::optional<From> left;
  int64_t silence_us = 0;
  bool waited = false;  ///< for the other side, which owed the next bytes; else it was its own turn
  Phase phase = Phase::connect;

  std::vector<DigestMessage> messages;  ///< at most kMostMessages
};

inline constexpr size_t kMostMessages = 1000, kMostRecipients = 1000;
/// Silences below this are nobody's limit.
inline constexpr int64_t kLeastSilence = 1'000'000;

/// None if the line is no transcript, or its start is no time. What is malformed inside is taken as absent.
std::optional<SessionDigest> digest_line(std::string_view line);

}  // namespace smtpscope
