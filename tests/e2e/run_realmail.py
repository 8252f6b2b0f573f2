#!/usr/bin/env python3
"""Real mail through the proxy into a real Postfix: smtp-source with 1,000 messages in 20 connections and 100 more with a
connection each, swaks with AUTH, STARTTLS and pipelining, 8-bit and BDAT messages. All must be delivered, the queue ids of
the transcripts must be those of Postfix's log, and no breakdown may be reported.
"""
import argparse
import os
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import store  # noqa: E402
from lib.postfix import PASSWORD, Postfix  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402

NEEDED = ("postfix", "smtp-source", "swaks", "openssl", "saslpasswd2")


def command(*words):
    done = subprocess.run(list(map(str, words)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"


def swaks(port, *options):
    command("swaks", "--server", "127.0.0.1", "--port", port, "--from", "a@sender.example", "--to", "b@example.test", "--helo",
            "mx.sender.example", "--hide-all", *options)


def bdat(port, chunks):
    """A client with CHUNKING, RFC 3030."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock, sock.makefile("rwb") as stream:
        def reply(code):
            while (line := stream.readline())[3:4] == b"-":
                pass
            assert line.startswith(code), f"{line!r} where {code!r} was due"
        reply(b"220")
        for line in (b"EHLO mx.sender.example", b"MAIL FROM:<a@sender.example> BODY=8BITMIME", b"RCPT TO:<b@example.test>"):
            stream.write(line + b"\r\n")
            stream.flush()
            reply(b"250")
        for number, chunk in enumerate(chunks, 1):
            stream.write(b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if number == len(chunks) else b"") + chunk)
            stream.flush()
            reply(b"250")
        stream.write(b"QUIT\r\n")
        stream.flush()
        reply(b"221")


def eight_bit(port):
    with smtplib.SMTP("127.0.0.1", port, local_hostname="mx.sender.example") as client:
        client.sendmail("a@sender.example", ["b@example.test", "c@example.test"],
                        "Subject: 8 bit\r\n\r\ndéjà vu ☃\r\n".encode(), ["BODY=8BITMIME", "SIZE=60"])


def send_all(port, messages):
    """Sends the lot; gives back (messages sent, of which inside TLS, connections)."""
    command("smtp-source", "-d", "-s", 20, "-m", messages, "-l", 5120, "-f", "a@sender.example", "-t", "b@example.test", f"127.0.0.1:{port}")
    command("smtp-source", "-s", 10, "-m", 100, "-l", 20000, "-f", "a@sender.example", "-t", "b@example.test", f"127.0.0.1:{port}")
    plain = [[], ["--pipeline"], ["--to", "b@example.test,c@example.test,d@example.test"], ["--data", "Subject: dots\\n\\n.\\n..\\nx\\n"]]
    plain += [["--auth", name, "--auth-user", "joe@example.test", "--auth-password", PASSWORD] for name in ("PLAIN", "LOGIN", "CRAM-MD5")]
    plain += [["--pipeline", "--auth", "PLAIN", "--auth-user", "joe@example.test", "--auth-password", PASSWORD]]
    inside = [["-tls"], ["-tls", "--auth", "LOGIN", "--auth-user", "joe@example.test", "--auth-password", PASSWORD]]
    for options in [*plain, *inside]:
        swaks(port, *options)
    eight_bit(port)
    bdat(port, [b"Subject: one chunk\r\n\r\nx\r\n"])
    bdat(port, [b"Subject: three\r\n\r\n" + b"z" * 3000, b"\r\n.\r\nQUIT\r\n", b""])
    others = len(plain) + len(inside) + 3
    return messages + 100 + others, len(inside), 20 + 100 + others


def run(options):
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        print(f"skipped: real mail: {'not root' if os.geteuid() else 'missing: ' + ', '.join(missing)}")
        return 77
    started, wrong = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="smtpscope-realmail.") as folder:
        postfix = Postfix(Path(folder) / "postfix").start()
        scope = Smtpscope(options.binary, postfix.port, Path(folder) / "store").start()
        try:
            sent, hidden, connections = send_all(scope.port, options.messages)
            found = store.wait_transcripts(scope.store, connections, 20)
            deadline = time.monotonic() + 60
            while len(postfix.delivered()) < sent and time.monotonic() < deadline:
                time.sleep(0.2)
        finally:
            scope.stop()
            postfix.stop()
        taken, delivered = Counter(postfix.taken()), postfix.delivered()
        told = Counter(m["queue_id"] for t in found for m in t["messages"] if m["accepted"])
        if len(found) != connections:
            wrong.append(f"{len(found)} transcripts of {connections} connections")
        if sum(taken.values()) != sent or len(delivered) != sent:
            wrong.append(f"{sent} messages sent, Postfix took {sum(taken.values())} and delivered {len(delivered)}")
        if told - taken or sum((taken - told).values()) != hidden:
            wrong.append(f"queue ids that Postfix does not know: {list(told - taken)[:5]}; that no transcript has: "
                         f"{len(taken - told)}, {hidden} were inside TLS")
        verdicts = Counter(t["verdict"] for t in found)
        if verdicts != {"delivered": connections - hidden, "unknown": hidden}:
            wrong.append(f"verdicts {dict(verdicts)}, {connections - hidden} were delivered, {hidden} inside TLS")
        for transcript in found:
            if transcript["breakdown"]:
                wrong.append(f"{transcript['id']}: breakdown {transcript['breakdown']['code']}: {transcript['breakdown']['why']}")
        validator = store.Validator(options.source)
        for transcript in found:
            validator.check(transcript)
        packets = sum(store.check_recording(path) for path in store.recordings(scope.store))
        everything = b"".join(path.read_bytes() for path in scope.store.rglob("*") if path.is_file())
        assert PASSWORD.encode() not in everything, "the password is in the store"
    for line in wrong[:20]:
        print("FAILED:", line)
    print(f"summary: real mail: {sent} messages in {connections} connections to Postfix in {time.monotonic() - started:.0f} s, "
          f"{len(delivered)} delivered, {sum(told.values())} queue ids matched ({hidden} inside TLS), {packets} packets, "
          f"{validator.checked} transcripts validated, {len(wrong)} failures")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--messages", type=int, default=1000)
    sys.exit(run(parser.parse_args()))


if __name__ == "__main__":
    main()
