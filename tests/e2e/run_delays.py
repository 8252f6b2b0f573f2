#!/usr/bin/env python3
"""What a late greeting or reply is waiting for, by what tells the causes apart: a real Postfix with postscreen (a pause between
two lines of its greeting) and one that slows down senders that make errors; a scripted gateway that pauses before its
greeting, is slow for many senders at once, or asks port 113 of a sender whose host does not answer (in a capture of tcpdump's
kind). Needs root for Postfix; ends with 77 without it.
"""
import asyncio
import json
import os
import shutil
import smtplib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import command_line, pcap, peers, store  # noqa: E402
from lib.postfix import Postfix  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402


def codes(t):
    return [n["code"] for n in t["notes"]] + ([t["breakdown"]["code"]] if t["breakdown"] else [])


def observations(scope, sender):
    """{kind: text} of this sender, among all."""
    lines = scope.cli("summary", "--store", scope.store, "--json")[1].splitlines()
    return {o["kind"]: o["text"] for line in lines for s in [json.loads(line)] if s["sender"] == sender for o in s["observations"]}


def send(port, source, recipients):
    with smtplib.SMTP("127.0.0.1", port, "mx.sender.example", timeout=60, source_address=(source, 0)) as client:
        client.ehlo()
        client.mail("a@sender.example")
        for recipient in recipients:
            client.rcpt(recipient)
        client.rset()


# ------------------------------------------------------------------ real Postfix

def postscreen(options, folder):
    """A sender meets the pause of 6 s three times, between `220-` and `220`; each session says so, and the summary that it is policy."""
    postfix = Postfix(folder / "postfix", postscreen=True).start()
    scope = Smtpscope(options.binary, postfix.port, folder / "store").start()
    try:
        with ThreadPoolExecutor(3) as pool:
            # All at once, since postscreen knows a sender that has waited. Once directly before, which starts smtpd: its
            # start is no part of the pause.
            for port, source in ((postfix.port, "127.0.21.9"), (scope.port, "127.0.21.1")):
                list(pool.map(lambda _: send(port, source, ["b@example.test"]), range(3)))
        found = store.wait_transcripts(scope.store, 3, 20)
        for t in found:
            note = next((n for n in t["notes"] if n["code"] == "banner-paused"), None)
            assert note and note["party"] == "policy" and note["phase"] == "banner", (codes(t), t["events"][:3])
            greeting = t["events"][note["event"]]
            assert greeting["end_ms"] - greeting["at_ms"] > 5000, greeting
            store.Validator(options.source).check(t)
        seen = observations(scope, "127.0.21.1")
        assert "policy" in seen.get("greeting-pause", ""), (seen, [t["events"][1] for t in found])
        scope.stop()
    finally:
        scope.kill()
        postfix.stop()


def error_sleep(options, folder):
    """Postfix answers late once a sender has made errors."""
    postfix = Postfix(folder / "postfix", settings={"smtpd_soft_error_limit": "1", "smtpd_error_sleep_time": "2s",
                                                    "smtpd_hard_error_limit": "50"}).start()
    scope = Smtpscope(options.binary, postfix.port, folder / "store").start()
    try:
        send(scope.port, "127.0.21.2", ["b@example.test", *(f"no{i}@@" for i in range(5))])
        (t,) = store.wait_transcripts(scope.store, 1, 20)
        note = next((n for n in t["notes"] if n["code"] == "tarpit"), None)
        assert note and note["party"] == "policy", (codes(t), [(e.get("gap_ms"), e.get("text")) for e in t["events"]])
        assert t["events"][note["event"]]["code"] >= 500, t["events"][note["event"]]
        scope.stop()
    finally:
        scope.kill()
        postfix.stop()


# ------------------------------------------------------------------ a scripted gateway

async def greeted(scope, gateway, source, delay):
    sender, gate, _ = await peers.pair(scope.port, gateway, source)
    await asyncio.sleep(delay)
    await gate.send(b"220 gw.example ESMTP\r\n")
    assert await sender.wait(22, 30)
    await sender.send(b"QUIT\r\n")
    await gate.wait(6, 10)
    await gate.send(b"221 bye\r\n")
    sender.fin()
    gate.fin()
    await sender.wait_close(10)


def scripted(options, folder, sessions):
    """Sessions [(source, delay)], all at once; the proxy, stopped, with their transcripts in its store."""
    async def run():
        gateway = peers.Gateway()
        scope = Smtpscope(options.binary, gateway.port, folder / "store").start()
        try:
            await asyncio.gather(*(greeted(scope, gateway, *session) for session in sessions))
            await asyncio.to_thread(store.wait_transcripts, scope.store, len(sessions), 20)
            await asyncio.to_thread(scope.stop)
        finally:
            scope.kill()
            gateway.close()
        return scope
    return asyncio.run(run())


def pause(options, folder):
    """A gateway that greets after 5 s each time: policy, or the time-out of a look-up, and no more is claimed."""
    scope = scripted(options, folder, [("127.0.22.1", 5.02)] * 4)
    seen = observations(scope, "127.0.22.1")
    assert "policy" in seen.get("greeting-pause", "") and "resolvers" in seen["greeting-pause"], seen
    assert "slow-for-all" not in seen, seen
    for t in store.transcripts(scope.store):
        assert "banner-slow" in codes(t) and "tarpit" not in codes(t), codes(t)
        why = next(n["why"] for n in t["notes"] if n["code"] == "banner-slow")
        assert "multiple of 5 s" in why and "would" in why, why


def load(options, folder):
    """Five senders of different networks are greeted late, each after another time."""
    scope = scripted(options, folder, [(f"127.0.{30 + i}.1", 3.4 + 1.3 * i) for i in range(5)])
    seen = observations(scope, "127.0.31.1")
    assert "load" in seen.get("slow-for-all", "") and "greeting-pause" not in seen, seen


# ------------------------------------------------------------------ captures

def ident(options, folder):
    """A capture in which the gateway asks port 113 of the sender, gets no answer, and greets then; beside it a sender whose
    host refuses the question, and one of which another host was asked."""
    capture = pcap.Capture()
    for number, (answer, asked) in enumerate((("none", True), ("reset", True), ("none", False)), 1):
        sender, gateway, at = f"192.0.2.{number}", "198.51.100.25", 100.0 * number
        session = capture.connection((sender, 41000), (gateway, 25), at)
        for wait in (0.01, 1.0, 3.0):
            capture.syn((gateway, 51000), (sender if asked else "203.0.113.77", 113), at + wait)
            if answer == "reset":
                capture.reset((sender, 113), (gateway, 51000), at + wait + 0.001)
                break
        session.say("gateway", b"220 gw.example ESMTP\r\n", at + 7.2)
        for who, line in (("sender", b"EHLO a.example\r\n"), ("gateway", b"250 gw.example\r\n"), ("sender", b"QUIT\r\n"),
                          ("gateway", b"221 bye\r\n")):
            session.say(who, line, at + 7.5)
        session.end(at + 8)
    left, at = capture.connection(("192.0.2.4", 41000), ("198.51.100.25", 25), 400.0), 400.0  # and one that does not wait so long
    for wait in (0.01, 1.0, 3.0, 7.0, 15.0):
        capture.syn(("198.51.100.25", 51000), ("192.0.2.4", 113), at + wait)
    left.end(at + 30, first="sender")
    path = folder / "ident.pcap"
    path.write_bytes(capture.bytes())
    shark = subprocess.run(["tshark", "-n", "-r", str(path), "-Y", "tcp.port == 113"], capture_output=True, text=True, check=True)
    assert len(shark.stdout.splitlines()) == 13, shark.stdout
    done = subprocess.run([options.binary, "analyze", str(path), "--json", "--store", str(folder / "store")], capture_output=True,
                          text=True, check=True)
    found = {t["sender"]["ip"]: t for t in map(json.loads, done.stdout.splitlines())}
    for t in found.values():
        store.Validator(options.source).check(t)
    asked = found["192.0.2.1"]
    note = next((n for n in asked["notes"] if n["code"] == "banner-slow-ident-seen"), None)
    assert note and note["confidence"] == "likely" and "113" in note["why"], codes(asked)
    assert asked["sender"]["ident"]["outcome"] == "no-answer", asked["sender"]
    assert found["192.0.2.2"]["sender"]["ident"]["outcome"] == "refused", found["192.0.2.2"]["sender"]
    assert "ident" not in found["192.0.2.3"]["sender"], found["192.0.2.3"]["sender"]
    for ip in ("192.0.2.2", "192.0.2.3"):
        assert "banner-slow-ident-seen" not in codes(found[ip]) and "banner-slow" in codes(found[ip]), codes(found[ip])
    broken = found["192.0.2.4"]["breakdown"]
    assert broken and broken["code"] == "banner-slow-ident" and broken["phase"] == "banner", codes(found["192.0.2.4"])
    for filed in store.recordings(folder / "store"):
        again = json.loads(subprocess.run([options.binary, "show", str(filed), "--format", "json"], capture_output=True, text=True,
                                          check=True).stdout)
        assert again["sender"] == found[again["sender"]["ip"]]["sender"], again["sender"]


CASES = (postscreen, error_sleep, pause, load, ident)


def main():
    options = command_line.parser(__doc__, only=True).parse_args()
    if os.geteuid() != 0 or shutil.which("postfix") is None:
        print("skipped: Postfix is not here, or this is not root")
        sys.exit(77)
    failures = ran = 0
    with tempfile.TemporaryDirectory(prefix="smtpscope-delays.") as folder:
        for case in CASES:
            if options.only not in case.__name__:
                continue
            ran += 1
            own = Path(folder) / case.__name__
            own.mkdir()
            try:
                case(options, own)
                print(f"ok      {case.__name__}", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError, smtplib.SMTPException) as error:
                failures += 1
                print(f"FAILED: {case.__name__}: {error!r}"[:3000], flush=True)
    print(f"summary: delays: {ran} cases, {failures} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
