// One entry of "senders" or "exclude", understood. What an entry may be:
//
//   any                                   every address of both families
//   203.0.113.9   2001:db8::9             one address
//   203.0.113.0/24   2001:db8::/32        a network; bits beyond the prefix are ignored; 10.2.3/24 is 10.2.3.0/24
//   198.51.100.10-20                      a range in the last octet
//   198.51.100.10-198.51.101.5            a range from address to address, either family
//   10.2.3   10.2.3.   10.                a partial IPv4 address: all that begins with these octets
//   mx.partner.example                    a host by its name           \.
//   .partner.example                      every host below a domain     | names: they need DNS and match nothing
//   spf:partner.example                   whom its SPF record lets pass | until they are resolved (docs/SENDERS.md)
//   mx:partner.example                    its mail exchangers          /
//
// Case does not matter in names and keywords. Anything else is refused with a message that says what is wrong with it.
#pragma once

#include <string>
#include <string_view>

#include "config/ip.h"
#include "config/result.h"

namespace smtpscope {

struct SenderSpec {
  enum class Kind : uint8_t { any, addresses, host, domain, spf, mx };
  Kind kind = Kind::any;
  IpAddress first;  ///< addresses: the lowest and the highest, of one family
  IpAddress last;
  std::string name;  ///< host, domain (without the leading dot), spf, mx: in lower case

  /// True when only DNS can tell which addresses are meant.
  bool needs_dns() const { return kind != Kind::any && kind != Kind::addresses; }
  /// Of a name: does DNS tell its addresses beforehand? (Of a domain only whether an address is of one of its hosts.)
  bool has_addresses() const { return needs_dns() && kind != Kind::domain; }
  /// A name as it is written in lower case, the same for the same: "spf:partner.example".
  std::string key() const;
};

Result<SenderSpec> parse_sender_spec(std::string_view text);

}  // namespace smtpscope
