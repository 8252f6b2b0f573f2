#!/usr/bin/env python3
"""Plays every session of a folder of real captures through the proxy, both sides' bytes in their order, and compares.

The folder (--corpus, else ../shared/corpus beside the checkout) holds captures and EXPECTED.json: per "file#session" what
was found in it by other means. Without the folder the test says so and is skipped (status 77).

Demanded: both sides receive exactly the other's bytes, and the transcript's hashes are theirs; its replies, cut out of the
bytes here independently, stand at the right offsets with the right codes; messages, recipients with their codes, final
codes and sizes are the expected ones; verdict, phase, party and place are among the acceptable ones. Disagreements with a
reason stand in KNOWN; any other fails the test.
"""
import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import captures, peers, store  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402
from lib.xxh import xxh128  # noqa: E402

# "file#session": {what is compared: why it cannot agree}. Only what a played session changes, or no parser can settle.
ONE_SIDED = "the capture holds no byte of the gateway; played, the gateway really says nothing, which is a breakdown"
LOOK_ALIKE = ("the gateway took a lone dot behind other line ends than CR LF for the end; the size is that of all bytes before the "
              "dot, as with a regular end, and the expected one is 2 less")
DECRYPTED = ("the capture was written decrypted: a whole message stands in plain SMTP behind the 220 to STARTTLS and was accepted; "
             "the expected list stops at STARTTLS")
KNOWN = {
    "arkime__smtp-subject-multi-nospace.pcap#0": {"verdict": ONE_SIDED},
    "zeek__smtp-one-side-only.pcap#0": {"verdict": ONE_SIDED},
    "arkime__smtp-subject-windows.pcap#0": {"size": LOOK_ALIKE},
    "suricata-verify__smtp-url-base64_smtp-url-b64.pcap#0": {"size": LOOK_ALIKE},
    **{f"arkime__smtp-decrypted.pcap#{n}": {"messages": DECRYPTED} for n in range(4)},
}


def replies(data):
    """(offset, bytes, code) of each reply in a gateway's bytes: lines "ddd-" up to one "ddd " (or without separator)."""
    found, start, position = [], None, 0
    for line in re.findall(rb"[^\n]*\n", data):
        match = re.match(rb"([2-5]\d\d)([- \r\n])", line)
        if start is None:
            start = position
        position += len(line)
        if match and match[2] == b"-":
            continue
        found.append((start, position - start, int(match[1]) if match else 0))
        start = None
    return found


def turns_in_one(turns):
    """Joins neighbours of the same side: they arrive as one run of bytes anyhow."""
    joined = []
    for side, data in turns:
        if joined and joined[-1][0] == side:
            joined[-1] = (side, joined[-1][1] + data)
        else:
            joined.append((side, data))
    return joined


async def play(session, scope, gateway, source):
    """Gives back the sender's address. AssertionError if a byte or a close does not come through."""
    sender, receiver, address = await peers.pair(scope.port, gateway, source)
    sides = {"sender": (sender, receiver), "gateway": (receiver, sender)}
    total = Counter()
    try:
        for side, data in turns_in_one(session.turns):
            here, there = sides[side]
            total[side] += len(data)
            await here.send(data)
            assert await there.wait(total[side], 20), f"{len(there.received)} of {total[side]} bytes of {side} arrived"
        ended = set()
        closes = [*session.closes, ("sender", "fin"), ("gateway", "fin")]
        for side, how in closes:
            here, there = sides[side]
            if side in ended or here.saw == "reset":
                continue
            ended.add(side)
            here.fin() if how == "fin" else here.reset()
            saw = await there.wait_close(20)
            assert saw == ("eof" if how == "fin" else "reset") or there.closed, f"{side} ended by {how}, other saw {saw}"
            if how == "rst":
                break
        for side, (here, there) in sides.items():
            assert bytes(there.received) == session.bytes_of(side), f"bytes of {side} were changed"
    finally:
        sender.close()
        receiver.close()
    return address


def compare(session, expected, transcript):
    """Yields (what, message) for each disagreement."""
    for side in ("sender", "gateway"):
        data = session.bytes_of(side)
        if transcript["streams"][side] != {"bytes": len(data), "xxh128": xxh128(data)}:
            yield "streams", f"{side}: {transcript['streams'][side]}, sent {len(data)} bytes {xxh128(data)}"

    said = [(e["offset"], e["bytes"], e["code"] or 0) for e in transcript["events"]
            if e["kind"] == "reply" and e["from"] == "gateway"]
    wanted = replies(session.bytes_of("gateway"))
    if expected["tls"] == "starttls" and said != wanted:  # what follows the 220 to STARTTLS may be no SMTP
        turn = [n for n, reply in enumerate(wanted) if reply[2] == 220][1:2]
        wanted = wanted[:turn[0] + 1] if turn else wanted
    if said != wanted:
        first = next((pair for pair in zip(said, wanted) if pair[0] != pair[1]), (len(said), len(wanted)))
        yield "replies", f"said {first[0]}, from the bytes {first[1]}"

    messages, mails = transcript["messages"], expected["mails"]
    if len(messages) != len(mails):
        yield "messages", f"{len(messages)} messages, expected {len(mails)}"
    for number, (message, mail) in enumerate(zip(messages, mails)):
        if (message["mail_from"] is None) != (mail["mail_from"] is None) or (
                mail["mail_from"] is not None and _plain(message["mail_from"]) != _address(mail["mail_from"])):
            yield "mail_from", f"message {number}: {message['mail_from']}, expected {mail['mail_from']}"
        wanted_rcpts = [(_address(text), code or 0) for text, code in mail["rcpts"]]
        said_rcpts = [(_plain(r["address"]), r["code"] or 0) for r in message["recipients"]]
        if said_rcpts != wanted_rcpts:
            yield "recipients", f"message {number}: {said_rcpts[:4]}, expected {wanted_rcpts[:4]}"
        final = (message["reply"] or {}).get("code")
        if final != mail["end_code"]:
            yield "final", f"message {number}: final code {final}, expected {mail['end_code']}"
        if mail["size"] is not None and mail.get("ended") is not False and message["bytes"] != mail["size"]:
            yield "size", f"message {number}: {message['bytes']} bytes, expected {mail['size']}"
        accepted = mail["end_code"] is not None and 200 <= mail["end_code"] < 300
        if message["accepted"] != accepted:
            yield "accepted", f"message {number}: accepted is {message['accepted']}, final code {mail['end_code']}"

    expect, breakdown = expected["expect"], transcript["breakdown"]
    if transcript["verdict"] not in expect["verdict"]:
        yield "verdict", f"{transcript['verdict']} ({breakdown and breakdown['code']}), expected {expect['verdict']}"
    elif breakdown:
        for key in ("phase", "party"):
            if expect[key] and breakdown[key] not in expect[key]:
                yield key, f"{breakdown['code']}: {key} {breakdown[key]}, expected {expect[key]}"
        place = breakdown["stream"]
        if expect["at"] and not any(place["from"] == at["from"] and at["lo"] <= place["offset"] <= at["hi"] for at in expect["at"]):
            yield "at", f"{breakdown['code']}: {place}, expected {expect['at']}"


def _address(command):
    text = command.split(":", 1)[1].strip() if ":" in command else command
    return text[1:text.index(">")] if text.startswith("<") and ">" in text else text.split(" ")[0]


def _plain(lossless):
    return lossless.replace("\\\\", "\\")


async def run(options):
    expected = json.loads((options.corpus / "EXPECTED.json").read_text())
    files = list(dict.fromkeys(name.split("#")[0] for name in expected))
    failures, known, done, fields = [], [], {}, Counter()
    with tempfile.TemporaryDirectory(prefix="smtpscope-corpus.") as folder:
        gateway = peers.Gateway()
        config = Path(folder) / "smtpscope.jsonc"
        config.write_text(json.dumps({"capture": {"senders": ["any"], "body": "full", "body_limit": "64MiB"}}))
        scope = Smtpscope(options.binary, gateway.port, Path(folder) / "store", ["--config", str(config)]).start()
        try:
            for number, file in enumerate(files):
                sessions = {s.ends["sender"]: s for s in await asyncio.to_thread(captures.load, options.corpus / file)}
                for name in [name for name in expected if name.split("#")[0] == file]:
                    session = sessions[expected[name]["client"]]
                    assert len(session.bytes_of("sender")) == expected[name]["bytes_c2s"], f"{name}: read wrongly here"
                    try:
                        address = await play(session, scope, gateway, f"127.0.0.{number + 1}")
                        done[address[:2]] = name, session
                    except AssertionError as error:
                        failures.append(f"{name}: relay: {error}")
            found = store.by_sender(await asyncio.to_thread(store.wait_transcripts, scope.store, len(done), 10))
        finally:
            scope.stop()
            gateway.close()
        validator = store.Validator(options.source)
        for address, (name, session) in done.items():
            assert address in found, f"{name}: no transcript"
            transcript = found[address]
            fields["events"] += len(transcript["events"])
            fields["messages"] += len(transcript["messages"])
            try:
                validator.check(transcript)
                sides = store.follow(transcript["_file"].with_suffix(".pcapng"), address, gateway.port)
                for side, recorded in zip(("sender", "gateway"), sides):
                    wire = session.bytes_of(side)
                    masked = sum(a != b for a, b in zip(recorded, wire))
                    assert len(recorded) == len(wire) and masked <= transcript["capture"]["masked_bytes"], \
                        f"recording of {side}: {len(recorded)} bytes of {len(wire)}, {masked} differ"
            except AssertionError as error:
                failures.append(f"{name}: {error}")
            for what, message in compare(session, expected[name], transcript):
                if what in KNOWN.get(name, {}):
                    known.append(f"{name}: {what}: {message}\n    because {KNOWN[name][what]}")
                else:
                    failures.append(f"{name}: {what}: {message}")
        if options.keep:
            (options.keep).write_text("\n".join(json.dumps({k: v for k, v in t.items() if k != "_file"}) for t in found.values()))
    for line in known:
        print("known:", line)
    for line in failures:
        print("FAILED:", line)
    print(f"summary: corpus: {len(files)} files, {len(done)} of {len(expected)} sessions played, {fields['events']} events, "
          f"{fields['messages']} messages compared, {validator.checked} transcripts validated, {len(known)} known "
          f"disagreements, {len(failures)} failures")
    return 1 if failures or len(done) != len(expected) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--keep", type=Path, help="write the transcripts to this file")
    options = parser.parse_args()
    options.corpus = options.corpus or options.source.parent / "shared" / "corpus"
    if not (options.corpus / "EXPECTED.json").exists():
        print(f"skipped: corpus: no recordings in {options.corpus}")
        sys.exit(77)
    sys.exit(asyncio.run(run(options)))


if __name__ == "__main__":
    main()
