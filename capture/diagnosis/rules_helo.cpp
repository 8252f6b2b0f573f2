// EHLO and HELO, STARTTLS and the TLS handshake.
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr Rule kHelo[] = {
    {.code = "helo-refused",
     .title = "The gateway refused the name in the sender's EHLO",
     .phase = Phase::helo,
     .party = Party::sender,
     .expected = "250",
     .why = "The sender's EHLO or HELO holds no host name, or one that is malformed.",
     .advice = "Ask the sender to send its own full host name, which has an A or AAAA record; a host without a name "
               "sends its address in brackets.",
     .references = {"RFC 5321 4.1.1.1", "RFC 5321 2.3.5"},
     .fires = "G 220 gw.example ESMTP\nS EHLO bad_name!\nG!501 #5.0.0 EHLO requires domain address\nuse bye\n",
     .quiet = "G 220 gw.example\nS EHLO a.example\nG 502 5.5.1 not implemented\nS HELO a.example\nG 250 gw.example\n"
              "use mail rcpt data body accepted bye\n",
     .reply = {in(Phase::helo), 501, 501}},
    {.code = "helo-refused-by-policy",
     .title = "The gateway's rules refuse this sender at EHLO",
     .phase = Phase::helo,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway refuses the sender for its host name or its address.",
     .advice = "Look in the gateway's rules for HELO names (Postfix: smtpd_helo_restrictions; Exim: acl_smtp_helo) and "
               "for this address; the sender should give its own full, resolvable host name.",
     .references = {"RFC 5321 4.1.1.1"},
     .fires = "G 220 gw.example ESMTP\nS EHLO gw.example\nG!550 5.7.1 You are not gw.example\nG fin\nS fin\n",
     .quiet = "G 220 gw.example ESMTP\nS EHLO bad_name!\nG 501 #5.0.0 EHLO requires domain address\nuse bye\n",
     .reply = {in(Phase::helo), 504, 599}},
    {.code = "ehlo-not-understood",
     .title = "The gateway does not understand EHLO",
     .phase = Phase::helo,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway answered EHLO as an unknown command: a very old server, or a firewall that rewrites commands "
            "(Cisco "
            "ASA: inspect esmtp).",
     .advice = "Turn off SMTP inspection on firewalls between. A sender may go on with HELO.",
     .references = {"RFC 5321 3.2", "RFC 5321 4.1.4"},
     .fires = "G 220 gw.example ESMTP\nS EHLO a.example\nG!500 5.5.1 command not recognized\nuse bye\n",
     .quiet = "G 220 gw.example ESMTP\nS EHLO bad_name!\nG 501 #5.0.0 EHLO requires domain address\nuse bye\n",
     .reply = {in(Phase::helo), 500, 502}},
    {.code = "helo-temporary",
     .title = "The gateway puts the sender off at EHLO",
     .phase = Phase::helo,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway does not go on with this sender for now; the sender will try again.",
     .advice =
         "Look in the gateway's log at this time for the reason: load, a limit, or a lookup of the sender's name that "
         "failed.",
     .references = {"RFC 5321 4.2.3"},
     .fires = "G 220 gw.example ESMTP\nS EHLO a.example\nG!450 4.7.0 try again later\nuse bye\n",
     .quiet = "G 220 gw.example ESMTP\nS EHLO bad_name!\nG 501 #5.0.0 EHLO requires domain address\nuse bye\n",
     .reply = {in(Phase::helo), 400, 499}},
};

// A ClientHello and a ServerHello cut down to what can be read.
#define CLIENT_HELLO                                                                                                   \
  "S~\\x16\\x03\\x01\\x00\\x31\\x01\\x00\\x00\\x2d\\x03\\x03aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb\\x00\\x00\\x02\\x13\\x01" \
  "\\x01\\x00\\x00\\x02\\x00\\x00\n"
#define SERVER_HELLO                                                                                              \
  "G~\\x16\\x03\\x03\\x00\\x2c\\x02\\x00\\x00\\x28\\x03\\x03aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb\\x00\\x13\\x01\\x00" \
  "\\x00\\x00\n"
#define GRANTED "use hello\nS STARTTLS\nG 220 2.0.0 Ready to start TLS\n"

bool handshake_broke(const View& v) {
  return v.broken() && v.inside_tls() && v.c.tls->mode == "starttls" && !v.c.tls->application_data;
}

int32_t first_alert(const View& v) {
  for (size_t i = 0; i < v.events.size(); ++i)
    if (v.events[i].kind == Event::Kind::tls && v.events[i].text.starts_with("alert")) return static_cast<int32_t>(i);
  return -1;
}

/// What an alert means for the people at both ends; empty for the rare ones.
std::string_view alert_meaning(std::string_view text) {
  struct Meaning {
    std::string_view name, text;
  };
  static constexpr Meaning kMeanings[] = {
      {"handshake_failure", "the two sides have no cipher or signature algorithm in common"},
      {"protocol_version", "the two sides have no TLS version in common"},
      {"insufficient_security", "the other side offers only weak ciphers"},
      {"certificate_expired", "the certificate that was shown has expired"},
      {"unknown_ca", "the certificate's issuer is not trusted, or an intermediate certificate is missing"},
      {"bad_certificate", "the certificate that was shown is not acceptable"},
      {"certificate_unknown", "the certificate that was shown is not acceptable"},
      {"unrecognized_name", "the server has no certificate for the name that was asked for (SNI)"},
      {"certificate_required", "the server demands a certificate of the client"},
      {"decode_error", "a handshake message was damaged on the way"},
      {"bad_record_mac", "a record was damaged on the way"},
  };
  for (const Meaning& m : kMeanings)
    if (text.find(m.name) != std::string_view::npos) return m.text;
  return "";
}

constexpr Rule kTls[] = {
    {.code = "starttls-too-many",
     .title = "The gateway has too many TLS sessions",
     .phase = Phase::starttls,
     .party = Party::policy,
     .expected = "220",
     .why = "The gateway limits how many TLS sessions it holds, or how many new ones a sender may begin in a time.",
     .advice = "Ask the sender to use a TLS session for several messages and fewer connections; or raise the limit "
               "(Postfix: smtpd_client_new_tls_session_rate_limit). If all senders are told so, the gateway is "
               "overloaded.",
     .references = {"RFC 3207 4", "RFC 3463 3.5"},
     .fires = "use hello\nS STARTTLS\nG!421 #4.4.5 Too many TLS sessions at this time\nG fin\nS fin\n",
     .quiet = "use hello\nS STARTTLS\nG 454 4.7.0 TLS not available due to local problem\nuse bye\n",
     .reply = {in(Phase::starttls), 400, 599, "", "too many|tls sessions"}},
    {.code = "starttls-unavailable",
     .title = "TLS is set up on the gateway and does not work",
     .phase = Phase::starttls,
     .party = Party::gateway,
     .expected = "220",
     .why = "The gateway offers STARTTLS and cannot begin it: it could not load its certificate or key, or lacks a "
            "resource.",
     .advice = "Look in the gateway's log for its TLS error: a file that is missing or unreadable, a key that does not "
               "fit the certificate, a renewal that went wrong. Senders that insist on TLS cannot deliver until it is "
               "mended; others send in the clear.",
     .references = {"RFC 3207 4"},
     .fires = "use hello\nS STARTTLS\nG!454 4.7.0 TLS not available due to local problem\nuse bye\n",
     .quiet = "use hello\nS STARTTLS\nG 502 5.5.1 Error: command not implemented\nuse bye\n",
     .reply = {in(Phase::starttls), 400, 499}},
    {.code = "starttls-refused",
     .title = "The gateway does not know STARTTLS here",
     .phase = Phase::starttls,
     .party = Party::gateway,
     .expected = "220",
     .why = "TLS is not set up on this listener, is not allowed for this sender, or was asked for at the wrong place.",
     .advice =
         "Look whether the EHLO reply above offers STARTTLS. If it does not, the sender should not have asked; if the "
         "gateway should offer it, turn it on for this listener and sender (Cisco: mail flow policy, TLS preferred).",
     .references = {"RFC 3207 4"},
     .fires = "use hello\nS STARTTLS\nG!502 5.5.1 Error: command not implemented\nuse bye\n",
     .quiet = "use hello\nS STARTTLS\nG 454 4.7.0 TLS not available due to local problem\nuse bye\n",
     .reply = {in(Phase::starttls), 400, 599}},
    {.code = "tls-alert",
     .title = "The TLS handshake failed",
     .phase = Phase::tls,
     .party = Party::unknown,
     .expected = "the rest of the handshake",
     .why = "One side ended the handshake with an alert.",
     .advice = "Try the handshake by hand (openssl s_client -starttls smtp) with the versions and names above, and "
               "compare both "
               "sides' TLS settings.",
     .references = {"RFC 8446 6.2", "RFC 3207 4.1"},
     .fires = GRANTED CLIENT_HELLO "G!~\\x15\\x03\\x03\\x00\\x02\\x02\\x28\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!handshake_broke(v)) return std::nullopt;
       const int32_t alert = first_alert(v);
       if (alert < 0) return std::nullopt;
       Match m = match_event(v, alert);
       const Event& e = *v.at(alert);
       // Who sends the alert saw the fault; for certificates the fault is with the side that showed them.
       const bool about_peer =
           e.text.find("certificate") != std::string::npos || e.text.find("unknown_ca") != std::string::npos;
       const From at_fault = about_peer ? peer_of(e.from) : e.from;
       m.party = at_fault == From::sender ? Party::sender : Party::gateway;
       m.confidence = Confidence::likely;
       const std::string_view meaning = alert_meaning(e.text);
       if (!meaning.empty())
         m.why = "The " + std::string(name(e.from)) + " ended the handshake: " + std::string(meaning) + ".";
       return m;
     }},
    {.code = "tls-not-begun",
     .title = "The sender asked for TLS and then sent no handshake",
     .phase = Phase::tls,
     .party = Party::sender,
     .expected = "a TLS ClientHello",
     .why = "The gateway granted STARTTLS, and the sender ended the connection without beginning the handshake.",
     .advice =
         "Ask the sender for its TLS log. If it did send a ClientHello, large packets are lost on the way: check the "
         "path MTU.",
     .references = {"RFC 3207 4", "RFC 8446 4.1.2"},
     .fires = GRANTED "+0.5\nS!fin\nG fin\n",
     .quiet = GRANTED CLIENT_HELLO "S fin\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!handshake_broke(v) || v.close() == nullptr || v.closed_by(From::proxy)) return std::nullopt;
       for (const Event& e : v.events)
         if (e.kind == Event::Kind::tls) return std::nullopt;
       Match m = match_event(v, v.first_close);
       if (v.closed_by(From::gateway)) {
         if (!v.at_least(v.silence_us(), kSlow)) m.party = Party::gateway;
         m.why = "The gateway granted STARTTLS, no ClientHello came, and the gateway ended the connection after " +
                 v.seconds(v.silence_us()) + ".";
       }
       return m;
     }},
    {.code = "tls-handshake-cut",
     .title = "The connection ended in the middle of the TLS handshake",
     .phase = Phase::tls,
     .party = Party::unknown,
     .expected = "the rest of the handshake",
     .why = "One side ended the connection during the handshake without a readable alert. It did not like the other's "
            "certificate, name or settings, or ran into a time-out.",
     .advice =
         "Look in the TLS log of the side that closed. Try the handshake by hand with openssl s_client -starttls smtp. "
         "A firewall or IPS between may also have ended it.",
     .references = {"RFC 3207 4.1", "RFC 8446 6.1"},
     .fires = GRANTED CLIENT_HELLO SERVER_HELLO "S!fin\nG fin\n",
     .quiet = "use hello mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!handshake_broke(v) || v.close() == nullptr || v.closed_by(From::proxy) || first_alert(v) >= 0)
         return std::nullopt;
       bool begun = false;
       for (const Event& e : v.events) begun = begun || e.kind == Event::Kind::tls;
       if (!begun) return std::nullopt;
       Match m = match_event(v, v.first_close);
       m.confidence = Confidence::likely;
       m.party = v.closed_by(From::sender) ? Party::sender : Party::gateway;
       return m;
     }},
};

}  // namespace

std::span<const Rule> rules_helo() { return kHelo; }
std::span<const Rule> rules_tls() { return kTls; }

}  // namespace smtpscope
