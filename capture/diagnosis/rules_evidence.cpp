// What the proxy found out besides the bytes: its own reverse look-up of the sender, and the state of the TCP legs.
#include <fmt/core.h>

#include <algorithm>

#include "capture/diagnosis/body_stall.h"
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

/// The leg of this side as it was when the legs were looked at last, and when that was.
struct Seen {
  const LegTransport& leg;
  int64_t at_us;
};

std::optional<Seen> last_seen(const View& v, From side) {
  if (v.c.end.samples.empty()) return std::nullopt;
  const PathSample& sample = v.c.end.samples.back();
  const auto& leg = side == From::sender ? sample.sender : sample.gateway;
  return leg ? std::optional<Seen>({*leg, sample.at_us}) : std::nullopt;
}

/// The point at which the message stopped, if one was under way when the legs were looked at; bytes that were read only
/// when the session ended had come before.
std::optional<Match> stall_at(const View& v, const Seen& seen) {
  if (!in_body(v)) return std::nullopt;
  Match m = match_stall(v);
  const Event* begun = v.at(m.event);
  if (begun == nullptr || begun->at_us > seen.at_us) return std::nullopt;
  m.at_us = std::min(m.at_us, seen.at_us);
  return m;
}

std::optional<Match> hole_from_sender(const View& v) {
  const auto seen = last_seen(v, From::sender);
  if (!seen || seen->leg.out_of_order == 0 || v.closed_by(From::gateway)) return std::nullopt;
  std::optional<Match> m = stall_at(v, *seen);
  if (!m) return std::nullopt;
  m->got = fmt::format("{} segments behind a hole, then silence", seen->leg.out_of_order);
  m->confidence = Confidence::likely;
  return m;
}

std::optional<Match> gateway_stops_reading(const View& v) {
  const auto seen = last_seen(v, From::gateway);
  if (!seen || seen->leg.unsent == 0 || seen->leg.window >= seen->leg.mss) return std::nullopt;
  std::optional<Match> m = stall_at(v, *seen);
  if (m) m->got = fmt::format("a window of {} bytes, with {} bytes waiting", seen->leg.window, seen->leg.unsent);
  return m;
}

std::optional<Match> gateway_path_dead(const View& v) {
  const auto seen = last_seen(v, From::gateway);
  if (!seen || seen->leg.unacked == 0 || seen->leg.retransmits < 3 || seen->leg.window < seen->leg.mss)
    return std::nullopt;
  if (!v.broken() || v.first_close < 0) return std::nullopt;
  std::optional<Match> m = stall_at(v, *seen);
  if (!m) {
    m = match_event(v, v.first_close);
    m->phase = v.close()->phase;
    m->at_us = seen->at_us;
  }
  m->got =
      fmt::format("{} segments without an acknowledgment, {} sent again", seen->leg.unacked, seen->leg.retransmits);
  m->confidence = Confidence::likely;
  return m;
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
    {.code = "path-hole-from-sender",
     .title = "Segments of the sender's message are lost on the way",
     .phase = Phase::body,
     .party = Party::network,
     .expected = "the rest of the message",
     .why =
         "Later segments of the message arrived, but one before them never did, however often it was sent: full-size "
         "packets do not get through (path MTU), or a device on the way drops them.",
     .advice =
         "Let the sender's side lower its MTU or clamp the MSS (1,360 is a safe try), and let \"fragmentation "
         "needed\" (ICMP) through at every firewall on the way. Then look at devices that rewrite TCP (SACK, window "
         "scaling, sequence numbers).",
     .references = {"RFC 1191", "RFC 4821", "RFC 2923 2.1"},
     .fires = "use hello mail rcpt data\nS body 1200\n!\n+10\npath S out-of-order=4\n+110\nS timeout\nG fin\n",
     .quiet = "use hello mail rcpt data\nS body 1200\n+10\npath S out-of-order=0\n+110\nS timeout\nG fin\n",
     .check = hole_from_sender},
    {.code = "gateway-stops-reading",
     .title = "The gateway stopped taking the message",
     .phase = Phase::body,
     .party = Party::gateway,
     .expected = "a gateway that goes on reading the message",
     .why = "The gateway's receive window is closed: it has stopped reading in the middle of the message, and what the "
            "sender sends piles up before it.",
     .advice = "Look on the gateway at what holds up this message while it comes in: a content scanner or milter that "
               "hangs, a full queue disk, a process that is stuck. Its log at this time should name it.",
     .references = {"RFC 9293 3.8.6", "RFC 5321 4.5.3.2.5"},
     .fires = "use hello mail rcpt data\nS body 300000\n!\n+10\npath G unsent=90000 window=0\n+110\nS fin\nG fin\n",
     .quiet = "use hello mail rcpt data\nS body 300000\n+10\npath G unsent=0\n+110\nS fin\nG fin\n",
     .check = gateway_stops_reading},
    {.code = "path-to-gateway-dead",
     .title = "What is sent to the gateway is not acknowledged any more",
     .phase = Phase::body,
     .party = Party::network,
     .expected = "acknowledgments from the gateway",
     .why = "Segments to the gateway are sent again and again without an answer of its TCP: the path or the gateway is "
            "gone, or full-size packets do not get through.",
     .advice =
         "Check from this host that the gateway answers (ping, also with full-size packets: ping -M do -s 1472), and "
         "what firewall between keeps state: one that forgot the connection drops it silently.",
     .references = {"RFC 9293 3.8.3", "RFC 2923 2.1"},
     .fires = "use hello mail rcpt data\nS body 300000\n!\n+10\npath G unacked=10 retransmits=5\n+110\nS fin\nG fin\n",
     .quiet = "use hello mail rcpt data\nS body 300000\n+10\npath G unacked=0 retransmits=5\n+110\nS fin\nG fin\n",
     .check = gateway_path_dead},
};

}  // namespace

bool path_tells_stall(const View& v) { return hole_from_sender(v) || gateway_stops_reading(v) || gateway_path_dead(v); }

std::span<const Rule> rules_evidence() { return kRules; }

}  // namespace smtpscope
