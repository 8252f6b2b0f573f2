#include "proxy/divert/names_to_divert.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "config/sender_spec.h"
#include "config/units.h"
#include "proxy/names/name_resolver.h"

namespace smtpscope {
namespace {

constexpr uint64_t kLimitMs = 20'000;

}  // namespace

ResolvedNames names_to_divert(const Settings& settings, const std::vector<DivertWindow>& windows,
                              const std::function<void(const std::string&)>& say) {
  std::vector<std::string> names;
  const auto take = [&](const std::vector<std::string>& entries) {
    for (const std::string& entry : entries)
      if (const auto spec = parse_sender_spec(entry); spec && spec->has_addresses()) names.push_back(entry);
  };
  take(settings.capture.senders);
  take(settings.capture.exclude);
  for (const DivertWindow& window : windows) {
    take(window.senders);
    take(window.exclude);
  }
  if (names.empty()) return {};
  const auto& server = settings.dns.resolver;
  NamesNow now = resolve_now(names, server ? format_host_port(*server) : "", kLimitMs);
  for (const NameResolver::State& state : now.states) {
    if (!state.failure.empty()) say(fmt::format("{}: {}", state.name, state.failure));
    if (!state.left_out.empty()) say(fmt::format("{}: left out: {}", state.name, fmt::join(state.left_out, ", ")));
  }
  return std::move(now.names);
}

}  // namespace smtpscope
