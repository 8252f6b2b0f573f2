// What happens at the limits: no descriptors, a gateway that does not answer, a recorder that cannot keep up. Mail goes
// on, exactly, and the transcript says what is missing.
#include <fcntl.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/resource.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/catch.h"
#include "tests/proxy/relay/relay_under_test.h"

using namespace smtpscope::test;
using Received = std::pair<std::string, End>;

namespace {

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

int64_t processor_us() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1'000'000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

/// Leaves this process `spare` descriptors that are free, and gives back the others at its end.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(int spare) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int top = fcntl(0, F_DUPFD_CLOEXEC, 0);  // fills the holes up to here
    rlimit low = before_;
    low.rlim_cur = static_cast<rlim_t>(top) + 64;
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd = top; fd >= 0; fd = fcntl(0, F_DUPFD_CLOEXEC, 0)) filler_.push_back(fd);
    for (int i = 0; i < spare; ++i) give_back();
  }
  ~DescriptorLimit() {
    while (!filler_.empty()) give_back();
    setrlimit(RLIMIT_NOFILE, &before_);
  }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  void give_back() {
    ::close(filler_.back());
    filler_.pop_back();
  }
  rlimit before_{};
  std::vector<int> filler_;
};

/// A log that takes no line while it is shut: whoever logs waits, as the recorder does for a disk that hangs.
class ShutLog {
 public:
  ShutLog() : sink_(std::make_shared<Sink>()), before_(spdlog::default_logger()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("shut", sink_));
    spdlog::set_level(spdlog::level::info);
  }
  ~ShutLog() {
    open();
    spdlog::set_default_logger(before_);
    spdlog::set_level(spdlog::level::err);
  }
  ShutLog(const ShutLog&) = delete;
  ShutLog& operator=(const ShutLog&) = delete;

  void wait_until_someone_waits() const {
    std::unique_lock lock(sink_->mutex);
    sink_->changed.wait_for(lock, std::chrono::milliseconds(kWaitMs), [&] { return sink_->waiting > 0; });
  }
  void open() const {
    const std::lock_guard lock(sink_->mutex);
    sink_->shut = false;
    sink_->changed.notify_all();
  }

 private:
  struct Sink : spdlog::sinks::sink {
    std::mutex mutex;
    std::condition_variable changed;
    bool shut = true;
    int waiting = 0;
    void log(const spdlog::details::log_msg&) override {
      std::unique_lock lock(mutex);
      ++waiting;
      changed.notify_all();
      changed.wait(lock, [&] { return !shut; });
      --waiting;
    }
    void flush() override {}
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
  };
  std::shared_ptr<Sink> sink_;
  std::shared_ptr<spdlog::logger> before_;
};

void ping(const Peer& sender, const Peer& receiver) {
  sender.send("NOOP\r\n");
  CHECK(receiver.receive(6) == "NOOP\r\n");
  receiver.send("250 ok\r\n");
  CHECK(sender.receive(8) == "250 ok\r\n");
}

/// Whom the gateway sees.
std::string address_seen(const Peer& receiver) {
  sockaddr_in peer{};
  socklen_t length = sizeof peer;
  getpeername(receiver.fd(), reinterpret_cast<sockaddr*>(&peer), &length);
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text);
  return text;
}

}  // namespace

TEST_CASE("without descriptors accepting pauses, sessions in progress go on, and it resumes") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  Peer sender = relay.connect();
  Peer receiver = gateway.accept();
  ping(sender, receiver);
  sleep_ms(100);  // its files are open
  Peer late = Peer::unconnected();
  {
    // With one left the sender is accepted, but there is none for the gateway's leg.
    const DescriptorLimit limit(GENERATE(0, 1));
    late.connect_to(relay.port());
    late.send("EHLO late.example\r\n");
    CHECK_FALSE(gateway.waits(250));
    const int64_t before = processor_us();
    sleep_ms(300);
    CHECK(processor_us() - before < 100'000);
    ping(sender, receiver);
    CHECK(late.silent(0));
  }
  Peer late_receiver = gateway.accept();
  CHECK(late_receiver.receive(19) == "EHLO late.example\r\n");
  ping(late, late_receiver);
  ping(sender, receiver);
}

TEST_CASE("present = sender: the gateway sees the sender's address") {
  Gateway gateway;
  for (const smtpscope::Present present : {smtpscope::Present::sender, smtpscope::Present::proxy}) {
    RelayUnderTest relay(gateway.port(), {.present = present});
    const bool as_sender = present == smtpscope::Present::sender;
    Peer sender = Peer::unconnected();
    sender.bind_to("127.0.0.77");
    sender.connect_to(relay.port());
    Peer receiver = gateway.accept();
    CHECK(address_seen(receiver) == (as_sender ? "127.0.0.77" : "127.0.0.1"));
    ping(sender, receiver);
    relay.stop();
    REQUIRE(relay.transcripts().size() == 1);
    CHECK(relay.transcripts()[0]["gateway"]["sees"] == (as_sender ? "sender" : "proxy"));
    CHECK(relay.transcripts()[0]["sender"]["ip"] == "127.0.0.77");
  }
}

TEST_CASE("present = sender: an address that is not this host's") {
  // Bytes cannot pass, as no route leads back; what the relay must do is ask for the connection under this address.
  Peer probe = Peer::unconnected();
  const int on = 1;
  if (setsockopt(probe.fd(), IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on) != 0) {
    WARN("IP_TRANSPARENT needs CAP_NET_ADMIN: skipped");
    return;
  }
  const auto gateway = smtpscope::make_address("127.0.0.1", 25), source = smtpscope::make_address("192.0.2.77", 0);
  const smtpscope::Fd fd(smtpscope::connect_to(*gateway, &*source));
  REQUIRE(fd.get() >= 0);
  CHECK(smtpscope::endpoint_of(smtpscope::local_address(fd.get())).ip == "192.0.2.77");
}

TEST_CASE("a gateway that does not answer: the sender is reset after connect_timeout") {
  Gateway gateway(false, 0, 0);
  gateway.fill_backlog();
  RelayUnderTest relay(gateway.port(), {.connect_timeout_ms = 300});
  const auto begin = std::chrono::steady_clock::now();
  Peer sender = relay.connect();
  CHECK(sender.receive_all() == Received("", End::rst));
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took >= std::chrono::milliseconds(280));
  CHECK(took < std::chrono::milliseconds(3000));
  relay.stop();
  REQUIRE(relay.transcripts().size() == 1);
  const auto transcript = relay.transcripts()[0];
  CHECK(transcript["verdict"] == "breakdown");
  CHECK(transcript["breakdown"]["code"] == "gateway-no-answer");
  CHECK(transcript["breakdown"]["phase"] == "connect");
}

TEST_CASE("what a recorder that hangs cannot take is a gap in the recording, not in the mail") {
  Gateway gateway;
  RelayUnderTest relay(gateway.port());
  const std::string piece(1 << 20, 'x');
  constexpr size_t kPieces = 80;  // more than BatchQueue::kMaxPending
  Peer sender, receiver;
  const ShutLog log;
  {
    Peer one = relay.connect();
    gateway.accept();
  }
  log.wait_until_someone_waits();  // the recorder, with the end of that session
  sender = relay.connect();
  receiver = gateway.accept();
  std::thread send([&] {
    sender.send("EHLO big.example\r\n");
    for (size_t i = 0; i < kPieces; ++i) sender.send(piece);
  });
  CHECK(receiver.receive(18) == "EHLO big.example\r\n");
  for (size_t i = 0; i < kPieces; ++i) REQUIRE(receiver.receive(piece.size()) == piece);
  send.join();
  log.open();
  sleep_ms(300);  // the recorder catches up
  ping(sender, receiver);
  sender.send("QUIT\r\n");
  sender.fin();
  CHECK(receiver.receive_all() == Received("QUIT\r\n", End::fin));
  receiver.fin();
  CHECK(sender.receive_all() == Received("", End::fin));
  relay.stop();
  const auto transcripts = relay.transcripts();
  REQUIRE(transcripts.size() == 2);
  const auto& capture = transcripts[1]["capture"];
  CHECK(capture["complete"] == false);
  CHECK(capture["gaps"] == 1);
  CHECK(capture["loss"] == "overload");
  CHECK(transcripts[1]["streams"]["sender"]["bytes"] == 18 + kPieces * piece.size() + 6 + 6);
  CHECK(transcripts[1]["streams"]["gateway"]["bytes"] == 8);
}
