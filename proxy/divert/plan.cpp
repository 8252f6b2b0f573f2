#include "proxy/divert/plan.h"

#include <fmt/format.h>

#include "proxy/divert/kernel_settings.h"
#include "proxy/divert/ruleset.h"

namespace smtpscope {
namespace {

constexpr const char* kBridgeSetting = "bridge/";

std::vector<std::string> ip(size_t family, const char* object, const char* verb) {
  return {"ip", family == 1 ? "-6" : "-4", object, verb};
}

Command rule(size_t family, const char* verb, const DivertNumbers& n) {
  Command c{ip(family, "rule", verb), {}};
  for (std::string word : {std::string("priority"), std::to_string(n.priority), std::string("fwmark"),
                           fmt::format("{:#x}/{:#x}", n.mark, n.mark), std::string("lookup"), std::to_string(n.table)})
    c.words.push_back(std::move(word));
  return c;
}

Command route(size_t family, const char* verb, const DivertNumbers& n) {
  Command c{ip(family, "route", verb), {}};
  for (std::string word : {std::string("local"), std::string("default"), std::string("dev"), std::string("lo"),
                           std::string("table"), std::to_string(n.table)})
    c.words.push_back(std::move(word));
  return c;
}

}  // namespace

Command nft(std::string ruleset) { return {{"nft", "-j", "-f", "-"}, std::move(ruleset)}; }

Command set_setting(const ChangedSetting& setting, const std::string& value) {
  if (!setting.name.starts_with(kBridgeSetting)) return {{"sysctl", "-q", "-w", setting.name + "=" + value}, {}};
  const std::string rest = setting.name.substr(std::string(kBridgeSetting).size());
  const size_t slash = rest.find('/');
  return {{"ip", "link", "set", "dev", rest.substr(0, slash), "type", "bridge", rest.substr(slash + 1), value}, {}};
}

std::vector<Command> divert_commands(const DivertIntent& intent, const DivertState& state, const HostNow& now,
                                     const std::string& bridge_mac) {
  std::vector<Command> commands;
  for (size_t i = 0; i < state.settings.size() && i < now.settings.size(); ++i)
    if (!now.settings[i].empty() && now.settings[i] != state.settings[i].during)
      commands.push_back(set_setting(state.settings[i], state.settings[i].during));
  for (size_t family = 0; family < 2; ++family) {
    if (!state.families[family]) continue;
    if (!now.facts.has_route(family, state.numbers)) commands.push_back(route(family, "add", state.numbers));
    if (!now.facts.has_rule(family, state.numbers)) commands.push_back(rule(family, "add", state.numbers));
  }
  commands.push_back(nft(divert_ruleset(intent, state, bridge_mac)));
  return commands;
}

std::vector<Command> undo_commands(const DivertState& state, const HostNow& now) {
  std::vector<Command> commands;
  if (now.facts.has_inet_table || now.facts.has_bridge_table)
    commands.push_back(nft(remove_ruleset(now.facts.has_bridge_table)));
  for (size_t family = 0; family < 2; ++family) {
    if (now.facts.has_rule(family, state.numbers)) commands.push_back(rule(family, "del", state.numbers));
    if (now.facts.has_route(family, state.numbers)) commands.push_back(route(family, "del", state.numbers));
  }
  const ChangedSetting* all = nullptr;  // one that sets its likes too; it stands before them
  for (size_t i = 0; i < state.settings.size() && i < now.settings.size(); ++i) {
    const ChangedSetting& s = state.settings[i];
    const std::string& value = now.settings[i];
    const bool ours = value == s.during || s.during == s.before;
    const bool carried_along = all != nullptr && s.before != all->before;
    if (value.empty() || (!(ours && value != s.before) && !carried_along)) continue;
    commands.push_back(set_setting(s, s.before));
    if (s.name == kForwardAllV6) all = &s;
  }
  return commands;
}

HostNow when_diverted(const DivertState& state, HostNow now) {
  const DivertNumbers& n = state.numbers;
  now.facts.has_inet_table = true;
  now.facts.has_bridge_table = state.bridged;
  for (size_t family = 0; family < 2; ++family) {
    if (!state.families[family]) continue;
    now.facts.all_local[family].insert(n.table);
    if (!now.facts.has_rule(family, n)) now.facts.rules[family].push_back({n.priority, n.mark, n.mark, n.table});
  }
  now.settings.clear();
  for (const ChangedSetting& s : state.settings) now.settings.push_back(s.during);
  return now;
}

}  // namespace smtpscope
