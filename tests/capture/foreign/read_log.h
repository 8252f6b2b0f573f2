// Reads an injection debug log that stands in a string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "capture/foreign/injection_log_reader.h"
#include "capture/transcript/json_writer.h"
#include "tests/time_zone.h"

namespace smtpscope::test {

struct ReadLog {
  std::vector<Transcript> sessions;
  InjectionLogReport report;
};

constexpr int64_t kLogNow_us = 1'796'000'000'000'000;  // 2026-11-30

inline ReadLog read_log(std::string_view log, size_t piece = SIZE_MAX, int64_t now_us = kLogNow_us) {
  ReadLog read;
  InjectionLogReader reader(now_us, [&](Transcript t) { read.sessions.push_back(std::move(t)); });
  while (!log.empty()) {
    reader.feed(log.substr(0, piece));
    log.remove_prefix(std::min(piece, log.size()));
  }
  read.report = reader.finish();
  return read;
}

inline std::string json_of(const Transcript& t) {
  std::string json;
  append_json(json, t);
  return json;
}

}  // namespace smtpscope::test
