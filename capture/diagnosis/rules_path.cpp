// What the two TCP connections looked like when nothing came any more: segments that are lost, a side that takes
// nothing, a side that is gone. Without this evidence the rules of stalls and ends judge by the bytes alone.
#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "capture/diagnosis/body_stall.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr uint32_t kSentOften = 3;  // segments that were sent again; fewer are usual

/// The leg of a side as it was in a long silence, and when that was.
struct Seen {
  LegTransport leg;
  int64_t at_us;
};

std::optional<Seen> in_sample(const PathSample& sample, From side) {
  const auto& leg = side == From::sender ? sample.sender : sample.gateway;
  return leg ? std::optional<Seen>({*leg, sample.at_us}) : std::nullopt;
}

/// In the last silence before either side ended its stream; what is late afterwards is a consequence.
std::optional<Seen> before_the_end(const View& v, From side) {
  std::optional<Seen> seen;
  for (const PathSample& sample : v.c.end.samples)
    if (v.close() == nullptr || sample.at_us <= v.close()->at_us) seen = in_sample(sample, side);
  return seen;
}

/// The point at which the message stopped, if one was under way when the legs were looked at; bytes that were read only
/// when the session ended had come before.
std::optional<Match> stall_at(const View& v, const Seen& seen) {
  if (!in_body(v)) return std::nullopt;
  Match m = match_stall(v);
  const Event* begun = v.at(m.event);
  if (begun == nullptr || begun->at_us > seen.at_us) return std::nullopt;
  m.at_us = std::min(m.at_us, seen.at_us);
  m.phase = Phase::body;
  return m;
}

/// What the proxy has taken of the sender and the gateway has not: a part of a message, or something whole that has no
/// answer. None if the gateway owed nothing at that time.
std::optional<Match> not_handed_on(const View& v, const Seen& seen) {
  if (!v.broken()) return std::nullopt;
  if (std::optional<Match> m = stall_at(v, seen)) return m;
  const int32_t waiting = v.waiting_at(seen.at_us);
  if (waiting < 0) return std::nullopt;
  Match m = match_missing(v, waiting, From::gateway);
  m.at_us = v.at(waiting)->end_us;
  m.phase = v.at(waiting)->phase;
  return m;
}

/// The point behind a reply at which the sender's next bytes were due, as it was known when the legs were looked at:
/// the rest of a reply may have been read only at the end. A refusal comes before what follows from it.
Match due_behind(const View& v, int32_t reply, const Seen& seen) {
  Match m = match_missing(v, reply, From::sender);
  m.at_us = std::min(v.at(reply)->end_us + (v.at(reply)->code >= 400 ? 1 : 0), seen.at_us);
  return m;
}

bool takes_nothing(const LegTransport& leg) { return leg.unsent > 0 && leg.window < leg.mss; }

bool silent_tcp(const LegTransport& leg) {
  return leg.unacked > 0 && leg.sacked == 0 && leg.retransmits >= kSentOften && leg.window >= leg.mss;
}

/// How the proxy knows that this side's TCP is gone: its kernel gave the connection up, or was about to. None: it is
/// not.
std::optional<Seen> gone(const View& v, From side) {
  const bool given_up = std::any_of(v.events.begin(), v.events.end(), [&](const Event& e) {
    return e.kind == Event::Kind::close && e.from == side && e.how == CloseHow::timeout;
  });
  std::optional<Seen> last;
  for (const PathSample& sample : v.c.end.samples)
    if (const auto seen = in_sample(sample, side); seen && (given_up || silent_tcp(seen->leg))) last = seen;
  if (!last && given_up) last = Seen{{}, v.ended_us};
  return last;
}

std::string sent_in_vain(const LegTransport& leg) {
  if (leg.unacked == 0) return "no acknowledgment until TCP gave up";
  return fmt::format("{} segment{} without an acknowledgment, {} sent again", leg.unacked, leg.unacked == 1 ? "" : "s",
                     leg.retransmits);
}

constexpr Rule kRules[] = {
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
     .check = [](const View& v) -> std::optional<Match> {
       const auto seen = before_the_end(v, From::sender);
       if (!seen || seen->leg.out_of_order == 0) return std::nullopt;
       // While the gateway takes nothing the proxy does not read on, and its kernel drops what has no room.
       if (const auto ahead = before_the_end(v, From::gateway); ahead && ahead->leg.unsent > 0) return std::nullopt;
       std::optional<Match> m = stall_at(v, *seen);
       if (!m) return std::nullopt;
       m->got = fmt::format("a hole that was never filled ({} segment{} out of order), then silence",
                            seen->leg.out_of_order, seen->leg.out_of_order == 1 ? "" : "s");
       m->confidence = Confidence::likely;
       return m;
     }},
    {.code = "path-hole-to-gateway",
     .title = "Segments of the message are lost on the way to the gateway",
     .phase = Phase::body,
     .party = Party::network,
     .expected = "an acknowledgment of the whole message by the gateway's TCP",
     .why = "The gateway has later segments of the message, but one before them never arrives, however often the proxy "
            "sends it: full-size packets do not get through (path MTU), or a device on the way drops them.",
     .advice = "From this host: ping -M do -s 1472 to the gateway, then smaller. If large ones are lost, let "
               "\"fragmentation needed\" (ICMP) through between this host and the gateway, or lower the MTU of the "
               "route to it. If all pass, look at devices between that rewrite TCP.",
     .references = {"RFC 1191", "RFC 4821", "RFC 2923 2.1"},
     .fires =
         "use hello mail rcpt data\nS body 6000\n!\n+10\npath G unacked=5 sacked=1 retransmits=5\n+110\nS fin\nG fin\n",
     .quiet =
         "use hello mail rcpt data\nS body 6000\n+10\npath G unacked=5 sacked=0 retransmits=5\n+110\nS fin\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       const auto seen = before_the_end(v, From::gateway);
       if (!seen || seen->leg.sacked == 0 || seen->leg.retransmits == 0) return std::nullopt;
       std::optional<Match> m = not_handed_on(v, *seen);
       if (!m) return std::nullopt;
       m->got = fmt::format("{} of {} segments acknowledged, and only behind a hole; {} sent again", seen->leg.sacked,
                            seen->leg.unacked, seen->leg.retransmits);
       m->confidence = Confidence::likely;
       return m;
     }},
    {.code = "gateway-stops-reading",
     .title = "The gateway stopped taking the message",
     .phase = Phase::body,
     .party = Party::gateway,
     .expected = "room for the whole message",
     .why = "The gateway's TCP is alive but its SMTP service reads no more: its receive window is full, and what the "
            "sender sends piles up before it.",
     .advice = "Look on the gateway at what holds up this message while it comes in: a content scanner or milter that "
               "hangs, a full queue disk, a process that is stuck. Its log at this time should name it.",
     .references = {"RFC 9293 3.8.6", "RFC 5321 4.5.3.2.5"},
     .fires = "use hello mail rcpt data\nS body 300000\n!\n+10\npath G unsent=90000 window=0\n+110\nS fin\nG fin\n",
     .quiet = "use hello mail rcpt data\nS body 300000\n+10\npath G unsent=0\n+110\nS fin\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       const auto seen = before_the_end(v, From::gateway);
       if (!seen || !takes_nothing(seen->leg)) return std::nullopt;
       std::optional<Match> m = not_handed_on(v, *seen);
       if (m) m->got = fmt::format("a window of {} bytes, with {} bytes waiting", seen->leg.window, seen->leg.unsent);
       return m;
     }},
    {.code = "sender-stops-reading",
     .title = "The sender stopped reading the gateway's replies",
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "a sender that reads the replies to its commands",
     .why = "The sender's TCP is alive but its program reads no more: its receive window is full, and the gateway's "
            "replies pile up before it. A sender that sends commands without reading what they are answered ends in "
            "a deadlock: each side waits until the other reads.",
     .advice =
         "Ask the sender for its log, and what its software did at this time: a process that is stuck, or a client "
         "that pipelines more commands than it reads replies to. The gateway has nothing to mend.",
     .references = {"RFC 2920 3.1", "RFC 9293 3.8.6"},
     .fires = "use hello mail\n!\n+10\npath S unsent=90000 window=0\n+110\nS rst\nG fin\n",
     .quiet = "use hello mail\n+10\npath S unsent=0 window=0\n+110\nS rst\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       const auto seen = before_the_end(v, From::sender);
       if (!seen || !takes_nothing(seen->leg) || !v.broken()) return std::nullopt;
       int32_t reply = -1;
       for (int32_t i = 0; i < count_of(v); ++i)
         if (v.at(i)->kind == Event::Kind::reply && v.at(i)->at_us <= seen->at_us) reply = i;
       if (reply < 0) return std::nullopt;
       Match m = due_behind(v, reply, *seen);
       m.phase = v.at(reply)->phase;
       m.got =
           fmt::format("a window of {} bytes, with {} bytes of replies waiting", seen->leg.window, seen->leg.unsent);
       return m;
     }},
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
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.broken() || v.close() == nullptr || forgotten_while_idle(v)) return std::nullopt;
       const auto seen = gone(v, From::gateway);
       if (!seen) return std::nullopt;
       std::optional<Match> m = not_handed_on(v, *seen);
       if (!m) {
         m = match_missing(v, v.first_close, From::gateway);
         m->phase = v.banner_owed() ? Phase::banner : v.close()->phase;
         m->at_us = v.owed_since();
       }
       if (const Event* body = v.at(m->event); body != nullptr && body->kind == Event::Kind::body && body->complete)
         m->phase = Phase::end_of_data;
       m->got = sent_in_vain(seen->leg);
       m->confidence = Confidence::likely;
       return m;
     }},
    {.code = "path-to-sender-dead",
     .title = "What is sent to the sender is not acknowledged any more",
     .phase = Phase::idle,
     .party = Party::network,
     .expected = "acknowledgments from the sender",
     .why = "The sender went silent, and what was sent to it then was never acknowledged by its TCP: its host or the "
            "path to it is gone, or a firewall or NAT before it forgot the connection.",
     .advice =
         "Ask the sender whether its host crashed, was restarted or moved at this time, and for the firewall or NAT "
         "before it: one that forgets quiet connections drops what comes for them silently. The gateway has nothing "
         "to mend.",
     .references = {"RFC 9293 3.8.3", "RFC 5382 5"},
     .fires = "use hello mail rcpt data\n!\n+100\nG 421 4.4.2 timeout exceeded\nG fin\n+60\nS timeout\n",
     .quiet = "use hello mail rcpt data\n+100\nG 421 4.4.2 timeout exceeded\nG fin\n+60\nS fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.broken() || v.close() == nullptr || v.banner < 0) return std::nullopt;
       const auto seen = gone(v, From::sender);
       if (!seen) return std::nullopt;
       std::optional<Match> m = stall_at(v, *seen);
       if (!m) {
         int32_t asked = v.banner;  // the last reply that was not the gateway's own farewell
         for (int32_t i = 0; i < count_of(v); ++i)
           if (v.at(i)->kind == Event::Kind::reply && v.at(i)->answers >= 0 && v.at(i)->code != 421) asked = i;
         m = due_behind(v, asked, *seen);
         m->phase = asked == v.banner ? Phase::banner : v.close()->phase;
       }
       m->got = sent_in_vain(seen->leg);
       m->confidence = Confidence::likely;
       return m;
     }},
};

}  // namespace

bool path_tells_stall(const View& v) {
  return std::any_of(std::begin(kRules), std::end(kRules), [&](const Rule& rule) { return rule.check(v).has_value(); });
}

std::span<const Rule> rules_path() { return kRules; }

}  // namespace smtpscope
