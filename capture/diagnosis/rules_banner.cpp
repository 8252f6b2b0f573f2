// From the accepted connection to the greeting.
#include "capture/diagnosis/delay.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr std::string_view kQuiet = "use hello mail rcpt data body accepted bye\n";

/// The gateway ended the connection before its greeting was whole.
std::optional<Match> closed_before_banner(const View& v, bool partial, bool reset) {
  if (!v.broken() || !v.banner_owed() || !v.closed_by(From::gateway)) return std::nullopt;
  if ((v.cut_reply >= 0) != partial || (!partial && (v.close()->how != CloseHow::fin) != reset)) return std::nullopt;
  Match m = match_event(v, v.first_close);
  m.got += " after " + v.seconds(v.close()->at_us);
  if (partial) m.got += ", in the middle of \"" + v.at(v.cut_reply)->text + "\"";
  return m;
}

constexpr Rule kRules[] = {
    {.code = "non-smtp-client",
     .title = "The client does not speak SMTP but HTTP",
     .phase = Phase::helo,
     .party = Party::sender,
     .expected = "EHLO or HELO",
     .why =
         "An HTTP request arrived where an SMTP command was due: a scanner, a misdirected web client or an attack that "
         "abuses a web proxy.",
     .advice = "Nothing is wrong with the gateway. If the address belongs to a partner, tell them that a web client of "
               "theirs is pointed at port 25.",
     .references = {"RFC 5321 4.1.1.1"},
     .fires = "G 220 gw.example ESMTP\nS!GET / HTTP/1.1\nG 500 5.5.2 unrecognized\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt data\nS GET / HTTP/1.1\nS .\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       for (size_t i = 0; i < v.events.size(); ++i)
         if (v.events[i].verb == Verb::http) return match_event(v, static_cast<int32_t>(i));
       return std::nullopt;
     }},
    {.code = "tls-implicit",
     .title = "The client began with TLS where plain SMTP is spoken",
     .phase = Phase::banner,
     .party = Party::sender,
     .expected = "silence until the greeting, then EHLO",
     .why =
         "A TLS ClientHello arrived at once. The client is set up for SMTPS (port 465), while this port greets in the "
         "clear and offers TLS with STARTTLS.",
     .advice =
         "Ask the sender to set its connection security to STARTTLS, or to use port 465 if the gateway offers it.",
     .references = {"RFC 8314 3.3", "RFC 3207 4"},
     .fires = "S!~\\x16\\x03\\x01\\x00\\x02\\x01\\x00\n+30\nG fin\nS fin\n",
     .quiet = kQuiet,
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.broken() || !v.c.tls || v.c.tls->mode != "implicit" || v.answered_in_tls) return std::nullopt;
       Match m = match_event(v, v.first_sent);
       if (v.at(v.first_sent) == nullptr) return std::nullopt;
       return m;
     }},
    {.code = "early-talker",
     .title = "The sender talked before the greeting",
     .phase = Phase::banner,
     .party = Party::sender,
     .expected = "silence of the sender until the gateway's 220",
     .why = "The sender sent its first command without waiting for the gateway's greeting. Gateways take that for the "
            "mark "
            "of spam software, or lose the synchronisation.",
     .advice =
         "Ask the sender to wait for the 220 before it sends anything. If a monitoring tool does this, have it wait "
         "too.",
     .references = {"RFC 5321 3.1", "RFC 5321 4.3.1"},
     .fires = "S!EHLO spammer.example\nG 554 SMTP synchronization error\nG fin\nS fin\n",
     .quiet = kQuiet,
     .check = [](const View& v) -> std::optional<Match> {
       const Event* e = v.at(v.first_sent);
       if (e == nullptr || e->kind != Event::Kind::command || e->verb == Verb::http) return std::nullopt;
       if (v.banner < 0 && e->verb == Verb::quit) return std::nullopt;  // it took its leave
       if (v.offers_pipe_connect(v.first_sent)) return std::nullopt;
       if (v.c.session.instance.empty() && v.seen(From::gateway) == 0) return std::nullopt;
       if (v.c.session.begins_late) return std::nullopt;
       const bool early = v.banner >= 0 ? v.first_sent < v.banner : v.first_close < 0 || v.first_sent < v.first_close;
       if (!early || (v.banner < 0 && v.cut_reply >= 0)) return std::nullopt;
       return match_event(v, v.first_sent);
     }},
    {.code = "banner-closed",
     .title = "The gateway closed the connection before its greeting",
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "220 and the gateway's name",
     .why = "The gateway accepted the TCP connection and ended it without a word.",
     .advice =
         "Look in the gateway's log at this time for the sender's address: a connection limit, a policy that drops "
         "senders silently, or a service behind the port that is not running.",
     .references = {"RFC 5321 3.1"},
     .fires = "+1\nG!fin\nS fin\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return closed_before_banner(v, false, false); }},
    {.code = "banner-reset",
     .title = "The gateway reset the connection before its greeting",
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "220 and the gateway's name",
     .why = "The connection was accepted and then reset: the gateway refuses this sender without a word (Cisco: "
            "TCPREFUSE), "
            "or a firewall between ended it.",
     .advice =
         "Look in the gateway's log for the sender's address at this second. On a Cisco gateway \"ICID 0 TCPREFUSE SG "
         "name match ...\" in mail_logs names the sender group: move the address to another group. If the gateway "
         "logged no connection at all, the firewall or IPS in front of it sent the reset.",
     .references = {"RFC 5321 3.1", "RFC 9293 3.5.2"},
     .fires = "+1\nG!rst\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return closed_before_banner(v, false, true); }},
    {.code = "banner-cut",
     .title = "The connection ended in the middle of the greeting",
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "the rest of the greeting",
     .why = "The gateway began its greeting and ended the connection before it was whole.",
     .advice = "Look in the gateway's log for a crash or restart of its SMTP service at this time.",
     .references = {"RFC 5321 4.2.1"},
     .fires = "G~220-gw.example ESMTP\\r\\n220-please wa\nG!fin\nS fin\n",
     .quiet = "G~220-gw.example ESMTP\\r\\n220 ready\\r\\n\nG fin\nS fin\n",
     .check = [](const View& v) { return closed_before_banner(v, true, false); }},
    {.code = "banner-sender-gave-up",
     .title = "The sender gave up waiting for the greeting",
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "220 from the gateway; the sender should wait 5 minutes for it",
     .why = "The gateway had sent no greeting when the sender left.",
     .advice =
         "Find out why the greeting is slow: most often a reverse DNS or reputation lookup for the sender's address "
         "that gets no answer; also load or an ident (port 113) query that a firewall drops. The sender can raise "
         "its time-out. If no sender at all gets a greeting, the gateway may wait for a PROXY header: see "
         "gateway.present.",
     .references = {"RFC 5321 4.5.3.2.1"},
     .fires = "+30\nS!fin\nG fin\n",
     .quiet = "+30\nuse hello mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!v.broken() || !v.banner_owed() || (v.gave_up < 0 && !v.closed_by(From::sender)) ||
           v.c.connect.state == GatewayConnect::State::failed)
         return std::nullopt;
       if (v.c.connect.state == GatewayConnect::State::pending && v.seen(From::gateway) == 0) return std::nullopt;
       Match m = match_event(v, v.gave_up >= 0 ? v.gave_up : v.first_close);
       const int64_t waited = v.gave_up >= 0 ? v.at(v.gave_up)->at_us - v.owed_since() : v.silence_us();
       m.got += " after " + v.seconds(waited);
       m.why = "The gateway had sent no greeting when the sender left after " + v.seconds(waited) +
               v.looks_like_limit(waited) + ". RFC 5321 asks senders to wait 5 minutes." + what_look_up_rules_out(v);
       if (waited < kImpatient) m.party = Party::sender;
       if (!v.at_least(waited, 300 * kSecond)) m.confidence = Confidence::likely;
       return m;
     }},
    {.code = "banner-not-smtp",
     .title = "The gateway's first bytes are no SMTP greeting",
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "220 and the gateway's name",
     .why = "What came is no reply with a three-digit code: another service listens on this port.",
     .advice = "Check the gateway address and port in the proxy's settings, and what listens there.",
     .references = {"RFC 5321 4.2"},
     .fires = "G!SSH-2.0-OpenSSH_9.2\n+1\nS fin\nG fin\n",
     .quiet = kQuiet,
     .check = [](const View& v) -> std::optional<Match> {
       const Event* e = v.at(v.banner);
       if (e == nullptr || e->code != 0) return std::nullopt;
       return match_event(v, v.banner);
     }},
    {.code = "banner-listener-full",
     .title = "The gateway has too many connections in all",
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "220",
     .why = "The listener holds as many sessions as it may, from all senders together. This sender has done nothing "
            "wrong.",
     .advice =
         "Count the gateway's open sessions by address: many from one are a flood or a sender to be limited; many "
         "from all are slow filters or lookups that keep sessions open, or a limit that is too low (Cisco: "
         "listener, Max. Concurrent Connections; Exim: smtp_accept_max; Exchange: MaxInboundConnection).",
     .references = {"RFC 5321 3.1", "RFC 3463 3.5"},
     .fires = "G!421 #4.4.5 Too many connections to this listener.\nG fin\nS fin\n",
     .quiet = "G 421 #4.4.5 Too many connections from your host.\nG fin\nS fin\n",
     .reply = {in(Phase::banner), 400, 599, "",
               "connections to this listener|connections to this host|connections to this server|number of concurrent "
               "connections has exceeded|too many concurrent smtp connections; please|too many open connections"}},
    {.code = "banner-too-many-connections",
     .title = "The gateway has too many connections from this sender",
     .phase = Phase::banner,
     .party = Party::policy,
     .expected = "220",
     .why = "The sender holds more connections at once, or opens them faster, than the gateway allows one host.",
     .advice = "If smtpscope does not preserve the sender's address, the gateway counts all senders as one host: check "
               "gateway.present first. Else ask the sender to lower its concurrency for this destination, or raise the "
               "limit for it on the gateway (Cisco: mail flow policy, Max. Concurrent Connections Per IP; Postfix: "
               "smtpd_client_connection_count_limit).",
     .references = {"RFC 5321 3.1", "RFC 3463 3.5"},
     .fires = "G!421 #4.4.5 Too many connections from your host.\nG fin\nS fin\n",
     .quiet = "G 421 4.3.2 All server ports are busy\nG fin\nS fin\n",
     .reply = {in(Phase::banner), 400, 599, "",
               "too many connections|too many concurrent|concurrent connections|connection rate|too frequent connects|"
               "too many simultaneous|connection limit|connections from your"}},
    {.code = "banner-overload",
     .title = "The gateway is overloaded",
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "220",
     .why = "The gateway turns senders away because of its own load.",
     .advice =
         "Look at the gateway's load, its number of SMTP processes and its resource conservation mode. The sender will "
         "try again.",
     .references = {"RFC 5321 3.1", "RFC 3463 3.4"},
     .fires = "G!421 4.3.2 All server ports are busy\nG fin\nS fin\n",
     .quiet = "G 421 #4.4.5 Too many connections from your host.\nG fin\nS fin\n",
     .reply = {in(Phase::banner), 421, 451, "",
               "ports are busy|too much load|server busy|system load|resources|overload|load too high"}},
    {.code = "banner-licence-expired",
     .title = "The gateway's licence has expired",
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "220",
     .why = "The gateway says that its licence has run out and takes no mail.",
     .advice = "Renew the licence on the gateway.",
     .references = {"RFC 5321 3.1"},
     .fires = "G!421 The evaluation license has expired\nG fin\nS fin\n",
     .quiet = "G 421 try later\nG fin\nS fin\n",
     .reply = {in(Phase::banner), 400, 599, "", "license has expired|licence has expired"}},
    {.code = "banner-reputation",
     .title = "The gateway rejects this sender for its reputation",
     .phase = Phase::banner,
     .party = Party::policy,
     .expected = "220",
     .why = "A reputation service or block list speaks against the sender's address.",
     .advice =
         "Look up the address at the service named in the reply (Cisco: talosintelligence.com; mail_logs says \"REJECT "
         "SG BLOCKED_LIST match sbrs[...]\"). If the sender is wanted, add it to an allowing sender group; else it has "
         "to clean up and ask for delisting. If the reply names the proxy's address, check gateway.present.",
     .references = {"RFC 5321 3.1", "RFC 5782"},
     .fires = "G!554 Your access to this mail system has been rejected due to the sending MTA's poor "
              "reputation.\nG fin\nS fin\n",
     .quiet = "G 554 no SMTP service here\nG fin\nS fin\n",
     .reply = {in(Phase::banner), 400, 599, "",
               "reputation|blacklist|blocklist|block list|black list|blocked using|dnsbl| rbl|.rbl.|(rbl|spamhaus|"
               "spamcop|barracudacentral|is listed|listed at|listed by"}},
};

// What no other rule knows better.
constexpr Rule kRefused[] = {
    {.code = "banner-temporary",
     .title = "The gateway does not take mail at the moment",
     .phase = Phase::banner,
     .party = Party::gateway,
     .expected = "220",
     .why = "The gateway turned the connection away for now. The sender will try again later.",
     .advice = "Look in the gateway's log at this time for the reason: shutdown, load or a limit.",
     .references = {"RFC 5321 3.1", "RFC 5321 4.2.3"},
     .fires = "G!421 gw.example Service not available\nG fin\nS fin\n",
     .quiet = "G 554 5.7.1 No SMTP service here\nuse bye\n",
     .reply = {in(Phase::banner), 400, 499}},
    {.code = "banner-refused",
     .title = "The gateway refuses mail from this connection",
     .phase = Phase::banner,
     .party = Party::policy,
     .expected = "220",
     .why = "The gateway greeted with a refusal: it takes no mail here, or none from this address.",
     .advice = "Look in the gateway's access rules for this address (Cisco: HAT sender groups; Postfix: "
               "smtpd_client_restrictions with smtpd_delay_reject=no, postscreen_access_list; Exim: "
               "host_reject_connection). 521 means that the host takes no mail at all: check the MX record.",
     .references = {"RFC 5321 3.1", "RFC 7504 3"},
     .fires = "G!554 5.7.1 No SMTP service here\nuse bye\n",
     .quiet = "G 421 4.3.2 busy\nG fin\nS fin\n",
     .reply = {in(Phase::banner), 500, 599}},
};

}  // namespace

std::span<const Rule> rules_banner() { return kRules; }
std::span<const Rule> rules_refused_banner() { return kRefused; }

}  // namespace smtpscope
