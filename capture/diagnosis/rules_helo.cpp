// EHLO and HELO, and the reply to STARTTLS.
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr Rule kHelo[] = {
    {.code = "helo-refused",
     .title = "The name in the sender's EHLO is malformed",
     .phase = Phase::helo,
     .party = Party::sender,
     .expected = "250",
     .why = "The gateway cannot read what the sender gave in EHLO or HELO as a host name: it is empty, or holds a "
            "character (underscore, blank) that host names may not have.",
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
     .why = "A rule of the gateway's refuses the sender at EHLO, for its host name or for its address: read the reply, "
            "which may say for which.",
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

constexpr Rule kStarttls[] = {
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
};

}  // namespace

std::span<const Rule> rules_helo() { return kHelo; }
std::span<const Rule> rules_starttls() { return kStarttls; }

}  // namespace smtpscope
