"""Senders that do not keep to the protocol, and what real gateways say to that."""
from peers.case import HELLO, Case, gateway_says, sender_says
from peers.senders import BODY, DATA, EHLO, ENVELOPE, FROM, QUIT, READ, TO, UNTIL_CLOSE, commands, curl, http, nodemailer, openssl, python, script, swaks

STRICT = {"smtpd_helo_required": "yes", "smtpd_data_restrictions": "reject_unauth_pipelining", "smtpd_discard_ehlo_keywords": "pipelining"}
SETTINGS = {
    ("postfix", "strict order"): STRICT,
    ("postfix", "no bare LF"): {"smtpd_forbid_bare_newline": "reject", "smtpd_forbid_bare_newline_reject_code": "521", "smtpd_forbid_bare_newline_exclusions": ""},
    ("postfix", "few errors"): {"smtpd_hard_error_limit": "3", "smtpd_soft_error_limit": "1"},
    ("postfix", "postscreen"): {"postscreen": True, "postscreen_greet_action": "enforce", "postscreen_greet_wait": "2s", "postscreen_greet_banner": "gw waits"},
    ("postfix", "postscreen drop"): {"postscreen": True, "postscreen_greet_action": "drop", "postscreen_greet_wait": "2s", "postscreen_greet_banner": "gw waits"},
    ("exim", "strict order"): {"pipelining_advertise_hosts": "", "smtp_max_unknown_commands": "2", "smtp_max_synprot_errors": "2", "smtp_enforce_sync": "true",
                               "acl_connect": "  accept delay = 1s\n"},
    ("exim", "pipeconnect"): {"pipelining_connect_advertise_hosts": "*"},
    ("sendmail", "greet pause"): {"features": "FEATURE(`greet_pause', 2000)dnl\n", "confBAD_RCPT_THROTTLE": "1"},
    ("haraka", "strict"): {},
    ("aiosmtpd", "strict"): {},
}
EARLY = f"EHLO mx.sender.example\r\nMAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n{BODY}.\r\nQUIT\r\n"
HEADERLESS = "From: ann@sender.example\r\nSubject: stray\r\n\r\nhello there\r\n.\r\n"

CASES = [
    # The whole session in one go, before the greeting, as bots and shell scripts do it.
    Case("early talker, postscreen", "postfix", "postscreen", script(EARLY, UNTIL_CLOSE), "early-talker", "banner", "sender", sender_says("EHLO")),
    Case("early talker, postscreen drops", "postfix", "postscreen drop", script(EARLY, UNTIL_CLOSE), "early-talker", "banner", "sender", sender_says("EHLO")),
    Case("early talker, Exim", "exim", "strict order", script(EARLY, UNTIL_CLOSE), "early-talker", "banner", "sender", sender_says("EHLO")),
    Case("early talker, Sendmail", "sendmail", "greet pause", script(EARLY, UNTIL_CLOSE), "early-talker", "banner", "sender", sender_says("EHLO")),
    # Wrong port.
    Case("web client, Postfix", "postfix", "strict order", http, "non-smtp-client", "helo", "sender", sender_says("GET /index.html")),
    Case("web client, Exim", "exim", "strict order", http, "non-smtp-client", "helo", "sender", sender_says("GET /index.html")),
    Case("TLS from the start, Postfix, curl", "postfix", "plain", curl(scheme="smtps"), "tls-implicit", "banner", "sender", sender_says(HELLO)),
    Case("TLS from the start, Haraka, nodemailer", "haraka", "plain", nodemailer({"secure": True, "ignoreTLS": False}), "tls-implicit", "banner", "sender",
         sender_says(HELLO)),
    Case("TLS from the start, OpenSMTPD, openssl", "opensmtpd", "plain", openssl(starttls=False), "tls-implicit", "banner", "sender", sender_says(HELLO)),
    # Order of commands.
    Case("MAIL without EHLO, Postfix", "postfix", "strict order", script(READ, f"MAIL FROM:<{FROM}>\r\n", READ, *QUIT), "helo-missing", "mail", "sender",
         gateway_says("503 5.5.1")),
    Case("MAIL without EHLO, aiosmtpd", "aiosmtpd", "plain", script(READ, f"MAIL FROM:<{FROM}>\r\n", READ, *QUIT), "helo-missing", "mail", "sender",
         gateway_says("503 Error: send HELO")),
    Case("MAIL within MAIL, Postfix", "postfix", "plain", script(*EHLO, f"MAIL FROM:<{FROM}>\r\n", READ, "MAIL FROM:<b@sender.example>\r\n", READ, *QUIT),
         "mail-nested", "mail", "sender", gateway_says("503 5.5.1 Error: nested MAIL")),
    Case("MAIL within MAIL, Sendmail", "sendmail", "plain", script(*EHLO, f"MAIL FROM:<{FROM}>\r\n", READ, "MAIL FROM:<b@sender.example>\r\n", READ, *QUIT),
         "mail-nested", "mail", "sender", gateway_says("503 5.5.0 Sender already")),
    Case("MAIL within MAIL, Exim", "exim", "plain", script(*EHLO, f"MAIL FROM:<{FROM}>\r\n", READ, "MAIL FROM:<b@sender.example>\r\n", READ, *QUIT),
         "mail-nested", "mail", "sender", gateway_says("503 sender already given")),
    Case("DATA without RCPT, Postfix", "postfix", "plain", python(commands("EHLO mx.sender.example", f"MAIL FROM:<{FROM}>", "DATA")), "no-valid-recipients", "data",
         "sender", gateway_says("554 5.5.1 Error: no valid")),
    Case("DATA without RCPT, Exim", "exim", "plain", python(commands("EHLO mx.sender.example", f"MAIL FROM:<{FROM}>", "DATA")), "no-valid-recipients", "data",
         "sender", gateway_says("503 valid RCPT command must")),
    Case("DATA without RCPT, OpenSMTPD", "opensmtpd", "plain", python(commands("EHLO mx.sender.example", f"MAIL FROM:<{FROM}>", "DATA")), "no-valid-recipients",
         "data", "sender", gateway_says("503 5.5.4")),
    Case("RCPT without MAIL, Postfix", "postfix", "plain", python(commands("EHLO mx.sender.example", f"RCPT TO:<{TO}>")), "commands-out-of-order", "rcpt", "sender",
         gateway_says("503 5.5.1 Error: need MAIL")),
    # Groups of commands where none were offered.
    Case("improper pipelining, Postfix", "postfix", "strict order",
         script(*EHLO, f"MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n{BODY}.\r\nQUIT\r\n", UNTIL_CLOSE), "commands-out-of-order", "data", "sender",
         gateway_says("503 5.5.0"), notes=("pipelining-not-offered",)),
    # A client that takes the 354 for the end: its QUIT is message, and both wait.
    Case("QUIT within the message", "postfix", "plain", script(*DATA, *QUIT, timeout=3), "body-sender-closed", "body", "sender", sender_says("fin")),
    # Unknown commands.
    Case("unknown command, Postfix", "postfix", "plain", script(*EHLO, "HELLO THERE\r\n", READ, f"MAIL FROM <{FROM}>\r\n", READ, *QUIT), "command-unknown", "idle",
         "sender", gateway_says("500 5.5.2")),
    Case("unknown command, Haraka", "haraka", "strict", script(*EHLO, "XSEND FROM:<a@b.example>\r\n", READ, *QUIT), "command-unknown", "idle", "sender",
         gateway_says("500 ")),
    Case("message as commands, Postfix", "postfix", "few errors", script(*EHLO, HEADERLESS, UNTIL_CLOSE), "message-without-data", "data", "sender",
         sender_says("From: ann")),
    Case("too many unknown commands, Exim", "exim", "strict order", script(*EHLO, "FOO\r\n", READ, "BAR\r\n", READ, "BAZ\r\n", UNTIL_CLOSE), "command-unknown",
         "idle", "sender", gateway_says("500 unrecognized command")),
    Case("command too long, Exim", "exim", "plain", script(*EHLO, f"MAIL FROM:<{'x' * 20000}@sender.example>\r\n", READ, *QUIT), "line-too-long", "mail", "sender",
         gateway_says("500 ")),
    # Message bytes.
    Case("bare LF refused, Postfix", "postfix", "no bare LF", script(*DATA, BODY + "line\nline\r\n.\r\n", READ, *QUIT), "bare-line-feed", "end-of-data", "sender",
         gateway_says("521 5.5.2")),
    # Ends its message with LF.LF: Postfix waits for the end, the sender for the reply.
    Case("LF.LF, Postfix", "postfix", "no bare LF", script(*DATA, BODY.replace("\r\n", "\n") + ".\n", READ, timeout=8), "missing-final-dot", "end-of-data", "sender",
         sender_says("")),
    Case("BDAT malformed, Postfix", "postfix", "plain", script(*ENVELOPE, "BDAT ten LAST\r\n", READ, *QUIT), "bdat-syntax", "data", "sender",
         gateway_says("521 5.5.4")),
    Case("BDAT malformed, Exim", "exim", "plain", script(*ENVELOPE, "BDAT ten LAST\r\n", READ, *QUIT), "bdat-syntax", "data", "sender", gateway_says("501 ")),
    # Nothing broke.
    Case("pipelining as offered", "postfix", "plain", swaks("--pipeline")),
    Case("talks before the greeting where it may, Exim", "exim", "pipeconnect", script(
        f"EHLO mx.sender.example\r\nMAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n", READ, READ, READ, READ, READ, f"{BODY}.\r\nQUIT\r\n", UNTIL_CLOSE)),
]
