#include "proxy/divert/nft_text.h"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

std::string str(const json& j, const char* key) { return j.at(key).get<std::string>(); }

/// "inet smtpscope"
std::string table_of(const json& body, const char* name) {
  return fmt::format("{} {}", str(body, "family"), str(body, name));
}

std::string joined(const json& list, const char* between, std::string (*text_of)(const json&)) {
  std::string text;
  for (const json& each : list) text.append(text.empty() ? "" : between).append(text_of(each));
  return text;
}

/// A value, or what it is compared with or set to.
std::string value_text(const json& j) {
  if (j.is_string()) return j.get<std::string>();
  if (j.is_number()) return std::to_string(j.get<uint64_t>());
  if (j.is_array()) return fmt::format("({})", joined(j, " | ", value_text));
  const std::string& kind = j.begin().key();
  const json& body = j.begin().value();
  if (kind == "payload") return fmt::format("{} {}", str(body, "protocol"), str(body, "field"));
  if (kind == "meta") return fmt::format("meta {}", str(body, "key"));
  if (kind == "ct" || kind == "socket") return fmt::format("{} {}", kind, str(body, "key"));
  if (kind == "fib") return fmt::format("fib {} {}", value_text(body.at("flags").at(0)), str(body, "result"));
  if (kind == "set") return fmt::format("{{ {} }}", joined(body, ", ", value_text));
  if (kind == "range") return fmt::format("{}-{}", value_text(body.at(0)), value_text(body.at(1)));
  if (kind == "elem")
    return fmt::format("{} timeout {}s", value_text(body.at("val")), body.at("timeout").get<uint64_t>());
  // "&" and "|"; a number is a bit of the mark
  const json& right = body.at(1);
  return fmt::format("{} {} {}", value_text(body.at(0)), kind,
                     right.is_number() ? fmt::format("{:#x}", right.get<uint64_t>()) : value_text(right));
}

/// Their names may have characters that nft takes for its own.
std::string interfaces_text(const json& right) {
  return right.is_string()
             ? right.dump()
             : fmt::format("{{ {} }}", joined(right.at("set"), ", ", [](const json& j) { return j.dump(); }));
}

std::string part_text(const json& part) {
  const std::string& kind = part.begin().key();
  const json& body = part.begin().value();
  if (kind == "mangle") return fmt::format("{} set {}", value_text(body.at("key")), value_text(body.at("value")));
  if (kind == "tproxy") {
    const std::string address = body.value("addr", "");
    return fmt::format("tproxy {} to {}:{}", str(body, "family"),
                       address.find(':') == std::string::npos ? address : fmt::format("[{}]", address),
                       body.at("port").get<uint64_t>());
  }
  if (kind != "match") return kind;  // accept, drop
  const json &left = body.at("left"), &right = body.at("right");
  const bool masked = left.contains("&");
  const std::string op = str(body, "op"), shown = op == "==" && !masked ? "" : op + " ", of = value_text(left);
  return fmt::format("{} {}{}", of, shown,
                     of == "meta iifname"          ? interfaces_text(right)
                     : masked && right.is_number() ? fmt::format("{:#x}", right.get<uint64_t>())
                                                   : value_text(right));
}

/// What stands between the braces of a table.
class TableBody {
 public:
  void add(const std::string& kind, const json& body) {
    if (kind == "set") {
      text_ += fmt::format("  set {} {{\n    type {}; flags {};\n", str(body, "name"), str(body, "type"),
                           joined(body.at("flags"), ", ", value_text));
      open_ = true;
    } else if (kind == "element") {
      text_ += fmt::format("    elements = {{ {} }}\n", joined(body.at("elem"), ",\n      ", value_text));
      close();
    } else if (kind == "chain") {
      close();
      text_ += fmt::format("  chain {} {{\n    type {} hook {} priority {}; policy {};\n", str(body, "name"),
                           str(body, "type"), str(body, "hook"), body.at("prio").get<int>(), str(body, "policy"));
      open_ = true;
    } else {
      text_ += fmt::format("    {}\n", joined(body.at("expr"), " ", part_text));
    }
  }
  std::string take() {
    close();
    return std::exchange(text_, {});
  }

 private:
  void close() {
    if (std::exchange(open_, false)) text_ += "  }\n";
  }

  std::string text_;
  bool open_ = false;
};

}  // namespace

std::string nft_text(const std::string& ruleset) {
  const json parsed = json::parse(ruleset);
  const json& commands = parsed.at("nftables");
  std::string text;
  TableBody table;
  bool open = false;
  const auto close = [&] {
    if (std::exchange(open, false)) text += table.take() + "}\n";
  };
  for (size_t i = 0; i < commands.size(); ++i) {
    const std::string& verb = commands[i].begin().key();
    const json& what = commands[i].begin().value();
    const std::string& kind = what.begin().key();
    const json& body = what.begin().value();
    if (verb != "add" || kind == "table") close();
    if (verb != "add") {
      text += fmt::format("{} {} {}\n", verb, kind,
                          kind == "table" ? table_of(body, "name") : table_of(body, "table") + " " + str(body, "name"));
    } else if (kind == "table") {
      // One that is made only so that it can be deleted has nothing in it.
      const bool empty = i + 1 == commands.size() || commands[i + 1].begin().key() != "add";
      text += fmt::format("table {}{}\n", table_of(body, "name"), empty ? "" : " {");
      open = !empty;
    } else {
      table.add(kind, body);
    }
  }
  close();
  return text;
}

Command readable(Command command) {
  if (command.input.empty() || command.words.size() < 2 || command.words[0] != "nft" || command.words[1] != "-j")
    return command;
  command.words.erase(command.words.begin() + 1);
  command.input = nft_text(command.input);
  return command;
}

}  // namespace smtpscope
