// What the conversation is made of: events in their order of arrival, and the messages that they add up to.
// Plain values; all times are microseconds since the session began, all offsets count bytes of one side's stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/smtp/vocabulary.h"

namespace smtpscope {

/// Bytes that arrived together from one side. `bytes` is borrowed for the call only.
struct Chunk {
  From from = From::sender;
  int64_t at_us = 0;
  uint64_t offset = 0;
  std::string_view bytes;
};

/// [offset, offset + length) of one side's stream.
struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool operator==(const ByteRange&) const = default;
};

enum class Verb : uint8_t {
  none,
  ehlo,
  helo,
  lhlo,
  mail,
  rcpt,
  data,
  bdat,
  rset,
  noop,
  quit,
  vrfy,
  expn,
  help,
  starttls,
  auth,
  auth_response,  // a line that answers a 334 challenge; its text is masked
  etrn,
  turn,
  xclient,
  xforward,
  http,  // GET, POST, CONNECT, ...: no SMTP client
  unknown,
};

/// "EHLO", "MAIL", ...; "AUTH-RESPONSE" for auth_response, "" for none and unknown.
std::string_view name(Verb);

struct Event {
  enum class Kind : uint8_t { connect, reply, command, body, tls, close, note };

  Kind kind = Kind::note;
  From from = From::proxy;
  Phase phase = Phase::connect;
  bool complete = true;          ///< false: the stream ended (or lost bytes) in the middle of it
  bool truncated = false;        ///< text was cut at the limit; `bytes` still counts all
  bool bare_lf = false;          ///< a line of it ended in LF without CR
  int32_t answers = -1;          ///< reply: index of the event that it answers; -1: none (banner, unsolicited)
  uint16_t code = 0;             ///< reply: 200..599 as sent; 0: a line without a code
  Verb verb = Verb::none;        ///< command
  CloseHow how = CloseHow::fin;  ///< close
  int64_t at_us = 0;             ///< its first byte
  int64_t end_us = 0;            ///< its last byte
  uint64_t offset = 0;
  uint64_t bytes = 0;  ///< on the wire, line ends included
  uint64_t lines = 0;  ///< body
  std::string text;    ///< raw bytes without the last line end; lines of a reply are joined by '\n'; body: see head
  std::string sha256;  ///< body: hex, of the bytes without the final dot line; empty if not recorded whole
};

std::string_view name(Event::Kind);
std::optional<Event::Kind> event_kind_of(std::string_view);

struct Recipient {
  std::string address;   ///< what stood between < and >, else the first word
  int32_t command = -1;  ///< event
  int32_t reply = -1;    ///< event; -1: none came
  uint16_t code = 0;
};

/// What of a body is no text of a mail, or looks like its end. Known only of a body that was seen whole. Of one sent
/// with BDAT, whose end is counted, only NUL and 8-bit bytes are looked for.
struct BodyOddities {
  struct Seen {
    uint64_t count = 0, first = 0;  ///< `first`: offset of the first in the sender's stream
  };
  Seen bare_lf, bare_cr, nul;
  Seen eight_bit;                  ///< only the first is counted
  Seen long_line;                  ///< longer than the 1000 bytes of RFC 5321 4.5.3.1.6; `first`: the line's beginning
  Seen look_alike;                 ///< a lone dot between other line ends than CR LF
  uint64_t look_alike_length = 0;  ///< of the first, its line ends included
  bool ended_at_look_alike = false;  ///< the gateway took one for the end; then nothing else here is known
  bool stops_at_dot = false;         ///< unfinished, and the last line was a lone dot
};

/// What followed one MAIL command, or a RCPT, DATA or BDAT where no transaction was open.
struct Message {
  std::optional<std::string> mail_from;   ///< empty for <>; none: no MAIL command was seen
  std::optional<uint64_t> size_declared;  ///< SIZE=, RFC 1870
  std::vector<Recipient> recipients;
  int32_t mail = -1, mail_reply = -1;  ///< events; -1: none
  int32_t data = -1, data_reply = -1;  ///< DATA, or the first BDAT
  int32_t body = -1;                   ///< event of kind body
  int32_t final_reply = -1;            ///< the reply to the end of data
  uint64_t bytes = 0;                  ///< of the body as sent, without the final dot line
  std::string sha256;
  std::string queue_id;  ///< the gateway's name for it, taken from the final reply
  BodyOddities odd;
  bool bdat = false;
  bool ended = false;      ///< the sender sent all of it (dot line, or BDAT LAST)
  bool accepted = false;   ///< the final reply was 2xx
  bool withdrawn = false;  ///< given up by the sender before DATA: RSET, QUIT, a new EHLO or MAIL
};

/// What could be read of TLS from outside.
struct TlsFacts {
  std::string mode;                                 ///< "starttls" or "implicit"
  std::string client_version, server_version, sni;  ///< as named in the hellos; empty if not seen
  std::string alert;                                ///< "sender: handshake_failure(40)"; empty if none was readable
  bool application_data = false;                    ///< records of both sides after the handshake were seen
};

}  // namespace smtpscope
