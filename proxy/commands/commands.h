// The subcommands of smtpscope. Each lives in a file of its own in this folder, adds itself to the command line with
// its register function, and leaves its exit code in the place given to it when its callback has run.
//
// Callbacks keep their arguments alive themselves (a shared_ptr captured by the lambda). What they throw ends the
// program with status 1 and the exception's text on stderr; throw CLI::ValidationError for a usage error (status 2).
#pragma once

namespace CLI {
class App;
}

namespace smtpscope {

/// What the program ends with (DESIGN 6; documented in `smtpscope --help`).
enum class ExitCode : int {
  ok = 0,
  failed = 1,             ///< what was asked for could not be done
  usage = 2,              ///< the command line is wrong
  no_match = 3,           ///< nothing in the store matched
  proxy_unreachable = 5,  ///< no running proxy answered
  config = 78,            ///< the configuration is wrong (EX_CONFIG of sysexits.h)
};

void register_run(CLI::App& app, ExitCode& exit_code);
void register_demo(CLI::App& app, ExitCode& exit_code);
void register_explain(CLI::App& app, ExitCode& exit_code);
void register_config(CLI::App& app, ExitCode& exit_code);
void register_divert(CLI::App& app, ExitCode& exit_code);
void register_window(CLI::App& app, ExitCode& exit_code);
void register_doctor(CLI::App& app, ExitCode& exit_code);
void register_docs(CLI::App& app, ExitCode& exit_code);

void register_list(CLI::App& app, ExitCode& exit_code);
void register_show(CLI::App& app, ExitCode& exit_code);
void register_summary(CLI::App& app, ExitCode& exit_code);
void register_analyze(CLI::App& app, ExitCode& exit_code);

}  // namespace smtpscope
