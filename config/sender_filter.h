// Which senders are captured: asked once for each connection, from any thread, and immutable after build().
//
// All entries are flattened, when the filter is built, into disjoint stretches of addresses, each with the one entry
// that speaks for it; a match is one binary search. Entries may overlap in any way: the one that covers the fewest
// addresses wins, and of equals the one that stands first. "exclude" beats "senders", however specific either is.
//
// Names: of a host, mx: or spf: the addresses come from ResolvedNames. Of a domain (".partner.example") only the
// sender's own forward-confirmed names can tell: ask needs_name(), and then match() with these names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/address_set.h"
#include "config/ip.h"
#include "config/resolved_names.h"
#include "config/result.h"

namespace smtpscope {

class SenderFilter {
 public:
  /// Entries as sender_spec.h describes them. The error names the entry: `senders: "10.2.300" is no ...`.
  static Result<SenderFilter> build(const std::vector<std::string>& senders, const std::vector<std::string>& exclude,
                                    const ResolvedNames& names = {});

  /// The entry of `senders`, as it was written, that covers this address; nullopt when none does or it is excluded.
  /// The text lives as long as the filter.
  std::optional<std::string_view> match(const IpAddress& address) const;

  /// True where the address alone does not tell: a domain is among the entries, and no exclusion settles it.
  bool needs_name(const IpAddress& address) const;
  /// As match(), of a sender with these names (lower case, forward-confirmed). `all`: it has no others; else a domain
  /// in `exclude` may be its, and then it does not match.
  std::optional<std::string_view> match(const IpAddress& address, const std::vector<std::string>& names,
                                        bool all) const;

  using Range = AddressRange;
  /// All addresses of a family that match(), as the fewest disjoint ranges, ascending; first and last both included.
  std::vector<Range> ranges(IpAddress::Family family) const;

  /// Names of hosts, mx: and spf: (of either list) that were never resolved. They match nothing.
  const std::vector<std::string>& unresolved() const { return unresolved_; }
  /// Those of `exclude` whose addresses are not or not all known. As anybody may be meant, nobody matches then.
  const std::vector<std::string>& withheld() const { return withheld_; }
  /// Is an entry a domain?
  bool has_domains() const { return !domains_.empty(); }

 private:
  struct Entry {
    IpAddress first;
    IpAddress last;
    int32_t index = 0;  ///< into names_, or kExcluded
  };
  struct Stretches {
    std::vector<IpAddress> starts;  ///< ascending; each stretch reaches to the next start
    std::vector<int32_t> entries;   ///< into names_, kNone or kExcluded
  };
  static constexpr int32_t kNone = -1;
  static constexpr int32_t kExcluded = -2;

  struct Domain {
    std::string suffix;  ///< ".partner.example"
    int32_t index = 0;   ///< into names_, or kExcluded
  };

  static Stretches flatten(const std::vector<Entry>& entries);
  int32_t index_of(const IpAddress& address) const;
  std::optional<std::string_view> entry(int32_t index) const;

  std::vector<std::string> names_;
  std::vector<std::string> unresolved_, withheld_;
  std::vector<Domain> domains_;
  bool excludes_domains_ = false;
  Stretches v4_;
  Stretches v6_;
};

}  // namespace smtpscope
