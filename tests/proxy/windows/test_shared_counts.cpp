// Two processes count the sessions of one window together, and what came of it is told once, by the one that has its
// last.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "capture/store/instance.h"
#include "proxy/clock.h"
#include "proxy/relay/capture_window.h"
#include "proxy/windows/other_runs.h"
#include "proxy/windows/shared_counts.h"
#include "tests/capture/store/temp_store.h"

using namespace smtpscope;

namespace {

Fd copy_of(const SharedCounts& counts) { return Fd(fcntl(counts.descriptor(), F_DUPFD_CLOEXEC, 0)); }

WindowTally tally(uint64_t sessions, uint64_t ended) {
  WindowTally t;
  t.sessions = sessions;
  t.verdicts = {ended, 0, 0, 0};
  return t;
}

}  // namespace

TEST_CASE("a window's count goes on in the process that takes over") {
  SharedCounts before;
  const auto first = before.begin(3);
  *first = 7;
  SharedCounts after(copy_of(before));
  const auto second = after.resume(3, 5);
  CHECK(*second == 7);  // not what the disk knew by then
  ++*first;
  CHECK(*second == 8);
  CHECK(*after.resume(4, 5) == 5);
  CHECK(*after.begin(3) == 0);  // another window of that number: the store was made anew
  CHECK(*after.resume(0, 5) == 5);
}

TEST_CASE("what was not handed over is not taken for counts") {
  Fd other(memfd_create("other", MFD_CLOEXEC));
  REQUIRE(ftruncate(other.get(), 1 << 20) == 0);
  const SharedCounts counts(std::move(other));
  CHECK(counts.descriptor() >= 0);
  SharedCounts none(Fd(open("/dev/null", O_RDONLY | O_CLOEXEC)));
  CHECK(*none.resume(3, 5) == 5);
}

TEST_CASE("places of windows that are over are used again, those of open ones are not") {
  SharedCounts counts;
  const auto open = counts.begin(1);
  *open = 11;
  for (uint64_t window = 2; window < 5000; ++window) *counts.begin(window) = 1;
  CHECK(*open == 11);
  const auto newest = counts.begin(5000);
  *newest = 12;
  CHECK(*counts.resume(1, 0) == 11);
  CHECK(*counts.resume(5000, 0) == 12);
}

TEST_CASE("however many ask at once in two processes, none takes one too many") {
  SharedCounts before, after(copy_of(before));
  DebugWindow terms;
  terms.id = "1";
  terms.sessions = 1000;
  CaptureWindow one(terms, {}, nullptr, before.begin(1));
  CaptureWindow other(terms, {}, nullptr, after.resume(1, 0));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) (n % 2 == 0 ? one : other).enter();
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(one.admitted() + other.admitted() == 1000);
  CHECK(one.tally().sessions == 1000);
  CHECK(other.end()->by == std::string("count"));
}

TEST_CASE("whoever has the last session of a window tells, once") {
  TempStore store;
  const std::string own = new_ulid(unix_us()), others_id = new_ulid(unix_us() + 1000),
                    dead = new_ulid(unix_us() + 2000);
  Instance mine(store.path, own);
  auto other = std::make_unique<Instance>(store.path, others_id);
  DebugWindow window;
  window.senders = {"any"};
  window.opened_us = unix_us() - 10'000'000;
  const std::string folder = keep_window(store.path, window);
  REQUIRE_FALSE(TallyFile(folder, own).save(tally(4, 4)));
  REQUIRE_FALSE(TallyFile(folder, others_id).save(tally(5, 3)));
  REQUIRE_FALSE(TallyFile(folder, dead).save(tally(6, 1)));

  const OtherRuns runs = other_runs(store.path, *read_debug_window(folder), own);
  CHECK(runs.alive);
  CHECK(runs.in_progress == 2);
  CHECK(runs.tally.sessions == 11);
  CHECK(runs.settled == 9);

  std::error_code error;
  REQUIRE(end_window(folder, "count", unix_us() - 5'000'000, error));
  using Whose = LastWord::Whose;
  CHECK(take_last_word(store.path, folder, own, true, false).whose == Whose::later);
  CHECK(take_last_word(store.path, folder, own, true, true).whose == Whose::others);
  REQUIRE_FALSE(TallyFile(folder, others_id).save(tally(5, 5)));
  const LastWord word = take_last_word(store.path, folder, own, true, false);
  CHECK(word.whose == Whose::mine);
  CHECK(word.window->tally.sessions == 15);
  CHECK(word.window->ended_by == "count");
  CHECK(take_last_word(store.path, folder, others_id, true, false).whose == Whose::others);
}

TEST_CASE("one that has just ended may have sessions elsewhere that are not on the disk yet") {
  TempStore store;
  const std::string own = new_ulid(unix_us()), others_id = new_ulid(unix_us() + 1000);
  Instance mine(store.path, own);
  auto other = std::make_unique<Instance>(store.path, others_id);
  DebugWindow window;
  window.senders = {"any"};
  window.opened_us = unix_us();
  const std::string folder = keep_window(store.path, window);
  std::error_code error;
  REQUIRE(end_window(folder, "hand", unix_us(), error));
  using Whose = LastWord::Whose;
  CHECK(take_last_word(store.path, folder, own, true, false).whose == Whose::later);
  other->finish();
  CHECK(take_last_word(store.path, folder, own, true, false).whose == Whose::mine);
}
