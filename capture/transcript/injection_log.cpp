#include "capture/transcript/injection_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "capture/transcript/harmless.h"

namespace smtpscope {
namespace {

/// "Wed Apr  2 14:30:04 2003", in local time and never translated.
std::string date_text(int64_t unix_s) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto time = static_cast<std::time_t>(unix_s);
  std::tm local{};
  if (localtime_r(&time, &local) == nullptr) return "Thu Jan  1 00:00:00 1970";
  return fmt::format("{} {} {:2} {:02}:{:02}:{:02} {}", kDays[local.tm_wday], kMonths[local.tm_mon], local.tm_mday,
                     local.tm_hour, local.tm_min, local.tm_sec, local.tm_year + 1900);
}

void append_quoted(std::string& out, std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\' || c == '\'') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20 && byte < 0x7F) {
      out += c;
    } else {
      out += '\\';
      for (int shift = 6; shift >= 0; shift -= 3) out += static_cast<char>('0' + (byte >> shift & 7));
    }
  }
}

}  // namespace

void InjectionLog::record(const Record& record, std::string& out) {
  if (const auto* chunk_record = std::get_if<Chunk>(&record)) chunk(*chunk_record, out);
  if (const auto* hole = std::get_if<Hole>(&record)) missing(*hole, out);
}

void InjectionLog::chunk(const Chunk& chunk, std::string& out) {
  Side& side = chunk.from == From::sender ? sender_ : gateway_;
  std::string_view rest = chunk.bytes;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const size_t whole = end == std::string_view::npos ? rest.size() : end + 1;
    const size_t n = std::min(whole, kMaxLine - side.partial.size());
    const bool ends = (n == whole && end != std::string_view::npos) || side.partial.size() + n == kMaxLine;
    if (ends) flush(peer_of(chunk.from), out);
    if (ends && side.partial.empty()) {
      line(chunk.from, chunk.at_us, rest.substr(0, n), out);
    } else {
      side.partial.append(rest.substr(0, n));
      side.at_us = chunk.at_us;
      if (ends) flush(chunk.from, out);
    }
    rest.remove_prefix(n);
  }
}

void InjectionLog::missing(const Hole& hole, std::string& out) {
  flush(peer_of(hole.from), out);
  flush(hole.from, out);
  head(hole.at_us, hole.from == From::sender ? "Missing from" : "Missing to", out);
  out += fmt::format("{} bytes ({})\n", hole.length, harmless(hole.reason));
}

void InjectionLog::flush(From from, std::string& out) {
  Side& side = from == From::sender ? sender_ : gateway_;
  if (side.partial.empty()) return;
  line(from, side.at_us, side.partial, out);
  side.partial.clear();
}

void InjectionLog::line(From from, int64_t at_us, std::string_view bytes, std::string& out) {
  head(at_us, from == From::sender ? "Rcvd from" : "Sent to", out);
  out += '\'';
  append_quoted(out, bytes);
  out += "'\n";
}

void InjectionLog::head(int64_t at_us, std::string_view what, std::string& out) {
  int64_t unix_us = 0;
  if (__builtin_add_overflow(facts_.started_us, at_us, &unix_us)) unix_us = facts_.started_us;
  const int64_t second = unix_us / 1'000'000 - (unix_us % 1'000'000 < 0 ? 1 : 0);
  if (second != second_ || date_.empty()) {
    second_ = second;
    date_ = date_text(second);
  }
  out += fmt::format("{} Info: {} {} '{}': ", date_, facts_.icid, what, harmless(facts_.sender.ip));
}

void InjectionLog::finish(std::string& out) {
  const From first = gateway_.at_us < sender_.at_us ? From::gateway : From::sender;
  flush(first, out);
  flush(peer_of(first), out);
}

std::string injection_log(const std::vector<Record>& records) {
  std::string out;
  if (records.empty()) return out;
  const auto* facts = std::get_if<SessionFacts>(&records.front());
  if (facts == nullptr) return out;
  InjectionLog log(*facts);
  for (const Record& record : records) log.record(record, out);
  log.finish(out);
  return out;
}

}  // namespace smtpscope
