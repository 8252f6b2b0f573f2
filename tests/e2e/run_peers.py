#!/usr/bin/env python3
"""Breakdowns that real servers and real clients make, and what is said of them: code, phase, party, event and byte. Gateways:
Postfix, Exim, OpenSMTPD, Sendmail, chasquid, Haraka, aiosmtpd, smtp-sink; senders: swaks, curl, nodemailer, smtplib, openssl,
Postfix, Exim, and scripts on a plain socket. Cases stand in peers/cases_*.py.
"""
import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import store  # noqa: E402
from peers import tables  # noqa: E402
from peers.runner import Run, verify  # noqa: E402

MIN_CASES, MIN_CODES = 60, 45


def check(run, options):
    """What was wrong, by its kind."""
    wrong, validator, streams = Counter(), store.Validator(options.source), run.streams()
    for case in run.cases:
        transcript = run.transcripts.get(case.name)
        if not transcript:
            continue
        found = list(verify(case, transcript, streams))
        try:
            validator.check(transcript)
        except AssertionError as error:
            found.append(("schema", str(error)))
        wrong.update({kind for kind, _ in found})
        run.failures += [f"{case.name}: {message}" for _, message in found]
        if options.verbose or (found and options.show):
            print(f"--- {case.name}: {transcript['summary']}")
            print(json.dumps(transcript["breakdown"]), [note["code"] for note in transcript["notes"]])
            for event in transcript["events"]:
                print("   ", event["n"], event["at_ms"], event["from"], event["kind"], event.get("how", ""), event.get("text", event.get("head", ""))[:200])
            print("    sender's own words:", run.printed.get(case.name, "")[-700:])
    return wrong, validator.checked


def run_all(options):
    started = time.monotonic()
    chosen = [case for case in tables.CASES if any(word in f"{case.name} {case.gateway}" for word in options.only)]
    if os.geteuid() != 0:
        print("skipped: real peers: not root")
        return 77
    with tempfile.TemporaryDirectory(prefix="smtpscope-peers.") as folder:
        run = Run(options.binary, folder, chosen, tables.SETTINGS)
        run.run()
        wrong, validated = check(run, options)
        if options.logs:
            for gateway in run.gateways:
                print(f"--- log of {gateway.name}\n{gateway.log()[-4000:]}")
    broken = [case for case in run.cases if case.code and case.name in run.transcripts]
    codes = {case.code for case in broken}
    if options.only == [""] and not run.left_out:
        if len(broken) < MIN_CASES or len(codes) < MIN_CODES:
            run.failures.append(f"{len(broken)} breakdowns of {len(codes)} codes; {MIN_CASES} of {MIN_CODES} are wanted")
    for failure in run.failures:
        print("FAILED:", failure)
    for reason in sorted(set(run.left_out.values())):
        print(f"NOT RUN HERE: {sum(r == reason for r in run.left_out.values())} cases need {reason} (deploy/install-deps.sh --tests)")
    right = {kind: len(broken) - wrong[kind] for kind in ("code", "phase", "place", "party")}
    print(f"summary: real peers: {len(broken)} breakdowns of {len(codes)} codes and {len(run.transcripts) - len(broken)} healthy sessions; "
          f"{len({c.gateway for c in run.cases})} gateways in {len(run.groups)} settings, {len({tables.sender(c) for c in run.cases})} kinds of senders; "
          f"right of {len(broken)}: " + ", ".join(f"{kind} {count}" for kind, count in right.items()) +
          f"; {validated} transcripts validated, {time.monotonic() - started:.0f} s, {len(run.failures)} failures" +
          (f"; {len(run.left_out)} cases NOT RUN HERE" if run.left_out else ""))
    return 1 if run.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--only", nargs="*", default=[""], help="only cases with one of these words in their name or gateway")
    parser.add_argument("--verbose", action="store_true", help="print all transcripts")
    parser.add_argument("--show", action="store_true", help="print the transcripts of failed cases")
    parser.add_argument("--logs", action="store_true", help="print the end of the gateways' logs")
    sys.exit(run_all(parser.parse_args()))


if __name__ == "__main__":
    main()
