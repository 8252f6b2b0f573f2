// The summary as a whole: digests, counts, order, text and JSON.
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "capture/summary/summary_text.h"
#include "capture/summary/words.h"
#include "capture/transcript/harmless.h"
#include "tests/capture/summary/built.h"
#include "tests/capture/transcript/schema.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

const std::string kGood = "use hello mail rcpt data body accepted bye\n";
const std::string kUnknown = "use hello mail\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nuse bye\n";
const std::string kGreylisted =
    "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.0 <b@gw.example>: Greylisted\nuse bye\n";
const std::string kLost = "use hello mail rcpt data body\n+60\nS fin\n+2\nuse accepted\nG fin\n";

/// Sessions in which most things happen, for the golden text.
std::vector<Built> busy_hour() {
  return std::vector<Built>{{0, kGreylisted}, {15, kGood}, {16, kUnknown}, {20, kLost}, {31, kGood}} +
         times(3, {40, "+30\nS fin\nG fin\n"}) +
         std::vector<Built>{{0, kGood, "198.51.100.7"}, {5, "use hello bye\n", "198.51.100.7"}};
}

std::string whole_text(const std::vector<SenderSummary>& senders) {
  std::string text;
  for (const SenderSummary& s : senders) {
    if (!text.empty()) text += '\n';
    text += summary_text(s, {});
  }
  return text;
}

}  // namespace

TEST_CASE("the text of a busy hour is as it was") {
  const std::string text = whole_text(summarize(busy_hour()));
  const std::string path = SMTPSCOPE_SOURCE_DIR "/tests/capture/summary/busy_hour.txt";
  if (std::getenv("SMTPSCOPE_WRITE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  std::ostringstream golden;
  golden << file.rdbuf();
  CHECK(text == golden.str());
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) CHECK(display_width(line) <= 100);
}

TEST_CASE("counts: verdicts, messages, codes, times") {
  const SenderSummary s = summarize_one({{0, kGood}, {1, kUnknown}, {2, kUnknown}, {3, kLost}, {4, "use hello bye\n"}});
  CHECK(s.sessions == 5);
  CHECK(s.verdicts == std::array<uint64_t, 4>{1, 3, 1, 0});
  CHECK(s.messages == std::array<uint64_t, 5>{2, 0, 2, 0, 0});
  CHECK(s.codes.at("rcpt-unknown-user").sessions == 2);
  CHECK(s.codes.at("rcpt-unknown-user").example == "01KB0000000000000000000003");
  CHECK(s.name == "mx.sender.example");
  CHECK(s.first_us == kNoon);
  CHECK(s.last_us > kNoon + 4 * kMinute);
}

TEST_CASE("recipients left out of delivered messages, and sessions inside TLS, are told") {
  const SenderSummary s = summarize_one({{0,
                                          "use hello mail rcpt\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nS "
                                          "RCPT TO:<y@gw.example>\nG 450 4.2.0 "
                                          "later\nuse data body accepted bye\n"},
                                         {1, kUnknown}});
  CHECK(s.left_out.refused == 1);
  CHECK(s.left_out.put_off == 1);
  CHECK(s.left_out.example == "01KB0000000000000000000001");
  CHECK(summary_text(s, {}).find(
            "! 2 recipients of delivered messages did not get them: 1 refused (5xx), 1 put off (4xx), "
            "as in") != std::string::npos);

  SenderSummary tls;
  tls.ip = "203.0.113.9";
  tls.sessions = 3;
  tls.verdicts[static_cast<size_t>(Verdict::unknown)] = 3;
  tls.inside_tls = 2;
  const std::string text = summary_text(tls, {200, false});
  CHECK(text.find("2 inside TLS, 1 not seen to the end.") != std::string::npos);
  CHECK(text.find("2 inside TLS: their messages cannot be seen") != std::string::npos);
  CHECK(text.find("No message was begun") == std::string::npos);
  require_valid(summary_json(tls), "summary.schema.json");
}

TEST_CASE("the sender with most failures stands first") {
  const auto all = summarize({{0, kGood, "192.0.2.1"},
                              {0, kUnknown, "198.51.100.1"},
                              {1, kGood, "198.51.100.1"},
                              {0, kUnknown, "203.0.113.1"},
                              {1, kUnknown, "203.0.113.1"}});
  REQUIRE(all.size() == 3);
  CHECK(all[0].ip == "203.0.113.1");
  CHECK(all[1].ip == "198.51.100.1");
  CHECK(all[2].ip == "192.0.2.1");
}

TEST_CASE("a session that does not count may still be the retry") {
  Summarizer summarizer([](const std::string&) { return kNoon + 60 * kMinute; });
  summarizer.add(*digest_line(built_line({0, kGreylisted}, 1)), true);
  summarizer.add(*digest_line(built_line({15, kGood}, 2)), false);
  const auto all = summarizer.finish();
  REQUIRE(all.size() == 1);
  CHECK(all[0].sessions == 1);
  REQUIRE(all[0].retries.size() == 1);
  CHECK(all[0].retries[0].end == Retry::End::delivered);
}

TEST_CASE("nothing hostile gets through") {
  const std::string evil = "\\x1b[31m\\xe2\\x80\\xae\\x9b";
  const auto all = summarize({{0, "G 220 gw\nS~EHLO " + evil + "\\r\\n\nG 250 gw\nS~MAIL FROM:<" + evil +
                                      "@x.example>\\r\\n\nG 250 ok\nS~RCPT TO:<" + evil +
                                      "@gw.example>\\r\\n\nG~450 4.2.0 " + evil + "\\r\\n\nuse bye\n"}});
  const std::string text = whole_text(all);
  for (const char c : text) CHECK((c == '\n' || (c >= ' ' && c < 0x7f)));
  CHECK_NOTHROW(nlohmann::json::parse(summary_json(all[0])));
}

TEST_CASE("the JSON is as its schema says") {
  for (const SenderSummary& s : summarize(busy_hour())) require_valid(summary_json(s), "summary.schema.json");
  CHECK_NOTHROW(nlohmann::json::parse(summary_json({})));
}

TEST_CASE("a line that is cut short anywhere, or is something else, has no digest") {
  const std::string line = built_line({0, kUnknown}, 1);
  for (size_t length = 0; length < line.size(); ++length) CHECK_FALSE(digest_line(line.substr(0, length)));
  CHECK_FALSE(digest_line("[]"));
  CHECK_FALSE(digest_line(R"({"id":"x","started":"yesterday","sender":{"ip":"192.0.2.1"}})"));
  const auto odd = digest_line(
      R"({"id":"x","started":"2026-11-24T02:06:41.123456Z","sender":{"ip":"192.0.2.1"},"verdict":7,"events":[1,[],{"answers":99,"code":1e9}],)"
      R"("messages":[3,{"mail_from":"a","recipients":{},"events":{"mail":-5,"final_reply":12345}}]})");
  REQUIRE(odd);
  CHECK(odd->messages.size() == 2);
}

TEST_CASE("words") {
  CHECK(span_text(400'000) == "0.4 s");
  CHECK(span_text(59'949'000) == "59.9 s");
  CHECK(span_text(59'960'000) == "1 min");
  CHECK(span_text(150'000'000) == "2 min 30 s");
  CHECK(span_text(15 * kMinute) == "15 min");
  CHECK(span_text(125 * kMinute) == "2 h 5 min");
  CHECK(span_text(76 * 60 * kMinute) == "3 d 4 h");
  CHECK(ordinal(2) == "2nd");
  CHECK(ordinal(11) == "11th");
  CHECK(ordinal(23) == "23rd");
  CHECK(size_text(4096) == "4.0 KiB");
  CHECK(size_text(21 * 1024 * 1024) == "21 MiB");
}
