// Listening sockets opened anew and taken over from another process, for as many workers as there are.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "proxy/relay/listeners.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

Settings settings_at(uint16_t port, const std::string& host = "127.0.0.1") {
  Settings settings;
  settings.listeners.push_back({{host, port}, Accept::direct, {}});
  return settings;
}

uint16_t port_of(const Fd& fd) { return endpoint_of(local_address(fd.get())).port; }

/// So many sockets on one port of loopback.
std::vector<Fd> some(size_t count, uint16_t& port) {
  std::vector<Fd> all;
  port = 0;
  for (size_t i = 0; i < count; ++i) {
    all.emplace_back(listen_on(*make_address("127.0.0.1", port)));
    REQUIRE(all.back());
    port = port_of(all.back());
  }
  return all;
}

/// A connection to that port is accepted by one of these.
bool accepted(const std::vector<std::vector<ListeningSocket>>& workers, uint16_t port) {
  const Fd client(connect_to(*make_address("127.0.0.1", port), nullptr));
  for (int tries = 0; tries < 1000; ++tries)
    for (const auto& sockets : workers)
      for (const ListeningSocket& socket : sockets)
        if (const Fd fd(accept(socket.fd.get(), nullptr, nullptr)); fd) return true;
  return false;
}

}  // namespace

TEST_CASE("without others' sockets each worker gets one of its own, on the port that the system chose") {
  InheritedSockets none;
  const Listeners opened = open_listeners(settings_at(0), 3, none);
  REQUIRE(opened.of_worker.size() == 3);
  for (const auto& sockets : opened.of_worker) {
    REQUIRE(sockets.size() == 1);
    CHECK(port_of(sockets[0].fd) == port_of(opened.of_worker[0][0].fd));
  }
  CHECK(opened.addresses ==
        std::vector<std::string>{"127.0.0.1:" + std::to_string(port_of(opened.of_worker[0][0].fd))});
}

TEST_CASE("all sockets of another process are taken over, however many workers either has") {
  for (const auto& [given, workers] : {std::pair<size_t, size_t>{1, 1}, {4, 1}, {4, 3}, {1, 3}, {2, 5}}) {
    uint16_t port = 0;
    std::vector<Fd> theirs = some(given, port);
    InheritedSockets inherited(std::move(theirs));
    const Listeners opened = open_listeners(settings_at(port), workers, inherited);
    CHECK(inherited.empty());
    size_t sockets = 0;
    for (const auto& of_worker : opened.of_worker) {
      CHECK_FALSE(of_worker.empty());
      sockets += of_worker.size();
    }
    CHECK(sockets == std::max(given, workers));
    for (int i = 0; i < 20; ++i) CHECK(accepted(opened.of_worker, port));  // whichever of them the kernel chooses
  }
}

TEST_CASE(
    "what waits in the queue of a socket that was handed over is not lost when the other process closes its own") {
  uint16_t port = 0;
  std::vector<Fd> theirs = some(2, port);
  std::vector<Fd> ours;
  for (const Fd& fd : theirs) ours.emplace_back(dup(fd.get()));
  std::vector<Fd> clients;
  for (int i = 0; i < 20; ++i) clients.emplace_back(connect_to(*make_address("127.0.0.1", port), nullptr));
  theirs.clear();
  InheritedSockets inherited(std::move(ours));
  const Listeners opened = open_listeners(settings_at(port), 1, inherited);
  size_t count = 0;
  for (int tries = 0; tries < 10'000 && count < clients.size(); ++tries)
    for (const ListeningSocket& socket : opened.of_worker[0])
      if (const Fd fd(accept(socket.fd.get(), nullptr, nullptr)); fd) ++count;
  CHECK(count == clients.size());
}

TEST_CASE("only listening sockets of the wanted address and kind are taken, and none passes on to another program") {
  uint16_t port = 0;
  std::vector<Fd> all = some(1, port);
  all.emplace_back(socket(AF_INET, SOCK_STREAM, 0));
  all.emplace_back(open("/dev/null", O_RDONLY));
  InheritedSockets inherited(std::move(all));
  CHECK(inherited.take(*make_address("127.0.0.2", port)).empty());
  CHECK(inherited.take(*make_address("::1", port)).empty());
  CHECK(inherited.take(*make_address("127.0.0.1", port), true).empty());
  const std::vector<Fd> taken = inherited.take(*make_address("127.0.0.1", port));
  REQUIRE(taken.size() == 1);
  CHECK((fcntl(taken[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(inherited.empty());
}

TEST_CASE("an address that somebody else listens on is refused, with how to find out who") {
  uint16_t port = 0;
  const std::vector<Fd> theirs = some(1, port);
  InheritedSockets none;
  try {
    open_listeners(settings_at(port), 1, none);
    FAIL("it was opened");
  } catch (const std::runtime_error& e) {
    CHECK(std::string(e.what()).find("ss -ltnp") != std::string::npos);
  }
}
