// A session in the form of Cisco's Injection Debug Log, so that who reads those can read this, with the same tools:
//
//   Wed Apr  2 14:30:04 2003 Info: 6216 Sent to '172.16.0.22': '220 postman.example.com ESMTP\015\012'
//
// 6216 is the ICID and the address is the sender's. One line for each line of SMTP, bodies too; times are local (TZ)
// and whole seconds, of the moment at which the line was complete; a line in whose midst the other side spoke comes in
// pieces, so that all bytes stand in the order in which they passed. Within the quotes a backslash is \\, a quote is
// \', and every byte that is not printable ASCII is three octal digits: \015, \303. A line of more than kMaxLine bytes
// goes on in the next log line, and so do TLS records, which have no lines. What was not recorded, or masked, is as it
// is in the recording; for bytes that are missing there is a line of our own:
//
//   Wed Apr  2 14:30:05 2003 Info: 6216 Missing from '172.16.0.22': 5120 bytes (body)
#pragma once

#include <string>
#include <vector>

#include "capture/recording/record.h"

namespace smtpscope {

class InjectionLog {
 public:
  static constexpr size_t kMaxLine = 4096;

  explicit InjectionLog(SessionFacts facts) : facts_(std::move(facts)) {}

  /// Appends the lines that this record completes, each ended by '\n'.
  void record(const Record& record, std::string& out);
  /// Appends what is left of lines without an end. Call once, last.
  void finish(std::string& out);

 private:
  struct Side {
    std::string partial;  ///< the beginning of a line, at most kMaxLine bytes
    int64_t at_us = 0;    ///< of its last byte
  };

  void chunk(const Chunk& chunk, std::string& out);
  void missing(const Hole& hole, std::string& out);
  void flush(From from, std::string& out);
  void line(From from, int64_t at_us, std::string_view bytes, std::string& out);
  void head(int64_t at_us, std::string_view what, std::string& out);

  SessionFacts facts_;
  Side sender_, gateway_;
  int64_t second_ = INT64_MIN;  ///< the second that date_ is of
  std::string date_;
};

/// The whole log of one session. Empty if the records do not begin with a SessionFacts.
std::string injection_log(const std::vector<Record>& records);

}  // namespace smtpscope
