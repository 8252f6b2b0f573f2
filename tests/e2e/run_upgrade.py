#!/usr/bin/env python3
"""SIGUSR2: a new process takes over under load, several times in a row. No connection is refused or reset, sessions in
progress end where they began, every session has one transcript and none is interrupted. A new process that cannot start, or
hangs, changes nothing.
"""
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import command_line, store  # noqa: E402
from lib.service import Manager, alive, children, wait_for  # noqa: E402
from lib.smtp import Delivery, SimpleGateway  # noqa: E402
from lib.smtpscope import Smtpscope, free_port  # noqa: E402


class Scope(Smtpscope):
    """`pid` is the process that serves; the one that was started first is `process`."""

    def __init__(self, binary, folder, gateway_port, env=None, watchdog=False):
        folder.mkdir(parents=True)
        super().__init__(binary, gateway_port, folder / "store", env=env)
        self.control, self.file, self.watchdog = free_port(), folder / "smtpscope.jsonc", watchdog
        self.settings = {
            "listeners": [{"address": f"127.0.0.1:{self.port}"}], "gateway": {"address": f"127.0.0.1:{gateway_port}"},
            "store": {"path": str(self.store)}, "workers": 2, "control": {"listen": f"127.0.0.1:{self.control}"}}
        self.write()
        self.command = [self.binary, "run", "--config", str(self.file), *(["--watchdog"] if watchdog else [])]
        self.pid, self.old = None, []

    def write(self, **changes):
        self.file.write_text(json.dumps(self.settings | changes, indent=1))

    def start(self, timeout=30):
        super().start(timeout)
        self.pid = self.process.pid
        if self.watchdog:
            self.pid = wait_for(lambda: children(self.process.pid), self.log)[0]
        return self

    async def upgrade(self, answer="has taken over", ask=None):
        """Gives back the new process."""
        before = len(self.log())
        os.kill(ask or self.pid, signal.SIGUSR2)
        await asyncio.to_thread(wait_for, lambda: answer in self.log()[before:], lambda: self.log()[before:], 60)
        line = next(line for line in self.log()[before:].splitlines() if answer in line)
        if answer == "has taken over":
            self.old.append(self.pid)
            self.pid = int(line.split("process ")[1].split()[0])
        return line

    def end(self):
        """Ends all; without a watchdog the new processes are no children of anybody who waits for them but us."""
        if self.watchdog:
            self.stop(60)
            return
        os.kill(self.pid, signal.SIGTERM)
        for pid in (self.pid, *self.old):
            wait_for(lambda pid=pid: not alive(pid), f"process {pid} has not ended:\n{self.log()[-2000:]}", 60)
            if pid != self.process.pid:
                status = os.waitpid(pid, 0)[1]
                assert status == 0, f"process {pid} ended with {status}:\n{self.log()[-3000:]}"
        assert self.process.wait(60) == 0
        self.check_log()

    def kill_all(self):
        for pid in {self.process.pid, self.pid, *self.old, *children(self.process.pid)}:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)

    def control_is_alive(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/livez", timeout=5) as answer:
            return answer.status == 200


async def lane(scope, deliveries, stop, pause):
    while not stop.is_set():
        delivery = Delivery()
        deliveries.append(delivery)
        await delivery.run(scope.port, "127.0.3.1", pause=pause)
        assert delivery.error is None and delivery.ended_at, f"a session failed: {delivery.error!r}"


class LongSession:
    """Greeted, and then silent until it is to go on."""

    async def begin(self, scope, source):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", scope.port, local_addr=(source, 0))
        self.address = self.writer.get_extra_info("sockname")[:2]
        assert (await self.reader.readline()).startswith(b"220")
        return self

    async def finish(self):
        for line, code in ((b"EHLO x.example", b"250"), (b"MAIL FROM:<a@x.example>", b"250"), (b"RCPT TO:<b@gw.example>", b"250"),
                           (b"DATA", b"354"), (b"Subject: late\r\n\r\nx\r\n.", b"250"), (b"QUIT", b"221")):
            self.writer.write(line + b"\r\n")
            assert (reply := await self.reader.readline()).startswith(code), (line, reply)
        assert await self.reader.read() == b""
        self.writer.close()


async def under_load(options, folder, gateway, figures, watchdog):
    """As many workers as before, fewer, more; a long session from before each upgrade ends after the last."""
    manager = Manager(folder) if not watchdog else None
    scope = Scope(options.binary, folder / ("watched" if watchdog else "managed"), gateway.port,
                  manager and manager.environment(), watchdog).start()
    stop, deliveries, longs = asyncio.Event(), [], []
    lanes = [asyncio.create_task(lane(scope, deliveries, stop, pause)) for pause in [0] * 12 + [0.02] * 8 + [0.3] * 4]
    try:
        for number in range(options.upgrades):
            longs.append(await LongSession().begin(scope, f"127.0.4.{number + 1}"))
            scope.write(workers=(2, 1, 3, 2)[number % 4])
            before, since = scope.pid, time.monotonic()
            await scope.upgrade(ask=scope.process.pid if watchdog else None)
            assert alive(before), "the old process did not wait for its sessions"
            if manager:
                manager.wait(f"MAINPID={scope.pid}", before, since)
                manager.wait("READY=1", scope.pid, since)
                manager.wait("WATCHDOG=1", scope.pid, time.monotonic())
                assert not manager.lines("", before, time.monotonic()), "the old process still speaks to the manager"
            assert await asyncio.to_thread(scope.control_is_alive)
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in lanes), [task.exception() for task in lanes if task.done()]
            figures["upgrades"] += 1
        stop.set()
        await asyncio.gather(*lanes)
        assert all(alive(pid) for pid in scope.old)
        for long in longs:
            await long.finish()
        for pid in scope.old:
            await asyncio.to_thread(wait_for, lambda pid=pid: not alive(pid), f"process {pid} has no session and goes on", 20)
        if watchdog:  # what took over is looked after
            os.kill(scope.pid, signal.SIGSTOP)
            shot = scope.pid
            wait_for(lambda: not alive(shot), "the hung process is killed")
            scope.pid = wait_for(lambda: children(scope.process.pid), "another process")[0]
            await asyncio.to_thread(wait_for, scope._listening, scope.log)
            assert (await Delivery().run(scope.port, "127.0.5.1")).error is None
        await asyncio.to_thread(scope.end)
    finally:
        stop.set()
        scope.kill_all()
        if manager:
            manager.close()
    check(scope, deliveries, longs, figures, 1 if watchdog else 0)


def check(scope, deliveries, longs, figures, more):
    """One transcript a session, and all of them delivered."""
    found = store.transcripts(scope.store)
    wrong = [f"{id}: {n} transcripts" for id, n in Counter(t["id"] for t in found).items() if n > 1]
    wrong += [f"{t['id']}: {t['summary']} {t['capture']}" for t in found
              if t["capture"].get("interrupted") or not t["capture"]["complete"] or t["verdict"] != "delivered"]
    got = Counter((t["sender"]["ip"], t["sender"]["port"]) for t in found)
    sent = Counter(d.address for d in deliveries) + Counter(long.address for long in longs)
    wrong += [f"{address}: {got[address]} transcripts of {n} sessions" for address, n in sent.items() if got[address] != n]
    assert len(found) == sum(sent.values()) + more, f"{len(found)} transcripts of {sum(sent.values())} sessions"
    assert not wrong, "\n".join(wrong[:20])
    assert len(deliveries) > 20 * figures["upgrades"] / 2, "hardly any load"
    for path in (scope.store / "senders" / "127.0.3.1").glob("*.pcapng"):
        figures["packets"] += store.check_recording(path)
    lines = scope.cli("list", "--store", scope.store, "--json")[1].splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(t["id"] for t in found)
    assert not list((scope.store / "run").iterdir()), "an instance did not end in good order"
    figures["sessions"] += len(found)


async def failing(options, folder, gateway, figures):
    """A file that is broken, a listener that cannot be had, a program that is not there: the old process goes on."""
    scope = Scope(options.binary, folder / "failing", gateway.port).start()
    long = await LongSession().begin(scope, "127.0.4.1")
    try:
        taken = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        other = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
        for text, told in (("{\n \"sesions\": 1\n}", ":2:2: /sesions: unknown key"),
                           (json.dumps(scope.settings | {"listeners": scope.settings["listeners"] + [{"address": other}]}),
                            f"cannot listen on {other}")):
            scope.file.write_text(text)
            await scope.upgrade("no upgrade: the new process")
            assert told in scope.log(), scope.log()
            assert (await Delivery().run(scope.port, "127.0.3.1")).error is None
            assert await asyncio.to_thread(scope.control_is_alive)
            figures["upgrades that failed"] += 1
        taken.close()
        # One listener more and one fewer: both as a start would have it.
        extra = free_port()
        scope.write(listeners=[*scope.settings["listeners"], {"address": f"127.0.0.1:{extra}"}], drain="1s")
        await scope.upgrade()
        assert (await Delivery().run(extra, "127.0.3.1")).error is None
        assert (await Delivery().run(scope.port, "127.0.3.1")).error is None
        scope.write(drain="1s")
        await scope.upgrade()
        assert (await Delivery().run(scope.port, "127.0.3.1")).error is None
        # SIGTERM to an old process: its sessions get "drain", not "upgrade_drain".
        os.kill(scope.old[0], signal.SIGTERM)
        wait_for(lambda: not alive(scope.old[0]), "the old process ends when asked to", 30)
        await asyncio.to_thread(scope.end)
        long.writer.close()
    finally:
        scope.kill_all()
    found = store.transcripts(scope.store)
    assert len(found) == 6 and Counter(t["verdict"] for t in found)["delivered"] == 5, [(t["verdict"], t["summary"]) for t in found]


async def window_over(options, folder, gateway, figures):
    """A window goes on across upgrades under load: it takes exactly as many sessions as it may. It is told of once, when the last
    session of it has ended, wherever that is, with its cause; until then nothing of it is called interrupted."""
    scope = Scope(options.binary, folder / "window", gateway.port)
    scope.settings["capture"] = {"senders": []}
    scope.write()
    scope.start()

    async def window(*words):
        return json.loads((await asyncio.to_thread(scope.cli, "window", words[0], "--store", scope.store, *words[1:], "--json"))[1])

    opened = await window("open", "--sender", "127.0.3.1", "--sender", "127.0.4.1", "--sessions", "2500", "--for", "1h")
    by_hand = await window("open", "--sender", "127.0.4.2")
    longs = [await LongSession().begin(scope, f"127.0.4.{number}") for number in (1, 2)]
    stop, deliveries = asyncio.Event(), []
    lanes = [asyncio.create_task(lane(scope, deliveries, stop, 0)) for _ in range(16)]
    try:
        for _ in range(3):
            await asyncio.sleep(0.3)
            await scope.upgrade()
        await asyncio.to_thread(wait_for, lambda: len(deliveries) > 2800, "sessions enough", 60)
        stop.set()
        await asyncio.gather(*lanes)
        all_windows = {w["id"]: w for w in map(json.loads, scope.cli("window", "list", "--all", "--store", scope.store, "--json")[1]
                                               .splitlines())}
        ended, still = all_windows[opened["id"]], all_windows[by_hand["id"]]
        assert (ended["state"], ended["ended_by"], ended["sessions"]) == ("ended", "count", 2500), ended
        assert (still["state"], still["in_progress"], still["interrupted"]) == ("open", 1, 0), still
        assert (await window("close", by_hand["id"]))["ended_by"] == "hand"
        await asyncio.sleep(2)
        assert " is over (" not in scope.log(), "told while a session of it goes on"
        for long in longs:
            await long.finish()
        for number, cause, text in ((opened["id"], "all its sessions have come", "2500 sessions: 2500 delivered"),
                                    (by_hand["id"], "it was closed", "1 session: 1 delivered")):
            said = f"window {number} is over ({cause}): {text}"
            await asyncio.to_thread(wait_for, lambda said=said: said in scope.log(), lambda: scope.log()[-2000:])
        await asyncio.to_thread(scope.end)
    finally:
        stop.set()
        scope.kill_all()
    assert scope.log().count(" is over (") == 2, [line for line in scope.log().splitlines() if " is over (" in line]
    found = Counter(t["sender"]["ip"] for t in store.transcripts(scope.store))
    assert found == {"127.0.3.1": 2499, "127.0.4.1": 1, "127.0.4.2": 1}, found
    figures["sessions of a window across upgrades"] += 2500


async def hanging(options, folder, gateway, figures, program, limit=60, grace=5):
    """A new process that never serves is ended when its time is over; until then and from then on the old one serves, and the next
    upgrade works. `program`: what hangs in place of the new one."""
    folder.mkdir()
    place = folder / "smtpscope"
    place.symlink_to(options.binary)
    scope = Scope(place, folder / "scope", gateway.port).start()
    scope.binary = str(options.binary)  # of the commands
    stop, deliveries = asyncio.Event(), []
    load = asyncio.create_task(lane(scope, deliveries, stop, 0.05))
    try:
        replaced = folder / "new"
        replaced.write_text(program)
        replaced.chmod(0o755)
        replaced.rename(place)
        hung = int((await scope.upgrade("is starting")).split("process ")[1].split()[0])
        began = time.monotonic()
        line = await scope.upgrade("is starting already")
        assert "no upgrade" in line, line
        assert scope.cli("window", "open", "--sender", "127.0.9.9", "--store", scope.store, check=False)[0] == 1, "not held"
        said = f"no upgrade: the new process {hung} did not serve within 1m and was ended; this one goes on as before"
        await asyncio.to_thread(wait_for, lambda: said in scope.log(), scope.log, limit + grace + 20)
        took = time.monotonic() - began
        assert limit - 1 <= took < limit + grace + 10, f"given up after {took:.1f} s"
        await asyncio.to_thread(wait_for, lambda: not alive(hung), "the new process is ended", 5)
        assert await asyncio.to_thread(scope.control_is_alive) and not load.done()
        assert scope.cli("window", "open", "--sender", "127.0.9.9", "--store", scope.store)[0] == 0
        place.unlink()
        place.symlink_to(options.binary)
        await scope.upgrade()
        assert (await Delivery().run(scope.port, "127.0.3.1")).error is None
        stop.set()
        await load
        os.waitpid(hung, 0)
        await asyncio.to_thread(scope.end)
        figures["upgrades that hung"] += 1
    finally:
        stop.set()
        scope.kill_all()
    assert len(store.transcripts(scope.store)) == len(deliveries) + 1


async def run(options, folder, figures):
    gateway = await SimpleGateway().start()
    await under_load(options, folder, gateway, figures, False)
    await under_load(options, folder, gateway, figures, True)
    await failing(options, folder, gateway, figures)
    await window_over(options, folder, gateway, figures)
    # One that ends when asked to, and one that was stopped.
    await asyncio.gather(hanging(options, folder / "sleeps", gateway, figures, "#!/bin/sh\nexec sleep 600\n"),
                         hanging(options, folder / "stopped", gateway, figures, "#!/bin/sh\nkill -STOP $$\n"))
    gateway.close()


def main():
    parser = command_line.parser(__doc__)
    parser.add_argument("--upgrades", type=int, default=4)
    options = parser.parse_args()
    figures = Counter()
    with tempfile.TemporaryDirectory(prefix="smtpscope-upgrade.") as folder:
        asyncio.run(run(options, Path(folder), figures))
    command_line.summary(figures, ", no connection refused or reset")
    return 0


if __name__ == "__main__":
    sys.exit(main())
