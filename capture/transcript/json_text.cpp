#include "capture/transcript/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "capture/transcript/plain.h"
#include "capture/transcript/utf8.h"

namespace smtpscope {
namespace {

void append_escaped(std::string& out, unsigned char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
  }
}

void append_digits(std::string& out, unsigned value, int digits) {
  std::array<char, 10> text{};
  for (int i = digits; i-- > 0; value /= 10) text[static_cast<size_t>(i)] = static_cast<char>('0' + value % 10);
  out.append(text.data(), static_cast<size_t>(digits));
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = at + plain_length(text.substr(at));
    out.append(text, at, end - at);
    at = end;
    if (at == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      append_escaped(out, byte);
      ++at;
    } else if (const size_t length = code_point_at(text, at).length; length > 0) {
      out.append(text, at, length);
      at += length;
    } else {
      out += "\xEF\xBF\xBD";
      ++at;
    }
  }
  out += '"';
}

char* put_json_ms(char* at, int64_t us) {
  if (us < 0) *at++ = '-';
  const uint64_t magnitude = us < 0 ? 0 - static_cast<uint64_t>(us) : static_cast<uint64_t>(us);
  at = std::to_chars(at, at + 20, magnitude / 1000).ptr;
  auto rest = static_cast<unsigned>(magnitude % 1000);
  if (rest == 0) return at;
  *at++ = '.';
  for (unsigned digit = 100; rest > 0; rest %= digit, digit /= 10) *at++ = static_cast<char>('0' + rest / digit);
  return at;
}

std::string iso_utc(int64_t unix_us) {
  constexpr int64_t kYear0 = -62'167'219'200'000'000;
  constexpr int64_t kYear9999End = 253'402'300'799'999'999;
  using namespace std::chrono;
  const sys_time<microseconds> time{microseconds(std::clamp(unix_us, kYear0, kYear9999End))};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  std::string out;
  out.reserve(27);
  append_digits(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  append_digits(out, static_cast<unsigned>(clock.hours().count()), 2);
  out += ':';
  append_digits(out, static_cast<unsigned>(clock.minutes().count()), 2);
  out += ':';
  append_digits(out, static_cast<unsigned>(clock.seconds().count()), 2);
  out += '.';
  append_digits(out, static_cast<unsigned>(clock.subseconds().count()), 6);
  out += 'Z';
  return out;
}

void append_json_strings(std::string& out, const std::vector<std::string>& texts) {
  out += '[';
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, texts[i]);
  }
  out += ']';
}

}  // namespace smtpscope
