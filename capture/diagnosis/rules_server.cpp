// The gateway's own trouble, as it says itself: what to mend is on its side, and the sender can only try again.
#include "capture/diagnosis/tables.h"

namespace smtpscope {
namespace {

constexpr uint32_t kAnywhere = kCommands | in(Phase::banner);

constexpr Rule kRules[] = {
    {.code = "proxy-header-missing",
     .title = "The gateway waits for a PROXY header that does not come",
     .phase = Phase::banner,
     .party = Party::proxy,
     .expected = "220",
     .why = "The gateway's listener is set up to stand behind a load balancer, which begins each connection with a "
            "PROXY header; it got none, or one that it cannot read.",
     .advice = "Set gateway.present to \"proxy-v1\" or \"proxy-v2\" (the one that the gateway reads), or turn the "
               "PROXY protocol off on this listener (Exim: hosts_proxy; Haraka: the hosts of haproxy; Postfix: "
               "smtpd_upstream_proxy_protocol).",
     .references = {"RFC 5321 3.1"},
     .fires = "+30\nG!421 PROXY timed out\nG fin\nS fin\n",
     .quiet = "G 421 4.3.2 All server ports are busy\nG fin\nS fin\n",
     .reply = {kAnyPhase, 400, 599, "",
               "proxy timed out|proxy negotiation failed|proxy protocol|proxy header|invalid proxy|bad proxy"}},
    {.code = "server-misconfigured",
     .title = "The gateway says that its own settings are wrong",
     .phase = Phase::rcpt,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway met a setting or table that it cannot use. All mail that needs it is held up, not only this "
            "sender's.",
     .advice = "Look in the gateway's log at this very second: the line before the reply names the setting (Postfix: a "
               "warning or fatal of smtpd, often a table that was never built with postmap). Undo the last change.",
     .references = {"RFC 3463 3.4"},
     .fires =
         "use hello mail\nS RCPT TO:<b@gw.example>\nG!451 4.3.5 <b@gw.example>: Recipient address rejected: Server "
         "configuration error\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 451 4.3.0 <b@gw.example>: Temporary lookup failure\nuse "
              "bye\n",
     .reply = {kAnywhere, 400, 599, "3.5", "configuration error|configuration problem|misconfigured"}},
    {.code = "lookup-failed",
     .title = "A directory or table that the gateway asks does not answer",
     .phase = Phase::rcpt,
     .party = Party::gateway,
     .expected = "250",
     .why = "To judge this command the gateway asks a directory, a database or a table (LDAP, Active Directory, SQL), "
            "and got no answer.",
     .advice = "Test the query from the gateway (Cisco: ldaptest; Postfix: postmap -q ADDRESS TABLE): is the server "
               "up, the bind password valid, its certificate expired, a firewall in between? All recipients that need "
               "the lookup are held up.",
     .references = {"RFC 5321 4.2.3", "RFC 3463 3.4"},
     .fires = "use hello mail\nS RCPT TO:<b@gw.example>\nG!451 Temporary recipient validation error.\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply = {kCommands, 400, 499, "",
               "temporary lookup failure|recipient validation|ldap|lookup failure|lookup error|user lookup failed|"
               "address lookup failed|directory service|directory server|user database|database error|database is "
               "unavailable|sql error"}},
    {.code = "storage-full",
     .title = "The gateway is short of space",
     .phase = Phase::mail,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway's disk or queue is full, or its memory low, so it takes nothing for now. The sender will try "
            "again.",
     .advice = "Look at the free space of the gateway's queue disk (df -h, df -i) and at the size of its queue; what "
               "fills it is often mail that one target does not take. Exchange calls it back pressure: event 15004 or "
               "15006 names the resource.",
     .references = {"RFC 5321 4.2.3", "RFC 3463 3.4"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!452 4.3.1 Insufficient system storage\nuse bye\n",
     .quiet = "use hello\nS MAIL FROM:<a@sender.example>\nG 450 4.7.1 try again later\nuse bye\n",
     .reply =
         {kCommands, 400, 499, "3.1",
          "insufficient system|insufficient disk|insufficient storage|queue full|queue is full|space shortage|disk "
          "full|disk space|out of space|resources low|resources temporarily|no space|low on space|out of memory"}},
    {.code = "filter-unavailable",
     .title = "A content filter of the gateway does not work",
     .phase = Phase::end_of_data,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway passes mail through a filter (virus scanner, spam filter, milter) that failed or did not "
            "answer; it takes no mail unscanned.",
     .advice =
         "Look whether the filter runs and answers (amavis, clamd, rspamd, a milter), whether its signatures load "
         "and its disk has space. Everything that needs it is held up, not only this sender's mail.",
     .references = {"RFC 5321 4.2.3", "RFC 3463 3.4"},
     .fires = "use hello mail rcpt data body\nG!451 4.7.1 Service unavailable - try again later\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 451 4.7.1 Try again later\nuse bye\n",
     .reply = {kCommands, 400, 499, "",
               "scanner|scanning|unable to scan|clamd|clamav|amavis|milter|content filter|virus_scan|spamd|rspamd|"
               "spamassassin|antivirus|anti-virus|error in processing, id|service unavailable - try again later"}},
    {.code = "server-busy",
     .title = "The gateway is too busy for this command",
     .phase = Phase::mail,
     .party = Party::gateway,
     .expected = "250",
     .why = "The gateway has more to do than it can and puts the sender off. Microsoft 365 says so too when it holds "
            "back an address that it does not trust.",
     .advice = "Look at the gateway's load, its number of SMTP processes and how long its filters take. If only this "
               "sender is told so by Microsoft (4.7.500), look for spam from its address; the sender's queue tries "
               "again.",
     .references = {"RFC 5321 4.2.3", "RFC 3463 3.4"},
     .fires = "use hello\nS MAIL FROM:<a@sender.example>\nG!451 4.7.500 Server busy. Please try again later from "
              "[192.0.2.1].\nuse bye\n",
     .quiet = "use hello mail\nS RCPT TO:<b@gw.example>\nG 450 4.2.1 Mailbox busy\nuse bye\n",
     .reply =
         {kCommands, 400, 499, "7.500",
          "ports are busy|too much load|server busy|server is busy|too busy|load average|system load|overload|load "
          "too high|load is too high"}},
    {.code = "server-error-temporary",
     .title = "An error inside the gateway holds the mail up",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "a positive reply",
     .why = "Something failed inside the gateway while it worked on this command; it says so and puts the mail off.",
     .advice = "Look in the gateway's log at this very second for the error (Exim: mainlog and paniclog; Postfix: "
               "warnings of smtpd and cleanup; Cisco: mail_logs and system_logs). If every session gets it, the "
               "gateway is down for mail.",
     .references = {"RFC 5321 4.2.3", "RFC 3463 3.4"},
     .fires = "use hello mail rcpt\nS DATA\nG!451 #4.3.0 Server Error\nuse bye\n",
     .quiet = "use hello mail rcpt\nS DATA\nG 451 4.7.1 try again later\nuse bye\n",
     .reply = {kCommands, 400, 499, "",
               "server error|local problem|internal error|queue file write error|error while writing spool|temporary "
               "system problem|temporary system error|unexpected failure|temporarily rejected message|qq temporary|"
               "internal server|system error"}},
    {.code = "server-error",
     .title = "An error inside the gateway made it refuse for good",
     .phase = Phase::idle,
     .party = Party::gateway,
     .expected = "a positive reply",
     .why = "Something failed inside the gateway, and it refused with a lasting code: the sender returns the mail and "
            "does not try again.",
     .advice = "Look in the gateway's log at this very second for the error. When it is mended, ask the sender to send "
               "the mail again; nothing comes by itself.",
     .references = {"RFC 5321 4.2.3", "RFC 3463 3.4"},
     .fires = "use hello mail rcpt data body\nG!554 #5.3.0 Server Error\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 451 #4.3.0 Server Error\nuse bye\n",
     .reply = {kCommands, 500, 599, "", "server error|internal error|internal server|system error"}},
};

}  // namespace

std::span<const Rule> rules_server() { return kRules; }

}  // namespace smtpscope
