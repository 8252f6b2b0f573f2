"""Mail servers as senders: Exim, with BDAT and PIPECONNECT, and Postfix."""
from peers import senders_mta as mta
from peers.case import Case, gateway_says, sender_says
from peers.senders import BODY, HELO, body_of

SETTINGS = {
    ("smtp-sink", "no EHLO"): {"args": ["-f", "EHLO"]},
    ("smtp-sink", "plain"): {"args": []},
}
VIRUS = BODY.replace("hello", "EICAR-TEST-STANDARD")

CASES = [
    Case("Exim: unknown user, Postfix", "postfix", "plain", mta.exim(to=("nosuch@example.test",)), "rcpt-unknown-user", "rcpt", "sender",
         gateway_says("550 5.1.1 <nosuch")),
    Case("Exim: size declared, Postfix", "postfix", "plain", mta.exim(body=body_of(120000)), "size-declared-too-large", "mail", "policy",
         gateway_says("552 5.3.4")),
    # Exim sends the message with BDAT.
    Case("Exim: virus, Exim", "exim", "content", mta.exim(body=VIRUS), "content-virus", "end-of-data", "policy", gateway_says("550 This message contains")),
    Case("Exim: final reply awaited 3 s", "smtp-sink", "slow end", mta.exim(final_timeout="3s"), "left-before-final-reply", "end-of-data", "sender",
         sender_says("fin")),
    Case("Exim: greylisted", "postfix", "access", mta.exim(to=("ann@example.test",)), "greylisted", "rcpt", "policy", gateway_says("450 4.2.0 <ann")),
    Case("Postfix: unknown user, Exim", "exim", "plain", mta.postfix(to="nosuch@example.test"), "rcpt-unknown-user", "rcpt", "sender",
         gateway_says("550 Unknown user")),
    Case("Postfix: final reply awaited 3 s", "smtp-sink", "slow end", mta.postfix(smtp_data_done_timeout="3s"), "left-before-final-reply", "end-of-data",
         "sender", sender_says("fin")),
    Case("Postfix: greeting awaited 3 s", "exim", "slow greeting", mta.postfix(smtp_helo_timeout="3s"), "banner-sender-gave-up", "banner", "gateway",
         sender_says("fin")),
    Case("Postfix: put off, smtp-sink", "smtp-sink", "rcpt put off", mta.postfix(), "rcpt-temporary", "rcpt", "gateway", gateway_says("450 4.3.0")),
    # A Postfix that insists on TLS leaves where none is offered; a health check would look the same.
    Case("Postfix: TLS not offered", "smtp-sink", "plain", mta.postfix(smtp_tls_security_level="encrypt"), verdict="no-mail", notes=("tls-not-offered",)),
    # Nothing broke. The second of Exim's mails talks before the greeting, as it may.
    Case("Exim: BDAT, Postfix", "postfix", "plain", mta.exim(body=body_of(20000))),
    Case("Exim: PIPECONNECT, Exim", "exim", "pipeconnect", mta.exim(times=2, hosts_pipe_connect="*"), sessions=2, judged=1),
    Case("Postfix: Haraka", "haraka", "plain", mta.postfix()),
    Case("Postfix: chasquid", "chasquid", "plain", mta.postfix()),
    # EHLO is refused, HELO taken.
    Case("Postfix: HELO after EHLO", "smtp-sink", "no EHLO", mta.postfix()),
    Case("Postfix: STARTTLS", "postfix", "plain", mta.postfix(smtp_tls_security_level="may"), verdict="unknown"),
]
