// Which senders are captured: asked once for each connection, from any thread, and immutable after build().
//
// All entries are flattened, when the filter is built, into disjoint stretches of addresses, each with the one entry
// that speaks for it; a match is one binary search. Entries may overlap in any way: the one that covers the fewest
// addresses wins, and of equals the one that stands first. "exclude" beats "senders", however specific either is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/ip.h"
#include "config/result.h"

namespace smtpscope {

class SenderFilter {
 public:
  /// Entries as sender_spec.h describes them. The error names the entry: `senders: "10.2.300" is no ...`.
  static Result<SenderFilter> build(const std::vector<std::string>& senders, const std::vector<std::string>& exclude);

  /// The entry of `senders`, as it was written, that covers this address; nullopt when none does or it is excluded.
  /// The text lives as long as the filter.
  std::optional<std::string_view> match(const IpAddress& address) const;

  /// All addresses of a family that match(), as the fewest disjoint ranges, ascending; first and last both included.
  struct Range {
    IpAddress first;
    IpAddress last;
    bool operator==(const Range&) const = default;
  };
  std::vector<Range> ranges(IpAddress::Family family) const;

  /// Entries (of either list) that need DNS. They match nothing.
  const std::vector<std::string>& unresolved() const { return unresolved_; }

 private:
  struct Entry {
    IpAddress first;
    IpAddress last;
    int32_t index = 0;  ///< into names_, or kExcluded
  };
  struct Stretches {
    std::vector<IpAddress> starts;  ///< ascending; each stretch reaches to the next start
    std::vector<int32_t> entries;   ///< into names_, or kNone
  };
  static constexpr int32_t kNone = -1;
  static constexpr int32_t kExcluded = -2;

  static Stretches flatten(const std::vector<Entry>& entries);

  std::vector<std::string> names_;
  std::vector<std::string> unresolved_;
  Stretches v4_;
  Stretches v6_;
};

}  // namespace smtpscope
