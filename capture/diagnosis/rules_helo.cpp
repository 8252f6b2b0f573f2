// EHLO and HELO, the reply to STARTTLS, AUTH.
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
     .advice = "Look in the gateway's rules for HELO names and for this address; the sender should give its own full, "
               "resolvable host name.",
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
    {.code = "starttls-refused",
     .title = "The gateway refused STARTTLS",
     .phase = Phase::starttls,
     .party = Party::gateway,
     .expected = "220",
     .why = "The gateway cannot or will not start TLS now: no certificate or key, too many TLS sessions, or TLS is not "
            "set up "
            "on this listener.",
     .advice =
         "Check the gateway's TLS certificate, key and log. A sender that insists on TLS cannot deliver until this "
         "works.",
     .references = {"RFC 3207 4"},
     .fires = "use hello\nS STARTTLS\nG!454 4.7.0 TLS not available due to local problem\nuse bye\n",
     .quiet = "use hello mail rcpt data body accepted bye\n",
     .reply = {in(Phase::starttls), 400, 599}},
};

constexpr Rule kAuth[] = {
    {.code = "auth-not-offered",
     .title = "The gateway offers no such authentication",
     .phase = Phase::auth,
     .party = Party::sender,
     .expected = "a mechanism that the gateway's EHLO reply names",
     .why = "The sender tried to log in where the gateway has no AUTH, or not this mechanism.",
     .advice = "Compare with the AUTH line in the EHLO reply above. Clients log in on port 587; on port 25 a mail "
               "server needs "
               "no login.",
     .references = {"RFC 4954 4", "RFC 6409 3.1"},
     .fires = "use hello\nS AUTH PLAIN AGEAYg==\nG!503 #5.3.3 AUTH not available\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 535 5.7.8 Error: authentication failed\nuse bye\n",
     .reply = {in(Phase::auth), 500, 504}},
    {.code = "auth-needs-tls",
     .title = "The gateway allows authentication only over TLS",
     .phase = Phase::auth,
     .party = Party::sender,
     .expected = "STARTTLS before AUTH",
     .why = "The sender tried to log in over a connection that is not encrypted.",
     .advice = "Ask the sender to turn on STARTTLS.",
     .references = {"RFC 4954 4", "RFC 8314 3"},
     .fires = "use hello\nS AUTH PLAIN AGEAYg==\nG!538 #5.7.11 Encryption required\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 535 5.7.8 Error: authentication failed\nuse bye\n",
     .reply = {in(Phase::auth), 500, 599, "7.11", "encryption required|starttls"}},
    {.code = "auth-temporary",
     .title = "The gateway could not check the credentials",
     .phase = Phase::auth,
     .party = Party::gateway,
     .expected = "235",
     .why = "The gateway's password service (LDAP, RADIUS, database) did not answer.",
     .advice = "Look in the gateway's log for its authentication service.",
     .references = {"RFC 4954 6"},
     .fires = "use hello\nS AUTH PLAIN AGEAYg==\nG!454 4.7.0 Temporary authentication failure\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 535 5.7.8 Error: authentication failed\nuse bye\n",
     .reply = {in(Phase::auth), 400, 499}},
    {.code = "auth-failed",
     .title = "The sender's login was refused",
     .phase = Phase::auth,
     .party = Party::sender,
     .expected = "235",
     .why = "User name or password are wrong, or the account may not send.",
     .advice = "Ask the sender to check its credentials; look in the gateway's log for the account's name.",
     .references = {"RFC 4954 6"},
     .fires = "use hello\nS AUTH PLAIN AGEAYg==\nG!535 5.7.8 Error: authentication failed\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 235 2.7.0 ok\nuse mail rcpt data body accepted bye\n",
     .reply = {in(Phase::auth), 500, 599}},
};

}  // namespace

std::span<const Rule> rules_helo() { return kHelo; }
std::span<const Rule> rules_starttls() { return kStarttls; }
std::span<const Rule> rules_auth() { return kAuth; }

}  // namespace smtpscope
