// The conversation, case by case; each case runs whole, byte by byte and cut at random.
#include "tests/capture/smtp/conversation_case.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {
bool has(const Outcome& outcome, std::string_view text) { return outcome.dump.find(text) != std::string::npos; }
const std::vector<Turn> kGreeting{G("220 gw.example ESMTP\r\n"), S("EHLO mx.sender.example\r\n"),
                                  G("250-gw.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n")};
std::vector<Turn> after_greeting(std::vector<Turn> more) {
  std::vector<Turn> turns = kGreeting;
  turns.insert(turns.end(), more.begin(), more.end());
  return turns;
}
}  // namespace

TEST_CASE("a message is delivered") {
  const Outcome o = settle(
      after_greeting({S("MAIL FROM:<a@b> SIZE=20\r\n"), G("250 2.1.0 ok\r\n"), S("RCPT TO:<x@y>\r\n"),
                      G("250 2.1.5 ok\r\n"), S("DATA\r\n"), G("354 go\r\n"), S("Subject: hi\r\n\r\n..dot\r\n.\r\n"),
                      G("250 2.0.0 Ok: queued as 4XyZ\r\n"), S("QUIT\r\n"), G("221 bye\r\n")}));
  CHECK(o.dump ==
        "0 connect sender connect @0+0 0..0 []\n"
        "1 reply gateway banner code=220 answers=-1 @0+22 1000..1000 [220 gw.example ESMTP]\n"
        "2 command sender helo verb=EHLO @0+24 2000..2000 [EHLO mx.sender.example]\n"
        "3 reply gateway helo code=250 answers=2 @22+46 3000..3000 [250-gw.example\n250-PIPELINING\n250 STARTTLS]\n"
        "4 command sender mail verb=MAIL @24+25 4000..4000 [MAIL FROM:<a@b> SIZE=20]\n"
        "5 reply gateway mail code=250 answers=4 @68+14 5000..5000 [250 2.1.0 ok]\n"
        "6 command sender rcpt verb=RCPT @49+15 6000..6000 [RCPT TO:<x@y>]\n"
        "7 reply gateway rcpt code=250 answers=6 @82+14 7000..7000 [250 2.1.5 ok]\n"
        "8 command sender data verb=DATA @64+6 8000..8000 [DATA]\n"
        "9 reply gateway data code=354 answers=8 @96+8 9000..9000 [354 go]\n"
        "10 body sender body lines=3 sha=bbcca4bd @70+25 10000..10000 [Subject: hi]\n"
        "11 reply gateway end-of-data code=250 answers=10 @104+30 11000..11000 [250 2.0.0 Ok: queued as 4XyZ]\n"
        "12 command sender quit verb=QUIT @95+6 12000..12000 [QUIT]\n"
        "13 reply gateway quit code=221 answers=12 @134+9 13000..13000 [221 bye]\n"
        "message <a@b> bytes=22 mail=4/5 data=8/9 body=10 final=11 ended accepted sha=bbcca4bd id=4XyZ <x@y>=250\n");
}

TEST_CASE(
    "pipelined commands get their replies in order, also when DATA is refused and the message comes all the same") {
  const Outcome o =
      settle(after_greeting({S("MAIL FROM:<a@b>\r\nRCPT TO:<no@y>\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n"),
                             G("250 ok\r\n550 5.1.1 no\r\n554 5.5.1 no valid recipients\r\n"),
                             G("500 what\r\n500 what\r\n500 what\r\n500 what\r\n221 bye\r\n")}));
  CHECK(has(o, "code=550 answers=5"));
  CHECK(has(o, "code=554 answers=6"));
  CHECK(has(o, "command sender rcpt verb= @63+12"));
  CHECK(has(o, "code=221 answers=14"));
  CHECK(has(o, "final=-1"));
  CHECK_FALSE(has(o, "body sender"));
}

TEST_CASE("a message sent at once behind DATA is a message if 354 comes") {
  const Outcome o = settle(after_greeting(
      {S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\nSubject: x\r\n\r\nMAIL FROM:<c@d>\r\n.\r\nQUIT\r\n"),
       G("250 ok\r\n250 ok\r\n354 go\r\n250 queued as 1\r\n221 bye\r\n")}));
  CHECK(has(o, "body sender body lines=3"));
  CHECK(has(o, "command sender quit verb=QUIT"));
  CHECK(has(o, "ended accepted"));
}

TEST_CASE("BDAT counts its bytes, whatever they look like") {
  const Outcome o = settle(after_greeting({S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nBDAT 9\r\n\r\n.\r\nQUIT"),
                                           G("250 ok\r\n250 ok\r\n250 9 ok\r\n"), S("BDAT 3 LAST\r\nabc"),
                                           G("250 queued as B1\r\n"), S("QUIT\r\n"), G("221 bye\r\n")}));
  CHECK(has(o, "body sender body lines=2 sha= @64+9"));
  CHECK(has(o, "reply gateway body code=250"));
  CHECK(has(o, "reply gateway end-of-data code=250"));
  CHECK(has(o, "bytes=12"));
  CHECK(has(o, "ended accepted"));
  CHECK(has(o, "id=B1"));
  for (const char* bad :
       {"BDAT -1\r\n", "BDAT 99999999999999999999999 LAST\r\n", "BDAT\r\n", "BDAT 5 LAST x\r\n", "BDAT 0x10\r\n"})
    CHECK(has(settle(after_greeting({S(bad), G("501 no\r\n"), S("QUIT\r\n"), G("221 bye\r\n")})), "code=221"));
}

TEST_CASE("STARTTLS: TLS begins right behind the line and its 220") {
  std::string hello("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);
  const Outcome o = settle(after_greeting(
      {S("STARTTLS\r\n"), G("220 go\r\n"), S(hello), G(std::string("\x15\x03\x03\x00\x02\x02\x28", 7))}));
  CHECK(has(o, "tls sender tls @34+10"));
  CHECK(has(o, "tls gateway tls @76+7 7000..7000 [alert fatal handshake_failure(40)]"));
  CHECK(has(o, "tls starttls gateway: handshake_failure(40)"));

  const Outcome refused = settle(after_greeting({S("STARTTLS\r\nMAIL FROM:<a@b>\r\n"), G("454 no\r\n250 ok\r\n")}));
  CHECK(has(refused, "code=250 answers=6"));

  const Outcome injected = settle(after_greeting({S("STARTTLS\r\nNOOP\r\n"), G("220 go\r\n"), S(hello)}));
  CHECK(has(injected, "command sender starttls verb=NOOP"));
  CHECK(has(injected, "tls sender tls @40+10"));

  const Outcome implicit = settle({S(hello), G("220 gw\r\n")});
  CHECK(has(implicit, "tls implicit"));
  CHECK(has(implicit, "code=220 answers=-1"));
}

TEST_CASE("bytes in disorder") {
  CHECK(has(settle({S("EHLO early\r\n"), G("220 gw\r\n"), G("250 ok\r\n")}), "code=250 answers=1"));
  CHECK(has(settle({G("220 gw\r\n"), G("421 4.4.2 timeout\r\n")}), "reply gateway helo code=421 answers=-1"));
  CHECK(has(settle({G("4.7.0 [IPTS04] deferred\r\n")}), "code=0 answers=-1"));
  const Outcome teaser = settle({G("220-gw ESMTP\r\n"), S("EHLO x\r\n"), G("250-gw\r\n250 PIPELINING\r\n")});
  CHECK(has(teaser, "code=220 answers=-1 @0+14 1000..1000 incomplete"));
  CHECK(has(teaser, "code=250 answers=1"));
  CHECK(has(settle({G("220 gw\n"), S("HELO x\n"), G("250 ok\n")}), "bare-lf"));
  CHECK(has(settle({G("220 gw\r\n"), S("MAIL FR")}), "incomplete [MAIL FR]"));
  CHECK(has(settle({G("220 gw\r\n"), S(std::string("N\0OP\x80\r\n", 7)), G("500 ?\r\n")}), "code=500 answers=2"));
  CHECK(has(settle({G("220 gw\r\n"), S("\r\n"), S("QUIT\r\n"), G("221 bye\r\n")}), "code=221 answers=3"));
}

TEST_CASE("221 answers QUIT only, and 354 DATA only") {
  const std::vector<Turn> sent{S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n"), G("250 ok\r\n250 ok\r\n354 go\r\n"),
                               S("x\r\n.\r\n")};
  std::vector<Turn> unanswered = sent;
  unanswered.insert(unanswered.end(), {S("QUIT\r\n"), G("221 bye\r\n")});
  const Outcome o = settle(after_greeting(unanswered));
  CHECK(has(o, "code=221 answers=11"));
  CHECK(has(o, "final=-1 ended sha"));
  // Who is sent away has no message taken.
  std::vector<Turn> closing = sent;
  closing.push_back(G("221 closing\r\n"));
  CHECK(has(settle(after_greeting(closing)), "final=11 ended sha"));
  const Outcome owing = settle(after_greeting({S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n"),
                                               G("250 ok\r\n354 go\r\n"), S("x\r\n.\r\n"), G("250 queued as 1\r\n")}));
  CHECK(has(owing, "code=354 answers=6"));
  CHECK(has(owing, "ended accepted"));
  const Outcome twice = settle(
      after_greeting({S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n"), G("250 ok\r\n250 ok\r\n354 go\r\n354 go\r\n"),
                      S("x\r\n.\r\n"), G("250 queued as 1\r\n")}));
  CHECK(has(twice, "ended accepted"));
}

TEST_CASE("a ClientHello in the form of SSL 2 begins TLS") {
  const std::string old =
      std::string("\x80\x1c\x01\x03\x01\x00\x03\x00\x00\x00\x10\x00\x00\x2f", 14) + std::string(16, 'r');
  const std::string answer("\x15\x03\x01\x00\x02\x02\x28", 7);
  const Outcome o = settle(after_greeting({S("STARTTLS\r\n"), G("220 go\r\n"), S(old), G(answer)}));
  CHECK(has(o, "tls sender tls @34+30 6000..6000 [client_hello TLS 1.0]"));
  CHECK(has(o, "tls starttls gateway: handshake_failure(40)"));
  CHECK(has(settle({S(old), G(answer)}), "tls implicit gateway: handshake_failure(40)"));
  CHECK(has(settle({G("220 gw\r\n"), S("\x80\r\n"), G("500 ?\r\n")}), "code=500 answers=2"));
}

TEST_CASE("TLS behind a greeting in the clear is STARTTLS, also if that was not seen") {
  const std::string hello("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);
  CHECK(has(settle({G("220 2.0.0 ready\r\n"), S(hello), G(hello)}), "tls starttls"));
  CHECK(has(settle({G("220 gw\r\n"), S(hello), G("500 ?\r\n")}), "tls implicit"));
}

TEST_CASE("a path is found without its colon") {
  for (const char* mail : {"MAIL FROM:<a@b>", "MAIL FROM a@b", "mail from <a@b>", "MAIL FROM: a@b SIZE=5",
                           "MAIL\tFROM :<a@b>", "MAIL a@b", "MAIL <a@b>"})
    CHECK(parse_path(mail) == "a@b");
  CHECK(parse_path("RCPT TO <@h:x@y>") == "@h:x@y");
  CHECK(parse_path("RCPT tom@y") == "tom@y");
  CHECK(parse_path("RCPT to-x@y") == "to-x@y");
  CHECK(parse_path("MAIL FROM:<>").empty());
  CHECK(parse_path("MAIL").empty());
}

TEST_CASE("lines and bodies of any size keep memory bounded") {
  const std::string longest(200'000, 'x');
  const Outcome o =
      settle({G("220 gw\r\n"), S("EHLO " + longest + "\r\n"), G("500 too long\r\n"), S("QUIT\r\n"), G("221 bye\r\n")});
  CHECK(has(o, "@0+200007"));
  CHECK(has(o, "code=221 answers=4"));
  CHECK(has(settle({G("220 " + longest + "\r\n"), S("QUIT\r\n"), G("221 bye\r\n")}), "code=221 answers=2"));
}

TEST_CASE("a look-alike that the gateway takes for the end ends the message there") {
  const Outcome o =
      settle(after_greeting({S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n"), G("250 ok\r\n250 ok\r\n354 go\r\n"),
                             S("x\r\n.\nMAIL FROM:<evil@b>\r\n"), G("250 queued as 1\r\n250 ok\r\n")}));
  CHECK(has(o, "body sender body lines=0 sha= @62+5"));
  CHECK(has(o, "verb=MAIL"));
  CHECK(has(o, "message <evil@b>"));
  // Where what is behind it is left out, nobody can read on.
  const Outcome cut =
      settle(after_greeting({S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n"), G("250 ok\r\n250 ok\r\n354 go\r\n"),
                             S("x\r\n.\nMAIL FROM:<evil@b>\r\n"), G("250 queued as 1\r\n")}),
             {Conversation::Body::full, 8});
  CHECK(has(cut, "reply gateway body code=250"));
  // One that it does not take for the end is content.
  const Outcome none =
      settle(after_greeting({S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n"), G("250 ok\r\n250 ok\r\n354 go\r\n"),
                             S("x\n.\nMAIL FROM:<evil@b>\r\n.\r\n"), G("250 queued as 1\r\n")}));
  CHECK(has(none, "ended accepted"));
  CHECK_FALSE(has(none, "message <evil@b>"));
}

TEST_CASE("transactions: nested MAIL, RSET, refused MAIL") {
  const Outcome nested = settle(after_greeting(
      {S("MAIL FROM:<a@b>\r\n"), G("250 ok\r\n"), S("MAIL FROM:<c@d>\r\nRCPT TO:<x@y>\r\n"),
       G("503 nested\r\n250 ok\r\n"), S("DATA\r\n"), G("354 go\r\n"), S("x\r\n.\r\n"), G("250 ok\r\n")}));
  CHECK(has(nested, "message <a@b> bytes=0 mail=4/5 data=-1/-1 body=-1 final=-1 withdrawn"));
  CHECK(has(nested, "message <c@d> bytes=3 mail=6/8 data=10/11 body=12 final=13 ended accepted"));
  CHECK(has(nested, "<x@y>=250"));
  const Outcome reset = settle(
      after_greeting({S("MAIL FROM:<a@b>\r\nRSET\r\nMAIL FROM:<c@d>\r\n"), G("250 ok\r\n250 ok\r\n553 no\r\n")}));
  CHECK(has(reset, "message <a@b> bytes=0 mail=4/7 data=-1/-1 body=-1 final=-1 withdrawn"));
  CHECK(has(reset, "message <c@d> bytes=0 mail=6/9 data=-1/-1 body=-1 final=-1 sha="));
}

TEST_CASE("transactions without MAIL, and BDAT that cannot be read") {
  const Outcome none = settle(after_greeting({S("RCPT TO:<x@y>\r\nDATA\r\n"), G("503 no MAIL\r\n503 no RCPT\r\n"),
                                              S("MAIL FROM:<a@b>\r\n"), G("250 ok\r\n")}));
  CHECK(has(none, "message <none> bytes=0 mail=-1/-1 data=5/7 body=-1 final=-1 sha= id= <x@y>=503"));
  CHECK(has(none, "message <a@b> bytes=0 mail=8/9"));
  const std::vector<Turn> envelope = {S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\n"), G("250 ok\r\n250 ok\r\n")};
  const auto chunk = [&](std::string bdat, std::string rest) {
    std::vector<Turn> turns = envelope;
    turns.push_back(S(bdat + "\r\n"));
    turns.push_back(G("521 5.5.4 Syntax: BDAT count [LAST]\r\n"));
    turns.push_back(S(std::move(rest)));
    return settle(after_greeting(turns));
  };
  // A size that nobody can send is a chunk that never ends; without a size there is no chunk.
  const Outcome endless = chunk("BDAT 99999999999999999999999 LAST", "QUIT\r\n");
  CHECK(has(endless, "bytes=6 mail=4/6 data=8/-1 body=10 final=9"));
  CHECK_FALSE(has(endless, "verb=QUIT"));
  const Outcome nameless = chunk("BDAT ten LAST", "QUIT\r\n");
  CHECK(has(nameless, "bytes=0 mail=4/6 data=8/-1 body=-1 final=-1"));
  CHECK(has(nameless, "verb=QUIT"));
}

TEST_CASE("the body policy leaves out content but never the end") {
  const std::string body = "Subject: s\r\n\r\n" + std::string(5000, 'x') + "\r\n.\r\n";
  for (auto policy :
       {Conversation::Policy{Conversation::Body::full, 100}, Conversation::Policy{Conversation::Body::headers, 0},
        Conversation::Policy{Conversation::Body::none, 0}}) {
    const Outcome o =
        settle(after_greeting({S("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n"), G("250 ok\r\n250 ok\r\n354 go\r\n"),
                               S(body), G("250 queued as 1\r\n"), S("QUIT\r\n"), G("221 bye\r\n")}),
               policy);
    CHECK(has(o, "bytes=5016"));
    CHECK(has(o, "lines=0 sha= "));
    const size_t cut = o.written[0].find('#');
    REQUIRE(cut != std::string::npos);
    const size_t kept = policy.body == Conversation::Body::none      ? 0
                        : policy.body == Conversation::Body::headers ? 14
                                                                     : 100;
    CHECK(cut == 62 + kept);
    CHECK(o.written[0].find("#\r\n.\r\nQUIT") != std::string::npos);
  }
}
