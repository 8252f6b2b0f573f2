// RFC 5321 line syntax, read as tolerantly as real servers read it: the verb of a command line, its path and
// parameters, the code of a reply line, and what a reply's text says of a queue id. Pure functions over one line
// without its line end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "capture/smtp/event.h"

namespace smtpscope {

/// The verb of a command line. Leading blanks are skipped, case does not matter; Verb::none for a blank line.
Verb parse_verb(std::string_view line);

/// What a MAIL or RCPT line names: the text between < and >, else the first word behind FROM or TO and their colon,
/// which some senders leave out.
std::string parse_path(std::string_view line);

/// SIZE=n of a MAIL line (RFC 1870), none if absent or no number.
std::optional<uint64_t> parse_size_parameter(std::string_view line);

/// RFC 3030: "BDAT" SP chunk-size [SP "LAST"].
struct BdatCommand {
  uint64_t size = 0;
  bool last = false;
};
/// None if the size is missing, negative, no decimal number of at most 19 digits, or followed by junk.
std::optional<BdatCommand> parse_bdat(std::string_view line);

struct ReplyLine {
  uint16_t code = 0;       ///< 0: the line does not begin with three digits
  bool continues = false;  ///< "250-": more lines follow
};
ReplyLine parse_reply_line(std::string_view line);

/// What a beginning shows of the whole. Bytes that come behind it change `no` and `yes` no more.
enum class Fit : uint8_t { no, perhaps, yes };
/// Do these first bytes behind lost ones begin a command that cannot be the rest of another line, of a credential say?
Fit fits_command(std::string_view bytes);
/// Do these first bytes behind lost ones begin a line of a reply?
Fit fits_reply(std::string_view bytes);

/// "5.1.1" of "550 5.1.1 ..." and of Cisco's "550 #5.1.1 ..."; empty if there is none.
std::string_view enhanced_code(std::string_view reply_text);

/// The queue id in the final reply of Postfix, Exim, Sendmail, OpenSMTPD, Exchange, Cisco, Google and Haraka; empty if
/// the text names none.
std::string parse_queue_id(std::string_view reply_text);

/// Does `text` begin with `prefix`, whatever the case (ASCII)?
bool starts_with_nocase(std::string_view text, std::string_view prefix);

}  // namespace smtpscope
