// After any crash: every session that the recording tells of has one transcript, none two, and files end whole.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "capture/recording/session_recorder.h"
#include "capture/store/instance.h"
#include "capture/store/recovery.h"
#include "capture/store/transcript_line.h"
#include "capture/transcript/json_writer.h"
#include "tests/capture/store/temp_store.h"

using namespace smtpscope;

namespace {

constexpr int64_t kBegan = 1'795'000'000'000'000;
constexpr const char* kRecording = "senders/192.0.2.1/2026-11-18.pcapng";
constexpr const char* kTranscripts = "senders/192.0.2.1/2026-11-18.jsonl";

SessionFacts facts(const std::string& id, const std::string& instance, uint16_t port) {
  SessionFacts f;
  f.id = id;
  f.instance = instance;
  f.started_us = kBegan + port;
  f.sender = {"192.0.2.1", port};
  f.gateway = {"192.0.2.25", 25};
  f.sees = "proxy";
  return f;
}

/// One session as the recorder writes it; whole, or open behind its first command.
std::string recording_of(const SessionFacts& f, bool ended, std::string* transcript = nullptr) {
  std::string out;
  SessionRecorder recorder(f, out);
  recorder.connected({GatewayConnect::State::connected, 100, 100, ""}, out);
  const auto say = [&](From from, int64_t at_us, std::string text) {
    recorder.chunk(from, at_us, text.data(), text.size(), out);
  };
  say(From::gateway, 200, "220 gw ESMTP\r\n");
  say(From::sender, 300, "EHLO mx.example\r\n");
  if (!ended) return out;
  say(From::gateway, 400, "250 gw\r\n");
  say(From::sender, 500, "QUIT\r\n");
  say(From::gateway, 600, "221 bye\r\n");
  recorder.closed({From::gateway, 700, CloseHow::fin}, out);
  recorder.closed({From::sender, 800, CloseHow::fin}, out);
  SessionEnd end;
  end.at_us = 900;
  Transcript t = recorder.ended(end, out);
  if (transcript != nullptr) {
    append_json(*transcript, t);
    *transcript += '\n';
  }
  return out;
}

std::map<std::string, int> transcripts(const TempStore& store) {
  std::map<std::string, int> ids;
  std::string text = store.read(kTranscripts);
  CHECK((text.empty() || text.back() == '\n'));
  for (size_t end = 0; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
    const auto t = scan_transcript_line(text.substr(0, end));
    REQUIRE(t);
    ++ids[t->id];
  }
  return ids;
}

struct Crash : TempStore {
  std::string instance = new_ulid(kBegan);
  void mark_dead() const { write("run/" + instance, ""); }
};

}  // namespace

TEST_CASE("nothing crashed: nothing is touched") {
  Crash store;
  store.write(kRecording, "whatever");
  CHECK(recover(store.path, "").nothing_to_do());
  CHECK(store.read(kRecording) == "whatever");
}

TEST_CASE("sessions without a transcript get theirs, once") {
  Crash store;
  store.mark_dead();
  std::string file, known;
  append_section(file);
  file += recording_of(facts("DONE", store.instance, 1001), true, &known);
  file += recording_of(facts("LOST", store.instance, 1002), true);
  file += recording_of(facts("OPEN", store.instance, 1003), false);
  file += recording_of(facts("OTHER", "01LIVES", 1004), false);
  store.write(kRecording, file + "torn");
  store.write(kTranscripts, known + "{\"schema\":");

  const RecoveryReport report = recover(store.path, "");
  CHECK(report.problems.empty());
  CHECK(report.instances == 1);
  CHECK(report.transcripts == 2);
  CHECK(report.interrupted == 1);
  CHECK(report.cut_bytes == 4 + 10);
  CHECK(store.read(kRecording) == file);
  CHECK(transcripts(store) == std::map<std::string, int>{{"DONE", 1}, {"LOST", 1}, {"OPEN", 1}});
  CHECK(store.read(kTranscripts).starts_with(known));
  CHECK(store.read(kTranscripts).find(R"("interrupted":true)") != std::string::npos);
  CHECK(recover(store.path, "").nothing_to_do());
}

TEST_CASE("the recovered transcript is the one that the live path would have written") {
  Crash store;
  store.mark_dead();
  std::string file, live;
  append_section(file);
  file += recording_of(facts("A", store.instance, 1001), true, &live);
  store.write(kRecording, file);
  recover(store.path, "");
  const std::string recovered = store.read(kTranscripts);
  const auto without_recording = [](const std::string& line) { return line.substr(0, line.find(R"("recording":)")); };
  CHECK(without_recording(recovered) == without_recording(live));
}

TEST_CASE("a recording cut at any byte gives every session in it one transcript") {
  std::string file;
  append_section(file);
  const size_t first = file.size();
  Crash names;
  file += recording_of(facts("A", names.instance, 1001), true);
  const size_t second = file.size();
  file += recording_of(facts("B", names.instance, 1002), true);
  std::string opening;
  PcapngFlow(facts("A", names.instance, 1001)).open(opening, facts("A", names.instance, 1001));
  const size_t open_size = opening.size();
  for (size_t length = 0; length <= file.size(); length += length % 16 == 0 ? 5U : 1U) {
    Crash store;
    store.instance = names.instance;
    store.mark_dead();
    store.write(kRecording, file.substr(0, length));
    const RecoveryReport report = recover(store.path, "");
    CAPTURE(length);
    REQUIRE(report.problems.empty());
    std::map<std::string, int> wanted;
    if (length >= first + open_size) wanted["A"] = 1;
    if (length >= second + open_size) wanted["B"] = 1;
    REQUIRE(transcripts(store) == wanted);
    REQUIRE(store.read(kRecording).size() + report.cut_bytes == length);
  }
}

TEST_CASE("a recovery that was killed at any byte is finished by the next, and none has two") {
  std::string file, all;
  Crash names;
  append_section(file);
  for (uint16_t i = 0; i < 3; ++i)
    file += recording_of(
        facts(std::string(1, static_cast<char>('A' + i)), names.instance, static_cast<uint16_t>(1001 + i)), i != 1);
  {
    Crash store;
    store.instance = names.instance;
    store.mark_dead();
    store.write(kRecording, file);
    recover(store.path, "");
    all = store.read(kTranscripts);
  }
  for (size_t length = 0; length <= all.size(); length += 7) {
    Crash store;
    store.instance = names.instance;
    store.mark_dead();
    store.write(kRecording, file);
    store.write(kTranscripts, all.substr(0, length));
    CHECK(recover(store.path, "").problems.empty());
    REQUIRE(transcripts(store) == std::map<std::string, int>{{"A", 1}, {"B", 1}, {"C", 1}});
  }
}

TEST_CASE("while another process uses the store nothing is cut, and torn lines are ended") {
  Crash store;
  store.mark_dead();
  Instance living(store.path, new_ulid(kBegan));
  std::string file;
  append_section(file);
  file += recording_of(facts("A", store.instance, 1001), true);
  store.write(kRecording, file + "torn");
  store.write(kTranscripts, "{\"half");
  const RecoveryReport report = recover(store.path, "");
  CHECK(report.cut_bytes == 0);
  CHECK(store.read(kRecording) == file + "torn");
  CHECK(store.read(kTranscripts).starts_with("{\"half\n{\"schema\""));
}

TEST_CASE("what cannot be written is told, and the next start tries again") {
  Crash store;
  store.mark_dead();
  std::string file;
  append_section(file);
  file += recording_of(facts("A", store.instance, 1001), true);
  store.write(kRecording, file);
  std::filesystem::create_directory(store.file(kTranscripts));
  CHECK_FALSE(recover(store.path, "").problems.empty());
  std::filesystem::remove(store.file(kTranscripts));
  CHECK(recover(store.path, "").problems.empty());
  CHECK(transcripts(store) == std::map<std::string, int>{{"A", 1}});
}

TEST_CASE("files that are none of ours are left alone") {
  Crash store;
  store.mark_dead();
  store.write(kRecording, "not a recording at all");
  recover(store.path, "");
  CHECK(store.read(kRecording) == "not a recording at all");
}
