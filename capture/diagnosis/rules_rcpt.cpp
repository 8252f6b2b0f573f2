// What the gateway refuses of RCPT. (Reasons that may come at any phase: rules_policy, rules_host, rules_limits, ...)
#include "capture/diagnosis/reply_match.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

bool unknown_user(const View& v, int32_t refusal) {
  const Rule* rule = v.at(refusal)->phase == Phase::rcpt ? judge_refusal(v, refusal) : nullptr;
  return rule != nullptr && rule->code == "rcpt-unknown-user";
}

/// Several unknown recipients, and then the gateway ended the connection behind such a refusal.
std::optional<Match> harvest_dropped(const View& v) {
  constexpr size_t kMany = 3;      // after fewer, something else may have ended it
  constexpr size_t kJudged = 100;  // who guesses may ask for thousands
  const Event* last = v.last_reply();
  if (!v.broken() || !v.closed_by(From::gateway) || v.quit >= 0 || v.gateway_owes() || v.silence_us() >= kSlow ||
      last == nullptr || last->code < 500 || !unknown_user(v, static_cast<int32_t>(last - v.events.data())))
    return std::nullopt;
  size_t unknown = 0;
  int32_t first = -1;
  for (size_t i = 0; i < v.refusals.size() && i < kJudged; ++i) {
    if (!unknown_user(v, v.refusals[i])) continue;
    if (first < 0) first = v.refusals[i];
    ++unknown;
  }
  if (unknown < kMany) return std::nullopt;
  Match m = match_event(v, first);
  m.why = "The gateway did not know " + std::to_string(unknown) + (v.refusals.size() > kJudged ? " and more" : "") +
          " recipients and then ended the connection: its limit for unknown recipients was reached.";
  m.confidence = Confidence::likely;
  return m;
}

constexpr Rule kRules[] = {
    {.code = "rcpt-harvest-dropped",
     .title = "The gateway dropped the sender after many unknown recipients",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "The gateway did not know several recipients in a row and then ended the connection, as it does with those "
            "who guess addresses.",
     .advice =
         "Read the recipients above. Guessed names: nothing to mend. An old mailing list: the sender has to clean "
         "it. Names that exist: the gateway's recipient lookup is wrong. Cisco: DHAP in the mail flow policy, "
         "\"Injection Control\" in mail_logs.",
     .references = {"RFC 5321 7.3", "RFC 5321 7.9"},
     .fires = "use hello mail\nS RCPT TO:<x1@gw.example>\nG!550 #5.1.0 Address rejected.\nS RCPT TO:<x2@gw.example>\nG "
              "550 #5.1.0 Address rejected.\nS RCPT TO:<x3@gw.example>\nG 550 #5.1.0 Address rejected.\nG fin\nS fin\n",
     .quiet = "use hello mail\nS RCPT TO:<x1@gw.example>\nG 550 #5.1.0 Address rejected.\nS RCPT TO:<x2@gw.example>\nG "
              "550 #5.1.0 Address rejected.\nS RCPT TO:<x3@gw.example>\nG 550 #5.1.0 Address rejected.\nuse bye\n",
     .check = harvest_dropped},
    {.code = "rcpt-harvest-limit",
     .title = "The sender asked for too many unknown recipients",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "The gateway counts the unknown recipients of each sender over its sessions, and takes one with too many "
            "for one who guesses addresses.",
     .advice = "Look in the gateway's log for what this address asked in the last hour. If a wanted sender uses an old "
               "list, have it cleaned and raise the limit until then (Cisco: mail flow policy, Max. Invalid Recipients "
               "Per Hour). Valid recipients are refused too while the limit holds.",
     .references = {"RFC 5321 7.3", "RFC 5321 7.9"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 Too many invalid recipients\nG fin\nS fin\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply =
         {in(Phase::rcpt) | in(Phase::idle), 400, 599, "",
          "too many invalid recipients|too many unknown|too many bad recipients|too many invalid addresses|harvest|"
          "too many nonexistent|too many non-existent"}},
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
               "over quota|mailbox full|mailbox is full|mailbox quota|quota exceeded|out of storage|exceeded storage "
               "allocation"}},
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
     .reply = {in(Phase::rcpt) | kContent, 400, 599, "5.3", "too many recipients|too many rcpt"}},
    {.code = "rcpt-parameter",
     .title = "The gateway does not know a parameter of RCPT",
     .phase = Phase::rcpt,
     .party = Party::sender,
     .expected = "only parameters that the EHLO reply offers",
     .why = "The sender asked for a delivery report (NOTIFY, ORCPT) or another extension of RCPT that the gateway does "
            "not offer.",
     .advice =
         "Look for DSN in the EHLO reply above. If it is there, a device between has changed the command; if not, "
         "ask the sender to send RCPT without parameters.",
     .references = {"RFC 5321 4.1.1.11", "RFC 3461 4"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example> NOTIFY=NEVER\nG!555 5.5.4 Unsupported option: "
              "NOTIFY=NEVER\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:b c\nG 501 5.1.3 Bad recipient address syntax\nuse bye\n",
     .reply = {in(Phase::rcpt), 500, 555, "",
               "unsupported option|unrecognized parameter|unsupported parameter|unknown parameter|parameters not|"
               "parameter not|notify=|notify parameter|orcpt|may not follow"}},
    {.code = "rcpt-syntax",
     .title = "The gateway cannot read the address of the recipient",
     .phase = Phase::rcpt,
     .party = Party::sender,
     .expected = "RCPT TO:<local@domain>",
     .why = "The address in RCPT TO is malformed, or has no full domain.",
     .advice = "Ask the sender to mend the recipient's address; compare it with the line above this reply (a comma or "
               "blank in it, a quoted name, a missing domain).",
     .references = {"RFC 5321 4.1.2", "RFC 3463 3.2"},
     .fires = "use hello mail\nS RCPT TO:b c\nG!501 5.1.3 Bad recipient address syntax\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply =
         {in(Phase::rcpt), 500, 555, "1.3 5.2 5.4",
          "501 |syntax|syntactically|malformed|invalid recipient address|must contain a domain|need fully-qualified "
          "address|domain name required|not a valid rfc|user address required"}},
    {.code = "rcpt-moved",
     .title = "The recipient has moved",
     .phase = Phase::rcpt,
     .party = Party::sender,
     .expected = "250 or 251",
     .why = "The gateway knows that the recipient's mailbox is elsewhere and does not forward to it.",
     .advice = "Ask the sender to write to the address that the reply names. If mail should still be forwarded, set "
               "that up on the gateway; 551 tells strangers the new address.",
     .references = {"RFC 5321 3.4", "RFC 3463 3.2"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!551 5.1.6 User not local; please try "
              "<b@new.example>\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply = {in(Phase::rcpt), 550, 559, "1.6", "user not local|has moved|moved to|please try <|now uses"}},
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
     .reply = {in(Phase::rcpt), 500, 599, "2.1",
               "is disabled|account disabled|mailbox disabled|is inactive|has been disabled|is suspended|account "
               "suspended|account expired|deactivated|no longer active"}},
    {.code = "rcpt-domain-unknown",
     .title = "The domain of the recipient takes no mail",
     .phase = Phase::rcpt,
     .party = Party::dns,
     .expected = "250 or 251",
     .why = "The gateway looked up the recipient's domain and found no mail server for it, or a null MX (\"no mail "
            "here\"). It would have to pass the mail on to there.",
     .advice = "Check the domain for a slip of the pen and look it up from the gateway's host (dig DOMAIN MX). If the "
               "domain is the gateway's own, it is missing in the gateway's list of local domains.",
     .references = {"RFC 5321 5.1", "RFC 7505 4.1"},
     .fires =
         "use hello mail\nS RCPT TO:<b@gw.exmaple>\nG!550 5.1.2 <b@gw.exmaple>: Recipient address rejected: Domain "
         "not found\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply = {in(Phase::rcpt), 400, 599, "1.2",
               "recipient address rejected: domain not found|recipient domain not found|recipient domain does not|host "
               "unknown|(nullmx)|null mx|domain does not exist|find the recipient domain"}},
    {.code = "rcpt-directory-blocked",
     .title = "The tenant's directory does not hold the recipient",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "Microsoft 365 refuses at its edge what is not in the tenant's directory, or whose domain it does not "
            "serve.",
     .advice = "Look whether the address is in the tenant (a mailbox, group, contact or mail user; directory "
               "synchronisation up to date), and whether the domain is an accepted one: with mailboxes elsewhere it "
               "has to be of the type \"internal relay\".",
     .references = {"RFC 5321 4.2.3"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.4.1 Recipient address rejected: Access denied.\nuse "
              "bye\n",
     .quiet =
         "use hello mail\nS RCPT TO:<b@gw.example>\nG 554 5.7.1 <b@gw.example>: Recipient address rejected: Access "
         "denied\nuse bye\n",
     .reply = {in(Phase::rcpt), 550, 559, "4.1"}},
    {.code = "rcpt-verification-deferred",
     .title = "The gateway could not verify the recipient",
     .phase = Phase::rcpt,
     .party = Party::gateway,
     .expected = "250 or 251",
     .why = "The gateway asks the mail server behind it whether the recipient exists, and that did not answer, or not "
            "yet.",
     .advice = "Look whether the server behind the gateway is up and takes connections from it; then in the gateway's "
               "log for the check (Postfix: verify; Exim: callout). All recipients on that server are held up.",
     .references = {"RFC 5321 4.2.3"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!450 4.1.1 <b@gw.example>: Recipient address rejected: "
              "unverified address: connect to mailstore[192.0.2.9]:25: Connection timed out\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {in(Phase::rcpt), 400, 499, "",
               "unverified address|verify callout|address verification|verification in progress|recipient verify|"
               "recipient callout|verify recipient"}},
    {.code = "rcpt-unknown-user",
     .title = "The gateway does not know the recipient",
     .phase = Phase::rcpt,
     .party = Party::sender,
     .expected = "250 or 251",
     .why = "There is no mailbox of this name on the gateway.",
     .advice = "Check the spelling with the sender. If the address should exist, look in the gateway's recipient table "
               "(Cisco: mail_logs says \"Rejected by RAT\" or \"Rejected by LDAPACCEPT\"; Postfix: "
               "local_recipient_maps, relay_recipient_maps, virtual_mailbox_maps, virtual_alias_maps).",
     .references = {"RFC 5321 4.2.3", "RFC 3463 3.2"},
     .fires = "use hello mail\nS RCPT TO:<nobody@gw.example>\nG!550 5.1.1 <nobody@gw.example>: Recipient address "
              "rejected: User unknown\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply =
         {in(Phase::rcpt), 550, 559, "1.0 1.1 1.10",
          "user unknown|unknown user|no such user|no such recipient|does not exist|may not exist|unknown recipient|"
          "recipient unknown|recipient not found|user not found|no mailbox|address rejected.|address unknown|"
          "unrouteable address|unroutable|mailbox unavailable|no such mailbox|invalid recipient|unknown local|not "
          "a valid mailbox|undeliverable address|no such address|mailbox not found|not listed in"}},
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
    {.code = "rcpt-bounce-refused",
     .title = "The gateway takes no bounce for the recipient",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "The envelope sender is <>: this is a delivery report or automatic reply. The gateway takes one only for "
            "mail that it sent itself (it looks for its tag in the address), or the recipient sends no mail at all.",
     .advice = "If the recipient did send the mail that this answers, look whether that left through this gateway: "
               "mail sent by another way carries no tag (Cisco: bounce verification; exempt that way or tag it too). "
               "Else it is backscatter to a forged sender, and nothing is wrong.",
     .references = {"RFC 5321 4.5.5", "RFC 5321 6.1"},
     .fires = "use hello\nS MAIL FROM:<>\nG 250 ok\nS RCPT TO:<b@gw.example>\nG!550 5.7.1 Not allowed\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<>\nG 250 ok\nS RCPT TO:<b@gw.example>\nG 550 5.1.1 User unknown\nuse bye\n",
     .reply = {in(Phase::rcpt), 500, 599, "", "", true}},
    {.code = "rcpt-refused",
     .title = "The gateway refused the recipient",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "The gateway's rules do not allow this recipient from this sender, or do not allow this sender at all.",
     .advice = "Look in the gateway's log and rules for this pair of addresses. Where the reply speaks of the sender's "
               "address, client or HELO, look in the rules for that: Postfix refuses at RCPT for those too "
               "(smtpd_delay_reject).",
     .references = {"RFC 5321 3.3"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!550 5.7.1 Not allowed\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {in(Phase::rcpt), 500, 599}},
};

}  // namespace

std::span<const Rule> rules_rcpt() { return kRules; }

}  // namespace smtpscope
