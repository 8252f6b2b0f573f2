#include "config/reload.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/units.h"

namespace smtpscope {
namespace {

bool same_place(const ListenerSettings& a, const ListenerSettings& b) {
  return a.address == b.address && a.accept == b.accept;
}

const ListenerSettings* find_place(const std::vector<ListenerSettings>& all, const ListenerSettings& place) {
  const auto it = std::find_if(all.begin(), all.end(), [&](const auto& each) { return same_place(each, place); });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace

ReloadPlan plan_reload(const Settings& running, const Settings& wanted) {
  ReloadPlan plan{wanted, {}};
  const auto keep = [&](std::string pointer, const std::string& value) {
    plan.kept.push_back({std::move(pointer), fmt::format("stays {} until smtpscope is started anew", value)});
  };
  plan.settings.listeners = running.listeners;
  for (size_t i = 0; i < running.listeners.size(); ++i) {
    ListenerSettings& listener = plan.settings.listeners[i];
    if (const ListenerSettings* found = find_place(wanted.listeners, listener))
      listener = *found;
    else
      keep("/listeners", fmt::format("with {}, in the mode that it has,", format_host_port(listener.address)));
  }
  for (size_t i = 0; i < wanted.listeners.size(); ++i)
    if (find_place(running.listeners, wanted.listeners[i]) == nullptr)
      keep(fmt::format("/listeners/{}", i),
           fmt::format("as it is: {} is not added or changed", format_host_port(wanted.listeners[i].address)));
  if (wanted.workers != running.workers) keep("/workers", std::to_string(running.workers));
  if (wanted.store.path != running.store.path) keep("/store/path", quoted(running.store.path));
  if (wanted.control.listen != running.control.listen)
    keep("/control/listen", running.control.listen ? format_host_port(*running.control.listen) : "without an address");
  if (wanted.control.token_file != running.control.token_file) keep("/control/token_file", "what it was");
  if (wanted.user != running.user) keep("/user", running.user.empty() ? "without one" : quoted(running.user));
  plan.settings.workers = running.workers;
  plan.settings.user = running.user;
  plan.settings.store.path = running.store.path;
  plan.settings.control = running.control;
  return plan;
}

bool same_window(const CaptureSettings& a, const CaptureSettings& b) {
  return a.senders == b.senders && a.exclude == b.exclude && a.sessions == b.sessions && a.for_ms == b.for_ms;
}

}  // namespace smtpscope
