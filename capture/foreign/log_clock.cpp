#include "capture/foreign/log_clock.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <ctime>

namespace smtpscope {
namespace {

constexpr int64_t kSecondUs = 1'000'000, kDay = 86'400;
constexpr size_t kMaxTokens = 24;  // of a prefix that are looked at

int number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() && value >= 0 ? value : -1;
}

int month_of(std::string_view text) {
  static constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (int i = 0; i < 12; ++i)
    if (kMonths[i] == text) return i + 1;
  return -1;
}

bool is_weekday(std::string_view text) {
  for (const std::string_view day : {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"})
    if (day == text) return true;
  return false;
}

/// "14:30:04", with a fraction that is not kept
bool read_time(std::string_view text, int& hour, int& minute, int& second) {
  if (text.size() < 8 || text[2] != ':' || text[5] != ':') return false;
  if (text.size() > 8 && text[8] != '.' && text[8] != ',') return false;
  hour = number(text.substr(0, 2));
  minute = number(text.substr(3, 2));
  second = number(text.substr(6, 2));
  return hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 61;
}

/// "Z", "+01:00", "-0700" as seconds east of UTC; none if it is nothing like it.
std::optional<int64_t> read_zone(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() < 5 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const int hours = number(text.substr(1, 2)), minutes = number(text.substr(text.size() - 2));
  if (hours < 0 || minutes < 0 || text.size() > 6) return std::nullopt;
  const int64_t east = hours * int64_t{3600} + minutes * int64_t{60};
  return text[0] == '-' ? -east : east;
}

std::optional<int64_t> utc_seconds(int year, int month, int day, int hour, int minute, int second) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count() * kDay + hour * int64_t{3600} + minute * int64_t{60} +
         second;
}

}  // namespace

std::optional<int64_t> LogClock::unix_of(const Civil& c) const {
  const auto as_utc = utc_seconds(c.year, c.month, c.day, c.hour, c.minute, c.second);
  if (!as_utc) return std::nullopt;
  if (utc_offset_) return *as_utc - *utc_offset_;
  std::tm local{};
  local.tm_year = c.year - 1900;
  local.tm_mon = c.month - 1;
  local.tm_mday = c.day;
  local.tm_hour = c.hour;
  local.tm_min = c.minute;
  local.tm_sec = c.second;
  local.tm_isdst = -1;
  return static_cast<int64_t>(std::mktime(&local));
}

std::optional<int64_t> LogClock::with_year(Civil civil) const {
  const int64_t now = now_us_ / kSecondUs, last = last_us_ / kSecondUs;
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(std::chrono::seconds(now)));
  const int this_year = static_cast<int>(std::chrono::year_month_day(today).year());
  std::optional<int64_t> best;
  for (civil.year = this_year + 1; civil.year > this_year - 12; --civil.year) {  // 29 February may be long ago
    const std::optional<int64_t> at = unix_of(civil);
    if (!at || *at > now + kDay) continue;
    if (last_us_ == 0) return at;
    if (!best || std::abs(*at - last) < std::abs(*best - last)) best = at;
  }
  return best;
}

bool LogClock::parse(std::string_view prefix) {
  std::array<std::string_view, kMaxTokens> tokens;
  size_t count = 0;
  const bool priority = prefix.starts_with('<');
  if (priority) {
    const size_t end = prefix.find('>');
    if (end == std::string_view::npos || end > 4) return false;
    prefix.remove_prefix(end + 1);
  }
  for (size_t at = 0; at < prefix.size() && count < kMaxTokens;) {
    const size_t end = std::min(prefix.find(' ', at), prefix.size());
    if (end > at) tokens[count++] = prefix.substr(at, end - at);
    at = end + 1;
  }
  if (count == 0 || !tokens[count - 1].ends_with(':')) return false;  // the level

  std::optional<int64_t> found;
  size_t host_at = 0;
  bool with_a_year = false;
  for (size_t i = 0; i < count; ++i) {
    const std::string_view token = tokens[i];
    Civil c;
    if (token.size() >= 20 && token[4] == '-' && token[7] == '-' && token[10] == 'T') {
      c = {number(token.substr(0, 4)), number(token.substr(5, 2)), number(token.substr(8, 2)), 0, 0, 0};
      const size_t zone_at = token.find_first_of("Zz+-", 19);
      if (c.year < 0 || c.month < 0 || c.day < 0 || zone_at == std::string_view::npos) continue;
      if (!read_time(token.substr(11, zone_at - 11), c.hour, c.minute, c.second)) continue;
      const auto at = utc_seconds(c.year, c.month, c.day, c.hour, c.minute, c.second);
      const auto zone = read_zone(token.substr(zone_at));
      if (!at || !zone) continue;
      found = *at - *zone;
      host_at = i + 1;
      with_a_year = true;
      continue;
    }
    if (i + 2 >= count) continue;
    c.month = month_of(token);
    c.day = number(tokens[i + 1]);
    if (c.month < 0 || c.day < 1 || !read_time(tokens[i + 2], c.hour, c.minute, c.second)) continue;
    c.year = i + 3 < count && tokens[i + 3].size() == 4 ? number(tokens[i + 3]) : -1;
    const bool year = c.year >= 1980;
    if (!year && with_a_year) continue;
    const std::optional<int64_t> at = year ? unix_of(c) : with_year(c);
    if (!at) continue;
    found = at;
    with_a_year = year;
    if (!year) host_at = i + 3;
    stamp_.file_form = !priority && i <= 1 && (i == 0 ? false : is_weekday(tokens[0])) && host_at <= i + 3;
  }
  if (!found) return false;
  constexpr int64_t kMost = 253'402'300'799;  // the year 9999
  if (*found < 0 || *found > kMost) return false;
  stamp_.at_us = *found * kSecondUs;
  const bool host = !stamp_.file_form && host_at > 0 && host_at < count && !tokens[host_at].ends_with(':');
  stamp_.host = host ? std::string(tokens[host_at]) : std::string();
  return true;
}

const LogStamp* LogClock::read(std::string_view prefix) {
  if (prefix_.empty() || prefix != prefix_) {
    prefix_.clear();
    stamp_ = {};
    if (!parse(prefix)) return nullptr;
    prefix_ = prefix;
  }
  last_us_ = stamp_.at_us;
  return &stamp_;
}

}  // namespace smtpscope
