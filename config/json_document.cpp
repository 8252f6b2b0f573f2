#include "config/json_document.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "config/units.h"

namespace smtpscope {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Length of the UTF-8 character that `text` begins with, 0 if it is none (RFC 3629: shortest form, no surrogates).
size_t utf8_length(std::string_view text) {
  const auto at = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto tail = [&](size_t i) { return (at(i) & 0xC0U) == 0x80U; };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool shortest = first != 0xE0 || at(1) >= 0xA0;
    const bool surrogate = first == 0xED && at(1) >= 0xA0;
    return tail(1) && tail(2) && shortest && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool shortest = first != 0xF0 || at(1) >= 0x90;
    const bool in_range = first != 0xF4 || at(1) < 0x90;
    return tail(1) && tail(2) && tail(3) && shortest && in_range ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& out, uint32_t code) {
  const auto byte = [&](uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) return byte(code);
  if (code < 0x800) {
    byte(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      byte(0xE0 | code >> 12);
    } else {
      byte(0xF0 | code >> 18);
      byte(0x80 | (code >> 12 & 0x3F));
    }
    byte(0x80 | (code >> 6 & 0x3F));
  }
  byte(0x80 | (code & 0x3F));
}

/// Recursive descent. A syntax error is thrown as the fault and caught in read().
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  JsonDocument read() {
    JsonDocument out;
    try {
      if (text_.size() > kMaxConfigSize) {
        fail(fmt::format("the file is larger than {}: this is no configuration", format_size(kMaxConfigSize)));
      }
      if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
      skip_blank();
      if (at_end()) fail("the file is empty: it must hold one object, { ... }");
      out.root = value("", 0);
      skip_blank();
      if (!at_end()) fail(fmt::format("{} after the end of the configuration", here()));
      out.readable = true;
    } catch (const JsonFault& fault) {
      faults_.push_back(fault);
    }
    out.faults = std::move(faults_);
    return out;
  }

 private:
  bool at_end() const { return offset_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[offset_]; }

  /// What stands at the current place, for a message.
  std::string here() const {
    if (at_end()) return "the file ends";
    const size_t length = utf8_length(text_.substr(offset_));
    return "unexpected " + quoted(text_.substr(offset_, length == 0 ? 1 : length));
  }

  [[noreturn]] void fail(std::string message) const { throw JsonFault{position_, {}, std::move(message)}; }
  [[noreturn]] void fail_at(Position position, std::string message) const {
    throw JsonFault{position, {}, std::move(message)};
  }

  /// Goes on by one character, refusing what is no UTF-8.
  void advance() {
    const size_t length = utf8_length(text_.substr(offset_));
    if (length == 0) {
      fail(fmt::format("byte {:02X} is no valid UTF-8: save the file as UTF-8", static_cast<unsigned char>(peek())));
    }
    if (peek() == '\n') {
      ++position_.line;
      position_.column = 1;
    } else {
      ++position_.column;
    }
    offset_ += length;
  }

  void skip_blank() {
    while (!at_end()) {
      const char c = peek();
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        advance();
      } else if (c == '/') {
        comment();
      } else {
        return;
      }
    }
  }

  void comment() {
    const Position start = position_;
    advance();
    if (peek() == '/') {
      while (!at_end() && peek() != '\n') advance();
    } else if (peek() == '*') {
      advance();
      while (text_.substr(offset_, 2) != "*/") {
        if (at_end()) fail_at(start, "this comment has no end: */ is missing");
        advance();
      }
      advance();
      advance();
    } else {
      fail_at(start, "unexpected \"/\": a comment begins with // or /*");
    }
  }

  JsonNode value(const std::string& pointer, unsigned depth) {
    if (depth > kMaxDepth) fail(fmt::format("nested more than {} deep", kMaxDepth));
    JsonNode node;
    node.position = position_;
    const char c = peek();
    if (c == '{') {
      object(node, pointer, depth);
    } else if (c == '[') {
      array(node, pointer, depth);
    } else if (c == '"') {
      node.kind = JsonNode::Kind::string;
      node.text = string();
    } else if (c == '-' || is_digit(c)) {
      number(node);
    } else if (c >= 'a' && c <= 'z') {
      word(node);
    } else {
      fail(here() + ": a value is missing here");
    }
    return node;
  }

  void object(JsonNode& node, const std::string& pointer, unsigned depth) {
    node.kind = JsonNode::Kind::object;
    advance();
    skip_blank();
    if (peek() == '}') return advance();
    while (true) {
      if (peek() != '"') fail(here() + ": a key in double quotes is missing here");
      if (node.members.size() == kMaxKeys) fail(fmt::format("more than {} keys in one object", kMaxKeys));
      JsonMember member;
      member.position = position_;
      member.key = string();
      const std::string inner = pointer + "/" + pointer_step(member.key);
      skip_blank();
      if (peek() != ':') fail(here() + ": \":\" is missing after the key");
      advance();
      skip_blank();
      member.value = value(inner, depth + 1);
      if (const JsonMember* first = find(node, member.key)) {
        faults_.push_back({member.position, inner,
                           fmt::format("this key stands here twice; the first is in line {}", first->position.line)});
      } else {
        node.members.push_back(std::move(member));
      }
      if (!next_element('}', "object")) return;
    }
  }

  void array(JsonNode& node, const std::string& pointer, unsigned depth) {
    node.kind = JsonNode::Kind::array;
    advance();
    skip_blank();
    if (peek() == ']') return advance();
    while (true) {
      node.items.push_back(value(pointer + "/" + std::to_string(node.items.size()), depth + 1));
      if (!next_element(']', "list")) return;
    }
  }

  /// After an element: true at the next one, false behind the closing bracket.
  bool next_element(char close, std::string_view what) {
    skip_blank();
    if (peek() == close) {
      advance();
      return false;
    }
    if (peek() != ',') fail(fmt::format("{}: \",\" or \"{}\" is missing here", here(), close));
    const Position comma = position_;
    advance();
    skip_blank();
    if (peek() == close) fail_at(comma, fmt::format("a comma after the last element of the {}: remove it", what));
    return true;
  }

  std::string string() {
    const Position start = position_;
    std::string out;
    advance();
    while (peek() != '"' || at_end()) {
      if (at_end() || peek() == '\n') fail_at(start, "this text has no closing quote");
      if (peek() == '\\') {
        escape(out);
        continue;
      }
      if (static_cast<unsigned char>(peek()) < 0x20) fail("a control character in a text: write it as \\u00NN");
      const size_t from = offset_;
      advance();
      out += text_.substr(from, offset_ - from);
    }
    advance();
    return out;
  }

  void escape(std::string& out) {
    const Position start = position_;
    advance();
    const char c = peek();
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (const size_t index = kLetters.find(c); index != std::string_view::npos) {
      out += kMeanings[index];
      return advance();
    }
    if (c != 'u') fail_at(start, "unknown escape: a backslash in a text is written \\\\");
    uint32_t code = hex4(start);
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(offset_, 2) == "\\u") {
      advance();
      const uint32_t low = hex4(start);
      if (low < 0xDC00 || low > 0xDFFF)
        fail_at(start, "half of a character: \\u of a high surrogate without its low one");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xD800 && code <= 0xDFFF) {
      fail_at(start, "half of a character: \\u of one surrogate without the other");
    }
    append_utf8(out, code);
  }

  /// The four digits behind the "u" at the current place.
  uint32_t hex4(Position start) {
    advance();
    const std::string_view digits = text_.substr(offset_, 4);
    uint32_t code = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4)
      fail_at(start, "\\u takes four hexadecimal digits");
    for (int i = 0; i < 4; ++i) advance();
    return code;
  }

  void digits() {
    if (!is_digit(peek())) fail(here() + ": a digit is missing here");
    while (is_digit(peek())) advance();
  }

  void number(JsonNode& node) {
    const size_t from = offset_;
    if (peek() == '-') advance();
    const bool zero = peek() == '0';
    const size_t first = offset_;
    digits();
    if (zero && offset_ > first + 1) fail_at(node.position, "a number does not begin with 0");
    const bool whole = peek() != '.' && peek() != 'e' && peek() != 'E';
    if (peek() == '.') {
      advance();
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      advance();
      if (peek() == '+' || peek() == '-') advance();
      digits();
    }
    node.text = text_.substr(from, offset_ - from);
    const char* end = node.text.data() + node.text.size();
    const auto result = std::from_chars(node.text.data(), end, node.integer);
    node.kind =
        whole && result.ec == std::errc() && result.ptr == end ? JsonNode::Kind::integer : JsonNode::Kind::number;
    const char c = peek();
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      fail_at(node.position, "a number with a unit is a text: put it in double quotes");
    }
  }

  void word(JsonNode& node) {
    const size_t from = offset_;
    while ((peek() >= 'a' && peek() <= 'z') || is_digit(peek())) advance();
    const std::string_view text = text_.substr(from, offset_ - from);
    if (text == "true" || text == "false") {
      node.kind = JsonNode::Kind::boolean;
      node.boolean = text == "true";
    } else if (text != "null") {
      fail_at(node.position, quoted(text) + " without quotes: put texts in double quotes");
    }
  }

  static const JsonMember* find(const JsonNode& node, std::string_view key) {
    for (const JsonMember& member : node.members) {
      if (member.key == key) return &member;
    }
    return nullptr;
  }

  std::string_view text_;
  size_t offset_ = 0;
  Position position_;
  std::vector<JsonFault> faults_;
};

}  // namespace

const JsonNode* JsonNode::find(std::string_view key) const {
  for (const JsonMember& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

JsonDocument read_json(std::string_view text) { return Reader(text).read(); }

std::string pointer_step(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string_view name_of(JsonNode::Kind kind) {
  switch (kind) {
    case JsonNode::Kind::null:
      return "null";
    case JsonNode::Kind::boolean:
      return "a boolean";
    case JsonNode::Kind::integer:
    case JsonNode::Kind::number:
      return "a number";
    case JsonNode::Kind::string:
      return "a text";
    case JsonNode::Kind::array:
      return "a list";
    case JsonNode::Kind::object:
      return "an object";
  }
  return "a value";
}

}  // namespace smtpscope
