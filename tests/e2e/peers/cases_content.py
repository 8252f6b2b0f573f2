"""Messages that gateways refuse when they have seen them, or at DATA."""
from peers.case import Case, gateway_says
from peers.senders import BODY, DATA, ENVELOPE, QUIT, READ, body_of, curl, nodemailer, python, script, swaks
from peers.senders import mail as usual_mail

LOOP = "".join(f"Received: from mx{n} by mx{n + 1}; Tue, 24 Nov 2026 10:00:00 +0000\r\n" for n in range(120)) + BODY
VIRUS = BODY.replace("hello", "EICAR-TEST-STANDARD")
SPAM = BODY.replace("Subject: test", "Subject: buy now")
SETTINGS = {
    ("postfix", "content"): {"cleanup": {"header_checks": "regexp:{dir}/headers", "body_checks": "regexp:{dir}/bodies"},
                             "files": {"headers": "/^Subject: buy/ REJECT Message content rejected, spam\n", "bodies": "/EICAR/ REJECT\n"}},
    ("postfix", "loop"): {},
    ("postfix", "DATA refused"): {"smtpd_data_restrictions": "check_client_access texthash:{dir}/all", "files": {"all": "127.0.0.1 REJECT\n"}},
    ("postfix", "filter down"): {"smtpd_proxy_filter": "127.0.0.1:1"},
    ("postfix", "milter down"): {"smtpd_milters": "inet:127.0.0.1:1", "milter_default_action": "tempfail"},
    ("exim", "content"): {
        "acl_data": "  deny condition = ${if match{$message_body}{EICAR}}\n       message = This message contains a virus (EICAR)\n"
                    "  deny condition = ${if match{$h_subject:}{buy}}\n       message = This message scored 12 spam points\n"
                    "  deny condition = ${if >{$max_received_linelength}{998}}\n"
                    "       message = maximum allowed line length is 998 octets, got $max_received_linelength\n"
                    "  deny !verify = header_syntax\n       message = header syntax\n"
                    "  defer condition = ${if match{$h_subject:}{later}}\n       message = scanner is not ready\n",
        "header_maxsize": "20000"},
    ("exim", "predata"): {"acl_predata": "  defer sender_domains = sender.example\n       message = not now\n"},
    ("sendmail", "small"): {"confMAX_MESSAGE_SIZE": "10000"},
    ("haraka", "small"): {"max_bytes": 10000, "plugin": {"content": "exports.hook_data_post = function (next, connection) {\n"
                                                "  const subject = connection.transaction.header.get('subject');\n"
                                                "  if (/buy/.test(subject)) return next(DENY, 'spam detected');\n"
                                                "  if (/drop/.test(subject)) return connection.disconnect();\n  next();\n};\n"},
                          "plugins": "content"},
    ("chasquid", "small"): {"max_data_size_mb": 1},
    ("smtp-sink", "DATA refused"): {"args": ["-f", "DATA"]},
    ("smtp-sink", "DATA put off"): {"args": ["-r", "DATA"]},
    ("smtp-sink", "message refused"): {"args": ["-f", "."]},
    ("smtp-sink", "message put off"): {"args": ["-r", "."]},
    ("smtp-sink", "421 at the end"): {"args": ["-Q", "."]},
    ("smtp-sink", "gone at the end"): {"args": ["-q", "."]},
    ("smtp-sink", "gone at DATA"): {"args": ["-q", "DATA"]},
    ("smtp-sink", "gone at RCPT"): {"args": ["-q", "RCPT"]},
    ("smtp-sink", "gone at EHLO"): {"args": ["-q", "EHLO"]},
    ("smtp-sink", "421 at MAIL"): {"args": ["-Q", "MAIL"]},
}

CASES = [
    # Sizes: swaks declares none, so that all of it travels.
    Case("size, Postfix", "postfix", "plain", swaks(body=body_of(120000)), "size-exceeded", "end-of-data", "policy", gateway_says("552 5.3.4")),
    Case("size, Exim", "exim", "plain", swaks(body=body_of(120000)), "size-exceeded", "end-of-data", "policy", gateway_says("552 Message size")),
    Case("size, Sendmail", "sendmail", "small", swaks(body=body_of(20000)), "size-exceeded", "end-of-data", "policy", gateway_says("552 5.2.3")),
    Case("size, Haraka", "haraka", "small", swaks(body=body_of(20000)), "size-exceeded", "end-of-data", "policy", gateway_says("550 Message too big")),
    Case("size, aiosmtpd", "aiosmtpd", "plain", swaks(body=body_of(30000)), "size-exceeded", "end-of-data", "policy", gateway_says("552 ")),
    Case("size, chasquid", "chasquid", "small", swaks(body=body_of(1300000)), "size-exceeded", "end-of-data", "policy", gateway_says("552 5.3.4")),
    # Content.
    Case("spam, Postfix", "postfix", "content", swaks(body=SPAM), "content-spam", "end-of-data", "policy", gateway_says("550 5.7.1")),
    # Postfix's own words for a body check without a text.
    Case("body check, Postfix", "postfix", "content", curl(body=VIRUS), "content-refused", "end-of-data", "policy", gateway_says("550 5.7.1 message content rejected")),
    Case("spam, Exim", "exim", "content", curl(body=SPAM), "content-spam", "end-of-data", "policy", gateway_says("550 This message scored")),
    Case("spam, Haraka", "haraka", "small", nodemailer(mail={"subject": "buy"}), "content-spam", "end-of-data", "policy", gateway_says("550 spam")),
    Case("virus, Exim", "exim", "content", swaks(body=VIRUS), "content-virus", "end-of-data", "policy", gateway_says("550 This message contains")),
    Case("virus, Exim, BDAT", "exim", "content", script(*ENVELOPE, f"BDAT {len(VIRUS)} LAST\r\n{VIRUS}", READ, *QUIT), "content-virus", "end-of-data", "policy",
         gateway_says("550 This message contains")),
    Case("long line, Exim", "exim", "content", swaks(body=BODY + "z" * 1500 + "\r\n"), "body-line-too-long", "end-of-data", "sender",
         gateway_says("550 maximum allowed line")),
    Case("header invalid, Exim", "exim", "content", swaks(body=BODY.replace("From: ann@sender.example", "From: <ann@sender.example")), "message-header-invalid", "end-of-data", "sender",
         gateway_says("550 header syntax")),
    Case("header too large, Exim", "exim", "content", swaks(body="X-Filler: " + "y" * 500 + "\r\n" + "".join(f"X-F{n}: {'y' * 600}\r\n" for n in range(60)) + BODY),
         "header-too-large", "end-of-data", "sender", gateway_says("552 ")),
    Case("loop, Postfix", "postfix", "loop", swaks(body=LOOP), "mail-loop", "end-of-data", "policy", gateway_says("554 5.4.0")),
    Case("message refused, smtp-sink", "smtp-sink", "message refused", curl(), "content-refused", "end-of-data", "policy", gateway_says("500 5.3.0")),
    Case("message put off, smtp-sink", "smtp-sink", "message put off", nodemailer(), "content-put-off", "end-of-data", "gateway", gateway_says("450 4.3.0")),
    Case("421 at the end, smtp-sink", "smtp-sink", "421 at the end", swaks(), "content-put-off", "end-of-data", "gateway", gateway_says("421 ")),
    # DATA.
    # By a rule about the client.
    Case("DATA refused, Postfix", "postfix", "DATA refused", swaks(), "host-denied", "data", "policy", gateway_says("554 5.7.1")),
    Case("DATA refused, smtp-sink", "smtp-sink", "DATA refused", curl(), "data-refused", "data", "policy", gateway_says("500 5.3.0")),
    Case("DATA put off, Exim", "exim", "predata", nodemailer(), "data-temporary", "data", "gateway", gateway_says("451 not now")),
    Case("DATA put off, smtp-sink", "smtp-sink", "DATA put off", swaks(), "data-temporary", "data", "gateway", gateway_says("450 4.3.0")),
    # Filters that do not answer.
    # The proxy filter is asked from RCPT on.
    Case("filter down, Postfix", "postfix", "filter down", swaks(), "server-error-temporary", "rcpt", "gateway", gateway_says("451 4.3.0")),
    Case("milter down, Postfix", "postfix", "milter down", swaks(), "filter-unavailable", "mail", "gateway", gateway_says("451 4.7.1")),
    # Gateways that leave without a word, or with 421.
    Case("gone at the end", "smtp-sink", "gone at the end", swaks(), "final-reply-closed", "end-of-data", "gateway", gateway_says("fin")),
    Case("gone at DATA", "smtp-sink", "gone at DATA", nodemailer(), "gateway-closed", "data", "gateway", gateway_says("fin")),
    Case("gone at RCPT", "smtp-sink", "gone at RCPT", curl(), "gateway-closed", "rcpt", "gateway", gateway_says("fin")),
    Case("gone at EHLO", "smtp-sink", "gone at EHLO", swaks(), "gateway-closed", "helo", "gateway", gateway_says("fin")),
    Case("421 at MAIL", "smtp-sink", "421 at MAIL", swaks(), "mail-temporary", "mail", "gateway", gateway_says("421 ")),
    # Nothing broke.
    Case("dots at line starts", "exim", "plain", swaks(body=BODY + ".\r\n..\r\n.x\r\n")),
    Case("BDAT in chunks, Postfix", "postfix", "plain", script(*ENVELOPE, f"BDAT {len(BODY)}\r\n{BODY}", READ, "BDAT 5 LAST\r\n.\r\n.\r", READ, *QUIT)),
]
