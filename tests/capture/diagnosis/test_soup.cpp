// Whatever comes, the diagnosis holds together: random turns of both sides made of SMTP's words and of random bytes.
// And it is quick where nothing is wrong.
#include <chrono>
#include <random>
#include <set>

#include "capture/diagnosis/engine.h"
#include "capture/diagnosis/script.h"
#include "capture/smtp/conversation.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

const char* const kSteps[] = {
    "use hello",
    "use mail",
    "use rcpt",
    "use data",
    "use body",
    "use accepted",
    "use bye",
    "S MAIL FROM:<a@b>",
    "S RCPT TO:<x@y>",
    "S DATA",
    "S BDAT 20 LAST",
    "S BDAT 5",
    "S body 20",
    "S STARTTLS",
    "S AUTH LOGIN",
    "S AUTH PLAIN eHh4",
    "S RSET",
    "S QUIT",
    "S GET / HTTP/1.0",
    "S EHLO x",
    "S .",
    "S~\\x16\\x03\\x01\\x00\\x02ab",
    "S~half a line",
    "S~\\x00\\xff\\x0a",
    "S fin",
    "S rst",
    "S timeout",
    "G fin",
    "G rst",
    "G timeout",
    "G 220 hi",
    "G 250 ok",
    "G 354 go",
    "G 334 eHh4",
    "G 235 ok",
    "G 421 4.4.2 timeout",
    "G 450 4.2.0 Greylisted",
    "G 550 5.1.1 no",
    "G 503 order",
    "G 554 5.7.1 spam",
    "G~250-half",
    "G~\\x15\\x03\\x03\\x00\\x02\\x02\\x28",
    "G no code here",
    "+7",
    "+0.1",
    "hole S 10",
    "hole G 10",
    "proxy closed drain",
    "interrupted",
};

void check_holds_together(const Transcript& t) {
  REQUIRE((t.verdict == Verdict::breakdown) == t.breakdown.has_value());
  REQUIRE(!t.summary.empty());
  std::vector<const Finding*> all;
  if (t.breakdown) all.push_back(&*t.breakdown);
  for (const Finding& note : t.notes) all.push_back(&note);
  for (const Finding* f : all) {
    REQUIRE(find_rule(f->code) != nullptr);
    REQUIRE(f->event >= -1);
    REQUIRE(f->event < static_cast<int32_t>(t.events.size()));
    REQUIRE(!f->expected.empty());
    REQUIRE(!f->got.empty());
    REQUIRE(!f->why.empty());
    REQUIRE(!f->advice.empty());
    REQUIRE(!f->references.empty());
    REQUIRE(f->at_us >= 0);
    const uint64_t end = f->stream == From::sender    ? t.sender_stream.bytes
                         : f->stream == From::gateway ? t.gateway_stream.bytes
                                                      : 0;
    REQUIRE(f->offset + f->length <= end);
  }
}

}  // namespace

TEST_CASE("random sessions of SMTP's words") {
  std::mt19937 random(20261124);
  std::set<std::string> seen;
  for (int round = 0; round < 20'000; ++round) {
    std::string script = random() % 2 == 0 ? "use hello\n" : "";
    if (random() % 2 == 0 && !script.empty()) script += "use mail rcpt\n";
    const size_t steps = random() % 12;
    for (size_t i = 0; i < steps; ++i) script += std::string(kSteps[random() % std::size(kSteps)]) + "\n";
    INFO(script);
    const PlayedScript played = play_script(script);
    REQUIRE(played.error == "");
    check_holds_together(played.transcript);
    if (played.transcript.breakdown) seen.insert(played.transcript.breakdown->code);
  }
  CHECK(seen.size() > 25);
}

TEST_CASE("a session without a fault is judged quickly") {
  const SessionFacts facts = [] {
    SessionFacts f;
    f.instance = "x";
    return f;
  }();
  Conversation c;
  c.open(0);
  c.gateway_connected();
  uint64_t at[2] = {0, 0};
  const auto say = [&](From from, std::string_view text) {
    uint64_t& offset = at[from == From::sender ? 0 : 1];
    c.chunk({from, 1000, offset, text});
    offset += text.size();
  };
  say(From::gateway, "220 gw ESMTP\r\n");
  for (const auto& [ask, answer] : {std::pair{"EHLO a\r\n", "250 gw\r\n"},
                                    {"MAIL FROM:<a@b>\r\n", "250 ok\r\n"},
                                    {"RCPT TO:<x@y>\r\n", "250 ok\r\n"},
                                    {"DATA\r\n", "354 go\r\n"},
                                    {"Subject: x\r\n\r\nHello.\r\n.\r\n", "250 2.0.0 Ok: queued as 4F1A2B3C4D\r\n"},
                                    {"QUIT\r\n", "221 bye\r\n"}}) {
    say(From::sender, ask);
    say(From::gateway, answer);
  }
  c.finish();
  const GatewayConnect connect{GatewayConnect::State::connected, 0, 0, ""};
  const SessionEnd end;
  const Case session{facts, connect, end, c.events(), c.messages(), c.tls(), {}};
  constexpr int kRounds = 2000;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < kRounds; ++i) REQUIRE(diagnose(session).verdict == Verdict::delivered);
  const auto took = std::chrono::steady_clock::now() - began;
  const auto each_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count() / kRounds;
  WARN("one diagnosis of a clean session: " << each_ns << " ns");
  CHECK(each_ns < 200'000);  // sanitizers and a busy machine included; some microseconds in a release build
}
