// Injection debug logs read back: the forms they come in, what they leave out, and the round trip of our own.
#include <cstdlib>
#include <ctime>
#include <sstream>

#include "capture/foreign/injection_log_reader.h"
#include "capture/transcript/json_reader.h"
#include "capture/transcript/json_writer.h"
#include "capture/transcript/text_view.h"
#include "tests/capture/foreign/read_log.h"
#include "tests/catch.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

// Everything between the gateway and one host, with the message's end left out, as the gateway does.
constexpr const char* kPlain =
    "Wed Apr  2 14:30:04 2003 Info: 6216 Sent to '172.16.0.22': '220 postman.example.com ESMTP\\015\\012'\n"
    "Wed Apr  2 14:30:04 2003 Info: 6216 Rcvd from '172.16.0.22': 'HELO mail.remotehost.com\\015\\012'\n"
    "Wed Apr  2 14:30:04 2003 Info: 6216 Sent to '172.16.0.22': '250 postman.example.com\\015\\012'\n"
    "Wed Apr  2 14:30:04 2003 Info: 6216 Rcvd from '172.16.0.22': 'MAIL FROM:<a@remotehost.com>\\015\\012'\n"
    "Wed Apr  2 14:30:05 2003 Info: 6216 Sent to '172.16.0.22': '250 sender <a@remotehost.com> ok\\015\\012'\n"
    "Wed Apr  2 14:30:05 2003 Info: 6216 Rcvd from '172.16.0.22': 'RCPT TO:<b@example.com>\\015\\012'\n"
    "Wed Apr  2 14:30:05 2003 Info: 6216 Sent to '172.16.0.22': '250 recipient <b@example.com> ok\\015\\012'\n"
    "Wed Apr  2 14:30:06 2003 Info: 6216 Rcvd from '172.16.0.22': 'DATA\\015\\012'\n"
    "Wed Apr  2 14:30:06 2003 Info: 6216 Sent to '172.16.0.22': '354 go ahead\\015\\012'\n"
    "Wed Apr  2 14:30:06 2003 Info: 6216 Rcvd from '172.16.0.22': 'Subject: hi\\015\\012\\015\\012It\\'s \\303\\274'\n"
    "Wed Apr  2 14:30:07 2003 Info: 6216 Sent to '172.16.0.22': '250 ok:  Message 12345 accepted\\015\\012'\n"
    "Wed Apr  2 14:30:07 2003 Info: 6216 Rcvd from '172.16.0.22': 'QUIT\\015\\012'\n"
    "Wed Apr  2 14:30:08 2003 Info: 6216 Sent to '172.16.0.22': '221 postman.example.com\\015\\012'\n";

/// One line for each step: "S EHLO x" or "G 250 ok"; \r\n is added unless the step ends in '|'.
std::string log_of(const std::string& steps, const std::string& icid = "7", int second = 0) {
  std::istringstream in(steps);
  std::string log;
  for (std::string step; std::getline(in, step);) {
    if (step[0] == '+') {
      second += std::stoi(step.substr(1));
      continue;
    }
    const bool bare = step.ends_with('|');
    if (bare) step.pop_back();
    char time[48];
    std::snprintf(time, sizeof time, "Tue Nov 24 02:%02d:%02d 2026 Info: ", second / 60 % 60, second % 60);
    log += time + icid + (step[0] == 'S' ? " Rcvd from" : " Sent to") + " '192.0.2.1': '" + step.substr(2) +
           (bare ? "'\n" : "\\015\\012'\n");
  }
  return log;
}

constexpr const char* kHello = "G 220 gw ESMTP\nS EHLO a.example\nG 250 gw\n";
constexpr const char* kEnvelope =
    "S MAIL FROM:<a@s.example>\nG 250 ok\nS RCPT TO:<b@gw.example>\nG 250 ok\nS DATA\nG 354 go\n";

std::string code_of(const Transcript& t) { return t.breakdown ? t.breakdown->code : ""; }

}  // namespace

TEST_CASE("injection log: the gateway's own form, with the message's end left out") {
  const TimeZone utc("UTC");
  const ReadLog log = read_log(kPlain);
  CHECK(log.report.error == "");
  REQUIRE(log.sessions.size() == 1);
  const Transcript& t = log.sessions[0];
  CHECK(t.verdict == Verdict::delivered);
  CHECK(t.session.icid == 6216);
  CHECK(t.session.sender.ip == "172.16.0.22");
  CHECK(t.session.started_us == 1'049'293'804'000'000);
  CHECK(t.duration_us == 4'000'000);
  REQUIRE(t.messages.size() == 1);
  CHECK(t.messages[0].queue_id == "12345");
  CHECK(t.messages[0].ended);
  CHECK(t.messages[0].sha256.empty());
  CHECK(t.messages[0].recipients.at(0).address == "b@example.com");
  CHECK(t.capture.gaps == 1);
  CHECK(!t.complete);
  const std::string json = json_of(t);
  CHECK(json.find("\"source\":\"injection-log\",\"resolution_ms\":1000") != std::string::npos);
  CHECK(json.find("\"connect_ms\":null") != std::string::npos);
  const auto read_back = read_json(json, nullptr);
  REQUIRE(read_back);
  CHECK(json_of(*read_back) == json);
  const std::string text = render_text(t, {});
  CHECK(text.find("Sender    172.16.0.22, calls itself mail.remotehost.com") != std::string::npos);
  CHECK(text.find("2003-04-02 14:30:04 UTC, for 4 s") != std::string::npos);
  CHECK(text.find("+-1 s") != std::string::npos);
  CHECK(read_log(kPlain).sessions[0].session.id == t.session.id);
}

TEST_CASE("injection log: pieces of any size, CRLF, a byte order mark and the frame of a file change nothing") {
  const TimeZone utc("UTC");
  const std::string expected = json_of(read_log(kPlain).sessions.at(0));
  for (size_t piece : {size_t{1}, size_t{7}, size_t{64}})
    CHECK(json_of(read_log(kPlain, piece).sessions.at(0)) == expected);
  std::string crlf = "\xEF\xBB\xBF";
  for (const char* c = kPlain; *c != '\0'; ++c) crlf += *c == '\n' ? std::string("\r\n") : std::string(1, *c);
  CHECK(json_of(read_log(crlf).sessions.at(0)) == expected);
  const std::string framed =
      "Wed Apr  2 14:00:00 2003 Info: Begin Logfile\nWed Apr  2 14:00:00 2003 Info: Version: 14.0 SN: X\n"
      "Wed Apr  2 14:00:00 2003 Info: Time offset from UTC: 0 seconds\n" +
      std::string(kPlain) + "Wed Apr  2 15:00:00 2003 Info: End Logfile\n";
  const ReadLog log = read_log(framed);
  CHECK(json_of(log.sessions.at(0)) == expected);
  CHECK(log.report.unknown == 0);
}

TEST_CASE("injection log: the offset in the file counts, else the time zone of this host") {
  const TimeZone berlin("CET-1CEST,M3.5.0,M10.5.0/3");
  CHECK(read_log(kPlain).sessions.at(0).session.started_us == 1'049'286'604'000'000);
  const std::string offset = "Wed Apr  2 14:00:00 2003 Info: Time offset from UTC: -25200 seconds\n";
  CHECK(read_log(offset + kPlain).sessions.at(0).session.started_us == 1'049'319'004'000'000);
}

TEST_CASE("injection log: syslog forms, with the year that fits") {
  const TimeZone utc("UTC");
  constexpr int64_t kJan2027_us = 1'799'000'000'000'000;  // 2027-01-04
  const auto line = [](const std::string& prefix, const std::string& icid) {
    return prefix + " Info: " + icid + " Sent to '192.0.2.1': '220 gw ESMTP\\015\\012'\n";
  };
  struct Form {
    const char* prefix;
    const char* started;
  };
  const Form forms[] = {
      {"<166>Dec 31 23:59:58 gw injection_logs:", "2026-12-31T23:59:58"},
      {"Jan  4 01:02:03 10.0.0.1 inj:", "2027-01-04T01:02:03"},
      {"Feb 29 01:02:03 gw inj:", "2024-02-29T01:02:03"},
      {"2026-11-24T02:06:41.5+01:00 gw inj:", "2026-11-24T01:06:41"},
      {"<22>1 2026-11-24T02:06:41Z gw inj - - -", "2026-11-24T02:06:41"},
      {"Nov 24 02:06:44 gw inj: Tue Nov 24 02:06:41 2026", "2026-11-24T02:06:41"},
      {"Wed Apr  2 14:30:04", "2026-04-02T14:30:04"},
  };
  for (const Form& form : forms) {
    INFO(form.prefix);
    const ReadLog log = read_log(line(form.prefix, "5"), SIZE_MAX, kJan2027_us);
    CHECK(log.report.error == "");
    REQUIRE(log.sessions.size() == 1);
    CHECK(json_of(log.sessions[0]).find(std::string("\"started\":\"") + form.started) != std::string::npos);
  }
  const ReadLog turn =
      read_log(line("Dec 31 23:59:58 gw inj:", "1") + line("Jan  1 00:00:01 gw inj:", "1"), SIZE_MAX, kJan2027_us);
  REQUIRE(turn.sessions.size() == 1);
  CHECK(turn.sessions[0].duration_us == 3'000'000);
}

TEST_CASE("injection log: sessions interleaved, by host and ICID") {
  const std::string a = log_of(std::string(kHello) + "S QUIT\nG 221 bye\n", "10");
  const std::string b =
      log_of(std::string(kHello) + "S MAIL FROM:<x@y.example>\nG 550 5.1.8 no\nS QUIT\nG 221 bye\n", "11");
  std::istringstream in_a(a), in_b(b);
  std::string mixed, line;
  for (bool more = true; more;) {
    more = false;
    for (std::istringstream* in : {&in_a, &in_b})
      if (std::getline(*in, line)) mixed += line + "\n", more = true;
  }
  const ReadLog log = read_log(mixed);
  REQUIRE(log.sessions.size() == 2);
  for (const Transcript& t : log.sessions) {
    CHECK(t.verdict == (t.session.icid == 10 ? Verdict::no_mail : Verdict::breakdown));
    CHECK(t.capture.gaps == 0);
  }
  // The same ICID again, once its session is over; and on another host.
  CHECK(read_log(a + a).sessions.size() == 2);
  CHECK(read_log("Nov 24 02:00:00 gw1 inj: Info: 5 Sent to '192.0.2.1': '220 a\\015\\012'\n"
                 "Nov 24 02:00:00 gw2 inj: Info: 5 Sent to '192.0.2.1': '220 b\\015\\012'\n")
            .sessions.size() == 2);
}

TEST_CASE("injection log: unknown lines are counted, and the first is named") {
  const ReadLog log = read_log("Tue Nov 24 02:00:00 2026 Info: New SMTP ICID 7\n" + log_of(kHello) + "\x1b[2Jjunk\n\n");
  CHECK(log.sessions.size() == 1);
  CHECK(log.report.unknown == 2);
  CHECK(log.report.lines == 6);
  CHECK(log.report.error ==
        "line 1 is no line of an injection debug log: \"Tue Nov 24 02:00:00 2026 Info: New SMTP ICID 7\"");
  CHECK(read_log("\x1b[2Jjunk\n").report.error.find('\x1b') == std::string::npos);
  for (const char* line :
       {"Tue Nov 24 02:00:00 2026 Info: 7 Sent to '../../x': '220 a'\n",
        "Tue Nov 24 02:00:00 2026 Info: x Sent to '192.0.2.1': '220 a'\n", "Info: 7 Sent to '192.0.2.1': '220 a'\n",
        "Tue Nov 31 02:00:00 2026 Info: 7 Sent to '192.0.2.1': 'a'\n",
        "Tue Nov 24 02:00:00 2026 Info: 99999999999999999999 Sent to '192.0.2.1': 'a'\n"}) {
    INFO(line);
    CHECK(read_log(line).sessions.empty());
    CHECK(read_log(line).report.unknown == 1);
    CHECK(!looks_like_injection_log(line));
  }
  CHECK(looks_like_injection_log(kPlain));
  CHECK(looks_like_injection_log(
      "something\r\n<166>Apr  2 14:30:04 gw inj: Info: 6 Rcvd from '::1': 'QUIT\\015\\012'\r\n"));
  CHECK(!looks_like_injection_log(""));
}

TEST_CASE("injection log: folded lines are whole again, cut ones are a gap") {
  std::string folded = log_of(kHello);
  folded.replace(folded.find("EHLO a"), 6, "EHLO\n  a");
  folded.replace(folded.find(": '250"), 3, ":\n   '");
  const ReadLog whole = read_log(folded);
  CHECK(whole.report.error == "");
  REQUIRE(whole.sessions.size() == 1);
  CHECK(whole.sessions[0].capture.gaps == 0);
  CHECK(whole.sessions[0].events.at(2).text == "EHLO a.example");
  CHECK(whole.sessions[0].events.at(3).code == 250);

  std::string cut =
      log_of(std::string(kHello) + "S MAIL FROM:<a@b.example>\nG 550 5.1.8 <a@b.example>: no\nS QUIT\nG 221 x\n");
  cut.erase(cut.find("b.example>: no"), std::string("b.example>: no\\015\\012'").size());
  const ReadLog log = read_log(cut);
  CHECK(log.report.cut == 1);
  CHECK(log.report.unknown == 0);
  const Transcript& t = log.sessions.at(0);
  CHECK(t.capture.gaps == 1);
  CHECK(t.verdict == Verdict::breakdown);
  CHECK(t.breakdown->got == "550 5.1.8 <a@");
  CHECK(t.events.back().code == 221);
}

TEST_CASE("injection log: a rotated file begins in the middle, and nothing is made of what is not there") {
  const std::string frame = "Tue Nov 24 01:59:59 2026 Info: Begin Logfile\n";
  const auto only = [&](const std::string& steps) {
    ReadLog log = read_log(frame + log_of(steps));
    REQUIRE(log.sessions.size() == 1);
    return std::move(log.sessions[0]);
  };
  SECTION("in the envelope") {
    const Transcript t =
        only("S RCPT TO:<b@gw.example>\nG 250 ok\nS DATA\nG 354 go\nS x\nS .\nG 250 ok queued\nS QUIT\nG 221 x\n");
    CHECK(t.session.begins_late);
    CHECK(t.verdict == Verdict::delivered);
    CHECK(t.notes.empty());
    CHECK(json_of(t).find("\"begins_late\":true") != std::string::npos);
  }
  SECTION("in a message") {
    const Transcript t = only("S and so on,\nS with 250 lines\nS .\nG 250 ok: Message 5 accepted\nS QUIT\nG 221 x\n");
    CHECK(t.verdict == Verdict::delivered);
    REQUIRE(t.messages.size() == 1);
    CHECK(t.messages[0].queue_id == "5");
    CHECK(t.messages[0].sha256.empty());
  }
  SECTION("in AUTH: the secret is covered") {
    const Transcript t = only("S c2VjcmV0cGFzc3dvcmQ=\nG 235 ok\nS QUIT\nG 221 x\n");
    CHECK(json_of(t).find("c2VjcmV0") == std::string::npos);
    CHECK(t.verdict == Verdict::unknown);
  }
  SECTION("between messages") {
    CHECK(only("G 250 ok\nS QUIT\nG 221 x\n").verdict == Verdict::unknown);
    CHECK(only("S QUIT\nG 221 x\n").verdict == Verdict::unknown);
  }
  SECTION("a refusal is no refused greeting") {
    const Transcript t = only("G 554 5.7.1 rejected\nS QUIT\nG 221 x\n");
    CHECK(t.session.begins_late);
    CHECK(code_of(t) == "");
  }
}

TEST_CASE("injection log: the end of a session that the log does not show is not known") {
  const auto verdict = [](const std::string& steps) { return read_log(log_of(steps)).sessions.at(0).verdict; };
  CHECK(verdict("G 220 gw ESMTP\n") == Verdict::unknown);
  CHECK(verdict(kHello) == Verdict::unknown);
  CHECK(verdict(std::string(kHello) + "S MAIL FROM:<a@b.example>\n") == Verdict::unknown);
  CHECK(verdict(std::string(kHello) + kEnvelope + "S Subject: x\n") == Verdict::unknown);
  CHECK(verdict(std::string(kHello) + kEnvelope + "S x\nS .\n") == Verdict::unknown);
  const Transcript t = read_log(log_of(std::string(kHello) + kEnvelope + "S x\nS .\n")).sessions.at(0);
  CHECK(t.summary.find("does not record who closed") != std::string::npos);
  CHECK(!t.breakdown);
  // What the gateway says is known.
  CHECK(verdict(std::string(kHello) + "S MAIL FROM:<a@b.example>\nG 550 5.1.8 no\n") == Verdict::breakdown);
  CHECK(verdict("G 554 5.7.1 no\n") == Verdict::breakdown);
  CHECK(verdict(std::string(kHello) + "S QUIT\n") == Verdict::no_mail);
}

TEST_CASE("injection log: whole seconds claim no more than they show") {
  const auto session = [](const std::string& wait) {
    return read_log(log_of(std::string(kHello) + kEnvelope + "S x\nS .\n" + wait + "G 250 ok\nS QUIT\nG 221 x\n"))
        .sessions.at(0);
  };
  CHECK(session("+5\n").notes.empty());  // it may have been 4.1 s
  const Transcript t = session("+30\n");
  REQUIRE(t.notes.size() == 1);
  CHECK(t.notes[0].code == "final-reply-slow");
  CHECK(t.notes[0].got == "the reply after 30 s (+-1 s)");
  const std::string text = render_text(t, {});
  CHECK(text.find("... 30 s:") != std::string::npos);
  CHECK(text.find("30.0") == std::string::npos);
  CHECK(text.find("30.000") == std::string::npos);
}

TEST_CASE("injection log: a message without its end, refused") {
  const std::string begin = std::string(kHello) + kEnvelope + "S Subject: x|\n";
  const Transcript whole = read_log(log_of(begin + "G 554 5.7.1 spam\nS QUIT\nG 221 x\n")).sessions.at(0);
  REQUIRE(whole.breakdown);
  CHECK(whole.breakdown->phase == Phase::end_of_data);
  CHECK(whole.messages.at(0).ended);
  CHECK(whole.events.back().code == 221);
  // Here the sender goes on with the message.
  const Transcript early =
      read_log(log_of(begin + "G 552 5.3.4 too big\nS more text\nS .\nS QUIT\nG 221 x\n")).sessions.at(0);
  REQUIRE(early.breakdown);
  CHECK(early.breakdown->phase == Phase::body);
  // A chunk that the log has not all of.
  const Transcript bdat =
      read_log(log_of(std::string(kHello) + "S MAIL FROM:<a@s.example>\nG 250 ok\nS RCPT TO:<b@gw.example>\n"
                                            "G 250 ok\nS BDAT 5000 LAST\nS only this\nG 250 ok\nS QUIT\nG 221 x\n"))
          .sessions.at(0);
  CHECK(bdat.verdict == Verdict::delivered);
  CHECK(bdat.messages.at(0).bytes == 5000);
}

TEST_CASE("injection log: without line ends, and with double quotes") {
  std::string bare;
  std::istringstream steps(std::string(kHello) + kEnvelope + "S Subject: x\nS .\nG 250 ok\nS QUIT\nG 221 x\n");
  for (std::string step; std::getline(steps, step);) bare += step + "|\n";
  const Transcript t = read_log(log_of(bare)).sessions.at(0);
  CHECK(t.verdict == Verdict::delivered);
  CHECK(t.messages.at(0).ended);
  CHECK(read_log("Tue Nov 24 02:00:00 2026 Info: 7 Sent to '192.0.2.1': \"220 it's me\\015\\012\"\n")
            .sessions.at(0)
            .events.at(1)
            .text == "220 it's me");
}

TEST_CASE("injection log: behind STARTTLS the log goes on in the clear") {
  const Transcript t =
      read_log(log_of(std::string(kHello) + "S STARTTLS\nG 220 go\nS EHLO a.example\nG 250 gw\nS QUIT\nG 221 x\n"))
          .sessions.at(0);
  CHECK(t.verdict == Verdict::no_mail);
}

TEST_CASE("injection log: AUTH is masked as everywhere") {
  const Transcript t =
      read_log(log_of(std::string(kHello) + "S AUTH LOGIN\nG 334 VXNlcm5hbWU6\nS dXNlcm5hbWU=\nG 334 UGFzc3dvcmQ6\n"
                                            "S cGFzc3dvcmQ=\nG 535 5.7.8 cGFzc3dvcmQ= no\nS QUIT\nG 221 x\n"))
          .sessions.at(0);
  const std::string shown = json_of(t) + render_text(t, {});
  CHECK(shown.find("dXNlcm5hbWU=") == std::string::npos);
  CHECK(shown.find("cGFzc3dvcmQ=") == std::string::npos);
  CHECK(t.capture.masked_bytes > 0);
}

TEST_CASE("injection log: many sessions at once are bounded") {
  size_t ended = 0;
  InjectionLogReader reader(kLogNow_us, [&](const Transcript&) { ++ended; });
  for (size_t i = 1; i <= 5000; ++i) {
    reader.feed(log_of("G 220 gw ESMTP\n", std::to_string(i), static_cast<int>(i / 10)));
    REQUIRE(i - ended <= InjectionLogReader::kMaxOpen);
  }
  CHECK(reader.finish().sessions == 5000);
  CHECK(ended == 5000);
}

TEST_CASE("injection log: what comes an hour later is a part of its own, which begins late") {
  const std::string log = log_of("G 220 gw ESMTP\n", "5") + log_of(kHello, "7") +
                          "Tue Nov 24 04:00:00 2026 Info: 7 Rcvd from '192.0.2.1': 'NOOP\\015\\012'\n";
  const ReadLog read = read_log(log);
  REQUIRE(read.sessions.size() == 3);
  CHECK(read.sessions.back().session.begins_late);
  CHECK(read.sessions.back().notes.empty());
  CHECK(read.sessions.back().verdict == Verdict::unknown);
}
