// What the gateway refuses of MAIL. (Reasons that may come at any phase: rules_policy, rules_host, rules_domain, ...)
#include "capture/diagnosis/reply_match.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

// Gateways that put refusals off say what they hold against MAIL only at RCPT.
constexpr uint32_t kSender = in(Phase::mail) | in(Phase::rcpt) | in(Phase::data);

// Exim: "<a@b> FOO=1: malformed address: FOO=1 may not follow <a@b>".
constexpr std::string_view kParameter =
    "unsupported option|unrecognized parameter|unsupported parameter|unknown parameter|parameters not|parameter not|"
    "may not follow|invalid arguments";

/// A refusal of the sender <> as such that came only at RCPT or DATA.
bool bounces_refused_late(const View& view, int32_t refusal) {
  const Event& reply = *view.at(refusal);
  const Message* message = reply.answers < 0 ? nullptr : view.message_at(reply.answers);
  return reply.code >= 500 && message != nullptr && message->mail_from == "" &&
         judged_words(reply.text).find("sender address rejected") != std::string::npos;
}

constexpr std::string_view kDeniedSender =
    "sender address rejected|sender rejected|sender denied|sender is blocked|sender blocked|blocked sender|"
    "envelope sender domain rejected|sender is denied|sender not accepted|badmailfrom";

constexpr Rule kRules[] = {
    {.code = "smtputf8-undeclared",
     .title = "The sender uses an address with other than ASCII letters and does not say so",
     .phase = Phase::mail,
     .party = Party::sender,
     .expected = "MAIL FROM:<...> SMTPUTF8",
     .why = "The gateway can take such addresses, but the sender's MAIL command lacks SMTPUTF8.",
     .advice = "Ask the sender to update its software or to use an address in ASCII. If the letters come from a form "
               "or list, the address itself may be damaged.",
     .references = {"RFC 6531 3.4"},
     .fires = "use hello\nS MAIL FROM:<\xc3\xa4@sender.example>\nG!553 5.6.7 Must declare SMTPUTF8 to send unicode "
              "address\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example> SMTPUTF8\nG 555 5.5.4 Unsupported option: SMTPUTF8\nuse bye\n",
     .reply = {kSender, 500, 599, "", "declare smtputf8|without smtputf8|smtputf8 required|smtputf8 is required"}},
    {.code = "smtputf8-unsupported",
     .title = "The gateway takes no addresses with other than ASCII letters",
     .phase = Phase::mail,
     .party = Party::gateway,
     .expected = "250",
     .why = "The message needs SMTPUTF8 (an address or header with other than ASCII letters), and the gateway, or a "
            "server behind it, does not know that.",
     .advice = "Look for SMTPUTF8 in the EHLO reply above: without it the sender should not have tried. Use an ASCII "
               "form of the address, or turn the extension on in the whole chain (Postfix: smtputf8_enable).",
     .references = {"RFC 6531 3.5"},
     .fires = "use hello\nS MAIL FROM:<a@b.example> SMTPUTF8\nG!555 5.5.4 Unsupported option: SMTPUTF8\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example> FOO=1\nG 555 5.5.4 Unsupported option: FOO=1\nuse bye\n",
     .reply = {kSender | kContent, 500, 599, "6.7 6.9",
               "smtputf8|internationalized|internationalised|non-ascii address|utf-8 address|utf8 address"}},
    {.code = "mail-unqualified",
     .title = "The envelope sender has no domain",
     .phase = Phase::mail,
     .party = Party::sender,
     .expected = "MAIL FROM:<local@domain>",
     .why = "The sender gave a bare name (\"root\", \"scanner\"), or a domain without a dot, as its address.",
     .advice = "Ask the sender to set its mail domain: it is a script, device or server whose own domain was never set "
               "(Postfix: myorigin).",
     .references = {"RFC 5321 2.3.5", "RFC 3463 3.2"},
     .fires = "use hello\nS MAIL FROM:<root>\nG!501 <root>: sender address must contain a domain\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:a b\nG 501 5.1.7 Bad sender address syntax\nuse bye\n",
     .reply =
         {kSender, 400, 599, "",
          "sender address must contain a domain|sender address rejected: need fully-qualified|domain name required "
          "for sender|sender domain missing|sender domain required"}},
    {.code = "mail-syntax",
     .title = "The gateway cannot read the envelope sender",
     .phase = Phase::mail,
     .party = Party::sender,
     .expected = "MAIL FROM:<local@domain>",
     .why = "The address in MAIL FROM is malformed.",
     .advice = "Ask the sender to mend the envelope address; compare it with the line above this reply (a blank behind "
               "the colon, missing < and >, a name in place of the address).",
     .references = {"RFC 5321 4.1.2", "RFC 3463 3.2"},
     .fires = "use hello\nS MAIL FROM:a b\nG!501 5.1.7 Bad sender address syntax\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example> FOO=1\nG 555 5.5.4 Unsupported option: FOO=1\nuse bye\n",
     // 501 is the code for arguments that cannot be read (RFC 5321 4.2.2), whatever the words.
     .reply = {.phases = in(Phase::mail),
               .from = 500,
               .to = 555,
               .enhanced = "1.7 5.2",
               .texts = "501 |syntax|syntactically|malformed|must contain a domain|domain missing|fully-qualified|bad "
                        "sender address|invalid sender address|not a valid rfc",
               .unless = kParameter}},
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
     .reply = {in(Phase::mail), 500, 555, "5.4", kParameter}},
    {.code = "bounces-refused",
     .title = "The gateway takes no bounces",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250: every server has to take mail from <>",
     .why = "MAIL FROM:<> carries delivery reports, automatic replies and address checks of other gateways; this "
            "gateway refuses it as such.",
     .advice = "Take the rule against empty senders out of the gateway. With it in place its own users never learn "
               "that their mail was not delivered, and servers that verify senders refuse its mail.",
     .references = {"RFC 5321 4.5.5", "RFC 5321 6.1"},
     .fires = "use hello\nS MAIL FROM:<>\nG!550 5.7.1 null sender not accepted\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example>\nG 550 5.7.1 Sender refused\nuse bye\n",
     .reply = {in(Phase::mail), 500, 599, "", "", true},
     .also = bounces_refused_late},
    {.code = "sender-denied",
     .title = "The gateway's list refuses the envelope sender",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why = "A rule of the gateway's names this sender's address or domain.",
     .advice = "Look for the address and its domain in the gateway's lists of senders (Cisco: exception table, sender "
               "group policy; Postfix: check_sender_access; Sendmail: access map; qmail: badmailfrom), and take it out "
               "if the sender is wanted.",
     .references = {"RFC 5321 3.3", "RFC 3463 3.8"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!554 5.7.1 <a@sender.example>: Sender address rejected: "
              "Access denied\nuse bye\n",
     .quiet =
         "use hello mail\nS RCPT TO:<b@gw.example>\nG 554 5.7.1 <b@gw.example>: Recipient address rejected: Access "
         "denied\nuse bye\n",
     .reply = {kSender, 500, 599, "", kDeniedSender}},
    {.code = "sender-deferred",
     .title = "The gateway's rules put the envelope sender off",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why = "A rule of the gateway's names this sender's address or domain and asks it to come again later. Gateways "
            "that put refusals off say so only at RCPT; it is not about the recipient all the same.",
     .advice =
         "Look for the address and its domain in the gateway's lists and policies of senders (Postfix: "
         "check_sender_access with defer or 450, a policy service; Exim: defer in acl_smtp_mail or acl_smtp_rcpt). "
         "If no rule names it, look in the gateway's log for a look-up of the sender's domain that failed just "
         "then. The sender tries again by itself.",
     .references = {"RFC 5321 4.2.1", "RFC 5321 4.5.4.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!450 4.7.1 <a@sender.example>: Sender address rejected: try "
              "later please\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.7.1 <b@gw.example>: Recipient address rejected: try "
              "later please\nuse bye\n",
     .reply = {kSender, 400, 499, "", kDeniedSender}},
    {.code = "mail-temporary",
     .title = "The gateway puts the envelope sender off",
     .phase = Phase::mail,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway does not take this sender for now; the sender will try again.",
     .advice = "The reply does not say why; look in the gateway's log for this envelope sender. The usual causes: its "
               "domain's DNS did not answer, a limit on how much it may send, or too little space in the queue.",
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
     .advice = "Look in the gateway's access rules and block lists for the address, its domain and the sender's host "
               "(Cisco: exception table; the line with this MID in mail_logs says why).",
     .references = {"RFC 5321 3.3"},
     .fires = "use hello\nS MAIL FROM:<a@b.example>\nG!550 5.7.1 Sender refused\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example>\nG 451 4.3.0 try again later\nuse bye\n",
     .reply = {in(Phase::mail), 500, 599}},
};

}  // namespace

std::span<const Rule> rules_mail() { return kRules; }

}  // namespace smtpscope
