#include "proxy/commands/config_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "capture/transcript/harmless.h"
#include "config/checks.h"
#include "config/loader.h"
#include "config/reference.h"
#include "proxy/commands/ask_command.h"
#include "proxy/commands/locate.h"

namespace smtpscope {
namespace {

/// stdout may be a full disk or a closed pipe.
ExitCode print(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) std::fputs("smtpscope: the output could not be written\n", stderr);
  return written ? ExitCode::ok : ExitCode::failed;
}

void complain(std::string_view message) { fmt::print(stderr, "{}\n", message); }

ExitCode no_config() {
  complain(fmt::format(
      "smtpscope: no configuration file: neither --config nor SMTPSCOPE_CONFIG is given, and neither {} nor {} exists",
      kDefaultConfigs[0], kDefaultConfigs[1]));
  return ExitCode::config;
}

}  // namespace

ExitCode config_check(const std::string& path) {
  const auto found = find_config(path);
  if (!found) return no_config();
  const auto text = read_settings_text(*found);
  if (!text) {
    complain(text.error());
    return ExitCode::config;
  }
  const auto settings = load_settings_text(*text, *found);
  if (!settings) {
    complain(settings.error());
    return ExitCode::config;
  }
  auto faults = contradictions(*settings);
  for (SettingsIssue& issue : unavailable(*settings)) faults.push_back(std::move(issue));
  for (const SettingsIssue& issue : faults) complain(locate_message(*text, *found, issue.pointer, issue.message));
  for (const auto& warnings : {doubtful(*settings), undivertable_senders(*settings)})
    for (const SettingsIssue& issue : warnings)
      complain(locate_message(*text, *found, issue.pointer, "warning: " + issue.message));
  if (!faults.empty()) return ExitCode::config;
  return print(fmt::format("{}: ok\n", *found));
}

ExitCode config_show(const std::string& path, bool effective) {
  const auto found = find_config(path);
  if (!found) {
    if (!effective) return no_config();
    complain("smtpscope: no configuration file: these are the defaults");
    return print(effective_json(Settings()));
  }
  const auto text = read_settings_text(*found);
  if (!text) {
    complain(text.error());
    return ExitCode::config;
  }
  if (!effective) return print(*text);
  const auto settings = load_settings_text(*text, *found);
  if (!settings) {
    complain(settings.error());
    return ExitCode::config;
  }
  return print(effective_json(*settings));
}

ExitCode config_reload(const std::string& config, const std::string& store) {
  const auto answer = ask_running_proxy(config, store, "POST", "/reload");
  if (answer.code != ExitCode::ok) return answer.code;
  if (answer.status != 200 && answer.status != 422) return refused(answer, ExitCode::failed);
  const auto told = nlohmann::json::parse(answer.body, nullptr, false);
  const char* key = answer.status == 200 ? "kept" : "faults";
  if (!told.is_object() || !told.contains(key) || !told[key].is_array()) return refused(answer, ExitCode::failed);
  for (const auto& message : told[key])
    if (message.is_string()) complain(harmless(message.get<std::string>()));
  if (answer.status == 200) return print("the configuration was loaded anew\n");
  complain("smtpscope: the configuration was not loaded; the one before stays in force");
  return ExitCode::config;
}

ExitCode config_schema(bool markdown) { return print(markdown ? config_markdown() : config_schema_json()); }

void register_config(CLI::App& app, ExitCode& exit_code) {
  struct Arguments {
    std::string file;
    bool effective = false;
    bool markdown = false;
    std::string store;
  };
  const auto args = std::make_shared<Arguments>();
  CLI::App* config = app.add_subcommand("config", "Check, show and describe the configuration file");
  config->require_subcommand(1);

  CLI::App* check = config->add_subcommand("check", "Say what is wrong in a configuration file, with line and column");
  check->add_option("FILE,--config", args->file, "The file; else $SMTPSCOPE_CONFIG and the usual places");
  check->callback([args, &exit_code] { exit_code = config_check(args->file); });

  CLI::App* show = config->add_subcommand("show", "Print the configuration file");
  show->add_flag("--effective", args->effective, "Print every option with the value in force, defaults included");
  show->add_option("--config", args->file, "The file; else $SMTPSCOPE_CONFIG and the usual places");
  show->callback([args, &exit_code] { exit_code = config_show(args->file, args->effective); });

  CLI::App* schema = config->add_subcommand("schema", "Print a JSON Schema of the configuration file");
  schema->add_flag("--markdown", args->markdown, "Print the reference page docs/CONFIGURATION.md instead");
  schema->callback([args, &exit_code] { exit_code = config_schema(args->markdown); });

  CLI::App* reload =
      config->add_subcommand("reload", "Have the running proxy load its configuration anew, as SIGHUP does");
  add_store_options(*reload, args->file, args->store);
  reload->callback([args, &exit_code] { exit_code = config_reload(args->file, args->store); });
}

}  // namespace smtpscope
