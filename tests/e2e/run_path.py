#!/usr/bin/env python3
"""Faults of the path, made by the kernel in network namespaces of the test's own: full-size packets of the sender that never
arrive, a gateway that is gone from one moment to the next. What the proxy saw of its TCP legs has to tell them apart.

Needs root, iproute2 and nft; ends with 77 where it has none of them.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import store  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402

SENDER = """
import socket, sys, time
s = socket.create_connection(("10.77.1.2", int(sys.argv[1])), 10)
def said():
    line = s.recv(65536)
    if not line: sys.exit("closed")
said()
for line in (b"EHLO a.example", b"MAIL FROM:<a@a.example>", b"RCPT TO:<b@gw.example>", b"DATA"):
    s.sendall(line + b"\\r\\n")
    said()
print("data", flush=True)
sys.stdin.readline()
s.sendall((b"x" * 70 + b"\\r\\n") * int(sys.argv[2]) + b"tail")
time.sleep(9)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
"""

GATEWAY = """
import socket
listener = socket.create_server(("10.77.2.2", 2526), backlog=16)
while True:
    s, _ = listener.accept()
    s.sendall(b"220 gw.example ESMTP\\r\\n")
    for reply in (b"250 gw.example\\r\\n", b"250 ok\\r\\n", b"250 ok\\r\\n", b"354 go\\r\\n"):
        s.recv(65536)
        s.sendall(reply)
    while s.recv(65536):
        pass
    s.close()
"""


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more)


class Net:
    """Three namespaces in a row: sender 10.77.1.1 - 10.77.1.2 proxy 10.77.2.1 - 10.77.2.2 gateway."""

    def __init__(self):
        self.names = {who: f"scope-{who}-{os.getpid()}" for who in ("sender", "proxy", "gateway")}

    def __enter__(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for number, (one, other) in enumerate((("sender", "proxy"), ("proxy", "gateway")), 1):
            run("ip", "-n", self.names[one], "link", "add", f"v{number}a", "type", "veth", "peer", "name", f"v{number}b", "netns",
                self.names[other])
            for end, link, host in ((one, f"v{number}a", 1), (other, f"v{number}b", 2)):
                # Without this a packet of 64 KB crosses a veth as one.
                run("ip", "-n", self.names[end], "link", "set", link, "gso_max_segs", "1", "up")
                run("ip", "-n", self.names[end], "addr", "add", f"10.77.{number}.{host}/24", "dev", link)
        return self

    def __exit__(self, *_):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False)

    def inside(self, who):
        return ("ip", "netns", "exec", self.names[who])

    def drop(self, who, match):
        """Packets that come to `who` and match are lost from now on."""
        rules = f"table ip faults {{ chain in {{ type filter hook input priority 0; {match} drop; }}\n}}\n"
        run(*self.inside(who), "nft", "-f", "-", input=rules)

    def heal(self, who):
        run(*self.inside(who), "nft", "flush", "ruleset")


def play(options, net, folder, who, match, lines):
    """One session whose message meets the fault; its transcript."""
    folder.mkdir()
    scope = Smtpscope(options.binary, 2526, folder / "store", gateway_host="10.77.2.2", host="10.77.1.2", port=2525,
                      wrapper=net.inside("proxy"))
    with open(scope.log_path, "ab") as log:
        scope.process = subprocess.Popen(scope.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    sender = None
    gateway = subprocess.Popen([*net.inside("gateway"), sys.executable, "-c", GATEWAY])
    try:
        deadline = time.monotonic() + 15
        while "listening" not in scope.log():
            assert time.monotonic() < deadline and scope.process.poll() is None, scope.log()
            time.sleep(0.05)
        time.sleep(0.3)
        sender = subprocess.Popen([*net.inside("sender"), sys.executable, "-c", SENDER, "2525", str(lines)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert sender.stdout.readline() == "data\n", "the session did not get to DATA"
        net.drop(who, match)
        sender.communicate("go\n", timeout=30)
        net.heal(who)
        found = store.wait_transcripts(scope.store, 1, 15)
        assert len(found) == 1
        store.Validator(options.source).check(found[0])
        return found[0]
    finally:
        for process in filter(None, (sender, gateway)):
            process.kill()
            process.wait()
        scope.kill()


def full_size_lost(options, net, folder):
    t = play(options, net, folder, "proxy", "ip length > 1000", 82)  # four full segments and a small one
    b = t["breakdown"]
    assert b and b["code"] == "path-hole-from-sender", (b, t["transport"])
    assert b["phase"] == "body" and b["party"] == "network" and b["confidence"] == "likely", b


def gateway_gone(options, net, folder):
    t = play(options, net, folder, "gateway", "tcp dport 2526", 100)
    b = t["breakdown"]
    assert b and b["code"] == "path-to-gateway-dead", (b, t["transport"])
    assert b["phase"] == "body" and b["party"] == "network", b


def nothing_wrong(options, net, folder):
    """The same sender, which leaves in the middle, and a path without a fault."""
    t = play(options, net, folder, "gateway", "tcp dport 9", 100)
    b = t["breakdown"]
    assert b and b["code"].startswith("body-sender-"), b
    assert not any(n["code"].startswith(("path-", "gateway-stops")) for n in t["notes"]), t["notes"]


CASES = (full_size_lost, gateway_gone, nothing_wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--only", default="", help="run only cases with this in their name")
    options = parser.parse_args()
    probe = subprocess.run(["unshare", "--net", "nft", "list", "ruleset"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        print(f"skipped: no network namespaces or no nft here: {probe.stderr.strip()[:200]}")
        sys.exit(77)
    failures = ran = 0
    with tempfile.TemporaryDirectory(prefix="smtpscope-path.") as folder, Net() as net:
        for case in CASES:
            if options.only not in case.__name__:
                continue
            ran += 1
            try:
                case(options, net, Path(folder) / case.__name__)
                print(f"ok      {case.__name__}")
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                failures += 1
                print(f"FAILED: {case.__name__}: {error!r}"[:3000])
    print(f"summary: path: {ran} cases, {failures} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
