// Windows that are over do not fill the store: the oldest go, and nothing that is still needed.
#include "capture/store/window_retention.h"

#include <set>

#include "capture/store/debug_windows.h"
#include "capture/store/instance.h"
#include "tests/capture/store/temp_store.h"

using namespace smtpscope;

namespace {

constexpr int64_t kNow = 1'795'521'600'000'000, kMinute = 60'000'000;

/// Opened and, unless it is to stay open, ended `at` minutes later.
std::string window(const TempStore& store, const std::string& id, int64_t at) {
  DebugWindow w;
  w.id = id;
  w.senders = {"any"};
  w.opened_us = kNow + (id.empty() ? 0 : at);
  const std::string folder = keep_window(store.path, w);
  std::error_code error;
  if (at > 0) REQUIRE(end_window(folder, "hand", kNow + at * kMinute, error));
  return folder;
}

std::set<std::string> left(const TempStore& store) {
  std::set<std::string> ids;
  for (const StoredWindow& stored : read_debug_windows(store.path))
    ids.insert(stored.folder.substr(stored.folder.rfind('/') + 1));
  return ids;
}

}  // namespace

TEST_CASE("the windows that ended first go, those that are open stay") {
  TempStore store;
  window(store, "", 0);
  for (const int64_t at : {30, 10, 20, 50, 40}) window(store, "", at);
  const std::string config = window(store, std::string(kConfigWindow), 5);
  CHECK(retire_windows(store.path, 6) == 0);
  CHECK(retire_windows(store.path, 4) == 2);  // of six that have ended
  CHECK(left(store) == std::set<std::string>{"1", "2", "4", "5", "6"});
  CHECK_FALSE(std::filesystem::exists(config));
  CHECK(retire_windows(store.file("nowhere"), 0) == 0);
}

TEST_CASE("a tenth more goes than has to, so that it is seldom looked for") {
  TempStore store;
  for (int64_t at = 1; at <= 21; ++at) window(store, "", at);
  CHECK(retire_windows(store.path, 20) == 3);
  CHECK(left(store).size() == 18);
  CHECK_FALSE(left(store).contains("3"));
  CHECK(left(store).contains("4"));
}

TEST_CASE("a number is not given twice, and sessions in progress keep their window") {
  TempStore store;
  const std::string alive = new_ulid(kNow), dead = new_ulid(kNow + 1'000'000);
  Instance instance(store.path, alive);
  WindowTally going;
  going.sessions = 2;
  going.verdicts = {1, 0, 0, 0};
  REQUIRE_FALSE(TallyFile(window(store, "", 1), alive).save(going));
  REQUIRE_FALSE(TallyFile(window(store, "", 2), dead).save(going));
  window(store, "", 3);
  CHECK(retire_windows(store.path, 0) == 1);
  CHECK(left(store) == std::set<std::string>{"1", "3"});
  DebugWindow next;
  next.senders = {"any"};
  next.opened_us = kNow;
  keep_window(store.path, next);
  CHECK(next.id == "4");
}
