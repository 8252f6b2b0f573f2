// How sessions come out, which of several causes is the breakdown, and what is said of it.
#include "capture/diagnosis/script.h"
#include "capture/diagnosis/view.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

Transcript play(std::string_view script) {
  PlayedScript played = play_script(script);
  REQUIRE(played.error == "");
  return std::move(played.transcript);
}

std::string broke(std::string_view script) {
  const Transcript t = play(script);
  INFO(t.summary);
  CHECK(t.verdict == (t.breakdown ? Verdict::breakdown : t.verdict));
  CHECK((t.verdict == Verdict::breakdown) == t.breakdown.has_value());
  CHECK(!t.summary.empty());
  return t.breakdown ? t.breakdown->code : std::string(name(t.verdict));
}

bool has_note(const Transcript& t, std::string_view code) {
  for (const Finding& note : t.notes)
    if (note.code == code) return true;
  return false;
}

}  // namespace

TEST_CASE("delivered: every message was accepted for somebody") {
  CHECK(broke("use hello mail rcpt data body accepted bye\n") == "delivered");
  CHECK(broke("use hello mail rcpt data body accepted mail rcpt data body accepted bye\n") == "delivered");
  const Transcript one_refused =
      play("use hello mail rcpt\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 User unknown\nuse data body accepted bye\n");
  CHECK(one_refused.verdict == Verdict::delivered);
  CHECK(has_note(one_refused, "rcpt-unknown-user"));
  CHECK(one_refused.summary.find("1 of 2 recipients") != std::string::npos);
  CHECK(one_refused.summary.find("4F1A2B3C4D") != std::string::npos);
}

TEST_CASE("a healthy session gets no note") {
  for (const char* script : {
           "use hello mail rcpt data body accepted bye\n",
           "use hello mail rcpt data body accepted mail rcpt data body accepted bye\n",
           "use hello mail rcpt data\nS body 200000\nS~\\r\\n.\\r\\n\nuse accepted bye\n",
           "use hello mail rcpt\nS BDAT 5000\nS body 5000\nG 250 ok\nS BDAT 0 LAST\nuse accepted bye\n",
           "use hello\nS MAIL FROM:<a@b.example>\nS RCPT TO:<x@gw.example>\nS DATA\nG 250 ok\nG 250 ok\nG 354 go\n"
           "use body\nS QUIT\nuse accepted\nG 221 bye\nS fin\nG fin\n",
           "G 220 gw.example ESMTP\nS HELO a.example\nG 250 gw.example\nuse mail rcpt data body accepted bye\n",
           "use hello mail rcpt data body accepted\nS RSET\nG 250 ok\n+60\nuse mail rcpt data body accepted bye\n",
           "use hello mail rcpt data\nS Subject: caf\xc3\xa9\nS \nS ..dots\nS .\nuse accepted bye\n",
           // Exim's early pipelining
           "S EHLO a.example\nS MAIL FROM:<a@b.example>\nG 220 gw.example ESMTP\n"
           "G~250-gw.example\\r\\n250-PIPELINING\\r\\n250 PIPECONNECT\\r\\n\nG 250 ok\nuse rcpt data body accepted "
           "bye\n",
       }) {
    const Transcript t = play(script);
    INFO(script);
    CHECK(t.verdict == Verdict::delivered);
    for (const Finding& note : t.notes) CHECK(note.code == "");
  }
}

TEST_CASE("what QUIT is answered with settles nothing else") {
  CHECK(broke("use hello mail rcpt data body\n+600\nS QUIT\nG 221 bye\nG fin\nS fin\n") == "left-before-final-reply");
  CHECK(broke("use hello mail rcpt data body\nS QUIT\nG 221 bye\nG fin\nS fin\n") == "final-reply-closed");
  const Transcript mail = play("use hello\nS MAIL FROM:<a@b.example>\n+30\nS QUIT\nG 221 bye\nG fin\nS fin\n");
  REQUIRE(mail.breakdown);
  CHECK(mail.breakdown->code == "gateway-silent");
  CHECK(mail.breakdown->phase == Phase::mail);
}

TEST_CASE("a handshake that fails where TLS is spoken from the first byte is one of TLS") {
  const std::string hello = "S~\\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00\n";
  const Transcript t = play(hello + "G~\\x15\\x03\\x03\\x00\\x02\\x02\\x28\nG fin\nS fin\n");
  REQUIRE(t.breakdown);
  CHECK(t.breakdown->code == "tls-no-common-cipher");
  CHECK(t.breakdown->phase == Phase::tls);
  CHECK(broke(hello + "G 220 gw ESMTP\n+30\nG fin\nS fin\n") == "tls-implicit");
}

TEST_CASE("each stop in a message is put down to one cause") {
  const std::string begun = "use hello mail rcpt data\n", gone = "+300\nG 421 4.4.2 timeout\nG fin\nS fin\n";
  for (const auto& [script, code] : {
           std::pair{begun + "S body 500\n" + gone, "body-stalled"},
           {begun + "S body 500\n+300\nG fin\nS fin\n", "body-stalled"},
           {begun + gone, "message-never-came"},
           {begun + "+300\nS rst\nG fin\n", "message-never-came"},
           {begun + "S body 65536\n" + gone, "stalled-at-64k"},
           {begun + "S body 65536\n+180\nS fin\nG fin\n", "stalled-at-64k"},
           {begun + "S body 65536\n+1\nS rst\nG fin\n", "body-sender-reset"},
           {begun + "S~x\\r\\n.\n" + gone, "missing-final-dot"},
           {begun + "S body 20000\n+60\nS fin\nG fin\n", "body-not-taken"},
           {begun + "S body 500\n+60\nS fin\nG fin\n", "body-sender-closed"},  // any window has room for more
           {begun + "S~x\\n.\\n\n+3\nS fin\nG fin\n", "missing-final-dot"},
           {begun + "S fin\nG fin\n", "left-at-354"},
           {begun + "S body 500\nS fin\nG fin\n", "body-sender-closed"},
           {begun + "S body 500\nG fin\nS fin\n", "body-gateway-closed"},
       }) {
    const Transcript t = play(script);
    INFO(script);
    REQUIRE(t.breakdown);
    CHECK(t.breakdown->code == code);
    CHECK(t.notes.size() <= 1);  // the gateway's 421
  }
}

TEST_CASE("TLS 1.3 hides its alerts; a short record before the sender's Finished is taken for one") {
  // A ServerHello with supported_versions 0x0304, then application data of both sides.
  const std::string server =
      "G~\\x16\\x03\\x03\\x00\\x34\\x02\\x00\\x00\\x30\\x03\\x03aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb\\x00\\x13\\x01\\x00"
      "\\x00\\x06\\x00\\x2b\\x00\\x02\\x03\\x04xx\\x17\\x03\\x03\\x00\\x02ab\\x17\\x03\\x03\\x00\\x02ab\n";
  const std::string hello =
      "use hello\nS STARTTLS\nG 220 go\n"
      "S~\\x16\\x03\\x01\\x00\\x31\\x01\\x00\\x00\\x2d\\x03\\x03aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb\\x00\\x00\\x02\\x13"
      "\\x01\\x01\\x00\\x00\\x02\\x00\\x00\n";
  const std::string alert = "S~\\x17\\x03\\x03\\x00\\x13aaaaaaaaaaaaaaaaaaa\n";
  const std::string finished = "S~\\x17\\x03\\x03\\x00\\x35aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";
  const Transcript t = play(hello + server + alert + "S fin\nG fin\n");
  REQUIRE(t.tls);
  CHECK(t.tls->server_version == "TLS 1.3");
  REQUIRE(t.breakdown);
  CHECK(t.breakdown->code == "tls-closed-on-certificate");
  CHECK(t.breakdown->confidence == Confidence::possible);
  CHECK(t.breakdown->why.find("TLS 1.3 hides") != std::string::npos);
  CHECK(broke(hello + server + finished + "S fin\nG fin\n") == "tls-handshake-cut");
}

TEST_CASE("delivered, with notes on what was made good") {
  const Transcript greylisted =
      play("use hello mail rcpt\nS RCPT TO:<c@gw.example>\nG 450 4.2.0 Greylisted\nuse data body accepted bye\n");
  CHECK(greylisted.verdict == Verdict::delivered);
  CHECK(has_note(greylisted, "greylisted"));
  const Transcript nested = play(
      "use hello mail\nS MAIL FROM:<a@b.example>\nG 503 5.5.1 nested MAIL command\nuse rcpt data body accepted bye\n");
  CHECK(nested.verdict == Verdict::delivered);
  CHECK(has_note(nested, "mail-nested"));
  CHECK(broke("use hello mail\nS MAIL FROM:<a@b.example>\nG 503 nested\nS MAIL FROM:<a@b.example>\nG 503 nested\n"
              "use rcpt data body accepted bye\n") == "delivered");
  CHECK(broke("use hello\nS RCPT TO:<x@gw.example>\nG 503 need MAIL\nuse mail rcpt data body accepted bye\n") ==
        "delivered");
  CHECK(broke("G 220 gw.example\nS MAIL FROM:<a@b.example>\nG 503 5.5.1 send EHLO first\nS EHLO a.example\n"
              "G 250 gw.example\nuse mail rcpt data body accepted bye\n") == "delivered");
  CHECK(broke("use hello\nS BDAT 5 X\nG 501 5.5.4 Syntax: BDAT count [LAST]\nuse mail rcpt data body accepted bye\n") ==
        "delivered");
  CHECK(broke("S EHLO a.example\nG 220 gw.example\nG 250 gw.example\nuse mail rcpt data body accepted bye\n") ==
        "delivered");
  CHECK(broke("use hello\nS STARTTLS\nG 454 4.7.0 no\nuse mail rcpt data body accepted bye\n") == "delivered");
  CHECK(broke("use hello mail\nS RSET\nG 250 ok\nuse mail rcpt data body accepted bye\n") == "delivered");
  CHECK(broke("use hello mail rcpt data body accepted\n+300\nG 421 4.4.2 timeout\nG fin\nS fin\n") == "delivered");
}

TEST_CASE("a time-out told in the middle of a message is no slow reply") {
  const Transcript stalled =
      play("use hello mail rcpt data\nS body 14480\n+300\nG 421 4.4.2 timeout exceeded\nG fin\nS fin\n");
  REQUIRE(stalled.breakdown);
  CHECK(stalled.breakdown->code == "body-stalled");
  CHECK_FALSE(has_note(stalled, "reply-slow"));
}

TEST_CASE("no-mail: nothing was meant") {
  CHECK(broke("S fin\nG fin\n") == "no-mail");
  CHECK(broke("+0.05\nS rst\n") == "no-mail");
  CHECK(broke("G 220 gw.example\nS fin\nG fin\n") == "no-mail");
  CHECK(broke("use hello bye\n") == "no-mail");
  CHECK(broke("use hello\nS fin\nG fin\n") == "no-mail");
  CHECK(broke("use hello\nS NOOP\nG 250 ok\nuse bye\n") == "no-mail");
  CHECK(broke("use hello mail rcpt\nS RSET\nG 250 ok\nuse bye\n") == "no-mail");
  CHECK(broke("use hello mail rcpt bye\n") == "no-mail");
}

TEST_CASE("unknown: it cannot be seen") {
  CHECK(broke("use hello mail rcpt data\nS body 1000\ninterrupted\n") == "unknown");
  CHECK(broke("use hello mail rcpt\nhole G 500\nS fin\nG fin\n") == "unknown");
  CHECK(broke("use hello mail rcpt data body\ninterrupted\n") == "unknown");
  // A refusal that was seen stands, whatever else was not.
  CHECK(broke("use hello mail\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\ninterrupted\n") ==
        "rcpt-unknown-user");
}

TEST_CASE("the earliest cause that was not made good is the breakdown") {
  // The first message was refused, the second delivered: broken by the first.
  CHECK(broke("use hello mail\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nS RSET\nG 250 ok\n"
              "use mail rcpt data body accepted bye\n") == "rcpt-unknown-user");
  // A refused recipient of a delivered message does not explain why the next one stopped.
  CHECK(broke("use hello mail rcpt\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nuse data body accepted\n"
              "use mail rcpt data\nS body 500\nS fin\nG fin\n") == "body-sender-closed");
  // HELO in place of EHLO works, so the refused EHLO is not the cause.
  CHECK(broke("G 220 gw.example\nS EHLO a.example\nG 500 unknown\nS HELO a.example\nG 250 ok\nuse mail\n"
              "S RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nuse bye\n") == "rcpt-unknown-user");
  // The login failed, and without it the relay is denied.
  CHECK(broke("use hello\nS AUTH PLAIN AGEAYg==\nG 535 5.7.8 failed\nuse mail\nS RCPT TO:<c@far.example>\n"
              "G 554 5.7.1 Relay access denied\nuse bye\n") == "auth-failed");
  CHECK(
      broke(
          "use hello\nS STARTTLS\nG 454 4.7.0 no\nS MAIL FROM:<a@b.example>\nG 530 5.7.0 Must issue a STARTTLS command "
          "first\nuse bye\n") == "starttls-unavailable");
  // All recipients refused, then DATA as well: the recipient is the cause.
  CHECK(broke("use hello mail\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nS DATA\nG 554 5.5.1 no valid "
              "recipients\n"
              "use bye\n") == "rcpt-unknown-user");
}

TEST_CASE("a refusal inside a failed message that did not stop it is not the cause") {
  CHECK(broke("use hello mail rcpt\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nuse data\nS body 500\nS fin\nG "
              "fin\n") == "body-sender-closed");
  CHECK(broke("use hello mail\nS DATA\nG 503 5.5.1 need RCPT\nuse rcpt data body\nG 554 5.7.1 virus\nuse bye\n") ==
        "content-virus");
  // The sender gave up because one of two was refused: that is the cause.
  CHECK(broke("use hello mail rcpt\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nuse bye\n") ==
        "rcpt-unknown-user");
}

TEST_CASE("a silence is put down to the side that owed the next bytes") {
  const auto party = [](std::string_view script) {
    const Transcript t = play(script);
    REQUIRE(t.breakdown);
    return std::string(name(t.breakdown->party));
  };
  CHECK(party("+30\nS fin\nG fin\n") == "gateway");
  CHECK(party("use hello mail rcpt data\nS body 500\n+300\nG fin\nS fin\n") == "sender");
  CHECK(party("use hello mail rcpt data body\n+120\nS fin\nG fin\n") == "gateway");
  CHECK(party("use hello mail rcpt data body\n+0.2\nS fin\nG fin\n") == "sender");
  CHECK(party("use hello\n+300\nG fin\nS fin\n") == "sender");
  CHECK(party("use hello\nS MAIL FROM:<a@b.example>\n+60\nS rst\n") == "gateway");

  const Transcript t = play("+0.01\nuse hello mail rcpt data\nS body 500\n");
  CHECK(owes(t.events, t.messages, 0) == From::gateway);
  CHECK(owes(t.events, t.messages, t.events.back().end_us) == From::sender);
}

TEST_CASE("the time that the sender waited is said, and what limit it looks like") {
  const Transcript t = play("+30.0\nS fin\nG fin\n");
  REQUIRE(t.breakdown);
  CHECK(t.breakdown->why.find("30.0 s; that looks like a limit of 30 s") != std::string::npos);
  CHECK(looks_like_limit(37 * kSecond).empty());
}

TEST_CASE("left before the final reply, and it came afterwards: duplicates") {
  const Transcript t = play("use hello mail rcpt data body\n+60\nS fin\n+2\nuse accepted\nG fin\n");
  REQUIRE(t.breakdown);
  CHECK(t.breakdown->code == "left-before-final-reply");
  CHECK(t.breakdown->why.find("twice") != std::string::npos);
  // QUIT was pipelined: the sender still reads.
  CHECK(broke("use hello mail rcpt data body\nS QUIT\nS fin\n+2\nuse accepted\nG 221 bye\nG fin\n") == "delivered");
}

TEST_CASE("the summary names who and what") {
  const Transcript t = play("use hello mail\nS RCPT TO:<nobody@gw.example>\nG 550 5.1.1 no such user\nuse bye\n");
  CHECK(t.summary == "The gateway does not know the recipient <nobody@gw.example>: 550 5.1.1 no such user");
}

TEST_CASE("scripts that are wrong say where") {
  CHECK(play_script("use hello\nX what\n").error == "line 2: unknown step \"X what\"");
  CHECK(play_script("use nothing\n").error == "line 1: there are no steps named \"nothing\"");
  CHECK(play_script("+abc\n").error.starts_with("line 1: \"abc\" is no number"));
  CHECK(play_script("S~\\q\n").error.starts_with("line 1: an escape"));
  CHECK(play_script("S!a\nG!b\n").error == "line 2: a second mark");
  CHECK(play_script("S body 99999999999\n").error.starts_with("line 1:"));
  CHECK(play_script("+1e300\n").error.starts_with("line 1:"));
  CHECK(play_script("").error.empty());
}

TEST_CASE("of refusals that came in one segment the first is the breakdown") {
  const PlayedScript played = play_script(
      "use hello\nS MAIL FROM:<a@sender.example>\nS RCPT TO:<b@gw.example>\nS DATA\n"
      "G~550 5.7.1 Sender refused\\r\\n503 5.5.1 MAIL first\\r\\n503 5.5.1 RCPT first\\r\\n\nuse bye\n");
  REQUIRE(played.error.empty());
  REQUIRE(played.transcript.breakdown);
  CHECK(played.transcript.breakdown->phase == Phase::mail);
  CHECK(played.transcript.breakdown->got == "550 5.7.1 Sender refused");
}

TEST_CASE("a host that is gone is the cause of what follows, not of a refusal before it") {
  const std::string gone = "+100\nG 421 4.4.2 timeout exceeded\nG fin\n+60\nS timeout\n";
  CHECK(broke("use hello mail rcpt data\nS body 3000\n" + gone) == "path-to-sender-dead");
  CHECK(broke("use hello mail\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 User unknown\n" + gone) == "rcpt-unknown-user");
  CHECK(broke("use hello mail\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 User unknown\n+10\npath S unsent=9000 window=0\n"
              "+60\nS rst\n") == "rcpt-unknown-user");
  // The gateway's reply is cut by the back-pressure, and the rest of it is read when the sender has gone.
  CHECK(broke("use hello mail\nS HELP\nG~214-first\\r\\n\n+8\npath S unsent=385592 window=0\n+17\nS rst\nG~214 "
              "last\\r\\n\n") == "sender-stops-reading");
  const Transcript lost =
      play("use hello mail rcpt data body\n+10\nS fin\n+10\npath G unacked=1 retransmits=5\n+60\nG timeout\n");
  REQUIRE(lost.breakdown);
  CHECK(lost.breakdown->code == "path-to-gateway-dead");
  CHECK(lost.breakdown->phase == Phase::end_of_data);
  CHECK(has_note(lost, "left-before-final-reply"));
  CHECK(broke("use hello mail rcpt data body accepted bye\npath S unacked=2 retransmits=9\n") == "delivered");
}

TEST_CASE("what a delay hints at is worded as a hint, and only where it fits") {
  const auto why = [](const std::string& script, std::string_view code) {
    const Transcript t = play(script + "use hello mail rcpt data body accepted bye\n");
    for (const Finding& note : t.notes)
      if (note.code == code) return note.why;
    return std::string();
  };
  CHECK(why("+10.02\n", "banner-slow").find("a multiple of 5 s") != std::string::npos);
  CHECK(why("+6.02\n", "banner-slow").find("postscreen") != std::string::npos);
  CHECK(why("+7.6\n", "banner-slow") == "The greeting took 7.6 s. Senders with short time-outs give up here.");
  CHECK(why("dns ok 0.1 mx.sender.example\n+7.6\n", "banner-slow").find("reverse DNS is not the cause") !=
        std::string::npos);
  CHECK(why("dns timeout 7\n+7.6\n", "banner-slow").find("not the cause") == std::string::npos);
}

TEST_CASE("a tarpit: slow since errors, or slower and slower; not a gateway that is slow for everything") {
  const auto rcpt = [](std::string_view seconds, std::string_view reply) {
    return "S RCPT TO:<x@gw.example>\n+" + std::string(seconds) + "\nG " + std::string(reply) + "\n";
  };
  const auto tarpit = [](const std::string& script) { return has_note(play(script), "tarpit"); };
  const std::string no = "550 5.1.1 User unknown", ok = "250 2.1.5 Ok";
  CHECK(tarpit("use hello mail\n" + rcpt("0", no) + rcpt("2", no) + rcpt("2", ok) + rcpt("2", no) + "use bye\n"));
  CHECK(tarpit("use hello mail\n" + rcpt("0.1", ok) + rcpt("0.5", ok) + rcpt("1", ok) + rcpt("2.5", ok) + "use bye\n"));
  CHECK_FALSE(tarpit("use hello mail\n" + rcpt("2", ok) + rcpt("2", no) + rcpt("2", no) + rcpt("2", no) + "use bye\n"));
  CHECK_FALSE(tarpit("use hello mail\n" + rcpt("2", no) + rcpt("2", no) + "use bye\n"));
  CHECK_FALSE(tarpit("use hello mail rcpt data body\n+40\nuse accepted bye\n"));
}

TEST_CASE("a name server that answers nobody says nothing about the sender") {
  const Transcript t = play("dns unreachable 29\n+30\nS!fin\nG fin\n");
  REQUIRE(t.breakdown);
  CHECK(t.breakdown->code == "banner-sender-gave-up");
  CHECK(t.breakdown->why.find("No name server answered the proxy at all") != std::string::npos);
  CHECK_FALSE(has_note(t, "sender-without-ptr"));
}

TEST_CASE("no answer of a gateway that sees the sender's address: the way back is named first") {
  for (const char* script : {"!connect failed ETIMEDOUT 130\nS rst\n", "!connect pending\n+30\nS fin\n"}) {
    INFO(script);
    const Transcript t = play(script);  // scripts are of gateways that see the sender
    REQUIRE(t.breakdown);
    CHECK(t.breakdown->code == "gateway-no-answer");
    CHECK(t.breakdown->why.find("its answers may not come back through the proxy's host") != std::string::npos);
    CHECK(t.breakdown->advice.starts_with("Look on the gateway where its answers go: `ip route get "));
  }
  const Transcript refused = play("!connect failed ECONNREFUSED 0\nS rst\n");
  REQUIRE(refused.breakdown);
  CHECK(refused.breakdown->got.starts_with("connection refused (ECONNREFUSED) after "));
}

TEST_CASE("smuggling that worked shows in the replies when all of it came in one piece") {
  const std::string message =
      "use hello mail rcpt data\n"
      "S~Subject: x\\r\\n\\r\\nhello\\n.\\nMAIL FROM:<boss@gw.example>\\r\\nRCPT TO:<b@gw.example>\\r\\nDATA\\r\\n"
      "Subject: y\\r\\n\\r\\nforged\\r\\n.\\r\\n\n";
  const Transcript taken = play(message + "use accepted\nG 250 ok\nG 250 ok\nG 354 go\nG 250 ok\nuse bye\n");
  CHECK(has_note(taken, "look-alike-taken"));
  CHECK_FALSE(has_note(taken, "end-look-alike"));
  CHECK(taken.notes[0].why.find("it worked") != std::string::npos);
  const Transcript not_taken = play(message + "use accepted\nuse bye\n");
  CHECK(has_note(not_taken, "end-look-alike"));
  CHECK_FALSE(has_note(not_taken, "look-alike-taken"));
}
