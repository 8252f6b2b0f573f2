// smtpscope doctor: is this host fit for what the configuration asks, and what is wrong.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>

#include "config/checks.h"
#include "config/loader.h"
#include "config/units.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/locate.h"
#include "proxy/doctor/checks.h"
#include "proxy/windows/open_windows.h"

namespace smtpscope {
namespace {

struct Arguments {
  std::string config, wait;
  bool as_json = false, no_probe = false;
};

ExitCode doctor(const Arguments& a) {
  std::signal(SIGPIPE, SIG_IGN);
  DoctorOptions options;
  options.probe = !a.no_probe;
  if (!a.wait.empty()) {
    const auto wait = parse_duration_ms(a.wait);
    if (!wait) throw CLI::ValidationError("--wait", wait.error());
    options.greeting_timeout_ms = *wait;
  }
  Settings settings;
  const auto path = find_config(a.config);
  if (path) {
    const auto text = read_settings_text(*path);
    const auto loaded = text ? load_settings_text(*text, *path) : Result<Settings>(Error{text.error()});
    if (!loaded) {
      fmt::print(stderr, "{}\n", loaded.error());
      return ExitCode::config;
    }
    settings = *loaded;
    auto faults = contradictions(settings);
    for (SettingsIssue& issue : unavailable(settings)) faults.push_back(std::move(issue));
    for (const SettingsIssue& issue : faults)
      fmt::print(stderr, "{}\n", locate_message(*text, *path, issue.pointer, issue.message));
    if (!faults.empty()) return ExitCode::config;
    options.windows = windows_now(settings);
  }
  const DoctorFacts facts = read_doctor_facts(settings, path.has_value(), options);
  const auto findings = examine(facts);
  const std::string text = a.as_json ? doctor_json(findings, facts) : doctor_text(findings, facts);
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return !written || unfit(findings) ? ExitCode::failed : ExitCode::ok;
}

}  // namespace

void register_doctor(CLI::App& app, ExitCode& exit_code) {
  const auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("doctor", "Is this host fit for what the configuration asks; what is wrong");
  command->add_option("--config", a->config, "Configuration file; else $SMTPSCOPE_CONFIG and the usual places");
  command->add_flag("--json", a->as_json, "As JSON");
  command->add_flag("--no-probe", a->no_probe, "Open no session with the gateway, nor through the proxy");
  command->add_option("--wait", a->wait, "How long the gateway may take to greet (35s)");
  command->callback([a, &exit_code] { exit_code = doctor(*a); });
}

}  // namespace smtpscope
