// Follows one message body sent with DATA up to its final dot line (RFC 5321 4.1.1.4), however it is cut, and says
// which of its bytes the body policy keeps. Only CRLF . CRLF ends a message; other line ends around a lone dot are
// remembered as look-alikes, since some servers take them for the end. It notices by the way what does not belong into
// a mail: CR or LF alone, NUL, bytes above 127, long lines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "capture/smtp/event.h"

namespace smtpscope {

class BodyScanner {
 public:
  /// `start`: offset of the first body byte in the sender's stream.
  explicit BodyScanner(uint64_t start) : start_(start), offset_(start), safe_(start), line_from_(start) {}

  /// Reads on. Returns how many bytes belong to the body, the final dot line included; ended() then tells whether it
  /// came.
  size_t feed(std::string_view bytes);
  /// `length` bytes passed unseen.
  void skip(uint64_t length);

  bool ended() const { return state_ == State::ended; }
  uint64_t start() const { return start_; }
  uint64_t offset() const { return offset_; }  ///< behind the last byte read
  uint64_t lines() const { return lines_; }
  /// Length of the message as sent, without the final dot line (RFC 5321: the CRLF before the dot belongs to the
  /// message).
  uint64_t content_length() const;
  /// Bytes below this offset cannot belong to the final CRLF . CRLF.
  uint64_t safe() const { return safe_; }
  /// Offset just behind the first look-alike of an end, none if there was none.
  std::optional<uint64_t> look_alike() const { return look_alike_; }
  /// Length of the message, were the first look-alike its end: without the look-alike's dot line.
  uint64_t look_alike_content() const { return look_alike_content_; }
  /// What was seen up to now. Look-alikes made with CR or NUL are among these only: the two above know those with LF.
  BodyOddities oddities() const;
  /// Where that look-alike began, the line end before its dot included.
  uint64_t look_alike_from() const { return look_alike_from_; }
  /// Offset of the first byte behind the header's blank line, none while inside the header.
  std::optional<uint64_t> header_end() const { return header_end_; }

 private:
  enum class State : uint8_t { text, line_start, dot, dot_cr, ended };

  void line_end(bool crlf);
  size_t pass_blocks(std::string_view bytes);
  /// Notices what is odd in the next bytes, those from offset_ on, behind previous_.
  void look(std::string_view bytes);
  void look_closely(std::string_view bytes, uint64_t offset, char before);
  void note_line(uint64_t from, uint64_t to);
  void note_look_alike(uint64_t from, uint64_t to);
  uint64_t back(uint64_t n) const { return offset_ - start_ < n ? start_ : offset_ - n; }

  uint64_t start_, offset_, safe_;
  uint64_t lines_ = 0;
  State state_ = State::line_start;
  bool crlf_ = true;                   ///< the last line end was CRLF (the DATA line's own, at first)
  std::optional<uint64_t> line_from_;  ///< where the line now read began; none behind unseen bytes
  char previous_ = '\n';
  std::optional<uint64_t> look_alike_, header_end_;
  uint64_t look_alike_content_ = 0, look_alike_from_ = 0, last_look_alike_ = 0;
  BodyOddities odd_;
  bool dot_pending_ = false;  ///< the last byte was a dot behind CR or NUL
  bool dot_nul_ = false;      ///< it was NUL
};

}  // namespace smtpscope
