// Whom a gateway says it sees, and what follows from it.
#include "proxy/doctor/view.h"

#include "tests/catch.h"

using namespace smtpscope;

namespace {

ProbeResult answered(const std::string& hello, const std::string& greeting = "220 gw.example ESMTP") {
  ProbeResult probe;
  probe.end = ProbeResult::End::finished;
  probe.local = {"10.0.0.9", 40000};
  probe.greeting = TalkReply{static_cast<uint16_t>(std::stoi(greeting)), greeting, 2000};
  probe.sent = {"EHLO a.example", "QUIT"};
  probe.replies = {{static_cast<uint16_t>(std::stoi(hello)), hello, 3000}, {221, "221 bye", 4000}};
  return probe;
}

}  // namespace

TEST_CASE("the client's address is found as servers name it, and nothing else is taken for one") {
  CHECK(client_named("250-mx.google.com at your service, [192.0.2.7]\n250 SIZE") == "192.0.2.7");
  CHECK(client_named("250-exim.example Hello mx.a.example [192.0.2.7]") == "192.0.2.7");
  CHECK(client_named("250-s.example Hello a [IPv6:2001:DB8::7], pleased to meet you") == "2001:db8::7");
  CHECK(client_named("250-h.example Hello [192.0.2.7], Haraka [is] at your service.") == "192.0.2.7");
  CHECK_FALSE(client_named("250-postfix.example\n250-PIPELINING\n250 X [192.0.2.7]"));
  CHECK_FALSE(client_named("250 [not an address]"));
  CHECK_FALSE(client_named("250 ["));
  CHECK_FALSE(client_named(""));
}

TEST_CASE("present proxy: this host is seen, or even a third address") {
  const HostFinding plain = judge_view(Present::proxy, answered("250-gw Hello a [10.0.0.9]"), "gw", true);
  CHECK(plain.health == Health::warning);
  CHECK(plain.says == "gw sees this host (10.0.0.9) in place of the senders");
  CHECK(judge_view(Present::proxy, answered("250 gw"), "gw", true).says.find("does not say so itself") !=
        std::string::npos);
  CHECK(judge_view(Present::proxy, answered("250 gw [192.0.2.1]"), "gw", true).says.find("translated") !=
        std::string::npos);
}

TEST_CASE("present sender: fine as far as can be seen; not without the capability, nor behind a translation") {
  CHECK(judge_view(Present::sender, answered("250 gw [10.0.0.9]"), "gw", true).health == Health::ok);
  const HostFinding quiet = judge_view(Present::sender, answered("250 gw"), "gw", true);
  CHECK(quiet.health == Health::ok);
  CHECK(quiet.says.find("only a session shows") != std::string::npos);
  CHECK(judge_view(Present::sender, answered("250 gw [10.0.0.9]"), "gw", false).health == Health::failed);
  const HostFinding translated = judge_view(Present::sender, answered("250 gw [192.0.2.1]"), "gw", true);
  CHECK(translated.health == Health::warning);
  CHECK(translated.facts["client_named"] == "192.0.2.1");
}

TEST_CASE("a PROXY header is taken, or not understood, whichever reply shows it") {
  CHECK(judge_view(Present::proxy_v1, answered("250 gw"), "gw", false).health == Health::ok);
  const HostFinding refused = judge_view(Present::proxy_v1, answered("502 5.5.2 command not recognized"), "gw", false);
  CHECK(refused.health == Health::failed);
  CHECK(refused.says.find("502 5.5.2") != std::string::npos);
  ProbeResult early = answered("250 gw");
  early.unasked = {{500, "500 what", 2500}};
  CHECK(judge_view(Present::proxy_v2, early, "gw", false).health == Health::failed);
}

TEST_CASE("how a gateway answered") {
  CHECK(judge_answer(answered("250 gw"), "gw").health == Health::ok);
  CHECK(judge_answer(answered("250 gw", "554 5.7.1 go away"), "gw").says.find("554 5.7.1 go away") !=
        std::string::npos);
  CHECK(judge_answer(answered("502 no"), "gw").health == Health::warning);
  ProbeResult slow = answered("250 gw");
  slow.greeting->at_us = 6'000'000;
  CHECK(judge_answer(slow, "gw").health == Health::warning);
  ProbeResult probe;
  probe.error = "ECONNREFUSED";
  CHECK(judge_answer(probe, "10.0.0.1:25").says ==
        "10.0.0.1:25 takes no connection: connection refused (ECONNREFUSED)");
  probe.end = ProbeResult::End::silent;
  CHECK(judge_answer(probe, "gw").advice.find("PROXY header") != std::string::npos);
  probe.end = ProbeResult::End::closed;
  CHECK(judge_answer(probe, "gw").health == Health::failed);
}

TEST_CASE("what a gateway sends cannot reach the terminal raw") {
  const HostFinding finding = judge_answer(answered("250 gw", "220 gw \x1b]0;owned\x07"), "gw");
  for (const char c : finding.says + finding.facts.dump()) CHECK(static_cast<unsigned char>(c) >= 0x20);
}

TEST_CASE("direct and through the proxy: the same but for digits, or what differs") {
  CHECK(compare_probes(answered("250-gw [10.0.0.9]\n250 SIZE 5", "220 gw 12:00:01"),
                       answered("250-gw [10.0.0.8]\n250 SIZE 5", "220 gw 12:00:02"))
            .health == Health::ok);
  const HostFinding differs =
      compare_probes(answered("250-gw\n250-STARTTLS\n250 size 5"), answered("250-gw\n250-SIZE 5\n250 XCLIENT"));
  CHECK(differs.health == Health::warning);
  CHECK(differs.says.find("does not offer STARTTLS") != std::string::npos);
  CHECK(differs.says.find("offers XCLIENT too") != std::string::npos);
  CHECK(compare_probes(answered("250 gw"), answered("250 gw", "220 other")).health == Health::warning);
  CHECK(compare_probes(answered("250 gw"), ProbeResult()).health == Health::failed);
  CHECK(compare_probes(ProbeResult(), answered("250 gw")).health == Health::skipped);
}
