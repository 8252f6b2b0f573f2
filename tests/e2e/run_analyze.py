#!/usr/bin/env python3
"""`smtpscope analyze` over a folder of real captures, compared with what was found in them by other means.

The folder (--corpus, else ../shared/corpus beside the checkout) holds captures and EXPECTED.json. Without it only what needs
no captures is tested: exit codes, streams, damaged files.

Demanded of each capture: the same sessions in the same order, ends, greeting, HELO, bytes and gaps of both sides, first
close, TLS, replies at the right offsets with the right codes, messages with recipients, codes and sizes; a verdict, phase,
party and place among the acceptable ones. Then the same from standard input, packed by gzip, as big-endian pcap with
nanoseconds and as pcapng; the same sessions filed in a store, where list and show find them. Disagreements with a reason
stand in KNOWN; any other fails the test.
"""
import argparse
import gzip
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import captures, pcap, store  # noqa: E402
from run_corpus import DECRYPTED, LOOK_ALIKE, compare  # noqa: E402

KNOWN = {
    "arkime__smtp-subject-windows.pcap#0": {"size": LOOK_ALIKE},
    "suricata-verify__smtp-url-base64_smtp-url-b64.pcap#0": {"size": LOOK_ALIKE},
    **{f"arkime__smtp-decrypted.pcap#{n}": {"messages": DECRYPTED} for n in range(4)},
}


def run(binary, *args, stdin=None):
    done = subprocess.run([str(binary), "analyze", *map(str, args)], input=stdin, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def analyze(binary, *args, stdin=None):
    status, out, err = run(binary, "--json", *args, stdin=stdin)
    assert status == 0, f"{args}: status {status}: {err}"
    return [json.loads(line) for line in out.splitlines()]


def end(side):
    return f"{side['ip']}:{side['port']}"


def compare_capture(expected, transcript):
    """What run_corpus cannot compare, as it plays the session: yields (what, message)."""
    for key, side in (("client", "sender"), ("server", "gateway")):
        if end(transcript[side]) != expected[key]:
            yield "ends", f"{side} {end(transcript[side])}, expected {expected[key]}"
    events = transcript["events"]
    lines = next((e["text"] for e in events if e["kind"] == "reply" and e["phase"] == "banner" and e["answers"] is None), None)
    said = lines and " | ".join(line.strip() for line in lines.split("\n"))
    if said != (expected["banner"] and expected["banner"].strip()) and expected["tls"] != "implicit":
        yield "banner", f"{said}, expected {expected['banner']}"
    hellos = [e["text"].strip() for e in events if e["kind"] == "command" and e["verb"] in ("EHLO", "HELO", "LHLO")]
    hello = hellos[-1][:300] if hellos else None  # the expected one is the last, and its first 300 characters
    if hello != expected["helo"]:
        yield "helo", f"{hello}, expected {expected['helo']}"
    for side, key in (("sender", "c2s"), ("gateway", "s2c")):
        gap = expected["capture_gap_bytes"][key]
        if transcript["streams"][side]["bytes"] != expected["bytes_" + key] + gap:
            yield "bytes", f"{side}: {transcript['streams'][side]['bytes']}, expected {expected['bytes_' + key]} and a gap of {gap}"
    if (transcript["capture"]["gaps"] > 0) != any(expected["capture_gap_bytes"].values()):
        yield "gaps", f"{transcript['capture']['gaps']}, expected {expected['capture_gap_bytes']}"
    first = next((e for e in events if e["kind"] == "close"), None)
    said = first and f"{'client' if first['from'] == 'sender' else 'server'} {first['how'].upper()}"
    if (said or "none captured") != expected["first_close"]:
        yield "first_close", f"{said}, expected {expected['first_close']}"
    if first and abs(first["at_ms"] / 1000 - expected["closes"][0]["t"]) > 0.002:
        yield "close_time", f"{first['at_ms']} ms, expected {expected['closes'][0]['t']} s"
    tls = transcript["tls"]["mode"] if transcript["tls"] else "no"
    if tls != expected["tls"]:
        yield "tls", f"{tls}, expected {expected['tls']}"


def disagreements(session, expected, transcript):
    gaps = transcript["capture"]["gaps"] > 0
    for what, message in compare(session, expected, transcript):
        # Streams with gaps have no hash, and the places behind a gap differ by it from those in the bytes that are there.
        if not (gaps and what in ("streams", "replies")) and not (what == "streams" and not session.bytes_of("gateway")):
            yield what, message
    yield from compare_capture(expected, transcript)


def stripped(transcript):
    """Without what tells one analysis of a session from another: where it is filed."""
    return {**transcript, "capture": {**transcript["capture"], "recording": None}}


def as_big_endian_nanoseconds(data):
    """A little-endian microsecond pcap as the other kind."""
    magic, major, minor, zone, figures, snap, link = struct.unpack("<IHHiIII", data[:24])
    assert magic == 0xA1B2C3D4
    out = struct.pack(">IHHiIII", 0xA1B23C4D, major, minor, zone, figures, snap, link)
    at = 24
    while at < len(data):
        seconds, micros, captured, wire = struct.unpack("<IIII", data[at:at + 16])
        out += struct.pack(">IIII", seconds, micros * 1000, captured, wire) + data[at + 16:at + 16 + captured]
        at += 16 + captured
    return out


def as_pcapng(data, order=">"):
    """The same as pcapng: two sections, nanoseconds with an offset, and a block of an unknown kind."""
    link = struct.unpack("<I", data[20:24])[0]

    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

    def option(code, value):
        return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)

    def section():
        head = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        options = option(9, b"\x09") + option(14, struct.pack(order + "q", -1000)) + option(0, b"")
        return head + block(1, struct.pack(order + "HHI", 147, 0, 0)) + block(1, struct.pack(order + "HHI", link, 0, 0) + options)

    out, at, count = section() + block(0x0BAD, b"what is it"), 24, 0
    while at < len(data):
        seconds, micros, captured, wire = struct.unpack("<IIII", data[at:at + 16])
        ticks = (seconds + 1000) * 10**9 + micros * 1000
        out += block(6, struct.pack(order + "IIIII", 1, ticks >> 32, ticks & 0xFFFFFFFF, captured, wire) + data[at + 16:at + 16 + captured])
        at += 16 + captured
        count += 1
        if count == 5:
            out += section()
    return out


def over_corpus(options, folder, failures, known):
    expected = json.loads((options.corpus / "EXPECTED.json").read_text())
    files = list(dict.fromkeys(name.split("#")[0] for name in expected))
    validator = store.Validator(options.source)
    fields, total, filed = Counter(), 0, folder / "store"
    for file in files:
        path = options.corpus / file
        names = [name for name in expected if name.split("#")[0] == file]
        found = sorted(analyze(options.binary, path), key=lambda t: t["icid"])
        total += len(found)
        if [end(t["sender"]) for t in found] != [expected[name]["client"] for name in names]:
            failures.append(f"{file}: found: {[end(t['sender']) for t in found]}, expected {[expected[name]['client'] for name in names]}")
        sessions = {s.ends["sender"]: s for s in captures.load(path)}
        by_client = {end(t["sender"]): t for t in found}
        for name in names:
            transcript = by_client.get(expected[name]["client"])
            if transcript is None:
                continue
            fields["events"] += len(transcript["events"])
            fields["messages"] += len(transcript["messages"])
            try:
                validator.check(transcript)
            except AssertionError as error:
                failures.append(f"{name}: schema: {error}")
            for what, message in disagreements(sessions[expected[name]["client"]], expected[name], transcript):
                if what in KNOWN.get(name, {}):
                    known.append(f"{name}: {what}: {message}\n    because {KNOWN[name][what]}")
                else:
                    failures.append(f"{name}: {what}: {message}")
        data = path.read_bytes()
        if file.endswith(".gz"):
            data = gzip.decompress(data)
        forms = {"gzip": gzip.compress(data[:1000]) + gzip.compress(data[1000:])}
        if data[:4] == b"\xd4\xc3\xb2\xa1":
            forms |= {"big-endian": as_big_endian_nanoseconds(data), "pcapng": as_pcapng(data), "little pcapng": as_pcapng(data, "<")}
        for form, content in forms.items():
            again = sorted(analyze(options.binary, "-", stdin=content), key=lambda t: t["icid"])
            if again != found:
                failures.append(f"{file}: as {form}: other transcripts")
            fields["forms"] += 1
        stored = sorted(analyze(options.binary, path, "--store", filed), key=lambda t: t["icid"])
        if [stripped(t) for t in stored] != [stripped(t) for t in found]:
            failures.append(f"{file}: other transcripts with --store")
    in_store(options, filed, total, failures)
    print(f"summary: analyze: {len(files)} files of the corpus, {total} sessions of {len(expected)}, {fields['events']} events and "
          f"{fields['messages']} messages compared in all fields, {validator.checked} transcripts validated, {fields['forms']} other "
          f"forms of the files, {len(known)} known disagreements, {len(failures)} failures")


def in_store(options, filed, total, failures):
    """list and show work on what was filed, and analysing it again gives the same."""
    tool = [str(options.binary)]
    listed = subprocess.run([*tool, "list", "--store", str(filed)], capture_output=True, text=True, check=False).stdout.splitlines()
    if len(listed) != total:
        failures.append(f"list shows {len(listed)} of {total} sessions filed")
    store.check_modes(filed)
    written = {t["id"]: t for t in store.transcripts(filed)}
    for recording in store.recordings(filed):
        store.check_recording(recording)
        for again in analyze(options.binary, recording):
            before = stripped({k: v for k, v in written[again["id"]].items() if k != "_file"})
            different = [k for k in before if before[k] != stripped(again).get(k)]
            if different:
                failures.append(f"{recording.parent.name}: {again['id']}: analysed from the store {different} differ")
    first = next(iter(written))
    shown = subprocess.run([*tool, "show", first, "--store", str(filed)], capture_output=True, text=True, check=False)
    if shown.returncode != 0 or first not in shown.stdout:
        failures.append(f"show {first}: {shown.returncode} {shown.stderr}")


def session_packets(payloads, sport=40000, start=1_700_000_000):
    """A little-endian pcap of raw IP: SYN, SYN/ACK, ACK, [(side, bytes)], FINs."""
    ends = ((b"\xc0\x00\x02\x07", sport), (b"\xc6\x33\x64\x19", 25))
    following, packets = [1000, 5000], []

    def packet(side, flags, data=b""):
        (source, source_port), (target, target_port) = ends[side], ends[1 - side]
        tcp = struct.pack(">HHIIBBHHH", source_port, target_port, following[side], following[1 - side], 0x50, flags, 65535, 0, 0)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0x4000, 64, 6, 0, source, target)
        packets.append(ip + tcp + data)
        following[side] += len(data) + (1 if flags & 3 else 0)
    packet(0, 2)
    packet(1, 18)
    packet(0, 16)
    for side, data in payloads:
        packet(side, 24, data)
    packet(0, 17)
    packet(1, 17)
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101)
    for number, data in enumerate(packets):
        out += struct.pack("<IIII", start, number * 1000, len(data), len(data)) + data
    return out


SCRIPT = [(1, b"220 gw.example ESMTP\r\n"), (0, b"EHLO a.example\r\n"), (1, b"250-gw.example\r\n250 AUTH PLAIN\r\n"),
          (0, b"AUTH PLAIN AGFubmEAc2VjcmV0LXdvcmQ=\r\n"), (1, b"235 2.7.0 ok\r\n"), (0, b"MAIL FROM:<a@a.example>\r\n"),
          (1, b"250 ok\r\n"), (0, b"RCPT TO:<b@gw.example>\r\n"), (1, b"250 ok\r\n"), (0, b"DATA\r\n"), (1, b"354 go\r\n"),
          (0, b"Subject: x\r\n\r\nhello\r\n.\r\n"), (1, b"250 2.0.0 Ok: queued as 4ABCDE\r\n"), (0, b"QUIT\r\n"), (1, b"221 bye\r\n")]


def by_hand(options, folder, failures):
    """Exit codes, masking, damaged files: no capture is needed."""
    def check(what, condition, detail=""):
        if not condition:
            failures.append(f"{what}: {detail}")
    good = session_packets(SCRIPT)
    path = folder / "good.pcap"
    path.write_bytes(good)
    status, out, err = run(options.binary, path)
    check("a session", status == 0 and "delivered" in out and out.count("\n") == 1, (status, out, err))
    filed = folder / "masked"
    status, out, err = run(options.binary, path, "--json", "--store", filed)
    texts = out.encode() + err.encode() + b"".join(p.read_bytes() for p in filed.rglob("*") if p.is_file())
    check("a secret", status == 0 and b"AGFubmEAc2VjcmV0LXdvcmQ" not in texts and b"AUTH PLAIN ***" in texts, (status, err))
    status, out, err = run(options.binary, path, "--store", filed)
    check("filed twice", status == 0 and "0 sessions filed in" in err and "1 was there already" in err, (status, err))
    for terminal, coloured in (("xterm", True), ("dumb", False)):
        ours, its = pty.openpty()
        env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": terminal}
        subprocess.run([options.binary, "list", "--store", filed], stdout=its, env=env, check=True, timeout=60)
        os.close(its)
        check(f"colour with TERM={terminal}", (b"\x1b[" in os.read(ours, 4096)) == coloured)
        os.close(ours)
    check("one line", len(store.transcripts(filed)) == 1, "filed twice")
    for foreign in (good, as_pcapng(good, "<")):
        path_of_others = folder / "others.pcapng"
        path_of_others.write_bytes(foreign)
        done = subprocess.run([options.binary, "show", path_of_others], capture_output=True, text=True, check=False, timeout=60)
        check("show of others' capture", done.returncode in (1, 3) and not done.stdout
              and "`smtpscope analyze" in done.stderr, done)
    broken = folder / "cut.pcap"
    broken.write_bytes(session_packets(SCRIPT, 40002)[:-10])
    status, out, err = run(options.binary, broken, path)
    check("a file cut off", status == 1 and "cut.pcap: the file is cut off inside a packet (byte " in err and out.count("\n") == 2,
          (status, out, err))
    broken.write_bytes(gzip.compress(good)[:-30])
    status, out, err = run(options.binary, broken)
    check("gzip cut off", status == 1 and "cut.pcap: the compressed data is cut off (byte " in err, (status, out, err))
    for content, message in ((b"", "empty"), (b"From: a@b\n\nHello\n" * 9, "neither pcap nor pcapng"), (good[:20], "header")):
        broken.write_bytes(content)
        status, out, err = run(options.binary, broken)
        check("no capture", status == 1 and message in err, (content[:9], status, out, err))
    status, out, err = run(options.binary, folder / "missing.pcap")
    check("no file", status == 1 and "missing.pcap: No such file" in err and "(byte" not in err, (status, err))
    broken.write_bytes(good[:24])
    status, out, err = run(options.binary, broken)
    check("no packets", status == 3 and "no SMTP session found" in err and not out, (status, out, err))
    status, out, err = run(options.binary, folder)
    check("a folder", status == 1 and "Is a directory" in err, (status, err))
    rotated(options.binary, folder, check)
    damaged(options.binary, folder, check)
    several = session_packets(SCRIPT, 40001, 1_700_000_300)
    (folder / "later.pcap").write_bytes(several)
    status, out, err = run(options.binary, folder / "later.pcap", path)
    times = [line[:19] for line in out.splitlines()]
    check("newest last", status == 0 and len(times) == 2 and times == sorted(times), out)


def rotated(binary, folder, check):
    """One capture in several files, as tcpdump -C and -G leave them, gives the sessions that it gives in one, in any order."""
    capture = pcap.Capture()
    for number in range(40):
        session = capture.connection(("192.0.2.7", 42000 + number), ("198.51.100.25", 25), number * 0.7)
        for turn, (side, data) in enumerate(SCRIPT):
            session.say("gateway" if side else "sender", data, number * 0.7 + 0.1 + turn * 0.4)
        session.end(number * 0.7 + 9)
    records = [data for _, data in capture.sorted()]
    whole = folder / "whole.pcap"
    whole.write_bytes(pcap.HEADER + b"".join(records))
    names = []
    for part in range(7):  # every session stands in two of them or more
        names.append(folder / f"{'gcaebfd'[part]}.pcap")
        data = pcap.HEADER + b"".join(records[part * len(records) // 7:(part + 1) * len(records) // 7])
        names[-1].write_bytes(gzip.compress(data) if part == 3 else as_pcapng(data) if part == 4 else data)
    status, expected, err = run(binary, whole, "--json")
    check("the whole capture", status == 0 and expected.count("\n") == 40, (status, err))
    for order in (names, names[::-1], names[3:] + names[:3]):
        status, out, err = run(binary, *order, "--json")
        check("rotated files", status == 0 and sorted(out.splitlines()) == sorted(expected.splitlines()), (status, err, out[:500]))
    status, _, err = run(binary, *names[:3], folder / "missing.pcap", *names[3:], "--json")
    check("rotated files and one that is not there", status == 1 and "missing.pcap" in err, (status, err))


def damaged(binary, folder, check):
    """A pcapng with a block that is broken in the middle: sessions before and behind it are whole, the one that it hits is
    no breakdown of anybody, and what was skipped is said."""
    capture = pcap.Capture()
    for number in range(3):
        session = capture.connection(("192.0.2.7", 43000 + number), ("198.51.100.25", 25), number * 10.0)
        for turn, (side, data) in enumerate(SCRIPT):
            session.say("gateway" if side else "sender", data, number * 10 + 1 + turn * 0.1)
        session.end(number * 10 + 9)
    for order in (">", "<"):
        good = as_pcapng(capture.bytes(), order)
        at = good.index(b"250 2.0.0 Ok: queued", good.index(b"250 2.0.0 Ok: queued") + 1)  # in the second session
        start = good.rindex(struct.pack(order + "I", 6), 0, at)
        for what, bytes_ in (("a length", good[:start + 4] + b"\xff\xff\xff\xff" + good[start + 8:]),
                             ("a long length", good[:start + 4] + struct.pack(order + "I", 1 << 20) + good[start + 8:]),
                             ("missing bytes", good[:start + 13] + good[start + 90:]),
                             ("a kind and a length", good[:start] + bytes(8) + good[start + 8:])):
            path = folder / "damaged.pcapng"
            path.write_bytes(bytes_)
            status, out, err = run(binary, path, "--json")
            found = sorted((json.loads(line) for line in out.splitlines()), key=lambda t: t["started"])
            verdicts = [t["verdict"] for t in found]
            check(f"damaged: {what}", status == 1 and "went on at byte" in err and "bytes skipped" in err, (status, err))
            check(f"damaged: {what}", verdicts == ["delivered", "unknown", "delivered"], (verdicts, err))
            check(f"damaged: {what}", [t["capture"]["complete"] for t in found] == [True, False, True], out[:300])
    # A section header is gone on with even where nothing before it makes sense.
    path.write_bytes(good[:200] + bytes(range(1, 256)) * 3 + good)
    status, out, err = run(binary, path)
    check("damaged: garbage before a section", status == 1 and out.count("delivered") == 3, (status, out, err))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--corpus", type=Path)
    options = parser.parse_args()
    options.corpus = options.corpus or options.source.parent / "shared" / "corpus"
    failures, known = [], []
    with tempfile.TemporaryDirectory(prefix="smtpscope-analyze.") as name:
        by_hand(options, Path(name), failures)
        if (options.corpus / "EXPECTED.json").exists():
            over_corpus(options, Path(name), failures, known)
        else:
            print(f"summary: analyze: no recordings in {options.corpus}; what needs none: {len(failures)} failures")
    for line in known:
        print("known:", line)
    for line in failures:
        print("FAILED:", line)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
