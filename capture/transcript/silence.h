// Where a session was silent, and whose turn it was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "capture/transcript/transcript.h"

namespace smtpscope {

struct Silence {
  size_t before = 0;  ///< index of the event that ended it; events.size(): the end of the session
  int64_t from_us = 0, to_us = 0;
  std::string why;  ///< "waiting for the gateway's greeting", "waiting for the sender's next command", ...
};

/// All silences of at least `least_us`, in order. One is measured from the last byte of either side.
std::vector<Silence> silences(const Transcript& transcript, int64_t least_us);

}  // namespace smtpscope
