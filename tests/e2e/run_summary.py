#!/usr/bin/env python3
"""Summaries of sessions that really went through the proxy: a mail that is greylisted and comes again, one whose final reply is
lost and that comes again, a sender that gives up after 3 s each time, one that never comes. Checks text, JSON and schema.
"""
import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

import jsonschema

sys.path.insert(0, str(Path(__file__).parent))
from lib import peers, store  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402

TIMEOUT = 20
GREYLISTED, LOST, IMPATIENT, ABSENT = "127.0.5.1", "127.0.6.2", "127.0.7.3", "127.0.8.4"  # a network each
BODY = b"Subject: once\r\n\r\nHello.\r\n.\r\n"


class Session:
    """One scripted session; each step waits until the other side has it."""

    def __init__(self, sender, gateway):
        self.sender, self.gateway = sender, gateway

    @classmethod
    async def open(cls, scope, gateway, source):
        sender, accepted, _ = await peers.pair(scope.port, gateway, source)
        return cls(sender, accepted)

    async def say(self, here, there, data):
        before = len(there.received)
        await here.send(data)
        assert await there.wait(before + len(data), TIMEOUT), f"{data!r} did not arrive"

    async def ask(self, command, reply):
        await self.say(self.sender, self.gateway, command)
        await self.say(self.gateway, self.sender, reply)

    async def hello(self):
        await self.say(self.gateway, self.sender, b"220 gw.example ESMTP\r\n")
        await self.ask(b"EHLO mx.sender.example\r\n", b"250 gw.example\r\n")
        await self.ask(b"MAIL FROM:<a@sender.example>\r\n", b"250 2.1.0 Ok\r\n")

    async def content(self):
        await self.ask(b"RCPT TO:<b@gw.example>\r\n", b"250 2.1.5 Ok\r\n")
        await self.ask(b"DATA\r\n", b"354 go\r\n")
        await self.say(self.sender, self.gateway, BODY)

    async def bye(self):
        await self.ask(b"QUIT\r\n", b"221 2.0.0 Bye\r\n")
        await self.end()

    async def end(self):
        for peer in (self.sender, self.gateway):
            peer.fin()
        for peer in (self.sender, self.gateway):
            await peer.wait_close(TIMEOUT)
            peer.close()


async def delivered(scope, gateway, source, queue_id):
    s = await Session.open(scope, gateway, source)
    await s.hello()
    await s.content()
    await s.say(s.gateway, s.sender, b"250 2.0.0 Ok: queued as " + queue_id + b"\r\n")
    await s.bye()


async def greylisted(scope, gateway):
    s = await Session.open(scope, gateway, GREYLISTED)
    await s.hello()
    await s.ask(b"RCPT TO:<b@gw.example>\r\n", b"450 4.2.0 <b@gw.example>: Recipient address rejected: Greylisted\r\n")
    await s.bye()
    await asyncio.sleep(2)
    await delivered(scope, gateway, GREYLISTED, b"AAA111")


async def lost_reply(scope, gateway):
    s = await Session.open(scope, gateway, LOST)
    await s.hello()
    await s.content()
    s.sender.fin()
    assert await s.gateway.wait_close(TIMEOUT) == "eof"
    await s.say(s.gateway, s.sender, b"250 2.0.0 Ok: queued as BBB222\r\n")
    await s.end()
    await asyncio.sleep(1)
    await delivered(scope, gateway, LOST, b"CCC333")


async def impatient(scope, gateway):
    s = await Session.open(scope, gateway, IMPATIENT)
    await asyncio.sleep(3)
    await s.end()


def summary(scope, *args, status=0):
    code, out, err = scope.cli("summary", "--store", scope.store, *args, check=False)
    assert code == status, f"summary {args}: status {code}, not {status}\n{out}\n{err}"
    assert "--json" in args or all(len(line) <= 100 for line in out.splitlines()), out
    return out


def check(scope, schema, live):
    validator = jsonschema.Draft7Validator(schema)
    senders = {}
    for line in summary(scope, "--json").splitlines():
        value = json.loads(line)
        validator.validate(value)
        senders[value["sender"]] = value
    assert set(senders) == {GREYLISTED, LOST, IMPATIENT}, set(senders)

    retry, = senders[GREYLISTED]["put_off"]["examples"]
    assert (retry["end"], retry["tries"], retry["code"]) == ("delivered", 2, 450), retry
    assert 1900 <= retry["took_ms"] < 15000, retry
    duplicate, = senders[LOST]["duplicates"]["examples"]
    assert [duplicate[which]["queue_id"] for which in ("first", "second")] == ["BBB222", "CCC333"], duplicate
    assert duplicate["same"] == "body" and duplicate["first"]["accepted"], duplicate
    silence, = [o for o in senders[IMPATIENT]["observations"] if o["kind"] == "same-silence"]
    assert "a limit of 3 s at the sender" in silence["text"], silence
    assert len(silence["sessions"]) == 3, silence
    assert all(not s["put_off"]["examples"] for ip, s in senders.items() if ip != GREYLISTED)
    assert all(not s["duplicates"]["examples"] for ip, s in senders.items() if ip != LOST)

    text = summary(scope)
    assert text.startswith(IMPATIENT), text  # most failures first
    assert "at the 2nd try" in text and "the gateway took both" in text, text
    # Other verdicts do not count, but the retry is found.
    only = json.loads(summary(scope, "--json", "--sender", GREYLISTED, "--code", "greylisted"))
    assert only["sessions"] == 1 and only["put_off"]["counts"]["delivered"] == 1, only

    absent = json.loads(summary(scope, "--json", "--sender", ABSENT, status=3))
    validator.validate(absent)
    assert len(absent["absent"]["watched"]) == 1, absent
    assert "saw no connection of it at all" in absent["absent"]["text"], absent
    assert ("still open" in absent["absent"]["text"]) == live, absent
    elsewhere = json.loads(summary(scope, "--json", "--sender", LOST, "--code", "greylisted", status=3))
    validator.validate(elsewhere)
    assert elsewhere["absent"]["stored"] == 2 and "no connection" not in elsewhere["absent"]["text"], elsewhere
    before = summary(scope, "--sender", ABSENT, "--until", "2020-01-01", status=3)
    assert "does not show whether the proxy was listening then" in " ".join(before.split()), before


async def run(options):
    schema = json.loads((options.source / "docs" / "summary.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    with tempfile.TemporaryDirectory(prefix="smtpscope-summary.") as folder:
        gateway = peers.Gateway()
        scope = Smtpscope(options.binary, gateway.port, Path(folder) / "store").start()
        try:
            await asyncio.gather(greylisted(scope, gateway), lost_reply(scope, gateway),
                                 *(impatient(scope, gateway) for _ in range(3)))
            await asyncio.to_thread(store.wait_transcripts, scope.store, 7)
            check(scope, schema, live=True)
        finally:
            scope.stop()
        check(scope, schema, live=False)
        (scope.store / "windows.log").unlink()
        unknown = summary(scope, "--sender", ABSENT, status=3)
        assert "does not show whether the proxy was listening then" in " ".join(unknown.split()), unknown
        gateway.close()
    print("summary: summary: greylisted and delivered, a duplicate, three give-ups and an absent sender were told, live and after")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
