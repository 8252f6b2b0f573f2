// The client's part of a short SMTP session: a command each time the gateway has answered the one before. Sans-I/O:
// bytes come in, bytes to send come out; no clock, no sockets. What the gateway sends is read by the same Conversation
// that reads recorded sessions, and bounded in total.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/smtp/conversation.h"

namespace smtpscope {

/// One whole reply of the gateway.
struct TalkReply {
  uint16_t code = 0;  ///< 0: a line that is no reply
  std::string text;   ///< as sent, without the last line end; lines are joined by '\n'. Hostile: see harmless.h
  int64_t at_us = 0;  ///< its last byte, since the connection was begun
  bool positive() const { return code >= 200 && code < 400; }
};

class Talk {
 public:
  static constexpr uint64_t kMaxBytes = 256 * 1024;  ///< from the gateway; no honest one sends more to a few commands

  /// `commands` without line ends; the last one is best QUIT. A refusing greeting ends the talk with QUIT at once.
  explicit Talk(std::vector<std::string> commands);

  /// Bytes of the gateway that came at this time; what is to be sent now, if anything.
  std::string take(std::string_view bytes, int64_t at_us);

  const std::optional<TalkReply>& greeting() const { return greeting_; }
  /// Of the commands that were sent, in order; the last may be missing.
  const std::vector<TalkReply>& replies() const { return replies_; }
  const std::vector<std::string>& sent() const { return sent_; }
  /// Replies that came before anything was asked for, behind the greeting.
  const std::vector<TalkReply>& unasked() const { return unasked_; }
  /// Has the last command been answered?
  bool over() const { return greeting_ && replies_.size() == sent_.size() && next_ >= commands_.size(); }
  /// More than kMaxBytes came.
  bool too_much() const { return bytes_ > kMaxBytes; }

 private:
  std::string say(const std::string& command, int64_t at_us);

  Conversation conversation_;
  std::vector<std::string> commands_, sent_;
  size_t next_ = 0, seen_ = 0;
  uint64_t bytes_ = 0, sent_bytes_ = 0;
  std::optional<TalkReply> greeting_;
  std::vector<TalkReply> replies_, unasked_;
};

}  // namespace smtpscope
