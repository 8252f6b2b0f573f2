"""Sides that fall silent, give up or die in the middle."""
from peers.case import Case, gateway_says, sender_says
from peers.senders import BODY, DATA, EHLO, ENVELOPE, FROM, QUIT, READ, TO, UNTIL_CLOSE, body_of, curl, nodemailer, python, script, swaks
from peers.senders import mail as usual_mail

SLOW_END = "exports.hook_data_post = function (next) { setTimeout(next, 6500); };\nexports.timeout = 30;\n"
SETTINGS = {
    ("postfix", "short waits"): {"smtpd_timeout": "6s"},
    ("postfix", "slow end"): {"smtpd_end_of_data_restrictions": "sleep 6"},
    ("exim", "short waits"): {"smtp_receive_timeout": "6s"},
    ("haraka", "slow end"): {"plugins": "slow", "plugin": {"slow": SLOW_END}, "config": {"plugin_timeout": "30\n"}},
    ("aiosmtpd", "short waits"): {"timeout": 6},
    ("smtp-sink", "slow end"): {"args": ["-W", ".:6"]},
    ("smtp-sink", "slow rcpt"): {"args": ["-W", "RCPT:6"]},
    ("smtp-sink", "slow ehlo"): {"args": ["-W", "EHLO:6"]},
    ("smtp-sink", "slow data"): {"args": ["-W", "DATA:6"]},
}


CASES = [
    # Silence of the sender.
    Case("silent after MAIL, Postfix", "postfix", "short waits", script(*EHLO, f"MAIL FROM:<{FROM}>\r\n", READ, UNTIL_CLOSE),
         "sender-idle", "rcpt", "sender", gateway_says("421 4.4.2")),
    Case("silent after RCPT, Exim", "exim", "short waits", script(*ENVELOPE, UNTIL_CLOSE), "sender-idle", "data", "sender", gateway_says("421 gw.example.test: SMTP command timeout")),
    Case("silent after RCPT, aiosmtpd", "aiosmtpd", "short waits", script(*ENVELOPE, UNTIL_CLOSE), "sender-idle", "data", "sender", gateway_says("fin")),
    Case("silent in the message, Postfix", "postfix", "short waits", script(*DATA, BODY, UNTIL_CLOSE), "body-stalled", "body", "sender", sender_says("")),
    Case("silent in the message, Exim", "exim", "short waits", script(*DATA, BODY, UNTIL_CLOSE), "body-stalled", "body", "sender", sender_says("")),
    Case("silent in a chunk, Postfix", "postfix", "short waits", script(*ENVELOPE, f"BDAT 5000 LAST\r\n{BODY}", UNTIL_CLOSE), "bdat-stalled", "body", "network", sender_says("")),
    # Senders that do not wait.
    Case("final reply awaited 3 s, swaks", "smtp-sink", "slow end", swaks("--timeout", "3"), "left-before-final-reply", "end-of-data", "sender", sender_says("QUIT")),
    Case("final reply awaited 3 s, nodemailer", "haraka", "slow end", nodemailer({"socketTimeout": 3000}), "left-before-final-reply", "end-of-data", "sender",
         sender_says("fin")),
    Case("final reply awaited 3 s, smtplib", "postfix", "slow end", python(usual_mail, timeout=3), "left-before-final-reply", "end-of-data", "sender", sender_says("fin")),
    Case("final reply awaited 3 s, curl", "smtp-sink", "slow end", curl("--max-time", "3"), "left-before-final-reply", "end-of-data", "sender", sender_says("QUIT")),
    Case("EHLO's reply awaited 3 s, swaks", "smtp-sink", "slow ehlo", swaks("--timeout", "3"), "gateway-silent", "helo", "gateway", sender_says("QUIT")),
    Case("RCPT's reply awaited 3 s, smtplib", "smtp-sink", "slow rcpt", python(usual_mail, timeout=3), "gateway-silent", "rcpt", "gateway", sender_says("fin")),
    Case("DATA's reply awaited 3 s, curl", "smtp-sink", "slow data", curl("--max-time", "3"), "gateway-silent", "data", "gateway", sender_says("fin")),
    # Patient ones get it through.
    Case("final reply after 6 s", "postfix", "slow end", swaks(), notes=("final-reply-slow",)),
    Case("RCPT's reply after 6 s", "smtp-sink", "slow rcpt", curl(), notes=("rcpt-slow",)),
    # Senders that die or leave.
    Case("killed in the message, curl", "postfix", "plain", curl("--limit-rate", "1000", body=body_of(95000), kill_after=3), "body-sender-closed", "body", "sender",
         sender_says("fin")),
    Case("out of time in the message, curl", "exim", "plain", curl("--limit-rate", "1000", "--max-time", "3", body=body_of(95000)), "body-sender-closed", "body", "sender",
         sender_says("fin")),
    Case("gone after RCPT", "exim", "plain", script(*ENVELOPE), "sender-left", "data", "sender", sender_says("fin")),
    Case("gone at 354", "postfix", "plain", script(*DATA), "left-at-354", "body", "sender", sender_says("fin")),
    Case("QUIT in place of DATA", "postfix", "plain", swaks("--quit-after", "RCPT"), verdict="no-mail"),
    # Nothing meant.
    Case("EHLO and QUIT", "exim", "plain", swaks("--quit-after", "EHLO"), verdict="no-mail"),
    Case("port probe", "postfix", "plain", script(READ), verdict="no-mail"),
    Case("left without QUIT", "postfix", "plain", script(*DATA, BODY + ".\r\n", READ), notes=("left-without-goodbye",)),
]
