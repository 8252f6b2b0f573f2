// What the gateway's rules ask of a sender, wherever they say so: to log in, to use TLS, to wait, to be allowed to send
// to this recipient or as this sender.
#include "capture/diagnosis/tables.h"

namespace smtpscope {
namespace {

constexpr uint32_t kTransaction = in(Phase::mail) | in(Phase::rcpt) | in(Phase::data) | in(Phase::end_of_data);

constexpr Rule kRules[] = {
    {.code = "tenant-connector",
     .title = "No inbound connector of the tenant fits this sender",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "Microsoft 365 could not put the mail down to a tenant, or the tenant takes mail for this domain only from "
            "the addresses or certificates that its connector names.",
     .advice =
         "In the tenant's inbound connector compare the allowed addresses and the certificate's name with what the "
         "sender shows: the address of the proxy or of the gateway in front counts, not that of the first sender. "
         "Check that the recipient's domain is an accepted domain of that tenant.",
     .references = {"RFC 5321 7.9"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.7.64 TenantAttribution; Relay Access Denied\nuse "
              "bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 554 5.7.1 <b@gw.example>: Relay access denied\nuse bye\n",
     .reply = {kTransaction, 400, 599, "7.51 7.64 7.68",
               "tenantattribution|tenantinboundattribution|partner connector"}},
    {.code = "rcpt-relay-denied",
     .title = "The gateway does not take mail for the domain of the recipient",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "The recipient's domain is not one that the gateway accepts from this sender.",
     .advice =
         "If the domain is yours, add it to the domains that the gateway accepts (Cisco: RAT; Exchange: accepted "
         "domains; Postfix: mydestination, relay_domains, virtual_mailbox_domains). If not, the sender's MX lookup "
         "or routing is wrong, or it should log in. A sender that may relay by its address is refused where the "
         "gateway sees the proxy's address instead.",
     .references = {"RFC 5321 3.6.2", "RFC 5321 7.9"},
     .fires = "use hello mail\nS RCPT TO:<c@elsewhere.example>\nG!554 5.7.1 <c@elsewhere.example>: Relay access "
              "denied\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<c@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply = {in(Phase::rcpt), 450, 599, "7.54",
               "relay access denied|relay not permitted|relaying denied|unable to relay|relaying not allowed|relay "
               "denied|not permitted to relay|no relaying|relaying is|we do not relay|relaying prohibited|"
               "authentication is required for relay|allowed rcpthosts|cannot deliver mail for|relay not allowed"}},
    {.code = "rcpt-restricted",
     .title = "This sender may not write to the recipient",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "The recipient is a group or mailbox that takes mail only from named senders, or only from inside.",
     .advice = "Look at who may send to the recipient (Exchange: \"require that all senders are authenticated\", "
               "AcceptMessagesOnlyFrom; Google: who can post). To let outsiders in, change it there: the gateway is "
               "not at fault.",
     .references = {"RFC 3463 3.8"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; "
              "authentication required\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 530 5.7.0 Authentication required\nuse bye\n",
     .reply = {kTransaction, 500, 599, "7.2 7.12 7.13 7.124 7.129 7.133-134",
               "resolver.rst|sendernotauthenticated|allowed-senders list|permission to post|has a policy that "
               "prohibited|not allowed to send to this|not authorized to send to this|not permitted to send to this"}},
    {.code = "sender-not-owned",
     .title = "The sender may not use this envelope sender",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "an address that belongs to the sender",
     .why = "The address belongs to another account than the one that logged in, or to a domain of the gateway's own "
            "that strangers may not use.",
     .advice = "A device or application has to send as its own account, or needs the right to send as the other one "
               "(Exchange: Send As; Postfix: smtpd_sender_login_maps). If mail with your own domain comes from "
               "outside, an external service is to be exempted from the gateway's anti-spoofing rule, or it is "
               "forged.",
     .references = {"RFC 6409 6.1", "RFC 3463 3.8"},
     .fires = "use hello\nS MAIL FROM:<boss@gw.example>\nG!553 5.7.1 <boss@gw.example>: Sender address rejected: not "
              "owned by user scanner\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<boss@gw.example>\nG 553 5.7.1 <boss@gw.example>: Sender address rejected: "
              "Access denied\nuse bye\n",
     .reply = {kTransaction, 500, 599, "7.60",
               "send as this sender|not owned by user|sender address rejected: not logged in|sendasdenied|spoofed|"
               "spoofing"}},
    {.code = "account-blocked",
     .title = "The sender's account is blocked for sending spam",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why = "The mail provider stopped this account or tenant, since it sent too much or sent spam; often its password "
            "was stolen.",
     .advice = "Have the account's administrator change the password, end its sessions, look for forwarding rules, and "
               "then lift the block at the provider (Microsoft 365: Restricted entities).",
     .references = {"RFC 3463 3.8"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!550 5.1.8 Access denied, bad outbound sender\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 553 5.1.8 Domain of sender address does not exist\nuse "
              "bye\n",
     .reply = {kTransaction, 500, 599, "7.501-503 7.705 7.750",
               "bad outbound sender|tenant has exceeded|spam abuse detected"}},
    {.code = "greylisted",
     .title = "The gateway greylists the sender",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway puts off senders that it sees for the first time and accepts them when they try again some "
            "minutes later.",
     .advice =
         "Wait for the sender's next attempt. If it never comes, or comes each time from another address, ask the "
         "sender to retry as RFC 5321 says, or exempt it (Postfix postscreen with its deep tests on says \"Service "
         "currently unavailable\": postscreen_access_list).",
     .references = {"RFC 6647", "RFC 5321 4.5.4.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!450 4.2.0 <b@gw.example>: Recipient address rejected: "
              "Greylisted\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {kCommands, 400, 499, "",
               "greylist|graylist|grey-list|gray-list|grey list|postgrey|try again in 5 min|450 4.3.2 service "
               "currently unavailable"}},
    {.code = "tls-required",
     .title = "The gateway demands TLS",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "STARTTLS before MAIL",
     .why = "The gateway takes mail from this sender only over TLS, and the sender went on in the clear.",
     .advice =
         "Ask the sender to turn on STARTTLS. If the gateway's EHLO reply above does not offer STARTTLS, a firewall "
         "removes it, or TLS is not set up on this listener (Cisco: mail flow policy, TLS required).",
     .references = {"RFC 3207 4", "RFC 3463 3.8"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!530 #5.7.0 Must issue a STARTTLS command first\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 530 5.7.0 Authentication required\nuse bye\n",
     .reply =
         {kCommands, 400, 599, "7.10",
          "issue a starttls|issue starttls|starttls first|starttls is required|starttls required|tls required|tls "
          "is required|encryption required|encryption is required|requires tls|requires encryption|sent over a tls"}},
    {.code = "anonymous-mail-refused",
     .title = "The gateway's connector takes no mail without a login",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why = "An Exchange receive connector, or Microsoft 365 where clients submit mail, got mail from a sender that "
            "had not logged in.",
     .advice = "For mail from the internet: allow Anonymous users in the permission groups of the receive connector "
               "that took this session (its address and port show which). For a printer or application: let it log "
               "in, or send it to the tenant's MX host instead of the submission host.",
     .references = {"RFC 4954 6"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!530 5.7.57 Client was not authenticated to send anonymous "
              "mail during MAIL FROM\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 530 5.7.0 Authentication required\nuse bye\n",
     .reply = {kTransaction, 500, 599, "7.57", "client was not authenticated|client not authenticated|send anonymous"}},
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
     .reply = {kTransaction, 500, 599, "",
               "authentication required|authentication is required|not authenticated|requires authentication|must "
               "authenticate|must be authenticated|auth required|auth is required|issue an auth|turn on smtp "
               "authentication|log in first|login required"}},
};

}  // namespace

std::span<const Rule> rules_policy() { return kRules; }

}  // namespace smtpscope
