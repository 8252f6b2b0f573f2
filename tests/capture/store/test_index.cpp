// The index never says anything but what the files say, whatever happened to them or to it.
#include <sys/stat.h>
#include <unistd.h>

#include "capture/store/index.h"
#include "capture/store/transcript_line.h"
#include "tests/capture/store/temp_store.h"

using namespace smtpscope;

namespace {

constexpr const char* kDay = "senders/192.0.2.1/2026-11-24.jsonl";
constexpr const char* kRefused =
    R"({"code":"rcpt-unknown-user","phase":"rcpt","party":"sender","expected":"} , ] \\\" {"})";

std::string started(int second) {
  return "2026-11-24T02:06:" + std::string(second < 10 ? "0" : "") + std::to_string(second) + ".000000Z";
}

std::string ids(Index& index, const IndexQuery& query = {}) {
  std::string all;
  index.query(query, [&](const IndexEntry& entry) {
    all += entry.id + ' ';
    return true;
  });
  return all;
}

std::string ids(const TempStore& store) {
  Index index(store.path);
  return ids(index);
}

}  // namespace

TEST_CASE("a line's facts are found at its top level only, unescaped") {
  const auto t = scan_transcript_line(transcript_line("A", "192.0.2.1", started(1), "breakdown", kRefused));
  REQUIRE(t);
  CHECK(t->id == "A");
  CHECK(t->icid == 7);
  CHECK(t->sender_ip == "192.0.2.1");
  CHECK(t->summary == "so \"it\" went");
  CHECK(t->code == "rcpt-unknown-user");
  CHECK(t->phase == "rcpt");
  CHECK(t->party == "sender");
}

TEST_CASE("what is no whole transcript is none, at every length") {
  const std::string line = transcript_line("A", "192.0.2.1", started(1), "breakdown", kRefused);
  for (size_t length = 0; length + 1 < line.size(); ++length) CHECK_FALSE(scan_transcript_line(line.substr(0, length)));
  CHECK_FALSE(scan_transcript_line("{\"schema\":\"smtpscope.transcript/2\",\"id\":\"A\"}"));
  CHECK_FALSE(scan_transcript_line(line.substr(0, line.size() - 1) + "x"));
}

TEST_CASE("oldest first over all senders, with the very bytes") {
  TempStore store;
  store.write(kDay, transcript_line("B", "192.0.2.1", started(2)) + transcript_line("D", "192.0.2.1", started(4)));
  store.write("senders/2001:db8::1/2026-11-24.jsonl", transcript_line("C", "2001:db8::1", started(3)));
  Index index(store.path);
  CHECK(ids(index) == "B C D ");
  index.query({}, [&](const IndexEntry& e) {
    const std::string bytes = store.read(e.file.substr(store.path.size() + 1)).substr(e.offset, e.length);
    CHECK(scan_transcript_id(bytes) == e.id);
    return true;
  });
  struct stat status {};
  REQUIRE(::stat(store.file("index.sqlite").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("filters: all kinds must hold, any value of a kind") {
  TempStore store;
  store.write(kDay, transcript_line("A", "192.0.2.1", started(1)) +
                        transcript_line("B", "192.0.2.9", started(2), "breakdown", kRefused) +
                        transcript_line("C", "2001:db8::1", started(3), "no-mail"));
  Index index(store.path);
  IndexQuery query;
  query.verdicts = {"breakdown", "no-mail"};
  CHECK(ids(index, query) == "B C ");
  query.codes = {"rcpt-unknown-user"};
  query.phases = {"rcpt", "mail"};
  query.parties = {"sender"};
  CHECK(ids(index, query) == "B ");
  query.parties = {"gateway"};
  CHECK(ids(index, query).empty());

  query = {};
  query.senders = {{*address_bytes("192.0.2.2"), *address_bytes("192.0.2.255")}};
  CHECK(ids(index, query) == "B ");
  query.senders.push_back({*address_bytes("2001:db8::"), *address_bytes("2001:db8::ffff")});
  CHECK(ids(index, query) == "B C ");
  query = {};
  query.since = started(2);
  query.until = started(3);
  CHECK(ids(index, query) == "B ");
  query = {};
  query.last = 2;
  CHECK(ids(index, query) == "B C ");
  query.last = 0;
  query.id_prefix = "C";
  CHECK(ids(index, query) == "C ");
}

TEST_CASE("only what is new is read") {
  TempStore store;
  store.write(kDay, transcript_line("A", "192.0.2.1", started(1)));
  CHECK(Index(store.path).lines_read() == 1);
  CHECK(Index(store.path).lines_read() == 0);
  store.write(kDay, transcript_line("B", "192.0.2.1", started(2)), true);
  Index index(store.path);
  CHECK(index.lines_read() == 1);
  CHECK(ids(index) == "A B ");
}

TEST_CASE("a torn last line waits for its end; garbage is told and left out") {
  TempStore store;
  const std::string line = transcript_line("B", "192.0.2.1", started(2));
  store.write(kDay, transcript_line("A", "192.0.2.1", started(1)) + "garbage\n" + line.substr(0, 50));
  {
    Index index(store.path);
    CHECK(ids(index) == "A ");
    REQUIRE(index.problems().size() == 1);
    CHECK(index.problems()[0].find("1 line is no transcript") != std::string::npos);
  }
  store.write(kDay, line.substr(50), true);
  Index index(store.path);
  CHECK(ids(index) == "A B ");
  CHECK(index.problems().size() == 1);
}

TEST_CASE("files that shrank, were replaced or went are followed") {
  TempStore store;
  store.write(kDay, transcript_line("A", "192.0.2.1", started(1)) + transcript_line("B", "192.0.2.1", started(2)));
  CHECK(ids(store) == "A B ");
  store.write(kDay, transcript_line("A", "192.0.2.1", started(1)));
  CHECK(ids(store) == "A ");
  store.write(kDay, transcript_line("X", "192.0.2.1", started(1)) + transcript_line("Y", "192.0.2.1", started(2)));
  CHECK(ids(store) == "X Y ");
  store.write("new", transcript_line("P", "192.0.2.1", started(1)) + transcript_line("Q", "192.0.2.1", started(2)));
  std::filesystem::rename(store.file("new"), store.file(kDay));
  CHECK(ids(store) == "P Q ");
  std::filesystem::remove(store.file(kDay));
  CHECK(ids(store).empty());
}

TEST_CASE("an index that is gone, broken or of another version is built anew") {
  TempStore store;
  store.write(kDay, transcript_line("A", "192.0.2.1", started(1)));
  CHECK(ids(store) == "A ");
  std::filesystem::remove(store.file("index.sqlite"));
  CHECK(ids(store) == "A ");
  const std::string good = store.read("index.sqlite");
  for (const std::string& bad : {std::string(5000, 'x'), good.substr(0, good.size() / 2), std::string("short")}) {
    store.write("index.sqlite", bad);
    CHECK(ids(store) == "A ");
  }
  // Each byte of the page headers flipped in turn: nothing crashes, and what is built anew is right.
  for (size_t at = 0; at < 4096; at += 97) {
    std::string bad = good;
    bad[at] = static_cast<char>(~bad[at]);
    store.write("index.sqlite", bad);
    Index index(store.path);
  }
  std::string other = good;
  other[63] = 99;  // user_version, the last byte of four at 60
  store.write("index.sqlite", other);
  CHECK(ids(store) == "A ");
}

TEST_CASE("a place where no index can be written is read all the same") {
  TempStore store;
  store.write(kDay, transcript_line("A", "192.0.2.1", started(1)));
  std::filesystem::create_directory(store.file("index.sqlite"));  // root may write anywhere, but not into this
  Index index(store.path);
  CHECK(index.in_memory());
  CHECK(ids(index) == "A ");
}

TEST_CASE("no store is an error that names it") {
  CHECK_THROWS_WITH(Index("/nowhere/at/all"), Catch::Contains("/nowhere/at/all: no such store"));
}

TEST_CASE("notes: a code finds them, phase and party only where nothing broke; recipients left out are counted") {
  const auto line = [](const char* id, int second, const char* verdict, const char* breakdown) {
    std::string text = transcript_line(id, "192.0.2.1", started(second), verdict, breakdown);
    text.insert(text.rfind(",\"events\""), R"(,"notes":[{"code":"rcpt-unknown-user","phase":"rcpt","party":"sender"},)"
                                           R"({"code":"banner-slow","phase":"banner","party":"gateway"}],"messages":[)"
                                           R"({"accepted":true,"recipients":[{"code":250},{"code":550}]},)"
                                           R"({"accepted":false,"recipients":[{"code":550}]}])");
    return text;
  };
  TempStore store;
  store.write(kDay, line("A", 1, "delivered", "null") +
                        line("B", 2, "breakdown", R"({"code":"size-exceeded","phase":"body","party":"gateway"})") +
                        transcript_line("C", "192.0.2.1", started(3)));
  Index index(store.path);
  IndexQuery query;
  query.codes = {"rcpt-unknown-user"};
  CHECK(ids(index, query) == "A B ");
  query.verdicts = {"delivered"};
  CHECK(ids(index, query) == "A ");
  query.verdicts.clear();
  query.phases = {"banner"};  // of the same finding
  CHECK(ids(index, query).empty());
  query = {};
  query.phases = {"rcpt"};
  query.parties = {"sender"};
  CHECK(ids(index, query) == "A ");
  index.query({}, [&](const IndexEntry& e) {
    CHECK(e.left_out == (e.id == "C" ? 0 : 1));
    return true;
  });
}
