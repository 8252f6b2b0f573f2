// What the analysis of all sessions together may hold is bounded, and a few that grow without end do not blind the
// rest.
#include <chrono>
#include <map>
#include <thread>

#include "proxy/relay/recorder.h"
#include "tests/catch.h"
#include "tests/proxy/relay/relay_under_test.h"

using namespace smtpscope::test;
using Received = std::pair<std::string, End>;

namespace {

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

void ping(const Peer& sender, const Peer& receiver) {
  sender.send("NOOP\r\n");
  CHECK(receiver.receive(6) == "NOOP\r\n");
  receiver.send("250 ok\r\n");
  CHECK(sender.receive(8) == "250 ok\r\n");
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // their shadow memory counts as resident
#else
constexpr bool kSanitized = false;
#endif

size_t resident_mib() {
  std::ifstream statm("/proc/self/statm");
  size_t size = 0, resident = 0;
  statm >> size >> resident;
  return (resident * static_cast<size_t>(sysconf(_SC_PAGESIZE))) >> 20;
}

}  // namespace

TEST_CASE("analysis of all sessions together is bounded; what finds no room is relayed") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  std::string flood;
  for (int i = 0; i < 20'000; ++i) flood += "NOOP\r\n";
  constexpr size_t kFloods = 150;  // they would want a gigabyte
  std::vector<std::pair<Peer, Peer>> sessions;
  for (size_t i = 0; i < kFloods; ++i) {
    Peer sender = relay.connect();
    Peer receiver = gateway.accept();
    sender.send(flood);
    REQUIRE(receiver.receive(flood.size()) == flood);
    sessions.emplace_back(std::move(sender), std::move(receiver));
  }
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  receiver.send("220 hello\r\n");
  CHECK(sender.receive(11) == "220 hello\r\n");
  ping(sender, receiver);
  // While all are open, and again when all that waited for the recorder has been looked at.
  CHECK((kSanitized || resident_mib() < 2 * (smtpscope::Recorder::kMaxMemory >> 20)));
  sender.close();
  CHECK(receiver.receive_all().second == End::fin);
  receiver.close();
  for (auto& [from, to] : sessions) {
    from.fin();
    CHECK(to.receive_all() == Received("", End::fin));
    to.fin();
    CHECK(from.receive_all() == Received("", End::fin));
  }
  CHECK((kSanitized || resident_mib() < 2 * (smtpscope::Recorder::kMaxMemory >> 20)));
  sleep_ms(500);  // room again
  Peer last = relay.connect();
  Peer last_receiver = gateway.accept();
  last.send(flood);
  REQUIRE(last_receiver.receive(flood.size()) == flood);
  relay.stop();
  size_t whole = 0, small_whole = 0, without_room = 0;
  std::map<std::string, size_t> events;
  bool last_whole = false;
  relay.each_transcript([&](const nlohmann::json& transcript) {
    const auto& capture = transcript["capture"];
    const bool small = transcript["streams"]["sender"]["bytes"] == 6;
    if (!small) CHECK(transcript["streams"]["sender"]["bytes"] == flood.size());
    last_whole = capture["complete"] == true;
    if (last_whole) ++(small ? small_whole : whole);
    if (capture["loss"] == "memory" && capture["gaps"] > 0) ++without_room;
    events[transcript["id"]] = transcript["events"].size();
  });
  CHECK(whole + without_room == kFloods + 1);
  CHECK(small_whole == 1);
  CHECK(whole >= 10);
  CHECK(without_room >= 50);
  CHECK(last_whole);
  // Holes and all, a transcript is what its recording gives.
  relay.each_analyzed([&](const nlohmann::json& t) { CHECK(events[t["id"]] == t["events"].size()); });
}
