#include "proxy/commands/window_divert.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "capture/store/debug_windows.h"
#include "config/loader.h"
#include "proxy/commands/ask_command.h"
#include "proxy/commands/locate.h"
#include "proxy/divert/divert.h"
#include "proxy/divert/names_to_divert.h"
#include "proxy/divert/state.h"

namespace smtpscope {
namespace {

using json = nlohmann::json;

void say(const std::string& sentence) { fmt::print(stderr, "smtpscope: {}\n", sentence); }

/// The windows that are open, and what is left of the configuration's own; it has no senders any more if it has ended.
struct OpenWindows {
  std::vector<DivertWindow> opened;
  bool config = false;
  uint64_t config_left_s = 0;
};

OpenWindows open_windows(const std::string& body) {
  OpenWindows out;
  const json told = json::parse(body);
  for (const json& window : told.at("windows")) {
    const json& left = window.at("left_ms");
    // An end that is a moment away is still an end.
    const uint64_t left_s =
        left.is_null() ? 0 : static_cast<uint64_t>(std::max<int64_t>((left.get<int64_t>() + 999) / 1000, 1));
    if (window.at("id").get<std::string>() == kConfigWindow) {
      out.config = true;
      out.config_left_s = left_s;
    } else {
      out.opened.push_back({window.at("senders").get<std::vector<std::string>>(),
                            window.at("exclude").get<std::vector<std::string>>(), left_s});
    }
  }
  return out;
}

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
  try {
    const OpenWindows windows = open_windows(answer.body);
    if (!windows.config) settings->capture.senders.clear();
    const DivertPlanning plan =
        plan_divert(*settings, names_to_divert(*settings, windows.opened, say), windows.opened, windows.config_left_s);
    if (plan.nobody) {
      divert_nobody(say);
      return;
    }
    for (const SettingsIssue& fault : plan.faults) say(fault.pointer + ": " + fault.message);
    if (!plan.faults.empty() || !divert_on(plan.intent, say))
      say("the kernel diverts the senders that it diverted before; when that is mended: smtpscope divert on");
  } catch (const json::exception&) {
    say("what answers makes no sense; the kernel's diversion stays as it was: smtpscope divert on");
  }
}

}  // namespace smtpscope
