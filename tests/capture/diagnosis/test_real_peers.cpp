// What real servers and clients showed (tests/e2e/peers) that the rules' own scripts do not: each session as it was
// seen, cut down to what matters, with the kind of breakdown that it is.
#include <string>
#include <utility>

#include "capture/diagnosis/script.h"
#include "capture/transcript/transcript.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

std::string broke(const std::string& script) {
  INFO(script);
  const PlayedScript played = play_script(script);
  REQUIRE(played.error == "");
  return played.transcript.breakdown ? played.transcript.breakdown->code : "nothing";
}

const std::string kRcpt = "use hello mail\nS RCPT TO:<b@gw.example>\n";

}  // namespace

TEST_CASE("talking before the greeting is the cause where a later refusal names it, and only there") {
  const std::string early =
      "S EHLO a.example\nS MAIL FROM:<a@sender.example>\nS RCPT TO:<b@gw.example>\n+1\nG 220 gw.example ESMTP\n"
      "G 250 gw.example\nG 250 2.1.0 Ok\n";
  CHECK(broke(early + "G 550 5.5.1 Protocol error\nG fin\nS fin\n") == "early-talker");
  CHECK(broke(early + "G 554 SMTP synchronization error\nG fin\nS fin\n") == "early-talker");
  CHECK(broke(early + "G 550 5.1.1 User unknown\nuse bye\n") == "rcpt-unknown-user");
}

TEST_CASE("a refusal is judged by what it answers where its words do not tell") {
  const std::string auth =
      "G 220 gw.example ESMTP\nS EHLO a.example\nG~250-gw.example\\r\\n250 AUTH PLAIN LOGIN\\r\\n\n";
  CHECK(broke(auth + "S AUTH NTLM\nG 535 5.7.8 Error: authentication failed: no mechanism available\nuse bye\n") ==
        "auth-mechanism");
  CHECK(broke(auth + "S AUTH plain AGEAYg==\nG 535 5.7.8 Error: authentication failed\nuse bye\n") == "auth-failed");
  CHECK(broke("use hello\nS MAIL FROM:<" + std::string(3000, 'x') +
              "@b.example>\nG 500 unrecognized command\nuse bye\n") == "line-too-long");
  CHECK(broke("use hello\nS MAIL FROM:<>\nG 250 ok\nS RCPT TO:<b@gw.example>\nG 550 5.7.1 <>: Sender address rejected: "
              "no bounces\nuse bye\n") == "bounces-refused");
  CHECK(broke("use hello\nS MAIL FROM:<a@b.example\nG 501 <a@b.example: '>' missing at end of address\nuse bye\n") ==
        "mail-syntax");
  CHECK(
      broke("use hello\nS MAIL FROM:<a@b.example> X=1\nG 501 <a@b.example> X=1: malformed address: X=1 may not follow "
            "<a@b.example>\nuse bye\n") == "mail-parameter");
  CHECK(broke("use hello\nS AUTH PLAIN AGEAYg==\nG 503 5.7.10 You feel vulnerable\nuse bye\n") == "auth-needs-tls");
  CHECK(broke("use hello mail rcpt data body\nG 552 Error: Too much mail data\nuse bye\n") == "size-exceeded");
  CHECK(broke("use hello\nS MAIL FROM:<a@b.example>\nG 451 4.7.1 Service unavailable - try again later\nuse bye\n") ==
        "filter-unavailable");
}

TEST_CASE("a reply that comes when the sender has given up answers nothing any more") {
  for (const auto& [script, code] : {
           std::pair{kRcpt + "+3\nS fin\n+3\nG 250 2.1.5 Ok\nG fin\n", "gateway-silent"},
           {kRcpt + "+3\nS QUIT\n+3\nG 250 2.1.5 Ok\nG 221 bye\nG fin\nS fin\n", "gateway-silent"},
           {std::string("+3\nS fin\n+1\nG 220 gw.example ESMTP\nG 421 lost input connection\nG fin\n"),
            "banner-sender-gave-up"},
           {std::string("use hello mail rcpt\nS DATA\n+3\nS fin\n+3\nG 354 go\nG fin\n"), "gateway-silent"},
           {std::string("use hello mail rcpt data body\n+3\nS QUIT\n+3\nG 250 Ok\nG 221 bye\nG fin\nS fin\n"),
            "left-before-final-reply"},
           // Postfix sends QUIT with the end of its message.
           {std::string("use hello mail rcpt data body\nS QUIT\n+3\nS fin\n+3\nG 250 Ok\nG fin\n"),
            "left-before-final-reply"},
       })
    CHECK(broke(script) == code);
  // Nor does one that says QUIT when the first of the replies to its group begins to come.
  CHECK(broke("use hello\nS MAIL FROM:<a@b.example>\nS RCPT TO:<b@gw.example>\nS BDAT 5 LAST\nS~hello\n+71\nG~250\n"
              "+0.01\nS QUIT\nS fin\n+0.01\nG~ ok\\r\\n250 ok\\r\\n250 ok\\r\\n221 bye\\r\\n\nG fin\n") == "nothing");
  // One that closes its half at once has not left: the refusal that then comes is the cause.
  CHECK(broke(kRcpt + "S fin\n+3\nG 550 5.1.1 User unknown\nG fin\n") == "rcpt-unknown-user");
  CHECK(broke("use hello mail rcpt data body\nS QUIT\n+3\nG 250 Ok\nG 221 bye\nG fin\nS fin\n") == "nothing");
}

TEST_CASE("segments that found no room behind a gateway that takes nothing are no hole of the sender's path") {
  CHECK(
      broke("use hello mail rcpt data\nS body 300000\n+10\npath S out-of-order=3\npath G unsent=90000 window=0\n+110\n"
            "S fin\nG fin\n") == "gateway-stops-reading");
}
