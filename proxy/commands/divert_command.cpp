// smtpscope divert: on, off, print, status.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "capture/store/debug_windows.h"
#include "capture/transcript/json_text.h"
#include "config/checks.h"
#include "config/loader.h"
#include "config/units.h"
#include "proxy/clock.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/locate.h"
#include "proxy/divert/divert.h"
#include "proxy/divert/host_facts.h"
#include "proxy/divert/names_to_divert.h"
#include "proxy/divert/nft_text.h"

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

struct DivertArguments {
  std::string config, wait;
  bool cut = false, as_json = false;
};

void say(const std::string& sentence) { fmt::print(stderr, "smtpscope: {}\n", sentence); }

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

std::string dump(const json& j) { return j.dump(2, ' ', false, json::error_handler_t::replace) + "\n"; }

/// Debug windows that are open besides the configuration's own, as the store has them.
std::vector<DivertWindow> stored_windows(const std::string& store) {
  std::vector<DivertWindow> windows;
  const int64_t now = unix_us();
  for (StoredWindow& stored : read_debug_windows(store)) {
    stored.settle(now);
    const DebugWindow& w = stored.window;
    if (!stored.ended_by.empty() || w.id == kConfigWindow) continue;
    const int64_t left_us = w.until_us == 0 ? 0 : w.until_us - now;
    windows.push_back({w.senders, w.exclude, static_cast<uint64_t>(left_us + 999'999) / 1'000'000});
  }
  return windows;
}

/// The intent that the configuration has, and the windows that are open; none if it is not right, which is then said.
/// `nobody_is_fine`: that there is nobody to divert now is no fault.
std::optional<DivertIntent> intent_of(const DivertArguments& a, bool nobody_is_fine = false) {
  const auto path = find_config(a.config);
  if (!path) {
    say("no configuration file: `divert` takes senders, gateway and listener from it (--config FILE)");
    return std::nullopt;
  }
  const auto text = read_settings_text(*path);
  const auto settings = text ? load_settings_text(*text, *path) : Result<Settings>(Error{text.error()});
  if (!settings) {
    fmt::print(stderr, "{}\n", settings.error());
    return std::nullopt;
  }
  const std::vector<DivertWindow> windows = stored_windows(settings->store.path);
  DivertPlanning plan = plan_divert(*settings, names_to_divert(*settings, windows, say), windows);
  if (plan.nobody && nobody_is_fine) return std::move(plan.intent);
  for (SettingsIssue& issue : contradictions(*settings)) plan.faults.push_back(std::move(issue));
  for (const SettingsIssue& issue : plan.faults)
    fmt::print(stderr, "{}\n", locate_message(*text, *path, issue.pointer, issue.message));
  if (!plan.faults.empty()) return std::nullopt;
  for (const SettingsIssue& issue : plan.warnings)
    fmt::print(stderr, "{}\n", locate_message(*text, *path, issue.pointer, "warning: " + issue.message));
  return std::move(plan.intent);
}

const char* word_of(DivertStatus::Is is) {
  return is == DivertStatus::Is::off ? "off" : is == DivertStatus::Is::on ? "on" : "unfinished";
}

json status_json(const DivertStatus& s) {
  json out = {{"schema", "smtpscope.divert/1"}, {"state", word_of(s.is)}};
  if (s.state) {
    const DivertState& state = *s.state;
    json listening = json::object(), settings = json::array();
    for (size_t i = 0; i < 2; ++i)
      if (state.ports[i] != 0)
        listening[i == 1 ? "ipv6" : "ipv4"] = {{"port", state.ports[i]}, {"answered", s.listening[i]}};
    for (const ChangedSetting& c : state.settings)
      settings.push_back({{"name", c.name}, {"before", c.before}, {"during", c.during}});
    out["since"] = iso_utc(state.since_us);
    out["until"] = s.ends_in_s ? json(iso_utc(unix_us() + static_cast<int64_t>(*s.ends_in_s) * 1'000'000)) : json();
    out["ends_in_s"] = s.ends_in_s ? json(*s.ends_in_s) : json();
    out["ended"] = s.ended;
    out["senders"] = s.senders;
    out["port"] = state.port;
    out["listening"] = std::move(listening);
    out["sessions"] = s.sessions;
    out["table"] = kDivertTable;
    out["mark"] = state.numbers.mark;
    out["route_table"] = state.numbers.table;
    out["rule_priority"] = state.numbers.priority;
    out["conntrack_zone"] = state.numbers.zone == 0 ? json() : json(state.numbers.zone);
    out["settings"] = std::move(settings);
    out["intent"] = json::parse(state.intent, nullptr, false);
  }
  out["differences"] = s.differences;
  out["warnings"] = s.warnings;
  return out;
}

std::string status_text(const DivertStatus& s) {
  std::string out;
  const auto line = [&](const std::string& text) { out += text + "\n"; };
  if (!s.state) {
    line("off: nothing is diverted");
  } else {
    const DivertState& state = *s.state;
    line(fmt::format("{}: connections to port {}, since {}", word_of(s.is), state.port, iso_utc(state.since_us)));
    if (s.ended)
      line("its time is over: everybody goes straight to the gateway; `divert off` tidies up");
    else if (s.ends_in_s)
      line(fmt::format("senders: {} addresses and ranges, for another {}", s.senders,
                       format_duration_ms(*s.ends_in_s * 1000)));
    else
      line(fmt::format("senders: {} addresses and ranges, with no end (capture.for)", s.senders));
    for (size_t i = 0; i < 2; ++i)
      if (state.ports[i] != 0)
        line(fmt::format(
            "IPv{}: port {}: {}", i == 1 ? 6 : 4, state.ports[i],
            s.listening[i] ? "the proxy listens" : "nobody listens, so that connections go straight to the gateway"));
    line(fmt::format("diverted sessions in progress: {}", s.sessions));
    line(fmt::format("nft table inet {}, mark {:#x}, ip rule priority {}, route table {}{}", kDivertTable,
                     state.numbers.mark, state.numbers.priority, state.numbers.table,
                     state.numbers.zone == 0 ? "" : fmt::format(", conntrack zone {}", state.numbers.zone)));
    for (const ChangedSetting& c : state.settings) line(fmt::format("{}: {} (before: {})", c.name, c.during, c.before));
  }
  for (const std::string& difference : s.differences) line("difference: " + difference);
  for (const std::string& warning : s.warnings) line("warning: " + warning);
  return out;
}

ExitCode code_of(const DivertStatus& s) {
  if (!s.differences.empty()) return ExitCode::failed;
  return s.is == DivertStatus::Is::off || s.ended || s.answered() ? ExitCode::ok : ExitCode::proxy_unreachable;
}

/// Shows the state reached by `on`; its exit code is not that of `status`.
ExitCode show(const DivertArguments& a, const DivertIntent* intent, ExitCode* code = nullptr) {
  const auto status = divert_status(intent);
  if (!status) {
    say(status.error());
    return ExitCode::failed;
  }
  if (code != nullptr) *code = code_of(*status);
  return print(a.as_json ? dump(status_json(*status)) : status_text(*status)) ? ExitCode::ok : ExitCode::failed;
}

ExitCode on(const DivertArguments& a) {
  const auto intent = intent_of(a);
  if (!intent) return ExitCode::config;
  return divert_on(*intent, say) ? show(a, &*intent) : ExitCode::failed;
}

ExitCode off(const DivertArguments& a) {
  uint64_t wait_ms = Settings().drain_ms;
  if (!a.wait.empty()) {
    const auto wait = parse_duration_ms(a.wait);
    if (!wait) throw CLI::ValidationError("--wait", wait.error());
    wait_ms = *wait;
  }
  return divert_off(wait_ms, a.cut, say) ? show(a, nullptr) : ExitCode::failed;
}

ExitCode print_commands(const DivertArguments& a) {
  const auto intent = intent_of(a);
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
      for (const Command& c : commands)
        out.push_back({{"command", c.words}, {"input", c.input.empty() ? json() : json::parse(c.input)}});
      return out;
    };
    text = dump({{"schema", "smtpscope.divert-commands/1"}, {"on", list(preview->on)}, {"off", list(preview->off)}});
  } else {
    text = "# What `smtpscope divert on` would run now. It is not run.\n";
    for (const Command& c : preview->on) text += readable(c).shell() + "\n";
    text += "\n# What `smtpscope divert off` would then run, once the last diverted session is over.\n";
    for (const Command& c : preview->off) text += readable(c).shell() + "\n";
  }
  return print(text) ? ExitCode::ok : ExitCode::failed;
}

ExitCode status(const DivertArguments& a) {
  std::optional<DivertIntent> intent;
  if (!a.config.empty() || find_config("")) {
    intent = intent_of(a, true);
    // What is diverted can be told all the same, when the file is wrong or its names cannot be resolved now.
    if (!intent) return show(a, nullptr) == ExitCode::ok ? ExitCode::config : ExitCode::failed;
  }
  ExitCode code = ExitCode::ok;
  const ExitCode shown = show(a, intent ? &*intent : nullptr, &code);
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
  add("on", "Divert the senders of the configuration, for as long as capture.for says", on);
  CLI::App* off_command = add("off", "Divert nobody any more, and restore all that was changed", off);
  off_command->add_option("--wait", a->wait, "How long diverted sessions may take to end (10s)");
  off_command->add_flag("--cut", a->cut, "Do not wait for diverted sessions: break them off");
  add("print", "Show the commands of on and off without running them", print_commands);
  add("status",
      "What is diverted, until when, and whether the proxy listens; 1: not as it should be, 5: nobody listens", status);
}

}  // namespace smtpscope
