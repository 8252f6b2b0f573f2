// What the gateway holds against the sender's host: the name in its HELO, its reverse DNS, its address. Gateways say it
// at HELO or put it off to MAIL, RCPT or the message.
#include "capture/diagnosis/tables.h"

namespace smtpscope {
namespace {

constexpr uint32_t kAnywhere = kCommands | in(Phase::banner);

constexpr Rule kRules[] = {
    {.code = "helo-own-name",
     .title = "The sender gives the gateway's own name in its HELO",
     .phase = Phase::helo,
     .party = Party::sender,
     .expected = "the sender's own host name",
     .why = "The sender introduced itself with a name or address that is the gateway's. Spam software does that.",
     .advice = "Ask the sender to set its own full host name (Postfix: smtp_helo_name; Exchange: FQDN of the send "
               "connector). If a host of yours behind the proxy does this, exempt it on the gateway.",
     .references = {"RFC 5321 4.1.1.1"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!550 5.7.506 Access Denied, Bad HELO\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 550 5.7.1 Bad HELO name\nuse bye\n",
     .reply = {kEnvelope, 400, 599, "7.506",
               "you are not me|you are not localhost|host impersonating|forged helo|helo is my|uses my name|helo with "
               "my|claims to be me|pretends to be me"}},
    {.code = "helo-not-fqdn",
     .title = "The name in the sender's HELO is no full host name",
     .phase = Phase::helo,
     .party = Party::sender,
     .expected = "a name with its domain, like mail.sender.example",
     .why = "The sender introduced itself with a short name (\"localhost\", \"server1\"), and the gateway insists on a "
            "fully qualified one.",
     .advice = "Ask the sender to set a full host name with a domain in its mail software; compare it with its EHLO "
               "line above.",
     .references = {"RFC 5321 2.3.5", "RFC 5321 4.1.1.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!504 5.5.2 <mx>: Helo command rejected: need fully-qualified "
              "hostname\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.7.1 <mx.sender.example>: Helo command rejected: Host "
              "not found\nuse bye\n",
     .reply = {kEnvelope, 400, 599, "",
               "need fully-qualified hostname|need fully qualified hostname|fully-qualified hostname|fully qualified "
               "hostname|fully qualified host name|helo should be a fqdn|helo must be a fqdn|helo requires a fqdn|ehlo "
               "should be a fqdn|ehlo must be a fqdn|non-fqdn|not a fqdn|not an fqdn"}},
    {.code = "helo-unresolvable",
     .title = "The name in the sender's HELO is not in the DNS",
     .phase = Phase::helo,
     .party = Party::dns,
     .expected = "a name that has an A or AAAA record",
     .why = "The gateway looked up the host name from the sender's EHLO and found no address for it.",
     .advice = "Look up the name from the EHLO line above (dig NAME A, dig NAME AAAA) on the gateway's host. If it is "
               "missing for all, the sender uses an internal name or lacks the record; if only the gateway does not "
               "find it, its resolver is at fault.",
     .references = {"RFC 5321 4.1.4", "RFC 5321 2.3.5"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!450 4.7.1 <mx.sender.example>: Helo command rejected: Host "
              "not found\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 504 5.5.2 <mx>: Helo command rejected: need fully-qualified "
              "hostname\nuse bye\n",
     .reply = {kEnvelope, 400, 599, "",
               "helo command rejected: host not found|helo command rejected: domain not found|helo command rejected: "
               "malformed dns|helo verification failed|helo host not found|helo does not resolve|ehlo does not "
               "resolve|helo name does not resolve|helo doesn't resolve|unresolvable helo|helo lookup failed"}},
    {.code = "helo-name-refused",
     .title = "The gateway's rules refuse the name in the sender's HELO",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "A rule of the gateway's forbids the host name that the sender gave in EHLO or HELO. Many gateways say so "
            "only at RCPT.",
     .advice = "Look in the gateway's HELO rules for the name in the EHLO line above (Postfix: "
               "smtpd_helo_restrictions). The sender should use its full host name, which has an A or AAAA record.",
     .references = {"RFC 5321 4.1.4", "RFC 5321 2.3.5"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.7.1 <mx.sender.example>: Helo command rejected: "
              "Access denied\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply = {kEnvelope & ~in(Phase::helo), 400, 599, "",
               "helo command rejected|bad helo|invalid helo|helo name|ehlo name|invalid ehlo|bad ehlo"}},
    {.code = "ipv6-refused",
     .title = "The gateway takes no mail over IPv6",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The session came over IPv6, and the recipient's side accepts mail over IPv4 only.",
     .advice = "If the domain is yours, remove the AAAA record of its MX host, or turn on IPv6 for it (Microsoft 365: "
               "Enable-IPv6ForAcceptedDomain). Until then a sender can prefer IPv4.",
     .references = {"RFC 5321 5.2"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.7.510 Access denied, gw.example does not accept email "
              "over IPv6\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.7.25 The IPv6 address has no PTR record\nuse bye\n",
     .reply = {kAnywhere, 400, 599, "7.510", "not accept email over ipv6|not accept mail over ipv6|over ipv6 is not"}},
    {.code = "sender-dynamic-address",
     .title = "The sender's address is one of a dynamic or home network",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway takes no mail straight from addresses that a provider gives to its end customers.",
     .advice = "Ask the sender to send through its provider's relay or its own mail server. If the address is fixed, "
               "its provider can give it a PTR record of its own and have it taken out of the policy list (PBL).",
     .references = {"RFC 5782 2.1", "RFC 6409 3.1"},
     .fires =
         "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.7.1 The IP you're using to send mail is not authorized "
         "to send email directly to our servers\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 554 5.7.1 Client host [192.0.2.1] blocked using "
              "zen.spamhaus.org\nuse bye\n",
     .reply = {kAnywhere, 400, 599, "",
               "dynamic ip|dynamic address|dynamic pool|dynamic range|dynamic host|dynamically assigned|dial-up|dialup|"
               "dial up|residential|pbl.spamhaus|in the pbl|send email directly|send mail directly|generic rdns|"
               "generic reverse|generic ptr|use your isp"}},
    {.code = "domain-blocklisted",
     .title = "A domain of the message is on a block list",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why =
         "The gateway asked a list of domains (DBL, SURBL, URIBL) about the envelope sender, the HELO name or a link "
         "in the message, and it is listed there.",
     .advice = "Look up the domain named in the reply at that list, not the address of the host. Its owner has to have "
               "it removed; a link in a signature or newsletter is often enough to be refused.",
     .references = {"RFC 5782 3"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!554 5.7.1 Service unavailable; Sender address "
              "[a@sender.example] blocked using dbl.spamhaus.org\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 554 5.7.1 Service unavailable; Client host [192.0.2.1] "
              "blocked using zen.spamhaus.org\nuse bye\n",
     .reply = {kCommands, 400, 599, "",
               "dbl.spamhaus|spamhaus dbl|surbl|uribl|rhsbl|sender address blocked using|helo command [|domain is "
               "blacklisted|domain is blocklisted|domain is listed|listed url|blacklisted url|blocklisted url"}},
    {.code = "sender-banned",
     .title = "The mail provider has banned the sender's address",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The provider behind the gateway keeps a block list of its own, and the address that reached it is on it. "
            "No public list shows this.",
     .advice = "Read which address the reply names: if it is the proxy's or the gateway's, mail that they passed on "
               "earned it. The owner of the address asks for removal at the place named in the reply (Microsoft: "
               "sender.office.com, or delist@microsoft.com for 5.7.511).",
     .references = {"RFC 5782 2.1", "RFC 3463 3.8"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.7.606 Access denied, banned sending IP "
              "[192.0.2.1]\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 554 5.7.1 Client host [192.0.2.1] blocked using "
              "zen.spamhaus.org\nuse bye\n",
     .reply = {kAnywhere, 400, 599, "7.511 7.606-649 7.708",
               "banned sending ip|network is on our block list|ipcheck.proofpoint|traffic not accepted from this ip"}},
    {.code = "sender-blocklisted",
     .title = "The sender's address is on a block list",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway asked a block list (DNSBL) about the sender's address, and it is listed there.",
     .advice =
         "Look the address up at the list named in the reply. The sender has to have it removed; to let it in until "
         "then, exempt it on the gateway. If the reply names the proxy's address, set gateway.present so that the "
         "gateway sees the sender's.",
     .references = {"RFC 5782 2.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!554 5.7.1 Service unavailable; Client host [192.0.2.1] "
              "blocked using zen.spamhaus.org\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 554 5.7.1 <b@gw.example>: Relay access denied\nuse bye\n",
     .reply =
         {kCommands, 400, 599, "",
          "blocked using|spamhaus|spamcop|barracudacentral|sorbs.net|dnsbl|dnsrbl| rbl|.rbl.|(rbl|blacklisted by|is "
          "blacklisted|on our blacklist|in our blacklist|on a blacklist|in a blacklist|in a black list|blocklist|"
          "block list|listed at|is listed on|is listed in|is listed by|senderscore|poor reputation|bad "
          "reputation"}},
    {.code = "ptr-required",
     .title = "The sender's address has no proper reverse DNS",
     .phase = Phase::rcpt,
     .party = Party::dns,
     .expected = "a PTR record whose name leads back to the address",
     .why = "The gateway demands that the sender's address has a host name in reverse DNS that resolves to it again.",
     .advice = "Look up the address from the gateway's host (dig -x ADDRESS, then the name found). The sender's "
               "provider sets the PTR record; its name needs an A or AAAA record with the same address.",
     .references = {"RFC 1912 2.1", "RFC 7372 3.3"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!550 5.7.25 The IP address sending this message does not "
              "have a PTR record setup\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 550 5.7.1 Sender refused\nuse bye\n",
     .reply = {kAnywhere, 400, 599, "7.25",
               "ptr record|ptr resource|dns ptr|no ptr|invalid ptr|reverse dns|reverse-dns|reverse hostname|reverse "
               "lookup|cannot find your hostname|cannot find your reverse|no reverse|rdns|ip name lookup failed"}},
    {.code = "host-denied",
     .title = "The gateway's access list refuses the sender's host",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway has a rule against the address or the host name of the sender.",
     .advice =
         "Look for the address, its network and its reverse name in the gateway's access lists (Cisco: HAT sender "
         "groups; Postfix: check_client_access; Sendmail: access map; Exim: host lists in the ACLs). If the "
         "reply names the proxy's address, set gateway.present so that the gateway sees the sender's.",
     .references = {"RFC 5321 7.9", "RFC 3463 3.8"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!554 5.7.1 <mx.sender.example[192.0.2.1]>: Client host "
              "rejected: Access denied\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.7.25 Client host rejected: cannot find your "
              "hostname\nuse bye\n",
     .reply = {kCommands, 400, 599, "",
               "client host rejected|host rejected|host is blocked|host blocked|ip is blocked|ip blocked|ip address is "
               "blocked|ip address has been blocked|ip has been blocked|ip is not allowed|ip not allowed|host not "
               "allowed|host is not allowed|administratively denied|mail from your host"}},
};

}  // namespace

std::span<const Rule> rules_host() { return kRules; }

}  // namespace smtpscope
