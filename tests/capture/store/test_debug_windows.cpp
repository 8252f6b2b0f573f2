// Debug windows outlive whoever keeps them: counts of several runs add up, and what is torn does not harm the rest.
#include "capture/store/debug_windows.h"

#include "tests/capture/store/temp_store.h"

using namespace smtpscope;

namespace {

constexpr int64_t kNow = 1'795'521'600'000'000, kMinute = 60'000'000;

DebugWindow window(int64_t opened_us = kNow) {
  DebugWindow w;
  w.senders = {"203.0.113.0/24", "any \"quoted\""};
  w.exclude = {"203.0.113.9"};
  w.sessions = 20;
  w.opened_us = opened_us;
  w.until_us = opened_us + 30 * kMinute;
  w.reason = "they \n say";
  return w;
}

WindowTally tally(uint64_t sessions, const std::string& code, const std::string& newest) {
  WindowTally t;
  t.sessions = sessions;
  t.verdicts = {sessions - 1, 1, 0, 0};
  t.codes[code] = {1, newest};
  t.newest = newest;
  t.came = {0};
  t.connections = 2 * sessions;
  return t;
}

}  // namespace

TEST_CASE("what was asked for comes back, and windows are numbered") {
  TempStore store;
  DebugWindow first = window(), second = window(kNow + kMinute), config = window(kNow + 2 * kMinute);
  second.sessions = 0;
  second.until_us = 0;
  config.id = kConfigWindow;
  keep_window(store.path, first);
  keep_window(store.path, second);
  keep_window(store.path, config);
  CHECK(first.id == "1");
  CHECK(second.id == "2");
  const auto all = read_debug_windows(store.path);
  REQUIRE(all.size() == 3);
  CHECK(all[0].window == first);
  CHECK(all[1].window == second);
  CHECK(all[2].window == config);
  CHECK(all[0].ended_by.empty());
  CHECK(all[0].tally == WindowTally());
  DebugWindow third = window();
  keep_window(store.path, third);
  CHECK(third.id == "3");
  CHECK(read_debug_windows(store.file("nowhere")).empty());
}

TEST_CASE("the last whole line of each run counts, and runs add up") {
  TempStore store;
  DebugWindow w = window();
  const std::string folder = keep_window(store.path, w);
  TallyFile a(folder, "A"), b(folder, "B");
  REQUIRE_FALSE(a.save(tally(2, "helo-refused", "01A")));
  REQUIRE_FALSE(a.save(tally(3, "rcpt-unknown-user", "01B")));
  REQUIRE_FALSE(b.save(tally(4, "rcpt-unknown-user", "01C")));
  store.write("windows/1/B.jsonl", "{\"sessions\":999", true);  // torn
  store.write("windows/1/C.jsonl", "{\"sessions\":999");
  store.write("windows/1/D.jsonl", "nonsense\n");
  const WindowTally t = read_debug_windows(store.path).at(0).tally;
  CHECK(t.sessions == 7);
  CHECK(t.count(Verdict::breakdown) == 2);
  CHECK(t.ended() == 7);
  CHECK(t.codes == std::map<std::string, WindowTally::Code>{{"rcpt-unknown-user", {2, "01C"}}});
  CHECK(t.newest == "01C");
  CHECK(t.connections == 14);
  CHECK(read_tally_json(tally_json(t)) == t);
}

TEST_CASE("a count that is kept often does not grow without end") {
  TempStore store;
  DebugWindow w = window();
  const std::string folder = keep_window(store.path, w);
  TallyFile file(folder, "A");
  for (uint64_t i = 1; i <= 5000; ++i) REQUIRE_FALSE(file.save(tally(i, "rcpt-unknown-user", "01B")));
  CHECK(std::filesystem::file_size(folder + "/A.jsonl") <= 256 * 1024);
  CHECK(read_debug_windows(store.path).at(0).tally.sessions == 5000);
}

TEST_CASE("a window ends once; by its time or its sessions also if nobody tells") {
  TempStore store;
  DebugWindow w = window();
  const std::string folder = keep_window(store.path, w);
  StoredWindow stored = read_debug_windows(store.path).at(0);
  stored.settle(kNow + kMinute);
  CHECK(stored.ended_by.empty());
  StoredWindow full = stored;
  full.tally.sessions = 20;
  full.settle(kNow + kMinute);
  CHECK(full.ended_by == "count");
  stored.settle(kNow + 40 * kMinute);
  CHECK(stored.ended_by == "time");
  CHECK(stored.ended_us == w.until_us);

  std::error_code error;
  CHECK(window_ended_by(folder) == nullptr);
  CHECK(end_window(folder, "hand", kNow + kMinute, error));
  CHECK_FALSE(end_window(folder, "time", kNow + 2 * kMinute, error));
  CHECK_FALSE(error);
  CHECK(window_ended_by(folder) == std::string("hand"));
  stored = read_debug_windows(store.path).at(0);
  CHECK(stored.ended_by == "hand");
  CHECK(stored.ended_us == kNow + kMinute);
  store.write("windows/1/ended.json", "");  // died over it
  CHECK(read_debug_windows(store.path).at(0).ended_by == "unknown");
}

TEST_CASE("a window of which nothing certain is known is none") {
  TempStore store;
  store.write("windows/1/opened.json", "{\"schema\":\"smtpscope.debug-window/1\",\"id\":\"1\"");
  store.write("windows/2/opened.json",
              "{\"schema\":\"smtpscope.debug-window/2\",\"id\":\"2\",\"opened\":\"2026-11-24T12:00:00Z\"}");
  store.write("windows/3/else", "x");
  CHECK(read_debug_windows(store.path).empty());
  DebugWindow w = window();
  keep_window(store.path, w);
  CHECK(w.id == "4");
}
