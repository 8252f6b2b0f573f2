// One thing that was found in a session. The earliest cause is the breakdown; all others are notes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "capture/smtp/vocabulary.h"

namespace smtpscope {

struct Finding {
  std::string code;  ///< slug, never reused: "rcpt-unknown-user"
  Phase phase = Phase::connect;
  Party party = Party::unknown;
  Confidence confidence = Confidence::certain;
  int32_t event = -1;  ///< index into the events; -1: between events
  int64_t at_us = 0;
  From stream = From::gateway;      ///< whose stream `offset` and `length` count in
  uint64_t offset = 0, length = 0;  ///< the very bytes; length 0: the point where bytes were missing
  std::string expected, got, why, advice;
  std::vector<std::string> references;
};

}  // namespace smtpscope
