// PROXY headers on both legs, over real sockets: whose session it is, and that the stream behind the header is whole.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "proxy/net/proxy_protocol.h"
#include "tests/catch.h"
#include "tests/proxy/relay/relay_under_test.h"

using namespace smtpscope::test;
using smtpscope::encode_proxy_header;
using smtpscope::Endpoint;
using smtpscope::Present;
using smtpscope::ProxyVersion;
using Why = smtpscope::HeaderRefusals::Why;
using nlohmann::json;

namespace {

const Endpoint kSender4{"203.0.113.9", 40000}, kTo4{"192.0.2.25", 25};
const Endpoint kSender6{"2001:db8::9", 40001}, kTo6{"2001:db8::25", 25};
const std::string kLocal("\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", 16);
const std::string kSaid = "EHLO mx.sender.example\r\nNOOP\r\n";

RelayOptions balanced(Present present = Present::proxy) { return {.present = present, .trusted = {"127.0.0.0/8"}}; }

void pause_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

/// Ends a session from the sender's side; both see the other's end.
void close_both(const Peer& sender, const Peer& receiver) {
  sender.fin();
  CHECK(receiver.receive_all().second == End::fin);
  receiver.fin();
  CHECK(sender.receive_all().second == End::fin);
}

uint64_t refused_in_all(const RelayUnderTest& relay) {
  return relay.refused(Why::untrusted) + relay.refused(Why::malformed) + relay.refused(Why::late) +
         relay.refused(Why::closed);
}

template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < kWaitMs / 5; ++i) {
    if (condition()) return true;
    pause_ms(5);
  }
  return false;
}

}  // namespace

TEST_CASE("a PROXY header names the sender, and the bytes behind it arrive, however they are cut") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), balanced());
  size_t sessions = 0;
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2})
    for (const bool v6 : {false, true})
      for (const size_t piece : {size_t{1}, size_t{20}, size_t{1000}}) {
        const std::string header = encode_proxy_header(version, v6 ? kSender6 : kSender4, v6 ? kTo6 : kTo4);
        const std::string all = header + kSaid;
        Peer balancer = relay.connect();
        for (size_t at = 0; at < all.size(); at += piece) {
          balancer.send(std::string_view(all).substr(at, piece));
          if (at < header.size() && piece < 1000) pause_ms(1);
        }
        Peer receiver = gateway.accept();
        CHECK(receiver.receive(kSaid.size()) == kSaid);
        CHECK(receiver.silent(5));
        receiver.send("220 gw\r\n");
        CHECK(balancer.receive(8) == "220 gw\r\n");
        close_both(balancer, receiver);
        ++sessions;
      }
  relay.stop();
  const auto transcripts = relay.transcripts();
  REQUIRE(transcripts.size() == sessions);
  for (const json& t : transcripts) {
    const bool v6 = t["sender"]["ip"] == kSender6.ip;
    CHECK(t["sender"]["ip"] == (v6 ? kSender6 : kSender4).ip);
    CHECK(t["sender"]["port"] == (v6 ? kSender6 : kSender4).port);
    CHECK(t["sender"]["via"]["ip"] == "127.0.0.1");
    CHECK(t["sender"]["via"]["port"].get<int>() > 0);
    CHECK(t["gateway"]["sees"] == "proxy");
    CHECK_FALSE(t["gateway"].contains("header"));
    CHECK(t["streams"]["sender"]["bytes"] == kSaid.size());
  }
  size_t analyzed = 0;
  relay.each_analyzed([&](const json& again) {
    const auto live =
        std::find_if(transcripts.begin(), transcripts.end(), [&](const json& t) { return t["id"] == again["id"]; });
    REQUIRE(live != transcripts.end());
    CHECK(again["sender"] == (*live)["sender"]);
    CHECK(again["gateway"] == (*live)["gateway"]);
    ++analyzed;
  });
  CHECK(analyzed == sessions);
}

TEST_CASE("a header that names nobody leaves the session to its peer") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), balanced(Present::proxy_v1));
  for (const std::string& header : {kLocal, std::string("PROXY UNKNOWN\r\n")}) {
    Peer balancer = Peer::unconnected();
    balancer.bind_to("127.0.0.78");
    balancer.connect_to(relay.port());
    balancer.send(header);
    Peer receiver = gateway.accept();
    const std::string begin = "PROXY TCP4 127.0.0.78 127.0.0.1 ";
    CHECK(receiver.receive(begin.size()) == begin);
    close_both(balancer, receiver);
  }
  relay.stop();
  REQUIRE(relay.transcripts().size() == 2);
  for (const json& t : relay.transcripts()) {
    CHECK(t["sender"]["ip"] == "127.0.0.78");
    CHECK_FALSE(t["sender"].contains("via"));
  }
}

TEST_CASE("present = proxy-v1 and proxy-v2: the gateway is told the sender first, and the recording holds no header") {
  Gateway gateway;
  for (const Present present : {Present::proxy_v1, Present::proxy_v2}) {
    const bool v1 = present == Present::proxy_v1;
    RelayUnderTest relay(gateway.port(), {.present = present});
    Peer sender = Peer::unconnected();
    sender.bind_to("127.0.0.77");
    sender.connect_to(relay.port());
    sender.send("EHLO early.example\r\n");
    Peer receiver = gateway.accept();
    smtpscope::Endpoint source = smtpscope::endpoint_of(smtpscope::local_address(sender.fd()));
    const std::string header =
        encode_proxy_header(v1 ? ProxyVersion::v1 : ProxyVersion::v2, source, {"127.0.0.1", relay.port()});
    CHECK(receiver.receive(header.size() + 20) == header + "EHLO early.example\r\n");
    receiver.send("220 gw\r\n");
    CHECK(sender.receive(8) == "220 gw\r\n");
    close_both(sender, receiver);
    relay.stop();
    REQUIRE(relay.transcripts().size() == 1);
    const json t = relay.transcripts()[0];
    CHECK(t["gateway"]["sees"] == "proxy-header");
    CHECK(t["gateway"]["header"] == (v1 ? "proxy-v1" : "proxy-v2"));
    CHECK(t["streams"]["sender"]["bytes"] == 20);
    relay.each_analyzed([&](const json& again) {
      for (const char* part : {"sender", "gateway", "events", "breakdown", "streams"}) CHECK(again[part] == t[part]);
    });
  }
}

TEST_CASE("a header that came is passed on with the addresses that it named") {
  Gateway gateway;
  for (const bool v6 : {false, true}) {
    RelayUnderTest relay(gateway.port(), balanced(Present::proxy_v2));
    const Endpoint& source = v6 ? kSender6 : kSender4;
    const Endpoint& destination = v6 ? kTo6 : kTo4;
    Peer balancer = relay.connect();
    balancer.send(encode_proxy_header(ProxyVersion::v1, source, destination) + kSaid);
    Peer receiver = gateway.accept();
    const std::string expected = encode_proxy_header(ProxyVersion::v2, source, destination) + kSaid;
    CHECK(receiver.receive(expected.size()) == expected);
    close_both(balancer, receiver);
  }
}

TEST_CASE("a peer that is not trusted is closed without being read") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), {.trusted = {"127.0.0.2", "10.0.0.0/8"}});
  Peer stranger = relay.connect();
  CHECK(stranger.receive_all().second != End::none);
  CHECK_FALSE(gateway.waits(50));
  CHECK(relay.refused(Why::untrusted) == 1);
  Peer balancer = Peer::unconnected();
  balancer.bind_to("127.0.0.2");
  balancer.connect_to(relay.port());
  balancer.send("PROXY TCP4 203.0.113.9 192.0.2.25 40000 25\r\n");
  Peer receiver = gateway.accept();
  close_both(balancer, receiver);
}

TEST_CASE("a header has to be whole in time") {
  Gateway gateway;
  RelayOptions options = balanced();
  options.header_timeout_ms = 300;
  RelayUnderTest relay(gateway.port(), options);
  const auto begin = std::chrono::steady_clock::now();
  Peer silent = relay.connect();
  Peer slow = relay.connect();
  for (const char letter : std::string("PROXY TCP4 203")) {
    slow.send(std::string(1, letter));
    pause_ms(10);
  }
  CHECK(silent.receive_all(3000).second != End::none);
  CHECK(slow.receive_all(3000).second != End::none);
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took >= std::chrono::milliseconds(290));
  CHECK(took < std::chrono::milliseconds(3000));
  CHECK(relay.refused(Why::late) == 2);
  Peer gone = relay.connect();
  gone.close();
  CHECK(soon([&] { return relay.refused(Why::closed) == 1; }));
  Peer torn = relay.connect();
  torn.send("PROXY TCP4 ");
  torn.close();
  CHECK(soon([&] { return relay.refused(Why::malformed) == 1; }));
  CHECK_FALSE(gateway.waits(0));
}

TEST_CASE("a stop waits for no header") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), balanced());
  Peer silent = relay.connect();
  pause_ms(50);
  const auto begin = std::chrono::steady_clock::now();
  relay.stop();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(1500));
  CHECK(silent.receive_all().second != End::none);
  CHECK(relay.transcripts().empty());
}

TEST_CASE("a stop lets what has a header on its way finish") {
  Gateway gateway;
  RelayOptions options = balanced();
  options.drain_ms = 5000;
  RelayUnderTest relay(gateway.port(), options);
  Peer balancer = relay.connect();
  balancer.send("PROXY TCP4 203.0.113.9 ");
  pause_ms(50);
  std::thread stop([&] { relay.stop(); });
  pause_ms(50);
  balancer.send("192.0.2.25 40000 25\r\n" + kSaid);
  {
    Peer receiver = gateway.accept();
    CHECK(receiver.receive(kSaid.size()) == kSaid);
    close_both(balancer, receiver);
  }
  stop.join();
  CHECK(relay.transcripts().size() == 1);
}

TEST_CASE("without descriptors a connection whose header came waits, and goes on") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), balanced());
  Peer first = relay.connect();
  first.send("PROXY TCP4 203.0.113.9 192.0.2.25 40000 25\r\n" + kSaid);
  Peer first_receiver = gateway.accept();
  CHECK(first_receiver.receive(kSaid.size()) == kSaid);
  Peer late = relay.connect();
  pause_ms(100);  // it is accepted, and the files of the first are open
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const int next = dup(0);
  close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  late.send("PROXY TCP4 203.0.113.10 192.0.2.25 40000 25\r\n" + kSaid);
  CHECK_FALSE(gateway.waits(250));
  setrlimit(RLIMIT_NOFILE, &before);
  Peer late_receiver = gateway.accept();
  CHECK(late_receiver.receive(kSaid.size()) == kSaid);
  close_both(late, late_receiver);
  close_both(first, first_receiver);
}

TEST_CASE("ten thousand malformed headers are refused, and a good one among them passes") {
  constexpr int kConnections = 10'000;
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), balanced());
  std::mt19937 random(20261124);
  const auto below = [&](size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random); };
  const std::vector<std::string> good{encode_proxy_header(ProxyVersion::v1, kSender4, kTo4),
                                      encode_proxy_header(ProxyVersion::v1, kSender6, kTo6),
                                      encode_proxy_header(ProxyVersion::v2, kSender4, kTo4),
                                      encode_proxy_header(ProxyVersion::v2, kSender6, kTo6), kLocal};
  int sent = 0;
  while (sent < kConnections) {
    std::string bytes = good[below(good.size())];
    for (size_t changes = 1 + below(4); changes > 0; --changes) {
      const size_t at = below(bytes.size());
      switch (below(3)) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1 + below(4));
          break;
        default:
          bytes.insert(at, 1, static_cast<char>(random()));
      }
      if (bytes.empty()) bytes.push_back('x');
    }
    if (smtpscope::parse_proxy_header(bytes).state != smtpscope::ProxyHeader::State::malformed) continue;
    Peer peer = relay.connect();
    peer.send(bytes);
    REQUIRE(peer.receive_all().second != End::none);
    ++sent;
  }
  CHECK(relay.refused(Why::malformed) == kConnections);
  CHECK(refused_in_all(relay) == kConnections);
  CHECK_FALSE(gateway.waits(0));
  Peer balancer = relay.connect();
  balancer.send(good[0] + kSaid);
  Peer receiver = gateway.accept();
  CHECK(receiver.receive(kSaid.size()) == kSaid);
  close_both(balancer, receiver);
  relay.stop();
  CHECK(relay.transcripts().size() == 1);
}

TEST_CASE("a refused peer is told once a minute, with how many were not") {
  smtpscope::HeaderRefusals refusals;
  constexpr uint64_t kMinute = smtpscope::HeaderRefusals::kQuietNs;
  CHECK(refusals.refuse(Why::untrusted, "192.0.2.1", "no", 1) == "refused a connection of 192.0.2.1: no");
  CHECK_FALSE(refusals.refuse(Why::malformed, "192.0.2.1", "no", kMinute));
  CHECK_FALSE(refusals.refuse(Why::late, "192.0.2.1", "no", kMinute));
  CHECK(refusals.refuse(Why::untrusted, "192.0.2.2", "no", 2));
  CHECK(refusals.refuse(Why::late, "192.0.2.1", "late", kMinute + 1) ==
        "refused a connection of 192.0.2.1: late (2 more since it was last told)");
  CHECK_FALSE(refusals.refuse(Why::closed, "192.0.2.3", "left", 1));
  size_t told = 0;
  for (size_t i = 0; i < 2 * smtpscope::HeaderRefusals::kMaxPeers; ++i)
    told += refusals.refuse(Why::untrusted, "peer " + std::to_string(i), "no", kMinute + 2) ? 1U : 0U;
  CHECK(told == smtpscope::HeaderRefusals::kMaxPeers - 1);  // 192.0.2.1 still counts
  CHECK(refusals.refuse(Why::untrusted, "192.0.2.9", "no", 3 * kMinute));
  CHECK(refusals.count(Why::late) == 2);
}
