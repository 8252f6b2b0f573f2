// The command line: which subcommand runs, and the exit code. Each subcommand is a file in proxy/commands/.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <string>
#include <vector>

#include "proxy/commands/commands.h"
#include "proxy/version.h"

namespace {

constexpr const char* kPurpose =
    "smtpscope stands between SMTP senders and a mail gateway, passes every byte on unchanged,\n"
    "records the sessions of the senders you name, and shows the exact point at which each one broke.";

constexpr const char* kExitCodes =
    "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 nothing matched, 5 proxy not reachable, 78 configuration error.\n"
    "Configuration: --config FILE, else $SMTPSCOPE_CONFIG, else ./smtpscope.jsonc, else\n"
    "/etc/smtpscope/smtpscope.jsonc.";

}  // namespace

int main(int argc, char** argv) {
  using smtpscope::ExitCode;
  try {
    CLI::App app{kPurpose, "smtpscope"};
    app.footer(kExitCodes);
    app.set_version_flag("--version", std::string("smtpscope ") + smtpscope::version());
    app.require_subcommand(1);

    ExitCode exit_code = ExitCode::ok;
    // register_NAME(app, exit_code) of every command, in the order in which --help shows them.
    smtpscope::register_run(app, exit_code);
    smtpscope::register_demo(app, exit_code);
    smtpscope::register_list(app, exit_code);
    smtpscope::register_show(app, exit_code);
    smtpscope::register_summary(app, exit_code);
    smtpscope::register_analyze(app, exit_code);
    smtpscope::register_explain(app, exit_code);
    smtpscope::register_window(app, exit_code);
    smtpscope::register_divert(app, exit_code);
    smtpscope::register_doctor(app, exit_code);
    smtpscope::register_config(app, exit_code);
    smtpscope::register_docs(app, exit_code);

    // `help show` is `show --help`, `help` alone `--help`. CLI11 takes the words from the last to the first.
    std::vector<std::string> words(std::reverse_iterator(argv + argc), std::reverse_iterator(argv + std::min(argc, 1)));
    if (!words.empty() && words.back() == "help") {
      words.pop_back();
      words.insert(words.begin(), "--help");
    }
    const std::string first = words.empty() ? "" : words.back();
    try {
      app.parse(words);
    } catch (const CLI::ParseError& e) {
      // CLI11 only says that a subcommand is required.
      if (!first.empty() && first[0] != '-' && app.get_subcommands().empty()) {
        std::fprintf(stderr, "smtpscope: there is no command \"%s\"; smtpscope --help lists them\n", first.c_str());
        return static_cast<int>(ExitCode::usage);
      }
      // Help and version are "errors" with code 0 to CLI11; everything else is a usage error.
      return app.exit(e) == 0 ? static_cast<int>(ExitCode::ok) : static_cast<int>(ExitCode::usage);
    }
    return static_cast<int>(exit_code);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "smtpscope: %s\n", e.what());
    return static_cast<int>(ExitCode::failed);
  }
}
