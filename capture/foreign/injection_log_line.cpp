#include "capture/foreign/injection_log_line.h"

#include <charconv>
#include <utility>

#include "capture/address_bytes.h"

namespace smtpscope {
namespace {

constexpr size_t kMaxAddress = 45;  // the longest text of an IPv6 address

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_octal(char c) { return c >= '0' && c <= '7'; }

std::string_view without_trailing_blanks(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

/// Does `text` end in this quote, and not in an escaped one?
bool ends_quoted(std::string_view text, char quote) {
  if (text.empty() || text.back() != quote) return false;
  size_t backslashes = 0;
  while (backslashes + 1 < text.size() && text[text.size() - 2 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 0;
}

template <class T>
bool number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// "5120 bytes (body)"
bool read_missing(std::string_view text, InjectionLogLine& line) {
  text = without_trailing_blanks(text);
  const size_t bytes = text.find(" bytes (");
  if (bytes == std::string_view::npos || !text.ends_with(')') || !number(text.substr(0, bytes), line.length))
    return false;
  line.reason = text.substr(bytes + 8, text.size() - bytes - 9);
  line.closed = true;
  return true;
}

int hex(char c) {
  return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// Reads the escape whose backslash stands at `at` and moves `at` behind it; -1 if it is none.
int escaped_byte(std::string_view text, size_t& at) {
  const auto has = [&](size_t n) { return at + n < text.size(); };
  if (!has(1)) return -1;
  const char c = text[at + 1];
  if (c >= '0' && c <= '3' && has(3) && is_octal(text[at + 2]) && is_octal(text[at + 3])) {
    const int byte = (c - '0') * 64 + (text[at + 2] - '0') * 8 + (text[at + 3] - '0');
    at += 4;
    return byte;
  }
  if (c == 'x' && has(3) && hex(text[at + 2]) >= 0 && hex(text[at + 3]) >= 0) {
    const int byte = hex(text[at + 2]) * 16 + hex(text[at + 3]);
    at += 4;
    return byte;
  }
  static constexpr std::pair<char, char> kNamed[] = {{'\\', '\\'}, {'\'', '\''}, {'"', '"'},
                                                     {'r', '\r'},  {'n', '\n'},  {'t', '\t'}};
  for (const auto& [name, byte] : kNamed)
    if (name == c) {
      at += 2;
      return byte;
    }
  return -1;
}

}  // namespace

std::optional<InjectionLogLine> parse_injection_log_line(std::string_view text) {
  struct Word {
    std::string_view text;
    From from;
    bool missing;
  };
  static constexpr Word kWords[] = {{" Sent to", From::gateway, false},
                                    {" Rcvd from", From::sender, false},
                                    {" Received from", From::sender, false},
                                    {" Missing to", From::gateway, true},
                                    {" Missing from", From::sender, true}};
  // The address is the first thing in quotes, so nothing that a sender wrote is taken for a line's head.
  const size_t at = text.find(" '");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view head = text.substr(0, at);
  InjectionLogLine line;
  size_t head_length = 0;
  for (const Word& word : kWords)
    if (head.ends_with(word.text)) {
      line.from = word.from;
      line.missing = word.missing;
      head_length = head.size() - word.text.size();
    }
  size_t digits = head_length;
  while (digits > 0 && is_digit(head[digits - 1])) --digits;
  if (digits == head_length || digits == 0 || head[digits - 1] != ' ') return std::nullopt;
  if (!number(head.substr(digits, head_length - digits), line.icid)) return std::nullopt;
  line.prefix = head.substr(0, digits - 1);

  text.remove_prefix(at + 2);
  const size_t ip_end = text.find('\'');
  if (ip_end == std::string_view::npos || ip_end > kMaxAddress) return std::nullopt;
  line.ip = text.substr(0, ip_end);
  if (!address_bytes(std::string(line.ip))) return std::nullopt;
  text.remove_prefix(ip_end + 1);
  if (!text.starts_with(':')) return std::nullopt;
  text.remove_prefix(1);
  while (text.starts_with(' ')) text.remove_prefix(1);
  if (line.missing) return read_missing(text, line) ? std::optional(line) : std::nullopt;
  if (without_trailing_blanks(text).empty()) return line;  // folded behind the colon
  const char quote = text.front();
  if (quote != '\'' && quote != '"') return std::nullopt;
  text.remove_prefix(1);
  const std::string_view trimmed = without_trailing_blanks(text);
  line.closed = ends_quoted(trimmed, quote);
  line.quoted = line.closed ? trimmed.substr(0, trimmed.size() - 1) : text;
  return line;
}

std::string unescape_injection_log(std::string_view quoted) {
  std::string bytes;
  bytes.reserve(quoted.size());
  for (size_t at = 0; at < quoted.size();) {
    const size_t backslash = std::min(quoted.find('\\', at), quoted.size());
    bytes += quoted.substr(at, backslash - at);
    at = backslash;
    if (at == quoted.size()) break;
    const int byte = escaped_byte(quoted, at);
    if (byte < 0) ++at;
    bytes += byte < 0 ? '\\' : static_cast<char>(byte);
  }
  return bytes;
}

std::optional<int64_t> log_utc_offset(std::string_view line) {
  static constexpr std::string_view kWords = "Info: Time offset from UTC: ", kUnit = " seconds";
  const size_t at = line.find(kWords);
  line = without_trailing_blanks(line);
  if (at == std::string_view::npos || !line.ends_with(kUnit)) return std::nullopt;
  line.remove_prefix(at + kWords.size());
  if (line.size() <= kUnit.size()) return std::nullopt;
  line.remove_suffix(kUnit.size());
  int64_t seconds = 0;
  constexpr int64_t kDay = 86'400;
  if (!number(line, seconds) || seconds < -kDay || seconds > kDay) return std::nullopt;
  return seconds;
}

bool is_log_file_frame(std::string_view line) {
  for (const std::string_view words : {"Info: Begin Logfile", "Info: End Logfile",
                                       "Info: Version: ", "Info: Time offset from UTC: ", "Info: Logfile rolled over"})
    if (line.find(words) != std::string_view::npos) return true;
  return false;
}

}  // namespace smtpscope
