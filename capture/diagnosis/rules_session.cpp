// Refusals that can come in any phase after the greeting: 421 and what it says, errors counted, commands out of order.
#include "capture/diagnosis/session_end.h"
#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

constexpr uint32_t kLater = kAnyPhase & ~in(Phase::banner) & ~in(Phase::connect);

/// The gateway gave up waiting and closed the connection without a 421.
std::optional<Match> closed_on_silence(const View& v) {
  if (!ordinary_end(v) || !v.closed_by(From::gateway) || v.gateway_owes() || !v.at_least(v.silence_us(), kSlow))
    return std::nullopt;
  Match m = match_event(v, v.first_close);
  m.phase = missing_phase(v);
  m.got = "silence for " + v.seconds(v.silence_us());
  m.why = "The sender sent nothing for " + v.seconds(v.silence_us()) + v.looks_like_limit(v.silence_us()) +
          " of the gateway, which then closed the connection without a 421.";
  return m;
}

/// A 500 for a line over the limit. RFC 5321 4.2.2: it "may include errors such as command line too long"; Exim's says
/// "unrecognized command", once for each buffer of it.
bool over_limit_not_read(const View& v, int32_t refusal) {
  const Event* asked = v.at(v.at(refusal)->answers);
  return v.at(refusal)->code == 500 && asked != nullptr && asked->kind == Event::Kind::command &&
         asked->bytes > allowed_bytes(*asked);
}

constexpr Rule kRules[] = {
    {.code = "too-many-errors",
     .title = "The gateway ended the session after too many errors",
     .phase = Phase::idle,
     .party = Party::policy,
     .expected = "commands without errors",
     .why = "The sender made more errors (unknown commands, refused recipients) than the gateway allows in a session.",
     .advice = "Look at the refusals before this line: they are what has to be mended, and most are of one kind. Only "
               "if they are harmless raise the limit (Postfix: smtpd_hard_error_limit; Cisco: listener, bad SMTP "
               "commands).",
     .references = {"RFC 5321 4.2.3"},
     .fires = "use hello mail\nS RCPT TO:<x@gw.example>\nG!421 4.7.0 gw.example Error: too many errors\nG fin\nS fin\n",
     .quiet = "use hello mail\nS RCPT TO:<x@gw.example>\nG 421 4.3.0 try again later\nG fin\nS fin\n",
     .reply = {kLater, 400, 599, "",
               "too many errors|bad smtp command limit|too many syntax|too many unrecognized|"
               "too many protocol errors|too many bad commands|too many invalid commands"}},
    {.code = "session-time-limit",
     .title = "The session lasted longer than the gateway allows",
     .phase = Phase::idle,
     .party = Party::policy,
     .expected = "the end of the session within the gateway's limit",
     .why = "The gateway allows a connection only so much time in all.",
     .advice = "Look above what took the time: many messages in one session are harmless, and the sender goes on in a "
               "new one; a slow transfer or slow replies are not. Raise the limit if need be (Cisco: listener, total "
               "time limit for all inbound connections).",
     .references = {"RFC 5321 3.8"},
     .fires = "use hello mail\nS RCPT TO:<x@gw.example>\nG!421 Exceeded allowable connection time, disconnecting.\nG "
              "fin\nS fin\n",
     .quiet = "use hello mail\nS RCPT TO:<x@gw.example>\nG 421 4.3.0 try again later\nG fin\nS fin\n",
     .reply = {kLater, 400, 499, "", "allowable connection time|session time limit|connection time limit"}},
    {.code = "too-many-messages",
     .title = "The sender sent more messages in one connection than the gateway allows",
     .phase = Phase::mail,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway limits the number of messages in one connection.",
     .advice = "Ask the sender to open a new connection for the rest, or raise the limit for it on the gateway.",
     .references = {"RFC 5321 4.2.3"},
     .fires =
         "use hello\nS MAIL FROM:<a@sender.example>\nG!421 4.4.2 Too many messages for this session\nG fin\nS fin\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 421 4.3.0 try again later\nG fin\nS fin\n",
     .reply = {kLater, 400, 599, "", "too many messages for this|too many messages in this|too many messages this"}},
    {.code = "shutting-down",
     .title = "The gateway is shutting down",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "a reply to the command",
     .why = "The gateway ended the session because its service stops or restarts. The sender will try again.",
     .advice =
         "Look in the gateway's log for the restart. If it comes often, find out why; if it lasts, its mail service "
         "was suspended (Cisco: resume; Exchange: Get-ServerComponentState).",
     .references = {"RFC 5321 3.8"},
     .fires = "G 220 gw.example ESMTP\nS EHLO a.example\nG!421 4.3.2 Service shutting down and closing transmission "
              "channel\nG fin\nS fin\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example>\nG 421 4.3.0 try again later\nG fin\nS fin\n",
     .reply = {kLater, 421, 421, "",
               "shutting down|shutdown|service not available|service not active|not accepting network messages|closing "
               "transmission|closing transaction"}},
    {.code = "sender-idle",
     .title = "The sender fell silent and the gateway ended the session",
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "the sender's next command",
     .why = "The gateway waited for the sender, which sent nothing, and then gave up.",
     .advice =
         "Ask the sender what its software did at this time. If it did send, packets are lost on the way: check MTU, "
         "and firewalls that forget idle connections.",
     .references = {"RFC 5321 4.5.3.2.7"},
     .fires = "use hello\n+300\nG!421 4.4.2 gw.example Error: timeout exceeded\nG fin\nS fin\n",
     .quiet = "use hello\n+1\nG 421 4.3.2 shutting down\nG fin\nS fin\n",
     .reply = {kLater & ~in(Phase::end_of_data), 421, 421, "4.2",
               "timeout|timed out|time-out|idle too long|idle for too"},
     .check = closed_on_silence},
    {.code = "helo-missing",
     .title = "The sender did not introduce itself",
     .phase = Phase::mail,
     .party = Party::sender,
     .expected = "EHLO before MAIL",
     .why = "The sender sent MAIL without EHLO or HELO, and the gateway insists on them.",
     .advice = "Ask the sender to send EHLO first.",
     .references = {"RFC 5321 4.1.4"},
     .fires =
         "G 220 gw.example ESMTP\nS MAIL FROM:<a@sender.example>\nG!503 5.5.1 Error: send HELO/EHLO first\nuse bye\n",
     .quiet = "use hello\nS RCPT TO:<x@gw.example>\nG 503 5.5.1 Error: need MAIL command\nuse bye\n",
     .reply =
         {in(Phase::mail) | in(Phase::rcpt), 500, 503, "",
          "helo first|ehlo first|hello first|helo/ehlo|ehlo/helo|helo or ehlo|say hello|need helo|polite people|helo "
          "required|ehlo required|introduce yourself"}},
    {.code = "mail-nested",
     .title = "The sender began a message inside another",
     .phase = Phase::mail,
     .party = Party::sender,
     .expected = "RCPT, or RSET before a new MAIL",
     .why = "MAIL came while a message was already begun.",
     .advice = "Ask the sender to send RSET before it begins anew.",
     .references = {"RFC 5321 4.1.4"},
     .fires = "G 220 gw.example ESMTP\nS EHLO a.example\nG 250 gw.example\nS MAIL FROM:<a@b.example>\nG!503 5.5.1 "
              "Error: nested "
              "MAIL command\nuse bye\n",
     .quiet = "use hello\nS RCPT TO:<x@gw.example>\nG 503 5.5.1 Error: need MAIL command\nuse bye\n",
     .reply = {in(Phase::mail), 500, 503, "",
               "nested mail|sender already|already specified|already given|mail transaction in progress"}},
    {.code = "no-valid-recipients",
     .title = "The sender went on to DATA without an accepted recipient",
     .phase = Phase::data,
     .party = Party::sender,
     .expected = "an accepted RCPT before DATA",
     .why = "No recipient of this message was accepted, so there is nobody to send it to.",
     .advice =
         "Look at the replies to RCPT before this line: they are the cause. If there was none, the sender's software "
         "is at fault.",
     .references = {"RFC 5321 4.1.4", "RFC 5321 3.3"},
     .fires = "use hello mail\nS DATA\nG!503 5.5.1 Error: need RCPT command\nuse bye\n",
     .quiet = "use hello mail rcpt\nS DATA\nG 451 4.3.0 try again later\nuse bye\n",
     .reply =
         {in(Phase::data) | in(Phase::body) | in(Phase::end_of_data), 500, 599, "",
          "need rcpt|rcpt first|rcpt required|no valid recipients|no recipient|recipient first|valid rcpt|use rcpt"}},
    {.code = "commands-out-of-order",
     .title = "The sender's commands came out of order",
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "EHLO, MAIL, RCPT, DATA in this order",
     .why = "The gateway says that this command is not allowed at this place.",
     .advice =
         "Compare the order of the commands above with a session that worked, and ask the sender to mend its client.",
     .references = {"RFC 5321 4.1.4"},
     .fires = "use hello\nS RCPT TO:<x@gw.example>\nG!503 5.5.1 Error: need MAIL command\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<x@gw.example>\nG 550 5.1.1 no such user\nuse bye\n",
     .reply = {in(Phase::mail) | in(Phase::rcpt) | in(Phase::data) | in(Phase::idle) | in(Phase::helo), 503, 503}},
    {.code = "line-too-long",
     .title = "A command line of the sender was too long",
     .phase = Phase::idle,
     .party = Party::sender,
     .expected = "a line of at most 512 bytes",
     .why = "The gateway takes no command line of this length.",
     .advice =
         "Ask the sender what it sends here. Message text in the place of a command means that the two sides disagree "
         "about where the message ended.",
     .references = {"RFC 5321 4.5.3.1.4"},
     .fires = "use hello\nS MAIL FROM:<a@b.example> X=1\nG!500 5.5.2 Error: command too long\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@b.example> X=1\nG 555 5.5.4 Unsupported option\nuse bye\n",
     .reply = {kLater & ~in(Phase::body) & ~in(Phase::end_of_data), 500, 501, "", "line too long|command too long"},
     .also = over_limit_not_read},
};

}  // namespace

std::span<const Rule> rules_session() { return kRules; }

}  // namespace smtpscope
