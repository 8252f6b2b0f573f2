// How a message stopped on its way, for the rules that tell its causes apart: each stop belongs to one of them.
#pragma once

#include <optional>
#include <string>

#include "capture/diagnosis/view.h"

namespace smtpscope {

/// A sender that closes after this long in the midst of its message had been waiting to go on.
inline constexpr int64_t kWaitedToSend = 20 * kSecond;

enum class Stall : uint8_t {
  none,
  on_path,    ///< the state of the TCP legs tells why (rules_path.cpp)
  at_dot,     ///< behind a lone dot with the wrong line ends
  in_chunk,   ///< a BDAT chunk is short
  at_once,    ///< no byte of the message came
  at_64k,     ///< at the size of a window without scaling
  not_taken,  ///< the sender waited, and left: its bytes were not taken
  other,      ///< the sender was silent until the gateway gave up
  not_begun,  ///< the sender left at once behind the 354
};
Stall stall_of(const View& view);

/// Does the state of the TCP legs tell why a message under way stopped? (rules_path.cpp)
bool path_tells_stall(const View& view);

/// Message bytes were awaited: a body was begun and not ended, or DATA was granted and none came.
bool in_body(const View& view);
/// When the last of the body came, or its leave to come.
int64_t last_body_time(const View& view);
/// How long nothing came then, up to a reply of the gateway or a close.
int64_t stalled_for(const View& view);
/// "4000 bytes of the message had come of 9000 declared"
std::string progress(const View& view);
/// The match of all stalls: the point where the next byte was missing.
Match match_stall(const View& view);

/// The connection was quiet for minutes, and what came then met a connection that was no more.
bool forgotten_while_idle(const View& view);

}  // namespace smtpscope
