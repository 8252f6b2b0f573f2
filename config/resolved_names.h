// What DNS says of the names among senders, as far as it is known: handed to SenderFilter::build().
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/address_set.h"

namespace smtpscope {

struct ResolvedName {
  std::vector<AddressRange> ranges;
  bool whole = true;  ///< false: a part of the look-ups failed, and there may be more
  bool operator==(const ResolvedName&) const = default;
};

/// By SenderSpec::key() of a host, mx: or spf: entry. A name that is not here has never been resolved.
using ResolvedNames = std::map<std::string, ResolvedName>;

}  // namespace smtpscope
