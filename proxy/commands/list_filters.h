// The FILTERS of list and its kin, from the command line's words to a query of the index. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capture/store/index.h"
#include "config/result.h"

namespace smtpscope {

/// As given, each may be empty.
struct ListFilters {
  std::vector<std::string> senders;  ///< config/sender_spec.h
  std::vector<std::string> codes, phases, parties, verdicts;
  std::string since, until;
};

/// The query, or what is wrong with a filter and what may stand there instead. `now_us` is Unix time.
Result<IndexQuery> query_of(const ListFilters& filters, int64_t now_us);

/// A moment as the index writes it: "2026-11-24T02:06:41.123456Z" from a whole ISO 8601 time in UTC (seconds and
/// fraction may be left out), a date (its first moment), or how long ago ("30m", "2h", "7d").
Result<std::string> parse_moment(std::string_view text, int64_t now_us);

}  // namespace smtpscope
