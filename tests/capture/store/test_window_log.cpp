// windows.log proves no more than it may.
#include "capture/store/instance.h"
#include "capture/store/window_log.h"
#include "tests/capture/store/temp_store.h"

using namespace smtpscope;

namespace {

constexpr int64_t kNow = 1'795'521'600'000'000, kMinute = 60'000'000;

RecordingWindow window(const std::string& instance, int64_t from_us) {
  RecordingWindow w;
  w.instance = instance;
  w.listen = {"0.0.0.0:25", "[::]:25"};
  w.senders = {"any \"quoted\""};
  w.from_us = from_us;
  return w;
}

}  // namespace

TEST_CASE("a window that was ended is known to its end") {
  TempStore store;
  REQUIRE_FALSE(log_window_begin(store.path, window("A", kNow)));
  REQUIRE_FALSE(log_window_begin(store.path, window("B", kNow + kMinute)));
  REQUIRE_FALSE(log_window_end(store.path, "A", kNow + 5 * kMinute));
  const auto windows = read_windows(store.path, kNow + 60 * kMinute);
  REQUIRE(windows.size() == 2);
  CHECK(windows[0].from_us == kNow);
  CHECK(windows[0].to_us == kNow + 5 * kMinute);
  CHECK(windows[0].listen == std::vector<std::string>{"0.0.0.0:25", "[::]:25"});
  CHECK(windows[0].senders == std::vector<std::string>{"any \"quoted\""});
  CHECK(windows[1].to_us == windows[1].from_us);  // B died without a word
}

TEST_CASE("a living instance listens until now") {
  TempStore store;
  const std::string id = new_ulid(kNow);
  Instance instance(store.path, id);
  CHECK(instance_alive(store.path, id));
  REQUIRE_FALSE(log_window_begin(store.path, window(id, kNow)));
  CHECK(read_windows(store.path, kNow + kMinute).at(0).to_us == kNow + kMinute);
  instance.finish();
  CHECK_FALSE(instance_alive(store.path, id));
  CHECK(read_windows(store.path, kNow + kMinute).at(0).to_us == kNow);
}

TEST_CASE("limits of the capture end what is proven") {
  TempStore store;
  RecordingWindow timed = window("A", kNow), counted = window("B", kNow);
  timed.for_ms = 2 * 60'000;
  counted.sessions = 10;
  REQUIRE_FALSE(log_window_begin(store.path, timed));
  REQUIRE_FALSE(log_window_begin(store.path, counted));
  REQUIRE_FALSE(log_window_end(store.path, "A", kNow + 30 * kMinute));
  REQUIRE_FALSE(log_window_end(store.path, "B", kNow + 30 * kMinute));
  const auto windows = read_windows(store.path, kNow + 60 * kMinute);
  CHECK(windows.at(0).to_us == kNow + 2 * kMinute);
  CHECK(windows.at(1).to_us == kNow);
}

TEST_CASE("no log, or one of nonsense and a torn line, proves nothing") {
  TempStore store;
  CHECK(read_windows(store.path, kNow).empty());
  store.write("windows.log",
              "nonsense\n{}\n\n[1]\n{\"schema\":\"smtpscope.window/2\",\"event\":\"listening\"}\n"
              "{\"schema\":\"smtpscope.window/1\",\"instance\":\"A\",\"event\":\"listening\",\"at\":\"2026");
  CHECK(read_windows(store.path, kNow).empty());
}

TEST_CASE("windows that were opened stand beside the run's own, and their end by a limit is told") {
  TempStore store;
  RecordingWindow run = window("A", kNow), opened = window("A", kNow + kMinute), again = opened;
  opened.window = std::string("3");
  opened.sessions = 10;
  again.window = std::string("4");
  again.sessions = 10;
  again.from_us += kMinute;
  REQUIRE_FALSE(log_window_begin(store.path, run));
  REQUIRE_FALSE(log_window_begin(store.path, opened));
  REQUIRE_FALSE(log_window_begin(store.path, again));
  REQUIRE_FALSE(log_window_end(store.path, "A", kNow + 5 * kMinute, "3"));
  REQUIRE_FALSE(log_window_end(store.path, "A", kNow + 9 * kMinute));
  const auto windows = read_windows(store.path, kNow + 60 * kMinute);
  REQUIRE(windows.size() == 3);
  CHECK(windows[0].to_us == kNow + 9 * kMinute);
  CHECK(windows[1].window == "3");
  CHECK(windows[1].to_us == kNow + 5 * kMinute);
  CHECK(windows[2].to_us == windows[2].from_us);  // nobody told its end
}
