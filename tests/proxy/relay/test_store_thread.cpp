// A disk that hangs holds the main loop up once, and not for long; nothing that was asked for is lost or out of order.
#include "proxy/relay/store_thread.h"

#include <chrono>
#include <future>
#include <memory>
#include <vector>

#include "tests/catch.h"

using namespace smtpscope;

namespace {

double seconds_of(const std::function<void()>& what) {
  const auto before = std::chrono::steady_clock::now();
  what();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
}

}  // namespace

TEST_CASE("what a disk does at once has been done") {
  StoreThread store;
  int done = 0;
  for (int i = 0; i < 1000; ++i) {
    CHECK(store.run([&] { ++done; }));
    REQUIRE(done == i + 1);
    REQUIRE_FALSE(store.behind());
  }
}

TEST_CASE("a disk that hangs is waited for once, and then does all that it was asked for") {
  std::vector<int> order;
  double waited = 0;
  {
    std::promise<void> answers;
    const std::shared_future<void> answer = answers.get_future().share();
    StoreThread store;
    waited = seconds_of([&] {
      CHECK_FALSE(store.run([&order, answer] {
        answer.wait();
        order.push_back(0);
      }));
      CHECK(store.behind());
      for (size_t i = 1; i <= StoreThread::kMostWaiting + 5; ++i)
        CHECK_FALSE(store.run([&order, i] { order.push_back(static_cast<int>(i)); }));
    });
    answers.set_value();
  }
  CHECK(waited >= 0.9);
  CHECK(waited < 2.5);  // a watchdog shoots after 3
  REQUIRE(order.size() == StoreThread::kMostWaiting + 1);
  for (size_t i = 0; i < order.size(); ++i) REQUIRE(order[i] == static_cast<int>(i));
}

TEST_CASE("a disk that is slow each time does not hold the loop up most of the time") {
  StoreThread store;
  const double waited = seconds_of([&] {
    for (int i = 0; i < 10; ++i) store.run([] { std::this_thread::sleep_for(std::chrono::milliseconds(400)); });
  });
  CHECK(waited < 2.5);
}
