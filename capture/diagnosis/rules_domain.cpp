// What the gateway holds against the sender's domain: whether it is in the DNS and takes bounces, SPF, DKIM, DMARC.
#include "capture/diagnosis/tables.h"

namespace smtpscope {
namespace {

constexpr Rule kRules[] = {
    {.code = "sender-verification-failed",
     .title = "The gateway could not verify the envelope sender",
     .phase = Phase::mail,
     .party = Party::dns,
     .expected = "250",
     .why = "The gateway asked the mail server of the sender's domain whether the envelope sender exists, and got a no "
            "or no answer.",
     .advice = "Try it by hand from the gateway's host: connect to the MX of the sender's domain, MAIL FROM:<>, RCPT "
               "TO the address. The sender's server has to know the address and to accept <>; until then exempt the "
               "domain from verification (Exim: verify = sender; Postfix: reject_unverified_sender).",
     .references = {"RFC 5321 3.6.2", "RFC 5321 4.5.5"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 Sender verify failed\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 451 4.1.8 <a@sender.example>: Sender address rejected: "
              "Domain not found\nuse bye\n",
     .reply = {kCommands, 400, 599, "",
               "sender verify failed|sender verify callout|sender verification failed|sender address verification|"
               "sender address rejected: unverified|sender address rejected: undeliverable|sender address rejected: "
               "user unknown|verify sender|sender callout"}},
    {.code = "sender-domain-unknown",
     .title = "The envelope sender's domain does not exist",
     .phase = Phase::mail,
     .party = Party::dns,
     .expected = "250",
     .why = "The gateway found neither an MX nor an address record for the domain of the envelope sender, or a null MX "
            "(\"no mail here\"), so it could not even return the mail.",
     .advice =
         "Look up the domain from the gateway's host (dig DOMAIN MX, dig DOMAIN A). If it is missing, the sender uses "
         "a wrong or internal domain in its envelope.",
     .references = {"RFC 5321 3.6.2", "RFC 3463 3.2", "RFC 7505 4.2"},
     .fires = "use hello\nS MAIL FROM:<a@nowhere.invalid>\nG!553 #5.1.8 Domain of sender address <a@nowhere.invalid> "
              "does not exist\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 451 #4.1.8 Domain of sender address could not be "
              "resolved\nuse bye\n",
     .reply =
         {kEnvelope, 500, 555, "1.8",
          "domain of sender address|sender domain does not|sender domain not found|sender domain must|sender domain "
          "is invalid|invalid sender domain|sender address rejected: domain not found|sender's domain does not|"
          "domain must resolve|unrouteable address sender|(nullmx)"}},
    {.code = "sender-domain-unresolved",
     .title = "The envelope sender's domain could not be looked up",
     .phase = Phase::mail,
     .party = Party::dns,
     .expected = "250",
     .why = "The DNS gave no answer for the domain of the envelope sender, so the gateway puts the mail off.",
     .advice =
         "Look up the domain's MX and A records from the gateway's host. If that is slow or fails for this domain "
         "only, its name servers are at fault; if it fails for others too, the gateway's resolver is.",
     .references = {"RFC 5321 4.2.5", "RFC 3463 3.2"},
     .fires =
         "use hello\nS MAIL FROM:<a@sender.example>\nG!451 #4.1.8 Domain of sender address <a@sender.example> does not "
         "resolve\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 451 4.3.0 try again later\nuse bye\n",
     .reply = {kEnvelope, 400, 499, "1.8",
               "domain of sender address|sender address rejected: domain not found|sender domain|sender address "
               "rejected: malformed dns|dns timeout|dns error|dns temporary failure|dns server error"}},
    {.code = "spf-temporary",
     .title = "The gateway could not look up the sender's SPF record",
     .phase = Phase::mail,
     .party = Party::dns,
     .expected = "250",
     .why = "The DNS of the envelope sender's domain did not answer the gateway's question for SPF in time.",
     .advice = "Look up the domain's TXT record and all that it includes from the gateway's host. If that is slow or "
               "fails, the domain's name servers or the gateway's resolver are at fault.",
     .references = {"RFC 7208 2.6.6"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!451 #4.4.3 Temporary error occurred during SPF "
              "verification.\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 550 #5.7.1 SPF unauthorized mail is prohibited.\nuse bye\n",
     .reply = {kCommands, 400, 499, "7.24",
               "error occurred during spf|spf temporary|temporary spf|spf temperror|spf-result=temperror|spf error|spf "
               "lookup|spf dns|spf: temporary|spf: lookup|spf record lookup"}},
    {.code = "sender-unauthenticated",
     .title = "The message is vouched for by neither SPF nor DKIM",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why = "The receiver takes mail only from domains that authenticate it, and this message passes neither check. No "
            "DMARC policy is needed for this refusal.",
     .advice = "Ask the sender to publish an SPF record that lists the address that its mail leaves from, and to sign "
               "with DKIM; one that passes is enough for most receivers, bulk senders need both and a DMARC record.",
     .references = {"RFC 7208 3", "RFC 6376 3", "RFC 7372"},
     .fires = "use hello mail rcpt data body\nG!550 5.7.26 Your email has been blocked because the sender is "
              "unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 550 5.7.26 Unauthenticated email from sender.example is not accepted "
              "due to domain's DMARC policy\nuse bye\n",
     .reply = {kCommands, 400, 599, "7.515",
               "sender is unauthenticated|requires all senders to authenticate|required authentication level|neither "
               "spf nor dkim|either spf or dkim"}},
    {.code = "dmarc-refused",
     .title = "The message fails DMARC",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why =
         "The domain in the From: line asks receivers to reject mail that neither SPF nor DKIM vouches for, and this "
         "message is such a one.",
     .advice =
         "Ask the sender to sign with DKIM for the From: domain and to list its address in SPF. Forwarders and mailing "
         "lists have to rewrite the From: line.",
     .references = {"RFC 7489 6.3", "RFC 7372"},
     .fires =
         "use hello mail rcpt data body\nG!550 5.7.26 Unauthenticated email from sender.example is not accepted due to "
         "domain's DMARC policy\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 550 5.7.1 Message content rejected, spam\nuse bye\n",
     .reply = {kCommands, 400, 599, "7.26 7.32 7.509", "dmarc|unauthenticated email"}},
    {.code = "spf-refused",
     .title = "The sender is not allowed by SPF",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why = "The SPF record of the envelope sender's domain does not list the address that the mail came from.",
     .advice =
         "If the sender is legitimate, its domain's SPF record has to include this address. If smtpscope does not "
         "preserve the sender's address, the gateway judges the proxy's: check gateway.present.",
     .references = {"RFC 7208 2.6.4", "RFC 7372 3.1"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!550 #5.7.1 SPF unauthorized mail is prohibited.\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 550 5.7.1 Sender refused\nuse bye\n",
     .reply = {kCommands, 400, 599, "7.23 7.27",
               "spf unauthorized|spf fail|spf check|spf record|spf validation|spf authentication|openspf|open-spf| spf "
               "|(spf|spf:|spf=|failed spf"}},
    {.code = "dkim-refused",
     .title = "The message's DKIM signature does not verify",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway demands a valid DKIM signature, and this message has none, or it was changed after it was "
            "signed.",
     .advice =
         "Ask the sender to check its signing key in DNS, and whether a relay, footer or filter changes the message "
         "after it is signed.",
     .references = {"RFC 6376 6.1", "RFC 7372 3.1"},
     .fires = "use hello mail rcpt data body\nG!550 5.7.20 No passing DKIM signature found\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 550 5.7.1 Message content rejected, spam\nuse bye\n",
     .reply = {kCommands, 400, 599, "7.20-22", "dkim"}},
};

}  // namespace

std::span<const Rule> rules_domain() { return kRules; }

}  // namespace smtpscope
