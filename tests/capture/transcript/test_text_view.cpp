// The text view, as people see it: five sessions written out whole, and what must hold for any session.
#include "capture/transcript/text_view.h"

#include <fstream>
#include <iterator>

#include "capture/transcript/harmless.h"
#include "capture/transcript/silence.h"
#include "tests/capture/transcript/view_samples.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

/// Compares behind a line end, so that the expected text can begin on a line of its own.
void check_view(const Transcript& t, std::string_view expected) {
  CHECK("\n" + render_text(t, {100, false}) == expected);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    REQUIRE(end != std::string_view::npos);
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string without_colours(std::string text) {
  for (size_t at = 0; (at = text.find("\x1b[", at)) != std::string::npos;) {
    const size_t end = text.find('m', at);
    REQUIRE(end != std::string::npos);
    text.erase(at, end + 1 - at);
  }
  return text;
}

}  // namespace

TEST_CASE("view: an unknown user") {
  check_view(unknown_user(), R"view(
Sender    203.0.113.9:41234, calls itself mx.sender.example
Gateway   10.0.0.1:25, saw the sender's own address
When      2026-11-24 02:06:41.123 UTC, for 0.339 s
Session   01KATZ9FXGQ8N5C4R2T7V6W0YB, ICID 6
Verdict   BREAKDOWN: rcpt-unknown-user
          The gateway does not know the recipient <bob@gw.example>: 550 5.1.1 <bob@gw.example>:
          Recipient address rejected: User unknown

      0.000  --  sender connected; gateway reached in 0.4 ms
      0.031  <-  220 gw.example ESMTP
      0.045  ->  EHLO mx.sender.example
      0.046  <-  250-gw.example
                 250-PIPELINING
                 250-SIZE 20971520
                 250 8BITMIME
      0.060  ->  MAIL FROM:<anna@sender.example> SIZE=5000
      0.061  <-  250 2.1.0 Ok
      0.075  ->  RCPT TO:<bob@gw.example>
**    0.312  <-  550 5.1.1 <bob@gw.example>: Recipient address rejected: User unknown
      +-- rcpt-unknown-user: phase rcpt, party sender ----------------------------------------------
      | expected  250 or 251
      | got       550 5.1.1 <bob@gw.example>: Recipient address rejected: User unknown
      | where     byte 101 of the gateway's stream, 70 bytes long; event 7
      | why       There is no mailbox of this name on the gateway.
      | advice    Check the spelling with the sender. If the address should exist, look in the
      |           gateway's recipient table (Cisco: RAT or LDAP accept query; Postfix:
      |           local_recipient_maps, relay_recipient_maps, virtual_mailbox_maps,
      |           virtual_alias_maps).
      | see       RFC 5321 4.2.3; RFC 3463 3.2
      +---------------------------------------------------------------------------------------------
      0.326  ->  QUIT
      0.327  <-  221 2.0.0 Bye
      0.327  --  gateway closed (FIN)
      0.339  --  sender closed (FIN)

Message   from <anna@sender.example> to <bob@gw.example> (550): not accepted
)view");
}

TEST_CASE("view: a slow greeting and a sender that gives up") {
  check_view(gave_up_before_banner(), R"view(
Sender    203.0.113.9:41234
Gateway   10.0.0.1:25, saw the sender's own address
When      2026-11-24 02:06:41.123 UTC, for 35.201 s
Session   01KATZ9FXGQ8N5C4R2T7V6W0YB, ICID 6
Verdict   BREAKDOWN: banner-sender-gave-up
          The gateway took 35.2 s to greet and the sender waits only 30 s.

      0.000  --  sender connected; gateway reached in 0.4 ms
                 ... 30.0 s: waiting for the gateway's greeting
**   30.001  --  sender closed (FIN)
      +-- banner-sender-gave-up: phase banner, party gateway, likely -------------------------------
      | expected  220 from the gateway; the sender should wait 5 minutes for it
      | got       FIN from the sender after 30.0 s
      | where     the gateway had sent nothing; event 1
      | why       The gateway had sent no greeting when the sender left.
      | advice    Find out why the greeting is slow: most often it is a reverse DNS lookup that gets
      |           no answer.
      | see       RFC 5321 4.5.3.2.1
      +---------------------------------------------------------------------------------------------
                 ... 5.2 s: waiting for the gateway to close
     35.200  <-  220 gw.example ESMTP
     35.201  --  gateway closed (FIN)
)view");
}

TEST_CASE("view: a stall in the middle of the message") {
  check_view(stalled_in_body(), R"view(
Sender    203.0.113.9:41234, calls itself mx.sender.example
Gateway   10.0.0.1:25, saw the sender's own address
When      2026-11-24 02:06:41.123 UTC, for 302.600 s
Session   01KATZ9FXGQ8N5C4R2T7V6W0YB, ICID 6
Verdict   BREAKDOWN: body-stalled
          The sender stopped in the middle of the message and the gateway gave up after 300 s.

      0.000  --  sender connected; gateway reached in 0.4 ms
      0.002  <-  220 gw.example ESMTP
      0.003  ->  EHLO mx.sender.example
      0.004  <-  250-gw.example
                 250 PIPELINING
      0.005  ->  MAIL FROM:<anna@sender.example>
      0.005  ->  RCPT TO:<bob@gw.example>
      0.005  ->  DATA
      0.006  <-  250 2.1.0 Ok
      0.006  <-  250 2.1.5 Ok
      0.006  <-  354 End data with <CR><LF>.<CR><LF>
      0.007  ->  [message not finished: 9,834 bytes, 204 lines, in 2.5 s, Subject: Quarterly
                   figures]
                 ... 300.0 s: waiting for the rest of the sender's message
**  302.500  <-  421 4.4.2 gw.example Error: timeout exceeded
      +-- body-stalled: phase body, party sender ---------------------------------------------------
      | expected  the rest of the message, up to its final dot
      | got       nothing for 300.0 s
      | where     byte 9,923 of the sender's stream, where more was due; event 11
      | why       9,834 bytes of the message came, then none. Large packets that get lost look like
      |           this.
      | advice    Look for an MTU problem on the sender's path (ICMP filtered, VPN, PPPoE).
      | see       RFC 5321 4.5.3.2.5; RFC 4821
      +---------------------------------------------------------------------------------------------
    302.500  --  gateway closed (FIN)

Message   from <anna@sender.example> to <bob@gw.example> (250), 9,834 bytes: not accepted: 421
          during the message
)view");
}

TEST_CASE("view: a message delivered to one of two recipients") {
  check_view(delivered(), R"view(
Sender    203.0.113.9:41234, calls itself mx.sender.example
Gateway   10.0.0.1:25, saw the sender's own address
When      2026-11-24 02:06:41.123 UTC, for 6.220 s
Session   01KATZ9FXGQ8N5C4R2T7V6W0YB, ICID 6
Verdict   DELIVERED
          One message was delivered to 1 of 2 recipients.

      0.000  --  sender connected; gateway reached in 0.4 ms
                 ... 6.0 s: waiting for the gateway's greeting
      6.031  <-  220 gw.example ESMTP
      6.045  ->  EHLO mx.sender.example
      6.046  <-  250-gw.example
                 250-SIZE 20971520
                 250 8BITMIME
      6.060  ->  MAIL FROM:<anna@sender.example> SIZE=120
      6.061  <-  250 2.1.0 Ok
      6.070  ->  RCPT TO:<bob@gw.example>
      6.071  <-  250 2.1.5 Ok
      6.080  ->  RCPT TO:<eve@gw.example>
      6.081  <-  450 4.2.0 <eve@gw.example>: Greylisted, try again in 5 minutes
      6.090  ->  DATA
      6.091  <-  354 End data with <CR><LF>.<CR><LF>
      6.100  ->  [message: 57 bytes, 4 lines, Subject: Hello Bob]
      6.200  <-  250 2.0.0 Ok: queued as 4F1A2B3C
      6.210  ->  QUIT
      6.211  <-  221 2.0.0 Bye
      6.211  --  gateway closed (FIN)
      6.220  --  sender closed (FIN)

Message   from <anna@sender.example> to <bob@gw.example> (250), <eve@gw.example> (450), 54 bytes:
          accepted, the gateway's queue id is 4F1A2B3C
Note      banner-slow at 6.031 s: The greeting took 6.0 s. Senders with short time-outs give up
          here.
          Look for slow DNS lookups at the gateway.
Capture   12 bytes of secrets masked
)view");
}

TEST_CASE("view: unicode stays, hostile bytes are spelled out") {
  check_view(hostile(), R"view(
Sender    203.0.113.9:41234, calls itself \u{202e}moc.knab\u{202c}
Gateway   10.0.0.1:25, saw the sender's own address
When      2026-11-24 02:06:41.123 UTC, for 0.006 s
Session   01KATZ9FXGQ8N5C4R2T7V6W0YB, ICID 6
Verdict   BREAKDOWN: mail-refused
          The gateway refused <\x1b[8m>.

      0.000  --  sender connected; gateway reached in 0.4 ms
      0.001  <-  220 gw\x1b]0;owned\x07 \x1b[2J\x1b[31mESMTP
      0.002  ->  EHLO \u{202e}moc.knab\u{202c}
      0.003  <-  250-Grüß Gott, 日本
                 250-a\x0db\u{009b}5n
                 250 \xff\xfe ok
      0.004  ->  MAIL FROM:<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\zzzzzzzzzz
                   zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz
                   zzzzzzzzzzzzzzzzzzzzzzzzzzzzz>
**    0.005  <-  501 5.1.7 😀 no
      +-- mail-refused: phase mail, party policy ---------------------------------------------------
      | got       501 5.1.7 😀 no
      | where     byte 82 of the gateway's stream, 19 bytes long; event 5
      +---------------------------------------------------------------------------------------------
      0.006  --  sender reset the connection (RST)

Message   from <aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\zzzzzzzzzzzzzzzzzzzzzz
          zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz
          zzzzzzzz> to nobody: not accepted: 501 at MAIL
)view");
}

TEST_CASE("the example in docs/READING.md is what the view looks like") {
  std::ifstream file(SMTPSCOPE_SOURCE_DIR "/docs/READING.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  CHECK(text.find("```\n" + render_text(unknown_user(), {100, false}) + "```\n") != std::string::npos);
}

TEST_CASE("no line of a view is wider than asked, with colour or without, and colour changes nothing else") {
  for (const Transcript& t : {unknown_user(), gave_up_before_banner(), stalled_in_body(), delivered(), hostile()})
    for (const int width : {0, 60, 61, 79, 80, 100, 133, 250}) {
      const std::string plain = render_text(t, {width, false});
      for (const std::string& line : lines_of(plain)) {
        INFO(line);
        CHECK(display_width(line) <= static_cast<size_t>(std::max(width, 60)));
        CHECK(harmless(line) == line);
      }
      const std::string coloured = render_text(t, {width, true});
      CHECK(coloured != plain);
      CHECK(without_colours(coloured) == plain);
    }
}

TEST_CASE("what stands inside TLS has wavy arrows") {
  Transcript t = sample({}, 40);
  for (const From from : {From::sender, From::gateway}) {
    Event e;
    e.kind = Event::Kind::tls;
    e.phase = Phase::tls;
    e.from = from;
    e.text = "application_data";
    e.lines = 3;
    e.bytes = 5000;
    e.at_us = e.end_us = us(1);
    t.events.push_back(e);
  }
  const std::string view = render_text(t, {});
  CHECK(view.find("  ~>  [TLS application_data: 3 records, 5,000 bytes]\n") != std::string::npos);
  CHECK(view.find("  <~  [TLS application_data: 3 records, 5,000 bytes]\n") != std::string::npos);
  CHECK(view.find("... 39.0 s: inside TLS, where nobody can see whose turn it was\n") != std::string::npos);
}

TEST_CASE("a breakdown between events has a marked line of its own, in its place") {
  Transcript t = gave_up_before_banner();
  t.breakdown->event = -1;
  t.breakdown->at_us = us(20);
  const std::string view = render_text(t, {});
  const size_t mark = view.find("**   20.000      [here]\n");
  REQUIRE(mark != std::string::npos);
  CHECK(mark < view.find("sender closed (FIN)"));
  CHECK(view.find("**", mark + 2) == std::string::npos);
  t.breakdown->at_us = us(36);  // behind the last event
  CHECK(render_text(t, {}).find("**   36.000      [here]\n") != std::string::npos);
}

TEST_CASE("a very long reply is shown in part, and the view says so") {
  Transcript t = sample({G(0.1, "220 gw")}, 1);
  std::string& text = t.events.back().text;
  for (int i = 0; i < 3000; ++i) text += "\n220-line " + std::to_string(i);
  const std::string view = render_text(t, {});
  CHECK(lines_of(view).size() < 60);
  CHECK(view.find("[not all of it is shown; --format json has the rest]\n") != std::string::npos);
}

TEST_CASE("closes, connects that failed, and oddities of lines have words") {
  Transcript t = sample({G(0.1, "220 gw"), S(0.2, ""), S(0.3, "NOOP"), G(0.4, "RST"), S(0.5, "TIMEOUT")}, 1);
  t.events[3].complete = false;
  t.events[3].bare_lf = t.events[3].truncated = true;
  std::string view = render_text(t, {});
  for (const char* part : {"->  [empty line]\n", "NOOP [... 6 bytes in all] [cut off] [line end without CR]\n",
                           "gateway reset the connection (RST)\n", "sender was lost: the connection timed out\n"})
    CHECK(view.find(part) != std::string::npos);
  t.connect = {GatewayConnect::State::failed, 5, 5, "ECONNREFUSED"};
  view = render_text(t, {});
  CHECK(view.find("Gateway   10.0.0.1:25, not reached: connection refused (ECONNREFUSED)\n") != std::string::npos);
  CHECK(view.find("--  sender connected\n") != std::string::npos);
}

TEST_CASE("a silence is put down to the side whose turn it was") {
  const auto whys = [](const std::vector<Turn>& turns, double end_s) {
    std::string out;
    for (const Silence& s : silences(sample(turns, end_s), 1'000'000)) out += s.why + "\n";
    return out;
  };
  const std::vector<Turn> start = {G(2, "220 gw"), S(5, "EHLO x"), G(8, "250 gw"), S(11, "MAIL FROM:<a@b>")};
  CHECK(whys(start, 15) ==
        "waiting for the gateway's greeting\nwaiting for the sender's next command\n"
        "waiting for the gateway's reply to EHLO\nwaiting for the sender's next command\n"
        "waiting for the gateway's reply to MAIL\n");
  std::vector<Turn> mail = {G(0, "220 gw"),
                            S(0, "EHLO x"),
                            G(0, "250 gw"),
                            S(0, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA"),
                            G(0, "250 ok"),
                            G(2, "250 ok\r\n354 go"),
                            S(5, "Subject: x\r\n\r\nhalf"),
                            S(5.5, "."),
                            G(8, "250 ok"),
                            S(8, "QUIT"),
                            G(8, "221 bye"),
                            S(11, "FIN"),
                            G(14, "FIN")};
  CHECK(whys(mail, 14) ==
        "waiting for the gateway's reply to RCPT\nwaiting for the sender to begin the message\n"
        "waiting for the gateway's reply to the message\nwaiting for the gateway to close\n"
        "waiting for the gateway to close\n");
  mail.resize(7);
  CHECK(whys(mail, 14).ends_with("waiting for the rest of the sender's message\n"));
  CHECK(whys({G(0, "220 gw"), G(0, "FIN"), S(2, "FIN")}, 4) ==
        "waiting for the sender to close\nwaiting for the end\n");
  Transcript late = sample({G(5, "220 gw")}, 5);
  late.connect.at_us = us(3);
  const std::vector<Silence> two = silences(late, 1'000'000);
  REQUIRE(two.size() == 2);
  CHECK(two[0].why == "waiting for the gateway to answer the connection");
  CHECK(two[0].to_us == us(3));
  CHECK(two[1].why == "waiting for the gateway's greeting");
}

TEST_CASE("a session inside TLS tells where its end can be read, and how the next can be seen") {
  Transcript t = sample({G(0.1, "220 gw")}, 1);
  t.verdict = Verdict::unknown;
  t.tls.emplace().application_data = true;
  t.session.sees = "proxy";
  t.session.instance = "x";
  std::string view = render_text(t, {300, false});
  CHECK(view.find("Advice    What became of the mail stands in the gateway's log") != std::string::npos);
  CHECK(view.find("smtpd_discard_ehlo_keyword_address_maps") != std::string::npos);
  t.session.instance.clear();  // somebody else's capture
  view = render_text(t, {300, false});
  CHECK(view.find("connection of the proxy's address") != std::string::npos);
  CHECK(view.find("STARTTLS for a while") == std::string::npos);
  t.verdict = Verdict::delivered;
  CHECK(render_text(t, {300, false}).find("Advice") == std::string::npos);
}

TEST_CASE("the head says whom the gateway saw") {
  Transcript t = sample({G(0.1, "220 gw")}, 1);
  const auto gateway = [&] {
    const std::string view = render_text(t, {});
    const size_t at = view.find("Gateway ");
    return view.substr(at, view.find('\n', at) - at);
  };
  CHECK(gateway() == "Gateway   10.0.0.1:25, saw the sender's own address");
  t.session.sees_port = 40001;
  CHECK(gateway() == "Gateway   10.0.0.1:25, saw the sender's own address, with port 40001");
  t.session.sees = "proxy-header";
  t.session.header = "proxy-v2";
  CHECK(gateway() == "Gateway   10.0.0.1:25, told the sender's address by proxy-v2");
  t.session.sees = "proxy";
  t.session.header.clear();
  CHECK(gateway() == "Gateway   10.0.0.1:25, saw the proxy's address");
  t.session.sees.clear();
  CHECK(gateway() == "Gateway   10.0.0.1:25");
  t.session.sees = "sender";
  t.connect.state = GatewayConnect::State::pending;
  CHECK(gateway() == "Gateway   10.0.0.1:25, not reached");
}

TEST_CASE("a message that was turned away says by which reply") {
  const auto told = [](const std::vector<Turn>& more) {
    std::vector<Turn> turns = {G(0, "220 gw"), S(0, "EHLO x"), G(0, "250 gw"), S(0, "MAIL FROM:<a@b>")};
    turns.insert(turns.end(), more.begin(), more.end());
    const std::string view = render_text(sample(turns, 1), {200, false});
    const size_t at = view.find("not accepted");
    return at == std::string::npos ? view : view.substr(at, view.find('\n', at) - at);
  };
  const std::vector<Turn> sent = {G(0, "250 ok"), S(0, "RCPT TO:<c@d>"), G(0, "250 ok"),
                                  S(0, "DATA"),   G(0, "354 go"),        S(0, "Subject: x\r\n\r\nx\r\n.")};
  std::vector<Turn> refused = sent;
  refused.push_back(G(0, "552 5.3.4 too big"));
  CHECK(told(refused) == "not accepted: 552 at end of data");
  CHECK(told({G(0, "550 no")}) == "not accepted: 550 at MAIL");
  CHECK(told({G(0, "250 ok"), S(0, "RCPT TO:<c@d>"), G(0, "250 ok"), S(0, "DATA"), G(0, "451 later")}) ==
        "not accepted: 451 at DATA");
  CHECK(told({G(0, "250 ok"), S(0, "RCPT TO:<c@d>"), G(0, "550 no")}) == "not accepted");
  CHECK(told(sent) == "not accepted");
}
