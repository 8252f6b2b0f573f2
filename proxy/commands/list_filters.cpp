#include "proxy/commands/list_filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

#include "capture/smtp/vocabulary.h"
#include "config/sender_spec.h"
#include "config/units.h"

namespace smtpscope {
namespace {

using namespace std::chrono;

AddressBytes bytes_of(const IpAddress& ip) {
  AddressBytes bytes{};
  for (unsigned i = 0; i < 8; ++i) {
    bytes[i] = static_cast<uint8_t>(ip.high() >> (56 - 8 * i));
    bytes[8 + i] = static_cast<uint8_t>(ip.low() >> (56 - 8 * i));
  }
  return bytes;
}

std::string moment(int64_t unix_us) {
  constexpr int64_t kYear0 = -62'167'219'200'000'000, kYear9999End = 253'402'300'799'999'999;
  const sys_time<microseconds> time{microseconds(std::clamp(unix_us, kYear0, kYear9999End))};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

/// The digits at text[at, at + count) as a number; -1 if they are not all digits.
int digits(std::string_view text, size_t at, size_t count) {
  if (text.size() < at + count) return -1;
  int value = 0;
  for (char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

/// Names of an enum's values, which follow each other from 0.
template <class Enum>
std::vector<std::string_view> names(Enum last) {
  std::vector<std::string_view> all;
  for (uint8_t i = 0; i <= static_cast<uint8_t>(last); ++i) all.push_back(name(static_cast<Enum>(i)));
  return all;
}

/// Empty if all are among the names, else what to tell.
std::string unknown_value(std::string_view option, const std::vector<std::string>& values,
                          const std::vector<std::string_view>& allowed) {
  for (const std::string& value : values)
    if (std::find(allowed.begin(), allowed.end(), value) == allowed.end())
      return fmt::format("{}: {} is none of {}", option, quoted(value), fmt::join(allowed, ", "));
  return {};
}

}  // namespace

Result<std::string> parse_moment(std::string_view text, int64_t now_us) {
  const auto wrong = [&] {
    return Error{quoted(text) +
                 " is no time; write 2026-11-24T02:06:41Z or 2026-11-24 (both UTC), or how long ago: 30m, 2h, 7d"};
  };
  if (text.size() < 10 || text[4] != '-') {
    const Result<uint64_t> ago_ms = parse_duration_ms(text);
    if (!ago_ms) return wrong();
    return moment(now_us - static_cast<int64_t>(*ago_ms) * 1000);
  }
  const int y = digits(text, 0, 4), mo = digits(text, 5, 2), d = digits(text, 8, 2);
  if (y < 0 || mo < 0 || d < 0 || text[7] != '-') return wrong();
  const year_month_day date{year(y), month(static_cast<unsigned>(mo)), day(static_cast<unsigned>(d))};
  if (!date.ok()) return wrong();
  int64_t unix_us = duration_cast<microseconds>(sys_days(date).time_since_epoch()).count();
  if (text.size() == 10) return moment(unix_us);

  // Thh:mm, then :ss, then a fraction, then Z; the last may be missing too.
  if (text.back() == 'Z') text.remove_suffix(1);
  if (text.size() < 16 || (text[10] != 'T' && text[10] != ' ') || text[13] != ':') return wrong();
  const int h = digits(text, 11, 2), mi = digits(text, 14, 2);
  const int s = text.size() == 16 ? 0 : text[16] == ':' ? digits(text, 17, 2) : -1;
  if (h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 59) return wrong();
  unix_us += ((h * 60 + mi) * 60 + s) * int64_t{1'000'000};
  if (text.size() > 19) {
    int64_t unit = 100'000;
    if (text[19] != '.' || text.size() == 20 || text.size() > 26) return wrong();
    for (size_t i = 20; i < text.size(); ++i, unit /= 10) {
      const int digit = digits(text, i, 1);
      if (digit < 0) return wrong();
      unix_us += digit * unit;
    }
  }
  return moment(unix_us);
}

Result<IndexQuery> query_of(const ListFilters& filters, int64_t now_us) {
  IndexQuery query;
  for (const std::string& text : filters.senders) {
    const Result<SenderSpec> spec = parse_sender_spec(text);
    if (!spec) return Error{"--sender: " + spec.error()};
    if (spec->needs_dns())
      return Error{"--sender: " + quoted(text) + " needs DNS; give its addresses, as 203.0.113.9 or 203.0.113.0/24"};
    if (spec->kind == SenderSpec::Kind::any) {
      query.senders = {{AddressBytes{}, bytes_of(IpAddress::v6(~uint64_t{0}, ~uint64_t{0}))}};
      break;
    }
    query.senders.push_back({bytes_of(spec->first), bytes_of(spec->last)});
  }
  for (const std::string& wrong : {unknown_value("--phase", filters.phases, names(Phase::idle)),
                                   unknown_value("--party", filters.parties, names(Party::unknown)),
                                   unknown_value("--verdict", filters.verdicts, names(Verdict::unknown))})
    if (!wrong.empty()) return Error{wrong};
  query.codes = filters.codes;
  query.phases = filters.phases;
  query.parties = filters.parties;
  query.verdicts = filters.verdicts;
  for (const auto& [option, text, into] :
       {std::tuple("--since", &filters.since, &query.since), std::tuple("--until", &filters.until, &query.until)}) {
    if (text->empty()) continue;
    const Result<std::string> time = parse_moment(*text, now_us);
    if (!time) return Error{std::string(option) + ": " + time.error()};
    *into = *time;
  }
  return query;
}

}  // namespace smtpscope
