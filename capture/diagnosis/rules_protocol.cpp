// What the protocol does not allow: commands sent too soon, replies out of step, floods. Most of it goes well with one
// gateway and breaks with the next, so most of it are notes.
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
  for (int32_t i = 0; i < count_of(v); ++i) {
    const Event& e = *v.at(i);
    if (e.kind != Event::Kind::command || !is_known(e.verb) || e.at_us < banner->end_us) continue;
    // A BDAT's chunk, a QUIT's silence and STARTTLS have nothing or rules of their own behind them.
    if (e.verb == Verb::bdat || e.verb == Verb::quit || e.verb == Verb::starttls) continue;
    const bool hello = e.verb == Verb::ehlo || e.verb == Verb::helo || e.verb == Verb::lhlo;
    if ((offered && !ends_group(e.verb)) || (!hello && v.helo_ok < 0)) continue;
    const int32_t next = overtaken_by(v, i);
    if (next < 0) continue;
    const bool sync = hello || v.offers("PIPELINING", i);
    if (sync != offered || (hello && v.offers_pipe_connect(i))) continue;
    Match m = match_event(v, next);
    m.phase = v.at(next)->phase;
    m.why = fmt::format("The sender did not wait for the reply to {} before it went on.", name(e.verb));
    return m;
  }
  return std::nullopt;
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
         const uint64_t limit = allowed_bytes(e);
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
#define UNKNOWN(n) "S RCPT TO:<" n "@gw.example>\nG 550 5.1.1 User unknown\n"
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
         const Rule* rule = judge_refusal(v, message.recipients[0].reply);
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
