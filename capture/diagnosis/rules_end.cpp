// How a session ended that was not over: by whom, and who owed the next bytes. Then the last resorts: what no other
// rule knows.
#include "capture/diagnosis/body_stall.h"
#include "capture/diagnosis/session_end.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr std::string_view kQuiet = "use hello mail rcpt data body accepted bye\n";

std::optional<Match> gateway_ended(const View& v, bool fin) {
  if (!ordinary_end(v) || !v.closed_by(From::gateway) || (v.close()->how == CloseHow::fin) != fin) return std::nullopt;
  if (!v.gateway_owes() && v.at_least(v.silence_us(), kSlow)) return std::nullopt;  // sender-idle
  const Event* last = v.last_reply();
  if (last != nullptr && (last->code >= 400 || last->code == 221)) return std::nullopt;  // it had said so
  Match m = match_event(v, v.first_close);
  m.phase = missing_phase(v);
  m.why = std::string("The gateway ") + (fin ? "closed" : "reset") + " the connection without a word while " +
          owed_text(v) + ".";
  return m;
}

constexpr Rule kEnd[] = {
    {.code = "proxy-closed",
     .title = "The proxy itself ended the session",
     .phase = Phase::idle,
     .party = Party::proxy,
     .expected = "the end of the session by the sender or the gateway",
     .why = "smtpscope was stopped, or ran into a limit of its own, while the session was open.",
     .advice = "Neither the sender nor the gateway is at fault; the sender will try again. To avoid this, give the "
               "proxy more "
               "time to drain before it stops, and look in its log.",
     .references = {"RFC 5321 3.8"},
     .fires = "use hello mail rcpt data\nS body 2000\n!\n+10\nproxy closed drain\n",
     .quiet = "use hello mail rcpt data body accepted bye\nproxy closed drain\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.broken() || v.close() == nullptr || !v.closed_by(From::proxy)) return std::nullopt;
       const bool gateway = v.banner_owed() || v.cut_reply >= 0 || (v.unanswered >= 0 && v.stalled_body < 0);
       Match m = match_missing(v, v.first_close, gateway ? From::gateway : From::sender);
       m.got = "the proxy's own end of the session";
       m.phase = v.close()->phase;
       if (!v.c.end.proxy_cause.empty())
         m.why = "smtpscope ended the session itself (" + v.c.end.proxy_cause + ") after " +
                 v.seconds(v.close()->at_us) + ".";
       return m;
     }},
    {.code = "gateway-closed",
     .title = "The gateway closed the connection in the middle of the session",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "a reply, or 421 before the connection is closed",
     .why = "The gateway closed the connection without a word.",
     .advice =
         "Look in the gateway's log at this time: a crash of its SMTP service, or a rule that drops senders silently.",
     .references = {"RFC 5321 3.8"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\n+0.3\nG!fin\nS fin\n",
     .quiet = "use hello mail rcpt data body accepted\nG fin\nS fin\n",
     .check = [](const View& v) { return gateway_ended(v, true); }},
    {.code = "gateway-reset",
     .title = "The connection to the gateway broke in the middle of the session",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "a reply, or 421 before the connection is closed",
     .why = "The connection was reset from the gateway's side.",
     .advice =
         "Look in the gateway's log at this time for a crash; a firewall or IPS in front of it may also have reset the "
         "connection.",
     .references = {"RFC 5321 3.8", "RFC 9293 3.5.2"},
     .fires = "use hello mail rcpt\nS DATA\nG!rst\n",
     .quiet = "use hello mail rcpt data body accepted\nG rst\n",
     .check = [](const View& v) { return gateway_ended(v, false); }},
    {.code = "gateway-silent",
     .title = "The gateway did not answer and the sender left",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "a reply within 5 minutes",
     .why = "The gateway owed a reply and sent none until the sender left.",
     .advice =
         "Look in the gateway's log what it did in this time: lookups (DNS, LDAP, block lists) without an answer, or "
         "load.",
     .references = {"RFC 5321 4.5.3.2"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\n+60\nS!fin\nG fin\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\n+60\nG 250 ok\nuse data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.broken() || v.banner_owed() || v.inside_tls() || !v.gateway_owes() ||
           (v.gave_up < 0 && !v.closed_by(From::sender)))
         return std::nullopt;
       const Event* waiting = v.waiting();
       if (waiting == nullptr || forgotten_while_idle(v) || waiting->phase == Phase::quit ||
           v.at(v.stalled_body) != nullptr)
         return std::nullopt;
       if (waiting->kind == Event::Kind::body || waiting->phase == Phase::end_of_data) return std::nullopt;
       if (waiting->verb == Verb::bdat && v.messages.size() > 0 && v.messages.back().ended) return std::nullopt;
       if (waiting->verb == Verb::bdat && in_body(v)) return std::nullopt;
       const int64_t waited = v.gave_up >= 0 ? v.at(v.gave_up)->at_us - waiting->end_us : v.silence_us();
       Match m = match_event(v, v.gave_up >= 0 ? v.gave_up : v.first_close);
       m.phase = waiting->phase;
       m.got += " after " + v.seconds(waited);
       m.why =
           "The sender left after " + v.seconds(waited) + v.looks_like_limit(waited) + ", while " + owed_text(v) + ".";
       if (waited < kImpatient) m.party = Party::sender;
       if (!v.at_least(waited, 300 * kSecond)) m.confidence = Confidence::likely;
       return m;
     }},
    {.code = "sender-left",
     .title = "The sender left in the middle of the session",
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "the sender's next command, or QUIT",
     .why = "The sender ended the connection although nothing had been refused and it owed the next command.",
     .advice = "Ask the sender for its log at this time: a crash, a time-out, or something in the gateway's replies "
               "that it does "
               "not accept (no STARTTLS, a SIZE that is too small).",
     .references = {"RFC 5321 4.1.1.10"},
     .fires = "use hello mail rcpt\nS!rst\n",
     .quiet = "use hello mail rcpt data body accepted\nS fin\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!ordinary_end(v) || !v.closed_by(From::sender) || v.gateway_owes()) return std::nullopt;
       Match m = match_event(v, v.first_close);
       m.phase = missing_phase(v);
       m.why = std::string("The sender ") + (v.close()->how == CloseHow::fin ? "closed" : "broke off") +
               " the connection " + v.seconds(v.silence_us()) + " after the gateway's last reply, while " +
               owed_text(v) + ".";
       return m;
     }},
};

constexpr Rule kFallback[] = {
    {.code = "service-unavailable",
     .title = "The gateway ended the session",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "a positive reply",
     .why = "The gateway ended the session with 421 and does not say why; the sender will try again later.",
     .advice = "Look in the gateway's log for this session: a limit, a restart, or a service behind it that failed. If "
               "other senders got 421 in the same minute, it is the gateway's own trouble and not this sender.",
     .references = {"RFC 5321 3.8", "RFC 5321 4.2.3"},
     .fires = "use hello\n+1\nG!421 4.3.0 cannot go on\nG fin\nS fin\n",
     .quiet = "use hello mail\nS RCPT TO:<x@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {kAnyPhase, 421, 421}},
    {.code = "command-unknown",
     .title = "The gateway does not know a command of the sender",
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "a command that the gateway knows",
     .why = "The sender sent a command that the gateway does not know.",
     .advice =
         "If the line looks like a part of a message, the two sides disagree about where the message ended. Otherwise "
         "compare it with what the EHLO reply offers.",
     .references = {"RFC 5321 4.2.4"},
     .fires = "use hello\nS XYZZY\nG!500 5.5.1 command not recognized\n+20\nS fin\nG fin\n",
     .quiet = "use hello\nS VRFY x\nG 252 2.0.0 cannot verify\nuse mail rcpt data body accepted bye\n",
     .reply = {kAnyPhase, 500, 502}},
    {.code = "refused-temporary",
     .title = "The gateway put a command off",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "a positive reply",
     .why = "The gateway puts off a command that is no part of sending a message.",
     .advice = "Look at the command: mail needs none like it (ETRN, XCLIENT, XFORWARD, VRFY), so ask the sender to go "
               "on without it. If the gateway should do it, its log at this time says what failed.",
     .references = {"RFC 5321 4.2.1"},
     .fires = "use hello\nS ETRN sender.example\nG!458 Unable to queue messages\nuse bye\n",
     .quiet = "use hello\nS NOOP\nG 250 ok\nuse mail rcpt data body accepted bye\n",
     .reply = {kAnyPhase, 400, 499}},
    {.code = "refused-other",
     .title = "The gateway refused a command",
     .phase = Phase::idle,
     .party = Party::policy,
     .expected = "a positive reply",
     .why = "The gateway refuses a command that is no part of sending a message.",
     .advice = "Look at the command: mail needs none like it (ETRN, XCLIENT, XFORWARD, VRFY). If the sender is to use "
               "it, allow it on the gateway (Postfix: smtpd_authorized_xclient_hosts, smtpd_etrn_restrictions); else "
               "have the sender leave it out.",
     .references = {"RFC 5321 4.2.1"},
     .fires = "use hello\nS XCLIENT NAME=a.example\nG!550 5.7.0 Error: insufficient authorization\nuse bye\n",
     .quiet = "use hello\nS NOOP\nG 250 ok\nuse mail rcpt data body accepted bye\n",
     .reply = {kAnyPhase, 500, 599}},
    {.code = "not-settled",
     .title = "The mail was not delivered, and nothing says why",
     .phase = Phase::idle,
     .party = Party::unknown,
     .expected = "250 for the message",
     .why = "The sender meant to send a message, and the session ended without one being accepted; no reply and no "
            "close explains "
            "it.",
     .advice =
         "Read the events from the end backwards: a reply with a wrong code, or an order of commands that neither side "
         "complained about.",
     .references = {"RFC 5321 3.3"},
     .fires = "use hello mail rcpt data body\nG 354 what?\nS QUIT\nG!221 bye\nG fin\nS fin\n",
     .quiet = kQuiet,
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.broken()) return std::nullopt;
       int32_t last = static_cast<int32_t>(v.events.size()) - 1;
       while (last > 0 && v.at(last)->kind != Event::Kind::reply && v.at(last)->kind != Event::Kind::command) --last;
       Match m = match_event(v, last);
       m.confidence = Confidence::possible;
       m.phase = v.at(last) != nullptr ? v.at(last)->phase : Phase::idle;
       return m;
     }},
};

}  // namespace

std::span<const Rule> rules_end() { return kEnd; }
std::span<const Rule> rules_fallback() { return kFallback; }

}  // namespace smtpscope
