#!/usr/bin/env python3
"""The control address of a running proxy: health checks, metrics that promtool finds right and that count what happened, bad
HTTP, clients that are slow or too many. Mail goes on in all of that. An address that others reach needs a token.
"""
import asyncio
import http.client
import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import command_line, store  # noqa: E402
from lib.smtp import Delivery, SimpleGateway  # noqa: E402
from lib.smtpscope import Smtpscope, free_port  # noqa: E402

TOKEN = "0123456789abcdef0123456789abcdef"
CAP, PATIENCE = 64, 10  # proxy/control/http_server.h


class Scope(Smtpscope):
    def __init__(self, binary, folder, gateway_port):
        super().__init__(binary, gateway_port, folder / "store")
        self.control = free_port()
        (folder / "token").write_text(TOKEN + "\n")
        (folder / "smtpscope.jsonc").write_text(json.dumps({
            "listeners": [{"address": f"127.0.0.1:{self.port}"}], "gateway": {"address": f"127.0.0.1:{gateway_port}"},
            "store": {"path": str(folder / "store")}, "workers": 2,
            "control": {"listen": f"0.0.0.0:{self.control}", "token_file": str(folder / "token")}}))
        self.command = [self.binary, "run", "--config", str(folder / "smtpscope.jsonc")]

    def ask(self, path, method="GET", **headers):
        client = http.client.HTTPConnection("127.0.0.1", self.control, timeout=10)
        client.request(method, path, headers=headers)
        answer = client.getresponse()
        body = answer.read().decode()
        client.close()
        return answer.status, body

    def raw(self, data):
        """What comes back for these bytes, up to the end."""
        with socket.create_connection(("127.0.0.1", self.control), timeout=10) as sock:
            received = b""
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while piece := sock.recv(65536):
                    received += piece
            except TimeoutError:
                raise
            except OSError:  # reset, or closed before all was sent
                pass
            return received

    def value(self, name):
        found = re.search(rf"^{re.escape(name)} (\d+)$", self.ask("/metrics")[1], re.M)
        return int(found[1]) if found else None

    async def wait_value(self, name, value):
        for _ in range(200):
            if self.value(name) == value:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{name} is {self.value(name)}, not {value}:\n{self.ask('/metrics')[1]}")


async def counts(scope):
    for number in range(20):
        assert (await Delivery().run(scope.port, f"127.0.2.{number + 1}")).error is None
    reader, writer = await asyncio.open_connection("127.0.0.1", scope.port)
    assert (await reader.readline()).startswith(b"220")
    for name, value in (("smtpscope_sessions_total", 21), ("smtpscope_sessions_open", 1), ("smtpscope_captured_sessions_total", 21),
                        ("smtpscope_captured_sessions_open", 1),
                        ('smtpscope_verdicts_total{verdict="delivered"}', 20), ('smtpscope_capture_losses_total{reason="disk"}', 0),
                        ('smtpscope_recorder_queue_bytes{recorder="0"}', 0)):
        await scope.wait_value(name, value)
    for command in ("list", "summary", "show last"):  # of those that are over, and that there is another
        _, shown, said = await asyncio.to_thread(scope.cli, *command.split(), "--store", scope.store)
        assert shown and "1 session in progress" in said, (command, said)
    assert re.search(r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d info ", scope.log(), re.M), scope.log()
    assert re.search(r"configuration file \S+; the gateway is to see \(present\) \"proxy\": this host's address", scope.log())
    writer.write(b"EHLO mx.sender.example\r\nMAIL FROM:<a@b.example>\r\n")
    for _ in range(2):
        await reader.readline()
    writer.transport.abort()
    await scope.wait_value("smtpscope_sessions_open", 0)
    await scope.wait_value("smtpscope_captured_sessions_open", 0)
    assert "in progress" not in (await asyncio.to_thread(scope.cli, "list", "--store", scope.store))[2]
    await scope.wait_value('smtpscope_verdicts_total{verdict="breakdown"}', 1)
    found = store.transcripts(scope.store)
    broken, = [t["breakdown"] for t in found if t["breakdown"]]
    await scope.wait_value(f'smtpscope_breakdowns_total{{phase="{broken["phase"]}",party="{broken["party"]}"}}', 1)
    for side in ("sender", "gateway"):
        await scope.wait_value(f'smtpscope_relayed_bytes_total{{from="{side}"}}', sum(t["streams"][side]["bytes"] for t in found))
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=scope.ask("/metrics")[1], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0 and not done.stdout + done.stderr, f"promtool: {done.stdout}{done.stderr}"
    else:
        print("promtool is not here: the form of the metrics was not checked (package prometheus)")
    scope.signal(signal.SIGHUP)
    await scope.wait_value('smtpscope_reloads_total{result="loaded"}', 1)


def answers(scope):
    for path, status in (("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/", 404), ("/metrics/x", 404)):
        assert scope.ask(path)[0] == status, path
    assert scope.ask("/livez", "HEAD") == (200, "")
    assert scope.ask("/livez", "POST")[0] == 401
    assert scope.ask("/livez", "POST", Authorization=f"Bearer {TOKEN[:-1]}")[0] == 401
    assert scope.ask("/livez", "POST", Authorization=f"Bearer {TOKEN}")[0] == 405


def bad_http(scope, figures):
    """400, once, and nothing else; or nothing at all where what came is no whole request."""
    rnd = random.Random(25)
    good = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"
    for data in (b"\x16\x03\x01\x02\x00" * 20, b"EHLO mx.sender.example\r\n", b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000,
                 b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"GET / FTP/1.1\r\n\r\n"):
        received = scope.raw(data)
        assert received.startswith(b"HTTP/1.1 400 ") and received.count(b"HTTP/1.1") == 1, (data[:40], received)
        figures["bad requests"] += 1
    for _ in range(500):
        data = bytearray(good)
        for _ in range(rnd.randint(1, 4)):
            data[rnd.randrange(len(data))] = rnd.randrange(256)
        received = scope.raw(bytes(data))
        assert received == b"" or re.match(rb"HTTP/1\.1 (200|400|401|404|405|413) ", received), (data, received[:100])
        figures["garbled requests"] += 1
    assert scope.raw(good[:-2]) == b""


def slow_and_many(scope, figures):
    """As many as are let in say half a request each: others are turned away at once, and all are closed in time."""
    begin = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", scope.control), timeout=PATIENCE + 10) for _ in range(CAP)]
    for sock in slow:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost:")
    time.sleep(0.3)
    assert scope.raw(b"GET /livez HTTP/1.1\r\n\r\n") == b"", "one more than the cap was answered"
    for sock in slow:
        try:
            assert sock.recv(100) == b""
        except ConnectionError:
            pass
        sock.close()
    took = time.monotonic() - begin
    assert PATIENCE - 2 < took < PATIENCE + 5, f"slow clients were closed after {took:.1f} s"
    assert scope.ask("/livez")[0] == 200
    figures["slow clients"] += len(slow)


def refused(options, folder):
    """Configurations that must not run."""
    base = {"listeners": [{"address": f"127.0.0.1:{free_port()}"}], "gateway": {"address": "127.0.0.1:25"},
            "store": {"path": str(folder / "refused")}}
    (folder / "short").write_text("short\n")
    for control, told in (({"listen": "0.0.0.0:8025"}, "token_file"),
                          ({"listen": "127.0.0.1:8025", "token_file": str(folder / "none")}, "No such file"),
                          ({"listen": "127.0.0.1:8025", "token_file": str(folder / "short")}, "openssl rand -hex 32")):
        path = folder / "refused.jsonc"
        path.write_text(json.dumps(base | {"control": control}))
        done = subprocess.run([options.binary, "run", "--config", str(path)], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 78 and told in done.stderr, (done.returncode, done.stderr)


async def run(options, folder, figures):
    gateway = await SimpleGateway().start()
    scope = Scope(options.binary, folder, gateway.port).start()
    try:
        await asyncio.to_thread(answers, scope)
        await counts(scope)
        await asyncio.to_thread(bad_http, scope, figures)
        await asyncio.to_thread(slow_and_many, scope, figures)
        _, writer = await asyncio.open_connection("127.0.0.1", scope.port)  # keeps it from ending
        await asyncio.sleep(0.2)
        scope.signal(signal.SIGTERM)
        for _ in range(100):
            status = (await asyncio.to_thread(scope.ask, "/readyz"))[0]
            if status == 503:
                break
            await asyncio.sleep(0.02)
        assert status == 503 and scope.ask("/livez")[0] == 200
        writer.close()
    finally:
        scope.stop()
        gateway.close()


def main():
    options = command_line.parser(__doc__).parse_args()
    figures = Counter()
    with tempfile.TemporaryDirectory(prefix="smtpscope-control.") as folder:
        refused(options, Path(folder))
        asyncio.run(run(options, Path(folder), figures))
    command_line.summary(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
