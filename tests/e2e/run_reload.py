#!/usr/bin/env python3
"""SIGHUP: 100 reloads under load without one failed session, and what each one changes is in force for the sessions that begin
after it; a file that is broken, or asks for what cannot change live, changes nothing of that and is told with line and column.
"""
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import command_line, store  # noqa: E402
from lib.smtp import Delivery, SimpleGateway  # noqa: E402
from lib.smtpscope import Smtpscope, free_port  # noqa: E402

LOADED, REFUSED = "configuration loaded anew", "the configuration was not loaded"
LOAD = "127.0.3.1"     # the address that sends without a pause; never captured by `senders` but by the first file
BODIES = ("full", "headers", "none")


class Scope(Smtpscope):
    def __init__(self, binary, folder, gateway_port):
        super().__init__(binary, gateway_port, folder / "store")
        self.file = folder / "smtpscope.jsonc"
        self.base = {"listeners": [{"address": f"127.0.0.1:{self.port}"}], "gateway": {"address": f"127.0.0.1:{gateway_port}"},
                     "store": {"path": str(folder / "store")}, "workers": 2}
        self.command = [self.binary, "run", "--config", str(self.file)]

    def write(self, capture, **more):
        self.file.write_text(json.dumps(self.base | {"capture": capture} | more, indent=1))

    async def reload(self, answer=LOADED):
        """SIGHUP, and waits for the log to say what came of it; gives back what was logged since."""
        before = len(self.log())
        self.signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while answer not in (new := self.log()[before:]):
            assert time.monotonic() < deadline, f"no {answer!r} in the log:\n{new}"
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # the workers take it at the next turn of their loops
        return new


async def mail(port, source):
    delivery = await Delivery().run(port, source)
    assert delivery.error is None and delivery.ended_at, f"a session of {source} failed: {delivery.error}"


async def load(port, figures, stop):
    while not stop.is_set():
        await mail(port, LOAD)
        figures["sessions under load"] += 1


async def effects(scope, figures, reloads):
    """Each reload asks for another sender, another body, and excludes the one before: three mails show it."""
    for number in range(reloads):
        wanted, excluded, body = f"127.0.{4 + number % 2}.{number + 1}", f"127.0.6.{number + 1}", BODIES[number % 3]
        scope.write({"senders": [wanted, "127.0.6.0/24"], "exclude": [excluded], "body": body})
        await scope.reload()
        for source in (wanted, excluded, f"127.0.7.{number + 1}"):
            await mail(scope.port, source)
        figures["reloads"] += 1
    for _ in range(200):
        found = {t["sender"]["ip"]: t for t in store.transcripts(scope.store)}
        if sum(ip.startswith(("127.0.4.", "127.0.5.")) for ip in found) == reloads:
            break
        await asyncio.sleep(0.05)
    for number in range(reloads):
        t = found[f"127.0.{4 + number % 2}.{number + 1}"]
        assert t["capture"]["body"] == BODIES[number % 3], (number, t["capture"])
        assert t["verdict"] == "delivered", t["summary"]
    strangers = [ip for ip in found if ip.startswith(("127.0.6.", "127.0.7."))]
    assert not strangers, f"captured though excluded or not asked for: {strangers}"


async def broken(scope, figures):
    """None of these changes anything; each is told with its place."""
    scope.write({"senders": ["127.0.8.1"]})
    await scope.reload()
    for text, told in (("{\n \"capture\": {\n  \"sesions\": 1\n }\n}", f"{scope.file}:3:3: /capture/sesions: unknown key"),
                       ("{\n \"gateway\": ", f"{scope.file}:2:"),
                       (json.dumps(scope.base | {"starttls": {"mode": "hide"}}, indent=1), ": /starttls/mode: \"hide\" is not"),
                       (json.dumps(scope.base | {"gateway": scope.base["gateway"] | {"present": "sender"}}, indent=1),
                        "/gateway/present: \"sender\" needs CAP_NET_ADMIN, which this process gave up"),
                       ("{\"capture\": {\"senders\": [\"127.0.8.2\"]}}", "/gateway/address: no gateway")):
        scope.file.write_text(text)
        log = await scope.reload(REFUSED)
        assert told in log, f"{told!r} is not in:\n{log}"
        figures["broken files"] += 1
    scope.file.unlink()
    assert "cannot be read" in await scope.reload(REFUSED)
    await mail(scope.port, "127.0.8.1")
    await mail(scope.port, "127.0.8.2")
    scope.write({"senders": ["127.0.8.3"]}, workers=7, store={"path": "/elsewhere"},
                listeners=scope.base["listeners"] + [{"address": f"127.0.0.1:{free_port()}"}])
    log = await scope.reload()
    for pointer in ("/workers: stays 2", "/store/path: stays", "/listeners/1: stays"):
        assert pointer in log, f"{pointer!r} is not in:\n{log}"
    await mail(scope.port, "127.0.8.3")
    for _ in range(200):
        found = {t["sender"]["ip"] for t in store.transcripts(scope.store)}
        if {"127.0.8.1", "127.0.8.3"} <= found:
            break
        await asyncio.sleep(0.05)
    assert {"127.0.8.1", "127.0.8.3"} <= found and "127.0.8.2" not in found, found


async def in_progress(scope, gateway, other):
    """A session goes on as it began: one that was captured stays so, and at the gateway that it had."""
    scope.write({"senders": ["127.0.9.1"], "body": "headers"})
    await scope.reload()
    reader, writer = await asyncio.open_connection("127.0.0.1", scope.port, local_addr=("127.0.9.1", 0))
    assert (await reader.readline()).startswith(b"220")
    scope.write({"senders": ["127.0.9.2"], "body": "none"}, gateway={"address": f"127.0.0.1:{other.port}"})
    await scope.reload()
    await mail(scope.port, "127.0.9.2")
    for line in (b"EHLO mx.sender.example", b"QUIT"):
        writer.write(line + b"\r\n")
        assert (await reader.readline())[:1] == b"2"
    writer.close()
    for _ in range(200):
        found = {t["sender"]["ip"]: t for t in store.transcripts(scope.store) if t["sender"]["ip"].startswith("127.0.9.")}
        if len(found) == 2:
            break
        await asyncio.sleep(0.05)
    old, new = found["127.0.9.1"], found["127.0.9.2"]
    assert (old["capture"]["body"], old["gateway"]["port"]) == ("headers", gateway.port), old
    assert (new["capture"]["body"], new["gateway"]["port"]) == ("none", other.port), new
    assert other.messages > 0


def without_file(options, folder, gateway_port):
    """A proxy that runs by its command line has nothing to load, and says so. (Where the package is installed there is
    always a file.)"""
    if Path("/etc/smtpscope/smtpscope.jsonc").exists():
        return
    scope = Smtpscope(options.binary, gateway_port, folder / "bare").start()
    try:
        status, out, err = scope.cli("config", "reload", "--store", scope.store, check=False)
        assert status == 78 and not out and "there is no configuration file to load" in err, (status, out, err)
        assert "no configuration file, only options; the gateway is to see (present) \"proxy\"" in scope.log(), scope.log()
    finally:
        scope.stop()


async def run(options, folder):
    figures, stop = Counter(), asyncio.Event()
    gateway, other = await SimpleGateway().start(), await SimpleGateway().start()
    scope = Scope(options.binary, folder, gateway.port)
    scope.write({"senders": ["127.0.2.1"]})
    scope.start()
    tasks = [asyncio.create_task(load(scope.port, figures, stop)) for _ in range(8)]
    try:
        await effects(scope, figures, options.reloads)
        await broken(scope, figures)
        await in_progress(scope, gateway, other)
        await asyncio.to_thread(without_file, options, folder, gateway.port)
        stop.set()
        await asyncio.gather(*tasks)  # raises what failed
    finally:
        for task in tasks:
            task.cancel()
        scope.stop()
        gateway.close()
        other.close()
    assert figures["sessions under load"] >= options.reloads, figures
    return figures


def main():
    parser = command_line.parser(__doc__)
    parser.add_argument("--reloads", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smtpscope-reload.") as folder:
        figures = asyncio.run(run(options, Path(folder)))
    command_line.summary(figures, ", no failed session")
    return 0


if __name__ == "__main__":
    sys.exit(main())
