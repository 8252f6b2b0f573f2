// How a session ends on one side is how it ends on the other: FIN as FIN, RST as RST, the last bytes before either.
#include <sys/resource.h>

#include <chrono>
#include <thread>

#include "tests/catch.h"
#include "tests/proxy/relay/relay_under_test.h"

using namespace smtpscope::test;
using Received = std::pair<std::string, End>;

TEST_CASE("half-close: the other direction stays open") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  SECTION("of the sender") {
    Peer sender = relay.connect();
    Peer receiver = gateway.accept();
    sender.send("QUIT\r\n");
    sender.fin();
    CHECK(receiver.receive_all() == Received("QUIT\r\n", End::fin));
    CHECK(sender.silent(50));
    receiver.send("221 bye\r\n");
    CHECK(sender.receive(9) == "221 bye\r\n");
    receiver.send("more\r\n");
    receiver.fin();
    CHECK(sender.receive_all() == Received("more\r\n", End::fin));
  }
  SECTION("of the gateway") {
    Peer sender = relay.connect();
    Peer receiver = gateway.accept();
    receiver.send("421 no\r\n");
    receiver.fin();
    CHECK(sender.receive_all() == Received("421 no\r\n", End::fin));
    CHECK(receiver.silent(50));
    sender.send("QUIT\r\n");
    CHECK(receiver.receive(6) == "QUIT\r\n");
    sender.fin();
    CHECK(receiver.receive_all() == Received("", End::fin));
  }
}

TEST_CASE("a reset is passed on as a reset, behind the last bytes") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  sender.send("MAIL");
  REQUIRE(receiver.receive(4) == "MAIL");
  SECTION("of the sender") {
    sender.reset();
    CHECK(receiver.receive_all() == Received("", End::rst));
  }
  SECTION("of the gateway") {
    receiver.reset();
    CHECK(sender.receive_all() == Received("", End::rst));
  }
  SECTION("of the sender, after it had half-closed") {
    sender.fin();
    CHECK(receiver.receive_all() == Received("", End::fin));
    sender.reset();
    // A stream that has ended reports the reset as an error or as a hang-up; what counts is that sending fails.
    bool failed = false;
    for (int i = 0; i < 200 && !failed; ++i) {
      failed = ::send(receiver.fd(), "x", 1, MSG_NOSIGNAL) < 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(failed);
  }
}

TEST_CASE("what was sent just before a reset is delivered before it") {
  // The bytes must have left the sender's kernel: a reset throws away what has not.
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  const std::string text(100'000, 'x');
  for (int i = 0; i < 20; ++i) {
    Peer sender = relay.connect();
    Peer receiver = gateway.accept();
    if (i % 2 == 0) {
      sender.send(text);
      REQUIRE(receiver.receive(text.size() - 1).size() == text.size() - 1);
      sender.reset();
      CHECK(receiver.receive_all() == Received("x", End::rst));
    } else {
      receiver.send("554 go away\r\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      receiver.reset();
      CHECK(sender.receive_all() == Received("554 go away\r\n", End::rst));
    }
  }
}

TEST_CASE("a reset reaches the other side though that side does not read") {
  Gateway gateway(false, 8192);
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  sender.send_until_blocked(std::string(40 << 20, 'x'), 300);
  sender.reset();
  // Reading begins only after the relay gave up waiting for it (2 s).
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));
  CHECK(receiver.receive_all().second == End::rst);
}

TEST_CASE("a session that waits takes no processor time") {
  Gateway gateway(false, 8192);
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  SECTION("half-closed by the sender") {
    sender.fin();
    REQUIRE(receiver.receive_all() == Received("", End::fin));
  }
  SECTION("half-closed by the gateway") {
    receiver.fin();
    REQUIRE(sender.receive_all() == Received("", End::fin));
  }
  SECTION("held back by a gateway that does not read") { sender.send_until_blocked(std::string(40 << 20, 'x'), 200); }
  SECTION("held back, with urgent bytes waiting") {
    sender.send_until_blocked(std::string(40 << 20, 'x'), 200);
    ::send(sender.fd(), "!", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  SECTION("held back, both streams ended") {
    sender.send_until_blocked(std::string(1 << 20, 'x'), 100);
    sender.fin();
    receiver.fin();
    CHECK(sender.receive_all() == Received("", End::fin));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  getrusage(RUSAGE_SELF, &after);
  const auto used_us = [](const rusage& u) {
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1'000'000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
  };
  CHECK(used_us(after) - used_us(before) < 100'000);
}

TEST_CASE("a gateway that refuses: the sender is reset") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  gateway.stop();
  Peer sender = relay.connect();
  CHECK(sender.receive_all() == Received("", End::rst));
}

TEST_CASE("a sender that leaves while the gateway has not answered costs nothing") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  for (int i = 0; i < 50; ++i) {
    Peer sender = relay.connect();
    if (i % 2 == 0) sender.reset();
  }
  for (int i = 0; i < 50; ++i) gateway.accept(1000);
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  sender.send("still here");
  CHECK(receiver.receive(10) == "still here");
}

TEST_CASE("stop ends what is still open with FIN on both sides, after the drain time") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), {.drain_ms = 300});
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  receiver.send("220 hello\r\n");
  REQUIRE(sender.receive(11) == "220 hello\r\n");
  const auto begin = std::chrono::steady_clock::now();
  relay.stop();
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took >= std::chrono::milliseconds(250));
  CHECK(took < std::chrono::seconds(5));
  CHECK(sender.receive_all() == Received("", End::fin));
  CHECK(receiver.receive_all() == Received("", End::fin));
}

TEST_CASE("stop lets a session finish and then returns at once") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port(), {.drain_ms = 8000});
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  std::thread finish([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    sender.send("QUIT\r\n");
    sender.fin();
    CHECK(receiver.receive_all() == Received("QUIT\r\n", End::fin));
    receiver.close();
  });
  const auto begin = std::chrono::steady_clock::now();
  relay.stop();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(4));
  finish.join();
}
