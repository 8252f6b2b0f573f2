// What the protocol does not allow: commands sent too soon, replies out of step, bytes that no mail may hold, ends of
// data that are none. Most of it goes well with one gateway and breaks with the next, so most of it are notes.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "capture/diagnosis/body_stall.h"
#include "capture/diagnosis/reply_match.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"
#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

constexpr std::string_view kQuiet = "use hello mail rcpt data body accepted bye\n";
#define PLAIN_HELLO "G 220 gw.example ESMTP\nS EHLO mx.sender.example\nG 250 gw.example\n"
#define HEADER "S Subject: a test\nS \n"

int32_t count_of(const View& v) { return static_cast<int32_t>(v.events.size()); }

bool is_sent(const Event& e) {
  return e.from == From::sender &&
         (e.kind == Event::Kind::body || (e.kind == Event::Kind::command && e.verb != Verb::none));
}

/// What the sender sent next behind this command if it did not wait for the reply; -1 if it did. A sender that gives up
/// waiting is another matter.
int32_t overtaken_by(const View& v, int32_t command) {
  const Event& asked = *v.at(command);
  for (int32_t i = command + 1; i < count_of(v); ++i) {
    const Event& next = *v.at(i);
    if (!is_sent(next)) continue;
    const int64_t answered = v.answered_at(command);
    return answered != INT64_MAX && next.at_us < answered && next.at_us - asked.end_us < kImpatient ? i : -1;
  }
  return -1;
}

bool ends_group(Verb verb) {  // RFC 2920 3.1
  switch (verb) {
    case Verb::ehlo:
    case Verb::helo:
    case Verb::lhlo:
    case Verb::data:
    case Verb::vrfy:
    case Verb::expn:
    case Verb::turn:
    case Verb::noop:
    case Verb::auth:
      return true;
    default:
      return false;
  }
}

bool is_known(Verb verb) {
  return verb != Verb::none && verb != Verb::unknown && verb != Verb::http && verb != Verb::auth_response;
}

std::optional<Match> sent_too_soon(const View& v, bool offered) {
  const Event* banner = v.at(v.banner);
  if (banner == nullptr) return std::nullopt;
  const bool pipelining = v.offers("PIPELINING");
  for (int32_t i = 0; i < count_of(v); ++i) {
    const Event& e = *v.at(i);
    if (e.kind != Event::Kind::command || !is_known(e.verb) || e.at_us < banner->end_us) continue;
    // A BDAT's chunk, a QUIT's silence and STARTTLS have nothing or rules of their own behind them.
    if (e.verb == Verb::bdat || e.verb == Verb::quit || e.verb == Verb::starttls) continue;
    const bool hello = e.verb == Verb::ehlo || e.verb == Verb::helo || e.verb == Verb::lhlo;
    const bool sync = hello || pipelining;
    if (sync != offered || (sync && !ends_group(e.verb)) || (!hello && v.helo_ok < 0)) continue;
    const int32_t next = overtaken_by(v, i);
    if (next < 0) continue;
    Match m = match_event(v, next);
    m.phase = v.at(next)->phase;
    m.why = fmt::format("The sender did not wait for the reply to {} before it went on.", name(e.verb));
    return m;
  }
  return std::nullopt;
}

/// The first message with such bytes, and where they are.
std::optional<Match> odd_bytes(const View& v, BodyOddities::Seen BodyOddities::*which, uint64_t length,
                               std::string_view what) {
  for (const Message& message : v.messages) {
    const BodyOddities::Seen& seen = message.odd.*which;
    const Event* body = v.at(message.body);
    if (seen.count == 0 || body == nullptr || message.odd.ended_at_look_alike) continue;
    Match m = match_event(v, message.body);
    m.offset = seen.first;
    m.length = length;
    m.got = fmt::format("{}{}, the first at byte {} of the message",
                        which == &BodyOddities::eight_bit ? std::string() : std::to_string(seen.count) + " ", what,
                        seen.first - body->offset);
    return m;
  }
  return std::nullopt;
}

std::optional<Match> look_alike(const View& v, const Message& message) {
  if (message.odd.look_alike.count == 0 || v.at(message.body) == nullptr) return std::nullopt;
  Match m = match_event(v, message.body);
  m.offset = message.odd.look_alike.first;
  m.length = message.odd.look_alike_length;
  m.got = fmt::format("a lone dot between other line ends than CR LF, at byte {} of the message",
                      m.offset - v.at(message.body)->offset);
  return m;
}

/// "Subject: ..." and the like: what headers begin with, and commands do not.
bool looks_like_header(std::string_view line) {
  static constexpr std::array<std::string_view, 14> kNames{
      "received:", "from:",   "to:",          "cc:",           "subject:",      "date:",           "message-id:",
      "reply-to:", "sender:", "return-path:", "mime-version:", "content-type:", "dkim-signature:", "x-"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view n) { return starts_with_nocase(line, n) && line.find(':') != line.npos; });
}

/// Does this reply not fit what it answers? Extensions' commands may have replies of their own.
bool wrong_kind(const Event& reply, const Event& asked) {
  const bool positive = reply.code >= 200 && reply.code < 300, go_on = reply.code >= 300 && reply.code < 400;
  if (asked.kind == Event::Kind::body) return false;
  switch (asked.verb) {
    case Verb::data:
      return positive;
    case Verb::ehlo:
    case Verb::helo:
    case Verb::mail:
    case Verb::rcpt:
    case Verb::bdat:
    case Verb::rset:
    case Verb::noop:
    case Verb::quit:
      return go_on || reply.code == 235;
    default:
      return false;
  }
}

/// Is this line of the EHLO reply, or this command, one that a firewall wrote over?
bool crossed_out(std::string_view word) {
  return word.size() >= 4 && word.substr(0, 4) == "XXXX" && word.find_first_not_of("XABCD") == word.npos;
}

std::string_view first_word(std::string_view line) { return line.substr(0, line.find_first_of(" \r\n")); }

std::optional<Match> rewritten(const View& v) {
  for (int32_t i = 0; i < count_of(v); ++i) {
    const Event& e = *v.at(i);
    std::string_view text = e.text;
    if (e.kind == Event::Kind::command && e.verb == Verb::unknown && crossed_out(first_word(text))) {
      Match m = match_event(v, i);
      m.why = "A command of the sender arrived here crossed out: a firewall between the sender and this host did that.";
      return m;
    }
    if (e.kind != Event::Kind::reply) continue;
    bool found = i == v.banner && e.code == 220 && std::count(text.begin(), text.end(), '*') >= 6 &&
                 text.find_first_not_of("*0123456789 -") == text.npos;
    if (i == v.helo_ok)
      for (; !text.empty() && !found; text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1))
        found = text.size() > 4 && crossed_out(first_word(text.substr(4)));
    if (!found) continue;
    Match m = match_event(v, i);
    m.why =
        "The gateway's reply arrived here with words crossed out: a firewall between this host and the gateway did "
        "that.";
    return m;
  }
  return std::nullopt;
}

std::optional<Match> malformed_reply(const View& v) {
  const Event* banner = v.at(v.banner);
  if (banner == nullptr || banner->code == 0 || v.c.counts.gaps > 0) return std::nullopt;
  int32_t last = -1;
  for (int32_t i = 0; i < count_of(v); ++i)
    if (v.at(i)->kind == Event::Kind::reply) last = i;
  for (int32_t i = 0; i < count_of(v); ++i) {
    const Event& e = *v.at(i);
    if (e.kind != Event::Kind::reply) continue;
    // postscreen's greeting is a first line, and what comes later may have another code.
    const bool changes = i != v.banner && !e.complete && i < last && (v.first_close < 0 || i < v.first_close);
    if (e.code != 0 && !changes && !e.bare_lf) continue;
    Match m = match_event(v, i);
    m.phase = e.phase;
    m.why = e.code == 0 ? "A line of the gateway does not begin with a three-digit code."
            : changes   ? "The lines of one reply carry different codes."
                        : "A line of a reply ends in LF without CR.";
    return m;
  }
  return std::nullopt;
}

constexpr Rule kRules[] = {
    {.code = "pipelining-not-offered",
     .title = "The sender sends commands in groups, which the gateway did not offer",
     .kind = Rule::Kind::note,
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "one command at a time: the EHLO reply has no PIPELINING",
     .why = "The sender did not wait for the reply to a command before it sent the next.",
     .advice = "If the session failed, ask the sender to turn pipelining off for this destination. If the gateway does "
               "have PIPELINING, look for a firewall that takes the word out of its EHLO reply.",
     .references = {"RFC 2920 3.1", "RFC 5321 4.1.4"},
     .fires = PLAIN_HELLO "S MAIL FROM:<a@b.example>\nS!RCPT TO:<x@gw.example>\nG 250 ok\nG 250 ok\n"
                          "use data body accepted bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example>\nS RCPT TO:<x@gw.example>\nG 250 ok\nG 250 ok\n"
              "use data body accepted bye\n",
     .check = [](const View& v) { return sent_too_soon(v, false); }},
    {.code = "pipelining-past-sync",
     .title = "The sender went on where it has to wait for the reply",
     .kind = Rule::Kind::note,
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "nothing behind EHLO, DATA, AUTH, NOOP, VRFY and EXPN until they are answered",
     .why = "The sender did not wait for a reply that decides how to go on.",
     .advice =
         "Gateways with protocol checks (Postfix: postscreen, reject_unauth_pipelining; Exim) refuse such senders, "
         "and a refused DATA turns the message into commands. Ask the sender to mend its client; spam software "
         "does this too.",
     .references = {"RFC 2920 3.1"},
     .fires = "use hello\nS NOOP\nS!MAIL FROM:<a@b.example>\nG 250 ok\nG 250 ok\nuse rcpt data body accepted bye\n",
     .quiet = "use hello\nS NOOP\nG 250 ok\nuse mail rcpt data body accepted\nS MAIL FROM:<a@b.example>\n"
              "S RCPT TO:<x@gw.example>\nS DATA\nG 250 ok\nG 250 ok\nG 354 go\nuse body\nS QUIT\nuse accepted\n"
              "G 221 bye\nG fin\nS fin\n",
     .check = [](const View& v) { return sent_too_soon(v, true); }},
    {.code = "starttls-injection",
     .title = "Commands came behind STARTTLS in the clear",
     .kind = Rule::Kind::note,
     .phase = Phase::starttls,
     .party = Party::sender,
     .expected = "nothing behind STARTTLS until the gateway's 220, then a TLS ClientHello",
     .why = "The sender sent a command behind STARTTLS without waiting. A gateway that keeps it takes it for a command "
            "from inside TLS: that is how commands are smuggled into others' sessions.",
     .advice = "If this host is not a security scanner of yours, find out who sits between the sender and the gateway: "
               "mail servers do not do this. Check that the gateway throws such commands away (CVE-2011-0411).",
     .references = {"RFC 3207 4.2", "RFC 3207 6"},
     .fires = "use hello\nS STARTTLS\nS!NOOP\nG 454 4.5.0 no commands allowed to pipeline after STARTTLS\nG 250 ok\n"
              "use mail rcpt data body accepted bye\n",
     .quiet = "use hello\nS STARTTLS\nG 454 4.7.0 not now\nuse mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (int32_t i = 0; i < count_of(v); ++i) {
         if (v.at(i)->verb != Verb::starttls) continue;
         const int32_t next = overtaken_by(v, i);
         if (next >= 0 && v.at(next)->verb != Verb::quit) {
           Match m = match_event(v, next);
           m.phase = Phase::starttls;
           return m;
         }
       }
       return std::nullopt;
     }},
    {.code = "firewall-rewrites-smtp",
     .title = "A firewall rewrites the SMTP dialogue",
     .phase = Phase::helo,
     .party = Party::network,
     .expected = "commands and replies as the two sides sent them",
     .why = "Words of the dialogue are crossed out with X or *.",
     .advice = "Turn SMTP inspection off on the firewall on this way (Cisco ASA and PIX: no inspect esmtp, no fixup "
               "protocol smtp). Until then EHLO, STARTTLS and large messages fail in ways that look like faults of the "
               "mail servers.",
     .references = {"RFC 5321 4.1.1.1", "RFC 3207 6"},
     .fires = "G 220 gw.example ESMTP\nS!XXXX mx.sender.example\nG 500 5.5.1 command not recognized\nuse bye\n",
     .quiet = "G 220 *** gw.example *** 2 ESMTP\nS EHLO a.example\nG~250-gw.example\\r\\n250 XFORWARD\\r\\n\n"
              "use mail rcpt data body accepted bye\n",
     .check = rewritten},
    {.code = "replies-out-of-step",
     .title = "A reply of the gateway does not fit what it answers",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "one reply for each command, of the kind that the command asks for",
     .why = "The two sides have lost step: from here on each reply may belong to another command.",
     .advice = "Count commands and replies above this line: one was answered twice or not at all. Look for a content "
               "filter, proxy or load balancer in front of the gateway that speaks SMTP itself, and ask the sender to "
               "turn pipelining off to see whether it goes away.",
     .references = {"RFC 5321 4.1.4", "RFC 5321 4.3.2"},
     .fires = "use hello mail rcpt\nS DATA\nG!250 2.1.5 Ok\n+300\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt data body accepted\n+300\nG 421 4.4.2 timeout\nG fin\nS fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       const Event* banner = v.at(v.banner);
       if (banner == nullptr || banner->code != 220 || v.c.tls || v.c.counts.gaps > 0 || v.first_sent < 0)
         return std::nullopt;
       for (int32_t i = v.banner + 1; i < count_of(v) && (v.first_close < 0 || i < v.first_close); ++i) {
         const Event& e = *v.at(i);
         if (e.kind != Event::Kind::reply || e.code < 200 || e.code >= 400 || !e.complete) continue;
         const Event* asked = v.at(e.answers);
         if (asked == nullptr ? v.quit >= 0 && v.quit < i : !wrong_kind(e, *asked)) continue;
         Match m = match_event(v, i);
         m.phase = e.phase;
         m.why = (asked == nullptr ? std::string("A reply came that nothing was owed for")
                                   : fmt::format("{} was answered with {}", name(asked->verb), e.code)) +
                 ": the two sides have lost step, and each reply may belong to another command.";
         return m;
       }
       return std::nullopt;
     }},
    {.code = "reply-malformed",
     .title = "A reply of the gateway is malformed",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "lines of the same three-digit code, a hyphen behind it on all but the last, each ending in CR LF",
     .why = "The gateway's reply is not of the form that senders rely on.",
     .advice =
         "Senders read such a reply in different ways: some wait for more, some give up. Look for what makes this "
         "line (a banner text, a content filter's rule, a script in front of the gateway) and mend it there.",
     .references = {"RFC 5321 4.2", "RFC 5321 4.2.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!4.7.0 [IPTS04] Messages temporarily deferred\n+1\nG fin\nS "
              "fin\n",
     .quiet = kQuiet,
     .check = malformed_reply},
    {.code = "message-without-data",
     .title = "The sender sent its message where commands are due",
     .phase = Phase::data,
     .party = Party::sender,
     .expected = "DATA, and the message behind the gateway's 354",
     .why = "Header lines came as commands: no DATA stood before them.",
     .advice = "Ask the sender to mend its client: it has to send DATA, wait for 354, and only then the message. If it "
               "is sure that it does, a device between drops its DATA.",
     .references = {"RFC 5321 3.3", "RFC 5321 4.1.1.4"},
     .fires = "use hello mail rcpt\nS!Subject: a test\nG 500 5.5.2 Error: command not recognized\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt\nS DATA\nG 554 5.7.1 no\nS Subject: a test\nG 500 5.5.2 unknown\nuse bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (int32_t i = 0; i < count_of(v); ++i) {
         const Event& e = *v.at(i);
         if (e.kind != Event::Kind::command) continue;
         if (e.verb == Verb::data || e.verb == Verb::bdat) return std::nullopt;
         if (e.verb != Verb::unknown || !looks_like_header(e.text)) continue;
         Match m = match_event(v, i);
         m.phase = Phase::data;
         return m;
       }
       return std::nullopt;
     }},
    {.code = "message-ended-early",
     .title = "A message ended at a dot in its own text, and its rest came as commands",
     .kind = Rule::Kind::note,
     .phase = Phase::end_of_data,
     .party = Party::sender,
     .expected = "a second dot in front of each line of the message that begins with a dot",
     .why = "Behind the final dot came text at once, which is no command: a line of the message that holds a dot alone "
            "was not doubled, so the gateway took it for the end. What the recipient got is cut off there.",
     .advice =
         "Ask the sender to mend its software: it has to double the dot at a line's beginning. The message should "
         "be sent again, as what was accepted is not whole.",
     .references = {"RFC 5321 4.5.2"},
     .fires = "use hello mail rcpt data\n" HEADER
              "S Hello.\nS .\nS!and so on\nS .\nuse accepted\nG 500 5.5.2 unknown\nG 500 5.5.2 unknown\nuse bye\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S Hello.\nS ..\nS and so on\nS .\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (const Message& message : v.messages) {
         const Event* body = v.at(message.body);
         const Event* reply = v.at(message.final_reply);
         if (body == nullptr || reply == nullptr || message.bdat || message.odd.ended_at_look_alike) continue;
         int32_t next = message.body + 1;
         while (next < count_of(v) && !is_sent(*v.at(next))) ++next;
         const Event* e = v.at(next);
         if (e == nullptr || e->verb != Verb::unknown || e->at_us >= reply->at_us) continue;
         Match m = match_event(v, next);
         m.phase = Phase::end_of_data;
         return m;
       }
       return std::nullopt;
     }},
    {.code = "missing-final-dot",
     .title = "The sender ended its message with a dot that is no end",
     .phase = Phase::end_of_data,
     .party = Party::sender,
     .expected = "CR LF, a dot, CR LF",
     .why =
         "The message stops behind a lone dot whose line ends are not CR LF on both sides. The gateway waits for the "
         "end, and the sender for its reply.",
     .advice = "Ask the sender to mend its software: lines end in CR LF, and the message in CR LF, dot, CR LF. If the "
               "dot came and only its CR LF is missing, look for a firewall with SMTP inspection on the way.",
     .references = {"RFC 5321 4.1.1.4", "RFC 5321 2.3.8"},
     .fires =
         "use hello mail rcpt data\n" HEADER "S~Hello.\\n.\\n\n!\n+300\nG 421 4.4.2 timeout exceeded\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S~Hello.\\n.\\n\n+2\nS .\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (stall_of(v) != Stall::at_dot) return std::nullopt;
       Match m = match_stall(v);
       m.phase = Phase::end_of_data;
       m.got = "a lone dot with other line ends, then " + m.got;
       return m;
     }},
    {.code = "look-alike-taken",
     .title = "The gateway took a look-alike for the end of the message",
     .kind = Rule::Kind::note,
     .phase = Phase::end_of_data,
     .party = Party::gateway,
     .expected = "a message that goes on until CR LF, dot, CR LF",
     .why = "The gateway ended the message at a lone dot whose line ends are not CR LF.",
     .advice = "The gateway can be used for SMTP smuggling: update it and forbid bare line ends (Postfix: "
               "smtpd_forbid_bare_newline = normalize; Cisco: CR and LF handling of the listener set to reject or "
               "clean). Look at the commands behind this point: they may carry a forged message.",
     .references = {"RFC 5321 4.1.1.4", "RFC 5321 2.3.8"},
     .fires = "use hello mail rcpt data\n" HEADER
              "S~Hello.\nS!~\\n.\\n\nS MAIL FROM:<boss@gw.example>\nS RCPT TO:<b@gw.example>\nuse accepted\nG 250 ok\n"
              "G 250 ok\nuse data body accepted bye\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S~Hello.\\n.\\n\nS MAIL FROM:<boss@gw.example>\nS .\nuse accepted "
              "bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (const Message& message : v.messages) {
         if (!message.odd.ended_at_look_alike || !message.accepted) continue;
         Match m = *look_alike(v, message);
         m.phase = Phase::end_of_data;
         const int64_t answered = v.at(message.final_reply) != nullptr ? v.at(message.final_reply)->at_us : 0;
         const bool more = std::any_of(v.events.begin() + message.body, v.events.end(), [&](const Event& e) {
           return e.kind == Event::Kind::command && e.at_us < answered && e.verb != Verb::quit && e.verb != Verb::none;
         });
         m.why = more
                     ? "The gateway ended the message at a lone dot whose line ends are not CR LF, and took what stood "
                       "behind it in the message for commands: that is SMTP smuggling, and it worked."
                     : "The gateway ended the message at a lone dot whose line ends are not CR LF. Nothing stood "
                       "behind it, so here it only helped a sender with wrong line ends.";
         if (!more) m.confidence = Confidence::likely;
         return m;
       }
       return std::nullopt;
     }},
    {.code = "end-look-alike",
     .title = "The message holds a look-alike of its end, which the gateway did not take",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "a lone dot only between CR LF, as the end of the message",
     .why = "A lone dot stands in the message between other line ends than CR LF. Some servers end the message there "
            "and take the rest for commands (SMTP smuggling); this gateway did not.",
     .advice =
         "If commands (MAIL FROM, RCPT TO) stand behind it in the message, somebody tries to smuggle mail: report "
         "it to the sender's operator. Check that servers behind the gateway get these line ends cleaned.",
     .references = {"RFC 5321 4.1.1.4", "RFC 5321 2.3.8"},
     .fires = "use hello mail rcpt data\n" HEADER
              "S~Hello.\nS!~\\n.\\n\nS MAIL FROM:<boss@gw.example>\nS .\nuse accepted bye\n",
     .quiet =
         "use hello mail rcpt data\n" HEADER "S Hello.\nS ..\nS MAIL FROM:<boss@gw.example>\nS .\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (const Message& message : v.messages)
         if (!message.odd.ended_at_look_alike && message.odd.look_alike.count > 0 && !message.odd.stops_at_dot)
           return look_alike(v, message);
       return std::nullopt;
     }},
    {.code = "body-bare-lf",
     .title = "Lines of the message end in LF alone",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "lines that end in CR LF",
     .why = "The sender's software sends lines as Unix files hold them.",
     .advice =
         "Ask the sender to mend its software (often a script that writes \\n to the socket): gateways refuse such "
         "mail more and more, and the others may change it, which breaks DKIM signatures.",
     .references = {"RFC 5321 2.3.8"},
     .fires = "use hello mail rcpt data\n" HEADER "S~Hello\nS!~\\n\nS Bye\nS .\nuse accepted bye\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return odd_bytes(v, &BodyOddities::bare_lf, 1, "LF without CR"); }},
    {.code = "body-bare-cr",
     .title = "The message holds CR that ends no line",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "CR only in CR LF",
     .why =
         "A carriage return stands in the message without a line feed: text of an old Macintosh, progress output of a "
         "program, or binary data that was not encoded.",
     .advice = "Ask the sender to encode such text or attachments (quoted-printable, base64). Servers on the way may "
               "drop the CR or make a line end of it, which breaks the content and DKIM signatures.",
     .references = {"RFC 5321 2.3.8", "RFC 5322 2.3"},
     .fires = "use hello mail rcpt data\n" HEADER "S~Hello\nS!~\\r\nS Bye\nS .\nuse accepted bye\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return odd_bytes(v, &BodyOddities::bare_cr, 1, "CR without LF"); }},
    {.code = "body-nul",
     .title = "The message holds NUL bytes",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "text",
     .why =
         "NUL may not stand in a message: a binary file or text in UTF-16 was sent without encoding, or the file was "
         "damaged on a disk.",
     .advice =
         "Ask the sender to encode attachments in base64 and text in UTF-8. Servers cut the line at the NUL, drop "
         "it, or refuse the message.",
     .references = {"RFC 5322 2.3", "RFC 2045 2.7"},
     .fires = "use hello mail rcpt data\n" HEADER "S~Hello\nS!~\\x00\nS Bye\nS .\nuse accepted bye\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return odd_bytes(v, &BodyOddities::nul, 1, "NUL bytes"); }},
    {.code = "body-8bit-not-offered",
     .title = "The message holds 8-bit bytes, which the gateway did not offer to take",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "bytes up to 127: the EHLO reply has no 8BITMIME",
     .why = "The sender sends 8-bit text to a gateway that names no 8BITMIME. The gateway may clear the highest bit or "
            "refuse the message.",
     .advice = "If the text arrives garbled, this is why: turn 8BITMIME on at the gateway, or look for a firewall that "
               "takes the word out of its EHLO reply; else the sender has to encode (quoted-printable, base64).",
     .references = {"RFC 6152 3", "RFC 5321 2.4"},
     .fires = PLAIN_HELLO "use mail rcpt data\n" HEADER "S~Gr\nS!~\\xfc\nS~n\\r\\n\nS .\nuse accepted bye\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S~Gr\\xfcn\\r\\n\nS .\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (v.helo_ok < 0 || v.offers("8BITMIME")) return std::nullopt;
       return odd_bytes(v, &BodyOddities::eight_bit, 1, "a byte above 127");
     }},
    {.code = "body-long-lines",
     .title = "Lines of the message are longer than 1000 bytes",
     .kind = Rule::Kind::note,
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "lines of at most 1000 bytes with their CR LF",
     .why = "Lines of more than 998 characters are not allowed. This gateway may break them, which puts blanks or line "
            "ends into words and links and breaks DKIM signatures; others refuse the message.",
     .advice = "Ask the sender to encode such text (quoted-printable, base64): most often it is HTML written in one "
               "line.",
     .references = {"RFC 5321 4.5.3.1.6", "RFC 5322 2.1.1"},
     .fires = "use hello mail rcpt data\n" HEADER "!\nS line 1200\nS .\nuse accepted bye\n",
     .quiet = "use hello mail rcpt data\n" HEADER "S line 1000\nS .\nuse accepted bye\n",
     .check = [](const View& v) { return odd_bytes(v, &BodyOddities::long_line, 0, "lines over 1000 bytes"); }},
    {.code = "command-over-limit",
     .title = "A command line is longer than the protocol allows",
     .kind = Rule::Kind::note,
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "a command of at most 512 bytes, more only for MAIL, RCPT and AUTH with their parameters",
     .why = "The sender sent a command line that is longer than servers have to take.",
     .advice = "Look at the line: text of a message in the place of a command means that the two sides disagree about "
               "where the message ended; a very long address or name is mostly an attack or a fault of the software. "
               "Firewalls drop such lines.",
     .references = {"RFC 5321 4.5.3.1.4"},
     .fires = "use hello\nS!line 600\nG 500 5.5.1 unknown\nuse mail rcpt data body accepted bye\n",
     .quiet = "use hello\nS line 500\nG 500 5.5.1 unknown\nuse mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (int32_t i = 0; i < count_of(v); ++i) {
         const Event& e = *v.at(i);
         if (e.kind != Event::Kind::command) continue;
         // 512, and what extensions add: RFC 1870, 3461, 4954, 6152, 6531.
         const bool auth = e.verb == Verb::auth || e.verb == Verb::auth_response;
         const uint64_t limit = auth                   ? 12'288
                                : e.verb == Verb::mail ? 512 + 26 + 17 + 10 + 500 + 107
                                : e.verb == Verb::rcpt ? 512 + 500
                                                       : 512;
         if (e.bytes <= limit) continue;
         Match m = match_event(v, i);
         m.phase = e.phase;
         m.why = fmt::format("The sender sent a command line of {} bytes; {} are allowed.", e.bytes, limit);
         return m;
       }
       return std::nullopt;
     }},
#define NOOPS "S NOOP\nG 250 ok\nS NOOP\nG 250 ok\nS NOOP\nG 250 ok\nS NOOP\nG 250 ok\nS NOOP\nG 250 ok\n"
    {.code = "command-flood",
     .title = "The sender sends one idle command after the other",
     .kind = Rule::Kind::note,
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "MAIL, or QUIT if there is no mail",
     .why = "More than 20 commands in a row had nothing to do with a message (NOOP, VRFY, EXPN, HELP, unknown ones).",
     .advice = "NOOP again and again is a client that keeps a connection open: have it close idle ones. VRFY and EXPN "
               "look for addresses, unknown commands are a scanner or a message that came as commands: block the host "
               "if it is not a partner's.",
     .references = {"RFC 5321 4.1.1.9", "RFC 5321 7.3"},
     .fires = "use hello\nS!NOOP\nG 250 ok\n" NOOPS NOOPS NOOPS NOOPS "use bye\n",
     .quiet = "use hello\n" NOOPS NOOPS "use mail rcpt data body accepted\n" NOOPS NOOPS "use bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       int32_t first = -1;
       size_t row = 0;
       for (int32_t i = 0; i < count_of(v); ++i) {
         const Event& e = *v.at(i);
         if (e.kind != Event::Kind::command || e.verb == Verb::none) continue;
         const bool idle = e.verb == Verb::noop || e.verb == Verb::vrfy || e.verb == Verb::expn ||
                           e.verb == Verb::help || e.verb == Verb::unknown;
         if (!idle) row = 0;
         if (idle && row++ == 0) first = i;
         if (row <= 20) continue;
         Match m = match_event(v, first);
         m.phase = Phase::idle;
         return m;
       }
       return std::nullopt;
     }},
    {.code = "directory-harvest",
     .title = "The gateway ended the session after a row of unknown recipients",
     .kind = Rule::Kind::note,
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "recipients that exist",
     .why = "The sender named many recipients that the gateway refused, and the gateway ended the session: its "
            "protection against directory harvest attacks.",
     .advice =
         "If the sender is unknown, nothing is to be done: it looks for addresses. If it is a partner, its address "
         "list is stale; have it cleaned, or raise the number of invalid recipients for it (Cisco: directory "
         "harvest attack prevention of the mail flow policy).",
     .references = {"RFC 5321 7.3", "RFC 5321 4.2.3"},
#define UNKNOWN(n) "S RCPT TO:<" n "@gw.example>\nG 550 5.1.1 User unknown\n"
     .fires = "use hello mail\n" UNKNOWN("a") UNKNOWN("b") UNKNOWN("c") UNKNOWN("d") UNKNOWN("e") "G!fin\nS fin\n",
     .quiet = "use hello mail\n" UNKNOWN("a") UNKNOWN("b") UNKNOWN("c") UNKNOWN("d") UNKNOWN("e") "use bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.closed_by(From::gateway) || (v.quit >= 0 && v.quit < v.first_close)) return std::nullopt;
       size_t refused = 0;
       for (const Message& message : v.messages)
         for (const Recipient& r : message.recipients) refused += r.code >= 550 && r.code < 555 ? 1U : 0U;
       const Event* last = v.last_reply();
       if (refused < 5 || last == nullptr || (last->phase != Phase::rcpt && last->code != 421)) return std::nullopt;
       Match m = match_event(v, v.first_close);
       m.phase = Phase::rcpt;
       m.got += fmt::format(" after {} refused recipients", refused);
       return m;
     }},
    {.code = "same-refusal-for-all",
     .title = "All recipients were refused in the same words",
     .kind = Rule::Kind::note,
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 for recipients that exist",
     .why = "The gateway answered every recipient of the message with the same refusal, so it is not about them but "
            "about the sender, its address or its message.",
     .advice = "Do not look for the recipients: look what the gateway's rules say of the sending host and of the "
               "envelope sender. Many gateways give the refusal of the connection only at RCPT.",
     .references = {"RFC 5321 3.3"},
#define REFUSED(n) "S RCPT TO:<" n "@gw.example>\nG 550 5.7.1 Not allowed\n"
     .fires =
         "use hello mail\nS RCPT TO:<a@gw.example>\nG!550 5.7.1 Not allowed\n" REFUSED("b") REFUSED("c") "use bye\n",
     .quiet = "use hello mail\n" UNKNOWN("a") UNKNOWN("b") UNKNOWN("c") "use bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (const Message& message : v.messages) {
         if (message.recipients.size() < 3 || v.at(message.recipients[0].reply) == nullptr) continue;
         const auto words = [&](const Recipient& r) {
           std::string text = v.at(r.reply) != nullptr ? v.at(r.reply)->text : std::string();
           if (const size_t at = r.address.empty() ? text.npos : text.find(r.address); at != text.npos)
             text.erase(at, r.address.size());
           return text;
         };
         const std::string first = words(message.recipients[0]);
         if (message.recipients[0].code < 400 || !std::all_of(message.recipients.begin(), message.recipients.end(),
                                                              [&](const Recipient& r) { return words(r) == first; }))
           continue;
         const Rule* rule = judge_reply(*v.at(message.recipients[0].reply), &message);
         if (rule != nullptr && rule->code == "rcpt-unknown-user") continue;
         Match m = match_event(v, message.recipients[0].reply);
         m.got = fmt::format("{} times: {}", message.recipients.size(), m.got);
         return m;
       }
       return std::nullopt;
     }},
};

}  // namespace

std::span<const Rule> rules_protocol() { return kRules; }

}  // namespace smtpscope
