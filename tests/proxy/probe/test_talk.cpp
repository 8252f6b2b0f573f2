// The client's part of a probe, byte for byte, and a probe over a real socket.
#include "proxy/probe/talk.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "proxy/net/socket.h"
#include "proxy/probe/probe.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

const std::vector<std::string> kCommands{"EHLO a.example", "QUIT"};

/// Everything that the talk says while these bytes come in pieces of `size`.
std::string said(Talk& talk, const std::string& bytes, size_t size) {
  std::string all;
  for (size_t at = 0; at < bytes.size(); at += size) all += talk.take(bytes.substr(at, size), static_cast<int64_t>(at));
  return all;
}

}  // namespace

TEST_CASE("each command waits for the whole reply to the one before, however the bytes are cut") {
  const std::string one = "220-gw.example\r\n220 ESMTP\r\n", two = "250-gw.example Hello\r\n250 SIZE 10\r\n",
                    three = "221 2.0.0 Bye\r\n";
  for (const size_t size : {size_t{1}, size_t{3}, size_t{1000}}) {
    Talk talk(kCommands);
    CHECK(said(talk, one, size) == "EHLO a.example\r\n");
    CHECK(said(talk, two.substr(0, 25), size).empty());
    CHECK(said(talk, two.substr(25), size) == "QUIT\r\n");
    CHECK_FALSE(talk.over());
    CHECK(said(talk, three, size).empty());
    CHECK(talk.over());
    CHECK(talk.greeting()->code == 220);
    CHECK(talk.greeting()->text == "220-gw.example\n220 ESMTP");
    REQUIRE(talk.replies().size() == 2);
    CHECK(talk.replies()[0].text == "250-gw.example Hello\n250 SIZE 10");
    CHECK(talk.unasked().empty());
  }
}

TEST_CASE("a gateway that turns us away is told QUIT, and nothing else") {
  Talk talk(kCommands);
  CHECK(said(talk, "554 5.7.1 no\r\n", 100) == "QUIT\r\n");
  CHECK(said(talk, "221 bye\r\n", 100).empty());
  CHECK(talk.over());
  CHECK(talk.sent() == std::vector<std::string>{"QUIT"});
}

TEST_CASE("what comes unasked behind the greeting is no answer") {
  Talk talk(kCommands);
  CHECK(said(talk, "220 gw\r\n502 what is PROXY\r\n", 1000) == "EHLO a.example\r\n");
  REQUIRE(talk.unasked().size() == 1);
  CHECK(talk.unasked()[0].code == 502);
  CHECK(said(talk, "250 gw\r\n", 1000) == "QUIT\r\n");
  CHECK(talk.replies()[0].code == 250);
}

TEST_CASE("a gateway that never stops sending is left") {
  Talk talk(kCommands);
  for (int i = 0; i < 1000 && !talk.too_much(); ++i) talk.take(std::string(1024, 'x'), i);
  CHECK(talk.too_much());
  CHECK(talk.take("220 gw\r\n", 5).empty());
}

TEST_CASE("a probe says what it met: an answer, a refusal, silence, a stop") {
  const Fd listener(listen_alone(*make_address("127.0.0.1", 0)));
  REQUIRE(listener);
  ProbeRequest request;
  request.to = endpoint_of(local_address(listener.get()));
  request.commands = kCommands;
  request.greeting_timeout_ms = 30'000;
  const auto accepted = [&] {
    fd_set ready;
    FD_ZERO(&ready);
    FD_SET(listener.get(), &ready);
    select(listener.get() + 1, &ready, nullptr, nullptr, nullptr);
    return accept(listener.get(), nullptr, nullptr);
  };
  const auto answer = [](int fd, const std::string& text) { CHECK(write(fd, text.data(), text.size()) > 0); };
  SECTION("an answer, with a PROXY header before it") {
    request.header = 1;
    std::string got(200, ' ');
    std::thread gateway([&] {
      const Fd fd(accepted());
      got.resize(static_cast<size_t>(std::max<ssize_t>(0, read(fd.get(), got.data(), got.size()))));
      answer(fd.get(), "220 gw\r\n");
      char command[100];
      CHECK(read(fd.get(), command, sizeof command) > 0);
      answer(fd.get(), "250 gw Hello [192.0.2.1]\r\n");
      CHECK(read(fd.get(), command, sizeof command) > 0);
      answer(fd.get(), "221 bye\r\n");
    });
    const ProbeResult result = run_probe(request);
    gateway.join();
    CHECK(result.end == ProbeResult::End::finished);
    CHECK(result.local.ip == "127.0.0.1");
    CHECK(result.path_mtu > 1000);
    REQUIRE(result.hello());
    CHECK(result.hello()->text == "250 gw Hello [192.0.2.1]");
    CHECK(got == "PROXY TCP4 127.0.0.1 127.0.0.1 " + std::to_string(result.local.port) + " " +
                     std::to_string(request.to.port) + "\r\n");
  }
  SECTION("silence") {
    request.greeting_timeout_ms = 50;
    CHECK(run_probe(request).end == ProbeResult::End::silent);  // the kernel accepts, and nobody speaks
  }
  SECTION("a stop, long before the time is over") {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const Fd in(ends[0]), out(ends[1]);
    std::thread stopper([&] { CHECK(write(out.get(), "x", 1) == 1); });
    CHECK(run_probe(request, in.get()).end == ProbeResult::End::stopped);
    stopper.join();
  }
  SECTION("nobody there") {
    const Fd closed(listen_alone(*make_address("127.0.0.1", 0)));
    request.to = endpoint_of(local_address(closed.get()));
    CHECK(::shutdown(closed.get(), SHUT_RDWR) == 0);
    const ProbeResult result = run_probe(request);
    CHECK(result.end == ProbeResult::End::no_connection);
    CHECK(result.error == "ECONNREFUSED");
  }
}
