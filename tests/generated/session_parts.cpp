#include <cctype>

#include "tests/generated/plan_maker.h"

namespace smtpscope {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

struct Refused {
  std::string_view text, note;
};

std::string in_base64(std::string_view what) {  // of what stands for credentials; the words are not looked at
  return std::string(what) + "==";
}

}  // namespace

PlanMaker::PlanMaker(Dice& dice) : dice_(dice), style_(dice.of(gateway_styles())) {}

void PlanMaker::say(std::string sent, std::string reply, Group group) {
  const bool follows = group == Group::member || group == Group::last;
  Exchange e{std::move(sent), std::move(reply), follows && groups_ && open_, 0, 0};
  open_ = group == Group::member || group == Group::first;
  if (slow_ && !e.grouped && dice_.chance(30)) e.sender_waits_us = static_cast<int64_t>(dice_.below(290)) * kSecondUs;
  if (slow_ && dice_.chance(30)) e.gateway_waits_us = static_cast<int64_t>(dice_.below(110)) * kSecondUs;
  plan_.exchanges.push_back(std::move(e));
}

std::string PlanMaker::cased(std::string_view command) {
  const size_t verb = std::min(command.find_first_of(" :"), command.size());
  const uint64_t how = dice_.below(6);
  std::string out(command);
  for (size_t i = 0; i < verb; ++i) {
    const auto c = static_cast<unsigned char>(out[i]);
    if (how == 0 || (how == 1 && dice_.chance(50))) out[i] = static_cast<char>(std::tolower(c));
  }
  // RFC 5321 4.1.1: blanks before the line end are taken.
  return out + (dice_.chance(2) ? " \r\n" : "\r\n");
}

std::string PlanMaker::ok(std::string_view text, int code) { return reply_of(dice_, code, text); }

void PlanMaker::greet() {
  say("", std::string(style_.greeting));
  if (slow_ && dice_.chance(30))
    plan_.exchanges.back().gateway_waits_us = static_cast<int64_t>(dice_.below(280)) * kSecondUs;
}

void PlanMaker::ehlo(bool starttls, bool pipe_connect) {
  std::string lines[9];
  size_t n = 0;
  if (pipe_connect) lines[n++] = dice_.chance(50) ? "PIPECONNECT" : "PIPE_CONNECT";
  const auto offer = [&](bool& flag, unsigned percent, std::string_view word) {
    flag = dice_.chance(percent);
    if (flag) lines[n++] = dice_.chance(5) ? filled(word, 'E', "e") : std::string(word);
  };
  offer(pipelining_, pipe_connect ? 100 : 75, "PIPELINING");
  offer(size_, 70, dice_.chance(80) ? "SIZE 36700160" : "SIZE");
  offer(eight_bit_, 80, "8BITMIME");
  offer(chunking_, 50, "CHUNKING");
  binary_ = false;
  if (chunking_) offer(binary_, 40, "BINARYMIME");
  offer(utf8_, 40, "SMTPUTF8");
  offer(dsn_, 50, "DSN");
  offer(auth_, 40, dice_.chance(80) ? "AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER" : "AUTH=PLAIN LOGIN");
  static constexpr std::string_view kFurther[] = {"ENHANCEDSTATUSCODES", "VRFY",           "ETRN",     "HELP",
                                                  "LIMITS MAILMAX=100",  "X-ANONYMOUSTLS", "DELIVERBY"};
  std::string reply = n == 0 && !starttls ? "250 " : "250-";
  reply.append(style_.hello) += "\r\n";
  if (starttls) reply += n == 0 ? "250 STARTTLS\r\n" : "250-STARTTLS\r\n";
  for (size_t i = 0; i < n; ++i) {
    if (dice_.chance(10)) reply += "250-" + std::string(dice_.of(kFurther)) + "\r\n";
    reply += (i + 1 == n ? "250 " : "250-") + lines[i] + "\r\n";
  }
  static constexpr std::string_view kNames[] = {"EHLO mx.sender.example", "EHLO [192.0.2.1]", "EHLO [IPv6:2001:db8::1]",
                                                "EHLO a", "EHLO xn--mnchen-3ya.example"};
  groups_ = open_ = pipe_connect;
  say(cased(dice_.of(kNames)), reply, pipe_connect ? Group::member : Group::alone);
  groups_ = pipelining_ && (pipe_connect || dice_.chance(70));
}

void PlanMaker::hello() {
  const uint64_t how = dice_.below(20);
  if (how == 0) {  // a gateway that knows only RFC 821
    say(cased("EHLO mx.sender.example"), ok("5.5.1 command not recognized", dice_.chance(50) ? 500 : 502));
    plan_.notes.insert("ehlo-not-understood");
  }
  if (how <= 2) return say(cased("HELO mx.sender.example"), ok(style_.hello));
  if (how == 3) return starttls();
  if (how == 4) return ehlo(false, true);  // Exim: the sender knows from before what the gateway offers
  const bool offers = dice_.chance(30);
  ehlo(offers);
  if (offers && dice_.chance(20)) refused_starttls();
  if (dice_.chance(3)) ehlo(false);  // RFC 5321 4.1.4: it may come again
  if (auth_ && dice_.chance(60)) auth();
}

void PlanMaker::refused_starttls() {
  static constexpr Refused kTexts[] = {{"454 4.7.0 TLS not available due to local problem\r\n", "starttls-unavailable"},
                                       {"502 5.5.1 Error: command not implemented\r\n", "starttls-refused"}};
  const Refused& refused = dice_.of(kTexts);
  say(cased("STARTTLS"), std::string(refused.text));
  plan_.notes.insert(refused.note);
}

void PlanMaker::starttls() {
  ehlo(true);
  groups_ = false;
  say(cased("STARTTLS"), ok("2.0.0 Ready to start TLS", 220));
  using namespace std::string_literals;
  say("\x16\x03\x01\x00\x31\x01\x00\x00\x2d\x03\x03"s + std::string(32, 'a') +
          "\x00\x00\x02\x13\x01\x01\x00\x00\x02\x00\x00"s,
      "\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x03"s + std::string(32, 'b') + "\x00\x13\x01\x00\x00\x00"s +
          "\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x20"s + std::string(32, 'c'));
  say("\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x20"s + std::string(32, 'd'), "");
  for (uint64_t i = dice_.between(1, 6); i > 0; --i) {
    const auto size = static_cast<char>(dice_.between(17, 120));
    const std::string record = "\x17\x03\x03\x00"s + size;
    say(record + std::string(static_cast<size_t>(size), static_cast<char>(dice_.below(256))),
        record + std::string(static_cast<size_t>(size), static_cast<char>(dice_.below(256))));
  }
  plan_.verdict = Verdict::unknown;
}

void PlanMaker::auth() {
  if (dice_.chance(15)) {  // a wrong password at first, or a sender that thinks again
    if (dice_.chance(50)) {
      say(cased("AUTH PLAIN AGEAd3Jvbmc="), ok("5.7.8 Error: authentication failed", 535));
      plan_.notes.insert("auth-failed");
    } else {
      say(cased("AUTH LOGIN"), "334 VXNlcm5hbWU6\r\n");
      say("*\r\n", ok("5.7.0 Authentication aborted", 501));
      plan_.notes.insert("auth-cancelled");
    }
  }
  auth_accepted();
}

void PlanMaker::auth_accepted() {
  const std::string good = ok("2.7.0 Authentication successful", 235);
  switch (dice_.below(8)) {
    case 0:
      return say(cased("AUTH PLAIN AGEAYg=="), good);
    case 1:
      say(cased("AUTH PLAIN"), "334 \r\n");
      return say(in_base64("AGEAYg") + "\r\n", good);
    case 2:
      say(cased("AUTH LOGIN"), "334 VXNlcm5hbWU6\r\n");
      say("YQ==\r\n", "334 UGFzc3dvcmQ6\r\n");
      return say(in_base64("Yg") + "\r\n", good);
    case 3:
      say(cased("AUTH LOGIN YQ=="), "334 UGFzc3dvcmQ6\r\n");
      return say(in_base64("Yg") + "\r\n", good);
    case 4:
      say(cased("AUTH CRAM-MD5"), "334 PDEyMzQuNTY3OEBndy5leGFtcGxlPg==\r\n");
      return say("YSBiOTEzYTYwMmM3ZWRhN2E0OTViNGU2ZTczMzRkMzg5MA==\r\n", good);
    case 5:
      return say(cased("AUTH XOAUTH2 dXNlcj1hAWF1dGg9QmVhcmVyIHh5egEB"), good);
    case 6:
      say(cased("AUTH OAUTHBEARER"), "334\r\n");
      return say("bixhPWEsAWF1dGg9QmVhcmVyIHh5egEB\r\n", good);
    default:
      say(cased("AUTH SCRAM-SHA-256 biwsbj1hLHI9Yg=="), "334 cj1iYyxzPWQsaT00MDk2\r\n");
      say("Yz1iaXdzLHI9YmMscD1l\r\n", "334 dj1m\r\n");
      return say("\r\n", good);  // an empty response is one
  }
}

void PlanMaker::between() {
  if (++idle_commands_ > 15) return;  // more are a flood
  switch (dice_.below(9)) {
    case 6:
      return say(cased("XFORWARD NAME=a.sender.example ADDR=192.0.2.7 HELO=a"), ok(style_.ok));
    case 7:  // a line end too many, as some clients send behind a message; most gateways pass over it
      return say("\r\n", "");
    case 8:
      say("\r\n", ok("5.5.2 Error: bad syntax", 500));
      plan_.notes.insert("command-unknown");
      return;
    case 0:
      return say(cased("NOOP"), ok(style_.ok), Group::last);
    case 1:
      return say(cased("NOOP and some words"), ok(style_.ok));
    case 2:
      return say(cased("HELP"), dice_.chance(50)
                                    ? "214-Commands supported:\r\n214 AUTH HELO EHLO MAIL RCPT DATA BDAT QUIT\r\n"
                                    : "214 2.0.0 https://gw.example/help\r\n");
    case 3:
      return say(cased("VRFY b"), ok("2.0.0 b", dice_.chance(50) ? 250 : 252), Group::last);
    case 4:
      say(cased("VRFY root"), ok("5.5.1 VRFY command is disabled", 502));
      plan_.notes.insert("command-unknown");
      return;
    default:
      say(cased("EXPN staff"), ok("5.1.1 User unknown", 550));
      plan_.notes.insert("refused-other");
  }
}

void PlanMaker::end() {
  const bool mail = plan_.verdict == Verdict::delivered;
  plan_.ending = static_cast<Ending>(dice_.below(3));
  const bool tls = plan_.verdict == Verdict::unknown;
  // Who does nothing for a while and then leaves without a word was no probe.
  must_quit_ = must_quit_ || (slow_ && plan_.verdict == Verdict::no_mail);
  const bool quits = !tls && (must_quit_ || dice_.chance(85));
  if (quits) {  // who says QUIT after a long silence in which replies were due has given up waiting
    say(cased("QUIT"), ok(style_.bye, 221), plan_.drips ? Group::alone : Group::last);
    if (dice_.chance(10)) plan_.ending = dice_.chance(50) ? Ending::reset : Ending::gateway_left_behind;
  } else if (!tls && mail && dice_.chance(20)) {  // the gateway is the first to think that it is over
    say("", ok("4.4.2 gw.example Error: timeout exceeded", 421));
    plan_.exchanges.back().gateway_waits_us = 300 * kSecondUs;
    plan_.ending = Ending::gateway_closes;
    plan_.notes.insert("sender-idle");
  } else if (plan_.ending == Ending::gateway_closes && !tls) {
    plan_.ending = Ending::sender_closes;
  }
  if (plan_.ending == Ending::without_waiting && !quits)
    plan_.ending = Ending::sender_closes;  // who leaves without QUIT and the last reply leaves too soon
  if (mail) plan_.notes.insert("left-without-goodbye");
  if (plan_.verdict == Verdict::no_mail) plan_.notes.insert("tls-not-offered");
}

Plan PlanMaker::make() {
  slow_ = dice_.chance(4);
  plan_.drips = slow_ && dice_.chance(50);
  if (slow_)
    plan_.notes.insert({"banner-slow", "banner-paused", "tarpit", "helo-slow", "mail-slow", "rcpt-slow", "data-slow",
                        "final-reply-slow", "reply-slow"});
  if (dice_.chance(1)) {  // a port probe
    plan_.verdict = Verdict::no_mail;
    plan_.ending = Ending::sender_closes;
    if (dice_.chance(50)) greet();
    return std::move(plan_);
  }
  greet();
  hello();
  if (plan_.verdict == Verdict::unknown) {
    end();
    return std::move(plan_);
  }
  const uint64_t messages = dice_.chance(90) ? dice_.between(1, 3) : dice_.chance(50) ? 0 : dice_.between(4, 12);
  if (dice_.chance(15)) between();
  for (uint64_t i = 0; i < messages; ++i) {
    if (dice_.chance(6)) callout();
    if (dice_.chance(8)) say(cased("RSET"), ok(style_.ok), Group::member);
    message();
    if (dice_.chance(2)) ehlo(false);
    if (dice_.chance(8)) between();
  }
  const bool wanted_tls = plan_.notes.contains("starttls-unavailable") || plan_.notes.contains("starttls-refused");
  if (messages == 0 && wanted_tls)
    message();  // who leaves because TLS was refused meant to send: that is no health
  else if (messages == 0) {
    plan_.verdict = Verdict::no_mail;
    if (dice_.chance(50)) callout(true);
  }
  end();
  return std::move(plan_);
}

}  // namespace smtpscope
