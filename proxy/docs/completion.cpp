#include "proxy/docs/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace smtpscope {
namespace {

/// 'text' for any of the three shells; what would need escapes that differ between them is left out.
std::string quoted_help(const std::string& text, std::string_view without) {
  std::string out;
  for (const char c : text.substr(0, text.find_first_of(".;:\n")))
    if (c != '\'' && c != '\\' && without.find(c) == std::string_view::npos) out += c;
  return out;
}

/// A command that does something, with the words that lead to it.
struct Leaf {
  std::vector<std::string> words;
  const CommandDoc* doc;
};

std::vector<Leaf> leaves(const CommandLine& line) {
  std::vector<Leaf> all;
  for (const CommandDoc& command : line.commands) {
    if (command.commands.empty()) all.push_back({{command.name}, &command});
    for (const CommandDoc& inner : command.commands) all.push_back({{command.name, inner.name}, &inner});
  }
  return all;
}

std::vector<std::string> names(const std::vector<CommandDoc>& commands) {
  std::vector<std::string> all;
  all.reserve(commands.size());
  for (const CommandDoc& c : commands) all.push_back(c.name);
  return all;
}

constexpr const char* kBash = R"BASH(# bash completion of smtpscope
_smtpscope() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command="" word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    case "$command" in
      "") [[ $word == -* ]] || command=$word ;;
{inner}    esac
  done
  case "$command $prev" in
{values}  esac
  case "$command" in
    "") COMPREPLY=($(compgen -W "{commands} --help --version" -- "$cur")) ;;
{options}  esac
}}
complete -o filenames -F _smtpscope smtpscope
)BASH";

}  // namespace

std::string bash_completion(const CommandLine& line) {
  std::string inner, values, options;
  for (const CommandDoc& c : line.commands) {
    if (c.commands.empty()) continue;
    const auto words = names(c.commands);
    inner += fmt::format("      {}) case \"$word\" in {}) command=\"{} $word\" ;; esac ;;\n", c.name,
                         fmt::join(words, "|"), c.name);
    options +=
        fmt::format("    {}) COMPREPLY=($(compgen -W \"{} --help\" -- \"$cur\")) ;;\n", c.name, fmt::join(words, " "));
  }
  for (const Leaf& leaf : leaves(line)) {
    const std::string command = fmt::format("{}", fmt::join(leaf.words, " "));
    std::vector<std::string> offered;
    bool files = false;
    for (const OptionDoc& o : leaf.doc->options) {
      if (o.positional) {
        files = files || o.file;
        continue;
      }
      offered.push_back(o.name);
      if (o.flag) continue;
      const std::string with = !o.choices.empty() ? fmt::format("compgen -W \"{}\"", fmt::join(o.choices, " "))
                               : o.folder         ? "compgen -d"
                               : o.file           ? "compgen -f"
                                                  : "";
      values += with.empty()
                    ? fmt::format("    \"{} {}\") return ;;\n", command, o.name)
                    : fmt::format("    \"{} {}\") COMPREPLY=($({} -- \"$cur\")); return ;;\n", command, o.name, with);
    }
    options += fmt::format("    \"{}\") COMPREPLY=($({}compgen -W \"{}\" -- \"$cur\")) ;;\n", command,
                           files ? "compgen -f -- \"$cur\"; " : "", fmt::join(offered, " "));
  }
  return fmt::format(kBash, fmt::arg("inner", inner), fmt::arg("values", values), fmt::arg("options", options),
                     fmt::arg("commands", fmt::join(names(line.commands), " ")));
}

std::string zsh_completion(const CommandLine& line) {
  const auto arguments = [](const CommandDoc& doc) {
    std::string out = "_arguments";
    for (const OptionDoc& o : doc.options) {
      const std::string what = !o.choices.empty() ? fmt::format("({})", fmt::join(o.choices, " "))
                               : o.folder         ? "_files -/"
                               : o.file           ? "_files"
                                                  : " ";
      if (o.positional)
        out += fmt::format(" '{}:{}:{}'", o.repeats ? "*" : "", o.name, what);
      else
        out += fmt::format(" '{}{}[{}]{}'", o.repeats ? "*" : "", o.name, quoted_help(o.help, "[]"),
                           o.flag ? "" : fmt::format(":{}:{}", o.placeholder, what));
    }
    return out;
  };
  const auto described = [](const std::vector<CommandDoc>& commands) {
    std::string out;
    for (const CommandDoc& c : commands) out += fmt::format(" '{}:{}'", c.name, quoted_help(c.help, ""));
    return out;
  };
  std::string cases;
  for (const CommandDoc& c : line.commands) {
    if (c.commands.empty()) {
      cases += fmt::format("    {}) {} ;;\n", c.name, arguments(c));
      continue;
    }
    cases += fmt::format(
        "    {})\n      if (( CURRENT == 2 )); then\n        local -a inner=({})\n        _describe command inner\n    "
        "    return\n"
        "      fi\n      shift words; (( CURRENT-- ))\n      case $words[1] in\n",
        c.name, described(c.commands));
    for (const CommandDoc& i : c.commands) cases += fmt::format("        {}) {} ;;\n", i.name, arguments(i));
    cases += "      esac ;;\n";
  }
  return fmt::format(
      "#compdef smtpscope\n_smtpscope() {{\n  if (( CURRENT == 2 )); then\n    local -a commands=({})\n    _describe "
      "command commands\n"
      "    return\n  fi\n  shift words; (( CURRENT-- ))\n  case $words[1] in\n{}  esac\n}}\n_smtpscope \"$@\"\n",
      described(line.commands), cases);
}

std::string fish_completion(const CommandLine& line) {
  std::string out = "# fish completion of smtpscope\ncomplete -c smtpscope -f\n";
  for (const CommandDoc& c : line.commands) {
    out +=
        fmt::format("complete -c smtpscope -n __fish_use_subcommand -a {} -d '{}'\n", c.name, quoted_help(c.help, ""));
    for (const CommandDoc& i : c.commands)
      out += fmt::format(
          "complete -c smtpscope -n '__fish_seen_subcommand_from {}; and not __fish_seen_subcommand_from {}' -a {} -d "
          "'{}'\n",
          c.name, fmt::join(names(c.commands), " "), i.name, quoted_help(i.help, ""));
  }
  for (const Leaf& leaf : leaves(line)) {
    std::string when;
    for (const std::string& word : leaf.words)
      when += (when.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + word);
    for (const OptionDoc& o : leaf.doc->options) {
      if (o.positional) {
        if (o.file) out += fmt::format("complete -c smtpscope -n '{}' -F\n", when);
        continue;
      }
      out += fmt::format("complete -c smtpscope -n '{}' -l {} -d '{}'{}\n", when, o.name.substr(2),
                         quoted_help(o.help, ""),
                         o.flag               ? ""
                         : !o.choices.empty() ? fmt::format(" -x -a '{}'", fmt::join(o.choices, " "))
                         : o.folder           ? " -x -a '(__fish_complete_directories)'"
                         : o.file             ? " -r -F"
                                              : " -x");
    }
  }
  return out;
}

}  // namespace smtpscope
