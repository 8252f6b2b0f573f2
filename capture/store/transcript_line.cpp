#include "capture/store/transcript_line.h"

#include <algorithm>
#include <charconv>

namespace smtpscope {
namespace {

constexpr std::string_view kSchema = "smtpscope.transcript/1";

/// A cursor over one JSON object. Every step says whether it could be made; none reads behind the end.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool accept(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool peek(char c) {
    space();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool done() {
    space();
    return at_ == text_.size();
  }

  /// A string's contents as they stand, escapes and all.
  bool string(std::string_view& contents) {
    if (!accept('"')) return false;
    const size_t begin = at_;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        contents = text_.substr(begin, at_++ - begin);
        return true;
      }
      if (text_[at_] == '\\') ++at_;
    }
    at_ = text_.size();
    return false;
  }

  /// Any value; of one that is not a string, its text.
  bool value(std::string_view& raw) {
    space();
    const size_t begin = at_;
    std::string_view ignored;
    size_t depth = 0;
    do {
      space();
      if (at_ >= text_.size()) return false;
      const char c = text_[at_];
      if (c == '"') {
        if (!string(ignored)) return false;
      } else if (c == '{' || c == '[') {
        ++depth, ++at_;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return false;
        --depth, ++at_;
      } else if (c == ',' || c == ':') {
        if (depth == 0) return false;
        ++at_;
      } else {
        at_ = std::min(text_.find_first_of(",:]}\"{[ \t\r\n", at_), text_.size());
      }
    } while (depth > 0);
    raw = text_.substr(begin, at_ - begin);
    return true;
  }

 private:
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r' || text_[at_] == '\n'))
      ++at_;
  }
  std::string_view text_;
  size_t at_ = 0;
};

void append_utf8(std::string& out, uint32_t c) {
  const auto byte = [&](uint32_t value) { out += static_cast<char>(value); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xC0 | c >> 6), byte(0x80 | (c & 63));
  } else if (c < 0x10000) {
    byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63));
  } else {
    byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 63)), byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63));
  }
}

/// The text of a JSON string; an escape that is none stays as it is.
std::string unescape(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  const auto hex4 = [&](size_t at) -> int32_t {
    if (raw.size() < at + 4) return -1;
    uint32_t value = 0;
    const char* const end = raw.data() + at + 4;
    const auto [ptr, error] = std::from_chars(raw.data() + at, end, value, 16);
    return error == std::errc() && ptr == end ? static_cast<int32_t>(value) : -1;
  };
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\' || i + 1 >= raw.size()) {
      out += raw[i];
      continue;
    }
    constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    const char c = raw[++i];
    if (const size_t known = kNames.find(c); known != std::string_view::npos) {
      out += kValues[known];
    } else if (int32_t unit = c == 'u' ? hex4(i + 1) : -1; unit >= 0) {
      i += 4;
      if (unit >= 0xD800 && unit < 0xE000) {
        const int32_t low = raw.substr(i + 1).starts_with("\\u") ? hex4(i + 3) : -1;
        const bool pair = unit < 0xDC00 && low >= 0xDC00 && low < 0xE000;
        if (pair) i += 6;
        unit = pair ? 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
      }
      append_utf8(out, static_cast<uint32_t>(unit));
    } else {
      out += '\\';
      out += c;
    }
  }
  return out;
}

std::string text_of(std::string_view raw) {
  return raw.size() >= 2 && raw.front() == '"' ? unescape(raw.substr(1, raw.size() - 2)) : std::string();
}

/// Calls on(key, value) for each member of the object; false if it is not a whole one.
template <class On>
bool members(std::string_view object, On on) {
  Cursor cursor(object);
  if (!cursor.accept('{')) return false;
  if (cursor.accept('}')) return cursor.done();
  do {
    std::string_view key, value;
    if (!cursor.string(key) || !cursor.accept(':') || !cursor.value(value)) return false;
    on(key, value);
  } while (cursor.accept(','));
  return cursor.accept('}') && cursor.done();
}

}  // namespace

std::optional<TranscriptLine> scan_transcript_line(std::string_view line) {
  TranscriptLine t;
  std::string schema;
  std::string_view sender, breakdown;
  const bool whole = members(line, [&](std::string_view key, std::string_view value) {
    if (key == "schema") schema = text_of(value);
    if (key == "id") t.id = text_of(value);
    if (key == "icid") std::from_chars(value.data(), value.data() + value.size(), t.icid);
    if (key == "started") t.started = text_of(value);
    if (key == "sender") sender = value;
    if (key == "verdict") t.verdict = text_of(value);
    if (key == "summary") t.summary = text_of(value);
    if (key == "breakdown") breakdown = value;
  });
  if (!whole || (schema != kSchema && !schema.starts_with(std::string(kSchema) + '.'))) return std::nullopt;
  members(sender, [&](std::string_view key, std::string_view value) {
    if (key == "ip") t.sender_ip = text_of(value);
  });
  members(breakdown, [&](std::string_view key, std::string_view value) {
    if (key == "code") t.code = text_of(value);
    if (key == "phase") t.phase = text_of(value);
    if (key == "party") t.party = text_of(value);
  });
  if (t.id.empty() || t.started.empty() || t.sender_ip.empty()) return std::nullopt;
  return t;
}

std::string scan_transcript_id(std::string_view line) {
  std::string id;
  const bool whole = members(line, [&](std::string_view key, std::string_view value) {
    if (key == "id") id = text_of(value);
  });
  return whole ? id : std::string();
}

}  // namespace smtpscope
