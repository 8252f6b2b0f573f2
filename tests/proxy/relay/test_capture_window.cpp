// A session is captured if an open window takes it, and counts in all that do; none takes one more than it may.
#include <atomic>
#include <thread>
#include <vector>

#include "proxy/clock.h"
#include "proxy/relay/capture_gate.h"
#include "tests/capture/store/temp_store.h"

using namespace smtpscope;

namespace {

CaptureGate::Open opened(const std::string& id, uint64_t sessions = 0, const std::string& only = "any",
                         int64_t left_ms = 0, const WindowTally& before = {}) {
  DebugWindow terms;
  terms.id = id;
  terms.senders = {"192.0.2.0/25", "192.0.2.7", "198.51.100.1"};
  terms.sessions = sessions;
  terms.opened_us = 1;
  if (left_ms != 0) terms.until_us = unix_us() + left_ms * 1000;
  auto window = std::make_shared<CaptureWindow>(terms, before, nullptr);
  return {window, std::make_shared<const SenderFilter>(*SenderFilter::build({only}, {}))};
}

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

}  // namespace

TEST_CASE("a session belongs to every window that covers it, and takes the first one's entry") {
  const std::vector<CaptureGate::Open> windows{opened("1", 1, "192.0.2.7"), opened("2"), opened("3", 0, "192.0.2.8")};
  auto a = CaptureGate::admit(windows, ip("192.0.2.7"));
  CHECK(a.entry == "192.0.2.7");
  CHECK(a.windows.size() == 2);
  a = CaptureGate::admit(windows, ip("192.0.2.7"));  // the first is full
  CHECK(a.entry == "any");
  CHECK(a.windows.size() == 1);
  CHECK(windows[0].window->end()->by == std::string("count"));
  CHECK(windows[1].window->tally().sessions == 2);
  windows[1].window->close("hand");
  CHECK_FALSE(CaptureGate::admit(windows, ip("192.0.2.7")));
  CHECK(CaptureGate::admit(windows, ip("192.0.2.8")).windows.size() == 1);
  CHECK_FALSE(CaptureGate::admit({}, ip("192.0.2.7")));
}

TEST_CASE("a window by address does not wait for the name that another one goes by") {
  const std::vector<CaptureGate::Open> windows{opened("1", 0, ".partner.example"), opened("2", 1, "192.0.2.7")};
  auto a = CaptureGate::admit(windows, ip("192.0.2.7"));
  CHECK(a.by_name);
  CHECK(a.entry == "192.0.2.7");
  CHECK(windows[1].window->over());  // taken now, whatever the name will be
  CaptureGate::admit_named(windows, ip("192.0.2.7"), {{"mx.partner.example"}, true}, a);
  CHECK(a.entry == "192.0.2.7");
  REQUIRE(a.windows.size() == 2);
  CHECK(windows[0].window->tally().sessions == 1);
  const ConfirmedNames others{{"mx.other.example"}, true};
  a = CaptureGate::admit(windows, ip("192.0.2.8"), &others);
  CHECK_FALSE(a);
  CHECK(a.by_name);
  CHECK_FALSE(a.covered);
}

TEST_CASE("however many ask at once, none takes one more than it may") {
  WindowTally before;
  before.sessions = 300;
  const std::vector<CaptureGate::Open> windows{opened("1", 1300, "any", 0, before)};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n)
        if (CaptureGate::admit(windows, ip("192.0.2.7"))) ++taken;
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(taken == 1000);
  CHECK(windows[0].window->tally().sessions == 1300);
  CHECK(windows[0].window->in_progress() == 1000);
}

TEST_CASE("its time ends it") {
  const auto window = opened("1", 0, "any", 30).window;
  CHECK_FALSE(window->over());
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(window->over());
  CHECK_FALSE(window->enter());
  CHECK(window->end()->by == std::string("time"));
  window->close("hand");  // too late to change why
  CHECK(window->end()->by == std::string("time"));
}

TEST_CASE("it ends when it was said to, however long it took to open; a clock set back does not lengthen it") {
  DebugWindow terms;
  terms.senders = {"any"};
  terms.opened_us = unix_us() - 29'950'000;
  terms.until_us = terms.opened_us + 30'000'000;
  CaptureWindow late(terms, {}, nullptr);
  CHECK(late.enter());
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  CHECK_FALSE(late.enter());
  CHECK(late.end()->at_us == terms.until_us);
  CHECK(terms.left_us(terms.opened_us) == 30'000'000);
  CHECK(terms.left_us(terms.opened_us - 3'600'000'000) == 30'000'000);
  CHECK(terms.left_us(terms.until_us - 7) == 7);
  CHECK(terms.left_us(terms.until_us + 7) == 1);
  terms.until_us = 0;
  CHECK(terms.left_us(terms.opened_us) == 0);
}

TEST_CASE("it knows who came: every entry in which an address lies") {
  WindowTally before;
  before.came = {2};
  before.verdicts = {3, 0, 0, 0};
  const auto window = opened("1", 0, "any", 0, before).window;
  window->began("192.0.2.200");
  window->began("2001:db8::1");
  CHECK(window->tally().came == std::set<uint32_t>{2});
  window->began("192.0.2.7");
  CHECK(window->tally().came == std::set<uint32_t>{0, 1, 2});
  window->ended("01B", Verdict::breakdown, "rcpt-unknown-user");
  window->ended("01A", Verdict::breakdown, "rcpt-unknown-user");
  window->ended("01C", Verdict::delivered, "");
  const WindowTally t = window->tally();
  CHECK(t.verdicts == std::array<uint64_t, 4>{4, 2, 0, 0});
  CHECK(t.codes.at("rcpt-unknown-user") == WindowTally::Code{2, "01B"});
  CHECK(t.newest == "01C");
}

TEST_CASE("its count is kept, and what cannot be kept is told once") {
  TempStore store;
  DebugWindow terms{"", {"any"}, {}, 0, 1'795'521'600'000'000, 0, ""};
  const std::string folder = keep_window(store.path, terms);
  CaptureWindow window(terms, {}, std::make_unique<TallyFile>(folder, "A"));
  window.began("192.0.2.7");
  CHECK(window.save().ok);
  CHECK(read_debug_windows(store.path).at(0).tally.sessions == 1);

  CaptureWindow lost(terms, {}, std::make_unique<TallyFile>("/proc/nowhere", "A"));
  lost.began("192.0.2.7");
  const auto first = lost.save(), second = lost.save();
  CHECK_FALSE(first.ok);
  CHECK(first.news);
  CHECK_FALSE(second.ok);
  CHECK_FALSE(second.news);
}
