// Greetings and replies that came late, told apart by what their delay looks like: a question to the sender's port 113,
// a pause between the lines of a greeting, a tarpit. What no session alone can tell is said across sessions, by
// summary.
#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "capture/diagnosis/delay.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr std::string_view kIdentAdvice =
    "Turn ident look-ups off on the gateway (Exim: rfc1413_query_timeout = 0s; Sendmail: O Timeout.ident=0), or have "
    "the sender's firewall refuse port 113 with a reset in place of dropping it. Nothing needs ident any more.";

int64_t reached_us(const View& v) {
  return v.c.connect.state == GatewayConnect::State::connected ? v.c.connect.at_us : 0;
}

/// The greeting, or the sender's leave without one, waited for an ident query that nobody answered.
std::optional<Match> waited_for_ident(const View& v, int32_t event) {
  const auto& ident = v.c.end.ident;
  const Event* e = v.at(event);
  if (!ident || e == nullptr || ident->outcome != "no-answer") return std::nullopt;
  const int64_t waited = e->at_us - ident->at_us;
  if (ident->at_us > e->at_us || waited < kSecond || !v.at_least(e->at_us - reached_us(v), kSecond))
    return std::nullopt;
  Match m = match_event(v, event);
  m.confidence = Confidence::likely;
  m.why = fmt::format(
      "The gateway asked port 113 (ident) of the sender's address {} after the connect and got no answer; {} later {}.",
      v.seconds(ident->at_us), v.seconds(waited),
      e->kind == Event::Kind::close ? "the sender left without having been greeted" : "it greeted");
  return m;
}

struct Answer {
  int32_t reply;
  int64_t took_us;
  bool refused;
};

/// The replies to commands, with the time that each took since it was owed and the one before it was given.
std::vector<Answer> answers(const View& v) {
  std::vector<Answer> all;
  int64_t before = 0;
  for (int32_t i = 0; i < count_of(v); ++i) {
    const Event& e = *v.at(i);
    if (e.kind != Event::Kind::reply) continue;
    const Event* asked = v.at(e.answers);
    if (asked != nullptr && asked->kind == Event::Kind::command && asked->complete && asked->verb != Verb::bdat)
      all.push_back({i, e.at_us - std::max(asked->end_us, before), e.code >= 400});
    before = std::max(before, e.end_us);
  }
  return all;
}

/// Replies that are slow only where, or only since, the sender made errors. None: it is not so.
std::optional<Match> slow_since_errors(const View& v, const std::vector<Answer>& all) {
  constexpr int64_t kPunished = 9 * kSecond / 10;
  int64_t least = INT64_MAX, most = 0, most_other = 0;
  size_t slow = 0, others = 0;
  int32_t first = -1;
  bool erred = false;
  for (const Answer& a : all) {
    erred = erred || a.refused;
    if (a.took_us >= kPunished) {
      if (!erred) return std::nullopt;
      ++slow;
      least = std::min(least, a.took_us);
      most = std::max(most, a.took_us);
      if (first < 0) first = a.reply;
    } else if (!a.refused) {
      ++others;
      most_other = std::max(most_other, a.took_us);
    }
  }
  if (slow < 3 || others < 2 || most_other * 2 > least || most > 2 * least) return std::nullopt;
  Match m = match_event(v, first);
  m.got = fmt::format("{} replies after {} to {} each since the first refusal, none over {} before", slow,
                      v.seconds(least), v.seconds(most), v.seconds(most_other));
  m.why =
      "The gateway answered at once until the sender made errors, and holds replies back since: it slows down "
      "senders that make errors (a tarpit).";
  m.confidence = Confidence::likely;
  return m;
}

/// Each reply takes longer than the one before. None: it is not so.
std::optional<Match> slower_and_slower(const View& v, const std::vector<Answer>& all) {
  constexpr size_t kLeast = 5;
  if (all.size() < kLeast) return std::nullopt;
  // Up to the slowest; what follows it (QUIT) may be let go at once.
  const auto slowest =
      std::max_element(all.begin(), all.end(), [](const Answer& a, const Answer& b) { return a.took_us < b.took_us; });
  if (slowest - all.begin() + 1 < static_cast<std::ptrdiff_t>(kLeast)) return std::nullopt;
  for (auto a = all.begin(); a != slowest; ++a)
    if (a->took_us > (a + 1)->took_us) return std::nullopt;
  if (slowest->took_us < 2 * kSecond || slowest->took_us < 4 * std::max<int64_t>(all.front().took_us, 1))
    return std::nullopt;
  Match m = match_event(v, slowest->reply);
  m.got = fmt::format("{} replies, each slower than the one before, the first after {}, the last after {}",
                      slowest - all.begin() + 1, v.seconds(all.front().took_us), v.seconds(slowest->took_us));
  m.why =
      "Each reply took longer than the one before, as of a gateway that slows a sender down on purpose (a tarpit), "
      "or of one whose load grows.";
  m.confidence = Confidence::possible;
  return m;
}

constexpr Rule kRules[] = {
    {.code = "banner-slow-ident",
     .title = "The greeting waits for an ident query that gets no answer",
     .phase = Phase::banner,
     .party = Party::network,
     .expected = "220 from the gateway, or a reset from the sender's port 113",
     .why =
         "The gateway asks the sender's port 113 who is calling before it greets, and a firewall drops the question.",
     .advice = kIdentAdvice,
     .references = {"RFC 1413", "RFC 5321 4.5.3.2.1"},
     .fires = "ident no-answer 7\n+30\nS!fin\nG fin\n",
     .quiet = "ident refused 0.001\n+30\nS fin\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.broken() || v.banner >= 0 || !v.closed_by(From::sender)) return std::nullopt;
       return waited_for_ident(v, v.first_close);
     }},
    {.code = "banner-slow-ident-seen",
     .title = "The greeting came after an ident query that got no answer",
     .kind = Rule::Kind::note,
     .phase = Phase::banner,
     .party = Party::network,
     .expected = "220 within 5 s, or a reset from the sender's port 113",
     .why =
         "The gateway asks the sender's port 113 who is calling before it greets, and a firewall drops the question.",
     .advice = kIdentAdvice,
     .references = {"RFC 1413"},
     .fires =
         "ident no-answer 7\n+9\nG!220 gw.example ESMTP\nS EHLO a.example\nG 250 gw.example\nuse mail rcpt data body "
         "accepted bye\n",
     .quiet = "ident answered 0.01\n+9\nuse hello mail rcpt data body accepted bye\n",
     .check = [](const View& v) { return waited_for_ident(v, v.banner); }},
    {.code = "banner-paused",
     .title = "The gateway paused inside its greeting, to see whether the sender waits",
     .kind = Rule::Kind::note,
     .phase = Phase::banner,
     .party = Party::policy,
     .expected = "the greeting in one piece",
     .why = "The first line of the greeting came at once and the last one later: the gateway tests whether the sender "
            "talks before its turn (Postfix: postscreen).",
     .advice =
         "Nothing is wrong, and a sender that waits is greeted. If a partner's software does not wait so long, list "
         "its addresses as exempt on the gateway (Postfix: postscreen_access_list), or shorten the pause "
         "(postscreen_greet_wait).",
     .references = {"RFC 5321 4.5.3.2.1", "RFC 5321 4.3.1"},
     .fires = "G~220-gw.example ESMTP\\r\\n\n+6\nG!~220 gw.example ESMTP\\r\\n\nS EHLO a.example\nG 250 "
              "gw.example\nuse mail "
              "rcpt data body accepted bye\n",
     .quiet =
         "G~220-gw.example ESMTP\\r\\n\n+0.2\nG~220 gw.example ESMTP\\r\\n\nS EHLO a.example\nG 250 gw.example\nuse "
         "mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       const Event* e = v.at(v.banner);
       if (e == nullptr || !e->complete || !v.at_least(e->end_us - e->at_us, kSecond)) return std::nullopt;
       if (e->text.find('\n') == std::string::npos) return std::nullopt;
       Match m = match_event(v, v.banner);
       const uint64_t last =
           std::min<uint64_t>(e->text.size() - e->text.rfind('\n') - 1 + 2, e->bytes);  // its CR LF too
       m.offset += e->bytes - last;
       m.length = last;
       m.got = fmt::format("the last line {} after the first", v.seconds(e->end_us - e->at_us));
       m.confidence = Confidence::likely;
       return m;
     }},
    {.code = "banner-slow",
     .title = "The greeting was slow",
     .kind = Rule::Kind::note,
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "220 within 5 s",
     .why = "The greeting took long. Senders with short time-outs give up here.",
     .advice =
         "Compare it with other sessions (smtpscope summary): the same round delay each time is a pause by policy; "
         "slow "
         "for all senders at once is load; slow for one sender is most often its DNS, or a reputation look-up. Whether "
         "the gateway asks the sender's port 113 (ident) shows only in a capture (smtpscope analyze); if the gateway "
         "sees the proxy's address, it asks this host.",
     .references = {"RFC 5321 4.5.3.2.1", "RFC 1912 2.1"},
     .fires = "+9\nG!220 gw.example ESMTP\nS EHLO a.example\nG 250 gw.example\nuse mail rcpt data body accepted bye\n",
     .quiet = "+2\nuse hello mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       const Event* e = v.at(v.banner);
       if (e == nullptr || !v.at_least(e->at_us - reached_us(v), kSlow)) return std::nullopt;
       const int64_t took = e->at_us - reached_us(v);
       Match m = match_event(v, v.banner);
       m.got = "the greeting after " + v.seconds(took);
       m.why = "The greeting took " + v.seconds(took) + ". Senders with short time-outs give up here." +
               what_look_up_rules_out(v) + like_a_pause(v, took);
       return m;
     }},
    {.code = "tarpit",
     .title = "The gateway slows this sender down",
     .kind = Rule::Kind::note,
     .phase = Phase::idle,
     .party = Party::policy,
     .expected = "replies that take as long as before",
     .why = "The gateway slows down senders that make errors (a tarpit).",
     .advice =
         "Mend what is refused first: the delay follows from it. If the sender is wanted as it is, exempt it on the "
         "gateway (Postfix: smtpd_error_sleep_time, smtpd_soft_error_limit; Exim: smtp_ratelimit_rcpt, delay in "
         "an ACL; Exchange: TarpitInterval).",
     .references = {"RFC 5321 4.5.3.2", "RFC 5321 7.9"},
     .fires =
         "use hello mail\nS RCPT TO:<a@x.example>\n+2\nG!550 5.1.1 no\nS RCPT TO:<b@x.example>\n+2\nG 550 5.1.1 no\n"
         "S RCPT TO:<c@x.example>\n+2\nG 550 5.1.1 no\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<a@x.example>\n+2\nG 250 ok\nS RCPT TO:<b@x.example>\n+2\nG 550 5.1.1 no\n"
              "S RCPT TO:<c@x.example>\n+2\nG 550 5.1.1 no\nuse bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (v.c.session.resolution_us > 0 || v.ended_us < 2 * kSecond) return std::nullopt;  // too short for any
       const std::vector<Answer> all = answers(v);
       std::optional<Match> m = slow_since_errors(v, all);
       if (!m) m = slower_and_slower(v, all);
       if (m) m->phase = v.at(m->event)->phase;
       return m;
     }},
};

}  // namespace

std::span<const Rule> rules_delay() { return kRules; }

}  // namespace smtpscope
