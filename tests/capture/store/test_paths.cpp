// Names never leave the store, modes do not depend on the umask; instances are dead exactly when their process is.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/store/instance.h"
#include "capture/store/paths.h"
#include "tests/capture/store/temp_store.h"

using namespace smtpscope;

namespace {
mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777;
}
}  // namespace

TEST_CASE("a day is UTC's and a sender's directory is its address") {
  CHECK(recording_path("/s/", "192.0.2.1", 1'795'000'000'000'000) == "/s/senders/192.0.2.1/2026-11-18.pcapng");
  CHECK(transcripts_path("s", "2001:db8::1", 0) == "s/senders/2001:db8::1/1970-01-01.jsonl");
  CHECK(utc_day(86'399'999'999) == "1970-01-01");
  CHECK(utc_day(86'400'000'000) == "1970-01-02");
  CHECK(utc_day(-1) == "1969-12-31");
  CHECK(utc_day(INT64_MAX) == "9999-12-31");
  CHECK(utc_day(INT64_MIN) == "0000-01-01");
}

TEST_CASE("no name leads out of the store") {
  CHECK(sender_directory("") == "_");
  CHECK(sender_directory(".") == "_");
  CHECK(sender_directory("..") == "_");
  CHECK(sender_directory("../a").find('/') == std::string::npos);
  CHECK(sender_directory(std::string(500, '1')).size() == 64);
}

TEST_CASE("modes do not depend on the umask") {
  for (mode_t mask : {0U, 022U, 0277U}) {
    TempStore store;
    const mode_t before = ::umask(mask);
    const auto error = make_private_directories(store.file("a/b/c"));
    const UniqueFd fd(open_private(store.file("f"), O_CREAT | O_WRONLY | O_APPEND));
    ::umask(before);
    CHECK_FALSE(error);
    CHECK(fd);
    CHECK(mode_of(store.file("a")) == 0700);
    CHECK(mode_of(store.file("a/b/c")) == 0700);
    CHECK(mode_of(store.file("f")) == 0600);
  }
}

TEST_CASE("a file in the way of a directory is an error") {
  TempStore store;
  store.write("a", "");
  CHECK(make_private_directories(store.file("a")) == std::errc::not_a_directory);
  CHECK(make_private_directories(store.file("a/b")) == std::errc::not_a_directory);
}

TEST_CASE("ULIDs are of their time, differ, and sort") {
  const std::string first = new_ulid(1'700'000'000'000'000), second = new_ulid(1'700'000'000'001'000);
  CHECK(first.size() == 26);
  CHECK(first < second);
  CHECK(new_ulid(0) != new_ulid(0));
  CHECK(ulid_time_us(first) == 1'700'000'000'000'000);
  CHECK(ulid_time_us("nonsense") == -1);
  CHECK(ulid_time_us(std::string(26, 'U')) == -1);
}

TEST_CASE("an instance lives as long as its process and is gone after a clean end") {
  TempStore store;
  const std::string crashed = new_ulid(1'700'000'000'000'000), living = new_ulid(1'700'000'000'000'000);
  const pid_t child = ::fork();
  if (child == 0) {
    Instance instance(store.path, crashed);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  Instance instance(store.path, living);
  {
    const Instances found = find_instances(store.path, "");
    CHECK(found.alive == 1);
    REQUIRE(found.dead.size() == 1);
    CHECK(found.dead[0].id == crashed);
    CHECK(found.dead[0].began_us == 1'700'000'000'000'000);
    // While one recovers it, nobody else does.
    CHECK(find_instances(store.path, living).dead.empty());
  }
  CHECK(find_instances(store.path, living).alive == 0);
  instance.finish();
  CHECK(find_instances(store.path, "").alive == 0);
  CHECK(find_instances(store.path, "").dead.size() == 1);
}
