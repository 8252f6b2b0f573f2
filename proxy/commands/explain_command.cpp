// smtpscope explain [CODE]: the catalogue of diagnoses, or one entry of it; where CODE is how several begin ("rcpt"),
// the list of those. Status 3 if there is no such code.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "capture/diagnosis/catalogue.h"
#include "config/units.h"
#include "proxy/commands/commands.h"

namespace smtpscope {
namespace {

/// Prints a line for each code that begins so; how many did.
size_t print_list(std::string_view beginning) {
  size_t count = 0;
  for (const Rule* rule : all_rules()) {
    if (!rule->code.starts_with(beginning)) continue;
    fmt::print("{:<28} {}{}\n", rule->code, rule->title, rule->kind == Rule::Kind::note ? " (note)" : "");
    ++count;
  }
  return count;
}

ExitCode explain(const std::string& word) {
  std::string code = CLI::detail::to_lower(word);
  if (const Rule* rule = find_rule(code)) {
    fmt::print("{}", explain_rule(*rule));
    return ExitCode::ok;
  }
  while (code.ends_with('*') || code.ends_with('-')) code.pop_back();
  if (print_list(code.empty() ? "" : code + "-") > 0) return ExitCode::ok;
  const std::string_view near = nearest_code(code);
  fmt::print(stderr, "smtpscope: there is no diagnosis {}{}\n", quoted(std::string_view(word)),
             near.empty() ? "; `smtpscope explain` lists them all" : fmt::format("; did you mean \"{}\"?", near));
  return ExitCode::no_match;
}

}  // namespace

void register_explain(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand("explain", "The catalogue of diagnoses, or one entry of it");
  const auto code = std::make_shared<std::string>();
  command->add_option(
      "CODE", *code,
      "The code of a diagnosis, as in a transcript, or how several begin, as rcpt; without it, all are listed");
  command->callback([code, &exit_code] { exit_code = explain(*code); });
}

}  // namespace smtpscope
