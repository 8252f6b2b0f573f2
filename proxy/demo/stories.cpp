#include "proxy/demo/stories.h"

namespace smtpscope {
namespace {

constexpr Story kStories[] = {
    {.title = "A message is sent and accepted.", .verdict = "delivered", .code = "", .lesson = "", .script = R"(
G 220 gw.example ESMTP
S EHLO mx1.sender.example
G 250-gw.example
G 250-PIPELINING
G 250-SIZE 20971520
G 250 8BITMIME
S MAIL FROM:<anna@sender.example> SIZE=310
G 250 2.1.0 Ok
S RCPT TO:<bob@gw.example>
G 250 2.1.5 Ok
S DATA
G 354 End data with <CR><LF>.<CR><LF>
S From: Anna <anna@sender.example>
S To: Bob <bob@gw.example>
S Subject: Minutes of the meeting
S 
S body 200
S 
S .
+0.2
G 250 2.0.0 Ok: queued as 4F1A2B3C4D
S QUIT
G 221 2.0.0 Bye
G fin
S fin
)"},
    {.title = "The sender writes to a mailbox that the gateway does not know.",
     .verdict = "breakdown",
     .code = "rcpt-unknown-user",
     .lesson = "A partner says that a mail of theirs came back. The gateway's own words say why.",
     .script = R"(
G 220 gw.example ESMTP
S EHLO mail.partner.example
G 250-gw.example
G 250-PIPELINING
G 250-SIZE 20971520
G 250 8BITMIME
S MAIL FROM:<orders@partner.example> SIZE=5000
G 250 2.1.0 Ok
S RCPT TO:<bbo@gw.example>
+0.2
G 550 5.1.1 <bbo@gw.example>: Recipient address rejected: User unknown in relay recipient table
S QUIT
G 221 2.0.0 Bye
G fin
S fin
)"},
    {.title = "The gateway does not greet (a DNS lookup hangs), and the sender gives up after 5 s.",
     .verdict = "breakdown",
     .code = "banner-sender-gave-up",
     .lesson = "A sender reports \"connection timed out\". Nobody refused anything: nobody said anything.",
     .script = R"(
+5
S fin
+0.3
G fin
)"},
    {.title = "The sender talks before it was greeted.",
     .verdict = "breakdown",
     .code = "early-talker",
     .lesson = "",
     .script = R"(
+0.1
S EHLO bulk.spam.example
S MAIL FROM:<offer@spam.example>
+0.3
G 554 5.5.0 gw.example SMTP synchronization error
G fin
S fin
)"},
    {.title = "The gateway greylists a sender that it sees for the first time.",
     .verdict = "breakdown",
     .code = "greylisted",
     .lesson = "",
     .script = R"(
G 220 gw.example ESMTP
S EHLO mx.newcomer.example
G 250-gw.example
G 250-PIPELINING
G 250-SIZE 20971520
G 250 8BITMIME
S MAIL FROM:<carol@newcomer.example>
G 250 2.1.0 Ok
S RCPT TO:<bob@gw.example>
G 450 4.2.0 <bob@gw.example>: Recipient address rejected: Greylisted, try again in 300 s
S QUIT
G 221 2.0.0 Bye
G fin
S fin
)"},
    {.title = "The sender asks for TLS and leaves in the middle of the handshake.",
     .verdict = "breakdown",
     .code = "tls-handshake-cut",
     .lesson = "",
     .script = R"(
G 220 gw.example ESMTP
S EHLO mx.careful.example
G 250-gw.example
G 250-STARTTLS
G 250 8BITMIME
S STARTTLS
G 220 2.0.0 Ready to start TLS
S~\x16\x03\x01\x00e\x01\x00\x00a\x03\x03the client picks 32 random bytes\x00\x00\x08\x13\x01\x13\x02
S~\xc0/\xc00\x01\x00\x000\x00\x00\x00\x0f\x00\x0d\x00\x00\x0agw.example\x00\x0a\x00\x06\x00\x04\x00
S~\x1d\x00\x17\x00\x0d\x00\x06\x00\x04\x04\x03\x08\x04\x00+\x00\x05\x04\x03\x04\x03\x03
G~\x16\x03\x03\x001\x02\x00\x00-\x03\x03the server picks 32 random bytes\x00\xc0/\x00\x00\x05\xff\x01
G~\x00\x01\x00
+0.4
S fin
G fin
)"},
    {.title = "The message stops in its middle, and the gateway waits for 6 s before it gives up.",
     .verdict = "breakdown",
     .code = "body-stalled",
     .lesson = "Small mails pass, this large one does not: after ten full packets nothing more comes.",
     .script = R"(
G 220 gw.example ESMTP
S EHLO relay.distant.example
G 250-gw.example
G 250-PIPELINING
G 250-SIZE 20971520
G 250 8BITMIME
S MAIL FROM:<scans@distant.example> SIZE=52000
G 250 2.1.0 Ok
S RCPT TO:<bob@gw.example>
G 250 2.1.5 Ok
S DATA
G 354 End data with <CR><LF>.<CR><LF>
S Subject: Scan of the contract
S 
S body 14447
+6
G 421 4.4.2 gw.example Error: timeout exceeded
G fin
S fin
)"},
    {.title = "The gateway resets the connection instead of answering RCPT.",
     .verdict = "breakdown",
     .code = "gateway-reset",
     .lesson = "",
     .script = R"(
G 220 gw.example ESMTP
S EHLO mx2.sender.example
G 250-gw.example
G 250-PIPELINING
G 250-SIZE 20971520
G 250 8BITMIME
S MAIL FROM:<anna@sender.example>
G 250 2.1.0 Ok
S RCPT TO:<bob@gw.example>
+0.4
G rst
)"},
    {.title = "The sender leaves 2 s after its message, just before the gateway accepts it.",
     .verdict = "breakdown",
     .code = "left-before-final-reply",
     .lesson = "",
     .script = R"(
G 220 gw.example ESMTP
S EHLO mx.hasty.example
G 250-gw.example
G 250-PIPELINING
G 250-SIZE 20971520
G 250 8BITMIME
S MAIL FROM:<dave@hasty.example>
G 250 2.1.0 Ok
S RCPT TO:<bob@gw.example>
G 250 2.1.5 Ok
S DATA
G 354 End data with <CR><LF>.<CR><LF>
S From: Dave <dave@hasty.example>
S Subject: This one arrives twice
S 
S body 400
S 
S .
+2
S fin
+0.3
G 250 2.0.0 Ok: queued as 5A6B7C8D9E
G fin
)"},
};

}  // namespace

std::span<const Story> stories() { return kStories; }

}  // namespace smtpscope
