#include "config/reference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "config/options.h"
#include "config/units.h"

namespace smtpscope {
namespace {

// ordered_json keeps the order of the table, in which the file is best read.
using Json = nlohmann::ordered_json;

// Texts come from a file that was checked to be UTF-8, or from the command line, where anything may stand.
std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json json_of(const OptionValue& value) {
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::monostate>) {
          return nullptr;
        } else {
          return v;
        }
      },
      value);
}

/// A pattern of the table with its listener's index in place of the star.
std::string with_index(std::string_view pattern, size_t index) {
  std::string pointer(pattern);
  if (const size_t star = pointer.find('*'); star != std::string::npos) pointer.replace(star, 1, std::to_string(index));
  return pointer;
}

bool of_listener(const Option& option) { return option.pointer.find('*') != std::string_view::npos; }

/// Settings with one listener, so that its options have a default to be read.
Settings defaults() {
  Settings settings;
  settings.listeners.emplace_back();
  return settings;
}

/// As it would be written in the file; empty if there is no default.
std::string default_of(const Option& option, Settings& settings) {
  const Json value = json_of(read_option(option, settings, 0));
  return value.is_null() ? std::string() : value.dump();
}

Json schema_of(const Option& option, Settings& settings) {
  const Json text = {{"type", "string"}};
  Json out;
  switch (option.kind) {
    case OptionKind::address:
      out = text;
      out["pattern"] = "^([0-9.]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}$";
      break;
    case OptionKind::choice:
      out["enum"] = Json::array();
      for (const std::string_view choice : option.choices) out["enum"].push_back(std::string(choice));
      break;
    case OptionKind::text:
      out = text;
      out["minLength"] = 1;
      break;
    case OptionKind::duration:
      out = text;
      out["pattern"] = "^[0-9]+(ms|s|m|h|d)$";
      break;
    case OptionKind::duration_limit:
      out = text;
      out["pattern"] = "^([0-9]+(ms|s|m|h|d)|unlimited)$";
      break;
    case OptionKind::size_limit:
      out = text;
      out["pattern"] = "^([0-9]+(B|[kKMGT]B|[KMGT]iB)?|unlimited)$";
      break;
    case OptionKind::count_limit:
      out["anyOf"] = {{{"type", "integer"}, {"minimum", 1}}, {{"const", std::string(kUnlimited)}}};
      break;
    case OptionKind::integer:
      out = {{"type", "integer"}, {"minimum", option.min}, {"maximum", option.max}};
      break;
    case OptionKind::boolean:
      out["type"] = "boolean";
      break;
    case OptionKind::senders:
    case OptionKind::addresses: {
      Json list = {{"type", "array"}};
      list["items"] = {{"type", "string"}, {"minLength", 1}};
      out["anyOf"] = Json::array({{{"type", "string"}, {"minLength", 1}}, list});
      break;
    }
  }
  out["description"] =
      std::string(option.help) +
      (option.not_yet.empty() ? std::string() : " Not in this version: " + std::string(option.not_yet));
  const Json value = json_of(read_option(option, settings, 0));
  if (!value.is_null()) out["default"] = value;
  return out;
}

Json object_schema(std::string_view help) {
  Json out = {{"type", "object"}};
  if (!help.empty()) out["description"] = std::string(help);
  out["properties"] = Json::object();
  out["additionalProperties"] = false;
  return out;
}

}  // namespace

std::string effective_json(const Settings& settings) {
  Settings copy = settings;  // read_option goes through fields that may be written, too
  Json out = Json::object();
  out["listeners"] = Json::array();
  for (const Option& option : options()) {
    const size_t count = of_listener(option) ? copy.listeners.size() : 1;
    for (size_t i = 0; i < count; ++i) {
      Json value = json_of(read_option(option, copy, i));
      if (!value.is_null()) out[Json::json_pointer(with_index(option.pointer, i))] = std::move(value);
    }
  }
  return dump(out);
}

std::string config_schema_json() {
  Json root = object_schema("Configuration of smtpscope (comments, // and /* */, are allowed in the file).");
  root["$schema"] = "http://json-schema.org/draft-07/schema#";
  root["title"] = "smtpscope.jsonc";
  for (const OptionSection& section : option_sections()) {
    Json& place = root["properties"][std::string(section.pointer.substr(1))];
    if (section.pointer != "/listeners") {
      place = object_schema(section.help);
      continue;
    }
    place = {{"type", "array"}, {"description", std::string(section.help)}, {"items", object_schema("")}};
  }
  Settings settings = defaults();
  for (const Option& option : options()) {
    const size_t slash = option.pointer.rfind('/');
    const std::string_view parent = option.pointer.substr(0, slash);
    const std::string name(option.pointer.substr(slash + 1));
    Json* object = &root;
    if (of_listener(option)) {
      object = &root["properties"]["listeners"]["items"];
    } else if (!parent.empty()) {
      object = &root["properties"][std::string(parent.substr(1))];
    }
    (*object)["properties"][name] = schema_of(option, settings);
    if (option.required) (*object)["required"].push_back(name);
  }
  return dump(root);
}

std::string config_markdown() {
  std::string out =
      "# Configuration\n\n"
      "<!-- Generated: smtpscope config schema --markdown > docs/CONFIGURATION.md -->\n\n"
      "One file, JSON with comments (`//` and `/* */`). It is looked for in this order: `--config FILE`, the "
      "environment\n"
      "variable `SMTPSCOPE_CONFIG`, `./smtpscope.jsonc`, `/etc/smtpscope/smtpscope.jsonc`. Options of `smtpscope run`\n"
      "go before it. [deploy/smtpscope.jsonc](../deploy/smtpscope.jsonc) is a sample to begin with.\n\n"
      "`smtpscope config check FILE` says what is wrong in a file, with line and column, and ends with status 78;\n"
      "`config show --effective` prints every option with the value in force; `config schema` prints a JSON Schema "
      "for\n"
      "editors.\n\n"
      "Durations are a whole number and a unit (`ms`, `s`, `m`, `h`, `d`), sizes a whole number of bytes or with a "
      "unit\n"
      "(`KiB`, `MiB`, `GiB`, `TiB`, or `kB`, `MB`, `GB`, `TB` for powers of ten), all in quotes. A limit may be\n"
      "`\"unlimited\"`.\n\n"
      "## Senders\n\n"
      "| entry | means |\n|---|---|\n"
      "| `any` | everyone |\n"
      "| `203.0.113.9`, `2001:db8::9` | one address |\n"
      "| `203.0.113.0/24`, `2001:db8::/32` | a network |\n"
      "| `198.51.100.10-20` | a range in the last octet |\n"
      "| `198.51.100.10-198.51.101.5` | a range from address to address, IPv6 too |\n"
      "| `10.2.3` or `10.2.3.` | every IPv4 address that begins with these octets |\n"
      "| `mx.partner.example` | a host by its name |\n"
      "| `.partner.example` | every host below a domain, by its forward-confirmed name |\n"
      "| `spf:partner.example` | the addresses that the domain's SPF record lets pass |\n"
      "| `mx:partner.example` | the domain's mail exchangers |\n\n"
      "How names are resolved, and what happens when the DNS fails: SENDERS.md. Where several entries cover an "
      "address, the\n"
      "narrowest is the one named in the transcript; `exclude` beats `senders`.\n";
  Settings settings = defaults();
  const auto describe = [&](const Option& option) {
    const std::string value = default_of(option, settings);
    const std::string_view name = option.pointer.substr(option.pointer.rfind('/') + 1);
    out += fmt::format("\n### `{}`\n\n{}\n\n- Value: {}\n- Default: {}\n", name, option.help, expected_value(option),
                       option.required ? "none; must be given"
                       : value.empty() ? "none"
                                       : fmt::format("`{}`", value));
    if (!option.not_yet.empty()) out += fmt::format("- **Not in this version:** {}\n", option.not_yet);
  };
  for (const OptionSection& section : option_sections()) {
    out += fmt::format("\n## `{}`\n\n{}\n", section.pointer.substr(1), section.help);
    for (const Option& option : options()) {
      if (option.pointer.substr(1).starts_with(fmt::format("{}/", section.pointer.substr(1)))) describe(option);
    }
  }
  out += "\n## At the top level\n";
  for (const Option& option : options()) {
    if (option.pointer.rfind('/') == 0) describe(option);
  }
  return out;
}

}  // namespace smtpscope
