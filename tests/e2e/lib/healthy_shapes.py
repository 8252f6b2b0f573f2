"""The shapes of healthy sessions: each plays one over a Client and gives back the verdict that its transcript must have.

A shape takes (client, dice) where dice is a random.Random. What it needs of the gateway stands in `needs` (EHLO keywords);
where that is not offered, it sends the same mail without.
"""
import base64

from peers.gateway import DOMAIN, LOGIN

JOE, ANN, NOBODY = f"joe@{DOMAIN}", f"ann@{DOMAIN}", f"nobody@{DOMAIN}"
FROM = "ann@sender.example"
HEADER = f"From: {FROM}\r\nTo: {JOE}\r\nSubject: test\r\n\r\n".encode()
ODD_LINES = ("Hello,", "", ".", "..", ".QUIT", "MAIL FROM:<x@y>", "DATA", "RSET", "BDAT 5 LAST", "250 ok", "421 bye", "x" * 990, "\ttab", "From me")


def body(dice, lines=None):
    """A message as DATA sends it, dots doubled, with the final dot line."""
    text = b""
    for _ in range(dice.randrange(12) if lines is None else lines):
        line = dice.choice(ODD_LINES)
        text += (("." if line.startswith(".") else "") + line + "\r\n").encode()
    return HEADER + text + b".\r\n"


def envelope(client, to=(JOE,), sender=FROM, options=""):
    client.ask(f"MAIL FROM:<{sender}>{options}")
    for address in to:
        client.ask(f"RCPT TO:<{address}>")


def one_message(client, dice, sender=FROM, options=""):
    envelope(client, sender=sender, options=options)
    client.ask("DATA", 3)
    client.send(body(dice))
    client.take()


def alone(client, dice):
    one_message(client, dice)
    client.quit()
    return "delivered"


def plain(client, dice):
    client.hello()
    return alone(client, dice)


def helo(client, dice):
    client.hello("HELO")
    return alone(client, dice)


def pipelined(client, dice):
    client.hello()
    if "PIPELINING" not in client.offers:
        return alone(client, dice)
    for number in range(dice.randint(1, 3)):  # some gateways end a session in which they refused three times
        recipients = [JOE] + dice.sample([ANN, f"bob@{DOMAIN}"], dice.randrange(3)) + [NOBODY] * (number == 0)
        client.send(f"MAIL FROM:<{FROM}>", *(f"RCPT TO:<{address}>" for address in recipients), "DATA")
        client.reply(2)
        for _ in recipients:
            client.reply(2, 5)
        client.reply(3)
        client.send(body(dice))
        client.take()
    client.quit()
    return "delivered"


def several(client, dice):
    client.hello()
    for number in range(dice.randint(2, 5)):
        if number and dice.random() < 0.4:
            client.ask("RSET")
        one_message(client, dice)
    client.quit()
    return "delivered"


def some_refused(client, dice):
    client.hello()
    client.ask(f"MAIL FROM:<{FROM}>")
    for address in dice.sample([JOE, NOBODY, ANN, f"{NOBODY[0]}2@{DOMAIN}"], 4):
        client.ask(f"RCPT TO:<{address}>", 2, 4, 5)
    client.ask("DATA", 3)
    client.send(body(dice))
    client.take()
    client.quit()
    return "delivered"


def with_idle_commands(client, dice):
    client.hello()
    for line in dice.sample(["NOOP", "RSET", "VRFY joe", "HELP", "NOOP again", "VRFY nobody"], 3):
        client.ask(line, 2, 5)
    envelope(client)
    client.ask("NOOP")
    client.ask("DATA", 3)
    client.send(body(dice))
    client.take()
    client.quit()
    return "delivered"


def given_up_and_sent_anew(client, dice):
    client.hello()
    envelope(client, (JOE, ANN))
    client.ask("RSET")
    one_message(client, dice)
    client.quit()
    return "delivered"


def callout(client, dice):
    """A server that asks whether an address exists."""
    client.hello()
    envelope(client, sender="")
    if dice.random() < 0.5:
        client.ask("RSET")
    client.quit()
    return "no-mail"


def probe(client, dice):
    client.hello(dice.choice(("EHLO", "HELO")))
    client.quit()
    return "no-mail"


def chunks(client, dice):
    client.hello()
    if "CHUNKING" not in client.offers:
        return alone(client, dice)
    envelope(client)
    parts = [HEADER] + [dice.choice((b"one\r\n", b"\r\n.\r\n", b"QUIT\r\n", b"z" * 900 + b"\r\n")) for _ in range(dice.randrange(4))]
    parts += [b""] * dice.randrange(2)  # only the last may be empty: Postfix and Exim refuse others
    sent = [f"BDAT {len(part)}{' LAST' if number == len(parts) else ''}\r\n".encode() + part for number, part in enumerate(parts, 1)]
    if "PIPELINING" in client.offers and dice.random() < 0.5:
        client.send(*sent)
        for _ in sent[1:]:
            client.reply(2)
    else:
        for chunk in sent[:-1]:
            client.send(chunk)
            client.reply(2)
        client.send(sent[-1])
    client.take()
    client.quit()
    return "delivered"


def slow(client, dice):
    """A thin line: the message comes in drops, its sender thinks between commands."""
    client.hello()
    envelope(client)
    client.ask("DATA", 3)
    client.drip(body(dice, 12), dice.randint(4, 12), dice.choice((0.1, 0.3, 0.7)))
    client.take()
    client.quit()
    return "delivered"


def letter_by_letter(client, dice):
    """As a person with telnet, or a device that writes each byte."""
    client.reply(2)
    for line, *allowed in (("EHLO device", 2), (f"MAIL FROM:<{FROM}>", 2), (f"RCPT TO:<{JOE}>", 2), ("DATA", 3)):
        client.drip(line.encode() + b"\r\n", len(line) + 2, 0.001)
        client.reply(*allowed)
    client.drip(body(dice, 2), 200, 0.001)
    client.take()
    client.quit()
    return "delivered"


def large(client, dice, size=30_000_000):
    client.hello()
    options = f" SIZE={size}" if "SIZE" in client.offers else ""
    envelope(client, options=options)
    client.ask("DATA", 3)
    row = b"The quick brown fox jumps over the lazy dog, again and again and again.\r\n"
    client.send(HEADER + row * (size // len(row)) + b".\r\n")
    client.take()
    client.quit()
    return "delivered"


def null_sender(client, dice):
    client.hello()
    one_message(client, dice, sender="")
    client.quit()
    return "delivered"


def eight_bit(client, dice):
    client.hello()
    envelope(client, options=" BODY=8BITMIME" if "8BITMIME" in client.offers else "")
    client.ask("DATA", 3)
    client.send(HEADER + ("déjà vu\r\n" if "8BITMIME" in client.offers else "deja vu\r\n").encode() + b".\r\n")
    client.take()
    client.quit()
    return "delivered"


def without_waiting_for_221(client, dice):
    client.hello()
    one_message(client, dice)
    client.send("QUIT")
    client.close()
    return "delivered"


def without_quit(client, dice):
    client.hello()
    one_message(client, dice)
    client.close()
    return "delivered"


def logged_in(client, dice):
    client.hello()
    if "PLAIN" in client.offers.get("AUTH", ()):
        user, password = LOGIN
        if dice.random() < 0.5 or "LOGIN" not in client.offers["AUTH"]:
            client.ask("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())
        elif client.ask("AUTH LOGIN", 2, 3) == 334:  # smtp-sink takes the word for the deed
            client.ask(base64.b64encode(user.encode()).decode(), 3)
            client.ask(base64.b64encode(password.encode()).decode())
    one_message(client, dice)
    client.quit()
    return "delivered"


def dsn(client, dice):
    client.hello()
    offered = "DSN" in client.offers
    client.ask(f"MAIL FROM:<{FROM}>" + (" RET=HDRS ENVID=QQ314159" if offered else ""))
    client.ask(f"RCPT TO:<{JOE}>" + (" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;joe@example.test" if offered else ""))
    client.ask("DATA", 3)
    client.send(body(dice))
    client.take()
    client.quit()
    return "delivered"


SHAPES = (plain, helo, pipelined, several, some_refused, with_idle_commands, given_up_and_sent_anew, callout, probe, chunks, slow,
          letter_by_letter, null_sender, eight_bit, without_waiting_for_221, without_quit, logged_in, dsn)
