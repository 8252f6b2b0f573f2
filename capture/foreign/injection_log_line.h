// One line of an Injection Debug Log, as the gateway writes it to a file or pushes it to syslog, taken apart:
//
//   Wed Apr  2 14:30:04 2003 Info: 6216 Sent to '172.16.0.22': '220 postman.example.com ESMTP\015\012'
//   <166>Apr  2 14:30:04 gw injection_logs: Info: 6216 Rcvd from '172.16.0.22': 'QUIT\015\012'
//
// Pure functions over text; a line that is none of these gives nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "capture/smtp/vocabulary.h"

namespace smtpscope {

struct InjectionLogLine {
  std::string_view prefix;  ///< what stands before the ICID: time, host, log name, level
  uint64_t icid = 0;
  From from = From::sender;  ///< whose bytes
  std::string_view ip;       ///< the sender's
  bool missing = false;      ///< a line of our own: `length` bytes are not there, because of `reason`
  uint64_t length = 0;
  std::string_view reason;
  std::string_view quoted;  ///< the bytes, escaped, without the quotes
  bool closed = false;      ///< the closing quote is there; else the line was folded or cut
};

/// `line` without its line end. The result points into it.
std::optional<InjectionLogLine> parse_injection_log_line(std::string_view line);

/// What stands between the quotes as bytes: \015, \303, \\, \', \", \r, \n, \t, \xNN. Any other backslash is itself.
std::string unescape_injection_log(std::string_view quoted);

/// "-25200" of "Info: Time offset from UTC: -25200 seconds", in seconds east of UTC; none if the line does not say so.
std::optional<int64_t> log_utc_offset(std::string_view line);

/// Is it what the gateway writes at a log file's begin and end: "Info: Begin Logfile", "Info: Version: ...", ...?
bool is_log_file_frame(std::string_view line);

}  // namespace smtpscope
