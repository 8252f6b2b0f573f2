// What the transcript says of ends, and what a stop of the proxy does to sessions in progress: what was sent before it
// arrives, FIN behind it, and the transcript says whose end it was.
#include "tests/catch.h"
#include "tests/proxy/relay/relay_under_test.h"

using namespace smtpscope::test;
using Received = std::pair<std::string, End>;

namespace {

/// "sender fin" of each close of the only transcript, which its recording gives too.
std::vector<std::string> closes(const RelayUnderTest& relay) {
  std::vector<std::string> out;
  const auto transcripts = relay.transcripts();
  std::vector<nlohmann::json> again;
  relay.each_analyzed([&](nlohmann::json&& transcript) { again.push_back(std::move(transcript)); });
  REQUIRE(transcripts.size() == 1);
  REQUIRE(again.size() == 1);
  for (const char* part : {"events", "verdict", "summary", "breakdown", "streams"})
    CHECK((transcripts[0][part] == again[0][part]));
  for (const auto& event : transcripts[0]["events"])
    if (event["kind"] == "close")
      out.push_back(event["from"].get<std::string>() + " " + event["how"].get<std::string>());
  return out;
}

}  // namespace

TEST_CASE("stop hands on what was sent just before it, then FIN") {
  const std::string up(300'000, 'u'), down(90'000, 'd');
  for (int i = 0; i < 40; ++i) {
    Gateway gateway;
    RelayUnderTest relay(gateway.port());
    Peer sender = relay.connect();
    Peer receiver = gateway.accept();
    sender.send(up);
    receiver.send(down);
    sender.wait_until_taken();
    receiver.wait_until_taken();
    relay.stop();
    CHECK(receiver.receive_all() == Received(up, End::fin));
    CHECK(sender.receive_all() == Received(down, End::fin));
    REQUIRE(closes(relay) == std::vector<std::string>{"proxy fin"});
    const auto transcript = relay.transcripts()[0];
    CHECK(transcript["streams"]["sender"]["bytes"] == up.size());
    CHECK(transcript["streams"]["gateway"]["bytes"] == down.size());
  }
}

TEST_CASE("stop does not tell a side that it has all if it has not") {
  Gateway gateway(false, 8192);
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  receiver.send("354 go on\r\n");
  REQUIRE(sender.receive(11) == "354 go on\r\n");
  sender.send_until_blocked(std::string(40 << 20, 'x'), 200);
  relay.stop();
  CHECK(receiver.receive_all().second == End::rst);
  CHECK(closes(relay) == std::vector<std::string>{"proxy rst"});
}

TEST_CASE("stop passes on an end of stream that came just before it") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  sender.send("QUIT\r\n");
  sender.fin();
  relay.stop();
  CHECK(receiver.receive_all() == Received("QUIT\r\n", End::fin));
  CHECK(sender.receive_all() == Received("", End::fin));
  CHECK(closes(relay) == std::vector<std::string>{"sender fin", "proxy fin"});
}

TEST_CASE("stop while the gateway has not answered ends the sender with FIN") {
  Gateway gateway(false, 0, 0);
  gateway.fill_backlog();
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  sender.send("EHLO early.example\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  relay.stop();
  CHECK(sender.receive_all() == Received("", End::fin));
  CHECK(closes(relay) == std::vector<std::string>{"proxy fin"});
}

TEST_CASE("FIN and a later RST of one side are both told, in their order; the first is the end that counts") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  receiver.send("220 hello\r\n");
  REQUIRE(sender.receive(11) == "220 hello\r\n");
  sender.send("EHLO half.example\r\n");
  sender.fin();
  REQUIRE(receiver.receive_all() == Received("EHLO half.example\r\n", End::fin));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  sender.reset();
  bool failed = false;  // the gateway is told
  for (int i = 0; i < 200 && !failed; ++i) {
    failed = ::send(receiver.fd(), "x", 1, MSG_NOSIGNAL) < 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(failed);
  relay.stop();
  CHECK(closes(relay) == std::vector<std::string>{"sender fin", "sender rst"});
  const auto breakdown = relay.transcripts()[0]["breakdown"];
  REQUIRE(breakdown.is_object());
  CHECK(breakdown["got"].get<std::string>().find("RST") == std::string::npos);
}
