#!/usr/bin/env python3
"""One end of a session, run inside a namespace: `path_peer.py connect|accept ADDRESS PORT STEPS`, STEPS in JSON, one after the
other; at the end the socket is closed, with a reset if bytes are unread.

["say", text]      sends the line                    ["hear"]          waits for a whole reply or line
["body", bytes]    sends message lines, so many bytes at most       ["body", bytes, seconds]   gives up after this time
["ask", text]      say, then hear                    ["wait", seconds]
["tell", word]     prints the word                   ["go"]            waits for a line on standard input
["fin"]  ["rst"]   ends the stream, or breaks it off ["drain"]         reads until the other side ends
["idle", seconds]  reads until nothing comes for so long
["flood", text, bytes]     says it again and again and reads nothing      ["help", seconds]    answers every line with 17 KB
["answer"]         a gateway's greeting and replies up to 354                     ["take"]   reads up to the final dot
"""
import json
import re
import socket
import sys
import time

ROW = b"The quick brown fox jumps over the lazy dog, again and again....\r\n"


class Ended(Exception):
    pass


def heard(sock):
    """Bytes up to the end of a whole reply (a line without a hyphen behind its code), or of a command."""
    seen = b""
    while not seen.endswith(b"\n") or re.match(rb"\d{3}-", seen.rsplit(b"\n", 2)[-2]):
        data = sock.recv(65536)
        if not data:
            raise Ended
        seen += data
    return seen


def body(sock, size, seconds=600, row=ROW):
    end = time.monotonic() + seconds
    text = memoryview((row * (size // len(row) + 1))[:size - 2] + b"\r\n")
    sock.settimeout(0.5)
    while text and time.monotonic() < end:
        try:
            text = text[sock.send(text[:1 << 20]):]
        except socket.timeout:
            pass
    sock.settimeout(None)


def answer(sock):
    sock.sendall(b"220 gw.example ESMTP\r\n")
    for reply in (b"250-gw.example\r\n250 SIZE 10240000\r\n", b"250 2.1.0 Ok\r\n", b"250 2.1.5 Ok\r\n", b"354 go ahead\r\n"):
        heard(sock)
        sock.sendall(reply)


def idle(sock, seconds):
    sock.settimeout(seconds)
    try:
        while sock.recv(65536):
            pass
    except socket.timeout:
        pass
    sock.settimeout(None)


def give_help(sock, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lines = sock.recv(4096).count(b"\n")
        sock.sendall((b"214-" + b"Read the manual. " * 1000 + b"\r\n214 End of help\r\n") * lines)


def take(sock):
    seen = b""
    while not seen.endswith(b"\r\n.\r\n"):
        data = sock.recv(65536)
        if not data:
            raise Ended
        seen = (seen + data)[-64:]


def play(sock, steps):
    for what, *more in steps:
        if what == "say":
            sock.sendall(more[0].encode() + b"\r\n")
        elif what == "ask":
            sock.sendall(more[0].encode() + b"\r\n")
            heard(sock)
        elif what == "hear":
            heard(sock)
        elif what == "body":
            body(sock, *more)
        elif what == "wait":
            time.sleep(more[0])
        elif what == "tell":
            print(more[0], flush=True)
        elif what == "go":
            sys.stdin.readline()
        elif what == "answer":
            answer(sock)
        elif what == "take":
            take(sock)
        elif what == "drain":
            while sock.recv(65536):
                pass
        elif what == "idle":
            idle(sock, more[0])
        elif what == "flood":
            body(sock, more[1], 20, more[0].encode() + b"\r\n")
        elif what == "help":
            give_help(sock, more[0])
        elif what == "fin":
            sock.shutdown(socket.SHUT_WR)
        elif what == "rst":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
            return
        else:
            sys.exit(f"unknown step {what}")


def main():
    how, address, port, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if how == "accept":
        listener = socket.create_server((address, port), family=family)
        print("listening", flush=True)
        sock, _ = listener.accept()
    else:
        sock = socket.create_connection((address, port), 60)
        sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        play(sock, steps)
    except (Ended, OSError) as error:
        print(f"ended: {error!r}", file=sys.stderr)
    sock.close()


if __name__ == "__main__":
    main()
