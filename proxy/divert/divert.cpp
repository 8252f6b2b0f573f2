#include "proxy/divert/divert.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "config/address_set.h"
#include "config/sender_spec.h"
#include "config/units.h"
#include "proxy/clock.h"
#include "proxy/divert/flows.h"
#include "proxy/divert/inspect.h"
#include "proxy/divert/kernel_settings.h"
#include "proxy/divert/plan.h"
#include "proxy/divert/ruleset.h"
#include "proxy/net/socket.h"

namespace smtpscope {
namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(200);

using json = nlohmann::ordered_json;

std::vector<std::string> split(const std::string& ranges) {
  std::vector<std::string> all;
  for (size_t at = 0; at < ranges.size();) {
    const size_t end = std::min(ranges.find(", ", at), ranges.size());
    all.push_back(ranges.substr(at, end - at));
    at = end + 2;
  }
  return all;
}

/// What is wanted, in one line that differs whenever it does.
json describe(const DivertIntent& intent) {
  json out = {{"port", intent.port}, {"for_s", intent.for_s}, {"bridge", intent.bridge}};
  for (const DivertFamily& family : intent.families) {
    if (!family.on()) continue;
    const std::string every = family.v6 ? "::" : "0.0.0.0";
    out[fmt::format("ipv{}", family.suffix())] = {
        {"listener", format_host_port({family.listen_ip.empty() ? every : family.listen_ip, family.listen_port})},
        {"senders", ranges_text(joined(family.senders))},
        {"destinations", ranges_text(family.destinations)}};
  }
  return out;
}

/// Is it what the kernel has now? Senders whose time is over are not in its sets any more; the proxy itself has put
/// others there since (sender_follower.h). `exact`: the intent knows whose time is over.
bool is_in_force(const DivertIntent& intent, const DivertState& state, const HostFacts& facts, bool exact) {
  json wanted = describe(intent), made = json::parse(state.intent, nullptr, false);
  if (!made.is_object()) return false;
  for (size_t i = 0; i < 2; ++i) {
    const DivertFamily& family = intent.families[i];
    const std::string key = std::string("ipv") + family.suffix();
    AddressSet before, now, missing(family.on() ? family.senders : AddressRanges());
    AddressSet extra;
    for (const SenderElement& element : facts.senders[i]) now.add(AddressSet({element.range}));
    extra = now;
    extra.remove(missing);
    if (made.contains(key)) {
      for (const std::string& range : split(made[key].value("senders", "")))
        if (const auto spec = parse_sender_spec(range)) before.add(AddressSet({{spec->first, spec->last}}));
      made[key].erase("senders");
    }
    missing.remove(now);
    if (!exact) missing.remove(before);
    if (!extra.empty() || !missing.empty()) return false;
    if (wanted.contains(key)) wanted[key].erase("senders");
    if (!family.on()) made.erase(key);
  }
  return wanted == made;
}

/// Senders that reach a gateway on this very host never pass through it.
std::optional<Error> gateway_here(const DivertIntent& intent) {
  for (const DivertFamily& family : intent.families)
    for (const auto& range : family.destinations) {
      const auto address = make_address(range.first.to_string(), intent.port);
      if (range.first == range.last && address && is_local(*address))
        return Error{fmt::format(
            "{} is an address of this host: connections to it cannot be diverted on their way. Let a listener with "
            "\"accept\": \"direct\" take the port instead, and move the gateway to another.",
            range.first.to_string())};
    }
  return std::nullopt;
}

/// The record that this intent needs: numbers are chosen once and then kept.
Result<DivertState> wanted_state(const DivertIntent& intent, const std::optional<DivertState>& before,
                                 const HostFacts& facts) {
  if (auto error = gateway_here(intent)) return *error;
  DivertState state = before.value_or(DivertState());
  if (!before) {
    if (facts.has_inet_table || facts.has_bridge_table)
      return Error{
          fmt::format("there is an nft table \"{}\" already, and no record of having made it: look at it (nft list "
                      "ruleset), remove "
                      "it by hand (nft delete table inet {}), and try again",
                      kDivertTable, kDivertTable)};
    const auto numbers = free_numbers(facts);
    if (!numbers) return Error{numbers.error()};
    state.numbers = *numbers;
    state.since_us = unix_us();
  }
  const auto needed = needed_settings(intent, read_kernel_settings(intent.bridge), facts);
  if (!needed) return Error{needed.error()};
  for (const ChangedSetting& setting : *needed)
    if (std::none_of(state.settings.begin(), state.settings.end(),
                     [&](const ChangedSetting& s) { return s.name == setting.name; }))
      state.settings.push_back(setting);
  state.phase = DivertState::Phase::changing;
  for (size_t i = 0; i < 2; ++i) {
    const DivertFamily& family = intent.families[i];
    state.families[i] = state.families[i] || family.on();  // what was set up once is taken away by `off`
    state.ports[i] = family.on() ? family.listen_port : 0;
  }
  state.port = intent.port;
  state.bridged = state.bridged || !intent.bridge.empty();
  state.intent = describe(intent).dump();
  state.listing.clear();
  return state;
}

/// Runs them in order; the error is of the first that fails, where the others are not run.
std::optional<Error> run_all(const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    const CommandOutcome outcome = run_command(command);
    if (outcome.ok()) continue;
    std::string line;
    for (const std::string& word : command.words) line += (line.empty() ? "" : " ") + word;
    return Error{fmt::format("`{}` failed: {}", line, outcome.output.empty() ? "no reason given" : outcome.output)};
  }
  return std::nullopt;
}

/// Takes away all that the record tells of. The record goes once nothing of it is left.
bool undo(const StateFile& file, const DivertState& state, const HostNow& now, const Say& say) {
  const std::vector<Command> commands = undo_commands(state, now);
  for (const Command& command : commands)
    if (const auto error = run_all({command})) say(error->message);
  const auto after = inspect_host(state);
  if (!after) return say(after.error()), false;
  const std::vector<Command> left = undo_commands(state, *after);
  for (const Command& command : left) say("still to be done: " + command.shell());
  if (!left.empty()) return false;
  if (const auto error = file.remove()) return say(error->message), false;
  for (size_t i = 0; i < state.settings.size(); ++i)
    if (const ChangedSetting& s = state.settings[i]; !after->settings[i].empty() && after->settings[i] != s.before)
      say(fmt::format("{} was set to {} by somebody else while the diversion was on, and stays so (it was {} before)",
                      s.name, after->settings[i], s.before));
  return true;
}

std::vector<FilterObstacle> obstacles(const DivertState& state, const HostFacts& facts) {
  return filter_obstacles(facts.filters, state.numbers.mark, state.port, state.families);
}

uint64_t wait_for_sessions(uint16_t port, uint64_t wait_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  for (;;) {
    const uint64_t left = diverted_sessions(port).size();
    if (left == 0 || std::chrono::steady_clock::now() >= deadline) return left;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

/// Resets both ends of each; without its rules it would hang, for its packets then went to a gateway that knows
/// nothing.
void cut_sessions(uint16_t port, const Say& say) {
  for (const DivertedSession& s : diverted_sessions(port)) {
    const Command command{{"ss", "-K", "-H", "-t", "-n", "src", s.dialled, "dst", s.sender}, {}};
    if (const auto error = run_all({command})) say(error->message);
  }
}

/// What stands: the record of what was changed, and the host as it is.
struct Standing {
  StateFile file;
  std::optional<DivertState> record;
  HostFacts facts;
};

Result<Standing> standing(Result<StateFile> file) {
  if (!file) return Error{file.error()};
  auto record = file->read();
  if (!record) return Error{record.error()};
  auto facts = inspect_host();
  if (!facts) return Error{facts.error()};
  return Standing{std::move(*file), std::move(*record), std::move(*facts)};
}

}  // namespace

bool divert_on(const DivertIntent& intent, const Say& say, bool force) {
  const auto found = standing(StateFile::lock());
  if (!found) return say(found.error()), false;
  const auto& [file, before, facts] = *found;
  auto wanted = wanted_state(intent, before, facts);
  if (!wanted) return say(wanted.error()), false;
  DivertState& state = *wanted;
  bool dropped = false;
  for (const FilterObstacle& obstacle : obstacles(state, facts)) {
    say((obstacle.certain ? "" : "warning: ") + obstacle_text(obstacle));
    dropped = dropped || obstacle.certain;
  }
  if (dropped && !force && (!before || before->phase != DivertState::Phase::on))
    return say("the senders' mail would stop, so the kernel was left as it is; --force diverts all the same"), false;
  if (const auto error = file.write(state)) return say(error->message), false;

  auto failed = run_all(divert_commands(intent, state, with_settings(facts, state), mac_of(intent.bridge)));
  const auto after = inspect_host(state);
  if (!failed && !after) failed = Error{after.error()};
  if (!failed && divert_commands(intent, state, *after, "").size() > 1)
    failed = Error{"not everything that was set up is there"};
  if (failed) {
    say(failed->message);
    if (before) {
      state.listing = before->listing, state.intent = before->intent;
      say("the diversion stays as it was");
      if (const auto error = file.write(state)) say(error->message);
    } else if (after && undo(file, state, *after, say)) {
      say("all that had been changed was changed back; nothing is diverted");
    }
    return false;
  }
  state.listing = after->facts.our_listing;
  state.phase = DivertState::Phase::on;
  if (const auto error = file.write(state)) return say(error->message), false;
  return true;
}

bool divert_off(uint64_t wait_ms, bool cut, const Say& say) {
  const auto found = standing(StateFile::lock());
  if (!found) return say(found.error()), false;
  const auto& [file, record, facts] = *found;
  if (!record) {
    if (!facts.has_inet_table && !facts.has_bridge_table) return true;
    say(
        fmt::format("there is an nft table \"{}\", but no record of having made it: look at it (nft list ruleset), and "
                    "remove it by hand (nft delete table inet {})",
                    kDivertTable, kDivertTable));
    return false;
  }
  DivertState state = *record;
  state.phase = DivertState::Phase::ending;
  if (const auto error = file.write(state)) return say(error->message), false;
  if (facts.has_inet_table)
    if (const auto error = run_all({nft(empty_senders_ruleset(facts.has_senders_set, true))}))
      return say(error->message), false;
  if (facts.has_inet_table && !cut) {
    if (const uint64_t left = wait_for_sessions(state.port, wait_ms); left > 0) {
      say(fmt::format(
          "{} diverted session{} still in progress, and only for {} the diversion stays; new connections go straight "
          "to "
          "the gateway already. Call `divert off` again later (--wait 10m waits), or with --cut to break {} off.",
          left, left == 1 ? " is" : "s are", left == 1 ? "it" : "them", left == 1 ? "it" : "them"));
      return false;
    }
  }
  if (cut) cut_sessions(state.port, say);
  return undo(file, state, with_settings(facts, state), say);
}

bool divert_nobody(const Say& say) {
  const auto found = standing(StateFile::lock());
  if (!found) return say(found.error()), false;
  const auto& [file, record, facts] = *found;
  if (!record || facts.senders_in_force == 0) return true;
  const auto error = run_all({nft(empty_senders_ruleset(facts.has_senders_set, false))});
  if (error) say(error->message);
  return !error;
}

Result<DivertPreview> preview_divert(const DivertIntent& intent) {
  const auto found = standing(StateFile::look());
  if (!found) return Error{found.error()};
  const auto& [file, before, facts] = *found;
  auto state = wanted_state(intent, before, facts);
  if (!state) return Error{state.error()};
  const HostNow now = with_settings(facts, *state);
  return DivertPreview{*state, divert_commands(intent, *state, now, mac_of(intent.bridge)),
                       undo_commands(*state, when_diverted(*state, now)), obstacles(*state, facts)};
}

bool DivertStatus::answered() const {
  for (size_t i = 0; state && i < 2; ++i)
    if (state->ports[i] != 0 && !listening[i]) return false;
  return true;
}

Result<DivertStatus> divert_status(const DivertIntent* intent, bool exact) {
  const auto found = standing(StateFile::look());
  if (!found) return Error{found.error()};
  const auto& [file, record, facts] = *found;
  DivertStatus status;
  if (!record) {
    if (facts.has_inet_table || facts.has_bridge_table)
      status.differences.push_back(
          fmt::format("there is an nft table \"{}\", but no record of having made it", kDivertTable));
    return status;
  }
  const DivertState& state = status.state.emplace(*record);
  status.is = state.phase == DivertState::Phase::on ? DivertStatus::Is::on : DivertStatus::Is::unfinished;
  for (size_t i = 0; i < 2; ++i) status.listening[i] = state.ports[i] != 0 && somebody_listens(i == 1, state.ports[i]);
  status.senders = facts.senders_in_force;
  for (size_t i = 0; i < 2; ++i)
    for (const SenderElement& element : facts.senders[i]) status.in_force[i].push_back(element.range);
  if (facts.senders_expire) status.ends_in_s = facts.senders_expire_in_s;
  status.ended = status.is == DivertStatus::Is::on && status.senders == 0;
  status.sessions = diverted_sessions(state.port).size();
  const auto differs = [&](std::string what) { status.differences.push_back(std::move(what)); };
  const bool ending = state.phase == DivertState::Phase::ending;
  if (ending)
    differs(
        "a `divert off` waits for sessions to end, or was cut off: `divert off` finishes it (--wait 10m waits, --cut "
        "breaks them off); new connections go straight to the gateway");
  if (state.phase == DivertState::Phase::changing)
    differs("a `divert on` was cut off: call `divert on` or `divert off` to finish it");
  for (const FilterObstacle& obstacle : obstacles(state, facts))
    if (obstacle.certain && status.senders > 0)
      differs(obstacle_text(obstacle));  // their mail stops
    else
      status.warnings.push_back(obstacle_text(obstacle));
  for (size_t i = 0; i < 2; ++i) {
    if (!state.families[i]) continue;
    if (!facts.has_rule(i, state.numbers)) differs(fmt::format("the IPv{} policy rule is missing", i == 1 ? 6 : 4));
    if (!facts.has_route(i, state.numbers)) differs(fmt::format("the IPv{} route is missing", i == 1 ? 6 : 4));
  }
  if (!facts.has_inet_table)
    differs("the nft table is missing (was the ruleset flushed?)");
  else if (!ending && !state.listing.empty() && facts.our_listing != state.listing)
    differs("the nft table is not as it was made");
  for (const ChangedSetting& s : state.settings)
    if (const std::string value = read_kernel_setting(s.name); !value.empty() && value != s.during)
      differs(fmt::format("{} is {}, not {}", s.name, value, s.during));
  if (ending) return status;  // whoever is wanted, nobody is diverted any more
  const bool somebody = intent != nullptr && (intent->families[0].on() || intent->families[1].on());
  if (somebody && facts.has_inet_table && !is_in_force(*intent, state, facts, exact))
    differs(
        "the configuration, the windows that are open, or what their names mean, is another by now: `divert on` brings "
        "it in force");
  if (intent != nullptr && !somebody && status.senders > 0)
    differs(
        "no window is open: nobody is recorded, though senders are still diverted: `smtpscope window open --sender "
        "...`, or `divert off`");
  return status;
}

}  // namespace smtpscope
