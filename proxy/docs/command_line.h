// The command line as data: commands, options, what they take. Read out of CLI11's tables, so that whatever is made
// from it says what the program does.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace smtpscope {

struct OptionDoc {
  std::string name;  ///< "--json"; of a positional one "FILE"
  std::string help;
  bool positional = false, flag = false, required = false, repeats = false;
  std::vector<std::string> choices;   ///< the only values that it takes; empty: anything
  bool file = false, folder = false;  ///< takes the name of one
  std::string placeholder;            ///< "FILE", "DIR", "VALUE"; empty for flags
};

struct CommandDoc {
  std::string name, help;
  std::vector<OptionDoc> options;
  std::vector<CommandDoc> commands;
};

struct CommandLine {
  std::string name, purpose, footer;
  std::vector<OptionDoc> options;    ///< --help and --version
  std::vector<CommandDoc> commands;  ///< without hidden ones
};

CommandLine command_line(const CLI::App& app);

}  // namespace smtpscope
