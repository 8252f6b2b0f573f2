#include "proxy/divert/inspect.h"

#include <fmt/format.h>

#include <fstream>

#include "proxy/divert/command_runner.h"
#include "proxy/divert/kernel_settings.h"

namespace smtpscope {
namespace {

Result<std::string> output_of(std::vector<std::string> words) {
  const Command command{std::move(words), {}};
  CommandOutcome outcome = run_command(command);
  if (outcome.ok()) return std::move(outcome.output);
  return Error{fmt::format("`{}` failed{}: {}", command.shell(),
                           outcome.status == 127 ? " (install iproute2 and nftables)" : "", outcome.output)};
}

}  // namespace

Result<HostFacts> inspect_host() {
  HostListing listing;
  for (size_t family = 0; family < 2; ++family) {
    const char* const option = family == 1 ? "-6" : "-4";
    auto rules = output_of({"ip", "-N", "-j", option, "rule", "show"});
    if (!rules) return Error{rules.error()};
    auto routes = output_of({"ip", "-N", "-j", option, "route", "show", "table", "all"});
    if (!routes) return Error{routes.error()};
    listing.rules[family] = std::move(*rules);
    listing.routes[family] = std::move(*routes);
  }
  auto ruleset = output_of({"nft", "-j", "list", "ruleset"});
  if (!ruleset) return Error{ruleset.error()};
  listing.ruleset = std::move(*ruleset);
  for (const char* program : {"iptables-save", "ip6tables-save"})  // hosts without them have no such rules
    if (const auto saved = output_of({program})) listing.iptables += *saved;
  std::ifstream("/proc/sys/net/netfilter/nf_conntrack_count") >> listing.tracked;
  return read_host_facts(listing);
}

Result<HostNow> inspect_host(const DivertState& state) {
  auto facts = inspect_host();
  if (!facts) return Error{facts.error()};
  return with_settings(std::move(*facts), state);
}

HostNow with_settings(HostFacts facts, const DivertState& state) {
  HostNow now{std::move(facts), {}};
  for (const ChangedSetting& setting : state.settings) now.settings.push_back(read_kernel_setting(setting.name));
  return now;
}

std::string mac_of(const std::string& interface) {
  std::string address;
  std::getline(std::ifstream("/sys/class/net/" + interface + "/address") >> std::ws, address);
  return address;
}

}  // namespace smtpscope
