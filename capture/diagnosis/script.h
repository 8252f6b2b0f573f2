// Sessions written down as scripts: what rules name as their examples, and tests play. A script is turned into records,
// fed to SessionAnalyzer, and gives a transcript, and the place that is marked in it.
//
//   S EHLO mx.sender.example     the sender sends this line and CR LF       G 250 ok    so does the gateway
//   G!550 5.1.1 no such user     `!`: here it breaks
//   S~raw \r\n \x16 \\           bytes as escaped, nothing added            S!~raw      marked
//   S body 65536                 so many bytes of message lines
//   S line 1200                  one line of so many bytes, its CR LF included
//   S fin   S rst   S timeout    the side ends its stream                   S!fin       marked
//   !                            the point that is now reached is marked (bytes are missing here)
//   +30.0                        so many seconds pass
//   sees-port 40001              the gateway sees the sender's address with this port (first line only)
//   connect failed ECONNREFUSED 0.4     the gateway was not reached, after so many seconds;   !connect ... marked
//   connect failed EHOSTUNREACH 0.1 192.0.2.254 admin-prohibited        and who said so by ICMP
//   connect pending              the gateway has not answered (put first; else it was reached at once)
//   hole S 1000                  so many bytes are missing in the recording
//   header proxy-v1              a PROXY header was sent to the gateway (put first)
//   proxy closed drain           the proxy ended the session, for this reason
//   interrupted                  the recording ends here
//   dns timeout 35               the proxy's reverse look-up: status, seconds
//   dns ok 0.1 NAME [FORWARD-STATUS SECONDS]
//   ident no-answer 7            the gateway asks the sender's port 113 now; so many seconds until the answer or last
//   try path S unacked=3 window=0    a sample of the TCP leg to that side use hello mail               the steps of
//   that name: hello mail rcpt data body accepted bye
//
// Empty lines and lines that begin with # are skipped. Steps without a `+` are 1 ms apart.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "capture/recording/record.h"
#include "capture/transcript/transcript.h"

namespace smtpscope {

struct ScriptMark {
  std::optional<From> side;  ///< of the marked line; none for a lone `!` and for `connect`
  bool close = false;        ///< the marked line is a fin, rst or timeout
  int64_t at_us = 0;
  uint64_t sender_offset = 0, gateway_offset = 0;  ///< bytes of each side before the mark
  uint64_t bytes = 0;                              ///< of the marked line on the wire
};

struct PlayedScript {
  std::string error;  ///< "line 3: unknown step \"X\""; empty if the script is right
  Transcript transcript;
  std::optional<ScriptMark> mark;
};

/// The facts of a session that is made up, as play_script() begins with: an id, a sender and a gateway of the
/// documentation networks, and a time.
SessionFacts script_facts();

/// `tap`, if any, gets the records that the script stands for, the facts first and the end last.
PlayedScript play_script(std::string_view script, const std::function<void(const Record&)>& tap = {});

}  // namespace smtpscope
