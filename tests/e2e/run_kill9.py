#!/usr/bin/env python3
"""kill -9 at random moments under load. After each restart every session that had ended more than 200 ms before has one
transcript, every open one that had been greeted more than 200 ms before has an interrupted one, none has two; recordings
are readable by tshark and capinfos, and `list` works.
"""
import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import store  # noqa: E402
from lib.smtp import Delivery, SimpleGateway  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402

SENDERS = 20
SETTLED = 0.2  # seconds after which a thing must have reached the disk


async def load_until_killed(scope, rng, source):
    """Runs senders against it, kills it; gives back (the deliveries, the moment of the kill)."""
    deliveries, stop = [], False

    async def lane():
        while not stop:
            delivery = Delivery()
            deliveries.append(delivery)
            body = b"Subject: load\r\n\r\n" + b"y" * 60 * rng.randint(0, 200) + b"\r\n"
            await delivery.run(scope.port, source, body, pause=rng.choice([0, 0, 0.01, 0.1]))
            if delivery.error:
                await asyncio.sleep(0.02)
    lanes = [asyncio.ensure_future(lane()) for _ in range(SENDERS)]
    await asyncio.sleep(0.3 + rng.random() * 1.0)
    killed_at = time.monotonic()
    scope.kill()
    stop = True
    await asyncio.gather(*lanes)
    return [d for d in deliveries if d.address], killed_at


def check_round(found, deliveries, killed_at, counts, wrong):
    wrong += [f"{id}: {n} transcripts" for id, n in Counter(t["id"] for t in found).items() if n > 1]
    # The kernel may give one port to several deliveries, one after the other: the n-th of them has the n-th transcript.
    at = {}
    for transcript in sorted(found, key=lambda t: t["started"]):
        at.setdefault((transcript["sender"]["ip"], transcript["sender"]["port"]), []).append(transcript)
    begun = Counter()
    for delivery in deliveries:
        number, begun[delivery.address] = begun[delivery.address], begun[delivery.address] + 1
        here, name = at.get(delivery.address, []), f"{delivery.address}"
        transcript = here[number] if number < len(here) else None
        if delivery.ended_at and delivery.ended_at < killed_at - SETTLED:
            counts["ended"] += 1
            if not transcript:
                wrong.append(f"{name}: ended {killed_at - delivery.ended_at:.3f} s before the kill, no transcript")
            elif transcript["verdict"] != "delivered" or transcript["capture"].get("interrupted"):
                wrong.append(f"{name}: ended before the kill, transcript says {transcript['verdict']}, {transcript['capture']}")
        elif not delivery.ended_at and delivery.greeted_at and delivery.greeted_at < killed_at - SETTLED:
            counts["open"] += 1
            if not transcript:
                wrong.append(f"{name}: open at the kill, greeted {killed_at - delivery.greeted_at:.3f} s before, no transcript")
            elif not transcript["capture"].get("interrupted") or transcript["capture"]["complete"]:
                wrong.append(f"{name}: open at the kill, transcript says {transcript['capture']}")
        else:
            counts["within 200 ms"] += 1
    for address, transcripts in at.items():
        if len(transcripts) > begun[address]:
            wrong.append(f"{address}: {len(transcripts)} transcripts of {begun[address]} connections")


async def run(options):
    rng, counts, wrong, started = random.Random(options.seed), Counter(), [], time.monotonic()
    validator = store.Validator(options.source)
    with tempfile.TemporaryDirectory(prefix="smtpscope-kill9.") as folder:
        gateway = await SimpleGateway().start()
        scope = Smtpscope(options.binary, gateway.port, Path(folder) / "store")
        for number in range(options.kills):
            source = f"127.3.{number // 200}.{number % 200 + 1}"
            await asyncio.to_thread(scope.start)
            deliveries, killed_at = await load_until_killed(scope, rng, source)
            await asyncio.to_thread(scope.start)  # repairs what the kill left
            due = sum(1 for d in deliveries if (d.ended_at or d.greeted_at or killed_at) < killed_at - SETTLED)
            files = scope.store / "senders" / source
            deadline = time.monotonic() + 10
            while sum(p.read_bytes().count(b"\n") for p in files.glob("*.jsonl")) < due and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            if number % 2:
                scope.kill()
            else:
                await asyncio.to_thread(scope.stop)
            found = [t for t in store.transcripts(scope.store) if t["sender"]["ip"] == source]
            check_round(found, deliveries, killed_at, counts, wrong)
            for transcript in found:
                validator.check(transcript)
            for path in files.glob("*.pcapng"):
                counts["packets"] += store.check_recording(path)
            assert len(wrong) < 20, "\n".join(wrong)
        everything = store.transcripts(scope.store)
        lines = scope.cli("list", "--store", scope.store, "--json")[1].splitlines()
        if sorted(json.loads(line)["id"] for line in lines) != sorted(t["id"] for t in everything):
            wrong.append(f"list shows {len(lines)} sessions, {len(everything)} transcripts are on disk")
        store.check_modes(scope.store)
        gateway.close()
    for line in wrong:
        print("FAILED:", line)
    if not wrong and (counts["ended"] < options.kills or counts["open"] < options.kills):
        wrong.append("too little load to say anything")
        print("FAILED:", wrong[-1])
    print(f"summary: kill9: {options.kills} kills in {time.monotonic() - started:.0f} s, sessions {dict(counts)}, "
          f"{validator.checked} transcripts validated, {len(wrong)} failures")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", default="kill")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
