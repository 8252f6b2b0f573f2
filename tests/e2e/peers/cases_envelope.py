"""Refusals of the envelope: HELO, MAIL and RCPT, by gateways' own rules."""
from peers.case import Case, gateway_says
from peers.senders import EHLO, QUIT, READ, body_of, commands, curl, nodemailer, python, script, swaks
from peers.senders import mail as usual_mail

NOBODY = "nosuch@example.test"
ACCESS = {
    # What a policy service or an access map of an administrator says. The words of greylisting are those of postgrey.
    "smtpd_recipient_restrictions": "check_recipient_access texthash:{dir}/rcpt, check_sender_access texthash:{dir}/mail",
    "files": {"rcpt": "ann@example.test 450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/example.test.html\n"
                      "bob@example.test 552 5.2.2 Mailbox full\n"
                      "eve@example.test 550 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org\n"
                      "kim@example.test 450 4.3.0 try again later\n",
              "mail": "listed@sender.example REJECT\n<> 550 5.7.1 we take no bounces here\n"}}
SETTINGS = {
    ("postfix", "plain"): {},
    ("postfix", "access"): ACCESS,
    ("postfix", "strict helo"): {"smtpd_helo_restrictions": "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname",
                                 "smtpd_helo_required": "yes", "smtpd_delay_reject": "no"},
    ("postfix", "strict sender"): {"smtpd_sender_restrictions": "reject_non_fqdn_sender", "smtpd_delay_reject": "no",
                                   "strict_rfc821_envelopes": "yes"},
    ("postfix", "own name"): {"smtpd_helo_restrictions": "check_helo_access texthash:{dir}/helo", "smtpd_delay_reject": "no",
                              "files": {"helo": "mx.sender.example REJECT\n"}},
    ("postfix", "few recipients"): {"smtpd_recipient_limit": "2"},
    ("postfix", "message rate"): {"smtpd_client_message_rate_limit": "1"},
    ("postfix", "table missing"): {"smtpd_recipient_restrictions": "check_recipient_access hash:{dir}/nowhere, permit"},
    ("postfix", "setting wrong"): {"smtpd_recipient_restrictions": "reject_bogus_everything"},
    ("postfix", "policy down"): {"smtpd_recipient_restrictions": "check_policy_service inet:127.0.0.1:1", "smtpd_policy_service_try_limit": "1"},
    ("postfix", "disk full"): {"queue_minfree": "9000000000000000"},
    ("postfix", "no utf8"): {"smtputf8_enable": "no"},
    ("postfix", "strict utf8"): {"smtputf8_enable": "yes", "strict_smtputf8": "yes"},
    ("exim", "plain"): {},
    ("exim", "sender verify"): {"acl_mail": "  require verify = sender\n", "routable": "example.test : sender.example"},
    ("exim", "acl"): {"acl_helo": "  deny condition = ${if eq{$sender_helo_name}{banned.sender.example}}\n",
                      "acl_mail": "  deny senders = listed@sender.example\n  defer senders = later@sender.example\n",
                      "acl_rcpt": "  defer local_parts = ann\n       message = greylisted, try again in 5 minutes\n"
                                  "  drop local_parts = bob\n       message = no more of you\n  deny local_parts = eve\n"},
    ("exim", "few recipients"): {"recipients_max": "1", "recipients_max_reject": "true"},
    ("exim", "disk full"): {"check_spool_space": "9000G"},
    ("opensmtpd", "plain"): {},
    ("opensmtpd", "filter"): {"filter": 'phase mail-from match mail-from regex "listed" reject "550 5.7.1 Sender rejected"'},
    ("sendmail", "plain"): {},
    ("sendmail", "strict"): {"confMAX_RCPTS_PER_MESSAGE": "1", "access": "From:listed@sender.example\tREJECT\nTo:eve@example.test\tERROR:5.2.1:550 Mailbox disabled\n",
                             "features": "FEATURE(`blacklist_recipients')dnl\n"},
    ("chasquid", "plain"): {},
    ("haraka", "plain"): {},
    ("aiosmtpd", "plain"): {"data_size_limit": 20000},
    ("smtp-sink", "mail refused"): {"args": ["-f", "MAIL"]},
    ("smtp-sink", "mail put off"): {"args": ["-r", "MAIL"]},
    ("smtp-sink", "rcpt refused"): {"args": ["-f", "RCPT"]},
    ("smtp-sink", "rcpt put off"): {"args": ["-r", "RCPT"]},
    ("smtp-sink", "ehlo put off"): {"args": ["-r", "EHLO,HELO"]},
}


def refused(text, nth=1):
    return gateway_says(text, nth)


CASES = [
    # An unknown recipient, in the words of each gateway.
    Case("unknown user, Postfix", "postfix", "plain", swaks(to=NOBODY), "rcpt-unknown-user", "rcpt", "sender", refused("550 5.1.1 <nosuch")),
    Case("unknown user, Postfix, curl", "postfix", "plain", curl(to=(NOBODY,)), "rcpt-unknown-user", "rcpt", "sender", refused("550 5.1.1 <nosuch")),
    Case("unknown user, Postfix, pipelined", "postfix", "plain", swaks("--pipeline", to=NOBODY), "rcpt-unknown-user", "rcpt", "sender",
         refused("550 5.1.1 <nosuch")),
    Case("unknown user, Exim", "exim", "plain", nodemailer(mail={"to": NOBODY}), "rcpt-unknown-user", "rcpt", "sender", refused("550 Unknown user")),
    Case("unknown user, OpenSMTPD", "opensmtpd", "plain", swaks(to=NOBODY), "rcpt-unknown-user", "rcpt", "sender", refused("550 Invalid recipient")),
    Case("unknown user, Sendmail", "sendmail", "plain", swaks(to=NOBODY), "rcpt-unknown-user", "rcpt", "sender", refused("550 5.1.1 <nosuch")),
    Case("unknown user, chasquid", "chasquid", "plain", curl(to=(NOBODY,)), "rcpt-unknown-user", "rcpt", "sender", refused("550 5.1.1 Destination")),
    Case("unknown user, Haraka", "haraka", "plain", nodemailer(mail={"to": NOBODY}), "rcpt-unknown-user", "rcpt", "sender", refused("550 no such user")),
    Case("unknown user, aiosmtpd", "aiosmtpd", "plain", python(lambda c, r: usual_mail(c, r, to=[NOBODY])), "rcpt-unknown-user", "rcpt", "sender",
         refused("550 5.1.1 no such user")),
    # One of two recipients is unknown and the other gets the mail: nothing broke.
    Case("one of two unknown", "postfix", "plain", swaks(to=f"joe@example.test,{NOBODY}"), notes=("rcpt-unknown-user",)),
    # The same envelope from curl, which gives up at the first refusal.
    Case("one of two unknown, curl", "postfix", "plain", curl(to=("joe@example.test", NOBODY)), "rcpt-unknown-user", "rcpt", "sender",
         refused("550 5.1.1 <nosuch")),
    # Relaying.
    Case("relay, Postfix", "postfix", "plain", swaks(to="x@elsewhere.test"), "rcpt-relay-denied", "rcpt", "policy", refused("554 5.7.1 <x@else")),
    Case("relay, Exim", "exim", "plain", curl(to=("x@elsewhere.test",)), "rcpt-relay-denied", "rcpt", "policy", refused("550 relay not permitted")),
    Case("relay, chasquid", "chasquid", "plain", swaks(to="x@elsewhere.test"), "rcpt-relay-denied", "rcpt", "policy", refused("503 5.7.1 Relay")),
    Case("relay, Haraka", "haraka", "plain", swaks(to="x@elsewhere.test"), "rcpt-relay-denied", "rcpt", "policy", refused("550 I cannot deliver")),
    Case("relay, aiosmtpd", "aiosmtpd", "plain", swaks(to="x@elsewhere.test"), "rcpt-relay-denied", "rcpt", "policy", refused("550 5.7.1 relaying")),
    # Rules about recipients.
    Case("greylisted, Postfix", "postfix", "access", swaks(to="ann@example.test"), "greylisted", "rcpt", "policy", refused("450 4.2.0 <ann")),
    Case("greylisted, Exim", "exim", "acl", nodemailer(mail={"to": "ann@example.test"}), "greylisted", "rcpt", "policy", refused("451 greylisted")),
    Case("mailbox full", "postfix", "access", curl(to=("bob@example.test",)), "rcpt-mailbox-full", "rcpt", "gateway", refused("552 5.2.2 <bob")),
    Case("block list", "postfix", "access", swaks(to="eve@example.test"), "sender-blocklisted", "rcpt", "policy", refused("550 5.7.1 <eve")),
    Case("recipient put off, Postfix", "postfix", "access", swaks(to="kim@example.test"), "rcpt-temporary", "rcpt", "gateway", refused("450 4.3.0 <kim")),
    Case("recipient put off, smtp-sink", "smtp-sink", "rcpt put off", swaks(), "rcpt-temporary", "rcpt", "gateway", refused("450 4.3.0 Error")),
    Case("recipient refused, smtp-sink", "smtp-sink", "rcpt refused", curl(), "rcpt-refused", "rcpt", "policy", refused("500 5.3.0 Error")),
    Case("recipient refused, Exim", "exim", "acl", swaks(to="eve@example.test"), "rcpt-refused", "rcpt", "policy", refused("550 Administrative")),
    # `drop` refuses and closes: the refusal is the cause, the close its consequence.
    Case("dropped at RCPT, Exim", "exim", "acl", swaks(to="bob@example.test"), "rcpt-refused", "rcpt", "policy", refused("550 no more of you")),
    Case("mailbox disabled, Sendmail", "sendmail", "strict", swaks(to="eve@example.test"), "rcpt-disabled", "rcpt", "policy", refused("550 5.2.1")),
    Case("too many recipients, Postfix", "postfix", "few recipients", curl(to=("joe@example.test", "ann@example.test", "bob@example.test")),
         "rcpt-too-many", "rcpt", "policy", refused("452 4.5.3")),
    Case("too many recipients, Sendmail", "sendmail", "strict", curl(to=("joe@example.test", "ann@example.test")), "rcpt-too-many", "rcpt", "policy",
         refused("452 4.5.3")),
    Case("too many recipients, Exim", "exim", "few recipients", curl(to=("joe@example.test", "ann@example.test")), "rcpt-too-many", "rcpt", "policy",
         refused("552 too many recipients")),
    # swaks goes on with the recipients that were taken.
    Case("too many recipients, some taken", "postfix", "few recipients", swaks(to="joe@example.test,ann@example.test,bob@example.test"),
         notes=("rcpt-too-many",)),
    # Rules about the envelope sender.
    Case("sender on a list, Postfix", "postfix", "access", swaks(mail_from="listed@sender.example"), "sender-denied", "rcpt", "policy",
         refused("554 5.7.1 <listed")),
    # "Access denied": Sendmail's words would be the same for a rule about the host.
    Case("sender on a list, Sendmail", "sendmail", "strict", swaks(mail_from="listed@sender.example"), "mail-refused", "mail", "policy", refused("550 5.7.1")),
    Case("sender refused, OpenSMTPD", "opensmtpd", "filter", swaks(mail_from="listed@sender.example"), "sender-denied", "mail", "policy",
         refused("550 5.7.1 Sender rejected")),
    Case("sender refused, Exim", "exim", "acl", swaks(mail_from="listed@sender.example"), "mail-refused", "mail", "policy", refused("550 Administrative")),
    Case("sender refused, smtp-sink", "smtp-sink", "mail refused", nodemailer(), "mail-refused", "mail", "policy", refused("500 5.3.0 Error")),
    Case("sender put off, smtp-sink", "smtp-sink", "mail put off", curl(), "mail-temporary", "mail", "gateway", refused("450 4.3.0 Error")),
    # Exim gives this for its own trouble as well, and says so.
    Case("sender put off, Exim", "exim", "acl", swaks(mail_from="later@sender.example"), "server-error-temporary", "mail", "gateway",
         refused("451 Temporary local problem")),
    Case("bounces refused", "postfix", "access", swaks(mail_from="<>"), "bounces-refused", "rcpt", "policy", refused("550 5.7.1 <>")),
    # Exim has no route to sender.invalid.
    Case("sender not verified, Exim", "exim", "sender verify", swaks(mail_from="ann@sender.invalid"), "sender-verification-failed", "mail", "dns",
         refused("550-Verification failed")),
    Case("sender without domain, Postfix", "postfix", "strict sender", swaks(mail_from="root"), "mail-unqualified", "mail", "sender",
         refused("504 5.5.2 <root>")),
    Case("sender without domain, Exim", "exim", "plain", swaks(mail_from="root"), "mail-unqualified", "mail", "sender", refused("501 <root>: sender address must")),
    Case("sender without domain, Sendmail", "sendmail", "plain", swaks(mail_from="root"), "mail-unqualified", "mail", "sender", refused("553 5.5.4 <root>")),
    Case("sender malformed, Postfix", "postfix", "strict sender", python(commands(f"EHLO mx.sender.example", "MAIL FROM: ann@sender.example bob")),
         "mail-syntax", "mail", "sender", refused("501 5.1.7")),
    Case("sender malformed, Exim", "exim", "plain", python(commands("EHLO mx.sender.example", "MAIL FROM:<ann@sender.example")), "mail-syntax", "mail",
         "sender", refused("501 ")),
    # HELO.
    Case("HELO not full, Postfix", "postfix", "strict helo", swaks(helo="laptop"), "helo-not-fqdn", "helo", "sender", refused("504 5.5.2 <laptop>")),
    Case("HELO refused, Postfix", "postfix", "own name", swaks(), "helo-refused-by-policy", "helo", "policy", refused("554 5.7.1 <mx.sender")),
    Case("HELO refused, Exim", "exim", "acl", swaks(helo="banned.sender.example"), "helo-refused-by-policy", "helo", "policy",
         refused("550 Administrative prohibition")),
    Case("HELO malformed, Exim", "exim", "plain", swaks(helo="my_laptop!"), "helo-refused", "helo", "sender", refused("501 Syntactically")),
    Case("HELO empty, Postfix", "postfix", "plain", script(READ, "EHLO\r\n", READ, *QUIT), "helo-refused", "helo", "sender", refused("501 Syntax")),
    Case("HELO put off, smtp-sink", "smtp-sink", "ehlo put off", swaks(), "helo-temporary", "helo", "gateway", refused("450 4.3.0 Error")),
    # Sizes and parameters that the sender announces.
    Case("size declared, Postfix", "postfix", "plain", curl(body=body_of(120000)), "size-declared-too-large", "mail", "policy", refused("552 5.3.4")),
    Case("size declared, Exim", "exim", "plain", python(lambda c, r: usual_mail(c, r, body=body_of(120000))), "size-declared-too-large", "mail", "policy",
         refused("552 Message size")),
    Case("size declared, Sendmail", "sendmail", "plain", curl(body=body_of(120000)), "size-declared-too-large", "mail", "policy", refused("552 5.2.3")),
    # OpenSMTPD offers SIZE and does not look at it: all of the message travels.
    Case("size declared, OpenSMTPD", "opensmtpd", "plain", curl(body=body_of(120000)), "size-exceeded", "end-of-data", "policy", refused("554 5.3.4")),
    Case("size declared, aiosmtpd", "aiosmtpd", "plain", curl(body=body_of(30000)), "size-declared-too-large", "mail", "policy", refused("552 ")),
    Case("unknown parameter, Postfix", "postfix", "plain", script(*EHLO, "MAIL FROM:<ann@sender.example> COLOUR=blue\r\n", READ, *QUIT), "mail-parameter",
         "mail", "sender", refused("555 5.5.4")),
    Case("unknown parameter, Exim", "exim", "plain", script(*EHLO, "MAIL FROM:<ann@sender.example> COLOUR=blue\r\n", READ, *QUIT), "mail-parameter", "mail",
         "sender", refused("501 <ann")),
    Case("unknown parameter of RCPT", "postfix", "plain", script(*EHLO, "MAIL FROM:<ann@sender.example>\r\n", READ, "RCPT TO:<joe@example.test> COLOUR=blue\r\n", READ,
                                                             *QUIT), "rcpt-parameter", "rcpt", "sender", refused("555 5.5.4")),
    Case("recipient malformed", "postfix", "strict sender", script(*EHLO, "MAIL FROM:<ann@sender.example>\r\n", READ, "RCPT TO:joe example.test\r\n", READ, *QUIT),
         "rcpt-syntax", "rcpt", "sender", refused("501 5.")),
    Case("SMTPUTF8 not known", "postfix", "no utf8", script(*EHLO, "MAIL FROM:<j\u00f6rg@sender.example> SMTPUTF8\r\n".encode(), READ, *QUIT), "smtputf8-unsupported",
         "mail", "gateway", refused("555 5.5.4")),
    Case("SMTPUTF8 not declared", "postfix", "strict utf8", script(*EHLO, "MAIL FROM:<j\u00f6rg@sender.example>\r\n".encode(), READ, *QUIT), "smtputf8-undeclared",
         "mail", "sender", refused("553 5.6.7")),
    # Gateways in trouble. Postfix says of a table that was never built what it says of a wrong setting.
    Case("table missing, Postfix", "postfix", "table missing", swaks(), "server-misconfigured", "rcpt", "gateway", refused("451 4.3.5 <")),
    Case("setting wrong, Postfix", "postfix", "setting wrong", swaks(), "server-misconfigured", "rcpt", "gateway", refused("451 4.3.5")),
    Case("policy service down, Postfix", "postfix", "policy down", curl(), "server-misconfigured", "rcpt", "gateway", refused("451 4.3.5")),
    Case("disk full, Postfix", "postfix", "disk full", curl(), "storage-full", "mail", "gateway", refused("452 4.3.1")),
    Case("disk full, Exim", "exim", "disk full", swaks(), "storage-full", "mail", "gateway", refused("452 Space shortage")),
    Case("message rate, Postfix", "postfix", "message rate", script(*EHLO, "MAIL FROM:<ann@sender.example>\r\n", READ, "RSET\r\n", READ,
                                                                  "MAIL FROM:<ann@sender.example>\r\n", READ, *QUIT), "rate-limited", "mail", "policy", refused("450 4.7.1")),
]
