// What the writer wrote comes back record by record: many sessions in one file, one address pair used by several at
// once, files that are cut, damaged or no recording at all.
#include "tests/capture/recording/random_recording.h"
#include "tests/catch.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

/// A short file: two whole sessions in two sections.
std::string small_file() {
  std::string file;
  for (int number : {1, 2}) {
    append_section(file);
    SessionFacts facts;
    facts.id = "01KB0000000000000000000S0" + std::to_string(number);
    facts.sender = {"192.0.2.7", 4000};
    facts.gateway = {"198.51.100.25", 25};
    PcapngFlow flow(facts);
    flow.open(file, facts);
    flow.connected(file, {GatewayConnect::State::connected, 10, 9, ""});
    flow.data(file, From::gateway, 20, "220 gw\r\n");
    flow.data(file, From::sender, 30, "QUIT\r\n");
    flow.close(file, {From::sender, 40, CloseHow::fin});
    flow.end(file, SessionEnd{});
  }
  return file;
}

size_t count_records(const Dumps& dumps) {
  size_t n = 0;
  for (const auto& [id, records] : dumps) n += records.size();
  return n;
}

}  // namespace

TEST_CASE("every record comes back as it was written") {
  Random random(1);
  for (uint64_t round = 0; round < 40; ++round) {
    std::string file;
    const auto sessions = write_random(random, file, 12, 1 + round % 4);
    ReadReport report;
    const Dumps read = read_all(file, &report);
    CHECK(report.error.empty());
    CHECK(report.whole_bytes == file.size());
    CHECK(report.ignored_packets == 0);
    REQUIRE(read.size() == sessions.size());
    for (const RandomSession& session : sessions) REQUIRE(read.at(session.facts().id) == session.written());
  }
}

TEST_CASE("a session cut out is a recording of its own") {
  Random random(2);
  std::string file;
  const auto sessions = write_random(random, file, 12, 2);
  for (const RandomSession& session : sessions) {
    ReadReport report;
    const Dumps read = read_all(cut_session(file, session.facts().id), &report);
    CHECK(report.error.empty());
    REQUIRE(read.size() == 1);
    CHECK(read.at(session.facts().id) == session.written());
  }
  CHECK(cut_session(file, "01KB0000000000000000000XXX").empty());
}

TEST_CASE("a file cut off at any byte gives every record before the cut") {
  const std::string file = small_file();
  std::vector<uint64_t> ends{0};
  std::vector<size_t> records{0};  // told of before that end
  const Dumps whole = read_all(file);
  for (size_t at = 0; at < file.size();) {
    uint32_t length = 0;
    std::memcpy(&length, file.data() + at + 4, 4);
    at += length;
    ends.push_back(at);
    records.push_back(count_records(read_all(std::string_view(file).substr(0, at))));
  }
  CHECK(records.back() == 12);
  for (size_t size = 0, last = 0; size <= file.size(); ++size) {
    if (last + 1 < ends.size() && ends[last + 1] == size) ++last;
    ReadReport report;
    const std::string torn = file.substr(0, size);
    const Dumps read = read_all(torn, &report);
    CHECK(report.whole_bytes == ends[last]);
    CHECK(report.error.empty() == (size == ends[last]));
    CHECK(count_records(read) == records[last]);
    for (const auto& [id, dumps] : read) CHECK(std::equal(dumps.begin(), dumps.end(), whole.at(id).begin()));
  }
}

TEST_CASE("behind damage the reader goes on at the next section") {
  const std::string file = small_file();
  const size_t second = file.find("\x0a\x0d\x0d\x0a", 4);
  const Dumps whole = read_all(file);
  for (uint32_t forged : {0U, 8U, 13U, 0x7ffffffcU, 0xffffffffU}) {
    std::string damaged = file;
    std::memcpy(damaged.data() + 28 + 4 + 20, &forged, 4);  // somewhere in the first section's blocks
    std::memcpy(damaged.data() + 60, &forged, 4);
    ReadReport report;
    const Dumps read = read_all(damaged, &report);
    INFO("forged " << forged);
    CHECK(report.error.find("damaged between bytes") != std::string::npos);
    CHECK(report.error.find(std::to_string(second)) != std::string::npos);
    CHECK(report.whole_bytes == file.size());
    CHECK(read.at("01KB0000000000000000000S02") == whole.at("01KB0000000000000000000S02"));
  }
}

TEST_CASE("bytes lost to damage in an open session are a hole") {
  SessionFacts facts;
  facts.id = "01KB0000000000000000000LST";
  facts.sender = {"192.0.2.7", 4000};
  facts.gateway = {"198.51.100.25", 25};
  std::string file, lost;
  append_section(file);
  PcapngFlow flow(facts);
  flow.open(file, facts);
  flow.connected(file, {GatewayConnect::State::connected, 10, 9, ""});
  flow.data(lost, From::sender, 20, "EHLO mx\r\n");
  file += "garbage";
  append_section(file);
  flow.data(file, From::sender, 30, "QUIT\r\n");
  const Dumps read = read_all(file);
  const std::vector<std::string>& records = read.at(facts.id);
  REQUIRE(records.size() == 4);
  CHECK(records[2] == "hole sender 30 0 9 lost");
  CHECK(records[3] == "chunk sender 30 9 QUIT\r\n");
  CHECK(read_all(cut_session(file, facts.id)).at(facts.id) == records);
}

TEST_CASE("any byte changed, or none of it a recording: no crash") {
  const std::string file = small_file();
  Random random(3);
  for (size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(random());
    ReadReport report;
    read_all(damaged, &report);
    CHECK(report.whole_bytes <= file.size());
  }
  ReadReport report;
  CHECK(read_all("From: someone\r\nnot a recording at all\r\n", &report).empty());
  CHECK(report.error.find("not a pcapng file") != std::string::npos);
  CHECK(report.whole_bytes == 0);
}

TEST_CASE("packets of no session are counted and left out") {
  SessionFacts facts;
  facts.id = "01KB0000000000000000000STR";
  facts.sender = {"192.0.2.7", 4000};
  facts.gateway = {"198.51.100.25", 25};
  std::string file, unseen;
  append_section(file);
  PcapngFlow flow(facts);
  flow.open(unseen, facts);
  flow.data(file, From::sender, 30, "QUIT\r\n");
  ReadReport report;
  CHECK(read_all(file, &report).empty());
  CHECK(report.ignored_packets == 1);
}
