// Man pages and completion say what the tables say.
#include <CLI/CLI.hpp>

#include "config/options.h"
#include "proxy/docs/command_line.h"
#include "proxy/docs/completion.h"
#include "proxy/docs/man_page.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

/// A small command line with one of everything.
CommandLine sample() {
  CLI::App app{"Does \\things.", "smtpscope"};
  app.footer("'Footer");
  static std::string text;
  static std::vector<std::string> texts;
  static bool flag;
  CLI::App* list = app.add_subcommand("list", "Lists");
  list->add_option("--format", text, "How")->check(CLI::IsMember({"text", "json"}));
  list->add_option("--sender", texts, "Whose");
  list->add_option("--store", text, "Where");
  list->add_flag("--all", flag, "Also those");
  list->add_option("FILE", text, "What")->required();
  CLI::App* window = app.add_subcommand("window", "Windows");
  window->add_subcommand("open", "Opens")->add_flag("--now", flag, "At once");
  app.add_subcommand("hidden", "No")->group("");
  return command_line(app);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the command line as data") {
  const CommandLine line = sample();
  REQUIRE(line.commands.size() == 2);
  const auto& options = line.commands[0].options;
  const auto find = [&](const std::string& name) {
    for (const OptionDoc& o : options)
      if (o.name == name) return o;
    FAIL("no option " << name);
    return OptionDoc{};
  };
  CHECK(find("--format").choices == std::vector<std::string>{"text", "json"});
  CHECK(find("--sender").repeats);
  CHECK(find("--store").folder);
  CHECK(find("--all").flag);
  CHECK(find("FILE").positional);
  CHECK(find("FILE").required);
  CHECK(line.commands[1].commands[0].name == "open");
}

TEST_CASE("roff takes nothing for a request") {
  CHECK(roff(".x\n'y a-b \\ \"q\"") == "\\&.x\n\\&\\(aqy a\\-b \\e \\(dqq\\(dq");
}

TEST_CASE("the man page has every command and option; the other every key with its default") {
  const std::string page = man_page(sample());
  for (const char* part :
       {".TH smtpscope 1 ", "\\-\\-format", "One of: text, json.", ".SS \"window open\"", "\\&\\(aqFooter"})
    CHECK(has(page, part));
  CHECK_FALSE(has(page, "hidden"));
  const std::string config = config_man_page();
  for (const Option& option : options()) {
    std::string key(option.pointer.substr(1));
    std::replace(key.begin(), key.end(), '/', '.');
    INFO(key);
    CHECK(has(config, "\\fB" + key + "\\fR\n"));
  }
  CHECK(has(config, "Default: \\(dq10s\\(dq."));
}

TEST_CASE("completion of each shell knows commands, options and values") {
  const CommandLine line = sample();
  for (const std::string& script : {bash_completion(line), zsh_completion(line), fish_completion(line)}) {
    for (const char* word : {"list", "window", "open", "format", "text json", "all"}) CHECK(has(script, word));
    CHECK_FALSE(has(script, "hidden"));
  }
}
