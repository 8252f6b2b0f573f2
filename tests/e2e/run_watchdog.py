#!/usr/bin/env python3
"""A proxy that hangs: the whole process, one of its loops, its disk. The first two are noticed, by `--watchdog` and by a
service manager alike, and mail flows again within 5 s; the last must not be. A healthy one is never shot, however loaded the
machine: `--soak MINUTES` shows only that, under full load of mail and beside programs that take all processors.
"""
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import command_line, store  # noqa: E402
from lib.service import Held, Manager, alive, children, status_of, wait_for, worker_threads  # noqa: E402
from lib.smtp import Delivery, SimpleGateway  # noqa: E402
from lib.smtpscope import Smtpscope, free_port  # noqa: E402

FLOWS_AGAIN = 5.0  # seconds, on a host that starts a proxy and passes mail within QUICK; more where all is slow
QUICK = 0.7
LOAD = "127.0.3.1"


class Scope(Smtpscope):
    """With `--watchdog`, unless it has a manager (an environment)."""

    def __init__(self, binary, folder, gateway_port, manager=None, more=()):
        folder.mkdir(parents=True)
        super().__init__(binary, gateway_port, folder / "store",
                         env={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0", **(manager or {})})
        self.control = free_port()
        self.file = folder / "smtpscope.jsonc"
        self.settings = {
            "listeners": [{"address": f"127.0.0.1:{self.port}"}], "gateway": {"address": f"127.0.0.1:{gateway_port}"},
            "store": {"path": str(self.store)}, "workers": 2, "control": {"listen": f"127.0.0.1:{self.control}"}, "drain": "1s"}
        self.write()
        self.command = [self.binary, "run", "--config", str(self.file), *(() if manager else ("--watchdog",)), *more]

    def write(self, **changes):
        self.file.write_text(json.dumps(self.settings | changes, indent=1))

    def allowed(self):
        return FLOWS_AGAIN + 3 * max(0.0, self.usual - QUICK)

    def child(self):
        """The proxy that the watchdog runs."""
        return wait_for(lambda: children(self.process.pid), lambda: f"no child:\n{self.log()}")[0]

    def livez(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/livez", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)


async def mail(port, source="127.0.0.1"):
    return await asyncio.wait_for(Delivery().run(port, source), 30)


async def flows(port, timeout=2.0):
    """One mail gets through in that time."""
    try:
        return (await asyncio.wait_for(Delivery().run(port, "127.0.2.1"), timeout)).ended_at is not None
    except (asyncio.TimeoutError, AssertionError):
        return False


async def flows_again(port, since):
    """Seconds since then until mails got through on every worker: several in a row, since the kernel chooses who gets which."""
    while not all([await flows(port, 0.5) for _ in range(6)]):
        assert time.monotonic() - since < 30, "no mail gets through"
        await asyncio.sleep(0.02)
    return time.monotonic() - since


async def load(port, stop, figures, patience=5):
    while not stop.is_set():
        try:
            delivery = await asyncio.wait_for(Delivery().run(port, LOAD), patience)
            figures["sessions beside it" if delivery.ended_at else "of them broken off"] += 1
        except (asyncio.TimeoutError, AssertionError):
            figures["of them broken off"] += 1
        await asyncio.sleep(0.001)


async def stopped(scope, figures):
    """SIGSTOP under load: it is killed, another serves, and the sessions that were open have transcripts."""
    stop = asyncio.Event()
    lanes = [asyncio.create_task(load(scope.port, stop, figures)) for _ in range(4)]
    try:
        for _ in range(2):
            pid = scope.child()
            reader, writer = await asyncio.open_connection("127.0.0.1", scope.port)
            assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"220")  # and stays, to be interrupted
            await asyncio.sleep(1)
            os.kill(pid, signal.SIGSTOP)
            took = await flows_again(scope.port, time.monotonic())
            assert took <= scope.allowed(), f"{took:.1f} s until mail flowed again\n{scope.log()[-400:]}"
            figures["ms from SIGSTOP to mail at most"] = max(figures["ms from SIGSTOP to mail at most"], int(took * 1000))
            assert not alive(pid) and scope.child() != pid
            writer.close()
            assert f"process {pid} has given no sign of life" in scope.log(), scope.log()
    finally:
        stop.set()
        await asyncio.gather(*lanes)
    wait_for(lambda: any(t["capture"].get("interrupted") for t in store.transcripts(scope.store)), "an interrupted session")


async def loop_hangs(scope, figures):
    """One worker's thread stands still, all else runs."""
    pid = scope.child()
    assert scope.livez() == (200, "ok\n"), scope.livez()
    with Held(worker_threads(pid)[1]):
        began = time.monotonic()
        told = []
        while not told and alive(pid):
            status, text = await asyncio.to_thread(scope.livez)
            told += [text] if status == 503 else []
            await asyncio.sleep(0.01)
        took = await flows_again(scope.port, began)
    assert took <= scope.allowed(), f"{took:.1f} s until mail flowed again\n{scope.log()[-400:]}"
    assert not alive(pid)
    figures["ms from a hung worker to mail"] = int(took * 1000)


async def crashes(scope, figures):
    pid = scope.child()
    os.kill(pid, signal.SIGSEGV)
    took = await flows_again(scope.port, time.monotonic())
    assert took <= scope.allowed(), f"{took:.1f} s"
    assert "Segmentation fault" in scope.log() and status_of(scope.child())["PPid"] == str(scope.process.pid)
    figures["crashes"] += 1


async def crash_loop(scope, figures):
    """Somebody takes the port while it is down: it tries again, more slowly each time, says why, and comes back."""
    before = len(scope.log())
    pid = scope.child()
    thief = socket.socket()
    thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    scope.signal(signal.SIGSTOP)  # the watchdog, for as long as this takes
    os.kill(pid, signal.SIGKILL)

    def steal():
        """The main thread may be gone before the last one has let go of the port."""
        try:
            thief.bind(("127.0.0.1", scope.port))
            return thief.listen() is None
        except OSError:
            return False
    wait_for(steal, "the port is free")
    scope.signal(signal.SIGCONT)
    wait_for(lambda: scope.log()[before:].count("short lives in a row") >= 3, lambda: scope.log()[before:])
    assert "Address already in use" in scope.log()[before:] and scope.process.poll() is None
    thief.close()
    await flows_again(scope.port, time.monotonic())
    figures["crash loops"] += 1


async def requests(scope, figures):
    """SIGHUP reaches the proxy; SIGTERM ends both, with status 0."""
    scope.write(capture={"senders": ["127.0.9.9"]})
    scope.signal(signal.SIGHUP)
    wait_for(lambda: "configuration loaded anew" in scope.log(), "the reload")
    pid = scope.child()
    await asyncio.to_thread(scope.stop)
    assert not alive(pid), "the proxy outlived its watchdog"
    figures["requests handed on"] += 2


def never_served(options, folder):
    """What is wrong from the beginning is said once, with the proxy's own exit code."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for listen, status, told in ((f"127.0.0.1:{taken.getsockname()[1]}", 1, "ss -ltnp"), ("127.0.0.1", 2, "--listen")):
            done = subprocess.run([options.binary, "run", "--watchdog", "--listen", listen, "--gateway", "127.0.0.1:25", "--store",
                                   str(folder / "none")], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == status and done.stderr.count(told) == 1, (done.returncode, done.stderr)
    broken = folder / "broken.jsonc"
    broken.write_text("{\"sesions\": 1}")
    done = subprocess.run([options.binary, "run", "--watchdog", "--config", str(broken)], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 78 and done.stderr.count("/sesions: unknown key") == 1, (done.returncode, done.stderr)


async def managed(options, folder, gateway, figures):
    """What a service manager is told, and that a hung loop or a stopped process gives it no sign of life; a disk that takes
    nothing and never answers does."""
    manager = Manager(folder)
    scope = Scope(options.binary, folder / "managed", gateway.port, manager.environment())
    stuck = [scope.store / "senders" / "127.0.2.66" / time.strftime("%Y-%m-%d.pcapng", time.gmtime(time.time() + 86400 * days))
             for days in (-1, 0, 1)]  # also where midnight passes
    stuck[0].parent.mkdir(parents=True)
    for path in stuck:
        os.mkfifo(path)
    scope.start()
    pid = scope.process.pid
    try:
        manager.wait("READY=1", pid)
        assert (await mail(scope.port)).error is None
        manager.wait("STATUS=0 sessions in progress, 0 since the start, 0 of them recorded; window config: 0 sessions", pid)
        manager.wait("STATUS=0 sessions in progress, 1 since the start", pid)
        figures["signs of life"] = len(manager.lines("WATCHDOG=1"))
        assert not children(pid), "one that is looked after looks after itself, too"
        scope.signal(signal.SIGHUP)
        manager.wait("RELOADING=1", pid)
        manager.wait("MONOTONIC_USEC=", pid)
        wait_for(lambda: len(manager.lines("READY=1", pid)) == 2, "READY=1 behind a reload")
        for worker in worker_threads(pid):
            with Held(worker):
                await asyncio.sleep(0.6)  # one that was under way
                since = time.monotonic()
                wait_for(lambda: scope.livez()[0] == 503, lambda: f"/livez: {scope.livez()}")
                assert "has not run for" in scope.livez()[1], scope.livez()
                assert not manager.lines("WATCHDOG=1", pid, since), "a sign of life of a hung process"
            manager.wait("WATCHDOG=1", pid, time.monotonic())
            wait_for(lambda: scope.livez()[0] == 200, lambda: f"/livez: {scope.livez()}")
        opened = await windows_on_a_hung_disk(scope, manager)
        # The recorder waits for a disk for ever (a pipe that nobody reads): mail goes on, and it is no hung process.
        assert (await mail(scope.port, "127.0.2.66")).error is None
        since = time.monotonic()
        await asyncio.sleep(5)
        assert (await mail(scope.port, "127.0.2.66")).error is None
        assert len(manager.lines("WATCHDOG=1", pid, since)) >= 3 and scope.livez()[0] == 200, (manager.told[-5:], scope.livez())
        readers = [os.open(path, os.O_RDONLY | os.O_NONBLOCK) for path in stuck]  # now it takes what waits
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert "Max core file size        0                    0" in limits, limits
        assert status_of(pid)["NoNewPrivs"] == "1"
        await asyncio.to_thread(scope.stop)
        manager.wait("STOPPING=1", pid)
        for reader in readers + opened:
            os.close(reader)
    finally:
        if scope.process.poll() is None:
            scope.kill()
        manager.close()


async def windows_on_a_hung_disk(scope, manager):
    """The disk hangs at what a window writes: its count, the log of windows. The main loop goes on, answers, and says
    what cannot be had; when the disk answers again so does all the rest. Gives back what reads in the disk's place."""
    pid, folder = scope.process.pid, scope.store / "windows"
    instance, = [path.name for path in (scope.store / "run").iterdir()]
    opened = []

    async def window(*words):
        return await asyncio.to_thread(scope.cli, "window", words[0], "--store", scope.store, *words[1:], check=False, timeout=20)

    async def signs_of_life(source):
        since = time.monotonic()
        assert (await mail(scope.port, source)).error is None
        await asyncio.sleep(4)
        assert (await mail(scope.port, source)).error is None
        assert len(manager.lines("WATCHDOG=1", pid, since)) >= 3, manager.told[-5:]
        assert (status := await asyncio.to_thread(scope.livez))[0] == 200, status

    for number, path in ((1, folder / "1" / f"{instance}.jsonl"), (2, scope.store / "windows.log")):
        if number == 2:
            path.rename(scope.store / "windows.log.before")
            os.mkfifo(path)
        status, out, err = await window("open", "--sender", f"127.0.2.{70 + number}")
        assert status == 0, (number, out, err)
        if number == 1:
            os.mkfifo(path)
        await signs_of_life(f"127.0.2.{70 + number}")
        status, out, err = await window("list")
        assert status == 0 and f"window {number}: open" in out, (number, out, err)
        if number == 2:
            status, out, err = await window("open", "--sender", "127.0.2.79")
            assert status == 1 and "its disk does not answer" in err, (status, out, err)
        opened.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        await asyncio.sleep(1)
        assert not (folder / "3").exists(), "a window that was refused"
    status, out, err = await window("open", "--sender", "127.0.2.79")
    assert status == 0, (out, err)
    return opened


async def log_unread(options, folder, gateway, figures):
    """Nobody reads the log, and its pipe is full: nothing waits for that, and what was lost is told."""
    scope = Smtpscope(options.binary, gateway.port, folder / "unread")
    process = subprocess.Popen(scope.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(scope._listening, "listening")
        for number in range(1500):
            delivery = await mail(scope.port)
            assert delivery.error is None, (number, delivery.error)
        reading = asyncio.create_task(asyncio.to_thread(process.communicate, None, 60))
        await asyncio.sleep(0.5)
        await mail(scope.port)  # its line comes when there is room again
        process.terminate()
        log = (await reading)[1].decode()
        assert process.returncode == 0 and "bytes of the log were lost here" in log, log[-1000:]
        figures["bytes of log that nobody read"] = len(log)
    finally:
        process.kill()
        process.wait()


async def pour(port, stop, figures):
    """Sessions as fast as they go, by Postfix's smtp-source; the recording leaves them out, or it would fill the disk."""
    while not stop.is_set():
        source = await asyncio.create_subprocess_exec("smtp-source", "-s", "100", "-m", "1000", "-l", "4096", f"127.0.0.1:{port}",
                                                      stderr=subprocess.PIPE)
        told = (await source.communicate())[1].decode()
        assert source.returncode == 0, f"smtp-source: {told}"
        figures["sessions poured"] += 1000


async def soak(options, folder, figures):
    """As much mail as it takes, beside programs that take all processors; nothing may be shot, no session be lost."""
    gateway, sink = await SimpleGateway().start(), free_port()
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    if fast := all(shutil.which(name) for name in ("smtp-source", "smtp-sink")):
        burners.append(subprocess.Popen(["smtp-sink", "-u", "nobody", f"127.0.0.1:{sink}", "1000"]))
    scope = Scope(options.binary, folder / "soak", sink if fast else gateway.port)
    scope.write(capture={"senders": [LOAD]})
    scope.start()
    pid, stop = scope.child(), asyncio.Event()
    lanes = [asyncio.create_task(load(scope.port, stop, figures, 600)) for _ in range(8 if fast else 48)]
    if fast:
        lanes += [asyncio.create_task(pour(scope.port, stop, figures)) for _ in range(2)]
    else:
        print("no smtp-source or smtp-sink here (package postfix): less load")
    try:
        deadline = time.monotonic() + options.soak * 60
        while time.monotonic() < deadline:
            await asyncio.sleep(min(5, max(0.1, deadline - time.monotonic())))
            assert scope.child() == pid, f"shot:\n{scope.log()[-3000:]}"
        stop.set()
        await asyncio.gather(*lanes)  # raises what failed
    finally:
        stop.set()
        for burner in burners:
            burner.kill()
            burner.wait()
        await asyncio.gather(*lanes, return_exceptions=True)
    assert "no sign of life" not in scope.log() and "it hangs" not in scope.log(), scope.log()[-3000:]
    assert figures["of them broken off"] == 0 and figures["sessions beside it"] > 0, figures
    await asyncio.to_thread(scope.stop, 120)
    gateway.close()
    figures["seconds of full load"] = int(options.soak * 60)


async def run(options, folder, figures):
    if options.soak:
        await soak(options, folder, figures)
        if options.only_soak:
            return
    never_served(options, folder)
    gateway = await SimpleGateway().start()
    began = time.monotonic()
    scope = Scope(options.binary, folder / "watched", gateway.port).start()
    scope.usual = await flows_again(scope.port, began)
    try:
        for case in (stopped, loop_hangs, crashes, crash_loop, requests):
            await case(scope, figures)
    finally:
        if scope.process.poll() is None:
            child = children(scope.process.pid)
            scope.kill()
            for pid in child:
                os.kill(pid, signal.SIGKILL)
    await managed(options, folder, gateway, figures)
    await log_unread(options, folder, gateway, figures)
    gateway.close()


def main():
    parser = command_line.parser(__doc__)
    parser.add_argument("--soak", type=float, default=0.25, metavar="MINUTES", help="0: none")
    parser.add_argument("--only-soak", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: only root can hold a thread of another process")
        return 77
    figures = Counter()
    with tempfile.TemporaryDirectory(prefix="smtpscope-watchdog.") as folder:
        asyncio.run(run(options, Path(folder), figures))
    command_line.summary(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
