#!/usr/bin/env python3
"""The limits of a running proxy: descriptors used up, SIGTERM and its drain, the second signal, `--sessions` and `--for`,
senders that are not captured, memory towards a peer that does not read.
"""
import argparse
import asyncio
import json
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import peers, store  # noqa: E402
from lib.smtp import Delivery, SimpleGateway  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402


class Bench:
    """What each test gets: a folder, a way to start proxies, and their clean-up."""

    def __init__(self, options, folder):
        self.options, self.folder, self.scopes = options, Path(folder), []

    def start(self, gateway_port, *args, config=None, **more):
        number = len(self.scopes)
        if config:
            path = self.folder / f"config-{number}.jsonc"
            path.write_text(json.dumps(config))
            args = ("--config", str(path), *args)
        self.scopes.append(Smtpscope(self.options.binary, gateway_port, self.folder / f"store-{number}", args, **more))
        return self.scopes[-1].start()

    @property
    def sanitized(self):
        return self.options.sanitized


async def ping(sender, receiver, text):
    """A line each way, exact."""
    for here, there in ((sender, receiver), (receiver, sender)):
        total = len(there.received) + len(text)
        await here.send(text)
        assert await there.wait(total, 10), "a session in progress was harmed"
        assert bytes(there.received[-len(text):]) == text, "bytes changed"


async def out_of_descriptors(bench):
    """With 100 descriptors and 80 senders: who is in goes on, who waits gets in when others leave."""
    gateway = peers.Gateway()
    scope = bench.start(gateway.port, nofile=100)
    senders = [peers.Peer(await peers.connect(scope.port, "127.0.4.1")) for _ in range(80)]  # the backlog takes them all
    accepted = []
    try:
        while True:
            accepted.append(peers.Peer(await gateway.accept(2)))
    except asyncio.TimeoutError:
        pass
    assert 10 <= len(accepted) < 80, f"{len(accepted)} of 80 sessions with 100 descriptors"
    first = len(accepted)
    ports = {}
    for number, gate in enumerate(accepted):  # which sender is behind which gateway connection: say so from the gateway
        await gate.send(b"220 %d\r\n" % number)
    for _ in range(100):
        await asyncio.sleep(0.1)
        for sender in senders:
            match = re.match(rb"220 (\d+)\r\n", bytes(sender.received))
            if match:
                ports[int(match[1])] = sender
        if len(ports) == first:
            break
    refused = [s for s in senders if s.saw and not s.received]
    assert len(ports) == first, f"{len(ports)} of {first} greetings came through"
    for number, sender in ports.items():
        await ping(sender, accepted[number], b"NOOP\r\n")
    cpu = scope_cpu(scope)
    await asyncio.sleep(1)
    spent = scope_cpu(scope) - cpu
    assert spent < 0.5, f"{spent:.2f} s of CPU in a second of waiting for descriptors"
    for number, sender in list(ports.items())[:first - 2]:  # all but two leave
        sender.fin()
        accepted[number].fin()
        await sender.wait_close(5)
        sender.close()
        accepted[number].close()
    late = []
    try:
        while len(late) < 80 - first - len(refused):
            late.append(peers.Peer(await gateway.accept(5)))
    except asyncio.TimeoutError:
        pass
    assert late, "accepting did not resume when descriptors were free"
    assert not refused, f"{len(refused)} waiting senders were turned away"
    for number in list(ports)[first - 2:]:
        await ping(ports[number], accepted[number], b"RSET\r\n")
    for peer in [*senders, *accepted, *late]:
        peer.close()
    gateway.close()
    await asyncio.to_thread(scope.stop)
    return f"{first} sessions at 100 descriptors, {len(late)} more after others left"


def scope_cpu(scope):
    fields = Path(f"/proc/{scope.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def drain(bench):
    """SIGTERM: no new sessions, those in progress may end; what is left after `drain` is closed as the proxy's doing."""
    gateway = peers.Gateway()
    scope = bench.start(gateway.port, config={"drain": "2s"})
    ending, _, ending_address = pair_ending = await peers.pair(scope.port, gateway, "127.0.4.2")
    staying, staying_gate, staying_address = await peers.pair(scope.port, gateway, "127.0.4.3")
    for sender, gate in (pair_ending[:2], (staying, staying_gate)):
        await ping(sender, gate, b"220 hello\r\n")
    scope.signal(signal.SIGTERM)
    began = time.monotonic()
    await asyncio.sleep(0.4)
    try:
        await peers.connect(scope.port, "127.0.4.4")
        raise AssertionError("a new sender was accepted after SIGTERM")
    except ConnectionRefusedError:
        pass
    await ping(ending, pair_ending[1], b"QUIT\r\n")
    ending.fin()
    pair_ending[1].fin()
    assert await ending.wait_close(5) == "eof", "a session that ended in the drain did not end well"
    assert scope.process.poll() is None, "the proxy did not wait for the session in progress"
    await ping(staying, staying_gate, b"NOOP\r\n")
    assert await staying.wait_close(10) and await staying_gate.wait_close(10), "what was left was not closed"
    took = time.monotonic() - began
    assert 1.5 < took < 6, f"drain took {took:.1f} s, 2 s were set"
    assert await asyncio.to_thread(scope.process.wait, 10) == 0, f"status after the drain: {scope.process.returncode}"
    scope.check_log()
    found = store.by_sender(store.transcripts(scope.store))
    assert set(found) == {ending_address[:2], staying_address[:2]}, f"transcripts of {list(found)}"
    left = json.dumps({k: v for k, v in found[staying_address[:2]].items() if k != "_file"})
    assert '"proxy"' in left, f"the transcript does not say that the proxy closed: {left[:1500]}"
    for peer in (ending, pair_ending[1], staying, staying_gate):
        peer.close()
    gateway.close()
    return f"drain of 2 s took {took:.1f} s"


async def second_signal(bench):
    gateway = peers.Gateway()
    scope = bench.start(gateway.port, config={"drain": "60s"})
    sender, gate, address = await peers.pair(scope.port, gateway, "127.0.4.5")
    await ping(sender, gate, b"220 hello\r\n")
    scope.signal(signal.SIGTERM)
    await asyncio.sleep(0.4)
    assert scope.process.poll() is None, "the first signal ended it at once"
    began = time.monotonic()
    scope.signal(signal.SIGTERM)
    await asyncio.to_thread(scope.process.wait, 10)
    took = time.monotonic() - began
    assert took < 2, f"the second signal took {took:.1f} s"
    scope.check_log()
    assert address[:2] in store.by_sender(store.transcripts(scope.store)), "the session has no transcript"
    sender.close()
    gate.close()
    gateway.close()
    return f"second signal ended it in {took:.2f} s"


async def capture_ends(bench):
    """After --sessions N, and after --for, sessions are relayed as before and leave no trace."""
    gateway = await SimpleGateway().start()
    told = []
    for args, wanted in ((("--sessions", "5"), 5), (("--for", "2s"), None)):
        scope = bench.start(gateway.port, *args)
        inside = [await Delivery().run(scope.port, "127.0.4.6") for _ in range(5)]
        if wanted is None:
            await asyncio.sleep(2.5)
        outside = [await Delivery().run(scope.port, "127.0.4.7") for _ in range(5)]
        assert all(d.ended_at for d in inside + outside), "a session was not relayed"
        await asyncio.to_thread(store.wait_transcripts, scope.store, 5, 5)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(scope.stop)
        found = store.by_sender(store.transcripts(scope.store))
        assert set(found) == {d.address for d in inside}, f"{args}: {len(found)} transcripts, 5 are due"
        assert not (scope.store / "senders" / "127.0.4.7").exists(), "a session that is not captured left a trace"
        assert re.search(r"\b5\b", scope.log()), f"no closing line with the number captured:\n{scope.log()[-1500:]}"
        told.append(" ".join(args))
    gateway.close()
    return f"capture ended by {' and by '.join(told)}"


async def not_captured(bench):
    """A sender outside the filter is relayed and leaves no file and no line."""
    gateway = await SimpleGateway().start()
    scope = bench.start(gateway.port, "--sender", "127.0.5.0/24")
    one, other = await Delivery().run(scope.port, "127.0.5.9"), await Delivery().run(scope.port, "127.0.6.9")
    assert one.ended_at and other.ended_at, "a session was not relayed"
    await asyncio.to_thread(store.wait_transcripts, scope.store, 1, 5)
    await asyncio.to_thread(scope.stop)
    names = sorted(path.name for path in (scope.store / "senders").iterdir())
    assert names == ["127.0.5.9"], f"senders in the store: {names}"
    assert "127.0.6.9" not in scope.log(), "a sender that is not captured is in the log"
    gateway.close()
    return "a sender outside the filter left no trace"


async def bounded_memory(bench):
    """50 MB towards a gateway that does not read: the proxy's memory stays, and every byte arrives when it reads again."""
    gateway = peers.Gateway()
    scope = bench.start(gateway.port)
    sender, gate, _ = await peers.pair(scope.port, gateway, "127.0.4.8")
    gate.pause()

    def resident():
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{scope.process.pid}/status").read_text())[1]) // 1024
    before = resident()
    data = bytes(range(256)) * 4096 * 50
    sending = asyncio.ensure_future(sender.send(data))
    await asyncio.sleep(1.5)
    grown, taken = resident() - before, len(sender.sent)
    assert not sending.done(), "the proxy took 50 MB for a gateway that does not read"
    assert grown < (64 if bench.sanitized else 24), f"memory grew by {grown} MB while the gateway did not read"
    gate.resume()
    assert await sending and await gate.wait(len(data), 60), f"{len(gate.received)} of {len(data)} bytes arrived"
    assert bytes(gate.received) == data, "bytes changed"
    for peer in (sender, gate):
        peer.fin()
    assert await sender.wait_close(10) == "eof" and await gate.wait_close(10) == "eof"
    sender.close()
    gate.close()
    found = await asyncio.to_thread(store.wait_transcripts, scope.store, 1, 10)
    assert found[0]["streams"]["sender"]["bytes"] == len(data)
    await asyncio.to_thread(scope.stop)
    gateway.close()
    return f"{taken >> 10} KB held for a gateway that does not read, memory grew by {grown} MB"


TESTS = (out_of_descriptors, drain, second_signal, capture_ends, not_captured, bounded_memory)


async def run(options):
    told, failures = [], 0
    for test in TESTS:
        if options.only not in test.__name__:
            continue
        with tempfile.TemporaryDirectory(prefix="smtpscope-limits.") as folder:
            bench = Bench(options, folder)
            try:
                told.append(await asyncio.wait_for(test(bench), 120))
                print(f"ok      {test.__name__}: {told[-1]}")
            except (AssertionError, asyncio.TimeoutError, OSError) as error:
                failures += 1
                print(f"FAILED: {test.__name__}: {error!r}"[:4000])
            finally:
                for scope in bench.scopes:
                    if scope.process and scope.process.poll() is None:
                        scope.kill()
    print(f"summary: limits: {len(told)} passed, {failures} failed")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--sanitized", action="store_true", help="the binary is built with sanitizers")
    parser.add_argument("--only", default="", help="run only tests with this in their name")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
