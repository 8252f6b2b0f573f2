// What servers in the field really say up to MAIL, and the kind of breakdown that each is.
#include "tests/capture/diagnosis/known_replies.h"

#include <fmt/core.h>

#include "capture/diagnosis/reply_match.h"
#include "capture/diagnosis/script.h"
#include "capture/transcript/transcript.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

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
    {"Postfix", "501 5.5.2 <b_d>: Helo command rejected: Invalid name", Phase::rcpt, "helo-name-refused"},
    {"Postfix", "554 5.7.1 <friend>: Helo command rejected: Access denied", Phase::rcpt, "helo-name-refused"},
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
    {"Postfix", "554 5.6.0 Error: message content rejected: mime nesting exceeds safety limit", Phase::end_of_data,
     "message-mime-invalid"},
    {"Postfix", "554 5.6.0 Message rejected: invalid message/* or multipart/* encoding domain", Phase::end_of_data,
     "message-mime-invalid"},
    {"Exchange", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", Phase::end_of_data,
     "sender-not-owned"},
    {"Microsoft 365",
     "554 5.2.252 SendAsDenied; x@sender.example not allowed to send as boss@sender.example; STOREDRV.Submission."
     "Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
     Phase::end_of_data, "sender-not-owned"},
    {"Postfix", "554 5.7.1 <a@sender.example>: Sender address rejected: Access denied", Phase::mail, "sender-denied"},
    {"Postfix", "450 4.7.1 <a@sender.example>: Sender address rejected: try later please", Phase::mail,
     "sender-deferred"},
    {"Postfix", "450 4.1.8 <a@sender.example>: Sender address rejected: Domain not found", Phase::mail,
     "sender-domain-unresolved"},
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

}  // namespace

void smtpscope::check_known(std::span<const Known> table) {
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

TEST_CASE("replies of known servers: greeting, EHLO, TLS") {
  check_known(kBanner);
  check_known(kHelo);
  check_known(kTls);
}

TEST_CASE("replies of known servers: AUTH, MAIL") {
  check_known(kAuth);
  check_known(kMail);
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
        "rcpt-bounce-refused");
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
