// smtpscope explain [CODE]: the catalogue of diagnoses, or one entry of it. Status 3 if there is no such code.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "capture/diagnosis/catalogue.h"
#include "proxy/commands/commands.h"

namespace smtpscope {
namespace {

ExitCode explain(const std::string& code) {
  if (code.empty()) {
    for (const Rule* rule : all_rules())
      fmt::print("{:<28} {}{}\n", rule->code, rule->title, rule->kind == Rule::Kind::note ? " (note)" : "");
    return ExitCode::ok;
  }
  if (const Rule* rule = find_rule(code)) {
    fmt::print("{}", explain_rule(*rule));
    return ExitCode::ok;
  }
  const std::string_view near = nearest_code(code);
  fmt::print(stderr, "smtpscope: there is no diagnosis \"{}\"{}\n", code,
             near.empty() ? "; `smtpscope explain` lists them all" : fmt::format("; did you mean \"{}\"?", near));
  return ExitCode::no_match;
}

}  // namespace

void register_explain(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand("explain", "The catalogue of diagnoses, or one entry of it");
  const auto code = std::make_shared<std::string>();
  command->add_option("CODE", *code, "The code of a diagnosis, as in a transcript; without it, all are listed");
  command->callback([code, &exit_code] { exit_code = explain(*code); });
}

}  // namespace smtpscope
