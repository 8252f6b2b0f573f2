// smtpscope divert: on, off, print, status.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "capture/transcript/harmless.h"
#include "capture/transcript/json_text.h"
#include "config/checks.h"
#include "config/loader.h"
#include "config/units.h"
#include "proxy/clock.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/divert_view.h"
#include "proxy/commands/locate.h"
#include "proxy/control/control_client.h"
#include "proxy/divert/divert.h"
#include "proxy/divert/host_facts.h"
#include "proxy/divert/names_to_divert.h"
#include "proxy/divert/nft_text.h"
#include "proxy/windows/open_windows.h"

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

struct DivertArguments {
  std::string config, wait;
  bool cut = false, force = false, as_json = false;
};

void say(const std::string& sentence) { fmt::print(stderr, "smtpscope: {}\n", sentence); }

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

std::string dump(const json& j) { return j.dump(2, ' ', false, json::error_handler_t::replace) + "\n"; }

struct Configured {
  std::string path, text;
  Settings settings;

  /// Says on stderr what is wrong, with line and column.
  void tell(const SettingsIssue& issue, const char* what = "") const {
    fmt::print(stderr, "{}\n", locate_message(text, path, issue.pointer, what + issue.message));
  }
};

/// None: what is wrong was said.
std::optional<Configured> configured(const DivertArguments& a) {
  const auto path = find_config(a.config);
  if (!path) {
    say("no configuration file: `divert` takes senders, gateway and listener from it (--config FILE)");
    return std::nullopt;
  }
  const auto text = read_settings_text(*path);
  auto settings = text ? load_settings_text(*text, *path) : Result<Settings>(Error{text.error()});
  if (!settings) {
    fmt::print(stderr, "{}\n", settings.error());
    return std::nullopt;
  }
  return Configured{*path, *text, std::move(*settings)};
}

/// Whom these windows record. None: what is wrong was said. `nobody_is_fine`: that it is nobody is no fault.
std::optional<DivertIntent> intent_of(const Configured& c, const OpenWindows& windows, bool nobody_is_fine = false) {
  DivertPlanning plan = plan_with_windows(c.settings, names_to_divert(c.settings, windows.opened, say), windows);
  if (plan.nobody && nobody_is_fine) return std::move(plan.intent);
  for (SettingsIssue& issue : contradictions(c.settings)) plan.faults.push_back(std::move(issue));
  for (const SettingsIssue& issue : plan.faults) c.tell(issue);
  if (!plan.faults.empty()) return std::nullopt;
  for (const SettingsIssue& issue : plan.warnings) c.tell(issue, "warning: ");
  return std::move(plan.intent);
}

/// What is not diverted is not recorded either, and the other way round: so the running proxy loads the file first.
/// False: it refuses to, and why was said.
bool load_into_proxy(const Configured& c) {
  const auto answer = ask_proxy({c.settings.store.path, c.settings.control}, "POST", "/reload", {}, kShortPatience);
  if (!answer) return true;  // there is none
  const auto told = nlohmann::json::parse(answer->body, nullptr, false);
  const auto list = [&](const char* key) {
    if (told.is_object() && told.contains(key) && told[key].is_array())
      for (const auto& message : told[key])
        if (message.is_string()) say(harmless(message.get<std::string>()));
  };
  if (answer->status == 200) {
    list("kept");
    say(fmt::format("the running proxy has loaded {} anew", c.path));
    return true;
  }
  list("faults");
  const std::string why = told.is_object() && told.contains("error") && told["error"].is_string()
                              ? ": " + harmless(told["error"].get<std::string>())
                              : "";
  say(fmt::format("the running proxy does not load {}{}; nothing was changed", c.path, why));
  return false;
}

ExitCode code_of(const DivertStatus& s) {
  if (!s.differences.empty()) return ExitCode::failed;
  return s.is == DivertStatus::Is::off || s.ended || s.answered() ? ExitCode::ok : ExitCode::proxy_unreachable;
}

/// What is known besides of a status that is shown.
struct Beside {
  const Configured* configured = nullptr;
  const DivertIntent* intent = nullptr;
  OpenWindows windows{};
};

std::string no_window_is_open(const Configured& c) {
  const std::string last = last_ended_window(c.settings.store.path);
  return fmt::format("no window is open{}: nobody is recorded", last.empty() ? "" : " (" + last + ")");
}

/// `code`: gets that of `status`.
ExitCode show(const DivertArguments& a, const Beside& beside, ExitCode* code = nullptr) {
  auto status = divert_status(beside.intent, beside.windows.told);
  if (!status) {
    say(status.error());
    return ExitCode::failed;
  }
  const OpenWindows& w = beside.windows;
  if (status->state && w.told && w.config &&
      (w.config_senders != beside.configured->settings.capture.senders ||
       w.config_exclude != beside.configured->settings.capture.exclude))
    status->differences.push_back(
        fmt::format("the running proxy records others than {} says: `divert on` has it load the file (options of `run` "
                    "stand over the file)",
                    beside.configured->path));
  if (status->is == DivertStatus::Is::on && status->answered() && !w.untold.empty())
    status->warnings.push_back(
        fmt::format("whether these senders are recorded is not known, as the proxy cannot be asked for its windows: {}",
                    harmless(w.untold)));
  if (code != nullptr) *code = code_of(*status);
  const std::string why = w.none() ? no_window_is_open(*beside.configured) : "";
  return print(a.as_json ? dump(divert_status_json(*status, w)) : divert_status_text(*status, why)) ? ExitCode::ok
                                                                                                    : ExitCode::failed;
}

ExitCode on(const DivertArguments& a) {
  const auto c = configured(a);
  if (!c) return ExitCode::config;
  if (const auto issues = contradictions(c->settings); !issues.empty()) {
    for (const SettingsIssue& issue : issues) c->tell(issue);
    return ExitCode::config;
  }
  if (!load_into_proxy(*c)) return ExitCode::failed;
  const OpenWindows windows = windows_now(c->settings);
  if (windows.none()) {
    say(
        fmt::format("{}, so nobody is to be diverted, and nothing was changed. Open one, and call `divert on` again: "
                    "smtpscope window open --sender ADDRESS --for 30m",
                    no_window_is_open(*c)));
    return ExitCode::failed;
  }
  const auto intent = intent_of(*c, windows);
  if (!intent) return ExitCode::config;
  if (!divert_on(*intent, say, a.force)) return ExitCode::failed;
  ExitCode code = ExitCode::ok;
  if (show(a, {&*c, &*intent, windows}, &code) != ExitCode::ok) return ExitCode::failed;
  if (code != ExitCode::proxy_unreachable) return ExitCode::ok;
  say("the diversion is on, but no proxy listens: all mail goes straight to the gateway until `smtpscope run` is "
      "started");
  return code;
}

ExitCode off(const DivertArguments& a) {
  uint64_t wait_ms = Settings().drain_ms;
  if (!a.wait.empty()) {
    const auto wait = parse_duration_ms(a.wait);
    if (!wait) throw CLI::ValidationError("--wait", wait.error());
    wait_ms = *wait;
  }
  return divert_off(wait_ms, a.cut, say) ? show(a, {}) : ExitCode::failed;
}

ExitCode print_commands(const DivertArguments& a) {
  const auto c = configured(a);
  if (!c) return ExitCode::config;
  OpenWindows windows = windows_now(c->settings);
  if (windows.none() && c->settings.capture.senders.empty()) {
    say(
        fmt::format("{}, and the file names no senders: there is nothing that could be shown. Open one, and call "
                    "`divert print` again: smtpscope window open --sender ADDRESS --for 30m",
                    no_window_is_open(*c)));
    return ExitCode::failed;
  }
  if (windows.none()) {
    say(fmt::format("{}; `divert on` would refuse. This is what it would do with the file's own window open:",
                    no_window_is_open(*c)));
    windows = {};
  }
  const auto intent = intent_of(*c, windows);
  if (!intent) return ExitCode::config;
  const auto preview = preview_divert(*intent);
  if (!preview) {
    say(preview.error());
    return ExitCode::failed;
  }
  std::string text;
  if (a.as_json) {
    const auto list = [](const std::vector<Command>& commands) {
      json out = json::array();
      for (const Command& each : commands)
        out.push_back({{"command", each.words}, {"input", each.input.empty() ? json() : json::parse(each.input)}});
      return out;
    };
    json filters = json::array();
    for (const FilterObstacle& o : preview->obstacles)
      filters.push_back({{"chain", o.chain}, {"drops", o.certain}, {"insert", o.insert}, {"remove", o.remove}});
    text = dump({{"schema", "smtpscope.divert-commands/1"},
                 {"filters", filters},
                 {"on", list(preview->on)},
                 {"off", list(preview->off)}});
  } else {
    for (const FilterObstacle& obstacle : preview->obstacles) {
      text += "# " + obstacle_text(obstacle) + "\n";
    }
    text += "# What `smtpscope divert on` would run now. It is not run.\n";
    for (const Command& command : preview->on) text += readable(command).shell() + "\n";
    text += "\n# What `smtpscope divert off` would then run, once the last diverted session is over.\n";
    for (const Command& command : preview->off) text += readable(command).shell() + "\n";
  }
  return print(text) ? ExitCode::ok : ExitCode::failed;
}

ExitCode status(const DivertArguments& a) {
  ExitCode code = ExitCode::ok, shown = ExitCode::ok;
  if (a.config.empty() && !find_config("")) {
    shown = show(a, {}, &code);
    return shown == ExitCode::ok ? code : shown;
  }
  const auto c = configured(a);
  const OpenWindows windows = c ? windows_now(c->settings) : OpenWindows();
  const auto intent = c ? intent_of(*c, windows, true) : std::nullopt;
  // What is diverted can be told all the same, when the file is wrong or its names cannot be resolved now.
  if (!intent) return show(a, {}) == ExitCode::ok ? ExitCode::config : ExitCode::failed;
  shown = show(a, {&*c, &*intent, windows}, &code);
  return shown == ExitCode::ok ? code : shown;
}

}  // namespace

void register_divert(CLI::App& app, ExitCode& exit_code) {
  const auto a = std::make_shared<DivertArguments>();
  CLI::App* divert = app.add_subcommand("divert", "The kernel rules that put the proxy inline; needs root");
  divert->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, ExitCode (*run)(const DivertArguments&)) {
    CLI::App* command = divert->add_subcommand(name, help);
    command->add_option("--config", a->config, "Configuration file, with the senders, the gateway and the listener");
    command->add_flag("--json", a->as_json, "As JSON");
    command->callback([a, &exit_code, run] {
      if (geteuid() == 0) {
        exit_code = run(*a);
        return;
      }
      say("divert needs root");
      exit_code = ExitCode::failed;
    });
    return command;
  };
  CLI::App* on_command = add(
      "on", "Divert the senders of the open windows, for as long as these last; 5: done, but nobody listens yet", on);
  on_command->add_flag("--force", a->force, "Also where this host's packet filter drops what would be diverted");
  CLI::App* off_command = add("off", "Divert nobody any more, and restore all that was changed", off);
  off_command->add_option("--wait", a->wait, "How long diverted sessions may take to end (10s)");
  off_command->add_flag("--cut", a->cut, "Do not wait for diverted sessions: break them off");
  add("print", "Show the commands of on and off without running them", print_commands);
  add("status",
      "What is diverted, until when, and whether the proxy listens; 1: not as it should be, 5: nobody listens", status);
}

}  // namespace smtpscope
