// Every rule by its own two scripts, and the tables as a whole.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "capture/diagnosis/catalogue.h"
#include "capture/diagnosis/script.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

const Finding* find_in(const Transcript& t, std::string_view code) {
  if (t.breakdown && t.breakdown->code == code) return &*t.breakdown;
  for (const Finding& note : t.notes)
    if (note.code == code) return &note;
  return nullptr;
}

std::string told(const Transcript& t) {
  std::string text = std::string(name(t.verdict)) + ": " + t.summary + "\n";
  if (t.breakdown)
    text += "breakdown " + t.breakdown->code + " " + std::string(name(t.breakdown->phase)) + " event " +
            std::to_string(t.breakdown->event) + "\n";
  for (const Finding& note : t.notes) text += "note " + note.code + "\n";
  for (const Event& e : t.events)
    text += std::to_string(e.at_us) + " " + std::string(name(e.kind)) + " " + std::string(name(e.from)) + " " +
            std::string(name(e.phase)) + " answers " + std::to_string(e.answers) + " " + e.text.substr(0, 60) + "\n";
  return text;
}

uint64_t offset_of(const ScriptMark& mark, From side) {
  return side == From::sender ? mark.sender_offset : mark.gateway_offset;
}

}  // namespace

TEST_CASE("every rule fires in its own script, at the marked event and byte") {
  for (const Rule* rule : all_rules()) {
    INFO(rule->code);
    const PlayedScript played = play_script(rule->fires);
    INFO(told(played.transcript));
    REQUIRE(played.error == "");
    REQUIRE(played.mark);
    const Transcript& t = played.transcript;
    const Finding* f = find_in(t, rule->code);
    CHECK(f != nullptr);
    if (f == nullptr) continue;
    if (rule->kind == Rule::Kind::breakdown) {
      CHECK(t.verdict == Verdict::breakdown);
      CHECK((t.breakdown && t.breakdown->code == rule->code));
    } else {
      CHECK_FALSE((t.breakdown && t.breakdown->code == rule->code));
    }
    const ScriptMark& mark = *played.mark;
    CHECK(f->offset == offset_of(mark, f->stream));
    if (mark.side) {
      CHECK(f->stream == *mark.side);
      CHECK(f->length == mark.bytes);
      REQUIRE(f->event >= 0);
      const Event& e = t.events[static_cast<size_t>(f->event)];
      CHECK(e.from == *mark.side);
      CHECK((e.kind == Event::Kind::close) == mark.close);
      CHECK(e.at_us <= mark.at_us);  // of a body, the marked line may be a part
      CHECK(e.end_us >= mark.at_us);
    } else {
      CHECK(f->length == 0);
    }
    if (rule->phase != Phase::idle && rule->reply.from == 0) CHECK(f->phase == rule->phase);
    for (const std::string* words : {&f->expected, &f->got, &f->why, &f->advice}) CHECK(!words->empty());
    CHECK(!f->references.empty());
  }
}

TEST_CASE("no rule fires in its quiet script, and a healthy one reports no breakdown") {
  for (const Rule* rule : all_rules()) {
    INFO(rule->code);
    const PlayedScript played = play_script(rule->quiet);
    INFO(told(played.transcript));
    REQUIRE(played.error == "");
    CHECK(find_in(played.transcript, rule->code) == nullptr);
    bool taken = false, refused = false;
    for (const Message& m : played.transcript.messages) taken = taken || m.accepted;
    for (const Event& e : played.transcript.events)
      refused = refused || (e.kind == Event::Kind::reply && e.code >= 400);
    if (taken && !refused) {
      CHECK(played.transcript.verdict == Verdict::delivered);
      CHECK(!played.transcript.breakdown);
    }
  }
}

// tests/capture/diagnosis/rule_scripts.txt: what else the rules' scripts give rise to. A line there was judged to be
// right by whoever wrote it; what is not in it must not happen.
TEST_CASE("the scripts of all rules through the whole engine: nothing fires that should not") {
  const std::string path = std::string(SMTPSCOPE_SOURCE_DIR) + "/tests/capture/diagnosis/rule_scripts.txt";
  std::string judged, comment;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) (line.starts_with('#') ? comment : judged) += line + "\n";
  std::string seen;
  for (const Rule* rule : all_rules())
    for (const bool fires : {true, false}) {
      const Transcript t = play_script(fires ? rule->fires : rule->quiet).transcript;
      std::string also;
      if (t.breakdown && t.breakdown->code != rule->code) also += " breakdown " + t.breakdown->code;
      for (const Finding& note : t.notes)
        if (note.code != rule->code) also += " note " + note.code;
      if (!also.empty()) seen += std::string(rule->code) + (fires ? " fires:" : " quiet:") + also + "\n";
    }
  if (const char* update = std::getenv("SMTPSCOPE_UPDATE_DOCS"); update != nullptr && std::string(update) == "1")
    std::ofstream(path) << comment + seen;
  INFO("run this test with SMTPSCOPE_UPDATE_DOCS=1 to write the file anew, and judge each line that changes");
  CHECK(judged == seen);
}

// A script of the rule's own shows what its author had in mind. That others come to the same code is shown by the
// replies of known servers, by the scenarios over real sockets and by the other end-to-end tests.
TEST_CASE("every kind fires in a test besides its own script") {
  namespace fs = std::filesystem;
  std::string asserted;
  const auto add = [&](const fs::path& path) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) asserted += line + "\n";
  };
  const fs::path tests = fs::path(SMTPSCOPE_SOURCE_DIR) / "tests";
  for (const fs::directory_entry& entry : fs::directory_iterator(tests / "capture/diagnosis"))
    if (entry.path().filename().string().starts_with("test_known_replies")) add(entry.path());
  for (const char* folder : {"e2e", "netns"})
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(tests / folder))
      if (entry.path().extension() == ".py") add(entry.path());
  for (const fs::directory_entry& entry : fs::directory_iterator(tests / "e2e/scenarios"))
    if (entry.path().extension() == ".txt") add(entry.path());
  REQUIRE(asserted.size() > 100'000);
  std::string never;
  for (const Rule* rule : all_rules()) {
    const std::string code(rule->code);
    // As a test names it: `expect breakdown CODE PHASE PARTY`, `note CODE`, "CODE".
    const bool named = asserted.find("expect breakdown " + code + " ") != std::string::npos ||
                       asserted.find("\nnote " + code + "\n") != std::string::npos ||
                       asserted.find('"' + code + '"') != std::string::npos;
    if (!named) never += code + "\n";
  }
  INFO("in no test but its own script:\n" << never);
  CHECK(never.empty());
}

TEST_CASE("the tables are whole: codes unique and slugs, words and scripts everywhere") {
  std::set<std::string_view> codes;
  for (const Rule* rule : all_rules()) {
    INFO(rule->code);
    CHECK(codes.insert(rule->code).second);
    CHECK(rule->code.size() >= 5);
    CHECK(rule->code.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos);
    for (const std::string_view words :
         {rule->title, rule->expected, rule->why, rule->advice, rule->references[0], rule->fires, rule->quiet})
      CHECK(!words.empty());
    CHECK(rule->why.back() == '.');
    CHECK(rule->advice.back() == '.');
    CHECK(rule->references[0].starts_with("RFC "));
    CHECK((rule->reply.from != 0 || rule->check != nullptr));
    CHECK(find_rule(rule->code) == rule);
    CHECK(explain_rule(*rule, 80).find(rule->code) == 0);
  }
  CHECK(codes.size() >= 150);
}

TEST_CASE("docs/DIAGNOSES.md is what the tables say") {
  const std::string path = std::string(SMTPSCOPE_SOURCE_DIR) + "/docs/DIAGNOSES.md";
  if (const char* update = std::getenv("SMTPSCOPE_UPDATE_DOCS"); update != nullptr && std::string(update) == "1")
    std::ofstream(path, std::ios::binary) << diagnoses_markdown();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  INFO("run this test with SMTPSCOPE_UPDATE_DOCS=1 to write the file anew");
  CHECK(text.str() == diagnoses_markdown());
}

TEST_CASE("a code that is slightly wrong is recognised") {
  CHECK(nearest_code("rcpt-unknow-user") == "rcpt-unknown-user");
  CHECK(nearest_code("greylist") == "greylisted");
  CHECK(nearest_code("qqqqqqqqqqqqqqqqqqqqqqq").empty());
}
