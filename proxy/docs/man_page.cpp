#include "proxy/docs/man_page.h"

#include <fmt/format.h>

#include "config/options.h"
#include "proxy/version.h"

namespace smtpscope {
namespace {

constexpr const char* kExamples = R"(.SH EXAMPLES
.nf
# capture one partner for half an hour, then read what happened
smtpscope run \-\-listen 0.0.0.0:25 \-\-gateway 10.0.0.1:25 \-\-sender 203.0.113.0/24 \-\-for 30m
smtpscope list \-\-verdict breakdown \-\-since 2h
smtpscope show last
.fi
)";

std::string header(std::string_view name, int section, std::string_view about) {
  return fmt::format(
      ".\\\" Made by `smtpscope docs man`: do not edit.\n.TH {} {} \"\" \"smtpscope {}\" \"smtpscope\"\n"
      ".SH NAME\n{} \\- {}\n",
      roff(name), section, version(), roff(name), roff(about));
}

/// A paragraph; lines of roff that follow each other are one.
std::string paragraph(std::string_view text) { return roff(text) + "\n"; }

std::string shape(const OptionDoc& option) {
  std::string out;
  if (option.positional)
    out = "\\fI" + roff(option.name) + "\\fR";
  else if (option.flag)
    out = "\\fB" + roff(option.name) + "\\fR";
  else
    out = "\\fB" + roff(option.name) + "\\fR \\fI" + roff(option.placeholder) + "\\fR";
  return out;
}

std::string synopsis(const CommandDoc& command, const std::string& lead) {
  std::string out;
  for (const OptionDoc& option : command.options) {
    if (option.name == "--help") continue;
    const std::string dots = option.repeats ? "..." : "";
    out += option.required ? fmt::format(" {}{}", shape(option), dots) : fmt::format(" [{}]{}", shape(option), dots);
  }
  return ".HP\n\\fB" + roff(lead + command.name) + "\\fR" + out + "\n";
}

std::string options(const std::vector<OptionDoc>& all) {
  std::string out;
  for (const OptionDoc& option : all) {
    if (option.name == "--help" || option.name == "-h") continue;
    out += ".TP\n" + shape(option) + "\n" + paragraph(option.help + (option.choices.empty() ? "" : "."));
    if (option.choices.empty()) continue;
    std::string list;
    for (const std::string& choice : option.choices) list += (list.empty() ? "" : ", ") + choice;
    out += "One of: " + roff(list) + ".\n";
  }
  return out;
}

std::string command(const CommandDoc& doc, const std::string& lead) {
  if (!doc.commands.empty()) {
    std::string out;
    for (const CommandDoc& inner : doc.commands) out += command(inner, lead + doc.name + " ");
    return out;
  }
  return fmt::format(".SS \"{}\"\n", roff(lead + doc.name)) + paragraph(doc.help + ".") +
         synopsis(doc, "smtpscope " + lead) + options(doc.options);
}

std::string file_key(std::string_view pointer) {
  std::string key;
  for (const char c : pointer.substr(1)) key += c == '/' ? '.' : c;
  return key;
}

std::string default_of(const Option& option) {
  Settings settings;
  if (option.pointer.starts_with("/listeners/")) settings.listeners.emplace_back();
  const OptionValue value = read_option(option, settings, 0);
  if (const auto* text = std::get_if<std::string>(&value)) return "\"" + *text + "\"";
  if (const auto* number = std::get_if<uint64_t>(&value)) return std::to_string(*number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  std::string list;
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
    for (const std::string& text : *texts) list += (list.empty() ? "\"" : ", \"") + text + "\"";
  return list.empty() ? "" : "[" + list + "]";
}

std::string entry(const Option& option) {
  const std::string value = option.required ? "" : default_of(option);
  return ".TP\n\\fB" + roff(file_key(option.pointer)) + "\\fR\n" + paragraph(option.help) + ".br\n" +
         roff("Value: " + expected_value(option) + "." + (value.empty() ? "" : " Default: " + value + ".")) + "\n";
}

}  // namespace

std::string roff(std::string_view text) {
  std::string out;
  bool begins = true;
  for (const char c : text) {
    if (begins && (c == '.' || c == '\'')) out += "\\&";
    begins = c == '\n';
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '"':
        out += "\\(dq";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string man_page(const CommandLine& line) {
  std::string out = header(line.name, 1, "transparent SMTP relay that shows where mail sessions break");
  out += ".SH SYNOPSIS\n\\fBsmtpscope\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...\n.SH DESCRIPTION\n" +
         paragraph(line.purpose);
  out += ".PP\nCommands:\n";
  for (const CommandDoc& doc : line.commands)
    out += ".TP\n\\fB" + roff(doc.name) + "\\fR\n" + paragraph(doc.help + ".");
  out += ".PP\nEach command, and smtpscope itself, takes \\fB\\-\\-help\\fR.\n.SH COMMANDS\n";
  for (const CommandDoc& doc : line.commands) out += command(doc, "");
  out += ".SH \"EXIT STATUS AND FILES\"\n" + paragraph(line.footer);
  out +=
      ".PP\nRecordings and transcripts stand in\n.IR /var/lib/smtpscope ,\nor where \\fIstore.path\\fR of the "
      "configuration says.\n";
  out += kExamples;
  return out + ".SH \"SEE ALSO\"\n.BR smtpscope.jsonc (5),\nand the guides in\n.IR /usr/share/doc/smtpscope .\n";
}

std::string config_man_page() {
  std::string out = header("smtpscope.jsonc", 5, "configuration of smtpscope");
  out += ".SH DESCRIPTION\n" +
         paragraph(
             "JSON with comments (// and /* */), one file. What is not given has its default; an unknown key, "
             "a wrong type or an impossible value is refused with its line and column. "
             "`smtpscope config check FILE` says what is wrong, `smtpscope config show --effective` what is in "
             "force. SIGHUP makes a running proxy load the file anew.");
  for (const OptionSection& section : option_sections()) {
    out += fmt::format(".SH \"{}\"\n", roff(file_key(section.pointer))) + paragraph(section.help);
    for (const Option& option : options())
      if (option.pointer.starts_with(std::string(section.pointer) + "/")) out += entry(option);
  }
  out += ".SH \"OF THE WHOLE\"\n";
  for (const Option& option : options())
    if (option.pointer.find('/', 1) == std::string_view::npos) out += entry(option);
  out += ".SH EXAMPLE\n.nf\n" + roff(R"({
  "listeners": [{"address": "0.0.0.0:25"}],
  "gateway": {"address": "10.0.0.1:25"},
  "capture": {"senders": ["203.0.113.0/24"], "for": "30m"}
})") + "\n.fi\n.SH FILES\n.I ./smtpscope.jsonc\n.br\n.I /etc/smtpscope/smtpscope.jsonc\n";
  return out + ".SH \"SEE ALSO\"\n.BR smtpscope (1)\n";
}

}  // namespace smtpscope
