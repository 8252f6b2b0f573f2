// What a recording says of one session, in order: a SessionFacts first, then how the gateway was reached, data, holes
// and closes as they came, and a SessionEnd last (missing if the proxy died). pcapng is only its spelling.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "capture/session.h"
#include "capture/smtp/event.h"

namespace smtpscope {

/// Bytes that passed but are not in the recording: the stream's offsets go on behind them.
struct Hole {
  From from = From::sender;
  int64_t at_us = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  std::string reason;  ///< "body": left out by the body policy; anything else ("overload", "disk", "lost") is a gap
};

/// One side ended its stream; from proxy: the proxy ended both.
struct Closed {
  From from = From::sender;
  int64_t at_us = 0;
  CloseHow how = CloseHow::fin;
};

using Record = std::variant<SessionFacts, GatewayConnect, Chunk, Hole, Closed, SessionEnd>;

}  // namespace smtpscope
