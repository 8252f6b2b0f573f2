// A healthy session before it is played: what the sender says, what the gateway answers to each part, how it ends, and
// what a transcript of it has to hold.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "capture/smtp/vocabulary.h"

namespace smtpscope {

/// One thing that the sender sends, and the reply to it. Either may be empty: a greeting is answered to nothing, TLS
/// records get none.
struct Exchange {
  std::string sent, reply;
  bool grouped = false;          ///< sent without waiting for the replies before it (RFC 2920)
  int64_t sender_waits_us = 0;   ///< before it is sent, behind the reply before it
  int64_t gateway_waits_us = 0;  ///< before it is answered
};

enum class Ending : uint8_t {
  gateway_closes,       ///< QUIT, 221, FIN of the gateway, FIN of the sender
  sender_closes,        ///< QUIT, 221, FIN of the sender, FIN of the gateway
  without_waiting,      ///< the sender closes its side behind its last bytes, the replies come all the same
  reset,                ///< the sender resets the connection instead of closing it
  gateway_left_behind,  ///< the gateway has closed; the sender resets
};

struct ExpectedMessage {
  std::string from;
  size_t recipients = 0;
  bool accepted = false;
  uint64_t bytes = 0;  ///< of the body on the wire, without the final dot line
};

struct Plan {
  std::vector<Exchange> exchanges;
  Ending ending = Ending::gateway_closes;
  Verdict verdict = Verdict::delivered;
  std::vector<ExpectedMessage> messages;
  bool drips = false;                ///< the sides fall silent for minutes in the midst of what they send
  std::set<std::string_view> notes;  ///< codes that may be noted; no other may
};

}  // namespace smtpscope
