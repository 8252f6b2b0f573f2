#!/usr/bin/env python3
"""Plays the scripted breakdowns and their healthy variants over real sockets and checks what the transcripts say of them:
verdict, code, phase, party, the event and the very byte. All scenarios run at once, through one proxy for each kind of
gateway that they need.
"""
import argparse
import asyncio
import json
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import peers, scenarios, store  # noqa: E402
from lib.smtpscope import Smtpscope, free_port  # noqa: E402

MIN_BREAKDOWNS = 60


class Group:
    """The proxy and the gateway that scenarios of one kind share; a `.drain` scenario needs one for itself."""

    def __init__(self, binary, folder, kind, members):
        self.members, self.kind, self.gateway, self.extra = members, kind, None, []
        args, host, port = [], "127.0.0.1", 0
        if kind == "refused":
            port = free_port()
        elif kind == "unroutable":  # connect() to a multicast address: ENETUNREACH, whatever the host's routes
            host, port = "224.0.0.1", 25
        elif kind == "unusable":    # a link-local address of no interface: EINVAL, or no IPv6 at all
            host, port = "[fe80::1]", 25
        elif kind == "silent":      # a full backlog: the kernel drops further SYNs
            port = self._full_backlog()
            args = ["--connect-timeout", "2s"]
        else:
            self.gateway = peers.Gateway()
            port = self.gateway.port
        if kind.startswith("drain"):
            args = ["--drain", "1s"]
        self.scope = Smtpscope(binary, port, folder / f"store-{kind}", args, gateway_host=host).start()

    def _full_backlog(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.extra.append(listener)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            self.extra.append(filler)
        return listener.getsockname()[1]

    async def run(self, failures):
        """Gives back {scenario: transcript}."""
        addresses = {}

        async def one(number, scenario):
            try:
                address = await scenarios.play(scenario, self.scope, self.gateway, f"127.0.1.{number % 250 + 1}")
                addresses[address[:2]] = scenario
            except (AssertionError, OSError) as error:
                failures.append(f"{scenario.name}: {error!r}")
        await asyncio.gather(*(one(n, s) for n, s in enumerate(self.members)))
        await asyncio.to_thread(store.wait_transcripts, self.scope.store, len(addresses), 10)
        await asyncio.to_thread(self.scope.stop)
        found = store.by_sender(store.transcripts(self.scope.store))
        for sock in self.extra:
            sock.close()
        return {scenario.name: (scenario, found.get(address)) for address, scenario in addresses.items()}


async def run(options):
    started, failures, results = time.monotonic(), [], {}
    chosen = [s for s in scenarios.load(Path(__file__).parent / "scenarios") if options.only in s.name]
    kinds = {}
    for scenario in chosen:
        kind = scenario.gateway
        if any(step.what == "drain" for step in scenario.steps):
            kind = f"drain-{scenario.name.split('/')[-1]}"
        kinds.setdefault(kind, []).append(scenario)
    with tempfile.TemporaryDirectory(prefix="smtpscope-scenarios.") as folder:
        groups = [Group(options.binary, Path(folder), kind, members) for kind, members in kinds.items()]
        for result in await asyncio.gather(*(group.run(failures) for group in groups), return_exceptions=True):
            if isinstance(result, BaseException):
                failures.append(f"{result!r}"[:3000])
            else:
                results |= result
        counts, validator = Counter(), store.Validator(options.source)
        for name, (scenario, transcript) in sorted(results.items()):
            if not transcript:
                failures.append(f"{name}: no transcript")
                continue
            counts[scenario.verdict] += 1
            wrong = list(scenarios.compare(scenario, transcript))
            failures += [f"{name}: {message}" for message in wrong]
            if wrong and options.verbose:
                print(json.dumps({k: v for k, v in transcript.items() if k != "_file"}, indent=1))
            try:
                validator.check(transcript)
            except AssertionError as error:
                failures.append(f"{name}: {error}")
        for group in groups:
            store.check_modes(group.scope.store)
    if not options.only and counts["breakdown"] < MIN_BREAKDOWNS:
        failures.append(f"only {counts['breakdown']} breakdowns were played, {MIN_BREAKDOWNS} are wanted")
    for failure in failures:
        print("FAILED:", failure)
    print(f"summary: scenarios: {counts['breakdown']} breakdowns and {sum(counts.values()) - counts['breakdown']} healthy "
          f"sessions played in {time.monotonic() - started:.0f} s, {validator.checked} transcripts validated, "
          f"{len(failures)} failures")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--only", default="", help="play only scenarios with this in their name")
    parser.add_argument("--verbose", action="store_true", help="print the transcripts of failed scenarios")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
