#!/usr/bin/env python3
"""Writes a capture for measurements of `smtpscope analyze`: many SMTP sessions side by side, or a port scan.

    tests/bench/make_capture.py sessions OUT [--sessions 10000] [--size 1000000000]      --size: bytes of the file, about
    tests/bench/make_capture.py scan OUT [--packets 1000000]
"""
import argparse
import itertools
import random
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from lib.pcap import ACK, FIN, HEADER, PSH, RST, SYN, packet  # noqa: E402

GATEWAY = (socket.inet_aton("198.51.100.25"), 25)
SIDE_BY_SIDE = 200
SEGMENT = 1448
LINE = b"The quick brown fox jumps over the lazy dog, again and again....\r\n"


def session(number, body):
    """(source, target, flags, payload) of each packet of one session."""
    sender = (socket.inet_aton(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"), 20000 + number % 40000)
    turns = [(1, b"220 gw.example ESMTP\r\n"), (0, b"EHLO mx.sender.example\r\n"), (1, b"250-gw.example\r\n250 SIZE 50000000\r\n"),
             (0, b"MAIL FROM:<a@sender.example>\r\n"), (1, b"250 2.1.0 Ok\r\n"), (0, b"RCPT TO:<b@gw.example>\r\n"),
             (1, b"250 2.1.5 Ok\r\n"), (0, b"DATA\r\n"), (1, b"354 go ahead\r\n"), (0, body),
             (1, b"250 2.0.0 Ok: queued as 4F1A2B3C4D\r\n"), (0, b"QUIT\r\n"), (1, b"221 2.0.0 Bye\r\n")]
    ends = (sender, GATEWAY)
    yield ends, SYN, b""
    yield ends[::-1], SYN | ACK, b""
    yield ends, ACK, b""
    for side, data in turns:
        for start in range(0, len(data), SEGMENT):
            yield ends if side == 0 else ends[::-1], PSH | ACK, data[start:start + SEGMENT]
            if start // SEGMENT % 2:
                yield ends[::-1] if side == 0 else ends, ACK, b""
    yield ends[::-1], FIN | ACK, b""
    yield ends, FIN | ACK, b""
    yield ends[::-1], ACK, b""


def sessions(out, count, size):
    rows = max(1, (size // count - 1800) // (len(LINE) + 7))  # 7: the headers, shared by the lines of a segment
    body = b"Subject: bench\r\n\r\n" + LINE * rows + b".\r\n"
    clock, waiting, running, numbers = itertools.count(), iter(range(count)), [], {}
    for number in itertools.islice(waiting, SIDE_BY_SIDE):
        running.append(session(number, body))
    chunk = []
    while running:
        for one in list(running):
            made = next(one, None)
            if made is None:
                running.remove(one)
                started = next(waiting, None)
                if started is not None:
                    running.append(session(started, body))
                continue
            (source, target), flags, payload = made
            key = source + target
            mine = numbers.get(key, 1000)
            theirs = numbers.get(target + source, 1000)
            chunk.append(packet(source, target, mine, theirs if flags & ACK else 0, flags, next(clock) / 20000, payload))
            numbers[key] = mine + len(payload) + (1 if flags & (SYN | FIN) else 0)
        if len(chunk) > 4000:
            out.write(b"".join(chunk))
            chunk.clear()
    out.write(b"".join(chunk))


def scan(out, packets):
    """SYNs from everywhere to everywhere, half of them answered with a reset."""
    chance = random.Random(7)
    target = socket.inet_aton("198.51.100.25")
    chunk = []
    for number in range(packets // 2):
        source = (chance.randbytes(4), chance.randrange(1024, 65536))
        to = (target, 25 if number % 10 == 0 else chance.randrange(1, 65536))
        chunk.append(packet(source, to, number, 0, SYN, number / 50000))
        chunk.append(packet(to, source, 0, number + 1, RST | ACK, number / 50000 + 0.00001) if number % 2 == 0
                     else packet(source, to, number, 0, SYN, number / 50000 + 0.00001))
        if len(chunk) > 4000:
            out.write(b"".join(chunk))
            chunk.clear()
    out.write(b"".join(chunk))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("sessions", "scan"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=1_000_000_000)
    parser.add_argument("--packets", type=int, default=1_000_000)
    options = parser.parse_args()
    with open(options.out, "wb") as out:
        out.write(HEADER)
        if options.what == "sessions":
            sessions(out, options.sessions, options.size)
        else:
            scan(out, options.packets)


if __name__ == "__main__":
    main()
