// What the gateway refuses of the envelope: MAIL and RCPT. (Reasons that may come at any phase: rules_policy.cpp.)
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr Rule kMail[] = {
    {.code = "mail-syntax",
     .title = "The gateway cannot read the envelope sender",
     .phase = Phase::mail,
     .party = Party::sender,
     .expected = "MAIL FROM:<local@domain>",
     .why = "The address in MAIL FROM is malformed, or has no full domain.",
     .advice = "Ask the sender to mend the envelope address; compare it with the line above this reply.",
     .references = {"RFC 5321 4.1.2", "RFC 3463 3.2"},
     .fires = "use hello\nS MAIL FROM:a b\nG!501 5.1.7 Bad sender address syntax\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example> FOO=1\nG 555 5.5.4 Unsupported option: FOO=1\nuse bye\n",
     .reply = {in(Phase::mail), 500, 553, "1.7 5.2", "syntax|must contain a domain|domain missing|fully-qualified"}},
    {.code = "mail-parameter",
     .title = "The gateway does not know a parameter of MAIL",
     .phase = Phase::mail,
     .party = Party::sender,
     .expected = "only parameters that the EHLO reply offers",
     .why = "The sender used an extension that the gateway does not offer, or that a firewall removed from its EHLO "
            "reply.",
     .advice = "Compare the parameters with the EHLO reply above. If it shows them, a device between has changed the "
               "command.",
     .references = {"RFC 5321 4.1.1.11"},
     .fires = "use hello\nS MAIL FROM:<a@b.example> FOO=1\nG!555 5.5.4 Unsupported option: FOO=1\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:a b\nG 501 5.1.7 Bad sender address syntax\nuse bye\n",
     .reply = {in(Phase::mail), 500, 555, "5.4", "unsupported option|unrecognized parameter|parameters not|smtputf8"}},
    {.code = "mail-temporary",
     .title = "The gateway puts the envelope sender off",
     .phase = Phase::mail,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway does not take this sender for now; the sender will try again.",
     .advice = "Look in the gateway's log at this time for the reason.",
     .references = {"RFC 5321 4.2.3"},
     .fires = "use hello\nS MAIL FROM:<a@b.example>\nG!451 4.3.0 try again later\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example>\nG 550 5.7.1 Sender refused\nuse bye\n",
     .reply = {in(Phase::mail), 400, 499}},
    {.code = "mail-refused",
     .title = "The gateway refused the envelope sender",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway's rules do not allow this envelope sender or this host.",
     .advice = "Look in the gateway's access rules and block lists for the address and its domain.",
     .references = {"RFC 5321 3.3"},
     .fires = "use hello\nS MAIL FROM:<a@b.example>\nG!550 5.7.1 Sender refused\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example>\nG 451 4.3.0 try again later\nuse bye\n",
     .reply = {in(Phase::mail), 500, 599}},
};

constexpr Rule kRcpt[] = {
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
     .reply = {in(Phase::rcpt), 450, 599, "7.64",
               "relay access denied|relay not permitted|relaying denied|unable to relay|relaying not allowed|relay "
               "denied|not permitted to relay|no relaying|relaying is|we do not relay|relaying "
               "prohibited|authentication is required for relay"}},
    {.code = "rcpt-mailbox-full",
     .title = "The mailbox of the recipient is full",
     .phase = Phase::rcpt,
     .party = Party::gateway,
     .expected = "250 or 251",
     .why = "The recipient has used up its storage.",
     .advice = "Tell the recipient, or raise its quota.",
     .references = {"RFC 3463 3.3", "RFC 5321 4.2.3"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!452 4.2.2 Over quota\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {in(Phase::rcpt) | in(Phase::end_of_data), 400, 599, "2.2",
               "over quota|mailbox full|mailbox is full|quota exceeded|out of storage"}},
    {.code = "rcpt-too-many",
     .title = "The message has more recipients than the gateway takes at once",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why =
         "The gateway limits the recipients of one message. The sender has to send the rest in a message of their own.",
     .advice = "Ask the sender to split its mail. A gateway should take at least 100 recipients: raise the limit if it "
               "is lower.",
     .references = {"RFC 5321 4.5.3.1.8", "RFC 5321 4.5.3.1.10"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!452 #4.5.3 Too many recipients\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 452 Too many recipients received this hour\nuse bye\n",
     .reply = {in(Phase::rcpt), 400, 599, "5.3", "too many recipients|too many rcpt"}},
    {.code = "rcpt-syntax",
     .title = "The gateway cannot read the address of the recipient",
     .phase = Phase::rcpt,
     .party = Party::sender,
     .expected = "RCPT TO:<local@domain>",
     .why = "The address in RCPT TO is malformed.",
     .advice = "Ask the sender to mend the recipient's address; compare it with the line above this reply.",
     .references = {"RFC 5321 4.1.2", "RFC 3463 3.2"},
     .fires = "use hello mail\nS RCPT TO:b c\nG!501 5.1.3 Bad recipient address syntax\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply = {in(Phase::rcpt), 500, 555, "1.3 5.2 5.4", "syntax|malformed|invalid recipient address"}},
    {.code = "rcpt-disabled",
     .title = "The mailbox of the recipient is disabled",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "The address exists, but takes no mail: it is locked, disabled or inactive.",
     .advice = "Ask whoever runs the mailboxes why it is disabled.",
     .references = {"RFC 3463 3.3"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.2.1 The email account that you tried to reach is "
              "disabled\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {in(Phase::rcpt), 500, 599, "2.1", "is disabled|account disabled|mailbox disabled|is inactive"}},
    {.code = "rcpt-unknown-user",
     .title = "The gateway does not know the recipient",
     .phase = Phase::rcpt,
     .party = Party::sender,
     .expected = "250 or 251",
     .why = "There is no mailbox of this name on the gateway.",
     .advice = "Check the spelling with the sender. If the address should exist, look in the gateway's recipient table "
               "(Cisco: RAT or LDAP accept query; Postfix: local_recipient_maps, "
               "relay_recipient_maps, virtual_mailbox_maps, virtual_alias_maps).",
     .references = {"RFC 5321 4.2.3", "RFC 3463 3.2"},
     .fires = "use hello mail\nS RCPT TO:<nobody@gw.example>\nG!550 5.1.1 <nobody@gw.example>: Recipient address "
              "rejected: User "
              "unknown\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {in(Phase::rcpt), 550, 559, "1.0 1.1 1.2 1.6 1.10 4.1",
               "user unknown|unknown user|no such user|no such recipient|does not exist|unknown recipient|recipient "
               "unknown|recipient not found|user not found|no mailbox|address rejected.|address unknown|unrouteable "
               "address|unroutable|mailbox unavailable|no such mailbox|invalid recipient|unknown local|not a valid "
               "mailbox"}},
    {.code = "rcpt-temporary",
     .title = "The gateway puts the recipient off",
     .phase = Phase::rcpt,
     .party = Party::gateway,
     .expected = "250 or 251",
     .why = "The gateway does not take mail for this recipient for now; the sender will try again.",
     .advice =
         "Look in the gateway's log at this time: a lookup (LDAP, recipient verification, DNS) that failed, or a busy "
         "mailbox.",
     .references = {"RFC 5321 4.2.3", "RFC 5321 4.5.4.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!450 4.2.1 Mailbox busy\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply = {in(Phase::rcpt), 400, 499}},
    {.code = "rcpt-refused",
     .title = "The gateway refused the recipient",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "The gateway's rules do not allow this recipient from this sender, or do not allow this sender at all.",
     .advice =
         "Look in the gateway's log and rules for this pair of addresses. Where the reply speaks of the sender's "
         "address, "
         "client or HELO, look in the rules for that: Postfix refuses at RCPT for those too (smtpd_delay_reject).",
     .references = {"RFC 5321 3.3"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.7.1 Not allowed\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {in(Phase::rcpt), 500, 599}},
};

}  // namespace

std::span<const Rule> rules_mail() { return kMail; }
std::span<const Rule> rules_rcpt() { return kRcpt; }

}  // namespace smtpscope
