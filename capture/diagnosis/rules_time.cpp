// What only time tells: slow replies phase by phase against RFC 5321 4.5.3.2, messages that stopped on their way, and
// connections that something between forgot. How a stop is told from another: body_stall.h.
#include <fmt/core.h>

#include <algorithm>

#include "capture/diagnosis/body_stall.h"
#include "capture/diagnosis/delay.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"
#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

constexpr std::string_view kQuiet = "use hello mail rcpt data body accepted bye\n";

/// What a reply was waited for. RFC 5321 names the shortest time that senders should wait for each.
enum class Wait : uint8_t { hello, mail, rcpt, data, message, other };

Wait wait_of(const Event& asked) {
  if (asked.kind == Event::Kind::body) return Wait::message;
  switch (asked.verb) {
    case Verb::ehlo:
    case Verb::helo:
    case Verb::lhlo:
      return Wait::hello;
    case Verb::mail:
      return Wait::mail;
    case Verb::rcpt:
      return Wait::rcpt;
    case Verb::data:
      return Wait::data;
    case Verb::bdat: {
      const std::optional<BdatCommand> bdat = parse_bdat(asked.text);
      return bdat && bdat->last ? Wait::message : Wait::other;
    }
    default:
      return Wait::other;
  }
}

/// The slowest reply of this kind, if it took long.
std::optional<Match> slow(const View& v, Wait wait, int minutes) {
  int64_t longest = kSlow - 1 + v.c.session.resolution_us;
  if (v.ended_us <= longest) return std::nullopt;
  int32_t slowest = -1;
  for (size_t i = 0; i < v.events.size(); ++i) {
    const Event& e = v.events[i];
    const Event* asked = v.at(e.answers);
    if (e.kind != Event::Kind::reply || asked == nullptr || !asked->complete || wait_of(*asked) != wait) continue;
    if (!e.complete && v.first_close >= 0 && static_cast<int32_t>(i) > v.first_close) continue;
    // A chunk's reply is owed when the chunk has come, which stands behind its command.
    int64_t since = asked->end_us;
    bool whole = true;
    for (size_t k = static_cast<size_t>(e.answers) + 1; asked->verb == Verb::bdat && k < i; ++k) {
      if (v.events[k].kind != Event::Kind::body) continue;
      since = std::max(since, v.events[k].end_us);
      whole = whole && v.events[k].complete;
    }
    if (!whole) continue;  // the sender owed the rest of its chunk
    if (e.at_us - since > longest) longest = e.at_us - since, slowest = static_cast<int32_t>(i);
  }
  if (slowest < 0) return std::nullopt;
  Match m = match_event(v, slowest);
  m.phase = v.at(slowest)->phase;
  m.got = "the reply after " + v.seconds(longest);
  if (minutes > 0)
    m.why =
        fmt::format("The gateway took {} to answer. Senders should wait {} minutes here, but some give up sooner{}.",
                    v.seconds(longest), minutes, longest > minutes * 60 * kSecond ? ", and this was longer" : "");
  if (wait == Wait::hello || wait == Wait::mail || wait == Wait::rcpt) m.why += like_a_resolver(v, longest);
  return m;
}

constexpr Rule kRules[] = {
    {.code = "helo-slow",
     .title = "The reply to EHLO was slow",
     .kind = Rule::Kind::note,
     .phase = Phase::helo,
     .party = Party::gateway,
     .expected = "a reply within 5 s",
     .why = "The gateway took long to answer EHLO.",
     .advice =
         "Look whether the gateway looks the sender's name up at EHLO (DNS, reputation) and asks a DNS server that "
         "does not answer; some gateways delay on purpose (tarpit).",
     .references = {"RFC 5321 4.5.3.2", "RFC 5321 4.1.4"},
     .fires = "G 220 gw.example ESMTP\nS EHLO a.example\n+8\nG!250 gw.example\nuse mail rcpt data body accepted bye\n",
     .quiet = "G 220 gw.example ESMTP\nS EHLO a.example\n+3\nG 250 gw.example\nuse mail rcpt data body accepted bye\n",
     .check = [](const View& v) { return slow(v, Wait::hello, 5); }},
    {.code = "mail-slow",
     .title = "The reply to MAIL was slow",
     .kind = Rule::Kind::note,
     .phase = Phase::mail,
     .party = Party::gateway,
     .expected = "a reply within 5 s",
     .why = "The gateway took long to answer MAIL.",
     .advice =
         "Ask the DNS from the gateway for the sender's domain (MX, A, and the TXT records that SPF follows): a name "
         "server that does not answer holds the gateway up here.",
     .references = {"RFC 5321 4.5.3.2.2", "RFC 7208 4.6.4"},
     .fires = "use hello\nS MAIL FROM:<a@b.example>\n+8\nG!250 ok\nuse rcpt data body accepted bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example>\n+3\nG 250 ok\nuse rcpt data body accepted bye\n",
     .check = [](const View& v) { return slow(v, Wait::mail, 5); }},
    {.code = "rcpt-slow",
     .title = "The reply to RCPT was slow",
     .kind = Rule::Kind::note,
     .phase = Phase::rcpt,
     .party = Party::gateway,
     .expected = "a reply within 5 s",
     .why = "The gateway took long to answer RCPT.",
     .advice =
         "Time the gateway's recipient check by hand: an LDAP query, or an SMTP call-ahead to the server behind it. "
         "If these are quick, block list and policy queries are made here too.",
     .references = {"RFC 5321 4.5.3.2.3"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\n+8\nG!250 ok\nuse data body accepted bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\n+3\nG 250 ok\nuse data body accepted bye\n",
     .check = [](const View& v) { return slow(v, Wait::rcpt, 5); }},
    {.code = "data-slow",
     .title = "The reply to DATA was slow",
     .kind = Rule::Kind::note,
     .phase = Phase::data,
     .party = Party::gateway,
     .expected = "354 within 5 s",
     .why = "The gateway took long to answer DATA.",
     .advice =
         "Look at the gateway's queue disk and at what it starts for each message (a content filter's connection, a "
         "milter): it has checked the envelope and only has to open a file now.",
     .references = {"RFC 5321 4.5.3.2.4"},
     .fires = "use hello mail rcpt\nS DATA\n+8\nG!354 go\nuse body accepted bye\n",
     .quiet = "use hello mail rcpt\nS DATA\n+3\nG 354 go\nuse body accepted bye\n",
     .check = [](const View& v) { return slow(v, Wait::data, 2); }},
    {.code = "final-reply-slow",
     .title = "The reply to the message was slow",
     .kind = Rule::Kind::note,
     .phase = Phase::end_of_data,
     .party = Party::gateway,
     .expected = "250 within 5 s",
     .why = "The gateway took long to take the message. A sender that gives up here sends it again, and the recipients "
            "get it twice.",
     .advice = "Look in the gateway's log what it did with this message before it answered: virus and spam scanners, "
               "sandboxes, archives unpacked, or the next server if it passes mail on at once (cut-through).",
     .references = {"RFC 5321 4.5.3.2.6", "RFC 1047"},
     .fires = "use hello mail rcpt data body\n+40\nG!250 2.0.0 Ok: queued as 4F1A2B3C4D\nuse bye\n",
     .quiet = "use hello mail rcpt data body\n+3\nuse accepted bye\n",
     .check = [](const View& v) { return slow(v, Wait::message, 10); }},
    {.code = "reply-slow",
     .title = "A reply of the gateway was slow",
     .kind = Rule::Kind::note,
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "a reply within 5 s",
     .why =
         "The gateway took long to answer a command that needs no work, or a login. Senders with short time-outs give "
         "up here.",
     .advice =
         "Behind AUTH look at the gateway's password service. Behind any other command the gateway itself is held "
         "up: look at its load, and at packet loss on the way.",
     .references = {"RFC 5321 4.5.3.2"},
     .fires = "use hello\nS RSET\n+40\nG!250 2.0.0 Ok\nuse mail rcpt data body accepted bye\n",
     .quiet = "use hello\nS RSET\n+3\nG 250 ok\nuse mail rcpt data body\n+40\nuse accepted bye\n",
     .check = [](const View& v) { return slow(v, Wait::other, 0); }},
    {.code = "bdat-stalled",
     .title = "A chunk of the message did not come whole",
     .phase = Phase::body,
     .party = Party::network,
     .expected = "as many bytes as BDAT announced",
     .why = "The sender announced a chunk with BDAT, and fewer bytes came.",
     .advice = "Have the gateway hide CHUNKING for a test: if mail then passes, a firewall with SMTP inspection or the "
               "sender's BDAT is at fault (line ends that were changed make a chunk shorter). If it stops with DATA as "
               "well, large packets are lost: check the path MTU.",
     .references = {"RFC 3030 2", "RFC 5321 4.5.3.2.5"},
     .fires =
         "use hello mail rcpt\nS BDAT 5000 LAST\nS body 1000\n!\n+300\nG 421 4.4.2 timeout exceeded\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt\nS BDAT 1000 LAST\n+60\nS body 1000\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (stall_of(v) != Stall::in_chunk) return std::nullopt;
       Match m = match_stall(v);
       m.phase = Phase::body;
       m.confidence = Confidence::likely;
       const Event* body = v.at(v.stalled_body);
       const Event* asked = nullptr;
       for (const Event& e : v.events)
         if (e.verb == Verb::bdat) asked = &e;
       const std::optional<BdatCommand> bdat = asked != nullptr ? parse_bdat(asked->text) : std::nullopt;
       if (bdat)
         m.why = fmt::format("The sender announced a chunk of {} bytes; {} came, then nothing for {}.", bdat->size,
                             body != nullptr ? body->bytes : 0, v.seconds(stalled_for(v)));
       return m;
     }},
    {.code = "message-never-came",
     .title = "No byte of the message came behind the gateway's 354",
     .phase = Phase::body,
     .party = Party::network,
     .expected = "the message",
     .why =
         "The small packets of the commands passed; the message, whose packets are full, did not come at all. That is "
         "what a path with a smaller MTU looks like, on which the ICMP messages that say so are dropped.",
     .advice =
         "Send from the sender's host: ping -M do -s 1472 to this host, then smaller. If large ones are lost, let "
         "ICMP \"fragmentation needed\" through, or clamp the MSS on the router or VPN between (1360 fits most). "
         "If all pass, ask the sender what its software waited for.",
     .references = {"RFC 4821", "RFC 1191 3", "RFC 5321 4.5.3.2.5"},
     .fires = "use hello mail rcpt data\n!\n+300\nG 421 4.4.2 timeout exceeded\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt data\n+100\nuse body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (stall_of(v) != Stall::at_once) return std::nullopt;
       Match m = match_stall(v);
       m.phase = Phase::body;
       constexpr uint64_t kPacket = 1400;
       const std::optional<uint64_t> size = v.messages.empty() ? std::nullopt : v.messages.back().size_declared;
       m.confidence = size && *size >= kPacket ? Confidence::likely : Confidence::possible;
       if (size && *size < kPacket / 2) {  // it fits into one small packet
         m.party = Party::sender;
         m.why = fmt::format(
             "The sender announced a small message of {} bytes and then sent none of it, so its software "
             "waited for something.",
             *size);
       }
       return m;
     }},
    {.code = "stalled-at-64k",
     .title = "The message stopped after 64 KiB",
     .phase = Phase::body,
     .party = Party::network,
     .expected = "the rest of the message",
     .why = "The message stopped where a TCP window without scaling is full.",
     .advice =
         "Look for a firewall or load balancer that removes or changes TCP options (window scaling, SACK, sequence "
         "numbers): the two ends then disagree about the window. As a test turn window scaling off on the "
         "gateway's or this host's side (Linux: net.ipv4.tcp_window_scaling=0); if mail then passes, mend the "
         "device between.",
     .references = {"RFC 7323 2.2", "RFC 5321 4.5.3.2.5"},
     .fires = "use hello mail rcpt data\nS body 65535\n!\n+300\nG 421 4.4.2 timeout exceeded\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt data\nS body 65535\n+100\nS~\\r\\n.\\r\\n\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (stall_of(v) != Stall::at_64k) return std::nullopt;
       Match m = match_stall(v);
       m.phase = Phase::body;
       m.confidence = Confidence::likely;
       m.why = progress(v) + ", which is where a TCP window without scaling is full; then nothing for " +
               v.seconds(stalled_for(v)) + ".";
       return m;
     }},
    {.code = "body-not-taken",
     .title = "The sender could not send on and gave up in the middle of the message",
     .phase = Phase::body,
     .party = Party::gateway,
     .expected = "room for the whole message",
     .why = "The sender stopped in the middle of its message, waited and left: its bytes were not taken any more.",
     .advice = "Look at the gateway: a scanner, milter or full disk that keeps its SMTP service from reading. If the "
               "gateway waited for more at this time, packets are lost between the sender and this host: compare a "
               "capture taken there.",
     .references = {"RFC 5321 4.5.3.2.5", "RFC 9293 3.8.6"},
     .fires = "use hello mail rcpt data\nS body 200000\n!\n+180\nS rst\nG fin\n",
     .quiet = "use hello mail rcpt data\nS body 200000\nS rst\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (stall_of(v) != Stall::not_taken) return std::nullopt;
       Match m = match_stall(v);
       m.phase = Phase::body;
       m.confidence = Confidence::possible;
       m.why = progress(v) + "; then the sender sent nothing for " + v.seconds(stalled_for(v)) +
               v.looks_like_limit(stalled_for(v)) + " and left, as senders do whose bytes are not taken any more.";
       return m;
     }},
    {.code = "left-at-354",
     .title = "The sender left when it was told to send the message",
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "the message",
     .why = "The gateway had accepted the envelope and asked for the message, and the sender closed the connection.",
     .advice = "Nothing was refused here, so ask the sender for its log: its queue file cannot be read, its filter "
               "stopped, or it only checks addresses. If its log speaks of a lost connection, a firewall between ends "
               "connections at DATA.",
     .references = {"RFC 5321 4.1.1.4"},
     .fires = "use hello mail rcpt data\n+1\nS!fin\nG fin\n",
     .quiet = "use hello mail rcpt data\nS body 500\nS fin\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (stall_of(v) != Stall::not_begun) return std::nullopt;
       Match m = match_event(v, v.first_close);
       m.phase = Phase::body;
       m.got += " after " + v.seconds(stalled_for(v));
       return m;
     }},
    {.code = "idle-connection-dropped",
     .title = "The connection was idle for minutes and was gone when it was used again",
     .phase = Phase::idle,
     .party = Party::network,
     .expected = "a reply to the command",
     .why = "A firewall or NAT between forgot the idle connection.",
     .advice =
         "Find the device between that forgets connections after this time and raise its time-out for port 25 above "
         "5 minutes, or have the sender close connections that it does not use (connection cache) sooner.",
     .references = {"RFC 5382 5", "RFC 5321 4.5.3.2.7"},
     .fires = "use hello\n+400\nS MAIL FROM:<a@b.example>\n+0.1\nG!rst\nS fin\n",
     .quiet = "use hello\n+400\nS MAIL FROM:<a@b.example>\nG 250 ok\nuse rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!forgotten_while_idle(v)) return std::nullopt;
       Match m = match_event(v, v.first_close);
       const Event& asked = *v.at(v.unanswered);
       int64_t before = 0;
       for (const Event& e : v.events)
         if (e.end_us < asked.at_us) before = std::max(before, e.end_us);
       m.phase = asked.phase;
       m.confidence = v.at_least(asked.at_us - before, 120 * kSecond) ? Confidence::likely : Confidence::possible;
       m.why = fmt::format(
           "The connection was idle for {}; the command behind that met a connection that was no more. A "
           "firewall or NAT between forgot it.",
           v.seconds(asked.at_us - before));
       return m;
     }},
    {.code = "left-without-goodbye",
     .title = "The sender left without QUIT, or reset the connection behind it (harmless)",
     .kind = Rule::Kind::note,
     .phase = Phase::quit,
     .party = Party::sender,
     .expected = "QUIT, the gateway's 221, then the end of the connection",
     .why = "All mail was accepted, and then the sender ended the connection in another way than it should.",
     .advice =
         "Nothing was lost and nothing has to be done. If the gateway's log counts such sessions as errors, this is "
         "why.",
     .references = {"RFC 5321 4.1.1.10"},
     .fires = "use hello mail rcpt data body accepted\nS!rst\nG fin\n",
     .quiet = kQuiet,
     .check = [](const View& v) -> std::optional<Match> {
       if (v.verdict != Verdict::delivered || v.c.tls || !v.closed_by(From::sender)) return std::nullopt;
       if (v.quit >= 0 && v.close()->how != CloseHow::rst) return std::nullopt;
       Match m = match_event(v, v.first_close);
       m.phase = Phase::quit;
       return m;
     }},
};

}  // namespace

std::span<const Rule> rules_time() { return kRules; }

}  // namespace smtpscope
