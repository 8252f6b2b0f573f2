// What the proxy's own reverse look-up of the sender says of a late greeting.
#include <fmt/core.h>

#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

/// From here on a look-up is slow: two or three of its kind are all that a greeting waits for.
constexpr int64_t kSlowLookUp = 2 * kSecond;

constexpr std::string_view kDnsAdvice =
    "Ask whoever runs the DNS of the sender's address range to set up a PTR record whose name leads back to the "
    "address, on name servers that answer. Try it from the gateway: dig -x ADDRESS, then dig NAME. Until then shorten "
    "or "
    "skip the look-up on the gateway (Cisco: Network, DNS, time-out of reverse look-ups; Postfix: "
    "smtpd_peername_lookup, "
    "or the resolver's time-out in resolv.conf).";

std::string outcome(const View& v, const std::string& status, int64_t us) {
  if (status == "pending") return "has no answer after " + v.seconds(us);
  if (status == "timeout") return "got no answer in " + v.seconds(us);
  if (status == "ok") return "took " + v.seconds(us);
  if (status == "unreachable") return "did not reach a name server (" + v.seconds(us) + ")";
  return fmt::format("ended in \"{}\" after {}", status, v.seconds(us));
}

bool no_answer(const std::string& status) { return status == "pending" || status == "timeout"; }

/// What of the reverse look-up is slow, in words; empty if nothing is.
std::string slow_look_up(const View& v) {
  const auto& ptr = v.c.end.ptr;
  if (!ptr || ptr->status == "unreachable" || ptr->status == "error") return "";
  const std::string& ip = v.c.session.sender.ip;
  if (ptr->name_us >= kSlowLookUp || (no_answer(ptr->status) && ptr->name_us >= kSlowLookUp / 2))
    return fmt::format("the proxy's own look-up of the name of {} {}", ip, outcome(v, ptr->status, ptr->name_us));
  if (ptr->forward_us >= kSlowLookUp)
    return fmt::format("{} is called {}, but the proxy's own look-up of that name's addresses {}", ip, ptr->name,
                       outcome(v, ptr->forward_status, ptr->forward_us));
  return "";
}

constexpr Rule kRules[] = {
    {.code = "banner-slow-dns",
     .title = "The greeting waits for the sender's reverse DNS",
     .phase = Phase::banner,
     .party = Party::dns,
     .expected = "220 from the gateway, and a reverse DNS that answers within a second",
     .why = "The gateway looks up the name of the sender's address before it greets, and that look-up is slow.",
     .advice = kDnsAdvice,
     .references = {"RFC 1912 2.1", "RFC 5321 4.5.3.2.1"},
     .fires = "dns pending 29\n+30\nS!fin\nG fin\n",
     .quiet = "dns ok 0.02 mx.sender.example\n+30\nS fin\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.broken() || v.banner >= 0 || !v.closed_by(From::sender) || v.silence_us() < kImpatient)
         return std::nullopt;
       const std::string slow = slow_look_up(v);
       if (slow.empty()) return std::nullopt;
       Match m = match_event(v, v.first_close);
       const int64_t waited = v.silence_us();
       m.got += " after " + v.seconds(waited);
       m.why = fmt::format(
           "The gateway had not greeted when the sender left after {}{}. Gateways look up the name of a "
           "sender before they greet, and {}.",
           v.seconds(waited), v.looks_like_limit(waited), slow);
       m.confidence = Confidence::likely;
       return m;
     }},
    {.code = "banner-slow-dns-seen",
     .title = "The greeting was slow, and so is the sender's reverse DNS",
     .kind = Rule::Kind::note,
     .phase = Phase::banner,
     .party = Party::dns,
     .expected = "220 within 5 s, and a reverse DNS that answers within a second",
     .why = "The gateway looks up the name of the sender's address before it greets, and that look-up is slow.",
     .advice = kDnsAdvice,
     .references = {"RFC 1912 2.1"},
     .fires = "dns servfail 8\n+9\nG!220 gw.example ESMTP\nS EHLO a.example\nG 250 gw.example\nuse mail rcpt data body "
              "accepted bye\n",
     .quiet = "dns ok 0.1 mx.sender.example\n+9\nuse hello mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       const Event* e = v.at(v.banner);
       const std::string slow = slow_look_up(v);
       if (e == nullptr || e->at_us < kImpatient || slow.empty()) return std::nullopt;
       Match m = match_event(v, v.banner);
       m.got = "the greeting after " + v.seconds(e->at_us);
       m.why = "Gateways look up the name of a sender before they greet, and " + slow + ".";
       m.confidence = Confidence::likely;
       return m;
     }},
    {.code = "sender-without-ptr",
     .title = "The greeting was slow, and the sender's address has no proper reverse DNS",
     .kind = Rule::Kind::note,
     .phase = Phase::banner,
     .party = Party::dns,
     .expected = "a PTR record whose name leads back to the address",
     .why =
         "The sender's address has no name, or one that does not lead back to it. Many gateways distrust or delay such "
         "senders.",
     .advice = kDnsAdvice,
     .references = {"RFC 1912 2.1"},
     .fires = "dns nxdomain 0.02\n+9\nG!220 gw.example ESMTP\nS EHLO a.example\nG 250 gw.example\nuse mail rcpt data "
              "body accepted bye\n",
     .quiet = "dns ok 0.02 mx.sender.example\n+9\nuse hello mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       const auto& ptr = v.c.end.ptr;
       if (!ptr || ptr->verified || !slow_look_up(v).empty()) return std::nullopt;
       const bool nameless = ptr->status == "nxdomain" || ptr->status == "nodata" || ptr->status == "servfail";
       const bool astray = !ptr->name.empty() && (ptr->forward_status == "ok" || ptr->forward_status == "nxdomain" ||
                                                  ptr->forward_status == "nodata");
       if (!nameless && !astray) return std::nullopt;
       Match m = v.banner >= 0 ? match_event(v, v.banner) : match_missing(v, v.first_close, From::gateway);
       m.why = nameless
                   ? fmt::format("The look-up of a name for {} ended in \"{}\".", v.c.session.sender.ip, ptr->status)
                   : fmt::format("{} is called {}, but that name does not lead back to it.", v.c.session.sender.ip,
                                 ptr->name);
       m.got = nameless ? "no name" : ptr->name;
       return m;
     }},
};

}  // namespace

std::span<const Rule> rules_look_up() { return kRules; }

}  // namespace smtpscope
