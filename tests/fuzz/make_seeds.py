#!/usr/bin/env python3
"""Writes the seeds of the targets that read captures, logs and transcripts, into tests/fuzz/seeds/: small files of our own
making, one a form that the readers tell apart. Run with the binary after a change of a format: make_seeds.py BINARY.
"""
import gzip
import struct
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from lib.pcap import Capture  # noqa: E402
from run_analyze import SCRIPT, as_big_endian_nanoseconds, as_pcapng  # noqa: E402

STARTTLS = [(1, b"220 gw.example ESMTP\r\n"), (0, b"EHLO a.example\r\n"), (1, b"250-gw.example\r\n250 STARTTLS\r\n"),
            (0, b"STARTTLS\r\n"), (1, b"220 go ahead\r\n"), (0, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
            (1, b"\x15\x03\x03\x00\x02\x02\x28")]
CHUNKS = [*SCRIPT[:9], (0, b"BDAT 10\r\n0123456789"), (1, b"250 ok\r\n"), (0, b"BDAT 0 LAST\r\n"), (1, b"250 2.0.0 queued as 4A\r\n")]
LOG = [("Sent to", r"220 gw.example ESMTP\015\012"), ("Rcvd from", r"EHLO a.example\015\012"),
       ("Sent to", r"250-gw.example\015\012250 SIZE 1000\015\012"), ("Rcvd from", r"MAIL FROM:<a@a.example>\015\012"),
       ("Sent to", r"250 ok\015\012"), ("Rcvd from", r"RCPT TO:<b@gw.example>\015\012"), ("Sent to", r"550 #5.1.0 Address rejected.\015\012"),
       ("Rcvd from", r"It\'s \303\274\015\012"), ("Rcvd from", r"QUIT\015\012"), ("Sent to", r"221 gw.example\015\012")]


def capture(script, drop=()):
    made = Capture()
    session = made.connection(("192.0.2.1", 41000), ("198.51.100.25", 25), 1)
    for number, (side, data) in enumerate(script):
        session.say("gateway" if side else "sender", data, 2 + number * 0.1)
    session.end(9)
    made.records = [record for number, record in enumerate(made.sorted()) if number not in drop]
    made.syn(("198.51.100.25", 51000), ("192.0.2.1", 113), 1.5)
    return made.bytes()


def main():
    plain = capture(SCRIPT)
    pcapng = as_pcapng(plain, "<")
    seeds = {"delivered.pcap": plain, "starttls.pcap": capture(STARTTLS), "chunks.pcap": capture(CHUNKS),
             "gap.pcap": capture(SCRIPT, (8, 9)), "begins_late.pcap": capture(SCRIPT, (0, 1, 2, 3, 4)),
             "big_endian.pcap": as_big_endian_nanoseconds(plain), "big_endian.pcapng": as_pcapng(plain), "little.pcapng": pcapng,
             "packed.pcap.gz": gzip.compress(plain, mtime=0),
             "damaged.pcapng": pcapng[:600] + struct.pack("<I", 0xFFFFFFFF) + pcapng[604:]}
    target = HERE / "seeds" / "capture"
    target.mkdir(exist_ok=True)
    for name, data in seeds.items():
        (target / name).write_bytes(data)

    line = "Tue Nov 24 02:06:{:02} 2026 Info: {} {} '192.0.2.1': '{}'\n".format
    log = "".join(line(n, 6, *step) for n, step in enumerate(LOG))
    two = "".join(line(n, 7 + n % 2, *step) for n, step in enumerate(LOG))
    offset = "Tue Nov 24 02:00:00 2026 Info: Time offset from UTC: 3600 seconds\n"
    target = HERE / "seeds" / "injection_log"
    target.mkdir(exist_ok=True)
    for name, text in (("refused.log", log), ("two_sessions.log", offset + two), ("cut.log", log[:-30]),
                       ("strange_lines.log", "no line of it\n" + log.replace("Info:", "Warning:", 1))):
        (target / name).write_bytes(text.encode())

    target = HERE / "seeds" / "session_digest"
    target.mkdir(exist_ok=True)
    for name in ("delivered.pcap", "starttls.pcap", "gap.pcap"):
        done = subprocess.run([sys.argv[1], "analyze", "--json", str(HERE / "seeds" / "capture" / name)], capture_output=True, check=True)
        (target / name.replace(".pcap", ".jsonl")).write_bytes(done.stdout)


if __name__ == "__main__":
    main()
