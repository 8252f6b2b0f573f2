#!/usr/bin/env python3
"""Senders by name, against a name server made for the test: hosts, mx: and spf: with includes, loops, limits, IPv6, answers over
TCP, time-outs, failures and changes; domains, whose sessions are held until the sender's name is known and then kept or forgotten
without a trace; names in `exclude`. Mail flows at once in every case.
"""
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import command_line, store  # noqa: E402
from lib.dns import A, AAAA, CNAME, DROP, MX, PTR, SERVFAIL, TXT, NameServer, Records, reverse  # noqa: E402
from lib.smtp import Delivery, SimpleGateway  # noqa: E402
from lib.smtpscope import Smtpscope, free_port  # noqa: E402

PATIENCE = 60  # the machine may be busy; what is waited for comes in a tenth of it


class Scope(Smtpscope):
    """A proxy with a configuration, a store and a log of its own."""

    def __init__(self, options, folder, name, gateway, names, capture, **more):
        folder = folder / name
        folder.mkdir()
        super().__init__(options.binary, gateway.port, folder / "store")
        self.file, self.control = folder / "smtpscope.jsonc", free_port()
        self.base = {"listeners": [{"address": f"127.0.0.1:{self.port}"}, {"address": f"[::1]:{self.port}"}],
                     "gateway": {"address": f"127.0.0.1:{gateway.port}"}, "store": {"path": str(folder / "store")},
                     "control": {"listen": f"127.0.0.1:{self.control}"}, "workers": 2,
                     "dns": {"resolver": f"127.0.0.1:{names.port}"}} | more
        self.write(capture)
        self.command = [self.binary, "run", "--config", str(self.file)]

    def write(self, capture):
        self.file.write_text(json.dumps(self.base | {"capture": capture}, indent=1))

    async def logged(self, *texts, since=0):
        """Waits for all of these in the log."""
        deadline = time.monotonic() + PATIENCE
        while missing := [text for text in texts if text not in self.log()[since:]]:
            assert time.monotonic() < deadline, f"not in the log: {missing}\n{self.log()}"
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)  # the workers take the new filter at the next turn of their loops

    async def metrics(self):
        def get():
            with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/metrics", timeout=PATIENCE) as answer:
                return answer.read().decode()
        lines = (await asyncio.to_thread(get)).splitlines()
        return {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")
                and line.rsplit(" ", 1)[1].isdigit()}

    async def metric(self, name, value):
        deadline = time.monotonic() + PATIENCE
        while (now := (await self.metrics()).get("smtpscope_" + name)) != value:
            assert time.monotonic() < deadline, f"{name} is {now}, not {value}\n{self.log()}"
            await asyncio.sleep(0.1)


async def mail(scope, source, **how):
    delivery = await Delivery().run(scope.port, source, host="::1" if ":" in source else "127.0.0.1", **how)
    assert delivery.error is None and delivery.ended_at, f"a mail of {source} failed: {delivery.error}"
    return delivery


async def captured(scope, count):
    """{address: entry} of all sessions in the store, once `count` are there."""
    found = await asyncio.to_thread(store.wait_transcripts, scope.store, count, PATIENCE)
    return {t["sender"]["ip"]: t["capture"]["filter"] for t in found}


def no_trace(scope, *texts):
    """Not one of these in any file of the store, nor in its names, nor in the log."""
    for path in [Path(scope.store), *Path(scope.store).rglob("*")]:
        content = path.read_bytes() if path.is_file() else b""
        for text in texts:
            assert text not in path.name and text.encode() not in content, f"{text} is in {path}"
    for text in texts:
        assert text not in scope.log(), f"{text} is in the log:\n{scope.log()}"


def spf(*terms, **how):
    return Records("v=spf1 " + " ".join(terms), **how)


ADDRESSES = {
    ("host.example", A): Records("127.0.10.1", "127.0.10.2"),
    ("host.example", AAAA): Records("::1"),
    ("mx.example", MX): Records((10, "a.mx.example"), (20, "b.mx.example")),
    ("a.mx.example", A): Records("127.0.11.1"),
    ("b.mx.example", CNAME): Records("c.mx.example"),
    ("c.mx.example", A): Records("127.0.11.2"),
    ("null.example", MX): Records((0, "")),
    ("spf.example", TXT): Records("v=spf1 include:_a.spf.example -ip4:127.0.12.9 ip4:127.0.12.8/29 exists:%{i}.spf.example -all",
                                  "something else"),
    ("_a.spf.example", TXT): spf("include:_b.spf.example", "a:one.spf.example/31", "?all"),
    ("_b.spf.example", TXT): spf("ip6:2001:db8::/32", *(f"ip4:127.0.13.{i}" for i in range(0, 200, 2)), "-all", big=True),
    ("one.spf.example", A): Records("127.0.14.4"),
    ("loop.example", TXT): spf("ip4:127.0.15.1", "include:back.example", "ip4:127.0.15.2"),
    ("back.example", TXT): spf("include:loop.example"),
    ("many.example", TXT): spf(*(f"a:h{i}.many.example" for i in range(11))),
    **{(f"h{i}.many.example", A): Records(f"127.0.16.{i}") for i in range(11)},
    ("two.example", TXT): Records("v=spf1 ip4:127.0.17.1", "v=spf1 ip4:127.0.17.2"),
    ("silent.example", A): DROP, ("silent.example", AAAA): DROP,
}


async def addresses(options, folder, gateway):
    """Each kind of name, and what is wrong with some of them; a name server that is silent for one holds nothing up."""
    names = await NameServer(dict(ADDRESSES)).start()
    senders = ["Host.example", "mx:mx.example", "SPF:spf.example", "spf:loop.example", "spf:many.example", "spf:two.example",
               "silent.example", "mx:null.example", "gone.example"]
    scope = Scope(options, folder, "addresses", gateway, names, {"senders": senders}).start()
    try:
        await scope.logged("sender host.example: 127.0.10.1-127.0.10.2, ::1", "sender mx:mx.example: 127.0.11.1-127.0.11.2",
                           "left out: \"exists:%{i}.spf.example\" (it depends on the session)",
                           "the SPF record of loop.example leads back to itself",
                           "the SPF record needs more than 10 look-ups", "two.example has 2 SPF records",
                           "mx:null.example cannot be resolved: it says that it takes no mail (null MX); it matches nobody",
                           "gone.example cannot be resolved: there is no such host")
        wanted = {"127.0.10.2": "Host.example", "::1": "Host.example", "127.0.11.1": "mx:mx.example",
                  "127.0.11.2": "mx:mx.example", "127.0.12.10": "SPF:spf.example", "127.0.13.198": "SPF:spf.example",
                  "127.0.14.5": "SPF:spf.example", "127.0.15.1": "spf:loop.example", "127.0.16.9": "spf:many.example"}
        others = ["127.0.10.3", "127.0.12.9", "127.0.13.1", "127.0.14.6", "127.0.15.2", "127.0.16.10", "127.0.17.1"]
        for source in others + list(wanted):
            await mail(scope, source)
        found = await captured(scope, len(wanted))
        assert found == wanted, (found, wanted)
        assert names.tcp_asked > 0, "no look-up over TCP"
        await scope.logged("sender silent.example cannot be resolved", "of silent.example: no answer in time")
        assert (await scope.metrics())['smtpscope_sender_names{state="resolved"}'] == 3
        scope.stop()
    finally:
        scope.kill()
        names.close()


async def changes(options, folder, gateway):
    """Answers change when their TTL is over; a failure keeps the last good one; what failed recovers."""
    zone = {("change.example", A): Records("127.0.20.1", ttl=1), ("late.example", A): SERVFAIL, ("late.example", AAAA): SERVFAIL}
    names = await NameServer(zone).start()
    scope = Scope(options, folder, "changes", gateway, names, {"senders": ["change.example", "late.example"]}).start()
    try:
        await scope.logged("sender change.example: 127.0.20.1", "sender late.example cannot be resolved: A of late.example")
        await mail(scope, "127.0.20.1")
        zone["change.example", A] = Records("127.0.20.2", ttl=1)
        zone["late.example", A] = Records("127.0.21.1")
        del zone["late.example", AAAA]
        await scope.logged("sender change.example: 127.0.20.2", "sender late.example: 127.0.21.1")
        for source in ("127.0.20.2", "127.0.21.1"):
            await mail(scope, source)
        before = len(scope.log())
        zone["change.example", A] = SERVFAIL
        await scope.logged("change.example cannot be resolved: A of change.example", "its last good answer stays in force: 127.0.20.2",
                           since=before)
        await mail(scope, "127.0.20.2")
        assert (await scope.metrics())['smtpscope_sender_names{state="kept"}'] == 1
        asked = len([1 for name, _ in names.asked if name == "change.example"])
        scope.signal(signal.SIGHUP)  # asks anew at once
        await scope.logged("configuration loaded anew")
        deadline = time.monotonic() + PATIENCE
        while len([1 for name, _ in names.asked if name == "change.example"]) == asked:
            assert time.monotonic() < deadline, "a reload does not look up anew what had failed"
            await asyncio.sleep(0.05)
        assert scope.log()[before:].count("change.example cannot be resolved") == 1, scope.log()
        found = await asyncio.to_thread(store.wait_transcripts, scope.store, 4, PATIENCE)
        assert [t["sender"]["ip"] for t in sorted(found, key=lambda t: t["id"])] == [
            "127.0.20.1", "127.0.20.2", "127.0.21.1", "127.0.20.2"], found
        await mail(scope, "127.0.20.1")  # no longer its address
        scope.stop()
        assert len(store.transcripts(scope.store)) == 4
    finally:
        scope.kill()
        names.close()


def host(ip, name, forward=None, **how):
    """A sender's PTR, and the address of that name."""
    kind = AAAA if ":" in ip else A
    return {(reverse(ip), PTR): Records(name, **how), (name, kind): Records(forward or ip)}


DOMAIN = {
    **host("127.0.30.1", "slow.partner.example", delay=2.0),
    **host("127.0.30.2", "mail.other.example", delay=1.0),
    **host("127.0.30.3", "forged.partner.example", forward="127.0.30.99"),
    (reverse("127.0.30.4"), PTR): DROP,
    **host("127.0.30.5", "second.partner.example"),
    (reverse("127.0.30.5"), PTR): Records("first.other.example", "second.partner.example"),
    (reverse("127.0.30.6"), PTR): SERVFAIL,
    **host("127.0.30.8", "big.partner.example", delay=3.0),
    **host("127.0.30.11", "huge.partner.example", delay=3.0),
    **host("::1", "six.deep.partner.example", delay=0.5),
    ("list.example", A): Records("127.0.30.9"),
}
SECRET = "Subject: nobody may read this\r\n\r\nxyzzy-plugh\r\n".encode()


async def domain(options, folder, gateway):
    """Relayed at once, held until the sender's name is known, then kept or forgotten; only what is kept counts."""
    names = await NameServer(dict(DOMAIN)).start()
    scope = Scope(options, folder, "domain", gateway, names,
                  {"senders": [".partner.example", "127.0.30.7", "list.example"], "sessions": 7}).start()
    strangers = ["127.0.30.2", "127.0.30.3", "127.0.30.6", "127.0.30.10"]
    try:
        await scope.logged("sender list.example: 127.0.30.9")
        for _ in range(3):  # more of them than the window has sessions
            await asyncio.gather(*(mail(scope, ip, body=SECRET) for ip in strangers))
        await scope.metric('forgotten_sessions_total{reason="name"}', 9)
        await scope.metric('forgotten_sessions_total{reason="dns"}', 3)
        held = asyncio.create_task(mail(scope, "127.0.30.4", body=SECRET))
        big = b"Subject: big\r\n\r\n" + b"x" * 76 + b"\r\n"
        big += (b"y" * 76 + b"\r\n") * 40000
        began = time.monotonic()
        await asyncio.gather(mail(scope, "127.0.30.1"), mail(scope, "127.0.30.8", body=big),
                             mail(scope, "127.0.30.11", body=b"Subject: huge\r\n\r\n" + 2 * big[16:]), mail(scope, "::1", pause=0.3))
        for ip in ("127.0.30.5", "127.0.30.7", "127.0.30.9"):
            await mail(scope, ip)
        wanted = {"127.0.30.1": ".partner.example", "127.0.30.5": ".partner.example", "127.0.30.8": ".partner.example",
                  "127.0.30.11": ".partner.example",
                  "::1": ".partner.example", "127.0.30.7": "127.0.30.7", "127.0.30.9": "list.example"}
        assert await captured(scope, len(wanted)) == wanted
        await held
        await scope.metric('forgotten_sessions_total{reason="dns"}', 4)
        assert time.monotonic() - began < PATIENCE
        await scope.logged("window config is over (all its sessions have come): 7 sessions: ")
        await mail(scope, "127.0.30.5", body=SECRET)  # the window is over
        found = {t["sender"]["ip"]: t for t in store.transcripts(scope.store)}
        validator = store.Validator(options.source)
        for transcript in found.values():
            validator.check(transcript)
        small, large, huge = found["127.0.30.1"], found["127.0.30.8"], found["127.0.30.11"]
        for transcript in (small, large):
            assert transcript["capture"]["complete"] and transcript["verdict"] == "delivered", transcript["summary"]
        # More than may be held of a session is a hole, and told; its mail went on. (Unless it was slower than its name.)
        assert huge["capture"]["complete"] or huge["capture"]["loss"] == "memory", huge["capture"]
        assert huge["streams"]["sender"]["bytes"] > 2 * (len(big) - 16) > huge["streams"]["gateway"]["bytes"]
        scope.stop()
        store.check_recording(large["_file"].with_suffix(".pcapng"))
        again = json.loads(scope.cli("show", small["id"], "--store", scope.store, "--format", "json")[1])
        assert again["events"] == small["events"]
        no_trace(scope, *strangers, "127.0.30.4", "xyzzy-plugh", "other.example")
        assert len(store.transcripts(scope.store)) == len(wanted)
    finally:
        scope.kill()
        names.close()


async def windows(options, folder, gateway):
    """Names in a window that is opened while the proxy runs, beside a window without any."""
    names = await NameServer(dict(DOMAIN)).start()
    scope = Scope(options, folder, "windows", gateway, names, {"senders": []}).start()

    async def window(*words):
        return (await asyncio.to_thread(scope.cli, "window", *words, "--store", scope.store))[1]
    try:
        await mail(scope, "127.0.30.1", body=SECRET)
        await window("open", "--sender", ".partner.example", "list.example", "--sessions", "10", "--for", "10m")
        await window("open", "--sender", "127.0.30.7", "--sessions", "10", "--for", "10m")
        await scope.logged("sender list.example: 127.0.30.9")
        wanted = {"127.0.30.5": ".partner.example", "127.0.30.7": "127.0.30.7", "127.0.30.9": "list.example"}
        for ip in ["127.0.30.2", *wanted]:
            await mail(scope, ip)
        assert await captured(scope, len(wanted)) == wanted
        listed = [json.loads(line) for line in (await window("list", "--json")).splitlines()]
        assert [w["sessions"] for w in listed] == [2, 1], listed
        await window("close", listed[0]["id"])
        for ip in wanted:
            await mail(scope, ip)
        await captured(scope, len(wanted) + 1)
        scope.stop()
        assert len(store.transcripts(scope.store)) == len(wanted) + 1  # of the window that is still open
        no_trace(scope, "127.0.30.1", "127.0.30.2", "xyzzy-plugh")
    finally:
        scope.kill()
        names.close()


async def exclusions(options, folder, gateway):
    """Whom an exclusion means has to be known, or nobody is captured; an excluded domain is told by the sender's name."""
    zone = {("vip.example", A): SERVFAIL, **host("127.0.40.2", "mx.secret.example", delay=0.5),
            **host("127.0.40.3", "mx.open.example"), (reverse("127.0.40.4"), PTR): SERVFAIL}
    names = await NameServer(zone).start()
    scope = Scope(options, folder, "exclusions", gateway, names,
                  {"senders": "any", "exclude": ["vip.example", ".secret.example"]}).start()
    sources = ["127.0.40.1", "127.0.40.2", "127.0.40.3", "127.0.40.4", "127.0.40.5"]
    try:
        await scope.logged("where vip.example is excluded, nobody is captured until it is known whom that means")
        for source in sources:
            await mail(scope, source)
        zone["vip.example", A] = Records("127.0.40.1")
        scope.signal(signal.SIGHUP)
        await scope.logged("all excluded names are known: capture goes on")
        assert not store.transcripts(scope.store), "captured while it was not known who is excluded"
        for source in sources:
            await mail(scope, source)
        assert await captured(scope, 2) == {"127.0.40.3": "any", "127.0.40.5": "any"}
        await scope.metric('forgotten_sessions_total{reason="name"}', 1)
        scope.stop()
        no_trace(scope, "127.0.40.2", "127.0.40.4", "secret.example:")
        assert len(store.transcripts(scope.store)) == 2
    finally:
        scope.kill()
        names.close()


async def stopping(options, folder, gateway):
    """A stop waits for names as it waits for sessions, and no longer than `drain`; what is not known by then is forgotten."""
    zone = {(reverse("127.0.50.1"), PTR): DROP, **host("127.0.50.2", "late.partner.example", delay=1.0)}
    names = await NameServer(zone).start()
    scope = Scope(options, folder, "stopping", gateway, names, {"senders": [".partner.example"]}, drain="4s").start()
    try:
        await mail(scope, "127.0.50.1")
        await mail(scope, "127.0.50.2")
        scope.signal(signal.SIGTERM)
        await asyncio.to_thread(scope.process.wait, PATIENCE)
        assert scope.process.returncode == 0, scope.log()
        scope.check_log()
        found = store.transcripts(scope.store)
        assert [t["sender"]["ip"] for t in found] == ["127.0.50.2"], found
        no_trace(scope, "127.0.50.1")
    finally:
        scope.kill()
        names.close()


async def no_server(options, folder, gateway):
    """Nobody answers at all: mail flows, and what is named by address is captured."""
    names = await NameServer({}).start()
    names.close()
    scope = Scope(options, folder, "no_server", gateway, names, {"senders": ["spf:partner.example", ".partner.example", "127.0.60.1"]})
    scope.start()
    try:
        await scope.logged("sender spf:partner.example cannot be resolved")
        for source in ("127.0.60.1", "127.0.60.2"):
            await mail(scope, source)
        assert await captured(scope, 1) == {"127.0.60.1": "127.0.60.1"}
        await scope.metric('forgotten_sessions_total{reason="dns"}', 1)
        scope.stop()
        no_trace(scope, "127.0.60.2")
    finally:
        scope.kill()


async def kernel(options, folder, gateway):
    """`divert` resolves names itself; what it cannot put into the kernel's set is said there and at `config check`."""
    names = await NameServer(dict(ADDRESSES)).start()
    more = {"listeners": [{"address": "0.0.0.0:10025", "accept": "tproxy"}, {"address": "[::]:10025", "accept": "tproxy"}],
            "gateway": {"present": "sender"}, "divert": {"destinations": ["192.0.2.25", "2001:db8:2::25"]}}
    scope = Scope(options, folder, "kernel", gateway, names, {})
    scope.base |= more
    scope.write({"senders": ["spf:spf.example", "host.example", ".partner.example", "gone.example"]})

    async def cli(*words):
        return await asyncio.to_thread(scope.cli, *words, check=False)
    try:
        status, _, stderr = await cli("config", "check", scope.file)
        assert status == 0 and stderr.count("warning") == 1, stderr
        assert '/capture/senders/2: warning: ".partner.example" cannot be put into the kernel' in stderr, stderr
        if os.geteuid() != 0 or not shutil.which("nft"):
            print("        (divert print needs root and nft: left out)")
            return
        status, stdout, stderr = await cli("divert", "print", "--config", scope.file)
        assert status == 0, stderr
        for address in ("127.0.10.1", "127.0.14.4", "127.0.13.198", "2001:db8::", "127.0.12.10"):
            assert address in stdout, f"{address} is not in:\n{stdout}"
        assert "127.0.12.9" not in stdout, stdout
        for text in ("gone.example: there is no such host", '"gone.example" could not be resolved, and is left out',
                     "`divert on` leaves it out", "spf:spf.example: left out: \"exists:"):
            assert text in stderr, f"{text!r} is not in:\n{stderr}"
        scope.write({"senders": "any", "exclude": ["host.example", "gone.example"]})
        status, _, stderr = await cli("divert", "print", "--config", scope.file)
        assert status == 78 and '/capture/exclude/1: "gone.example" could not be resolved' in stderr, stderr
    finally:
        names.close()


CASES = (addresses, changes, domain, windows, exclusions, stopping, no_server, kernel)


async def run(options, folder):
    gateway = await SimpleGateway().start()
    failures = 0

    async def one(case):
        nonlocal failures
        try:
            await case(options, folder, gateway)
            print(f"ok      {case.__name__}", flush=True)
        except (AssertionError, OSError, KeyError, TypeError) as error:
            failures += 1
            print(f"FAILED: {case.__name__}: {error!r}"[:4000], flush=True)
    chosen = [case for case in CASES if options.only in case.__name__]
    for case in chosen:  # one by one: their name servers share this loop, and one that is late is a failed look-up
        await one(case)
    gateway.close()
    print(f"summary: names: {len(chosen)} cases, {failures} failed")
    return 1 if failures else 0


def main():
    options = command_line.parser(__doc__, only=True).parse_args()
    with tempfile.TemporaryDirectory(prefix="smtpscope-names.") as folder:
        sys.exit(asyncio.run(run(options, Path(folder))))


if __name__ == "__main__":
    main()
