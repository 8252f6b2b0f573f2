// Where the secrets stand in the lines of an AUTH exchange (RFC 4954), in every mechanism and step, and which echoes of
// them a reply holds. Only whole lines are judged; may_be_auth() says of a partial line whether it has to be held back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capture/smtp/event.h"

namespace smtpscope {

/// Could this beginning of a command line grow into an AUTH command? (Any part of "AUTH", or AUTH and what follows.)
bool may_be_auth(std::string_view partial_line);

/// The secret part of an "AUTH ..." line: the initial response; or the whole argument where it names no known
/// mechanism. Offsets count from the line's first byte; length 0: the line carries none.
ByteRange secret_of_auth_line(std::string_view line);

/// Could this line, sent where a response to AUTH is possible but not certain, be one? Not if it is a command.
bool looks_like_response(std::string_view line);

/// Remembers what was masked, and finds it again in what the gateway says: what was sent, whole or a piece of it
/// (replies cut what they repeat), and the secret that it decodes to.
class SecretEchoes {
 public:
  /// A secret as it was sent.
  void remember(std::string_view secret);
  bool empty() const { return secrets_.empty() && pieces_.empty(); }
  /// Ranges of `line` that repeat a secret, ascending, not overlapping; offsets from the line's first byte.
  std::vector<ByteRange> find_in(std::string_view line) const;

 private:
  void add(std::string_view text);
  void add_pieces(std::string_view encoded);

  std::vector<std::string> secrets_;  ///< found whole
  std::vector<uint64_t> pieces_;      ///< each eight bytes of what was sent in base64, ascending
};

}  // namespace smtpscope
