// The conversation behind lost bytes: it finds its step again, gives no reply to what it does not answer, and keeps
// secrets. Each case runs whole, byte by byte and cut at random.
#include "tests/capture/smtp/conversation_case.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {

const std::string kSecret = "AGFsaWNlAHMzY3IzdHBhc3M=";
const std::string kHello("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);
const std::string kBody = "Subject: x\r\n\r\nhello\r\n";

bool has(const Outcome& outcome, std::string_view text) { return outcome.dump.find(text) != std::string::npos; }

/// The turns of a session with one message of kBody; each is one line.
std::vector<Turn> session() {
  return {G("220 gw.example ESMTP\r\n"),
          S("EHLO a.example\r\n"),
          G("250-gw.example\r\n250 PIPELINING\r\n"),
          S("MAIL FROM:<a@b>\r\n"),
          G("250 2.1.0 ok\r\n"),
          S("RCPT TO:<x@y>\r\n"),
          G("250 2.1.5 ok\r\n"),
          S("DATA\r\n"),
          G("354 go\r\n"),
          S(kBody + ".\r\n"),
          G("250 queued as 1\r\n"),
          S("QUIT\r\n"),
          G("221 bye\r\n")};
}

/// From the byte `from` on, the turn's bytes are lost.
std::vector<Turn> losing(std::vector<Turn> turns, size_t turn, size_t from = 0) {
  const Turn cut = turns[turn];
  turns[turn] = lost(cut.from, cut.bytes.size() - from);
  if (from > 0)
    turns.insert(turns.begin() + static_cast<std::ptrdiff_t>(turn), Turn{cut.from, cut.bytes.substr(0, from)});
  return turns;
}

}  // namespace

TEST_CASE("a reply that was lost is not made up for by the next one") {
  for (const size_t turn : {0U, 2U, 4U, 6U, 8U}) {
    CAPTURE(turn);
    const Outcome o = settle(losing(session(), turn));
    INFO(o.dump);
    CHECK(has(o, "bytes=" + std::to_string(kBody.size()) + " "));
    CHECK(has(o, "ended accepted"));
    CHECK(has(o, "id=1"));
    CHECK(has(o, turn == 6 ? "<x@y>=0" : "<x@y>=250"));
  }
  for (const size_t turn : {10U, 12U}) {
    const Outcome o = settle(losing(session(), turn));
    CHECK(has(o, turn == 10 ? "final=-1" : "ended accepted"));
    CHECK(has(o, turn == 10 ? "code=221 answers=11" : "id=1"));
  }
  // The refusal of the message was lost, and what QUIT gets is none of its acceptance.
  std::vector<Turn> refused = session();
  refused[10] = G("550 spam\r\n");
  CHECK_FALSE(has(settle(losing(refused, 10)), "accepted"));
}

TEST_CASE("a command that was lost leaves the others their replies") {
  for (const size_t turn : {1U, 3U, 5U, 11U}) {
    CAPTURE(turn);
    const Outcome o = settle(losing(session(), turn));
    INFO(o.dump);
    CHECK(has(o, "ended accepted"));
    CHECK(has(o, turn == 3 ? "message <none>" : "message <a@b>"));
  }
  // What is behind a gap inside a line is not read, and covered.
  std::vector<Turn> inside = session();
  inside[3] = S("MAIL FR");
  inside.insert(inside.begin() + 4, {lost(From::sender, 4), S("data@b>\r\n")});
  const Outcome o = settle(inside);
  CHECK(o.written[0].find("????*******\r\n") != std::string::npos);
  CHECK_FALSE(has(o, "data@b"));
}

TEST_CASE("pipelined replies of which one was lost are told apart by what they are") {
  const Outcome o =
      settle({G("220 gw\r\n"), S("EHLO a\r\n"), G("250 gw\r\n"), S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n"),
              lost(From::gateway, 8), G("250 ok\r\n354 go\r\n"), S(kBody + ".\r\nQUIT\r\n"),
              G("250 queued as 1\r\n221 bye\r\n")});
  INFO(o.dump);
  CHECK(has(o, "ended accepted"));
  CHECK(has(o, "code=354 answers=6"));
}

TEST_CASE("lines cut by the snap length still answer") {
  std::vector<Turn> turns = session();
  turns[6] = G("550 5.1.1 no such user here\r\n");
  for (size_t from = 4; from < 20; from += 3) {
    const Outcome o = settle(losing(turns, 6, from));
    CHECK(has(o, "<x@y>=550"));
    CHECK(has(o, "code=550 answers=6"));
  }
  // A reply of several lines goes on behind the gap, or is over when the sender goes on.
  for (size_t from = 4; from < 28; ++from) {
    CAPTURE(from);
    const Outcome cut = settle(losing(session(), 2, from));
    INFO(cut.dump);
    CHECK(has(cut, "code=250 answers=2"));
    CHECK(has(cut, "code=250 answers=4"));
    CHECK(has(cut, "ended accepted"));
    std::vector<Turn> on = session();
    on[2] = G(on[2].bytes.substr(0, from));
    on.insert(on.begin() + 3, {lost(From::gateway, 30), G("250-SIZE\r\n250 HELP\r\n")});
    const Outcome whole = settle(on);
    CHECK(has(whole, "250-SIZE\n250 HELP]"));
    CHECK(has(whole, "ended accepted"));
  }
}

TEST_CASE("a message whose end was lost is ended by its reply") {
  const size_t length = kBody.size() + 3;
  for (const size_t from : {size_t{0}, size_t{5}, length - 3, length - 1}) {
    CAPTURE(from);
    std::vector<Turn> turns = losing(session(), 9, from);
    turns.insert(turns.end() - 2, {S("MAIL FROM:<c@d>\r\n"), G("250 ok\r\n")});
    const Outcome o = settle(turns);
    INFO(o.dump);
    CHECK(has(o, "message <a@b> bytes=" + std::to_string(kBody.size()) + " "));
    CHECK(has(o, "reply gateway end-of-data code=250"));
    CHECK(has(o, "message <c@d>"));
    turns[from == 0 ? 10 : 11] = G("550 spam\r\n");
    CHECK(has(settle(turns), "reply gateway end-of-data code=550"));
  }
  // Here it goes on: a refusal in its middle does not end it.
  std::vector<Turn> turns = session();
  turns[9] = S("Subject: x\r\n");
  turns.insert(turns.begin() + 10, {lost(From::sender, 10), S("hello\r\n"), G("552 too much\r\n"), S("more\r\n.\r\n")});
  const Outcome o = settle(turns);
  CHECK(has(o, "reply gateway body code=552"));
  CHECK(has(o, "bytes=35 "));
}

TEST_CASE("what the body policy leaves out is never the end") {
  Conversation c;
  c.open(0);
  uint64_t said = 0, sent = 0;
  const auto pass = [&](From from, std::string_view text) {
    uint64_t& at = from == From::sender ? sent : said;
    c.chunk({from, 0, at, text});
    at += text.size();
  };
  pass(From::gateway, "220 gw\r\n");
  pass(From::sender, "MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n");
  pass(From::gateway, "250 ok\r\n250 ok\r\n354 go\r\n");
  pass(From::sender, "Subject: x\r\n\r\n");
  c.hole(From::sender, 0, 100, true);
  sent += 100;
  pass(From::gateway, "552 too much\r\n");
  pass(From::sender, "QUIT\r\n.\r\n");
  c.finish();
  CHECK(c.messages()[0].bytes == 120);
  CHECK(c.events().back().kind != Event::Kind::command);
}

TEST_CASE("TLS goes on behind lost bytes") {
  const std::vector<Turn> begin{G("220 gw\r\n"), S("EHLO a\r\n"), G("250 gw\r\n")};
  const auto with = [&](std::vector<Turn> more) {
    std::vector<Turn> turns = begin;
    turns.insert(turns.end(), more.begin(), more.end());
    return settle(turns);
  };
  const std::string alert("\x15\x03\x03\x00\x02\x02\x28", 7);
  for (const Outcome& o : {with({S("STARTTLS\r\n"), lost(From::gateway, 8), S(kHello), G(alert)}),
                           with({lost(From::sender, 10), G("220 go\r\n"), S(kHello), G(alert)}),
                           with({S("STARTTLS\r\n"), G("220 go\r\n"), lost(From::sender, 10), G(alert)})}) {
    INFO(o.dump);
    CHECK(has(o, "tls starttls gateway: handshake_failure(40)"));
  }
  // In the middle of a line that nobody knows the beginning of, nothing begins.
  CHECK_FALSE(has(settle({S(kHello), lost(From::gateway, 3), G("x\x01zz" + kHello)}), "tls gateway"));
  const Outcome implicit = settle({lost(From::sender, 40), G(kHello), S(std::string("\x14\x03\x03\x00\x01\x01", 6))});
  INFO(implicit.dump);
  CHECK(has(implicit, "tls implicit"));
  CHECK(has(implicit, "[change_cipher_spec]"));
}

TEST_CASE("no secret is written behind lost bytes") {
  const std::vector<Turn> begin{G("220 gw\r\n"), S("EHLO a\r\n"), G("250-gw\r\n250 AUTH LOGIN PLAIN\r\n")};
  const std::vector<Turn> login{S("AUTH LOGIN\r\n"),       G("334 VXNlcm5hbWU6\r\n"), S("dXNlcg==\r\n"),
                                G("334 UGFzc3dvcmQ6\r\n"), S(kSecret + "\r\n"),       G("235 ok\r\n")};
  const auto check = [&](const std::vector<Turn>& auth) {
    std::vector<Turn> turns = begin;
    turns.insert(turns.end(), auth.begin(), auth.end());
    const std::vector<Turn> rest = session();
    turns.insert(turns.end(), rest.begin() + 3, rest.end());
    const Outcome o = settle(turns);
    INFO(o.dump << o.written[0] << o.written[1]);
    for (const std::string* text : {&o.dump, &o.written[0], &o.written[1]})
      for (size_t at = 0; at + 8 <= kSecret.size(); ++at) CHECK(text->find(kSecret.substr(at, 8)) == std::string::npos);
    CHECK(has(o, "message <a@b>"));
    CHECK(has(o, "ended accepted"));
  };
  for (size_t turn = 0; turn < login.size(); ++turn)
    for (const size_t from : {0U, 1U, 3U, 6U}) check(losing(login, turn, from));
  // Not even the word AUTH is known.
  check({lost(From::sender, 11), S(kSecret + "\r\n"), G("235 ok\r\n")});
  check({lost(From::sender, 15), S(kSecret.substr(4) + "\r\n"), G("535 no\r\n")});
  // What is asked again is a secret again.
  check({S("AUTH LOGIN\r\n"), G("334 a\r\n"), lost(From::sender, 20), G("334 b\r\n"), S(kSecret + "\r\n"),
         G("235 ok\r\n")});
  check({S("AUTH LOGIN\r\n"), lost(From::gateway, 10), S("NOOP\r\n" + kSecret + "\r\n"), G("250 ok\r\n500 ?\r\n")});
  check(
      {S("AUTH PLAIN " + kSecret + "\r\n"), G("535 not " + kSecret.substr(0, 12)), lost(From::gateway, 5), G("\r\n")});
}

TEST_CASE("a piece of a line behind lost bytes is not written before it is known what it is") {
  Conversation c;
  c.open(0);
  c.hole(From::sender, 0, 20);
  c.chunk({From::sender, 0, 20, "c2Vj"});
  CHECK(c.stable(From::sender) == 20);
  c.hole(From::sender, 0, 3);
  CHECK(c.take_secrets(From::sender) == std::vector<ByteRange>{{20, 4}});
  c.chunk({From::sender, 0, 27, "cmV0"});
  c.finish();
  CHECK(c.take_secrets(From::sender) == std::vector<ByteRange>{{27, 4}});
}

TEST_CASE("a session that is known from its middle may be one of TLS records") {
  Conversation c;
  c.open(0);
  c.begin_late(false);
  const std::string record("\x17\x03\x03\x00\x02zz", 7);
  c.chunk({From::gateway, 0, 0, record});
  c.chunk({From::sender, 0, 0, record});
  c.finish();
  REQUIRE(c.tls());
  CHECK(c.tls()->mode == "implicit");
  CHECK(c.tls()->application_data);
}
