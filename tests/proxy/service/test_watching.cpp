// Who is called hung, when the next start is due, and what a message to the watchdog says.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "proxy/service/loop_watch.h"
#include "proxy/service/notify.h"
#include "proxy/service/watchdog.h"
#include "tests/catch.h"

using namespace smtpscope;

TEST_CASE("a sign of life needs one of every loop since the last") {
  Pulse one, two;
  LoopWatch watch({&one, &two});
  CHECK_FALSE(watch.turn());
  one.beat();
  CHECK_FALSE(watch.turn());
  CHECK_FALSE(watch.turn());
  two.beat();  // in a later turn than the other
  CHECK(watch.turn());
  CHECK_FALSE(watch.turn());
  for (int i = 0; i < 100; ++i) one.beat();
  CHECK_FALSE(watch.turn());
  two.beat();
  CHECK(watch.turn());
}

TEST_CASE("a loop that has ended in good order owes no beat") {
  Pulse one, two;
  LoopWatch watch({&one, &two});
  one.end();
  CHECK_FALSE(watch.turn());
  two.beat();
  CHECK(watch.turn());
  two.end();
  for (int i = 0; i < 100; ++i) CHECK(watch.turn());
  CHECK(watch.trouble().empty());
}

TEST_CASE("a loop hangs after three seconds of silence, and no more once it beats again") {
  Pulse one, two;
  LoopWatch watch({&one, &two});
  one.beat();
  two.beat();
  CHECK(watch.turn());
  for (uint64_t ms = Pulse::kEveryMs; ms < LoopWatch::kHungMs; ms += Pulse::kEveryMs) {
    one.beat();
    CHECK_FALSE(watch.turn());
    CHECK(watch.trouble().empty());
  }
  one.beat();
  CHECK_FALSE(watch.turn());
  CHECK(watch.trouble() == "worker 1 has not run for 3.0 s");
  two.beat();
  CHECK(watch.turn());
  CHECK(watch.trouble().empty());
}

TEST_CASE("silence is counted in turns: what the watchdog slept through itself counts little") {
  SilentTime silence;
  silence.turn(100);
  CHECK(silence.ms() == 100);
  silence.turn(3'600'000);  // the host was suspended
  CHECK(silence.ms() == 100 + SilentTime::kMostATurnMs);
  for (uint64_t i = 0; i < 20; ++i) silence.turn(SilentTime::kMostATurnMs + 1);
  CHECK(silence.ms() == 100 + 21 * SilentTime::kMostATurnMs);
  silence.broken();
  CHECK(silence.ms() == 0);
}

TEST_CASE("the first start after a long life is at once, those after short lives wait longer and longer") {
  Backoff backoff;
  CHECK(backoff.next_ms(Backoff::kLongMs) == 0);
  CHECK(backoff.in_a_row() == 1);
  uint64_t before = 0;
  for (int i = 0; i < 7; ++i) {
    const uint64_t next = backoff.next_ms(Backoff::kLongMs - 1);
    CHECK(next > before);
    before = next;
  }
  CHECK(before == 30'000);
  for (int i = 0; i < 100; ++i) CHECK(backoff.next_ms(0) == 30'000);
  CHECK(backoff.next_ms(Backoff::kLongMs) == 0);
  CHECK(backoff.next_ms(0) == 250);
}

TEST_CASE("what a message to the watchdog says") {
  const ServiceNews all = parse_news("READY=1\nWATCHDOG=1\nSTOPPING=1\nMAINPID=4711\nSTATUS=WATCHDOG=1 of all\n");
  CHECK(all.ready);
  CHECK(all.alive);
  CHECK(all.stopping);
  CHECK(all.main == 4711);
  for (const char* text : {"", "\n\n", "READY=10", "WATCHDOG=trigger", "STATUS=READY=1", " READY=1", "MAINPID=", "X"}) {
    const ServiceNews none = parse_news(text);
    CHECK_FALSE(none.ready);
    CHECK_FALSE(none.alive);
    CHECK_FALSE(none.stopping);
    CHECK(none.main == 0);
  }
  for (const char* text : {"MAINPID=0", "MAINPID=-1", "MAINPID=1x", "MAINPID=99999999999999", "MAINPID= 5"})
    CHECK(parse_news(text).main == 0);
  CHECK(parse_news("WATCHDOG=1").alive);  // the last line needs no end
}

namespace {

/// A manager's socket under that name.
struct Manager {
  Fd fd{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  explicit Manager(const std::string& name) {
    const auto address = notify_address(name);
    REQUIRE(address);
    REQUIRE(bind(fd.get(), address->get(), address->length) == 0);
  }
  std::string receive() {
    std::array<char, 1000> text{};
    const ssize_t n = recv(fd.get(), text.data(), text.size(), MSG_DONTWAIT);
    return n < 0 ? "nothing" : std::string(text.data(), static_cast<size_t>(n));
  }
};

struct Environment {
  Environment(const std::string& socket, const char* usec, const std::string& pid) {
    setenv("NOTIFY_SOCKET", socket.c_str(), 1);
    setenv("WATCHDOG_USEC", usec, 1);
    if (!pid.empty()) setenv("WATCHDOG_PID", pid.c_str(), 1);
  }
  ~Environment() {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
  }
};

}  // namespace

TEST_CASE("a manager is told by its name, abstract or a path, and nothing waits for it") {
  const std::string own = std::to_string(getpid());
  for (const std::string& name : {"@smtpscope-test-" + own, "/tmp/smtpscope-test-" + own + ".socket"}) {
    const Environment environment(name, "4000000", own);
    {
      Manager manager(name);
      const Notifier notifier = Notifier::from_environment();
      CHECK(notifier.has_manager());
      CHECK(notifier.watchdog_us() == 4'000'000);
      CHECK(notifier.tell("READY=1\n"));
      CHECK(manager.receive() == "READY=1\n");
      for (int i = 0; i < 100'000; ++i) CHECK(notifier.tell("WATCHDOG=1\n"));  // nobody reads them
    }
    if (name[0] == '/') unlink(name.c_str());
    CHECK_FALSE(Notifier::from_environment().tell("READY=1\n"));  // nobody is there any more
  }
}

TEST_CASE("a watchdog that waits for another process does not wait for this one") {
  const Environment environment("@smtpscope-nobody", "4000000", "1");
  CHECK(Notifier::from_environment().watchdog_us() == 0);
}

TEST_CASE("no manager, or a name that makes no sense: nobody is told") {
  CHECK_FALSE(Notifier::from_environment().has_manager());
  CHECK(Notifier::from_environment().tell("READY=1\n"));
  for (const std::string& name :
       {std::string(), std::string("@"), std::string("relative"), "/" + std::string(200, 'x')})
    CHECK_FALSE(notify_address(name));
}
