// What servers in the field really say, and the kind of breakdown that each is. A reply is judged in the phase in which
// its server says it; '\n' stands between the lines of one reply.
#include <fmt/core.h>

#include "capture/diagnosis/reply_match.h"
#include "capture/diagnosis/script.h"
#include "capture/transcript/transcript.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

struct Known {
  std::string_view server, reply;
  Phase phase;
  std::string_view code;
};

constexpr Known kBanner[] = {
    {"Cisco",
     "554-gw.example\n554 Your access to this mail system has been rejected due to the sending MTA's poor reputation. "
     "If you believe that this failure is in error, please contact the intended recipient via alternate means.",
     Phase::banner, "banner-reputation"},
    {"Cisco", "421 #4.4.5 Too many connections from your host.", Phase::banner, "banner-too-many-connections"},
    {"Cisco", "421 #4.4.5 Too many connections to this listener.", Phase::banner, "banner-listener-full"},
    {"Cisco", "421 #4.4.5 Too many connections to this host.", Phase::banner, "banner-listener-full"},
    {"Cisco", "421 The evaluation license has expired", Phase::banner, "banner-licence-expired"},
    {"Cisco", "421 gw.example Service not available, closing transaction channel", Phase::banner, "banner-temporary"},
    {"Postfix", "421 4.7.0 gw.example Error: too many connections from 192.0.2.1", Phase::banner,
     "banner-too-many-connections"},
    {"Postfix", "421 4.3.2 All server ports are busy", Phase::banner, "banner-overload"},
    {"Postfix", "521 5.3.2 Service currently unavailable", Phase::banner, "banner-refused"},
    {"Postfix", "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", Phase::banner, "banner-refused"},
    {"Postfix", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", Phase::banner,
     "ptr-required"},
    {"Exim", "421 Too many concurrent SMTP connections; please try again later.", Phase::banner,
     "banner-listener-full"},
    {"Exim", "421 Too many concurrent SMTP connections from this IP address; please try again later.", Phase::banner,
     "banner-too-many-connections"},
    {"Exim", "421 Too much load; please try again later.", Phase::banner, "banner-overload"},
    {"Exim", "554 SMTP service not available", Phase::banner, "banner-refused"},
    {"Sendmail", "421 4.3.2 Connection rate limit exceeded.", Phase::banner, "banner-too-many-connections"},
    {"Sendmail", "421 4.3.2 Too many open connections.", Phase::banner, "banner-listener-full"},
    {"Sendmail", "554 gw.example ESMTP not accepting messages", Phase::banner, "banner-refused"},
    {"Exchange",
     "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
     Phase::banner, "banner-listener-full"},
    {"Exchange",
     "421 4.3.2 The maximum number of concurrent connections per source has exceeded a limit, closing transmission "
     "channel",
     Phase::banner, "banner-too-many-connections"},
    {"Haraka", "421 PROXY timed out", Phase::banner, "proxy-header-missing"},
    {"Barracuda",
     "554 Service unavailable; Client host [mx.sender.example] blocked using Barracuda Reputation; "
     "http://www.barracudanetworks.com/reputation/?r=1&ip=192.0.2.1",
     Phase::banner, "banner-reputation"},
    {"GMX",
     "554-gmx.net (mxgmx001) Nemesis ESMTP Service not available\n554-No SMTP service\n554-Bad DNS PTR resource "
     "record.\n554 For explanation visit https://postmaster.gmx.net/",
     Phase::banner, "ptr-required"},
    {"T-Online",
     "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tobr@rx.t-online.de to "
     "clarify.)",
     Phase::banner, "banner-refused"},
    {"a host named so", "554 barracuda.gw.example no mail here", Phase::banner, "banner-refused"},
};

constexpr Known kHelo[] = {
    {"Cisco", "501 #5.0.0 EHLO requires domain address", Phase::helo, "helo-refused"},
    {"Exim", "501 Syntactically invalid EHLO argument(s)", Phase::helo, "helo-refused"},
    {"Postfix", "501 5.5.4 Syntax: EHLO hostname", Phase::helo, "helo-refused"},
    {"Postfix", "504 5.5.2 <mx>: Helo command rejected: need fully-qualified hostname", Phase::helo, "helo-not-fqdn"},
    {"Postfix", "504 5.5.2 <mx>: Helo command rejected: need fully-qualified hostname", Phase::rcpt, "helo-not-fqdn"},
    {"Postfix", "450 4.7.1 <mx.sender.example>: Helo command rejected: Host not found", Phase::rcpt,
     "helo-unresolvable"},
    {"Postfix", "550 5.7.1 <mx.sender.example>: Helo command rejected: Host not found", Phase::rcpt,
     "helo-unresolvable"},
    {"Postfix", "501 5.5.2 <b_d>: Helo command rejected: Invalid name", Phase::rcpt, "helo-refused-late"},
    {"Postfix", "554 5.7.1 <friend>: Helo command rejected: Access denied", Phase::rcpt, "helo-refused-late"},
    {"Exim", "550 HELO should be a FQDN or address literal (See RFC 2821 4.1.1.1)", Phase::helo, "helo-not-fqdn"},
    {"Exim, cPanel", "550 Bad HELO - Host impersonating [gw.example]", Phase::rcpt, "helo-own-name"},
    {"Microsoft 365", "550 5.7.506 Access Denied, Bad HELO", Phase::mail, "helo-own-name"},
    {"Sendmail", "501 5.0.0 Invalid domain name", Phase::helo, "helo-refused"},
    {"an old server", "500 5.5.1 command not recognized", Phase::helo, "ehlo-not-understood"},
    {"Postfix", "502 5.5.2 Error: command not recognized", Phase::helo, "ehlo-not-understood"},
    {"Postfix", "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", Phase::helo, "host-denied"},
    {"Exim", "503 Command refused, required Proxy negotiation failed", Phase::helo, "proxy-header-missing"},
    {"Exchange", "421 4.3.2 Service not active", Phase::helo, "shutting-down"},
    {"any", "550 5.7.1 No.", Phase::helo, "helo-refused-by-policy"},
    {"any", "450 4.7.0 Not now.", Phase::helo, "helo-temporary"},
};

constexpr Known kTls[] = {
    {"Cisco", "454 TLS not available due to a temporary reason", Phase::starttls, "starttls-unavailable"},
    {"Postfix", "454 4.7.0 TLS not available due to local problem", Phase::starttls, "starttls-unavailable"},
    {"Exim", "454 TLS currently unavailable", Phase::starttls, "starttls-unavailable"},
    {"Sendmail", "454 4.3.3 TLS not available after start", Phase::starttls, "starttls-unavailable"},
    {"Cisco", "421 #4.4.5 Too many TLS sessions at this time", Phase::starttls, "starttls-too-many"},
    {"Postfix", "454 4.7.0 Error: too many new TLS sessions from 192.0.2.1", Phase::starttls, "starttls-too-many"},
    {"Postfix", "502 5.5.1 Error: command not implemented", Phase::starttls, "starttls-refused"},
    {"Exim", "503 STARTTLS command used when not advertised", Phase::starttls, "starttls-refused"},
    {"Cisco", "530 #5.7.0 Must issue a STARTTLS command first", Phase::mail, "tls-required"},
    {"Cisco", "530 #5.7.0 This sender must issue a STARTTLS command first", Phase::mail, "tls-required"},
    {"Google", "530-5.7.0 Must issue a STARTTLS command first. For more information, go to\n530 5.7.0  x - gsmtp",
     Phase::mail, "tls-required"},
    {"OpenSMTPD", "530 5.5.1 Invalid command: Must issue a STARTTLS command first", Phase::mail, "tls-required"},
    {"Postfix", "450 4.7.1 <b@gw.example>: Recipient address rejected: Session encryption is required", Phase::rcpt,
     "tls-required"},
};

constexpr Known kAuth[] = {
    {"Cisco", "503 #5.3.3 AUTH not available", Phase::auth, "auth-not-offered"},
    {"Exim", "503 AUTH command used when not advertised", Phase::auth, "auth-not-offered"},
    {"Postfix", "503 5.5.1 Error: authentication not enabled", Phase::auth, "auth-not-offered"},
    {"Sendmail", "502 5.3.3 AUTH not available", Phase::auth, "auth-not-offered"},
    {"Cisco", "504 #5.5.1 AUTH mechanism NTLM is not available", Phase::auth, "auth-mechanism"},
    {"Exchange", "504 5.7.4 Unrecognized authentication type", Phase::auth, "auth-mechanism"},
    {"Postfix", "535 5.7.8 Error: authentication failed: Invalid authentication mechanism", Phase::auth, "auth-failed"},
    {"Cisco", "538 #5.7.11 Encryption required", Phase::auth, "auth-needs-tls"},
    {"Sendmail", "538 5.7.11 Encryption required for requested authentication mechanism", Phase::auth,
     "auth-needs-tls"},
    {"Postfix", "530 5.7.0 Must issue a STARTTLS command first", Phase::auth, "auth-needs-tls"},
    {"Postfix", "503 5.5.1 Error: already authenticated", Phase::auth, "auth-out-of-order"},
    {"Postfix", "503 5.5.1 Error: send HELO/EHLO first", Phase::auth, "auth-out-of-order"},
    {"Postfix", "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6", Phase::auth, "auth-failed"},
    {"Exim", "535 Incorrect authentication data", Phase::auth, "auth-failed"},
    {"Exim", "435 Unable to authenticate at present", Phase::auth, "auth-temporary"},
    {"Exchange", "535 5.7.3 Authentication unsuccessful", Phase::auth, "auth-failed"},
    {"Microsoft 365",
     "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit "
     "https://aka.ms/smtp_auth_disabled for more information.",
     Phase::auth, "auth-barred"},
    {"Google", "534-5.7.9 Application-specific password required. For more information, go to\n534 5.7.9 x - gsmtp",
     Phase::auth, "auth-barred"},
    {"Google", "534-5.7.14 Please log in via your web browser and then try again.\n534 5.7.14 x - gsmtp", Phase::auth,
     "auth-barred"},
    {"Google", "535-5.7.8 Username and Password not accepted. For more information, go to\n535 5.7.8 x - gsmtp",
     Phase::auth, "auth-failed"},
    {"Google", "454 4.7.0 Too many login attempts, please try again later. x - gsmtp", Phase::auth, "auth-too-often"},
    {"Postfix", "450 4.7.0 Error: too many AUTH commands from 192.0.2.1", Phase::auth, "auth-too-often"},
    {"Cisco", "530 Authentication required", Phase::mail, "auth-required"},
    {"Google", "530-5.7.0 Authentication Required. For more information, go to\n530 5.7.0 x - gsmtp", Phase::mail,
     "auth-required"},
    {"Exim, cPanel",
     "550-Please turn on SMTP Authentication in your mail client.\n550-mx.sender.example [192.0.2.1]:4711 is not "
     "permitted to\n550 relay through this server without authentication.",
     Phase::rcpt, "rcpt-relay-denied"},
    {"hMailServer", "530 SMTP authentication is required.", Phase::rcpt, "auth-required"},
    {"OpenSMTPD", "530 5.5.1 Invalid command: Must issue an AUTH command first", Phase::mail, "auth-required"},
    {"Exchange", "530 5.7.1 Client was not authenticated", Phase::mail, "anonymous-mail-refused"},
    {"Exchange", "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", Phase::mail,
     "anonymous-mail-refused"},
};

constexpr Known kMail[] = {
    {"Postfix", "503 5.5.1 Error: send HELO/EHLO first", Phase::mail, "helo-missing"},
    {"Exim", "503 HELO or EHLO required", Phase::mail, "helo-missing"},
    {"Google", "503 5.5.1 EHLO/HELO first. x - gsmtp", Phase::mail, "helo-missing"},
    {"Exchange", "503 5.5.2 Send hello first", Phase::mail, "helo-missing"},
    {"Sendmail", "503 5.0.0 Polite people say HELO first", Phase::mail, "helo-missing"},
    {"Haraka", "503 Use EHLO/HELO before MAIL", Phase::mail, "helo-missing"},
    {"Postfix", "503 5.5.1 Error: nested MAIL command", Phase::mail, "mail-nested"},
    {"Exim", "503 sender already given", Phase::mail, "mail-nested"},
    {"Sendmail", "503 5.5.0 Sender already specified", Phase::mail, "mail-nested"},
    {"Exchange", "503 5.5.2 Sender already specified", Phase::mail, "mail-nested"},
    {"Postfix", "501 5.1.7 Bad sender address syntax", Phase::mail, "mail-syntax"},
    {"Postfix", "501 5.5.4 Syntax: MAIL FROM:<address>", Phase::mail, "mail-syntax"},
    {"Cisco", "501 #5.5.2 syntax error", Phase::mail, "mail-syntax"},
    {"Google", "555 5.5.2 Syntax error, cannot decode response. x - gsmtp", Phase::mail, "mail-syntax"},
    {"Google", "553-5.1.7 The sender address <a> is not a valid RFC 5321 address.\n553 5.1.7 x - gsmtp", Phase::mail,
     "mail-syntax"},
    {"Exchange", "501 5.1.7 Invalid address", Phase::mail, "mail-syntax"},
    {"Exim", "501 <root>: sender address must contain a domain", Phase::mail, "mail-unqualified"},
    {"Postfix", "504 5.5.2 <root>: Sender address rejected: need fully-qualified address", Phase::rcpt,
     "mail-unqualified"},
    {"Sendmail", "553 5.5.4 <root>... Domain name required for sender address root", Phase::mail, "mail-unqualified"},
    {"Cisco", "553 #5.1.8 Domain of sender address <a@nowhere.invalid> does not exist", Phase::mail,
     "sender-domain-unknown"},
    {"Sendmail", "553 5.1.8 <a@nowhere.invalid>... Domain of sender address a@nowhere.invalid does not exist",
     Phase::mail, "sender-domain-unknown"},
    {"Postfix", "550 5.1.8 <a@nowhere.invalid>: Sender address rejected: Domain not found", Phase::rcpt,
     "sender-domain-unknown"},
    {"Postfix", "550 5.7.27 <a@x.example>: Sender address rejected: Domain x.example does not accept mail (nullMX)",
     Phase::rcpt, "sender-domain-unknown"},
    {"Cisco", "451 #4.1.8 Domain of sender address <a@sender.example> does not resolve", Phase::mail,
     "sender-domain-unresolved"},
    {"Postfix", "450 4.1.8 <a@sender.example>: Sender address rejected: Domain not found", Phase::rcpt,
     "sender-domain-unresolved"},
    {"Exim", "550 Sender verify failed", Phase::rcpt, "sender-verification-failed"},
    {"Exim, cPanel",
     "550-Verification failed for <a@sender.example>\n550-The mail server could not deliver mail to a@sender.example. "
     " The account or domain may not exist, they may be blacklisted, or missing the proper dns entries.\n550 Sender "
     "verify failed",
     Phase::rcpt, "sender-verification-failed"},
    {"Exim", "451 Could not complete sender verify callout", Phase::rcpt, "sender-verification-failed"},
    {"Postfix",
     "450 4.1.7 <a@sender.example>: Sender address rejected: unverified address: Address verification in progress",
     Phase::rcpt, "sender-verification-failed"},
    {"Postfix", "550 5.1.0 <a@gw.example>: Sender address rejected: User unknown in virtual mailbox table", Phase::rcpt,
     "sender-verification-failed"},
    {"Postfix", "553 5.7.1 <boss@gw.example>: Sender address rejected: not owned by user x@gw.example", Phase::rcpt,
     "sender-not-owned"},
    {"Postfix", "553 5.7.1 <boss@gw.example>: Sender address rejected: not logged in", Phase::rcpt, "sender-not-owned"},
    {"Exchange", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", Phase::end_of_data,
     "sender-not-owned"},
    {"Microsoft 365",
     "554 5.2.252 SendAsDenied; x@sender.example not allowed to send as boss@sender.example; STOREDRV.Submission."
     "Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
     Phase::end_of_data, "sender-not-owned"},
    {"Postfix", "554 5.7.1 <a@sender.example>: Sender address rejected: Access denied", Phase::mail, "sender-denied"},
    {"Cisco", "553 Envelope sender <a@sender.example> Rejected", Phase::mail, "sender-denied"},
    {"qmail", "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)", Phase::mail, "sender-denied"},
    {"Microsoft 365", "550 5.1.8 Access denied, bad outbound sender AS(42004)", Phase::mail, "account-blocked"},
    {"Microsoft 365", "550 5.7.705 Access denied, tenant has exceeded threshold", Phase::rcpt, "account-blocked"},
    {"Microsoft 365", "550 5.7.501 Service unavailable. Access denied, spam abuse detected", Phase::mail,
     "account-blocked"},
    {"Postfix", "553 5.6.7 Must declare SMTPUTF8 to send unicode address", Phase::mail, "smtputf8-undeclared"},
    {"Postfix", "555 5.5.4 Unsupported option: SMTPUTF8", Phase::mail, "smtputf8-unsupported"},
    {"Postfix", "555 5.5.4 Unsupported option: FOO=1", Phase::mail, "mail-parameter"},
    {"Exchange", "501 5.5.4 Invalid arguments", Phase::mail, "mail-parameter"},
    {"Sendmail", "555 5.5.4 FOO parameter unrecognized", Phase::mail, "mail-parameter"},
    {"Postfix", "552 5.3.4 Message size exceeds fixed limit", Phase::mail, "size-declared-too-large"},
    {"Exim", "552 Message size exceeds maximum permitted", Phase::mail, "size-declared-too-large"},
    {"Cisco", "552 #5.3.4 message size exceeds limit", Phase::mail, "size-declared-too-large"},
    {"Sendmail", "552 5.2.3 Message size exceeds fixed maximum message size (10000000)", Phase::mail,
     "size-declared-too-large"},
    {"Cisco", "452 #4.3.1 queue full", Phase::mail, "storage-full"},
    {"Cisco", "452 #4.3.1 temporary system error (12)", Phase::mail, "storage-full"},
    {"Postfix", "452 4.3.1 Insufficient system storage", Phase::mail, "storage-full"},
    {"Exim", "452 space shortage, please try later", Phase::mail, "storage-full"},
    {"Sendmail", "452 4.4.5 Insufficient disk space; try again later", Phase::mail, "storage-full"},
    {"Exchange", "452 4.3.1 Insufficient system resources (UsedDiskSpace)", Phase::mail, "storage-full"},
    {"Postfix", "450 4.7.1 Error: too much mail from 192.0.2.1", Phase::mail, "rate-limited"},
    {"Microsoft 365", "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", Phase::mail,
     "server-busy"},
    {"Cisco", "421 #4.x.2 Too many messages for this session", Phase::mail, "too-many-messages"},
    {"Exim", "421 too many messages in this connection", Phase::mail, "too-many-messages"},
    {"Cisco", "550 #5.7.1 SPF unauthorized mail is prohibited.", Phase::mail, "spf-refused"},
    {"Cisco", "451 #4.4.3 Temporary error occurred during SPF verification.", Phase::mail, "spf-temporary"},
    {"any", "550 5.7.1 No.", Phase::mail, "mail-refused"},
    {"any", "451 4.7.1 Not now.", Phase::mail, "mail-temporary"},
};

constexpr Known kRcpt[] = {
    {"Cisco", "550 #5.1.0 Address rejected.", Phase::rcpt, "rcpt-unknown-user"},
    {"Cisco", "550 Too many invalid recipients", Phase::rcpt, "rcpt-harvest-limit"},
    {"Cisco", "452 #4.5.3 Too many recipients", Phase::rcpt, "rcpt-too-many"},
    {"Cisco", "452 Too many recipients received this hour", Phase::rcpt, "recipients-per-hour"},
    {"Cisco", "451 Temporary recipient validation error.", Phase::rcpt, "lookup-failed"},
    {"Cisco", "503 #5.5.1 MAIL first", Phase::rcpt, "commands-out-of-order"},
    {"Cisco", "421 Exceeded bad SMTP command limit, disconnecting.", Phase::rcpt, "too-many-errors"},
    {"Cisco", "421 Exceeded allowable connection time, disconnecting.", Phase::rcpt, "session-time-limit"},
    {"Postfix", "550 5.1.1 <b@gw.example>: Recipient address rejected: User unknown in local recipient table",
     Phase::rcpt, "rcpt-unknown-user"},
    {"Postfix", "550 5.1.1 <spam@gw.example>: Recipient address rejected: User unknown in virtual mailbox table",
     Phase::rcpt, "rcpt-unknown-user"},
    {"Postfix",
     "550 5.1.1 <b@gw.example>: Recipient address rejected: undeliverable address: host mailstore[192.0.2.9] said: 550 "
     "5.1.1 User unknown (in reply to RCPT TO command)",
     Phase::rcpt, "rcpt-unknown-user"},
    {"Exim", "550 Unrouteable address", Phase::rcpt, "rcpt-unknown-user"},
    {"Exim", "550 unknown user", Phase::rcpt, "rcpt-unknown-user"},
    {"Exim, cPanel", "550 No Such User Here", Phase::rcpt, "rcpt-unknown-user"},
    {"Sendmail", "550 5.1.1 <b@gw.example>... User unknown", Phase::rcpt, "rcpt-unknown-user"},
    {"OpenSMTPD", "550 Invalid recipient: <b@gw.example>", Phase::rcpt, "rcpt-unknown-user"},
    {"Exchange", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", Phase::rcpt,
     "rcpt-unknown-user"},
    {"Exchange", "550 5.1.1 User unknown", Phase::rcpt, "rcpt-unknown-user"},
    {"Google",
     "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the "
     "recipient's email address for typos or\n550 5.1.1 unnecessary spaces. x - gsmtp",
     Phase::rcpt, "rcpt-unknown-user"},
    {"qmail", "550 sorry, no mailbox here by that name (#5.1.1)", Phase::rcpt, "rcpt-unknown-user"},
    {"hMailServer", "550 Unknown user", Phase::rcpt, "rcpt-unknown-user"},
    {"Mimecast", "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550", Phase::rcpt,
     "rcpt-unknown-user"},
    {"Microsoft 365", "550 5.4.1 Recipient address rejected: Access denied. [AM0EUR.prod.protection.outlook.com]",
     Phase::rcpt, "rcpt-directory-blocked"},
    {"Microsoft 365", "550 5.7.64 TenantAttribution; Relay Access Denied [AM0EUR.prod.protection.outlook.com]",
     Phase::rcpt, "tenant-connector"},
    {"Microsoft 365",
     "550 5.7.51 TenantInboundAttribution; There is a partner connector configured that matched the message's "
     "recipient domain.",
     Phase::rcpt, "tenant-connector"},
    {"Microsoft 365",
     "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit "
     "https://sender.office.com/ and follow the directions. AS(1410)",
     Phase::rcpt, "sender-banned"},
    {"Microsoft 365", "550 5.7.649 Access denied, banned sending IP [192.0.2.1]", Phase::rcpt, "sender-banned"},
    {"Microsoft 365",
     "550 5.7.511 Access denied, banned sender[192.0.2.1]. To request removal from this list please forward this "
     "message to delist@messaging.microsoft.com",
     Phase::rcpt, "sender-banned"},
    {"Microsoft 365", "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", Phase::rcpt,
     "sender-banned"},
    {"Outlook.com",
     "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider "
     "since part of their network is on our block list (S3140).",
     Phase::mail, "sender-banned"},
    {"Outlook.com",
     "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)",
     Phase::rcpt, "rate-limited"},
    {"Microsoft 365", "550 5.7.510 Access denied, gw.example does not accept email over IPv6", Phase::rcpt,
     "ipv6-refused"},
    {"Proofpoint", "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", Phase::mail, "sender-banned"},
    {"Postfix", "554 5.7.1 <c@far.example>: Relay access denied", Phase::rcpt, "rcpt-relay-denied"},
    {"Postfix", "454 4.7.1 <c@far.example>: Relay access denied", Phase::rcpt, "rcpt-relay-denied"},
    {"Exim", "550 relay not permitted", Phase::rcpt, "rcpt-relay-denied"},
    {"Sendmail", "550 5.7.1 <c@far.example>... Relaying denied", Phase::rcpt, "rcpt-relay-denied"},
    {"Sendmail", "550 5.7.1 <c@far.example>... Relaying denied. Proper authentication required.", Phase::rcpt,
     "rcpt-relay-denied"},
    {"Exchange", "550 5.7.1 Unable to relay", Phase::rcpt, "rcpt-relay-denied"},
    {"Exchange", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", Phase::rcpt, "rcpt-relay-denied"},
    {"Haraka", "550 I cannot deliver mail for <c@far.example>", Phase::rcpt, "rcpt-relay-denied"},
    {"qmail", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Phase::rcpt,
     "rcpt-relay-denied"},
    {"Postgrey",
     "450 4.2.0 <b@gw.example>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/",
     Phase::rcpt, "greylisted"},
    {"milter-greylist", "451 4.7.1 Greylisting in action, please come back in 00:05:00", Phase::rcpt, "greylisted"},
    {"Postfix", "450 4.3.2 Service currently unavailable", Phase::rcpt, "greylisted"},
    {"Postfix", "452 4.5.3 Error: too many recipients", Phase::rcpt, "rcpt-too-many"},
    {"Exim", "452 too many recipients", Phase::rcpt, "rcpt-too-many"},
    {"Google", "452-4.5.3 Your message has too many recipients. For more information, go to\n452 4.5.3 x - gsmtp",
     Phase::rcpt, "rcpt-too-many"},
    {"Postfix", "450 4.7.1 Error: too many recipients from 192.0.2.1", Phase::rcpt, "recipients-per-hour"},
    {"Google", "450-4.2.1 The user you are trying to contact is receiving mail too quickly.\n450 4.2.1 x - gsmtp",
     Phase::rcpt, "rcpt-receives-too-fast"},
    {"Google",
     "450-4.2.1 The user you are trying to contact is receiving mail at a rate that\n450 4.2.1 prevents "
     "additional messages from being delivered. x - gsmtp",
     Phase::rcpt, "rcpt-receives-too-fast"},
    {"Postfix", "501 5.1.3 Bad recipient address syntax", Phase::rcpt, "rcpt-syntax"},
    {"Postfix", "501 5.5.4 Syntax: RCPT TO:<address>", Phase::rcpt, "rcpt-syntax"},
    {"Postfix", "504 5.5.2 <b>: Recipient address rejected: need fully-qualified address", Phase::rcpt, "rcpt-syntax"},
    {"Exim", "501 <b>: recipient address must contain a domain", Phase::rcpt, "rcpt-syntax"},
    {"Sendmail", "553 5.1.3 <@gw.example>... User address required", Phase::rcpt, "rcpt-syntax"},
    {"Postfix", "555 5.5.4 Unsupported option: NOTIFY=NEVER", Phase::rcpt, "rcpt-parameter"},
    {"Postfix", "550 5.1.2 <b@gw.exmaple>: Recipient address rejected: Domain not found", Phase::rcpt,
     "rcpt-domain-unknown"},
    {"Postfix", "450 4.1.2 <b@gw.exmaple>: Recipient address rejected: Domain not found", Phase::rcpt,
     "rcpt-domain-unknown"},
    {"Postfix", "556 5.1.10 <b@x.example>: Recipient address rejected: Domain x.example does not accept mail (nullMX)",
     Phase::rcpt, "rcpt-domain-unknown"},
    {"Google",
     "553-5.1.2 We weren't able to find the recipient domain. Please check for any\n553 5.1.2 typos. x - "
     "gsmtp",
     Phase::rcpt, "rcpt-domain-unknown"},
    {"Sendmail", "550 5.1.2 <b@gw.exmaple>... Host unknown (Name server: gw.exmaple: host not found)", Phase::rcpt,
     "rcpt-domain-unknown"},
    {"Postfix",
     "450 4.1.1 <b@gw.example>: Recipient address rejected: unverified address: connect to mailstore[192.0.2.9]:25: "
     "Connection timed out",
     Phase::rcpt, "rcpt-verification-deferred"},
    {"Exim", "451 Could not complete recipient verify callout", Phase::rcpt, "rcpt-verification-deferred"},
    {"Postfix", "451 4.3.0 <b@gw.example>: Temporary lookup failure", Phase::rcpt, "lookup-failed"},
    {"Postfix", "451 4.3.5 <b@gw.example>: Recipient address rejected: Server configuration error", Phase::rcpt,
     "server-misconfigured"},
    {"Exim", "451 Temporary local problem - please try later", Phase::rcpt, "server-error-temporary"},
    {"Postfix", "554 5.7.1 <b@gw.example>: Recipient address rejected: Access denied", Phase::rcpt, "rcpt-refused"},
    {"Postfix", "554 5.7.1 <mx.sender.example[192.0.2.1]>: Client host rejected: Access denied", Phase::rcpt,
     "host-denied"},
    {"Postfix", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", Phase::rcpt, "ptr-required"},
    {"Postfix", "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", Phase::rcpt,
     "ptr-required"},
    {"Sendmail", "550 5.7.1 Fix reverse DNS for 192.0.2.1", Phase::rcpt, "ptr-required"},
    {"Google",
     "550-5.7.25 [192.0.2.1] The IP address sending this message does not have a PTR\n550 5.7.25 record setup, or the "
     "corresponding forward DNS entry does not point to the sending IP. x - gsmtp",
     Phase::end_of_data, "ptr-required"},
    {"Postfix",
     "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; "
     "https://www.spamhaus.org/query/ip/192.0.2.1",
     Phase::rcpt, "sender-blocklisted"},
    {"Postfix", "550 5.7.1 Service unavailable; client [192.0.2.1] blocked using bl.example", Phase::rcpt,
     "sender-blocklisted"},
    {"Exim", "550 rejected because 192.0.2.1 is in a black list at bl.example", Phase::rcpt, "sender-blocklisted"},
    {"Sendmail", "550 5.7.1 Rejected: 192.0.2.1 listed at bl.example", Phase::rcpt, "sender-blocklisted"},
    {"Postfix", "554 5.7.1 Service unavailable; Sender address [a@sender.example] blocked using dbl.spamhaus.org",
     Phase::rcpt, "domain-blocklisted"},
    {"Postfix", "554 5.7.1 Service unavailable; Helo command [mx.sender.example] blocked using dbl.example",
     Phase::rcpt, "domain-blocklisted"},
    {"Google",
     "550-5.7.1 [192.0.2.1] The IP you're using to send mail is not authorized to\n550-5.7.1 send email directly to "
     "our servers. Please use the SMTP relay at your\n550 5.7.1 service provider instead. x - gsmtp",
     Phase::end_of_data, "sender-dynamic-address"},
    {"Google", "552-5.2.2 The email account that you tried to reach is over quota. Please direct\n552 5.2.2 x - gsmtp",
     Phase::rcpt, "rcpt-mailbox-full"},
    {"Google", "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\n452 4.2.2 x - gsmtp",
     Phase::rcpt, "rcpt-mailbox-full"},
    {"Exchange", "552 5.2.2 Mailbox full", Phase::rcpt, "rcpt-mailbox-full"},
    {"Google", "550-5.2.1 The email account that you tried to reach is disabled.\n550 5.2.1 x - gsmtp", Phase::rcpt,
     "rcpt-disabled"},
    {"Sendmail", "550 5.2.1 Mailbox disabled for this recipient", Phase::rcpt, "rcpt-disabled"},
    {"RFC 5321", "551 User not local; please try <b@new.example>", Phase::rcpt, "rcpt-moved"},
    {"Exchange",
     "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; sender not authenticated for "
     "group",
     Phase::rcpt, "rcpt-restricted"},
    {"Exchange", "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required", Phase::rcpt, "rcpt-restricted"},
    {"Google",
     "550-5.7.1 The user or domain that you are sending to (or from) has a policy that\n550-5.7.1 prohibited the mail "
     "that you sent. Please contact your domain\n550 5.7.1 administrator for further details. x - gsmtp",
     Phase::rcpt, "rcpt-restricted"},
    {"policyd-spf",
     "550 5.7.23 <b@gw.example>: Recipient address rejected: Message rejected due to: SPF fail - not authorized. "
     "Please see http://www.openspf.net/Why",
     Phase::rcpt, "spf-refused"},
    {"policyd-spf",
     "451 4.7.24 <b@gw.example>: Recipient address rejected: Message rejected due to: SPF Temporary Error", Phase::rcpt,
     "spf-temporary"},
    {"Postfix", "421 4.7.0 gw.example Error: too many errors", Phase::rcpt, "too-many-errors"},
    {"Sendmail", "421 4.7.0 gw.example Too many bad commands; closing connection", Phase::rcpt, "too-many-errors"},
    {"OpenSMTPD", "503 5.5.1 Invalid command: Command not allowed at this point.", Phase::rcpt,
     "commands-out-of-order"},
    {"any", "550 5.7.1 No.", Phase::rcpt, "rcpt-refused"},
    {"any", "450 4.7.1 Not now.", Phase::rcpt, "rcpt-temporary"},
};

constexpr Known kData[] = {
    {"Postfix", "554 5.5.1 Error: no valid recipients", Phase::data, "no-valid-recipients"},
    {"Exim", "503 valid RCPT command must precede DATA", Phase::data, "no-valid-recipients"},
    {"Cisco", "503 #5.5.1 RCPT first", Phase::data, "no-valid-recipients"},
    {"Sendmail", "503 5.0.0 Need RCPT (recipient)", Phase::data, "no-valid-recipients"},
    {"Cisco", "451 #4.3.0 Server Error", Phase::data, "server-error-temporary"},
    {"Cisco", "554 #5.3.0 Server Error", Phase::data, "server-error"},
    {"Exim", "421 Unexpected failure, please try later", Phase::data, "server-error-temporary"},
    {"Postfix", "421 4.4.2 gw.example Error: timeout exceeded", Phase::idle, "sender-idle"},
    {"Exim", "421 gw.example: SMTP command timeout - closing connection", Phase::idle, "sender-idle"},
    {"any", "554 5.7.1 No.", Phase::data, "data-refused"},
};

constexpr Known kMessage[] = {
    {"Cisco", "552 #5.3.4 message header size exceeds limit", Phase::end_of_data, "header-too-large"},
    {"Cisco", "552 #5.3.4 message size exceeds limit", Phase::end_of_data, "size-exceeded"},
    {"Postfix", "552 5.3.4 Error: message file too big", Phase::end_of_data, "size-exceeded"},
    {"Google",
     "552-5.3.4 Your message exceeded Google's message size limits. For more information,\n552 5.3.4 x - gsmtp",
     Phase::end_of_data, "size-exceeded"},
    {"Haraka", "550 Message too big!", Phase::end_of_data, "size-exceeded"},
    {"Cisco", "554 message body contains illegal bare CR/LF characters.", Phase::end_of_data, "bare-line-feed"},
    {"Postfix", "521 5.5.2 gw.example Error: bare <LF> received", Phase::end_of_data, "bare-line-feed"},
    {"qmail", "451 See http://pobox.com/~djb/docs/smtplf.html.", Phase::end_of_data, "bare-line-feed"},
    {"Exim", "550 maximum allowed line length is 998 octets, got 4000", Phase::end_of_data, "body-line-too-long"},
    {"Cisco", "554 Too many hops", Phase::end_of_data, "mail-loop"},
    {"Sendmail", "554 5.4.6 Too many hops 26 (25 max): from a@sender.example via gw.example", Phase::end_of_data,
     "mail-loop"},
    {"Exim", "550 Too many \"Received\" headers - suspected mail loop", Phase::end_of_data, "mail-loop"},
    {"Exchange", "554 5.4.14 Hop count exceeded - possible mail loop ATTR34", Phase::end_of_data, "mail-loop"},
    {"Haraka", "550 Too many received headers (26)", Phase::end_of_data, "mail-loop"},
    {"Postfix", "451 4.3.0 Error: queue file write error", Phase::end_of_data, "server-error-temporary"},
    {"Exim", "451 Error while writing spool file", Phase::end_of_data, "server-error-temporary"},
    {"Google", "451 4.3.0 Mail server temporarily rejected message. x - gsmtp", Phase::end_of_data,
     "server-error-temporary"},
    {"Google", "421-4.3.0 Temporary System Problem.  Try again later (10).\n421 4.3.0 x - gsmtp", Phase::end_of_data,
     "server-error-temporary"},
    {"qmail", "451 qq temporary problem (#4.3.0)", Phase::end_of_data, "server-error-temporary"},
    {"Sendmail", "421 4.3.0 collect: Cannot write ./dfx1 (bfcommit, uid=0): No space left on device",
     Phase::end_of_data, "storage-full"},
    {"Postfix", "451 4.7.1 Service unavailable - try again later", Phase::end_of_data, "filter-unavailable"},
    {"amavis", "451 4.5.0 Error in processing, id=12345-01, virus_scan FAILED: ClamAV-clamd", Phase::end_of_data,
     "filter-unavailable"},
    {"amavis", "554 5.7.0 Reject, id=12345-01 - INFECTED: Eicar-Signature", Phase::end_of_data, "content-virus"},
    {"amavis", "554 5.7.0 Reject, id=12345-01 - SPAM", Phase::end_of_data, "content-spam"},
    {"amavis", "554 5.7.0 Reject, id=12345-01 - BANNED: .exe", Phase::end_of_data, "content-attachment"},
    {"amavis", "554 5.6.0 Reject, id=12345-01 - BAD_HEADER", Phase::end_of_data, "message-header-invalid"},
    {"Exim", "550 This message contains malware (Eicar-Test-Signature)", Phase::end_of_data, "content-virus"},
    {"Exim", "550 This message scored 12 spam points.", Phase::end_of_data, "content-spam"},
    {"rspamd", "554 5.7.1 Spam message rejected", Phase::end_of_data, "content-spam"},
    {"spamass-milter", "550 5.7.1 Blocked by SpamAssassin", Phase::end_of_data, "content-spam"},
    {"Exchange", "550 5.7.1 Message rejected as spam by Content Filtering.", Phase::end_of_data, "content-spam"},
    {"Google",
     "550-5.7.1 [192.0.2.1] Our system has detected that this message is\n550-5.7.1 likely unsolicited mail. To reduce "
     "the amount of spam sent to Gmail,\n550 5.7.1 this message has been blocked. x - gsmtp",
     Phase::end_of_data, "content-spam"},
    {"Google",
     "552-5.7.0 This message was blocked because its content presents a potential\n552-5.7.0 security issue. Please "
     "visit\n552 5.7.0 https://support.google.com/mail/?p=BlockedMessage x - gsmtp",
     Phase::end_of_data, "content-attachment"},
    {"Exim", "550 This message contains an attachment of a type which we do not accept (.exe)", Phase::end_of_data,
     "content-attachment"},
    {"Google",
     "550-5.7.1 [192.0.2.1] Messages missing a valid address in From: header, or having\n550 5.7.1 no From: header, "
     "are not accepted. x - gsmtp",
     Phase::end_of_data, "message-header-invalid"},
    {"Google",
     "550-5.7.1 [192.0.2.1] Our system has detected that this message is not RFC 5322\n550-5.7.1 compliant: 'From' "
     "header is missing.\n550 5.7.1 x - gsmtp",
     Phase::end_of_data, "message-header-invalid"},
    {"Google", "554 5.6.0 Mail message is malformed. Not accepted. x - gsmtp", Phase::end_of_data,
     "message-header-invalid"},
    {"Exim", "550 A valid sender address is required: there is no valid sender in any header line", Phase::end_of_data,
     "message-header-invalid"},
    {"Microsoft 365", "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant", Phase::end_of_data,
     "message-header-invalid"},
    {"Google",
     "550-5.7.26 Unauthenticated email from sender.example is not accepted due to\n550-5.7.26 domain's DMARC policy. "
     "Please contact the administrator of\n550 5.7.26 sender.example domain if this was a legitimate mail. x - gsmtp",
     Phase::end_of_data, "dmarc-refused"},
    {"Google",
     "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all "
     "senders to authenticate with either SPF or DKIM.\n550 5.7.26 x - gsmtp",
     Phase::end_of_data, "sender-unauthenticated"},
    {"Outlook.com",
     "550 5.7.515 Access denied, sending domain sender.example does not meet the required authentication level.",
     Phase::end_of_data, "sender-unauthenticated"},
    {"Microsoft 365", "550 5.7.509 Access denied, sending domain sender.example does not pass DMARC verification",
     Phase::end_of_data, "dmarc-refused"},
    {"opendmarc", "550 5.7.1 rejected by DMARC policy for sender.example", Phase::end_of_data, "dmarc-refused"},
    {"Google",
     "421-4.7.27 Your email has been rate limited because SPF authentication didn't\n421-4.7.27 pass for this "
     "message.\n"
     "421 4.7.27 x - gsmtp",
     Phase::end_of_data, "spf-refused"},
    {"opendkim", "550 5.7.0 bad DKIM signature data", Phase::end_of_data, "dkim-refused"},
    {"Google",
     "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from\n421 4.7.28 your IP address. "
     "x - gsmtp",
     Phase::end_of_data, "rate-limited"},
    {"Yahoo",
     "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user "
     "complaints - 4.16.55.1",
     Phase::mail, "rate-limited"},
    {"Google",
     "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\n550 5.4.5 sending limits "
     "x - gsmtp",
     Phase::end_of_data, "account-sending-limit"},
    {"Exim, cPanel",
     "550 Domain sender.example has exceeded the max emails per hour (100/100 (100%)) allowed. Message discarded.",
     Phase::end_of_data, "account-sending-limit"},
    {"Proofpoint", "550 5.7.1 Message quarantined", Phase::end_of_data, "message-quarantined"},
    {"Mimecast", "554 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554",
     Phase::end_of_data, "content-refused"},
    {"Yahoo", "554 5.7.9 Message not accepted for policy reasons.  See https://postmaster.yahooinc.com/error-codes",
     Phase::end_of_data, "content-refused"},
    {"Postfix", "550 5.7.1 Command rejected", Phase::end_of_data, "content-refused"},
    {"rspamd", "451 4.7.1 Try again later", Phase::end_of_data, "content-put-off"},
};

/// What comes before the reply.
std::string_view opening(Phase phase) {
  switch (phase) {
    case Phase::banner:
      return "";
    case Phase::helo:
      return "G 220 gw.example ESMTP\nS EHLO mx.sender.example\n";
    case Phase::starttls:
      return "use hello\nS STARTTLS\n";
    case Phase::auth:
      return "use hello\nS AUTH PLAIN AGEAYg==\n";
    case Phase::mail:
      return "use hello\nS MAIL FROM:<a@sender.example>\n";
    case Phase::rcpt:
      return "use hello mail\nS RCPT TO:<b@gw.example>\n";
    case Phase::data:
      return "use hello mail rcpt\nS DATA\n";
    case Phase::end_of_data:
      return "use hello mail rcpt data body\n";
    default:
      return "use hello\n";
  }
}

void check_known(std::span<const Known> table) {
  for (const Known& known : table) {
    INFO(known.server << ": " << known.reply);
    std::string lines(known.reply);
    for (size_t at = 0; (at = lines.find('\n', at)) != std::string::npos;) lines.replace(at, 1, "\\r\\n");
    const PlayedScript played = play_script(fmt::format("{}G!~{}\\r\\n\nG fin\nS fin\n", opening(known.phase), lines));
    REQUIRE(played.error == "");
    const Transcript& t = played.transcript;
    REQUIRE(t.breakdown);
    CHECK(t.breakdown->code == known.code);
    CHECK(t.breakdown->offset == played.mark->gateway_offset);
  }
}

}  // namespace

TEST_CASE("replies of known servers: greeting, EHLO, TLS") {
  check_known(kBanner);
  check_known(kHelo);
  check_known(kTls);
}

TEST_CASE("replies of known servers: AUTH, MAIL") {
  check_known(kAuth);
  check_known(kMail);
}

TEST_CASE("replies of known servers: RCPT, DATA, the message") {
  check_known(kRcpt);
  check_known(kData);
  check_known(kMessage);
}

TEST_CASE("the words of a reply that count: no addresses, no codes of further lines, lower case") {
  CHECK(judged_words("550-5.1.1 The Account\n550-5.1.1 does not\n550 5.1.1 exist") ==
        "550-5.1.1 the account does not exist");
  CHECK(judged_words("550 <spam@gw.example>: User  unknown") == "550 user unknown");
  CHECK(judged_words("554-gw.example\n554 no\n55") == "554-gw.example no");
  CHECK(judged_words("").empty());
}

TEST_CASE("a bounce that is refused without a better reason has a kind of its own") {
  const auto broke = [](std::string_view script) {
    const PlayedScript played = play_script(script);
    REQUIRE(played.transcript.breakdown);
    return played.transcript.breakdown->code;
  };
  CHECK(broke("use hello\nS MAIL FROM:<>\nG 250 ok\nS RCPT TO:<b@gw.example>\nG 550 5.7.1 No.\nuse bye\n") ==
        "bounce-refused");
  CHECK(broke("use hello\nS MAIL FROM:<>\nG 250 ok\nS RCPT TO:<b@gw.example>\nG 450 4.2.0 Greylisted\nuse bye\n") ==
        "greylisted");
  CHECK(broke("use hello\nS MAIL FROM:<>\nG 550 5.7.1 No.\nuse bye\n") == "bounces-refused");
}

TEST_CASE("a host name or an address that holds a known word misleads nobody") {
  constexpr Known kMisleading[] = {
      {"-", "550 5.1.1 <virus@gw.example>: User unknown", Phase::rcpt, "rcpt-unknown-user"},
      {"-", "550 5.1.1 <quota.exceeded@gw.example> not here", Phase::rcpt, "rcpt-unknown-user"},
      {"-", "550 5.7.1 <greylisted@gw.example> refused", Phase::rcpt, "rcpt-refused"},
      {"-", "554 5.7.1 refused by antivirus.gw.example", Phase::end_of_data, "content-refused"},
      {"-", "554 5.7.1 refused, write to abuse@antispam.example", Phase::end_of_data, "content-refused"},
      {"-", "550 5.7.1 marbl.example absorbs no mail", Phase::mail, "mail-refused"},
      {"-", "550 b (b@gw.example) not listed in Domino Directory", Phase::rcpt, "rcpt-unknown-user"},
      {"-", "550 5.7.606x odd", Phase::rcpt, "rcpt-refused"},
      {"-", "550 5.7.650 odd", Phase::rcpt, "rcpt-refused"},
      {"-", "550 5.8.610 odd", Phase::rcpt, "rcpt-refused"},
  };
  check_known(kMisleading);
}
