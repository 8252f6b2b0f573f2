#include <cmath>
#include <nlohmann/json.hpp>

#include "capture/summary/summary_text.h"
#include "capture/transcript/json_text.h"

namespace smtpscope {
namespace {

using json = nlohmann::ordered_json;

json text_or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }
double ms(int64_t us) { return static_cast<double>(us) / 1000; }

json of(const Retry& r) {
  json gaps = json::array();
  for (const int64_t us : r.gaps_us) gaps.push_back(ms(us));
  return {{"mail_from", r.mail_from},
          {"recipient", text_or_null(r.recipient)},
          {"code", r.code},
          {"first", {{"session", r.first_id}, {"ip", r.first_ip}, {"at", iso_utc(r.first_us)}}},
          {"last", {{"session", r.last_id}, {"ip", r.last_ip}, {"at", iso_utc(r.first_us + r.took_us)}}},
          {"tries", r.tries},
          {"gaps_ms", gaps},
          {"took_ms", ms(r.took_us)},
          {"watched_ms", ms(r.watched_us)},
          {"end", name(r.end)},
          {"text", sentence(r)}};
}

json of(const Duplicate& d) {
  return {{"mail_from", d.mail_from},
          {"recipient", d.recipient},
          {"first",
           {{"session", d.first_id},
            {"ip", d.first_ip},
            {"queue_id", text_or_null(d.first_queue_id)},
            {"accepted", d.first_taken}}},
          {"second",
           {{"session", d.second_id},
            {"ip", d.second_ip},
            {"queue_id", text_or_null(d.second_queue_id)},
            {"accepted", d.second_taken}}},
          {"after_ms", ms(d.after_us)},
          {"same", d.by_hash ? "body" : "envelope"},
          {"text", sentence(d)}};
}

json of(const Observation& o) {
  json numbers = json::object();
  for (const auto& [key, value] : o.numbers) {
    if (value == std::floor(value) && std::abs(value) < 9e15)
      numbers[key] = static_cast<int64_t>(value);
    else
      numbers[key] = value;
  }
  return {{"kind", o.kind}, {"text", o.text}, {"sessions", o.sessions}, {"numbers", numbers}};
}

template <class T>
json list(const std::vector<T>& values) {
  json out = json::array();
  for (const T& value : values) out.push_back(of(value));
  return out;
}

}  // namespace

std::string summary_json(const SenderSummary& s) {
  const auto message = [&](Outcome o) { return s.messages[static_cast<size_t>(o)]; };
  json verdicts = json::object(), codes = json::array(), ends = json::object();
  for (const Verdict v : {Verdict::delivered, Verdict::breakdown, Verdict::no_mail, Verdict::unknown})
    verdicts[std::string(name(v))] = s.verdicts[static_cast<size_t>(v)];
  for (const auto& [code, count] : s.codes)
    codes.push_back({{"code", code}, {"sessions", count.sessions}, {"example", count.example}});
  for (size_t i = 0; i < s.retry_ends.size(); ++i)
    ends[std::string(name(static_cast<Retry::End>(i)))] = s.retry_ends[i];
  const json out = {{"schema", "smtpscope.summary/1"},
                    {"sender", s.ip},
                    {"name", text_or_null(s.name)},
                    {"sessions", s.sessions},
                    {"first", iso_utc(s.first_us)},
                    {"last", iso_utc(s.last_us)},
                    {"verdicts", verdicts},
                    {"messages",
                     {{"delivered", message(Outcome::delivered)},
                      {"refused", message(Outcome::refused)},
                      {"put_off", message(Outcome::put_off)},
                      {"unfinished", message(Outcome::unfinished)},
                      {"withdrawn", message(Outcome::withdrawn)}}},
                    {"inside_tls", s.inside_tls},
                    {"left_out",
                     {{"refused", s.left_out.refused},
                      {"put_off", s.left_out.put_off},
                      {"example", text_or_null(s.left_out.example)}}},
                    {"codes", codes},
                    {"put_off", {{"counts", ends}, {"examples", list(s.retries)}}},
                    {"duplicates", {{"count", s.duplicate_count}, {"examples", list(s.duplicates)}}},
                    {"observations", list(s.observations)},
                    {"absent", nullptr}};
  // What is no UTF-8 (lossless text never is) becomes U+FFFD.
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace smtpscope
