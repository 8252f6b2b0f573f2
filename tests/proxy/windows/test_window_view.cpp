// What is said of a window: no more than is known.
#include "proxy/windows/window_view.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"

using namespace smtpscope;

namespace {

constexpr int64_t kNow = 1'795'521'600'000'000, kMinute = 60'000'000;

WindowFacts facts() {
  WindowFacts f;
  f.stored.window = {"3",
                     {"203.0.113.0/24", "203.0.113.9", "198.51.100.7", "mx.partner.example"},
                     {},
                     20,
                     kNow - 10 * kMinute,
                     kNow + 20 * kMinute,
                     ""};
  f.stored.tally.sessions = 5;
  f.stored.tally.verdicts = {1, 2, 0, 0};
  f.stored.tally.codes = {{"helo-refused", {1, "01B"}}, {"rcpt-unknown-user", {4, "01A"}}};
  f.stored.tally.newest = "01C";
  f.stored.tally.came = {0};
  f.stored.tally.connections = 9;
  f.now_us = kNow;
  f.in_progress = 1;
  f.live = true;
  f.listened = {{kNow - 10 * kMinute, kNow}};
  return f;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("an open window: its counts, what is left, what broke most often") {
  const auto w = window_json(facts());
  CHECK(w["state"] == "open");
  CHECK(w["left_ms"] == 20 * 60 * 1000);
  CHECK(w["sessions"] == 5);
  CHECK(w["verdicts"]["breakdown"] == 2);
  CHECK(w["in_progress"] == 1);
  CHECK(w["interrupted"] == 1);
  CHECK(w["breakdowns"][0]["code"] == "rcpt-unknown-user");
  CHECK(w["look_first"] == "smtpscope show 01A");
  CHECK(w["ended"].is_null());
  const std::string text = window_text(w);
  CHECK(has(text, "window 3: open, for another 20 min"));
  CHECK(has(text, "5 of 20 sessions: 1 delivered, 2 broke, 1 in progress, 1 interrupted when the proxy died"));
  CHECK(has(text, "rcpt-unknown-user (4), helo-refused (1)"));
}

TEST_CASE("who never came is said only of addresses, and only where the proxy listened") {
  WindowFacts f = facts();
  CHECK(absent_entries(f) == std::vector<std::string>{"203.0.113.9", "198.51.100.7"});
  f.stored.window.exclude = {"198.51.100.0/24"};  // its sessions would not have been recorded
  CHECK(absent_entries(f) == std::vector<std::string>{"203.0.113.9"});
  f.stored.window.senders = {"203.0.113.0/24", "198.51.100.0/24"};
  f.stored.window.exclude = {"203.0.113.1", "203.0.113.77", "192.0.2.1"};
  f.stored.tally.came.clear();
  CHECK(absent_entries(f) == f.stored.window.senders);
  f.stored.ended_by = "time";
  CHECK(has(window_text(window_json(f)),
            "never came  203.0.113.0/24 (but for 203.0.113.1, 203.0.113.77), 198.51.100.0/24\n"));
  f.listened = {{kNow, kNow}};
  CHECK(absent_entries(f).empty());
  f.listened.clear();
  CHECK(window_json(f)["absent"].is_null());
}

TEST_CASE("where nobody connected at all, the path itself is in doubt") {
  WindowFacts f = facts();
  f.stored.tally = WindowTally();
  f.in_progress = 0;
  CHECK_FALSE(has(window_text(window_json(f)), "nobody at all connected"));  // somebody may still come
  f.stored.ended_by = "time";
  CHECK(has(window_text(window_json(f)), "never came  203.0.113.0/24"));
  CHECK(has(window_text(window_json(f)), "nobody at all connected"));
  f.stored.window.senders = {"any"};
  CHECK(absent_entries(f).empty());  // that there were no sessions says it
}

TEST_CASE("an ended window says why, and a line for the log") {
  WindowFacts f = facts();
  f.live = false;
  f.in_progress = 0;
  CHECK(window_json(f)["state"] == "waiting");
  f.stored.ended_by = "hand";
  f.stored.ended_us = kNow;
  f.store = "/srv/store";
  CHECK(window_json(f)["state"] == "ended");
  CHECK(has(window_text(window_json(f)), "it was closed"));
  CHECK(
      window_line(f) ==
      "window 3 is over (it was closed): 5 sessions: 1 delivered, 2 broke, 2 interrupted when the proxy died; most "
      "often "
      "rcpt-unknown-user (4), helo-refused (1); never came: 203.0.113.9, 198.51.100.7; look first: smtpscope show 01A "
      "--store /srv/store");
  f.stored.ended_by.clear();
  f.now_us = kNow + 30 * kMinute;  // nobody was alive when its time was over
  CHECK(window_json(f)["ended_by"] == "time");
}

TEST_CASE("hostile text cannot move the cursor") {
  WindowFacts f = facts();
  f.stored.window.reason = "a\x1b[2Jb\r\n";
  CHECK_FALSE(has(window_text(window_json(f)), "\x1b"));
  CHECK_FALSE(has(window_text(window_json(f)), "\r"));
}

TEST_CASE("when it listened comes from the log of windows, cut to the window") {
  StoredWindow stored = facts().stored;
  stored.ended_us = kNow;
  RecordingWindow before, during, other;
  before.window = during.window = "3";
  before.from_us = kNow - 60 * kMinute, before.to_us = kNow - 30 * kMinute;
  during.from_us = kNow - 20 * kMinute, during.to_us = kNow + 5 * kMinute;
  other.from_us = kNow - 20 * kMinute, other.to_us = kNow;
  const auto spans = listened_spans({before, during, other}, stored, kNow + 9 * kMinute);
  REQUIRE(spans.size() == 1);
  CHECK(spans[0] == std::pair(kNow - 10 * kMinute, kNow));
}
