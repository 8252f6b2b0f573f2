#!/usr/bin/env python3
"""Healthy mail between real servers and real clients: not one breakdown may be reported. Gateways: Postfix, Exim, OpenSMTPD,
Sendmail, chasquid, Haraka, aiosmtpd, smtp-sink. Senders: smtp-source, swaks, curl, nodemailer, smtplib, and a client of the
test's own that plays every shape of lib/healthy_shapes.py: pipelined, BDAT, several messages, refused recipients among accepted
ones, RSET, VRFY, callouts, slow lines, 30 MB, greylisted and then delivered.
"""
import argparse
import os
import random
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import healthy_shapes as shapes, store  # noqa: E402
from lib.healthy_client import Client, Unhealthy  # noqa: E402
from lib.smtpscope import Smtpscope, free_port  # noqa: E402
from peers import GATEWAYS, postfix, senders  # noqa: E402
from peers.aiosmtpd_gateway import TakesAll  # noqa: E402
from peers.case import Route  # noqa: E402
from peers.certificates import Certificates  # noqa: E402

AT_ONCE = 12
LARGE = 30_000_000
ROOM = str(2 * LARGE)
# How many of 100 sessions each kind of sender plays; a program that is started for each session costs the most.
SHARES = {"own": 62, "smtplib": 10, "smtp-source": 20, "swaks": 3, "curl": 3, "nodemailer": 2}


class Greylists(TakesAll):
    """Puts off senders that it does not know, and knows them the next time."""
    known, lock = set(), threading.Lock()

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        with self.lock:
            first = envelope.mail_from not in self.known
            self.known.add(envelope.mail_from)
        return "450 4.2.0 Greylisted, please try again" if first else await super().handle_RCPT(server, session, envelope, address, rcpt_options)


# Room for 30 MB, and no limits that a test on a busy machine runs into.
SETTINGS = {
    "postfix": {"smtpd_client_connection_count_limit": "0", "smtpd_timeout": "300s"},
    "exim": {"message_size_limit": "100M", "smtp_accept_max": "0", "smtp_accept_max_nonmail": "50", "smtp_load_reserve": "1000"},
    "opensmtpd": {},
    "sendmail": {"confMAX_MESSAGE_SIZE": ROOM, "confREFUSE_LA": "1000", "confQUEUE_LA": "1000", "confDELAY_LA": "0"},
    "chasquid": {"max_data_size_mb": 100},
    "haraka": {},
    "aiosmtpd": {"data_size_limit": 2 * LARGE},
    "smtp-sink": {},
}
postfix.MAIN["message_size_limit"] = ROOM  # its cleanup has no limit of its own for a port
TAKES_LARGE = ("postfix", "exim", "sendmail", "aiosmtpd", "smtp-sink")


class Pair:
    """A gateway with the smtpscope before it, and what was played there."""

    def __init__(self, name, gateway, port, scope):
        self.name, self.gateway, self.port, self.scope = name, gateway, port, scope
        self.expected = {}           # (ip, port): (verdict, accepted messages, shape); of clients whose port is known
        self.programs = Counter()    # ip: sessions; of programs
        self.senders = {}            # ip: sender


class Healthy:
    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        os.chmod(folder, 0o755)
        self.certificates = Certificates(self.folder / "certificates")
        self.pairs, self.left_out, self.failures, self.lock = [], [], [], threading.Lock()
        self.kinds, self.sources = set(), 0

    def start(self):
        wanted = [(name, name, SETTINGS[name]) for name in SETTINGS]
        wanted.append(("greylisting", "aiosmtpd", {"handler": Greylists}))
        for label, name, settings in wanted:
            if reason := GATEWAYS[name].missing():
                self.left_out.append(f"{name}: {reason}")
                continue
            gateway, port = GATEWAYS[name](self.folder / label, self.certificates), free_port()
            gateway.start(port, settings)
            self.pairs.append(Pair(label, gateway, port, Smtpscope(self.options.binary, port, self.folder / f"store-{label}").start()))

    def stop(self):
        for pair in self.pairs:
            for what in (pair.scope, pair.gateway):
                try:
                    what.stop()
                except (AssertionError, OSError, subprocess.SubprocessError) as error:
                    self.failures.append(f"stop: {error!r}"[:1000])

    def source(self):
        """An address that no other session has: ports are used again in a long run."""
        with self.lock:
            self.sources += 1
            return f"127.1.{self.sources // 250}.{self.sources % 250 + 1}"

    def own(self, pair, shape, seed):
        """One session of the test's own client."""
        client, dice = Client("127.0.0.1", pair.scope.port, self.source()), random.Random(seed)
        try:
            told = shape(client, dice)
        except (Unhealthy, OSError) as error:
            client.close()
            with self.lock:
                self.failures.append(f"{pair.name}, {shape.__name__}: the session itself was not healthy: {error}"[:600])
                pair.expected[client.address] = None
            return
        with self.lock:
            pair.expected[client.address] = (told, client.taken, shape.__name__)
            self.kinds.add((pair.name, "own"))

    def greylisted(self, pair, number):
        """Twice: put off, then taken."""
        address = f"a{number}@sender.example"

        def put_off(client, dice):
            client.hello()
            client.ask(f"MAIL FROM:<{address}>")
            client.ask(f"RCPT TO:<{shapes.JOE}>", 4)
            client.quit()
            return "greylisted"

        def taken(client, dice):
            client.hello()
            shapes.one_message(client, dice, sender=address)
            client.quit()
            return "delivered"
        for shape in (put_off, taken):
            self.own(pair, shape, number)

    def smtplib(self, pair, seed):
        dice = random.Random(seed)
        with smtplib.SMTP("127.0.0.1", pair.scope.port, local_hostname="mx.sender.example", timeout=60, source_address=(self.source(), 0)) as client:
            address = client.sock.getsockname()[:2]
            client.ehlo()
            many = dice.randint(1, 3)
            for sent in range(many):
                to = [shapes.JOE] + ([shapes.NOBODY] if sent == 0 and dice.random() < 0.5 else [])
                client.sendmail(shapes.FROM, to, shapes.HEADER + b"hello\r\n.dot\r\n")
        with self.lock:
            pair.expected[address] = ("delivered", many, "smtplib")
            self.kinds.add((pair.name, "smtplib"))

    def program(self, pair, sender, number, sessions, send):
        """A program that makes `sessions` connections, all healthy; known by its address."""
        source = f"127.0.{10 + list(SHARES).index(sender)}.{number % 250 + 1}"
        folder = self.folder / "senders" / f"{pair.name}-{sender}-{number}"
        folder.mkdir(parents=True)
        send(Route("127.0.0.1", pair.scope.port, source, folder, self.certificates, pair.gateway, pair.port))
        with self.lock:
            pair.programs[source] += sessions
            pair.senders[source] = sender
            self.kinds.add((pair.name, sender))

    def jobs(self, count):
        """What is played, as (function, arguments), `count` sessions in all."""
        dice, jobs, made = random.Random(self.options.seed), [], 0
        pairs = [p for p in self.pairs if p.name != "greylisting"]
        for number in range(max(1, count // 2000)):
            for pair in pairs:
                if pair.name in TAKES_LARGE:
                    jobs.append((self.own, (pair, shapes.large, number)))
                    made += 1
        for number in range(1, min(250, max(3, count // 200)) + 1):
            for pair in self.pairs:
                if pair.name == "greylisting":
                    jobs.append((self.greylisted, (pair, number)))
                    made += 2
        programs = {"swaks": lambda: senders.swaks(*dice.choice(((), ("--pipeline",)))), "curl": lambda: senders.curl(),
                    "nodemailer": lambda: senders.nodemailer()}
        if senders.nodemailer().needs():
            programs.pop("nodemailer")
            self.left_out.append("nodemailer")
        for sender, make in programs.items():
            for number in range(max(len(pairs), count * SHARES[sender] // 100)):
                jobs.append((self.program, (pairs[number % len(pairs)], sender, number, 1, make())))
                made += 1
        bulk, each = count * SHARES["smtp-source"] // 100, 20
        for number in range(max(len(pairs), bulk // each)):
            pair = pairs[number % len(pairs)]
            jobs.append((self.program, (pair, "smtp-source", number, each, lambda route: self.smtp_source(route, each))))
            made += each
        for number in range(count * SHARES["smtplib"] // 100):
            jobs.append((self.smtplib, (pairs[number % len(pairs)], number)))
            made += 1
        number = 0
        while made < count:
            pair, shape = pairs[number % len(pairs)], shapes.SHAPES[(number // len(pairs)) % len(shapes.SHAPES)]
            jobs.append((self.own, (pair, shape, self.options.seed * 1_000_003 + number)))
            number, made = number + 1, made + 1
        dice.shuffle(jobs)
        return jobs, made

    @staticmethod
    def smtp_source(route, messages):
        """smtp-source makes a connection for each message; it takes no source address, so all come from 127.0.0.1."""
        done = subprocess.run(["smtp-source", "-s", "3", "-m", str(messages), "-l", "3000", "-f", shapes.FROM, "-t", shapes.JOE,
                               f"127.0.0.1:{route.port}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"smtp-source: {done.stderr[-600:]}"

    def play(self, jobs):
        def one(job):
            function, arguments = job
            try:
                function(*arguments)
            except Exception as error:  # noqa: BLE001: what cannot be played is a failure
                with self.lock:
                    self.failures.append(f"{arguments[0].name}, {function.__name__}: {error!r}"[:800])
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, jobs))

    def judge(self, made):
        verdicts, notes, checked = Counter(), Counter(), 0
        validator = store.Validator(self.options.source)
        for pair in self.pairs:
            expected = len(pair.expected) + sum(pair.programs.values())
            deadline = time.monotonic() + 30
            while store.count_lines(pair.scope.store) < expected and time.monotonic() < deadline:
                time.sleep(0.1)
            found = store.transcripts(pair.scope.store)
            by_ip = Counter()
            for t in found:
                checked += 1
                verdicts[t["verdict"]] += 1
                notes.update(note["code"] for note in t["notes"])
                if checked % 20 == 0:
                    validator.check(t)
                key = (t["sender"]["ip"], t["sender"]["port"])
                by_ip[key[0]] += 1
                self.failures += [f"{pair.name}: {text}" for text in self.wrong(pair, t, key)]
            if len(found) != expected:
                self.failures.append(f"{pair.name}: {len(found)} transcripts of {expected} sessions")
        return verdicts, notes, checked, validator.checked

    def wrong(self, pair, t, key):
        """Yields what of a transcript is not healthy."""
        due = pair.expected.get(key, ("delivered", None, self.sender_of(pair, key[0])))
        if due is None:
            return
        verdict, taken, shape = due
        said = t["breakdown"]["code"] if t["breakdown"] else ""
        if verdict == "greylisted":
            if (t["verdict"], said) != ("breakdown", "greylisted"):
                yield f"put off by greylisting: {t['verdict']} {said}"
            return
        if t["verdict"] != verdict or said:
            yield f"{shape}: verdict {t['verdict']} {said}, {verdict} is due: {t['summary']}\n" + "".join(
                f"    {e['at_ms']} {e['from']} {e['kind']} {e.get('text', e.get('head', e.get('how', '')))[:120]!r}\n" for e in t["events"][:40])
        accepted = sum(m["accepted"] for m in t["messages"])
        if taken is not None and accepted != taken:
            yield f"{shape}: {accepted} messages accepted by the transcript, {taken} by the client"

    @staticmethod
    def sender_of(pair, ip):
        return pair.senders.get(ip, "smtp-source")


def run(options):
    if os.geteuid() != 0:
        print("skipped: healthy mail: not root")
        return 77
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="smtpscope-healthy.") as folder:
        healthy = Healthy(options, folder)
        try:
            healthy.start()
            jobs, made = healthy.jobs(options.sessions)
            healthy.play(jobs)
            verdicts, notes, checked, validated = healthy.judge(made)
        finally:
            healthy.stop()
    for failure in healthy.failures[:30]:
        print("FAILED:", failure)
    for reason in healthy.left_out:
        print("NOT RUN HERE:", reason)
    print(f"notes: {dict(notes.most_common())}")
    print(f"summary: healthy mail: {checked} sessions of {len(healthy.kinds)} pairs of gateway and sender in {time.monotonic() - started:.0f} s, "
          f"verdicts {dict(verdicts)}, {validated} transcripts validated, {len(healthy.failures)} failures" +
          (f"; NOT RUN HERE: {len(healthy.left_out)}" if healthy.left_out else ""))
    return 1 if healthy.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--sessions", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(run(parser.parse_args()))


if __name__ == "__main__":
    main()
