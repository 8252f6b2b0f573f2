// Every byte arrives as sent, in both directions, however it is cut and however slowly it is taken.
#include <fstream>
#include <random>
#include <thread>

#include "tests/catch.h"
#include "tests/proxy/relay/relay_under_test.h"

using namespace smtpscope::test;

namespace {

std::string random_bytes(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (char& byte : out) byte = static_cast<char>(random());
  return out;
}

/// Sends `bytes` in pieces of 1 to `most` bytes.
void send_in_pieces(const Peer& peer, std::string_view bytes, size_t most, unsigned seed) {
  std::mt19937 random(seed);
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), 1 + random() % most);
    peer.send(bytes.substr(0, n));
    bytes.remove_prefix(n);
  }
}

// Sanitizers keep shadow memory of whatever is touched.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kMemoryBoundKib = 64 * 1024;
#else
constexpr size_t kMemoryBoundKib = 8 * 1024;
#endif

/// Resident memory of this process, in KiB.
size_t resident_kib() {
  std::ifstream statm("/proc/self/statm");
  size_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE)) / 1024;
}

/// Is no more than the bound held besides `before_kib`, once the recorder (which may lag on a busy machine) has caught
/// up?
bool memory_is_bounded(size_t before_kib) {
  for (int i = 0; i < 100 && resident_kib() >= before_kib + kMemoryBoundKib; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return resident_kib() < before_kib + kMemoryBoundKib;
}

}  // namespace

TEST_CASE("bytes pass exactly in both directions at once, cut at random") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  for (unsigned seed = 1; seed <= 6; ++seed) {
    const size_t most = seed % 2 == 0 ? 7 : 20'000;
    const std::string up = random_bytes(most < 10 ? 3'000 : 700'000, seed);
    const std::string down = random_bytes(most < 10 ? 2'000 : 900'000, seed + 100);
    Peer sender = relay.connect();
    Peer receiver = gateway.accept();
    std::thread talk_up([&] {
      send_in_pieces(sender, up, most, seed);
      sender.fin();
    });
    std::thread talk_down([&] {
      send_in_pieces(receiver, down, most, seed + 1);
      receiver.fin();
    });
    std::pair<std::string, End> got_up, got_down;
    std::thread listen_up([&] { got_up = receiver.receive_all(); });
    got_down = sender.receive_all();
    talk_up.join();
    talk_down.join();
    listen_up.join();
    CHECK((got_up.first == up));
    CHECK((got_down.first == down));
    CHECK(got_up.second == End::fin);
    CHECK(got_down.second == End::fin);
  }
}

TEST_CASE("a byte is passed on at once, though nothing follows it") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  for (char byte : {'2', '2', '0', '\0', '\r', '\n'}) {
    receiver.send({&byte, 1});
    CHECK(sender.receive(1) == std::string(1, byte));
    sender.send({&byte, 1});
    CHECK(receiver.receive(1) == std::string(1, byte));
  }
}

TEST_CASE("urgent bytes stay in the stream") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  sender.send("abc");
  sender.send("!", MSG_OOB);
  sender.send("def");
  sender.fin();
  CHECK(receiver.receive_all().first == "abc!def");
}

TEST_CASE("a sender that talks before the gateway answered is not lost") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  sender.send("EHLO early.example\r\n");
  sender.fin();
  Peer receiver = gateway.accept();
  const auto [bytes, end] = receiver.receive_all();
  CHECK(bytes == "EHLO early.example\r\n");
  CHECK(end == End::fin);
  receiver.send("221 bye\r\n");
  receiver.close();
  CHECK(sender.receive_all() == std::pair<std::string, End>("221 bye\r\n", End::fin));
}

TEST_CASE("a gateway that stops reading holds the sender back, and gets everything in the end") {
  constexpr size_t kSize = 50 << 20;
  Gateway gateway(false, 64 * 1024);
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  const std::string message = random_bytes(kSize, 7);
  const size_t before = resident_kib();
  const size_t taken = sender.send_until_blocked(message, 500);
  CHECK(taken < kSize);  // else nothing held the sender back and this test shows nothing
  CHECK(memory_is_bounded(before));
  std::thread rest([&] {
    sender.send(std::string_view(message).substr(taken));
    sender.fin();
  });
  const auto [bytes, end] = receiver.receive_all();
  rest.join();
  CHECK((bytes == message));
  CHECK(end == End::fin);
}

TEST_CASE("a sender that never reads holds the gateway back and harms no other session") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  Peer deaf = relay.connect(false, 4096);
  Peer talker = gateway.accept();
  const std::string flood = random_bytes(40 << 20, 9);
  const size_t before = resident_kib();
  const size_t taken = talker.send_until_blocked(flood, 500);
  CHECK(taken < flood.size());
  CHECK(memory_is_bounded(before));

  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  sender.send("NOOP\r\n");
  CHECK(receiver.receive(6) == "NOOP\r\n");

  deaf.reset();
  CHECK(talker.receive_all().second == End::rst);
}

TEST_CASE("IPv6 on both legs") {
  Gateway gateway(true);
  RelayUnderTest relay(gateway.port(), {.v6 = true});
  Peer sender = relay.connect(true);
  Peer receiver = gateway.accept();
  sender.send("over six");
  CHECK(receiver.receive(8) == "over six");
  receiver.send("and back");
  CHECK(sender.receive(8) == "and back");
}

TEST_CASE("two workers share the sessions") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), {.workers = 2});
  for (int i = 0; i < 50; ++i) {
    Peer sender = relay.connect();
    Peer receiver = gateway.accept();
    const std::string text = "session " + std::to_string(i);
    sender.send(text);
    sender.fin();
    CHECK(receiver.receive_all().first == text);
    receiver.close();
    CHECK(sender.receive_all() == std::pair<std::string, End>("", End::fin));
  }
}

TEST_CASE("a session that is not captured is relayed the same and leaves no trace") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), {.capture = false});
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  const std::string text = random_bytes(300'000, 3);
  std::thread talk([&] {
    sender.send(text);
    sender.fin();
  });
  CHECK((receiver.receive_all().first == text));
  talk.join();
  receiver.close();
  CHECK(sender.receive_all().second == End::fin);
  relay.stop();
  for (const std::string& file : relay.files()) CHECK(file.find("/senders/") == std::string::npos);
}
