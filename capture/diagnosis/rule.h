// A rule is all there is to one kind of breakdown: its name, its words, its two scripts and its check. Adding a kind is
// adding one entry to a table rules_<phase>.cpp.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/diagnosis/finding.h"
#include "capture/session.h"
#include "capture/smtp/event.h"

namespace smtpscope {

/// Everything that a check may look at. Borrowed for the call.
struct Case {
  const SessionFacts& session;
  const GatewayConnect& connect;
  const SessionEnd& end;
  const std::vector<Event>& events;
  const std::vector<Message>& messages;
  const std::optional<TlsFacts>& tls;
  CaptureCounts counts;
};

/// Where a rule fired. What is empty or absent is taken from the rule.
struct Match {
  int32_t event = -1;
  int64_t at_us = 0;
  From stream = From::gateway;
  uint64_t offset = 0, length = 0;
  std::string expected, got, why, advice;
  std::optional<Phase> phase;
  std::optional<Party> party;
  Confidence confidence = Confidence::certain;
};

struct Rule {
  enum class Kind : uint8_t { breakdown, note };

  std::string_view code;
  std::string_view title;   ///< one line: "The gateway refused the recipient: no such user"
  Kind kind = Kind::breakdown;
  Phase phase = Phase::connect;
  Party party = Party::unknown;
  std::string_view expected;
  std::string_view why;
  std::string_view advice;
  std::array<std::string_view, 3> references;
  std::string_view fires;   ///< a script (script.h) in which the breakdown's line is marked
  std::string_view quiet;   ///< a script, close to `fires`, in which the rule must not fire
  std::optional<Match> (*check)(const Case&);
};

/// All rules, in the order in which ties are decided.
std::span<const Rule* const> all_rules();

}  // namespace smtpscope
