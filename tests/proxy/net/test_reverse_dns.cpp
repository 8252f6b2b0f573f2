// A name server that is not there, says nothing, refuses or fails is none that says that a name does not exist; and one
// that answers others is told from one that answers nobody.
#include "proxy/net/reverse_dns.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <thread>

#include "capture/unique_fd.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

constexpr uint8_t kServfail = 2, kNxdomain = 3, kRefused = 5, kSilent = 255;

/// Answers each question for a name with one code, and each for the root with another; kSilent: not at all.
class NameServer {
 public:
  NameServer(uint8_t names, uint8_t root) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    REQUIRE(bind(fd_.get(), reinterpret_cast<sockaddr*>(&at), length) == 0);
    REQUIRE(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &length) == 0);
    port_ = ntohs(at.sin_port);
    const timeval patience{0, 50'000};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    thread_ = std::thread([this, names, root] { serve(names, root); });
  }
  ~NameServer() {
    over_ = true;
    thread_.join();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  void serve(uint8_t names, uint8_t root) const {
    std::array<uint8_t, 512> message{};
    while (!over_) {
      sockaddr_in from{};
      socklen_t length = sizeof from;
      const ssize_t size =
          recvfrom(fd_.get(), message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (size < 13) continue;
      const uint8_t code = message[12] == 0 ? root : names;
      if (code == kSilent) continue;
      message[2] |= 0x80;
      message[3] = code;
      sendto(fd_.get(), message.data(), static_cast<size_t>(size), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }
  UniqueFd fd_;
  uint16_t port_ = 0;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

/// What is known of a sender's name after `ms` at most.
ReverseLookUp asked(const std::string& server, uint64_t ms, const std::string& ip = "192.0.2.7") {
  uv_loop_t loop;
  uv_loop_init(&loop);
  ReverseLookUp facts;
  {
    ReverseDns dns(&loop, server);
    CHECK(dns.servers() == server);
    bool waiting = true;
    const auto timer = make_timer(&loop, &waiting);
    uv_timer_start(
        timer.get(), [](uv_timer_t* t) { *static_cast<bool*>(t->data) = false; }, ms, 0);
    const auto look_up = dns.look_up(ip);
    while (waiting && !ReverseDns::name_known(*look_up)) uv_run(&loop, UV_RUN_ONCE);
    facts = ReverseDns::facts(*look_up);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
  return facts;
}

}  // namespace

TEST_CASE("what a name server says is told as it is") {
  CHECK(asked(NameServer(kNxdomain, kNxdomain).address(), 4000).status == "nxdomain");
  CHECK(asked(NameServer(0, 0).address(), 4000).status == "nodata");
  CHECK(asked(NameServer(kServfail, 0).address(), 4000).status == "servfail");
  CHECK(asked(NameServer(kRefused, kRefused).address(), 4000).status == "refused");
  CHECK(asked(NameServer(kNxdomain, 0).address(), 4000, "2001:db8::7").status == "nxdomain");
}

TEST_CASE("a dead port is no name server, and that is known at once") {
  std::string dead;
  { dead = NameServer(0, 0).address(); }
  const ReverseLookUp facts = asked(dead, 4000);
  CHECK(facts.status == "unreachable");
  CHECK(facts.name_us < 2'000'000);
}

TEST_CASE("a name without an answer is pending where the name server answers others, else there is no name server") {
  const NameServer picky(kSilent, 0), mute(kSilent, kSilent);
  CHECK(asked(picky.address(), 2500).status == "pending");
  CHECK(asked(mute.address(), 500).status == "pending");  // too early to say
  CHECK(asked(mute.address(), 2500).status == "unreachable");
}
