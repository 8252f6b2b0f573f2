#include "capture/summary/words.h"

#include <fmt/format.h>

#include "capture/transcript/json_text.h"
#include "capture/transcript/text_page.h"

namespace smtpscope {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string span_text(int64_t us) {
  if (us < 0) us = 0;
  if (us < 59'950'000) return fmt::format("{:.1f} s", static_cast<double>(us) / 1e6);
  const int64_t s = (us + 500'000) / 1'000'000;
  const auto two = [](int64_t big, const char* one, int64_t small, const char* other) {
    return small == 0 ? fmt::format("{} {}", big, one) : fmt::format("{} {} {} {}", big, one, small, other);
  };
  if (s < 600) return two(s / 60, "min", s % 60, "s");
  const int64_t min = (s + 30) / 60;
  if (min < 60) return fmt::format("{} min", min);
  if (min < 24 * 60) return two(min / 60, "h", min % 60, "min");
  const int64_t h = (min + 30) / 60;
  return two(h / 24, "d", h % 24, "h");
}

std::string ordinal(uint64_t n) {
  const uint64_t tens = n % 100, ones = n % 10;
  const bool teen = tens >= 11 && tens <= 13;
  return grouped(n) + (teen ? "th" : ones == 1 ? "st" : ones == 2 ? "nd" : ones == 3 ? "rd" : "th");
}

std::string size_text(uint64_t bytes) {
  constexpr double kKi = 1024;
  auto n = static_cast<double>(bytes);
  if (n < kKi) return counted(bytes, "byte");
  const char* unit = n < kKi * kKi ? "KiB" : "MiB";
  n /= n < kKi * kKi ? kKi : kKi * kKi;
  return fmt::format("{:.{}f} {}", n, n < 10 ? 1 : 0, unit);
}

std::string moment_text(int64_t unix_us) {
  std::string text = iso_utc(unix_us).substr(0, 19);
  text[10] = ' ';
  return text;
}

}  // namespace smtpscope
