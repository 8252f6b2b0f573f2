// "It never connected" is said only where the store proves that somebody was there to see it.
#include <nlohmann/json.hpp>

#include "proxy/commands/absent_sender.h"
#include "proxy/commands/window_ends.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

constexpr int64_t kNow = 1'795'521'600'000'000, kMinute = 60'000'000;

RecordingWindow window(int64_t from_min, int64_t to_min, const std::string& senders = "any") {
  RecordingWindow w;
  w.listen = {"0.0.0.0:25"};
  w.senders = {senders};
  w.from_us = kNow + from_min * kMinute;
  w.to_us = kNow + to_min * kMinute;
  return w;
}

AbsentSender absent(const std::vector<RecordingWindow>& windows, const std::string& asked = "203.0.113.9",
                    const StoredElsewhere& stored = {}, int64_t since_min = -1000) {
  return absent_sender(asked, *parse_sender_spec(asked), stored, windows, kNow + since_min * kMinute, kNow, kNow);
}

bool claims(const AbsentSender& a) { return a.text.find("saw no connection of it at all") != std::string::npos; }

}  // namespace

TEST_CASE("proven: the proxy listened and was to record this sender") {
  const AbsentSender a = absent({window(-60, -30), window(-20, -10)});
  CHECK(claims(a));
  CHECK(a.text.find("from 2026-11-24 11:00:00 to 2026-11-24 11:30:00, from 2026-11-24 11:40:00") != std::string::npos);
  CHECK(a.watched.size() == 2);
  CHECK(a.next.find("port 25") != std::string::npos);
  CHECK(absent({window(-60, 0)}).text.find("still open") != std::string::npos);
  CHECK(a.text.find("still open") == std::string::npos);
  CHECK(absent({window(-60, -30), window(-40, -10)}).watched.size() == 1);
  CHECK(claims(absent({window(-60, -30, "203.0.113.0/24")})));
}

TEST_CASE("not proven: no window, an empty one, one outside the time, one that recorded others") {
  CHECK(absent({}).text == "No session. This store does not show whether the proxy was listening then.");
  CHECK(absent({window(-60, -60)}).text == absent({}).text);
  CHECK(absent({window(-60, -30)}, "203.0.113.9", {}, -20).text == absent({}).text);
  const AbsentSender other = absent({window(-60, -30, "198.51.100.0/24")});
  CHECK_FALSE(claims(other));
  CHECK(other.text.find("was not set to record this sender") != std::string::npos);
  CHECK_FALSE(claims(absent({window(-60, -30, "203.0.113.0/25")}, "203.0.113.0/24")));
  const AbsentSender named = absent({window(-60, -30, "mx.partner.example")});
  CHECK_FALSE(claims(named));
  CHECK(named.text.find("whether this one was among them then is not kept") != std::string::npos);
}

TEST_CASE("a window that recorded others does not lengthen the time in which a retry would have shown") {
  const auto end_min = [](const std::vector<RecordingWindow>& windows, int64_t newest_min, int64_t limit_min = 0) {
    const WindowEnds ends(windows, kNow + newest_min * kMinute, kNow + limit_min * kMinute);
    return (ends.of("203.0.113.9") - kNow) / kMinute;
  };
  CHECK(end_min({window(-60, -30), window(-20, -10)}, -12) == -10);
  CHECK(end_min({window(-60, -30), window(-20, -10, "198.51.100.0/24")}, -12) == -30);
  CHECK(end_min({window(-60, -30), window(-20, -20)}, -12) == -12);
  CHECK(end_min({window(-60, -60), window(-20, -10, "198.51.100.0/24")}, -12) == -60);
  CHECK(end_min({window(-60, -30)}, -40, -45) == -45);
  CHECK(end_min({}, -12) == -12);
  RecordingWindow opened = window(-30, -20, "198.51.100.0/24");
  opened.window = std::string("3");
  CHECK(end_min({window(-60, -60), opened}, -12) == -12);  // the last of its own name
}

TEST_CASE("sessions that other filters leave out are no absence") {
  const AbsentSender a = absent({window(-60, -30)}, "203.0.113.9", {2, "01KB", "2026-11-24T11:00:00.000000Z"});
  CHECK_FALSE(claims(a));
  CHECK(a.text.find("the store holds 2 sessions of it; the newest, 01KB, began at") != std::string::npos);
  CHECK(nlohmann::json::parse(absent_json(a))["absent"]["stored"] == 2);
}
