// Breakdowns before the gateway was reached.
#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <utility>

#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"
#include "capture/error_words.h"

namespace smtpscope {
namespace {

constexpr std::string_view kQuiet = "use hello mail rcpt data body accepted bye\n";

/// A firewall said no. The gateway's own TCP would have refused with a reset.
bool prohibited(const View& v) {
  const GatewayConnect& c = v.c.connect;
  return c.icmp.says == "admin-prohibited" || c.icmp.says == "port-unreachable" || c.error == "EACCES" ||
         c.error == "EPERM";
}

std::string icmp_text(const IcmpError& icmp) {
  return icmp.from.empty() ? "" : "; " + icmp.from + " answered with ICMP " + icmp.says;
}

std::optional<Match> failed_with(const View& v, std::initializer_list<std::string_view> errors, bool others = false) {
  if (v.c.connect.state != GatewayConnect::State::failed) return std::nullopt;
  const bool listed = std::find(errors.begin(), errors.end(), v.c.connect.error) != errors.end();
  if (listed == others) return std::nullopt;
  Match m;
  for (size_t i = 0; i < v.events.size() && m.event < 0; ++i)
    if (v.events[i].kind == Event::Kind::note && v.events[i].phase == Phase::connect) m.event = static_cast<int32_t>(i);
  m.at_us = v.c.connect.at_us;
  m.got = error_words(v.c.connect.error) + " after " + v.seconds(v.c.connect.took_us) + icmp_text(v.c.connect.icmp);
  return m;
}

/// Where the gateway sees the sender's own address, it answers to that: the first thing to look at if nothing came
/// back.
Match name_the_way_back(const View& v, Match m) {
  if (v.c.session.sees != "sender") return m;
  m.why = fmt::format(
      "No answer came to the connection attempt. It was made from the sender's own address {0}, so the gateway answers "
      "to "
      "{0}, and its answers may not come back through the proxy's host. Or the gateway is down, its queue of "
      "connections is "
      "full, or a firewall drops the packets.",
      v.c.session.sender.ip);
  m.advice = fmt::format(
      "Look on the gateway where its answers go: `ip route get {}` there must lead to the proxy's host. If it cannot, "
      "have "
      "the proxy use its own address (\"present\": \"proxy\" or \"proxy-v1\"). If it does, look whether the gateway is "
      "up "
      "and accepts connections, and for a firewall that drops port 25, or packets with others' source addresses, "
      "silently.",
      v.c.session.sender.ip);
  return m;
}

constexpr Rule kRules[] = {
    {.code = "gateway-refused",
     .title = "The gateway refused the connection",
     .phase = Phase::connect,
     .party = Party::gateway,
     .expected = "an accepted TCP connection",
     .why = "Nothing listens on the gateway's address and port, or a firewall on it rejects the connection. The sender "
            "got "
            "a reset.",
     .advice =
         "Check that the gateway's listener is up on the address that smtpscope is told to use, and that no packet "
         "filter on the gateway rejects it.",
     .references = {"RFC 9293 3.10.7"},
     .fires = "!connect failed ECONNREFUSED 0.4\nS rst\n",
     .quiet = kQuiet,
     .check =
         [](const View& v) {
           return prohibited(v) ? std::nullopt : failed_with(v, {"ECONNREFUSED", "ECONNRESET"});
         }},
    {.code = "gateway-prohibited",
     .title = "A firewall forbids the connection to the gateway",
     .phase = Phase::connect,
     .party = Party::network,
     .expected = "an accepted TCP connection",
     .why =
         "A packet filter answered the connection attempt with an ICMP message that forbids it; the gateway itself was "
         "not asked.",
     .advice =
         "Let the filter pass TCP from this host to the gateway's port. If smtpscope keeps the senders' addresses, "
         "the filter has to let those pass too. Where no address is named, the filter is on this host: look at "
         "nft list ruleset, and at ip route for a prohibiting route.",
     .references = {"RFC 1812 5.2.7.1", "RFC 4443 3.1"},
     .fires = "!connect failed EHOSTUNREACH 0.1 192.0.2.254 admin-prohibited\nS rst\n",
     .quiet = "connect failed EHOSTUNREACH 3.1 192.0.2.254 host-unreachable\nS rst\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!prohibited(v)) return std::nullopt;
       std::optional<Match> m = failed_with(v, {"ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EACCES", "EPERM"});
       const std::string& from = v.c.connect.icmp.from;
       if (m && from.empty()) {
         m->why = "The proxy's own host forbids the connection, by a packet filter or a route.";
         m->party = Party::proxy;
       } else if (m) {
         m->why = from == v.c.session.gateway.ip
                      ? "A packet filter on the gateway's host answered the connection attempt with ICMP \"" +
                            v.c.connect.icmp.says + "\"; its SMTP service was not asked."
                      : "A packet filter at " + from + " answered the connection attempt with ICMP \"" +
                            v.c.connect.icmp.says + "\"; the gateway itself was not asked.";
       }
       return m;
     }},
    {.code = "gateway-no-route",
     .title = "There is no route to the gateway",
     .phase = Phase::connect,
     .party = Party::network,
     .expected = "an accepted TCP connection",
     .why = "The network said that the gateway's address cannot be reached from the proxy's host.",
     .advice =
         "Check the routing table and the packet filters between the proxy's host and the gateway; try a ping and a "
         "connection by hand.",
     .references = {"RFC 1122 4.2.3.9"},
     .fires = "!connect failed EHOSTUNREACH 3.1\nS rst\n",
     .quiet = kQuiet,
     .check =
         [](const View& v) {
           return prohibited(v) ? std::nullopt
                                : failed_with(v, {"EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN"});
         }},
    {.code = "gateway-no-answer",
     .title = "The gateway did not answer the connection attempt",
     .phase = Phase::connect,
     .party = Party::network,
     .expected = "an accepted TCP connection",
     .why = "No answer came to the connection attempt: the gateway is down, its queue of connections is full, or a "
            "firewall drops the packets.",
     .advice =
         "Look whether the gateway is up and accepts connections, and for a firewall that drops port 25 silently.",
     .references = {"RFC 5321 4.5.3.2", "RFC 9293 3.8.3"},
     .fires = "!connect failed ETIMEDOUT 130\nS rst\n",
     .quiet = kQuiet,
     .check = [](const View& v) -> std::optional<Match> {
       if (v.broken() && v.c.connect.state == GatewayConnect::State::pending && v.banner < 0 && v.close() != nullptr &&
           v.seen(From::gateway) == 0) {
         Match m = match_missing(v, v.first_close, From::gateway);
         m.got = "no answer for " + v.seconds(v.close()->at_us);
         return name_the_way_back(v, std::move(m));
       }
       std::optional<Match> m = failed_with(v, {"ETIMEDOUT"});
       return m ? name_the_way_back(v, std::move(*m)) : m;
     }},
    {.code = "gateway-connect-failed",
     .title = "The proxy could not connect to the gateway",
     .phase = Phase::connect,
     .party = Party::proxy,
     .expected = "an accepted TCP connection",
     .why = "The proxy's own host could not make the connection: it is out of ports, descriptors or memory, or its "
            "settings do not fit.",
     .advice = "Look up the error in the proxy's log; check the limits of open files and of local ports on its host.",
     .references = {"RFC 5321 3.1"},
     .fires = "!connect failed EADDRNOTAVAIL 0\nS rst\n",
     .quiet = kQuiet,
     .check =
         [](const View& v) {
           return failed_with(v,
                              {"ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN",
                               "EACCES", "EPERM", "ETIMEDOUT"},
                              true);
         }},
    {.code = "sender-port-changed",
     .title = "The gateway sees the sender's address with another port",
     .kind = Rule::Kind::note,
     .phase = Phase::connect,
     .party = Party::proxy,
     .expected = "the sender's own port",
     .why = "The sender's port was taken on the proxy's host, so that the kernel gave the connection to the gateway "
            "another one. The address is the sender's own; no gateway decides on the port.",
     .advice = "Nothing has to be done. Where the gateway's log names ports, look there for the one that stands here.",
     .references = {"RFC 9293 3.1"},
     .fires = "sees-port 40001\n!\nuse hello mail rcpt data body accepted bye\n",
     .quiet = kQuiet,
     .check = [](const View& v) -> std::optional<Match> {
       const SessionFacts& s = v.c.session;
       if (s.sees != "sender" || s.sees_port == 0) return std::nullopt;
       Match m;
       m.got = "port " + std::to_string(s.sees_port) + " in place of " + std::to_string(s.sender.port);
       return m;
     }},
};

}  // namespace

std::span<const Rule> rules_connect() { return kRules; }

}  // namespace smtpscope
