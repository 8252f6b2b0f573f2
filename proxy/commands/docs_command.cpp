// smtpscope docs: man pages and shell completion, made from the very options that the command line is read with. For
// the build (see CMakeLists.txt); hidden from --help.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "proxy/commands/commands.h"
#include "proxy/docs/command_line.h"
#include "proxy/docs/completion.h"
#include "proxy/docs/man_page.h"

namespace smtpscope {
namespace {

ExitCode print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0 ? ExitCode::ok
                                                                                                     : ExitCode::failed;
}

}  // namespace

void register_docs(CLI::App& app, ExitCode& exit_code) {
  const auto page = std::make_shared<std::string>(), shell = std::make_shared<std::string>();
  CLI::App* docs = app.add_subcommand("docs", "Man pages and shell completion");
  docs->group("");
  docs->require_subcommand(1);
  CLI::App* man = docs->add_subcommand("man", "Print a man page");
  man->add_option("PAGE", *page, "Which")->required()->check(CLI::IsMember({"smtpscope.1", "smtpscope.jsonc.5"}));
  man->callback([&app, page, &exit_code] {
    exit_code = print(*page == "smtpscope.1" ? man_page(command_line(app)) : config_man_page());
  });
  CLI::App* completion = docs->add_subcommand("completion", "Print the completion script for a shell");
  completion->add_option("SHELL", *shell, "Which")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&app, shell, &exit_code] {
    const CommandLine line = command_line(app);
    exit_code = print(*shell == "bash"  ? bash_completion(line)
                      : *shell == "zsh" ? zsh_completion(line)
                                        : fish_completion(line));
  });
}

}  // namespace smtpscope
