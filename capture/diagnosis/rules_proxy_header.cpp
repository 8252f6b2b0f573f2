// The PROXY header between us and the gateway: one that it does not expect, and one that it waits for in vain. The
// header is no part of the recorded stream; that one was sent stands in the session's facts.
#include <algorithm>

#include "capture/diagnosis/reply_match.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

// What servers say to a line that is no command of theirs, or that comes before their greeting.
constexpr std::string_view kNoCommand =
    "not recognized|unrecognized|not recognised|unrecognised|unknown command|command unknown|not implemented|bad "
    "syntax|syntax error|bad command|invalid command|synchronization error|protocol error|pipelining|break rules";

bool taken_for_command(const Event& reply) {
  return reply.kind == Event::Kind::reply && reply.code >= 500 && says_any(judged_words(reply.text), kNoCommand);
}

/// The refusal with which the gateway answers our header as if it were a command: one that nothing of the sender's
/// asked for, before the sender was greeted back.
std::optional<Match> header_answered(const View& v) {
  for (int32_t i = 0; i < count_of(v); ++i) {
    if (i == v.helo_ok) return std::nullopt;
    const Event& e = *v.at(i);
    if (!taken_for_command(e)) continue;
    const Event* asked = v.at(e.answers);
    if (asked == nullptr) {
      // To a sender that talked too early a refusing greeting may mean its own bytes.
      if (i == v.banner && v.first_sent >= 0 && v.first_sent < i) return std::nullopt;
      return match_event(v, i);
    }
    if (!v.broken() || (asked->verb != Verb::ehlo && asked->verb != Verb::helo)) return std::nullopt;
    Match m = match_event(v, i);
    m.confidence = Confidence::likely;
    return m;
  }
  return std::nullopt;
}

/// The gateway left without a word, at once.
std::optional<Match> dropped(const View& v) {
  if (!v.broken() || !v.banner_owed() || v.seen(From::gateway) > 0 || !v.closed_by(From::gateway)) return std::nullopt;
  if (v.close()->at_us - v.c.connect.at_us >= kSlow) return std::nullopt;
  Match m = match_event(v, v.first_close);
  m.got += " before a greeting, after " + v.seconds(v.close()->at_us);
  m.why =
      "smtpscope began the connection with a PROXY header (gateway.present), and the gateway ended it without a "
      "word: it does not expect that header, or not this version of it. Or it turned this sender away without "
      "saying so.";
  m.confidence = Confidence::possible;
  return m;
}

constexpr Rule kRules[] = {
    {.code = "proxy-header-unexpected",
     .title = "The gateway does not expect the PROXY header that it got",
     .phase = Phase::banner,
     .party = Party::proxy,
     .expected = "220 and nothing else before the sender's EHLO",
     .why =
         "smtpscope began the connection with a PROXY header, as gateway.present says, and the gateway took it for a "
         "command of the sender's. From there on replies and commands no longer fit.",
     .advice = "Let the gateway's listener read the header from smtpscope's address (Postfix: "
               "smtpd_upstream_proxy_protocol or postscreen_upstream_proxy_protocol = haproxy; Exim: hosts_proxy; "
               "Haraka: the hosts of haproxy), or set gateway.present to \"proxy\" or \"sender\".",
     .references = {"RFC 5321 3.1", "RFC 5321 4.3.1"},
     .fires = "header proxy-v1\nG 220 gw.example ESMTP\nG!502 5.5.2 Error: command not recognized\n"
              "S EHLO mx.sender.example\nS HELO mx.sender.example\nG 250 gw.example\nS MAIL FROM:<a@sender.example>\n"
              "G 250 gw.example\nG 250 2.1.0 Ok\nS fin\nG fin\n",
     .quiet = "header proxy-v2\nG 554 5.7.1 your address has a poor reputation\nG fin\nS fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (v.c.session.header.empty()) return std::nullopt;
       if (auto match = header_answered(v)) return match;
       return dropped(v);
     },
     .stands = true},
    {.code = "proxy-header-awaited",
     .title = "The gateway seems to wait for a PROXY header that does not come",
     .phase = Phase::banner,
     .party = Party::proxy,
     .expected = "220",
     .why = "The gateway said nothing for 5 seconds and then that it had an error of its own: so does a Postfix whose "
            "listener is set up to stand behind a load balancer and gets no PROXY header.",
     .advice = "Look in the gateway's log for \"haproxy read: timeout\". If it is there, set gateway.present to "
               "\"proxy-v1\" or \"proxy-v2\", or let mail come in by a listener of the gateway's without "
               "smtpd_upstream_proxy_protocol.",
     .references = {"RFC 5321 3.1"},
     .fires = "+5.1\nG!421 4.3.0 gw.example Server local error\nG fin\nS fin\n",
     .quiet = "+0.1\nG 421 4.3.0 gw.example Server local error\nG fin\nS fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       const SessionFacts& s = v.c.session;
       if (!s.header.empty() || s.sees.empty()) return std::nullopt;
       const auto first =
           std::find_if(v.events.begin(), v.events.end(), [](const Event& e) { return e.kind == Event::Kind::reply; });
       if (first == v.events.end() || first->code != 421 || first->at_us < 4 * kSecond) return std::nullopt;
       if (judged_words(first->text).find("server local error") == std::string::npos) return std::nullopt;
       Match m = match_event(v, static_cast<int32_t>(first - v.events.begin()));
       m.confidence = Confidence::likely;
       return m;
     }},
    {.code = "proxy-header-missing",
     .title = "The gateway waits for a PROXY header that does not come",
     .phase = Phase::banner,
     .party = Party::proxy,
     .expected = "220",
     .why = "The gateway's listener is set up to stand behind a load balancer, which begins each connection with a "
            "PROXY header; it got none, or one that it cannot read.",
     .advice = "Set gateway.present to \"proxy-v1\" or \"proxy-v2\" (the one that the gateway reads), or turn the "
               "PROXY protocol off on this listener (Exim: hosts_proxy; Haraka: the hosts of haproxy; Postfix: "
               "smtpd_upstream_proxy_protocol).",
     .references = {"RFC 5321 3.1"},
     .fires = "+30\nG!421 PROXY timed out\nG fin\nS fin\n",
     .quiet = "G 421 4.3.2 All server ports are busy\nG fin\nS fin\n",
     .reply = {kAnyPhase, 400, 599, "",
               "proxy timed out|proxy negotiation failed|proxy protocol|proxy header|invalid proxy|bad proxy"}},
};

}  // namespace

std::span<const Rule> rules_proxy_header() { return kRules; }

}  // namespace smtpscope
