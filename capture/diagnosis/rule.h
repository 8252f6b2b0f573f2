// A rule is all there is to one kind of breakdown: its name, its words, its two scripts and its test. Adding a kind is
// adding one entry to a table rules_<phase>.cpp. A rule tests one refusing reply (`reply`: pure data) or the
// session as a whole (`check`: a function); one that has both fires on either.
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

struct View;  // view.h: the case, with what most checks ask precomputed

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

constexpr uint32_t in(Phase phase) { return 1U << static_cast<unsigned>(phase); }
inline constexpr uint32_t kAnyPhase = 0xFFFF'FFFFU;

/// A refusing reply (4xx, 5xx). It is judged by the first rule in table order whose test it passes.
struct ReplyTest {
  uint32_t phases = 0;          ///< set of in(Phase)
  uint16_t from = 0, to = 0;    ///< codes, both included; 0: this is no reply rule
  std::string_view enhanced{};  ///< any of these, without the class digit: "1.1 1.10 7.606-649"
  std::string_view texts{};     ///< or judged_words() contains any of these: lower case, '|' between them
  bool bounce = false;          ///< only where the envelope sender is <>
  std::string_view unless{};    ///< but the words contain none of these
  Verb verb = Verb::none;       ///< only of this command; none: of any
};

struct Rule {
  enum class Kind : uint8_t { breakdown, note };

  std::string_view code;
  std::string_view title{};  ///< one line: "The gateway does not know the recipient"
  Kind kind = Kind::breakdown;
  Phase phase = Phase::connect;
  Party party = Party::unknown;
  std::string_view expected{};
  std::string_view why{};
  std::string_view advice{};
  std::array<std::string_view, 3> references{};
  std::string_view fires{};  ///< a script (script.h) in which the breakdown's line is marked
  std::string_view quiet{};  ///< a script, close to `fires`, in which the rule must not fire
  ReplyTest reply{};
  /// Beside `reply`: true for a refusal that is of this kind for what it answers, whatever it says and in any phase.
  bool (*also)(const View&, int32_t refusal) = nullptr;
  std::optional<Match> (*check)(const View&) = nullptr;
};

/// All rules, in the order in which ties are decided.
std::span<const Rule* const> all_rules();

/// The rule with this code, null if there is none.
const Rule* find_rule(std::string_view code);

}  // namespace smtpscope
