// AUTH: what the gateway refuses of it, and why.
#include <sstream>

#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"
#include "capture/smtp/syntax.h"

namespace smtpscope {
namespace {

/// Does the EHLO reply offer AUTH, and not with this mechanism?
bool leaves_out(const View& v, const std::string& mechanism, int32_t asked) {
  if (mechanism.empty() || !v.offers("AUTH", asked)) return false;
  std::istringstream words(v.hello_for(asked)->text);
  for (std::string word; words >> word;) {
    word.erase(0, word.find('=') + 1);  // "AUTH=LOGIN", as old servers say it
    if (word.size() == mechanism.size() && starts_with_nocase(word, mechanism)) return false;
  }
  return true;
}

/// A refused AUTH whose mechanism was not offered. Postfix words that as a failed login (535).
bool mechanism_not_offered(const View& v, int32_t refusal) {
  const Event* asked = v.at(v.at(refusal)->answers);
  if (asked == nullptr || asked->verb != Verb::auth || v.at(refusal)->code < 500) return false;
  std::istringstream words(asked->text);
  std::string verb, mechanism;
  return words >> verb >> mechanism && leaves_out(v, mechanism, v.at(refusal)->answers);
}

constexpr Rule kRules[] = {
    {.code = "auth-needs-tls",
     .title = "The gateway allows authentication only over TLS",
     .phase = Phase::auth,
     .party = Party::sender,
     .expected = "STARTTLS before AUTH",
     .why = "The sender tried to log in over a connection that is not encrypted.",
     .advice = "Ask the sender to turn on STARTTLS. The password that it sent in the clear was readable on the way: "
               "better change it.",
     .references = {"RFC 4954 4", "RFC 8314 3"},
     .fires = "use hello\nS AUTH PLAIN AGEAYg==\nG!538 #5.7.11 Encryption required\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 535 5.7.8 Error: authentication failed\nuse bye\n",
     .reply = {in(Phase::auth), 500, 599, "7.10 7.11",
               "encryption required|requires encryption|starttls|tls required"}},
    {.code = "auth-out-of-order",
     .title = "The sender's AUTH came at the wrong place",
     .phase = Phase::auth,
     .party = Party::sender,
     .expected = "AUTH once, behind EHLO and before MAIL",
     .why = "AUTH came before EHLO, inside a message that was already begun, or a second time.",
     .advice =
         "Compare the order of the commands above: EHLO, STARTTLS, EHLO again, AUTH, MAIL. Ask the sender to mend "
         "its client; a server behind the proxy should not repeat a login that was granted.",
     .references = {"RFC 4954 4"},
     .fires = "G 220 gw.example ESMTP\nS AUTH PLAIN AGEAYg==\nG!503 5.5.1 Error: send HELO/EHLO first\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 503 #5.3.3 AUTH not available\nuse bye\n",
     .reply = {in(Phase::auth), 500, 503, "",
               "mail transaction|transaction in progress|already authenticated|helo first|ehlo first|hello first|"
               "helo/ehlo|ehlo/helo|say hello|helo or ehlo"}},
    {.code = "auth-mechanism",
     .title = "The gateway does not know the sender's way to log in",
     .phase = Phase::auth,
     .party = Party::sender,
     .expected = "a mechanism that the gateway's EHLO reply names",
     .why = "The gateway has AUTH, but not this mechanism.",
     .advice = "Compare the mechanism behind AUTH with those in the EHLO reply above, and have the sender's client use "
               "one of them; most know PLAIN and LOGIN, which gateways often offer only over TLS.",
     .references = {"RFC 4954 4"},
     .fires = "use hello\nS AUTH NTLM\nG!504 5.7.4 Unrecognized authentication type\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 503 #5.3.3 AUTH not available\nuse bye\n",
     .reply = {in(Phase::auth), 500, 504, "7.4 5.4", "mechanism|authentication type|authentication method"},
     .also = mechanism_not_offered},
    {.code = "auth-cancelled",
     .title = "The sender broke its login off",
     .phase = Phase::auth,
     .party = Party::sender,
     .expected = "the answer to the gateway's challenge",
     .why = "The sender answered the gateway's challenge with \"*\", by which a client cancels a login.",
     .advice = "Ask the sender what its software wanted: it has no password or token for this account, or it could not "
               "work with the challenge. Nothing was checked, so the gateway is not at fault.",
     .references = {"RFC 4954 4"},
     .fires = "use hello\nS AUTH LOGIN\nG 334 VXNlcm5hbWU6\nS *\nG!501 5.7.0 Authentication aborted\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGE%\nG 501 5.5.2 Cannot decode BASE64\nuse bye\n",
     .reply = {in(Phase::auth), 500, 501, "", "aborted|cancelled|canceled"}},
    {.code = "auth-malformed",
     .title = "The gateway cannot read the sender's login",
     .phase = Phase::auth,
     .party = Party::sender,
     .expected = "credentials in base64, in the form of the mechanism",
     .why = "What the sender sent for its login is no base64, or not of the form that the mechanism asks for; name and "
            "password were not looked at.",
     .advice = "Ask the sender to mend its client or script: a line end inside the base64, a name without its NUL "
               "bytes (AUTH PLAIN) or a mechanism other than it says are the usual faults. A password that is right "
               "does not help.",
     .references = {"RFC 4954 4", "RFC 4616 2"},
     .fires = "use hello\nS AUTH PLAIN AGE%\nG!501 5.5.2 Cannot decode BASE64\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 503 #5.3.3 AUTH not available\nuse bye\n",
     .reply = {in(Phase::auth), 501, 501}},
    {.code = "auth-not-offered",
     .title = "The gateway offers no authentication here",
     .phase = Phase::auth,
     .party = Party::sender,
     .expected = "no AUTH where the EHLO reply names none",
     .why = "The sender tried to log in where the gateway has no AUTH.",
     .advice = "Look for AUTH in the EHLO reply above. Clients log in on port 587; on port 25 a mail server needs no "
               "login. Many gateways offer AUTH only once TLS is on.",
     .references = {"RFC 4954 4", "RFC 6409 3.1"},
     .fires = "use hello\nS AUTH PLAIN AGEAYg==\nG!503 #5.3.3 AUTH not available\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 535 5.7.8 Error: authentication failed\nuse bye\n",
     .reply = {in(Phase::auth), 500, 504}},
    {.code = "auth-too-often",
     .title = "The sender tried to log in too often",
     .phase = Phase::auth,
     .party = Party::policy,
     .expected = "235",
     .why = "The gateway stops answering logins of this host or account for a while, since too many came or failed.",
     .advice = "Find the client that goes on with an old password (a device or a second program of the same user) and "
               "mend it, then wait. If the names that are tried are many, somebody guesses passwords: block the "
               "address.",
     .references = {"RFC 4954 6"},
     .fires = "use hello\nS AUTH PLAIN AGEAYg==\nG!454 4.7.0 Too many login attempts, please try again later.\nuse "
              "bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 454 4.7.0 Temporary authentication failure\nuse bye\n",
     .reply = {in(Phase::auth), 400, 599, "",
               "too many login|too many auth|too many failed|too many invalid login|login attempts|rate limit"}},
    {.code = "auth-barred",
     .title = "The account may not log in this way",
     .phase = Phase::auth,
     .party = Party::policy,
     .expected = "235",
     .why = "Name and password may well be right: the provider does not let this account use a password for SMTP, or "
            "has locked it.",
     .advice =
         "Microsoft 365: authenticated SMTP is off for the tenant or mailbox; turn it on there, or use OAuth or a "
         "connector. Google: make an app password, or use OAuth. Else ask the provider why the account is "
         "locked.",
     .references = {"RFC 4954 6"},
     .fires =
         "use hello\nS AUTH PLAIN AGEAYg==\nG!535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is "
         "disabled for the Tenant.\nuse bye\n",
     .quiet = "use hello\nS AUTH PLAIN AGEAYg==\nG 535 5.7.8 Error: authentication failed\nuse bye\n",
     .reply = {in(Phase::auth), 400, 599, "7.13 7.139",
               "application-specific password|app password|smtpclientauthentication|log in via your web browser|log in "
               "with your web browser|web login required|basic authentication is disabled|account disabled|account is "
               "disabled|account is locked|account locked|password expired|password has expired|password transition"}},
    {.code = "auth-temporary",
     .title = "The gateway could not check the credentials",
     .phase = Phase::auth,
     .party = Party::gateway,
     .expected = "235",
     .why = "The gateway's password service (LDAP, RADIUS, database) did not answer.",
     .advice = "Look in the gateway's log for its authentication service, and whether that runs (Postfix: dovecot or "
               "saslauthd).",
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

std::span<const Rule> rules_auth() { return kRules; }

}  // namespace smtpscope
