// Refusals by the gateway's rules, told by their texts and enhanced codes; they may come at MAIL, RCPT, DATA or after
// the message.
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr uint32_t kEnvelope = in(Phase::helo) | in(Phase::mail) | in(Phase::rcpt) | in(Phase::data);
constexpr uint32_t kAny = kEnvelope | in(Phase::body) | in(Phase::end_of_data) | in(Phase::idle);

constexpr Rule kRules[] = {
    {.code = "greylisted",
     .title = "The gateway greylists the sender",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway puts off senders that it sees for the first time and accepts them when they try again some "
            "minutes "
            "later.",
     .advice =
         "Wait for the sender's next attempt. If it never comes, or comes each time from another address, ask the "
         "sender to retry as RFC 5321 says, or exempt it from greylisting.",
     .references = {"RFC 6647", "RFC 5321 4.5.4.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!450 4.2.0 <b@gw.example>: Recipient address rejected: "
              "Greylisted\n"
              "use bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {kAny, 400, 499, "", "greylist|graylist|grey-list|gray-list|greylisting|postgrey|try again in 5 min"}},
    {.code = "sender-blocklisted",
     .title = "The sender's address is on a block list",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway asked a block list (DNSBL) about the sender's address, and it is listed there.",
     .advice =
         "Look the address up at the list named in the reply. The sender has to have it removed; to let it in until "
         "then, exempt it on the gateway.",
     .references = {"RFC 5782 2.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!554 5.7.1 Service unavailable; Client host [192.0.2.1] "
              "blocked using "
              "zen.spamhaus.org\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 554 5.7.1 <b@gw.example>: Relay access denied\nuse bye\n",
     .reply = {kAny, 400, 599, "7.606 7.511",
               "blocked using|spamhaus|spamcop|barracudacentral|sorbs|dnsbl|rbl.|blacklist|blocklist|block list|banned "
               "sending ip|poor reputation"}},
    {.code = "ptr-required",
     .title = "The sender's address has no proper reverse DNS",
     .phase = Phase::rcpt,
     .party = Party::dns,
     .expected = "a PTR record whose name leads back to the address",
     .why = "The gateway demands that the sender's address has a host name in reverse DNS that resolves to it again.",
     .advice = "Ask the sender to set a PTR record and a matching A or AAAA record for its address.",
     .references = {"RFC 1912 2.1", "RFC 7372 3.3"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!550 5.7.25 The IP address sending this message does not "
              "have a PTR "
              "record setup\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 550 5.7.1 Sender refused\nuse bye\n",
     .reply = {kAny, 400, 599, "7.25",
               "ptr record|reverse dns|reverse hostname|cannot find your hostname|cannot find your reverse|no "
               "reverse|rdns"}},
    {.code = "spf-temporary",
     .title = "The gateway could not look up the sender's SPF record",
     .phase = Phase::mail,
     .party = Party::dns,
     .expected = "250",
     .why = "The DNS of the envelope sender's domain did not answer the gateway's question for SPF in time.",
     .advice = "Look up the domain's TXT records from the gateway's host. If that is slow or fails, the domain's name "
               "servers "
               "or the gateway's resolver are at fault.",
     .references = {"RFC 7208 2.6.6"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!451 #4.4.3 Temporary error occurred during SPF "
              "verification.\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 550 #5.7.1 SPF unauthorized mail is prohibited.\nuse bye\n",
     .reply = {kAny, 400, 499, "7.24", "spf"}},
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
     .reply = {kAny, 400, 599, "7.26 7.509", "dmarc|unauthenticated email"}},
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
     .reply = {kAny, 500, 599, "7.23 7.27",
               "spf unauthorized|spf fail|spf check|spf record|openspf|(spf|spf:|spf validation|spf "}},
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
     .reply = {kAny, 400, 599, "7.20 7.21 7.22 7.30", "dkim"}},
    {.code = "tls-required",
     .title = "The gateway demands TLS",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "STARTTLS before MAIL",
     .why = "The gateway takes mail from this sender only over TLS, and the sender went on in the clear.",
     .advice =
         "Ask the sender to turn on STARTTLS. If the gateway's EHLO reply above does not offer STARTTLS, a firewall "
         "removes it, or TLS is not set up on this listener.",
     .references = {"RFC 3207 4", "RFC 3463 3.8"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!530 #5.7.0 Must issue a STARTTLS command first\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 530 5.7.0 Authentication required\nuse bye\n",
     .reply = {kAny, 400, 599, "7.10",
               "must issue a starttls|issue a starttls|starttls first|tls required|tls is required|encryption "
               "required|requires tls"}},
    {.code = "auth-required",
     .title = "The gateway demands authentication",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "AUTH before MAIL",
     .why = "The gateway takes this mail only from senders that have logged in.",
     .advice =
         "If this sender is a mail server, check that it uses port 25 and that the gateway takes mail for the domain "
         "from strangers; if it is a client, it needs credentials (port 587).",
     .references = {"RFC 4954 6", "RFC 6409 4.3"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!530 5.7.0 Authentication required\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 530 #5.7.0 Must issue a STARTTLS command first\nuse bye\n",
     .reply = {in(Phase::mail) | in(Phase::rcpt) | in(Phase::data) | in(Phase::end_of_data), 500, 599, "7.57",
               "authentication required|authentication is required|not authenticated|requires authentication|must "
               "authenticate|auth required"}},
    {.code = "helo-refused-late",
     .title = "The gateway refuses the name in the sender's HELO",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The host name that the sender gave in EHLO or HELO does not resolve, is no full name, or is the gateway's "
            "own. "
            "The gateway says so only now.",
     .advice = "Ask the sender to use its full host name, which has an A or AAAA record.",
     .references = {"RFC 5321 4.1.4", "RFC 5321 2.3.5"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!504 5.5.2 <mx>: Helo command rejected: need fully-qualified "
              "hostname\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply = {in(Phase::mail) | in(Phase::rcpt) | in(Phase::data) | in(Phase::end_of_data), 400, 599, "7.506",
               "helo command rejected|bad helo|invalid helo|helo name|ehlo name"}},
    {.code = "sender-domain-unknown",
     .title = "The envelope sender's domain does not exist",
     .phase = Phase::mail,
     .party = Party::dns,
     .expected = "250",
     .why =
         "The gateway found neither an MX nor an address record for the domain of the envelope sender, so it could not "
         "even return the mail.",
     .advice =
         "Look up the domain from the gateway's host. If it is missing, the sender uses a wrong or internal domain in "
         "its envelope.",
     .references = {"RFC 5321 3.6.2", "RFC 3463 3.2"},
     .fires = "use hello\nS MAIL FROM:<a@nowhere.invalid>\nG!553 #5.1.8 Domain of sender address <a@nowhere.invalid> "
              "does not "
              "exist\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 451 #4.1.8 Domain of sender address could not be "
              "resolved\nuse bye\n",
     .reply = {kEnvelope, 500, 599, "1.8",
               "domain of sender address|sender domain|sender address rejected: domain not found|domain does not "
               "exist|domain must resolve|unrouteable address sender|sender verify failed"}},
    {.code = "sender-domain-unresolved",
     .title = "The envelope sender's domain could not be looked up",
     .phase = Phase::mail,
     .party = Party::dns,
     .expected = "250",
     .why = "The DNS gave no answer for the domain of the envelope sender, so the gateway puts the mail off.",
     .advice =
         "Look up the domain's MX and A records from the gateway's host. If that is slow or fails, the domain's name "
         "servers or the gateway's resolver are at fault.",
     .references = {"RFC 5321 4.2.5", "RFC 3463 3.2"},
     .fires =
         "use hello\nS MAIL FROM:<a@sender.example>\nG!451 #4.1.8 Domain of sender address <a@sender.example> does not "
         "resolve\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 451 4.3.0 try again later\nuse bye\n",
     .reply = {kEnvelope, 400, 499, "1.8",
               "domain of sender address|domain not found|sender domain|could not be resolved|sender address rejected: "
               "unverified|dns timeout|dns error"}},
    {.code = "rate-limited",
     .title = "The sender sends more than the gateway takes in this time",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway limits how many messages or recipients one sender may have in a given time, and this sender "
            "is over "
            "it.",
     .advice = "The sender can go on later. If its volume is legitimate, raise the limit for it (Cisco: mail flow "
               "policy, max. "
               "recipients per hour).",
     .references = {"RFC 3463 3.8", "RFC 5321 4.5.4.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!452 Too many recipients received this hour\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 452 4.5.3 Error: too many recipients\nuse bye\n",
     .reply = {kAny, 400, 599, "7.28",
               "this hour|rate limit|ratelimit|too much mail|rate exceeded|too fast|unusual rate|throttl|quota of "
               "messages|sending limit"}},
    {.code = "size-exceeded",
     .title = "The message is larger than the gateway takes",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why = "The message, or the size that the sender declared, is over the gateway's limit.",
     .advice = "Compare the size with the SIZE that the gateway names in its EHLO reply. Raise the limit on the "
               "gateway, or ask "
               "the sender for a smaller message.",
     .references = {"RFC 1870 6", "RFC 3463 3.4"},
     .fires =
         "use hello\nS MAIL FROM:<a@sender.example> SIZE=99999999\nG!552 #5.3.4 message size exceeds limit\nuse bye\n",
     .quiet =
         "use hello\nS MAIL FROM:<a@sender.example> SIZE=99999999\nG 452 4.3.1 Insufficient system storage\nuse bye\n",
     .reply = {kAny, 500, 599, "3.4 2.3",
               "size exceeds|too large|too big|size limit|exceeds maximum|exceeds the maximum|exceeded storage "
               "allocation for a message|header size"}},
    {.code = "storage-full",
     .title = "The gateway is short of space",
     .phase = Phase::mail,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway's disk or queue is full, or its memory low, so it takes nothing for now. The sender will try "
            "again.",
     .advice = "Look at the gateway's free disk space and the size of its queue.",
     .references = {"RFC 5321 4.2.3", "RFC 3463 3.4"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!452 4.3.1 Insufficient system storage\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 450 4.7.1 try again later\nuse bye\n",
     .reply = {kAny, 400, 499, "3.1",
               "insufficient system|queue full|space shortage|disk full|out of space|resources low|resources "
               "temporarily|no space"}},
};

}  // namespace

std::span<const Rule> rules_policy() { return kRules; }

}  // namespace smtpscope
