#include "capture/store/json_cursor.h"

#include <charconv>
#include <cstdint>

namespace smtpscope {
namespace {

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

}  // namespace

std::string json_text_of(std::string_view raw) {
  return raw.size() >= 2 && raw.front() == '"' ? unescape(raw.substr(1, raw.size() - 2)) : std::string();
}

}  // namespace smtpscope
