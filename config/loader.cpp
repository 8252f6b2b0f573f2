#include "config/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>
#include <numeric>
#include <system_error>

#include "config/json_document.h"
#include "config/options.h"
#include "config/units.h"

namespace smtpscope {
namespace {

constexpr size_t kMaxFaults = 20;

/// Edits (insert, delete, replace, swap of neighbours) between two words; both short.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

/// "/capture" of "/capture/senders", "" of "/capture"; and the last step.
std::string_view parent_of(std::string_view pointer) { return pointer.substr(0, pointer.rfind('/')); }
std::string_view step_of(std::string_view pointer) { return pointer.substr(pointer.rfind('/') + 1); }

const Option* find_option(std::string_view pattern) {
  for (const Option& option : options()) {
    if (option.pointer == pattern) return &option;
  }
  return nullptr;
}

bool is_section(std::string_view pattern) {
  const auto sections = option_sections();
  return std::any_of(sections.begin(), sections.end(), [&](const OptionSection& s) { return s.pointer == pattern; });
}

/// Every name that may stand in the object at `pattern`.
std::vector<std::string_view> keys_of(std::string_view pattern) {
  std::vector<std::string_view> keys;
  for (const OptionSection& section : option_sections()) {
    if (parent_of(section.pointer) == pattern) keys.push_back(step_of(section.pointer));
  }
  for (const Option& option : options()) {
    if (parent_of(option.pointer) == pattern) keys.push_back(step_of(option.pointer));
  }
  return keys;
}

/// What to say about a key that does not exist at this place.
std::string unknown_key(std::string_view pattern, std::string_view key) {
  const auto keys = keys_of(pattern);
  if (key.size() <= 40) {
    std::string_view nearest;
    size_t least = key.size() / 3 + 1;
    for (const std::string_view candidate : keys) {
      const size_t edits = distance(key, candidate);
      if (edits <= least && (nearest.empty() || edits < least)) nearest = candidate, least = edits;
    }
    if (!nearest.empty()) return fmt::format("unknown key; did you mean \"{}\"?", nearest);
  }
  for (const Option& option : options()) {
    if (step_of(option.pointer) != key) continue;
    const auto home = parent_of(option.pointer);
    return fmt::format("unknown key; \"{}\" belongs {}", key,
                       home.empty() ? "at the top level" : fmt::format("into {}", home));
  }
  std::string known;
  for (const std::string_view candidate : keys) known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", candidate);
  return "unknown key; known here are " + known;
}

/// Goes through the document along the option table.
class Loader {
 public:
  explicit Loader(std::vector<JsonFault> faults) : faults_(std::move(faults)) {}

  void load(const JsonNode& root) {
    if (root.kind != JsonNode::Kind::object) {
      return fault(root.position, "",
                   fmt::format("the configuration must be an object, {{ ... }}, not {}", name_of(root.kind)));
    }
    object(root, "", "", 0);
  }

  Settings settings;
  std::vector<JsonFault>& faults() { return faults_; }

 private:
  void fault(Position position, std::string pointer, std::string message) {
    faults_.push_back({position, std::move(pointer), std::move(message)});
  }

  /// `pattern` is the pointer with * for a listener's index.
  void object(const JsonNode& node, const std::string& pointer, const std::string& pattern, size_t listener) {
    if (node.kind != JsonNode::Kind::object) {
      return fault(node.position, pointer, fmt::format("must be an object, {{ ... }}, not {}", name_of(node.kind)));
    }
    for (const JsonMember& member : node.members) {
      const std::string inner = pointer + "/" + pointer_step(member.key);
      const std::string inner_pattern = pattern + "/" + pointer_step(member.key);
      if (const Option* option = find_option(inner_pattern)) {
        value(member.value, inner, *option, listener);
      } else if (inner_pattern == "/listeners") {
        listeners(member.value);
      } else if (is_section(inner_pattern)) {
        object(member.value, inner, inner_pattern, listener);
      } else {
        fault(member.position, inner, unknown_key(pattern, member.key));
      }
    }
    for (const Option& option : options()) {
      if (option.required && parent_of(option.pointer) == pattern && !node.find(step_of(option.pointer))) {
        fault(node.position, pointer, fmt::format("\"{}\" is missing", step_of(option.pointer)));
      }
    }
  }

  void listeners(const JsonNode& node) {
    if (node.kind != JsonNode::Kind::array) {
      return fault(node.position, "/listeners",
                   fmt::format("must be a list of objects, [{{ ... }}], not {}", name_of(node.kind)));
    }
    for (size_t i = 0; i < node.items.size(); ++i) {
      settings.listeners.emplace_back();
      object(node.items[i], fmt::format("/listeners/{}", i), "/listeners/*", i);
    }
  }

  void value(const JsonNode& node, const std::string& pointer, const Option& option, size_t listener) {
    OptionValue value;
    switch (node.kind) {
      case JsonNode::Kind::string:
        value = node.text;
        break;
      case JsonNode::Kind::integer:
        value = node.integer;
        break;
      case JsonNode::Kind::boolean:
        value = node.boolean;
        break;
      default:
        break;
    }
    if (option.kind == OptionKind::senders || option.kind == OptionKind::addresses) {
      if (!entries(node, pointer, option, value)) return;
    }
    if (auto error = write_option(option, settings, listener, value)) {
      std::string message = std::move(error->message);
      if (message.starts_with("must be")) message += ", not " + shown(node);
      fault(node.position, pointer, std::move(message));
    }
  }

  /// Collects a list's entries into `value`; false if one of them was faulty.
  bool entries(const JsonNode& node, const std::string& pointer, const Option& option, OptionValue& value) {
    std::vector<std::string> list;
    const size_t faults_before = faults_.size();
    const auto entry = [&](const JsonNode& item, const std::string& at) {
      if (item.kind != JsonNode::Kind::string) {
        return fault(item.position, at, fmt::format("must be a text, not {}", shown(item)));
      }
      if (const auto error = check_entry(option, item.text)) return fault(item.position, at, error->message);
      list.push_back(item.text);
    };
    if (node.kind == JsonNode::Kind::string) {
      entry(node, pointer);
    } else if (node.kind == JsonNode::Kind::array) {
      for (size_t i = 0; i < node.items.size(); ++i) entry(node.items[i], fmt::format("{}/{}", pointer, i));
    } else {
      return true;  // write_option says what is expected
    }
    value = std::move(list);
    return faults_.size() == faults_before;
  }

  static std::string shown(const JsonNode& node) {
    switch (node.kind) {
      case JsonNode::Kind::boolean:
        return node.boolean ? "true" : "false";
      case JsonNode::Kind::integer:
      case JsonNode::Kind::number:
        return node.text.substr(0, 40);
      case JsonNode::Kind::string:
        return quoted(node.text);
      default:
        return std::string(name_of(node.kind));
    }
  }

  std::vector<JsonFault> faults_;
};

/// The message's pointer may hold any bytes of the file; the quotes of quoted() are left off.
std::string line_of(std::string_view file_name, const JsonFault& fault) {
  std::string pointer = quoted(fault.pointer);
  pointer = pointer.substr(1, pointer.size() - 2);
  return fmt::format("{}:{}:{}: {}{}{}", file_name, fault.position.line, fault.position.column, pointer,
                     pointer.empty() ? "" : ": ", fault.message);
}

}  // namespace

Result<Settings> load_settings_text(std::string_view text, std::string_view file_name) {
  JsonDocument document = read_json(text);
  Loader loader(std::move(document.faults));
  if (document.readable) loader.load(document.root);
  auto& faults = loader.faults();
  if (faults.empty()) return std::move(loader.settings);

  std::stable_sort(faults.begin(), faults.end(), [](const JsonFault& a, const JsonFault& b) {
    return std::pair(a.position.line, a.position.column) < std::pair(b.position.line, b.position.column);
  });
  std::string message;
  for (size_t i = 0; i < std::min(faults.size(), kMaxFaults); ++i) {
    if (i > 0) message += '\n';
    message += line_of(file_name, faults[i]);
  }
  if (faults.size() > kMaxFaults) message += fmt::format("\n{}: and {} more", file_name, faults.size() - kMaxFaults);
  return Error{std::move(message)};
}

Result<std::string> read_settings_text(const std::string& path) {
  const auto cannot = [&](int error) {
    return Error{fmt::format("{}: cannot be read: {}", path, std::generic_category().message(error))};
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return cannot(errno);
  // One byte more than is allowed, so that the reader sees that it is too large.
  std::string text(kMaxConfigSize + 1, '\0');
  const size_t size = std::fread(text.data(), 1, text.size(), file.get());
  if (std::ferror(file.get())) return cannot(errno);
  text.resize(size);
  return text;
}

Result<Settings> load_settings_file(const std::string& path) {
  const auto text = read_settings_text(path);
  if (!text) return Error{text.error()};
  return load_settings_text(*text, path);
}

std::string locate_message(std::string_view text, std::string_view file_name, std::string_view pointer,
                           std::string_view message) {
  const JsonDocument document = read_json(text);
  const JsonNode* node = &document.root;
  std::string_view rest = pointer;
  while (!rest.empty() && node) {
    rest.remove_prefix(1);
    const std::string_view step = rest.substr(0, rest.find('/'));
    rest.remove_prefix(step.size());
    const JsonNode* inner = node->find(step);
    size_t index = 0;
    const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
    if (error == std::errc() && end == step.data() + step.size() && index < node->items.size())
      inner = &node->items[index];
    if (!inner) break;
    node = inner;
  }
  return line_of(file_name, {node->position, std::string(pointer), std::string(message)});
}

}  // namespace smtpscope
