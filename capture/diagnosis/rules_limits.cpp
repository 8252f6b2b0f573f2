// More than the gateway takes: of one account, of one sender in a time, for one recipient, in one message.
#include "capture/diagnosis/tables.h"

namespace smtpscope {
namespace {

constexpr Rule kRules[] = {
    {.code = "account-sending-limit",
     .title = "The sender's account has used up what it may send",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why = "The mail provider allows an account or domain only so many messages or recipients in an hour or a day.",
     .advice = "Nothing helps but to wait for the next day or hour, or a larger plan; bulk mail belongs to a service "
               "made for it. If the owner did not send that much, the account's password was stolen: change it.",
     .references = {"RFC 3463 3.8"},
     .fires = "use hello mail rcpt data body\nG!550 5.4.5 Daily user sending limit exceeded.\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 421 4.7.28 unusual rate of unsolicited mail\nG fin\nS fin\n",
     .reply = {kCommands, 400, 599, "1.90",
               "user sending limit|daily sending|sending quota|daily limit for message recipients|submission quota|max "
               "emails per hour|max defers and failures|hourly sending limit|daily message limit|sender thread limit"}},
    {.code = "recipients-per-hour",
     .title = "The sender had more recipients in this hour than the gateway takes",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "The gateway counts recipients for each sending host and hour, over all its sessions; this host is over "
            "the limit.",
     .advice =
         "The sender's queue goes on by itself in the next hour. If its volume is wanted, raise the limit for its "
         "sender group (Cisco: mail flow policy, Max. Recipients Per Hour; Postfix: "
         "smtpd_client_recipient_rate_limit).",
     .references = {"RFC 3463 3.8", "RFC 5321 4.5.4.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!452 Too many recipients received this hour\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 452 4.5.3 Error: too many recipients\nuse bye\n",
     .reply = {kCommands, 400, 599, "",
               "recipients received this hour|recipients this hour|recipients per hour|too many recipients from|"
               "recipients in the last|recipient rate"}},
    {.code = "rcpt-receives-too-fast",
     .title = "Too much mail comes in for the recipient",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250 or 251",
     .why = "Not this sender, but all senders together send more to this mailbox than it may get in a time.",
     .advice = "Look what floods the mailbox: alerts, a loop of automatic replies, or an attack that hides one mail "
               "under thousands. The sender's queue tries again.",
     .references = {"RFC 3463 3.3", "RFC 5321 4.5.4.1"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!450 4.2.1 The user you are trying to contact is receiving "
              "mail too quickly.\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {kCommands, 400, 599, "2.121-122",
               "receiving mail too quickly|receiving mail at a rate|receiving email too quickly|receiving email at a "
               "rate|number of messages they can receive"}},
    {.code = "rate-limited",
     .title = "The sender sends more than the gateway takes in this time",
     .phase = Phase::rcpt,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway limits how much one sender may send in a given time, and this sender is over it.",
     .advice = "The sender can go on later and slower. If its volume is legitimate, raise the limit for it (Postfix: "
               "smtpd_client_message_rate_limit; Exim: ratelimit). Large providers lower the limit of an address with "
               "a bad reputation: look for spam that it sends, and look it up in their postmaster tools.",
     .references = {"RFC 3463 3.8", "RFC 5321 4.5.4.1"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!450 4.7.1 Error: too much mail from 192.0.2.1\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 452 4.5.3 Error: too many recipients\nuse bye\n",
     .reply =
         {.phases = kCommands,
          .from = 400,
          .to = 599,
          .enhanced = "7.28",
          .texts =
              "this hour|rate limit|ratelimit|rate-limit|too much mail|rate exceeded|sending too fast|too fast|unusual "
              "rate|throttl|quota of messages|sending limit|temporarily deferred due to|messages per hour|too many "
              "messages from|too many messages per",
          .unless = "too much mail data"}},
    {.code = "header-too-large",
     .title = "The header of the message is larger than the gateway takes",
     .phase = Phase::end_of_data,
     .party = Party::sender,
     .expected = "250",
     .why = "The lines above the text (To:, Received:, and those that filters add) are over a limit of their own.",
     .advice = "Look for hundreds of addresses in To: or Cc:, a chain of Received: lines, or a filter that adds a line "
               "at each hop. Raise the limit if the mail is wanted (Exim: header_maxsize; Sendmail: MaxHeadersLength).",
     .references = {"RFC 3463 3.4", "RFC 5321 6.3"},
     .fires = "use hello mail rcpt data body\nG!552 #5.3.4 message header size exceeds limit\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 552 #5.3.4 message size exceeds limit\nuse bye\n",
     .reply = {kContent, 400, 599, "",
               "header size|header is ridiculously|header too large|headers too large|header too long|headers too long|"
               "header exceeds|headers exceed|header length|too many headers"}},
    {.code = "size-declared-too-large",
     .title = "The sender announced a message larger than the gateway takes",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why =
         "The SIZE= of the sender's MAIL command is over the gateway's limit, so that the message was not even sent.",
     .advice = "Compare SIZE= in the MAIL line with the SIZE that the gateway names in its EHLO reply; encoding makes "
               "an attachment a third larger than its file. Raise the limit on the gateway (Cisco: mail flow policy, "
               "Max. Message Size; Postfix: message_size_limit), or ask for a smaller message.",
     .references = {"RFC 1870 6", "RFC 3463 3.4"},
     .fires =
         "use hello\nS MAIL FROM:<a@sender.example> SIZE=99999999\nG!552 #5.3.4 message size exceeds limit\nuse bye\n",
     .quiet =
         "use hello\nS MAIL FROM:<a@sender.example> SIZE=99999999\nG 452 4.3.1 Insufficient system storage\nuse bye\n",
     .reply = {in(Phase::mail), 500, 599, "3.4 2.3",
               "message size|size exceeds|too large|too big|size limit|exceeds maximum|exceeds the maximum|exceeded "
               "storage allocation"}},
    {.code = "size-exceeded",
     .title = "The message is larger than the gateway takes",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why = "The message, as it came, is over the gateway's limit or the recipient's.",
     .advice =
         "Compare its size above with the SIZE in the gateway's EHLO reply. Raise the limit on the gateway, or ask "
         "the sender for a smaller message. If the gateway names no SIZE, or the sender did not declare its "
         "own, all of it travels before it is refused.",
     .references = {"RFC 1870 6", "RFC 3463 3.4"},
     .fires = "use hello mail rcpt data body\nG!552 5.3.4 Message size exceeds fixed limit\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 452 4.3.1 Insufficient system storage\nuse bye\n",
     .reply =
         {kCommands & ~in(Phase::mail), 500, 599, "3.4 2.3",
          "message size|size exceeds|message too large|is too large|too big|size limit|exceeds maximum|exceeds the "
          "maximum|exceeded storage allocation for a message|too much mail data"}},
};

}  // namespace

std::span<const Rule> rules_limits() { return kRules; }

}  // namespace smtpscope
