#!/usr/bin/env python3
"""Random sessions through the proxy: every byte and every close must arrive as it was sent, and each session must leave
exactly one transcript with the right counts and hashes, and a recording that gives back its bytes.

What is demanded of a session, by how it ends:
  graceful   both sides receive exactly what the other sent, then its FIN (never an RST); transcript: all bytes, two FINs
  reset      the other side sees an RST, not an end; it has received a prefix of what was sent, and all of it where little
             was sent (the kernel had acknowledged it before the RST); the transcript says who reset
  close      close() without reading on: a prefix, all of it where little was sent; FIN or RST, as the kernel decides
  hit-and-run  the connection is ended at once; one transcript
The transcript's byte counts lie between what the other side received and what was sent, and its hashes are those of
exactly that prefix.
"""
import argparse
import asyncio
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import peers, random_scripts, store  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402
from lib.xxh import xxh128  # noqa: E402

SESSION_TIMEOUT = 90
SMALL = 30_000  # fits every socket buffer on the way


async def perform(peer, ops):
    for op in ops:
        if op[0] == "wait":
            await peer.wait(op[1], SESSION_TIMEOUT)
        elif op[0] == "eof":
            await peer.wait_close(SESSION_TIMEOUT)
        elif op[0] == "send":
            last = 0
            for cut in [*op[2], len(op[1])]:
                if not await peer.send(op[1][last:cut]):
                    return
                last = cut
                if last < len(op[1]):
                    await asyncio.sleep(0 if cut % 3 else 0.001)
        elif op[0] == "sleep":
            await asyncio.sleep(op[1])
        elif op[0] == "pause":
            peer.pause()
            asyncio.get_running_loop().call_later(op[1], peer.resume)
        elif op[0] == "fin":
            peer.fin()
        elif op[0] == "rst":
            peer.reset()
            return
        elif op[0] == "close":
            peer.note_unsent()
            peer.close()
            return


class Outcome:
    """What the two peers saw, kept for the comparison with the transcript."""

    def __init__(self, seed, script, address):
        self.seed, self.script, self.address = seed, script, address
        self.sent, self.received, self.saw, self.unsent = {}, {}, {}, {}

    def take(self, side, peer):
        self.sent[side], self.received[side] = bytes(peer.sent), bytes(peer.received)
        self.saw[side], self.unsent[side] = peer.saw, peer.unsent

    def check_peers(self):
        script = self.script
        if script.kind == "hit-and-run":
            return
        for side, other in (("sender", "gateway"), ("gateway", "sender")):
            got, sent = self.received[other], self.sent[side]
            assert sent.startswith(got), f"{other} received {len(got)} bytes that are not what {side} sent ({len(sent)})"
            if script.ending == "graceful":
                assert len(got) == len(sent), f"{other} received {len(got)} of {len(sent)} bytes"
                assert self.saw[other] == "eof", f"{other} saw {self.saw[other]} where {side} sent a FIN"
        ender, other = script.ender, "gateway" if script.ender == "sender" else "sender"
        if script.ending in ("reset", "close"):
            assert self.saw[other], f"{other} never learned that {ender} was gone"
            if script.ending == "reset":
                assert self.saw[other] == "reset", f"{other} saw {self.saw[other]} where {ender} sent an RST"
            if len(self.sent[ender]) <= SMALL and not self.unsent[ender]:
                got = len(self.received[other])
                assert got == len(self.sent[ender]), \
                    f"{other} received {got} of the {len(self.sent[ender])} bytes that were sent before the {script.ending}"

    def check_transcript(self, transcript):
        for side, other in (("sender", "gateway"), ("gateway", "sender")):
            stream = transcript["streams"][side]
            sent, least = self.sent[side], len(self.received[other])
            if self.script.ending == "graceful":
                least = len(sent)
            assert least <= stream["bytes"] <= len(sent), \
                f"transcript says {stream['bytes']} bytes of {side}, between {least} and {len(sent)} passed"
            assert stream["xxh128"] == xxh128(sent[:stream["bytes"]]), f"transcript's hash of {side} is wrong"
        closes = [(event["from"], event["how"]) for event in transcript["events"] if event["kind"] == "close"]
        if self.script.ending == "graceful":
            assert sorted(closes) == [("gateway", "fin"), ("sender", "fin")], f"transcript's closes are {closes}"
        elif self.script.ending == "reset":
            assert (self.script.ender, "rst") in closes, f"{self.script.ender} reset, transcript's closes are {closes}"

    def check_recording(self, transcript, gateway_port):
        sides = store.follow(transcript["_file"].with_suffix(".pcapng"), self.address, gateway_port)
        for side, recorded in zip(("sender", "gateway"), sides):
            wire = self.sent[side][:transcript["streams"][side]["bytes"]]
            assert len(recorded) == len(wire), f"recording holds {len(recorded)} bytes of {side}, {len(wire)} passed"
            masked = sum(a != b for a, b in zip(recorded, wire))
            most = transcript["capture"]["masked_bytes"] if self.script.secrets else 0
            assert masked <= most, f"recording of {side} differs in {masked} bytes, at most {most} may be masked"


async def one_session(seed, number, scope, gateway):
    script = random_scripts.make(seed)
    source = "::1" if scope.host == "::1" else f"127.{1 + number // 5000}.0.{1 + number % 200}"
    if script.kind == "hit-and-run":
        async with gateway.lock:
            sock = await peers.connect(scope.port, source, scope.host)
            address = sock.getsockname()[:2]
            sender, other = peers.Peer(sock), None
            await perform(sender, script.ops["sender"])
            try:
                other = peers.Peer(await gateway.accept(5))
            except asyncio.TimeoutError:
                pass
        if other:
            await other.wait_close(SESSION_TIMEOUT)
            other.close()
        outcome = Outcome(seed, script, address)
        outcome.sent = outcome.received = {"sender": b"", "gateway": b""}
        return outcome
    sender, other, address = await peers.pair(scope.port, gateway, source, scope.host)
    outcome = Outcome(seed, script, address[:2])
    try:
        sides = {"sender": sender, "gateway": other}
        await asyncio.gather(*(perform(sides[side], script.ops[side]) for side in sides))
        for peer in sides.values():
            if not peer.closed:
                await peer.wait_close(SESSION_TIMEOUT)
        for side, peer in sides.items():
            outcome.take(side, peer)
    finally:
        sender.close()
        other.close()
    outcome.check_peers()
    return outcome


async def many(count, seed, scope, gateway, parallel, failures):
    outcomes, numbers = [], iter(range(count))

    async def lane():
        for number in numbers:
            name = f"{seed}-{number}"
            try:
                outcomes.append(await asyncio.wait_for(one_session(name, number, scope, gateway), SESSION_TIMEOUT * 2))
            except (AssertionError, asyncio.TimeoutError, OSError) as error:
                script = random_scripts.make(name)
                failures.append(f"{name} ({script.kind}, {script.ending} by {script.ender}): {error!r}")
                if len(failures) > 20:
                    return
    await asyncio.gather(*(lane() for _ in range(parallel)))
    return outcomes


def part(task):
    """One proxy with its own gateway and store; gives back (counts, failures)."""
    options, seed, count, host, workers = task
    failures, counts = [], Counter()
    with tempfile.TemporaryDirectory(prefix="smtpscope-random.") as folder:
        async def run():
            gateway = peers.Gateway()
            scope = Smtpscope(options.binary, gateway.port, Path(folder) / "store", ["--workers", str(workers)],
                              host=host).start()
            try:
                outcomes = await many(count, seed, scope, gateway, options.parallel, failures)
                await asyncio.to_thread(check, outcomes, scope, gateway, count, options, failures, counts)
            finally:
                scope.stop()
                gateway.close()
        try:
            asyncio.run(run())
        except AssertionError as error:
            failures.append(str(error))
    return counts, failures


def check(outcomes, scope, gateway, count, options, failures, counts):
    """The store against what the peers saw."""
    if len(outcomes) == count:
        found = store.by_sender(store.wait_transcripts(scope.store, count, 20))
        time.sleep(0.3)  # a second transcript of a session would come late
        assert store.count_lines(scope.store) == count, f"{store.count_lines(scope.store)} transcripts of {count} sessions"
    else:
        found = store.by_sender(store.transcripts(scope.store))
    validator = store.Validator(options.source)
    for outcome in outcomes:
        try:
            assert outcome.address in found, "no transcript"
            outcome.check_transcript(found[outcome.address])
            validator.check(found[outcome.address])
        except AssertionError as error:
            failures.append(f"{outcome.seed} ({outcome.script.kind}, {outcome.script.ending}): {error}")
        counts[outcome.script.ending] += 1
        counts["bytes"] += sum(map(len, outcome.received.values()))
        counts["incomplete"] += not found.get(outcome.address, {"capture": {"complete": True}})["capture"]["complete"]
    counts["validated"] += validator.checked

    whole = [o for o in outcomes if o.address in found and found[o.address]["capture"]["complete"]
             and not found[o.address]["capture"]["truncated_bytes"] and o.script.kind != "hit-and-run"]
    for outcome in random.Random(options.seed).sample(whole, min(options.follow, len(whole))):
        try:
            outcome.check_recording(found[outcome.address], gateway.port)
            counts["followed"] += 1
        except AssertionError as error:
            failures.append(f"{outcome.seed} ({outcome.script.kind}, {outcome.script.ending}): {error}")
    for path in store.recordings(scope.store)[:8]:
        counts["packets read back"] += store.check_recording(path)
    store.check_modes(scope.store)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", default=str(Path(__file__).parents[2]))
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--parallel", type=int, default=25, help="sessions at a time in each of the parts")
    parser.add_argument("--follow", type=int, default=30, help="recordings read back in each of the parts")
    parser.add_argument("--seed", default="smtpscope")
    options = parser.parse_args()

    started = time.monotonic()
    few = options.count // 20
    half = (options.count - few) // 2
    tasks = [(options, f"{options.seed}-a", half, "127.0.0.1", 1), (options, f"{options.seed}-b", half, "127.0.0.1", 2),
             (options, f"{options.seed}-c", options.count - 2 * half, "::1", 1)]
    with multiprocessing.Pool(2) as pool:
        results = pool.map(part, tasks, chunksize=1)
    counts, failures = sum((r[0] for r in results), Counter()), [f for r in results for f in r[1]]
    for failure in failures[:25]:
        print("FAILED:", failure[:4000])
    sessions = sum(counts[ending] for ending in ("graceful", "reset", "close", "hit-and-run"))
    print(f"summary: random sessions: {sessions} of {options.count} run in {time.monotonic() - started:.0f} s, "
          f"{len(failures)} failures; {dict(sorted(counts.items()))}")
    sys.exit(1 if failures or sessions != options.count else 0)


if __name__ == "__main__":
    main()
