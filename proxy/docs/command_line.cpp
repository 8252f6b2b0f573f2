#include "proxy/docs/command_line.h"

#include <CLI/CLI.hpp>

namespace smtpscope {
namespace {

/// "TEXT:{full,headers,none}" of CLI::IsMember.
std::vector<std::string> choices_of(const std::string& type) {
  std::vector<std::string> all;
  const size_t open = type.find('{'), close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return all;
  for (size_t at = open + 1; at <= close;) {
    const size_t end = std::min(type.find(',', at), close);
    all.push_back(type.substr(at, end - at));
    at = end + 1;
  }
  return all;
}

OptionDoc option_doc(const CLI::Option& option, bool positional) {
  OptionDoc doc;
  doc.positional = positional;
  doc.name = doc.positional                 ? option.get_name(true)
             : !option.get_lnames().empty() ? "--" + option.get_lnames()[0]
                                            : "-" + option.get_snames()[0];
  doc.help = option.get_description();
  doc.flag = option.get_expected_max() == 0;
  doc.required = option.get_required();
  doc.repeats = option.get_expected_max() > 1;
  doc.choices = choices_of(option.get_type_name());
  if (doc.flag) return doc;
  doc.file = doc.name == "--config" || doc.name.find("FILE") != std::string::npos;
  doc.folder = doc.name == "--store";
  doc.placeholder = doc.file ? "FILE" : doc.folder ? "DIR" : "VALUE";
  return doc;
}

std::vector<OptionDoc> options_of(const CLI::App& app) {
  std::vector<OptionDoc> all;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    if (option->get_positional()) all.push_back(option_doc(*option, true));
    if (!option->get_lnames().empty() || !option->get_snames().empty()) all.push_back(option_doc(*option, false));
  }
  return all;
}

CommandDoc command_doc(const CLI::App& app) {
  CommandDoc doc{app.get_name(), app.get_description(), options_of(app), {}};
  for (const CLI::App* inner : app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); }))
    doc.commands.push_back(command_doc(*inner));
  return doc;
}

}  // namespace

CommandLine command_line(const CLI::App& app) {
  CommandDoc whole = command_doc(app);
  return {std::move(whole.name), std::move(whole.help), app.get_footer(), std::move(whole.options),
          std::move(whole.commands)};
}

}  // namespace smtpscope
