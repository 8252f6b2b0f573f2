// Sessions for the summary's tests: scripts (script.h) played at a chosen time from a chosen address, through the
// transcript's line to its digest, as a store gives them.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/diagnosis/script.h"
#include "capture/summary/summary.h"
#include "capture/transcript/json_writer.h"
#include "tests/catch.h"

namespace smtpscope::test {

inline constexpr int64_t kNoon = 1'795'521'600'000'000;  // 2026-11-24 12:00 UTC
inline constexpr int64_t kMinute = 60'000'000;

struct Built {
  double at_min = 0;  ///< after noon
  std::string script;
  std::string ip = "203.0.113.9";
};

inline std::string built_line(const Built& b, int number) {
  PlayedScript played = play_script(b.script);
  INFO(b.script);
  REQUIRE(played.error == "");
  Transcript& t = played.transcript;
  t.session.id = fmt::format("01KB{:022}", number);
  t.session.sender.ip = b.ip;
  t.session.started_us = kNoon + static_cast<int64_t>(b.at_min * kMinute);
  std::string line;
  append_json(line, t);
  return line;
}

/// The summaries of these sessions; the window ends `end_min` after noon.
inline std::vector<SenderSummary> summarize(const std::vector<Built>& sessions, double end_min = 60) {
  Summarizer summarizer([&](const std::string&) { return kNoon + static_cast<int64_t>(end_min * kMinute); });
  int number = 0;
  for (const Built& b : sessions) {
    auto digest = digest_line(built_line(b, ++number));
    REQUIRE(digest);
    summarizer.add(std::move(*digest), true);
  }
  return summarizer.finish();
}

inline SenderSummary summarize_one(const std::vector<Built>& sessions, double end_min = 60) {
  std::vector<SenderSummary> all = summarize(sessions, end_min);
  REQUIRE(all.size() == 1);
  return std::move(all[0]);
}

/// Its text; empty if there is none of this kind.
inline std::string observed(const SenderSummary& s, std::string_view kind) {
  for (const Observation& o : s.observations)
    if (o.kind == kind) return o.text;
  return {};
}

inline std::vector<Built> times(int count, const Built& b, double apart_min = 1) {
  std::vector<Built> all;
  for (int i = 0; i < count; ++i) all.push_back({b.at_min + i * apart_min, b.script, b.ip});
  return all;
}
inline std::vector<Built> operator+(std::vector<Built> a, const std::vector<Built>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace smtpscope::test
