// DATA, BDAT, the body and the reply to its end.
#include "capture/diagnosis/body_stall.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr std::string_view kQuiet = "use hello mail rcpt data body accepted bye\n";

std::optional<Match> body_closed(const View& v, From from, bool fin) {
  if (!in_body(v) || !v.closed_by(from) || (v.close()->how == CloseHow::fin) != fin || stall_of(v) != Stall::none)
    return std::nullopt;
  const Event* last = v.last_reply();
  if (last != nullptr && last->phase == Phase::body && last->code >= 400) return std::nullopt;
  Match m = match_event(v, v.first_close);
  m.why = progress(v) + " when the " + std::string(name(from)) + (fin ? " closed" : " broke off") +
          " the connection, " + v.seconds(v.silence_us()) + " after the last of them.";
  return m;
}

bool final_reply_owed(const View& v) {
  if (!v.broken()) return false;
  const Event* waiting = v.waiting();
  if (waiting == nullptr) return false;
  if (waiting->kind == Event::Kind::reply) return waiting->phase == Phase::end_of_data;
  if (waiting->kind == Event::Kind::body) return true;
  return waiting->verb == Verb::bdat && !v.messages.empty() && v.messages.back().ended;
}

/// The sender left while the final reply was owed: before it came, or without its ever coming.
std::optional<Match> left_before_final_reply(const View& v) {
  if (!v.broken() || (v.gave_up < 0 && !v.closed_by(From::sender))) return std::nullopt;
  const Message* unread = nullptr;
  for (const Message& m : v.messages)
    if (v.left_unread(m)) unread = &m;
  if (unread == nullptr && !final_reply_owed(v)) return std::nullopt;
  const int32_t leave = v.gave_up >= 0 ? v.gave_up : v.first_close;
  Match m = match_event(v, leave);
  int64_t since = v.owed_since();
  if (unread != nullptr) {
    const Event* body = v.at(unread->body);
    if (body != nullptr) since = body->end_us;
  }
  const int64_t waited = v.at(leave)->at_us - since;
  m.got += " after " + v.seconds(waited);
  m.why = "The sender left " + v.seconds(waited) + " after the end of the message" + v.looks_like_limit(waited) +
          ", without waiting for the reply. ";
  m.why += unread != nullptr ? "The gateway accepted the message afterwards, so the sender will send it again: the "
                               "recipients get it twice."
                             : "The gateway may have accepted the message; if so, the sender's next attempt makes a "
                               "duplicate.";
  if (unread == nullptr && v.at_least(waited, kSlow)) m.party = Party::gateway;
  if (unread != nullptr && v.at(leave)->how != CloseHow::rst) m.confidence = Confidence::likely;
  return m;
}

std::optional<Match> final_reply_closed(const View& v, bool fin) {
  if (!final_reply_owed(v) || !v.closed_by(From::gateway) || (v.close()->how == CloseHow::fin) != fin)
    return std::nullopt;
  Match m = match_event(v, v.first_close);
  m.got += " after " + v.seconds(v.silence_us());
  return m;
}

constexpr Rule kRules[] = {
    {.code = "body-stalled",
     .title = "The sender stopped sending in the middle of the message",
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "the rest of the message and its final dot",
     .why = "The message stopped, and the gateway gave up waiting.",
     .advice =
         "If small messages pass and large ones stop, packets of full size are lost on the way: check the path MTU, "
         "ICMP filters and MSS clamping. Else ask the sender what its software waited for (a virus scanner, a slow "
         "disk).",
     .references = {"RFC 5321 4.5.3.2.5", "RFC 4821"},
     .fires = "use hello mail rcpt data\nS body 14480\n!\n+300\nG 421 4.4.2 gw.example Error: timeout exceeded\nG "
              "fin\nS fin\n",
     .quiet = "use hello mail rcpt data\nS body 14480\n+200\nS~\\r\\n.\\r\\n\nuse accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (stall_of(v) != Stall::other) return std::nullopt;
       Match m = match_stall(v);
       m.why = progress(v) + "; then the sender was silent for " + v.seconds(stalled_for(v)) +
               " and the gateway ended the session.";
       return m;
     }},
    {.code = "body-sender-closed",
     .title = "The sender closed the connection in the middle of the message",
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "the rest of the message and its final dot",
     .why = "The sender ended the connection before the message was whole.",
     .advice = "Ask the sender for its log at this time: a crash, a time-out of its own, or a message that it could "
               "not read to "
               "its end.",
     .references = {"RFC 5321 4.1.1.4", "RFC 5321 4.1.1.10"},
     .fires = "use hello mail rcpt data\nS body 4000\nS!fin\nG fin\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return body_closed(v, From::sender, true); }},
    {.code = "body-sender-reset",
     .title = "The connection to the sender broke in the middle of the message",
     .phase = Phase::body,
     .party = Party::sender,
     .expected = "the rest of the message and its final dot",
     .why = "The sender's side reset the connection before the message was whole.",
     .advice = "Ask the sender for its log at this time. A firewall, NAT or IPS on its side may also have reset the "
               "connection.",
     .references = {"RFC 5321 4.1.1.4", "RFC 9293 3.5.2"},
     .fires = "use hello mail rcpt data\nS body 65536\nS!rst\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return body_closed(v, From::sender, false); }},
    {.code = "body-gateway-closed",
     .title = "The gateway closed the connection in the middle of the message",
     .phase = Phase::body,
     .party = Party::gateway,
     .expected = "room for the whole message, then a reply",
     .why = "The gateway ended the connection while the message was still coming, without a word.",
     .advice = "Look in the gateway's log at this time: a crash of its SMTP service or of a content filter, or a limit "
               "that it "
               "enforces without saying so.",
     .references = {"RFC 5321 3.8"},
     .fires = "use hello mail rcpt data\nS body 9000\nG!fin\nS fin\n",
     .quiet = "use hello mail rcpt data\nS body 9000\nG 552 5.3.4 Message size exceeds limit\nG fin\nS fin\n",
     .check = [](const View& v) { return body_closed(v, From::gateway, true); }},
    {.code = "body-gateway-reset",
     .title = "The connection to the gateway broke in the middle of the message",
     .phase = Phase::body,
     .party = Party::gateway,
     .expected = "room for the whole message, then a reply",
     .why = "The gateway's side reset the connection while the message was still coming.",
     .advice =
         "Look in the gateway's log at this time for a crash; a firewall or IPS in front of it may also have reset the "
         "connection because of what the message holds.",
     .references = {"RFC 5321 3.8", "RFC 9293 3.5.2"},
     .fires = "use hello mail rcpt data\nS body 9000\nG!rst\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return body_closed(v, From::gateway, false); }},
    {.code = "left-before-final-reply",
     .title = "The sender left before the reply to its message",
     .phase = Phase::end_of_data,
     .party = Party::sender,
     .expected = "250 from the gateway; the sender should wait 10 minutes for it",
     .why = "The sender left after the end of its message without waiting for the reply, so nobody knows whether it "
            "was taken: "
            "the next attempt may make a duplicate.",
     .advice =
         "Look in the gateway's log whether it accepted the message, and what made the reply slow (content and virus "
         "scanners, LDAP). The sender can raise its time-out for the final reply.",
     .references = {"RFC 5321 4.5.3.2.6", "RFC 1047"},
     .fires = "use hello mail rcpt data body\n+30\nS!fin\nG fin\n",
     .quiet = "use hello mail rcpt data body\n+30\nuse accepted bye\n",
     .check = left_before_final_reply},
    {.code = "final-reply-closed",
     .title = "The gateway closed the connection instead of answering the message",
     .phase = Phase::end_of_data,
     .party = Party::gateway,
     .expected = "250 with the gateway's queue id",
     .why = "The whole message had come, and the gateway ended the connection without saying whether it took it. The "
            "sender "
            "will send it again; if the gateway did take it, the recipients get it twice.",
     .advice =
         "Look in the gateway's log at this time: a crash of its content filter or SMTP service, or a time-out inside.",
     .references = {"RFC 5321 4.1.1.4", "RFC 1047"},
     .fires = "use hello mail rcpt data body\n+0.5\nG!fin\nS fin\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return final_reply_closed(v, true); }},
    {.code = "final-reply-reset",
     .title = "The connection to the gateway broke before it answered the message",
     .phase = Phase::end_of_data,
     .party = Party::gateway,
     .expected = "250 with the gateway's queue id",
     .why = "The whole message had come, and the connection was reset before the gateway said whether it took it. The "
            "sender "
            "will send it again; if the gateway did take it, the recipients get it twice.",
     .advice =
         "Look in the gateway's log at this time for a crash; a firewall or IPS in front of it may also have reset the "
         "connection.",
     .references = {"RFC 5321 4.1.1.4", "RFC 9293 3.5.2"},
     .fires = "use hello mail rcpt data body\n+0.5\nG!rst\n",
     .quiet = kQuiet,
     .check = [](const View& v) { return final_reply_closed(v, false); }},
    {.code = "bare-line-feed",
     .title = "The gateway refuses the message for its line ends",
     .phase = Phase::end_of_data,
     .party = Party::sender,
     .expected = "lines that end in CR LF",
     .why = "The message holds CR or LF alone. Gateways refuse that, since it can be used to smuggle messages in.",
     .advice =
         "Ask the sender to mend its software: every line ends in CR LF, and nothing else holds these characters.",
     .references = {"RFC 5321 2.3.8", "RFC 5321 4.1.1.4"},
     .fires = "use hello mail rcpt data body\nG!550 5.5.2 message contains bare <LF>\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 550 5.7.1 Message content rejected, spam\nuse bye\n",
     .reply = {kContent, 400, 599, "",
               "bare <lf>|smtplf|bare lf|bare cr|bare newline|bare linefeed|bare line feed|illegal bare|stray "
               "newline|bare \\n"}},
    {.code = "mail-loop",
     .title = "The message has passed through too many servers",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why = "The message carries so many Received: lines that the gateway takes it for going round in circles.",
     .advice =
         "Read the Received: lines of the message: the servers that repeat there send it to each other. Mend their "
         "routing or forwarding.",
     .references = {"RFC 5321 6.3"},
     .fires = "use hello mail rcpt data body\nG!554 5.4.6 Too many hops\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 554 5.7.1 virus found\nuse bye\n",
     .reply = {kContent | in(Phase::rcpt), 400, 599, "4.6 4.14",
               "too many hops|hop count|mail loop|message loop|routing loop|too many received"}},
    {.code = "body-line-too-long",
     .title = "The message has a line that is too long",
     .phase = Phase::end_of_data,
     .party = Party::sender,
     .expected = "lines of at most 998 characters",
     .why = "The gateway takes no lines of this length.",
     .advice = "Ask the sender to encode such messages (quoted-printable or base64).",
     .references = {"RFC 5321 4.5.3.1.6", "RFC 5322 2.1.1"},
     .fires = "use hello mail rcpt data body\nG!550 maximum allowed line length is 998 octets, got 4000\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 554 5.7.1 virus found\nuse bye\n",
     .reply = {kContent, 500, 599, "", "line too long|line length|lines too long"}},
    {.code = "bdat-syntax",
     .title = "The gateway cannot read the sender's BDAT command",
     .phase = Phase::data,
     .party = Party::sender,
     .expected = "BDAT, the size of the chunk in bytes, and LAST for the last one",
     .why =
         "The sender's BDAT is malformed, so that nobody knows how many bytes of message follow it, or names an empty "
         "chunk before the last one, which Postfix and Exim refuse.",
     .advice = "Compare the command with the line above this reply and ask the sender to mend its software, or to turn "
               "off CHUNKING until then.",
     .references = {"RFC 3030 2"},
     .fires = "use hello mail rcpt\nS BDAT ten LAST\nG!521 5.5.4 Syntax: BDAT count [LAST]\nG fin\nS fin\n",
     .quiet = "use hello mail rcpt\nS DATA\nG 554 5.7.1 no\nuse bye\n",
     .reply = {kContent, 500, 559, "",
               "syntax: bdat|null bdat|zero size for bdat|bdat count|bad bdat|missing bdat|malformed bdat|invalid "
               "bdat|bdat syntax|bdat command|bad syntax|invalid argument|invalid parameter",
               false, "", Verb::bdat}},
    {.code = "bdat-not-known",
     .title = "The gateway does not know BDAT",
     .phase = Phase::data,
     .party = Party::sender,
     .expected = "DATA, where the EHLO reply has no CHUNKING",
     .why =
         "The sender sent its message with BDAT, and the gateway refuses that as an unknown command. The lines of the "
         "chunk may then be refused as commands too.",
     .advice =
         "Look for CHUNKING in the EHLO reply above. If it is there, a content filter or proxy behind it does not "
         "know BDAT: have the gateway hide CHUNKING (Postfix: smtpd_discard_ehlo_keywords). If it is not, the "
         "sender has to use DATA.",
     .references = {"RFC 3030 2", "RFC 3030 3"},
     .fires = "G 220 gw.example ESMTP\nS EHLO a.example\nG 250 gw.example\nuse mail rcpt\nS BDAT 14 LAST\nS Subject: "
              "test\nG!500 5.5.1 command not recognized\nG 500 5.5.1 command not recognized\nuse bye\n",
     .quiet = "use hello mail rcpt\nS BDAT 14 LAST\nS Subject: test\nG 554 5.7.1 Message content rejected, spam\nuse "
              "bye\n",
     .reply = {kContent, 500, 502, "", "", false, "", Verb::bdat}},
    {.code = "data-temporary",
     .title = "The gateway put DATA off",
     .phase = Phase::data,
     .party = Party::gateway,
     .expected = "354",
     .why = "The gateway does not take a message for now; the sender will try again.",
     .advice =
         "The envelope was accepted, so look at what the gateway does at DATA: it opens a queue file (disk, inodes) "
         "and calls its filters (a milter, Postfix: smtpd_data_restrictions, a policy service). Its log at this "
         "time names the one that failed.",
     .references = {"RFC 5321 4.2.3"},
     .fires = "use hello mail rcpt\nS DATA\nG!451 4.7.1 Try again later\nuse bye\n",
     .quiet = "use hello mail rcpt\nS DATA\nG 554 5.7.1 no\nuse bye\n",
     .reply = {in(Phase::data), 400, 499}},
    {.code = "data-refused",
     .title = "The gateway refused DATA",
     .phase = Phase::data,
     .party = Party::policy,
     .expected = "354",
     .why = "The gateway accepted the envelope and then refused to take the message.",
     .advice = "Look in the gateway's log for the rule that acts at DATA (Postfix: smtpd_data_restrictions; Exim: "
               "acl_smtp_predata; a milter): it has seen the envelope and no byte of the message, so nothing that the "
               "sender writes into the message helps.",
     .references = {"RFC 5321 4.1.1.4"},
     .fires = "use hello mail rcpt\nS DATA\nG!554 5.7.1 no\nuse bye\n",
     .quiet = "use hello mail rcpt\nS DATA\nG 451 #4.3.0 Server Error\nuse bye\n",
     .reply = {in(Phase::data), 500, 599}},
    {.code = "content-put-off",
     .title = "The gateway did not take the message for now",
     .phase = Phase::end_of_data,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway read the message and then put it off; the sender will try again.",
     .advice =
         "Look in the gateway's log at this time: a content filter that failed, a full disk, a policy that delays.",
     .references = {"RFC 5321 4.2.3", "RFC 5321 4.5.4.1"},
     .fires = "use hello mail rcpt data body\nG!451 4.7.1 Try again later\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 554 5.7.1 virus found\nuse bye\n",
     .reply = {in(Phase::body) | in(Phase::end_of_data), 400, 499}},
    {.code = "content-refused",
     .title = "The gateway refused the message for what it holds",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway read the message and refused it by a rule about its content or its sender; the reply does not "
            "say "
            "which.",
     .advice = "Look in the gateway's log for the filter that refused it (Cisco: the line with this MID in mail_logs: "
               "message "
               "filter, content filter or anti-spam). If it was wrong, the sender can send the message changed, or the "
               "filter has to be told.",
     .references = {"RFC 5321 4.1.1.4", "RFC 3463 3.8"},
     .fires = "use hello mail rcpt data body\nG!550 5.7.1 Message refused by policy\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 451 4.3.0 Error: queue file write error\nuse bye\n",
     .reply = {in(Phase::body) | in(Phase::end_of_data), 500, 599}},
};

}  // namespace

std::span<const Rule> rules_data() { return kRules; }

}  // namespace smtpscope
