// An SPF record, taken apart. Pure; RFC 7208 4.6 and 12.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/address_set.h"
#include "config/result.h"

namespace smtpscope {

struct SpfTerm {
  enum class Kind : uint8_t { all, addresses, a, mx, include, exists, ptr };
  enum class Qualifier : uint8_t { pass, fail, softfail, neutral };
  Kind kind = Kind::all;
  Qualifier qualifier = Qualifier::pass;
  std::optional<AddressRange> range;  ///< addresses: ip4, ip6; none: it matches nobody
  std::string domain;                 ///< a, mx, include, exists, ptr: as written; empty: the record's own
  unsigned bits4 = 32, bits6 = 128;   ///< a, mx: how much of each address counts
  std::string text;                   ///< as written
};

struct SpfRecord {
  std::vector<SpfTerm> terms;  ///< those behind an "all" are left out
  std::string redirect;        ///< as written; empty: none, or an "all" makes it void
};

/// Does it begin as an SPF record does?
bool is_spf_record(std::string_view text);
/// The error says which term is wrong, and how; a receiver ends with permerror then.
Result<SpfRecord> parse_spf_record(std::string_view text);

/// The name that a domain-spec stands for in the record of `domain`; nullopt if it depends on the session (the
/// sender's address, its HELO, MAIL FROM).
std::optional<std::string> spf_domain(std::string_view spec, std::string_view domain);

}  // namespace smtpscope
