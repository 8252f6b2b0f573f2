#include "proxy/commands/window_divert.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "config/loader.h"
#include "proxy/commands/ask_command.h"
#include "proxy/commands/locate.h"
#include "proxy/divert/divert.h"
#include "proxy/divert/names_to_divert.h"
#include "proxy/divert/state.h"
#include "proxy/windows/open_windows.h"

namespace smtpscope {
namespace {

void say(const std::string& sentence) { fmt::print(stderr, "smtpscope: {}\n", sentence); }

bool diversion_is_on() {
  const auto file = StateFile::look();
  if (!file) return false;
  const auto state = file->read();
  return state && state->has_value();
}

}  // namespace

void divert_follows_windows(const std::string& config_option, const std::string& store_option) {
  if (!store_option.empty()) return;  // no configuration, no listener that is known
  const auto path = find_config(config_option);
  auto settings = path ? load_settings_file(*path) : Result<Settings>(Error{""});
  if (!settings || std::none_of(settings->listeners.begin(), settings->listeners.end(),
                                [](const ListenerSettings& l) { return l.accept == Accept::tproxy; }))
    return;
  if (geteuid() != 0) return say("whether the kernel diverts its senders only root can see: smtpscope divert status");
  if (!diversion_is_on()) return say("the kernel diverts nobody to the proxy yet: smtpscope divert on");
  const ProxyAnswer answer = ask_running_proxy(config_option, store_option, "GET", "/windows");
  if (answer.code != ExitCode::ok || answer.status != 200) return;
  const auto windows = told_windows(answer.body);
  if (!windows) return say("what answers makes no sense; the kernel's diversion stays as it was: smtpscope divert on");
  const DivertPlanning plan = plan_with_windows(*settings, names_to_divert(*settings, windows->opened, say), *windows);
  if (plan.nobody) {
    divert_nobody(say);
    return;
  }
  for (const SettingsIssue& fault : plan.faults) say(fault.pointer + ": " + fault.message);
  if (!plan.faults.empty() || !divert_on(plan.intent, say))
    say("the kernel diverts the senders that it diverted before; when that is mended: smtpscope divert on");
}

}  // namespace smtpscope
