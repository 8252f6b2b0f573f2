// How servers in the field word their replies. None of it may make a difference.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tests/generated/random.h"

namespace smtpscope {

struct GatewayStyle {
  std::string_view name;
  std::string_view greeting;    ///< whole, with line ends
  std::string_view hello;       ///< first line of the reply to EHLO, without its code; the whole reply to HELO
  std::string_view mail, rcpt;  ///< positive replies, without code and line end
  std::string_view data;        ///< 354
  std::string_view taken;       ///< reply to the message; % is its queue id
  std::string_view chunk;       ///< reply to a chunk that is not the last; # is its size
  std::string_view ok;          ///< reply to RSET and NOOP
  std::string_view bye;         ///< 221
};

std::span<const GatewayStyle> gateway_styles();

/// "250 " + text + CRLF; sometimes in several lines, as some servers do.
std::string reply_of(Dice& dice, int code, std::string_view text);
/// A queue id as servers make them.
std::string queue_id(Dice& dice);
/// `text` with the mark replaced.
std::string filled(std::string_view text, char mark, std::string_view by);

}  // namespace smtpscope
