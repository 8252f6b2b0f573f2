// No secret of an AUTH exchange is in what may be written, in any mechanism, step or segmentation.
#include "capture/smtp/auth.h"

#include <chrono>

#include "tests/capture/smtp/conversation_case.h"

using namespace smtpscope;
using namespace smtpscope::test;

namespace {
const std::string kSecret = "AGFsaWNlAHMzY3IzdHBhc3M=";
std::vector<Turn> with_greeting(std::vector<Turn> more) {
  std::vector<Turn> turns{G("220 gw\r\n"), S("EHLO x\r\n"), G("250-gw\r\n250 AUTH PLAIN LOGIN\r\n")};
  turns.insert(turns.end(), more.begin(), more.end());
  return turns;
}
void check_masked(const std::vector<Turn>& turns) {
  const Outcome o = settle(with_greeting(turns));
  INFO(o.dump << o.written[0] << o.written[1]);
  CHECK(o.dump.find(kSecret) == std::string::npos);
  CHECK(o.written[0].find(kSecret) == std::string::npos);
  CHECK(o.written[1].find(kSecret) == std::string::npos);
  CHECK(o.written[0].find(std::string(kSecret.size(), '*')) != std::string::npos);
}
}  // namespace

TEST_CASE("every way to send a secret is masked at equal length") {
  check_masked({S("AUTH PLAIN " + kSecret + "\r\n"), G("235 ok\r\n")});
  check_masked({S("auth  plain   " + kSecret + "\r\n"), G("535 no\r\n")});
  check_masked({S(" AUTH\tPLAIN " + kSecret + "\n"), G("535 no\r\n")});
  check_masked({S("AUTH PLAIN\r\n"), G("334 \r\n"), S(kSecret + "\r\n"), G("235 ok\r\n")});
  check_masked({S("AUTH LOGIN\r\n"), G("334 VXNlcm5hbWU6\r\n"), S("dXNlcg==\r\n"), G("334 UGFzc3dvcmQ6\r\n"),
                S(kSecret + "\r\n"), G("535 no\r\n")});
  check_masked({S("AUTH LOGIN\r\ndXNlcg==\r\n" + kSecret + "\r\n"), G("334 a\r\n334 b\r\n235 ok\r\n")});
  check_masked({S("AUTH LOGIN\r\ndXNlcg==\r\n" + kSecret + "\r\n"), G("503 no\r\n500 ?\r\n500 ?\r\n")});
  check_masked(
      {S("AUTH LOGIN\r\n"), G("503 no\r\n"), S("dXNlcg==\r\n"), G("500 ?\r\n"), S(kSecret + "\r\n"), G("500 ?\r\n")});
  check_masked({S("AUTH CRAM-MD5\r\n"), G("334 PDEyMz4=\r\n"), S(kSecret + "\r\n"), G("235 ok\r\n")});
  check_masked({S("AUTH XOAUTH2 " + kSecret + "\r\n"), G("334 eyJ\r\n"), S("\r\n"), G("535 no\r\n")});
  check_masked({S("AUTH FOOMECH " + kSecret + "\r\n"), G("504 no\r\n")});
  check_masked({S("AUTH " + kSecret + "\r\n"), G("501 no\r\n")});
  check_masked({S("AUTH LOGIN\r\n"), G("334 a\r\n"), S("dXNlcg==\r\n"), G("334 b\r\n"), S(kSecret)});
  check_masked({S("AUTH PLAIN " + kSecret)});
  check_masked({S("AUTH LOGIN\r\n"), G("334 a\r\n"), S("*\r\n"), G("501 cancelled\r\n"),
                S("AUTH PLAIN " + kSecret + "\r\n"), G("235 ok\r\n")});
  check_masked({S("AUTH PLAIN " + kSecret + "\r\n"), G("535 bad credentials " + kSecret + " for you\r\n")});
  check_masked({S("DATA\r\nAUTH PLAIN " + kSecret + "\r\n"), G("503 no\r\n535 no\r\n")});
  check_masked({S("STARTTLS\r\nAUTH PLAIN " + kSecret + "\r\n"), G("454 no\r\n535 no\r\n")});
}

TEST_CASE("credentials are masked whatever replies came out of turn") {
  check_masked({S("AUTH PLAIN\r\n"), G("235 ok\r\n"), S(kSecret + "\r\n"), G("500 ?\r\n")});
  check_masked({S("AUTH LOGIN\r\n"), G("250 what?\r\n334 a\r\n"), S("dXNlcg==\r\n"), G("334 b\r\n"),
                S(kSecret + "\r\n"), G("235 ok\r\n")});
  check_masked({G("250 early\r\n"), S("NOOP\r\n"), G("334 \r\n"), S(kSecret + "\r\n"), G("535 no\r\n")});
  check_masked({S("AUTH=LOGIN\r\n" + kSecret + "\r\n"), G("500 ?\r\n500 ?\r\n")});
}

TEST_CASE("what is no secret stays") {
  const Outcome o =
      settle(with_greeting({S("AUTH PLAIN " + kSecret + "\r\nMAIL FROM:<a@b>\r\n"), G("235 ok\r\n250 ok\r\n")}));
  CHECK(o.dump.find("verb=MAIL") != std::string::npos);
  CHECK(o.written[0].find("AUTH PLAIN ****") != std::string::npos);
  CHECK(o.written[0].find("MAIL FROM:<a@b>") != std::string::npos);
}

TEST_CASE("a message that was sent in spite of a refusal is no secret") {
  const std::string body = "Subject: x\r\n\r\na\r\nAu\r\nAuthor: y\r\nhello there\r\n.\r\n";
  const Outcome o = settle(with_greeting({S("DATA\r\n"), G("503 no\r\n"), S("a\r\n"), G("500 ?\r\n"), S(body)}));
  CHECK(o.written[0].find("\r\nhello there\r\n") != std::string::npos);
}

TEST_CASE("a decoded password is found in an echo") {
  const Outcome o =
      settle(with_greeting({S("AUTH PLAIN " + kSecret + "\r\n"), G("535 alice s3cr3tpass is wrong\r\n")}));
  CHECK(o.written[1].find("s3cr3tpass") == std::string::npos);
  CHECK(o.dump.find("alice ********** is wrong") != std::string::npos);
  CHECK(o.dump.find("s3cr3tpass") == std::string::npos);
}

TEST_CASE("an echo is found with other blanks around it, cut short, and before the line has ended") {
  check_masked({S("AUTH PLAIN " + kSecret + "  \r\n"), G("501 cannot decode " + kSecret + "\r\n")});
  check_masked({S("AUTH PLAIN " + kSecret + " x\r\n"), G("501 cannot decode <" + kSecret + ">\r\n")});
  for (const std::vector<Turn>& turns :
       {std::vector{S("AUTH PLAIN " + kSecret + "\r\n"), G("501 cannot decode " + kSecret.substr(0, 20) + "...\r\n")},
        std::vector{S("AUTH PLAIN " + kSecret), G("501 too slow: AUTH PLAIN " + kSecret + "\r\n")}}) {
    const Outcome o = settle(with_greeting(turns));
    INFO(o.dump << o.written[1]);
    CHECK(o.written[1].find(kSecret.substr(0, 8)) == std::string::npos);
    CHECK(o.dump.find(kSecret.substr(0, 8)) == std::string::npos);
  }
}

TEST_CASE("the decoded secret is found whatever its mechanism puts around it") {
  const auto check_echo = [](const std::string& sent, const std::string& secret) {
    const Outcome o = settle(with_greeting({S("AUTH " + sent + "\r\n"), G("535 not " + secret + "!\r\n")}));
    INFO(o.written[1]);
    CHECK(o.written[1].ends_with("535 not " + std::string(secret.size(), '*') + "!\r\n"));
  };
  check_echo("PLAIN AGpvZQBjb3JyZWN0IGhvcnNl", "correct horse");
  check_echo("X-NEW Y29ycmVjdCBob3JzZQ==", "correct horse");
  // "n,a=joe,^Aauth=Bearer t0ken123^Ahost=gw^Aport=25^A^A"
  check_echo("OAUTHBEARER bixhPWpvZSwBYXV0aD1CZWFyZXIgdDBrZW4xMjMBaG9zdD1ndwFwb3J0PTI1AQE=", "t0ken123");
  check_echo("XOAUTH2 " + std::string(3000, 'Q'), std::string(3000, 'Q'));
}

TEST_CASE("what is left of a line behind a loss is masked") {
  for (const char* sent : {"AUTH PLAIN ", "AUTH PLAIN\r\n"}) {
    Conversation c;
    c.open(0);
    std::string text(sent);
    c.chunk({From::sender, 0, 0, text});
    c.hole(From::sender, 0, 4);
    c.chunk({From::sender, 0, text.size() + 4, kSecret + "\r\n"});
    const std::vector<ByteRange> secrets = c.take_secrets(From::sender);
    REQUIRE_FALSE(secrets.empty());
    CHECK(secrets.back() == ByteRange{text.size() + 4, kSecret.size()});
  }
  Conversation c;
  c.open(0);
  c.chunk({From::sender, 0, 0, "AUTH PLAIN " + kSecret + "\r\n"});
  c.chunk({From::gateway, 0, 0, "535 not " + kSecret});
  CHECK(c.stable(From::gateway) == 0);
  c.hole(From::gateway, 0, 4);
  c.chunk({From::gateway, 0, 12 + kSecret.size(), "rest\r\n"});
  CHECK(c.take_secrets(From::gateway) == std::vector<ByteRange>{{4, 4 + kSecret.size()}, {12 + kSecret.size(), 4}});
}

TEST_CASE("after a loss inside AUTH no reply may repeat the secret until a command is granted") {
  const std::string secret = "DNROJmZTWt3KL0rP20Bi0a2CeIXscG85";
  Conversation c;
  uint64_t sent = 0, said = 0;
  const auto sender = [&](const std::string& text) {
    c.chunk({From::sender, 0, sent, text});
    sent += text.size();
  };
  const auto gateway = [&](const std::string& text) {
    c.chunk({From::gateway, 0, said, text});
    said += text.size();
  };
  c.open(0);
  gateway("220 gw\r\n");
  sender("AUTH LOGIN\r\n");
  gateway("334 VXNlcm5hbWU6\r\n");
  c.hole(From::sender, 0, 40);
  sent += 40;
  sender("\r\n");
  gateway("535 5.7.8 not " + secret + "\r\n");
  sender("*\r\n");
  gateway("535 5.7.8 not " + secret + "\r\n");
  gateway("535 5.7.8 not " + secret + "\r\n");
  sender("NOOP\r\n");
  gateway("501 5.5.2 cannot decode " + secret + "\r\n");
  sender("NOOP\r\n");
  gateway("250 ok\r\n");
  sender("NOOP\r\n");
  gateway("250 plain again\r\n");
  c.finish();
  for (const Event& e : c.events()) CHECK(e.text.find(secret) == std::string::npos);
  CHECK(c.events().back().text == "250 plain again");
}

TEST_CASE("an endless AUTH line stays masked to its end") {
  const std::string endless(150'000, 'Q');
  const Outcome o = settle(
      with_greeting({S("AUTH PLAIN " + endless + "\r\n"), G("500 too long\r\n"), S("QUIT\r\n"), G("221 bye\r\n")}));
  CHECK(o.written[0].find("QQ") == std::string::npos);
  CHECK(o.dump.find("code=221") != std::string::npos);
}

TEST_CASE("lines that nobody answers do not slow each other down") {
  std::string lines;
  for (int i = 0; i < 200'000; ++i) lines += "x\r\n";
  Conversation c;
  c.open(0);
  const auto began = std::chrono::steady_clock::now();
  c.chunk({From::sender, 0, 0, lines});
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
}
