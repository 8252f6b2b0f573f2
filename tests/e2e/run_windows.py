#!/usr/bin/env python3
"""Debug windows over the real binary: opened, counted, over by time and by count, several at once, kept over SIGTERM and kill -9,
closed, told of at their end; and outside of any window not one byte of a session anywhere in the store. Who may not ask, or asks
nonsense, changes nothing; where no proxy runs, status 5 and what to check."""
import asyncio
import http.client
import json
import os
import random
import re
import signal
import socket
import stat
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import command_line, store  # noqa: E402
from lib.service import wait_for  # noqa: E402
from lib.smtp import Delivery, SimpleGateway  # noqa: E402
from lib.smtpscope import Smtpscope, free_port  # noqa: E402

TOKEN = "0123456789abcdef0123456789abcdef"
OK, USAGE, NO_MATCH, UNREACHABLE, CONFIG = 0, 2, 3, 5, 78


class Scope(Smtpscope):
    def __init__(self, binary, folder, gateway_port, capture, control=True):
        super().__init__(binary, gateway_port, folder / "store")
        self.file, self.control = folder / "smtpscope.jsonc", free_port()
        (folder / "token").write_text(TOKEN + "\n")
        self.settings = {"listeners": [{"address": f"127.0.0.1:{self.port}"}], "gateway": {"address": f"127.0.0.1:{gateway_port}"},
                         "store": {"path": str(self.store)}, "workers": 2, "capture": capture, "drain": "2s"}
        if control:
            self.settings["control"] = {"listen": f"127.0.0.1:{self.control}", "token_file": str(folder / "token")}
        self.write()
        self.command = [self.binary, "run", "--config", str(self.file)]

    def write(self, **more):
        self.file.write_text(json.dumps(self.settings | more, indent=1))

    def start(self, timeout=30):
        """Also waits until it can be asked, which is a moment after it listens."""
        super().start(timeout)
        wait_for(lambda: self.cli("window", "list", "--store", self.store, check=False)[0] == OK, self.log, timeout)
        return self

    def window(self, *words, status=OK, place=None):
        got, out, err = self.cli("window", words[0], *(place or ("--store", self.store)), *words[1:], check=False)
        assert got == status, f"window {words}: status {got}, not {status}\n{out}{err}"
        return out, err

    def open(self, *senders, **options):
        words = [word for sender in senders for word in ("--sender", sender)]
        for name, value in options.items():
            words += [f"--{name}", str(value)]
        return json.loads(self.window("open", "--json", *words)[0])

    def windows(self, *words, status=OK):
        told = [json.loads(line) for line in self.window("list", "--json", *words, status=status)[0].splitlines()]
        assert len({w["id"] for w in told}) == len(told), f"a window is told twice: {told}"
        return {w["id"]: w for w in told}

    def stored(self, number):
        return self.windows("--all")[number]

    def ask(self, method, path, body=None, **headers):
        client = http.client.HTTPConnection("127.0.0.1", self.control, timeout=20)
        client.request(method, path, body=body, headers=headers)
        answer = client.getresponse()
        text = answer.read().decode()
        client.close()
        return answer.status, text

    async def wait(self, number, **expected):
        """Until the window shows these members."""
        deadline = time.monotonic() + 30
        while True:
            shown = (await asyncio.to_thread(self.windows, "--all")).get(number, {})
            if all(shown.get(key) == value for key, value in expected.items()):
                return shown
            assert time.monotonic() < deadline, f"window {number} does not become {expected}: {shown}"
            await asyncio.sleep(0.1)

    async def wait_log(self, text):
        deadline = time.monotonic() + 30
        while text not in self.log():
            assert time.monotonic() < deadline, f"no {text!r} in the log:\n{self.log()[-3000:]}"
            await asyncio.sleep(0.05)


async def mail(scope, source):
    delivery = await Delivery().run(scope.port, source)
    assert delivery.error is None and delivery.ended_at, f"a session of {source} failed: {delivery.error}"


def recorded(scope):
    """Addresses of senders that left a trace."""
    folder = scope.store / "senders"
    return set(os.listdir(folder)) if folder.exists() else set()


def everything(scope):
    """All that is in the store, names and bytes."""
    parts = []
    for path in sorted(scope.store.rglob("*")):
        parts.append(str(path.relative_to(scope.store)).encode())
        if path.is_file():
            parts.append(path.read_bytes())
    return b"\0".join(parts)


async def outside(scope, figures):
    """With nobody as senders, and after a window: nothing of a session is written, wherever one looks."""
    await mail(scope, "127.0.77.1")
    assert not scope.windows(), "a window is open that nobody asked for"
    opened = scope.open("127.0.77.2", sessions=1)
    await mail(scope, "127.0.77.3")
    await mail(scope, "127.0.77.2")
    await scope.wait(opened["id"], state="ended", ended_by="count", sessions=1, in_progress=0)
    await mail(scope, "127.0.77.2")
    await mail(scope, "127.0.77.1")
    store.wait_transcripts(scope.store, 1)
    await asyncio.sleep(1)
    assert recorded(scope) == {"127.0.77.2"} and len(store.transcripts(scope.store)) == 1, recorded(scope)
    found = everything(scope)
    for trace in (b"127.0.77.1", b"127.0.77.3"):
        assert trace not in found, f"{trace} is in the store"
    marker = re.compile(rb"MAIL FROM:<", re.I)
    assert len(marker.findall(found)) <= 2, "more than the one session is in the store"  # recording and transcript
    figures["sessions outside of a window"] += 4


async def count_and_verdicts(scope, gateway, figures):
    """It ends with its last session, mail goes on; the summary counts, names what broke and who never came."""
    opened = scope.open("127.0.10.1", "127.0.10.2", "127.0.10.9", sessions=3, reason="partner cannot send\x1b[31m")
    assert (opened["state"], opened["limit"], opened["sessions"]) == ("open", 3, 0), opened
    number = opened["id"]
    assert 1_700_000 < opened["left_ms"] <= 1_800_000, "30m is what a window lasts if nothing is said"
    await mail(scope, "127.0.10.1")
    await scope.wait(number, sessions=1, in_progress=0)
    gateway.refuse = True
    await mail_refused(scope, "127.0.10.2")
    gateway.refuse = False
    await mail(scope, "127.0.10.1")
    for _ in range(3):
        await mail(scope, "127.0.10.1")
    ended = await scope.wait(number, state="ended", ended_by="count", sessions=3, in_progress=0)
    assert ended["verdicts"] == {"delivered": 2, "breakdown": 1, "no-mail": 0, "unknown": 0}, ended
    assert [b["sessions"] for b in ended["breakdowns"]] == [1], ended
    broken, = [t for t in store.transcripts(scope.store) if t["sender"]["ip"] == "127.0.10.2"]
    assert ended["breakdowns"][0] == {"code": broken["breakdown"]["code"], "sessions": 1, "newest": broken["id"]}, ended
    assert ended["look_first"] == f"smtpscope show {broken['id']} --store {scope.store}", ended
    status, out, _ = scope.cli(*ended["look_first"].split()[1:])
    assert status == OK and broken["breakdown"]["code"] in out
    assert ended["absent"] == ["127.0.10.9"] and ended["connections"] >= 3, ended
    await scope.wait_log(f"window {number} is over (all its sessions have come): 3 sessions: 2 delivered, 1 broke")
    text = scope.window("list", "--all")[0]
    assert "127.0.10.9" in text and "\x1b" not in text and "partner cannot send" in text, text
    assert all(t["capture"]["filter"] == t["sender"]["ip"] for t in store.transcripts(scope.store)
               if t["sender"]["ip"].startswith("127.0.10."))
    # The store's readers know of the window too.
    out = scope.cli("summary", "--store", scope.store, "--sender", "127.0.10.9", check=False)[1]
    assert "saw no connection of it at all" in out, out
    figures["windows ended by count"] += 1


async def mail_refused(scope, source):
    reader, writer = await asyncio.open_connection("127.0.0.1", scope.port, local_addr=(source, 0))
    for line in (None, b"EHLO a.example", b"MAIL FROM:<a@a.example>", b"RCPT TO:<nobody@gw.example>", b"QUIT"):
        if line:
            writer.write(line + b"\r\n")
        while (await reader.readline())[3:4] == b"-":
            pass
    writer.close()


async def several(scope, figures):
    """A session counts in every window that covers it, and takes the entry of the first; each ends for itself."""
    wide, narrow = scope.open("127.0.20.0/24", exclude="127.0.20.9"), scope.open("127.0.20.1", sessions=2)
    other = scope.open("127.0.21.1", **{"for": "3s"})
    for source in ("127.0.20.1", "127.0.20.2", "127.0.20.9"):
        await mail(scope, source)
    await scope.wait(wide["id"], sessions=2, in_progress=0)
    assert scope.windows()[narrow["id"]]["sessions"] == 1
    assert "127.0.20.9" not in recorded(scope)
    for source in ("127.0.20.1", "127.0.20.1"):
        await mail(scope, source)
    ended = await scope.wait(narrow["id"], state="ended", sessions=2, in_progress=0)
    assert ended["ended_by"] == "count"
    await scope.wait(wide["id"], sessions=4, in_progress=0)
    found = [t for t in store.transcripts(scope.store) if t["sender"]["ip"].startswith("127.0.20.")]
    assert len(found) == 4 and {t["capture"]["filter"] for t in found} == {"127.0.20.0/24"}, found
    # Over by time, also in the moment: none is recorded after it.
    await scope.wait(other["id"], state="ended", ended_by="time")
    await mail(scope, "127.0.21.1")
    shown = scope.stored(other["id"])
    assert shown["sessions"] == 0 and shown["absent"] == ["127.0.21.1"] and "127.0.21.1" not in recorded(scope), shown
    # None said, and more than one: which?
    scope.open("127.0.22.1")
    _, err = scope.window("close", status=USAGE)
    assert wide["id"] in err, err
    assert scope.window("close", "9999", status=NO_MATCH)[1] and scope.window("close", "../x", status=NO_MATCH)[1]
    for number in scope.windows():
        closed = json.loads(scope.window("close", number, "--json")[0])
        assert (closed["state"], closed["ended_by"]) == ("ended", "hand"), closed
        scope.window("close", number, status=NO_MATCH)
    assert scope.window("close", status=NO_MATCH)[1] == "smtpscope: no window is open\n"
    await mail(scope, "127.0.22.1")
    assert "127.0.22.1" not in recorded(scope)
    figures["windows at once"] += 4


async def in_progress(scope):
    """A session that began in a window is recorded to its end; the window tells once it is over."""
    opened = scope.open("127.0.25.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", scope.port, local_addr=("127.0.25.1", 0))
    await reader.readline()
    closed = json.loads(scope.window("close", "--json")[0])  # the only one
    assert closed["in_progress"] == 1, closed
    writer.write(b"QUIT\r\n")
    await reader.readline()
    writer.close()
    await scope.wait(opened["id"], state="ended", sessions=1, interrupted=0)
    await scope.wait_log(f"window {opened['id']} is over (it was closed): 1 session")
    assert "127.0.25.1" in recorded(scope)


async def restarts(scope, figures):
    """Counts and the end are kept, whether it was told to stop or killed in the middle of sessions."""
    counted = scope.open("127.0.30.1", sessions=12, **{"for": "1h"})
    timed = scope.open("127.0.31.1", **{"for": "8s"})
    number = counted["id"]
    for round_number in range(1, 5):
        await mail(scope, "127.0.30.1")
        await mail(scope, "127.0.30.1")
        store.wait_transcripts(scope.store, 2 * round_number)
        while sum(t["sender"]["ip"] == "127.0.30.1" for t in store.transcripts(scope.store)) < 2 * round_number:
            await asyncio.sleep(0.02)
        if round_number % 2:
            scope.stop()
        else:
            scope.kill()
        assert scope.windows("--all", status=UNREACHABLE)[number]["sessions"] == 2 * round_number
        await asyncio.sleep(0.5)
        scope.start()
        shown = scope.windows()[number]
        assert (shown["sessions"], shown["in_progress"], shown["interrupted"]) == (2 * round_number, 0, 0), shown
        assert shown["until"] == counted["until"] and shown["opened"] == counted["opened"], shown
        figures["restarts"] += 1
    reader, _ = await asyncio.open_connection("127.0.0.1", scope.port, local_addr=("127.0.30.1", 0))
    await reader.readline()
    await scope.wait(number, sessions=9, in_progress=1)
    await kept(scope, number, '{"sessions":1,')
    scope.kill()
    # Its time goes by while nothing runs.
    while time.time() < parse(timed["until"]):
        await asyncio.sleep(0.2)
    scope.start()
    shown = scope.windows("--all")
    assert (shown[number]["sessions"], shown[number]["interrupted"]) == (9, 1), shown[number]
    assert (shown[timed["id"]]["state"], shown[timed["id"]]["ended_by"]) == ("ended", "time"), shown[timed["id"]]
    assert shown[timed["id"]]["ended"] == timed["until"]
    for _ in range(5):
        await mail(scope, "127.0.30.1")
    await scope.wait(number, state="ended", sessions=12, ended_by="count", in_progress=0)
    await asyncio.sleep(1)  # the counts come before the transcripts
    found = [t for t in store.transcripts(scope.store) if t["sender"]["ip"] == "127.0.30.1"]
    assert len(found) == 12, f"{len(found)} sessions recorded of 12"


async def kept(scope, number, begin):
    """Until the newest count of the window on the disk begins so."""
    deadline = time.monotonic() + 30
    while True:
        newest = max((scope.store / "windows" / number).glob("*.jsonl"), key=lambda p: p.stat().st_mtime_ns)
        if newest.read_text().splitlines()[-1].startswith(begin):
            return
        assert time.monotonic() < deadline, newest.read_text()
        await asyncio.sleep(0.05)


def parse(moment):
    import datetime
    return datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


async def config_window(scope, figures):
    """The configuration's own is the first window; a reload over the control channel brings another."""
    scope.write(capture={"senders": ["127.0.40.1"], "sessions": 2})
    assert scope.cli("config", "reload", "--config", scope.file)[1] == "the configuration was loaded anew\n"
    assert list(scope.windows()) == ["config"] and scope.windows()["config"]["senders"] == ["127.0.40.1"]
    await mail(scope, "127.0.40.1")
    await scope.wait("config", sessions=1)
    scope.write(capture={"senders": ["127.0.40.2"], "sesions": 2})
    status, out, err = scope.cli("config", "reload", "--config", scope.file, "--store", scope.store, check=False)
    assert status == CONFIG and re.search(r"smtpscope.jsonc:\d+:\d+: /capture/sesions: unknown key", err), (status, out, err)
    scope.write(capture={"senders": ["127.0.40.1"], "sessions": 2}, workers=3)
    status, out, err = scope.cli("config", "reload", "--store", scope.store)
    assert "/workers: stays 2" in err, err
    assert scope.windows()["config"]["sessions"] == 1, "the same window was begun anew"
    await mail(scope, "127.0.40.1")
    ended = await scope.wait("config", state="ended", sessions=2)
    assert ended["ended_by"] == "count"
    await mail(scope, "127.0.40.1")
    assert sum(t["sender"]["ip"] == "127.0.40.1" for t in store.transcripts(scope.store)) == 2
    await scope.wait_log("window config is over (all its sessions have come): 2 sessions: 2 delivered")
    scope.write(capture={"senders": []})
    scope.cli("config", "reload", "--store", scope.store)
    assert not scope.windows()
    figures["reloads"] += 4


def over_http(scope, figures):
    """On the control address reading is free, writing takes the token; nonsense is refused and changes nothing."""
    body = json.dumps({"senders": ["127.0.50.1"], "for": "1h"})
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert json.loads(scope.ask("GET", "/windows")[1]) == {"schema": "smtpscope.windows/1", "windows": []}
    for method, path in (("POST", "/windows"), ("DELETE", "/windows/1"), ("POST", "/reload")):
        assert scope.ask(method, path, body)[0] == 401
        assert scope.ask(method, path, body, Authorization=f"Bearer {TOKEN[:-1]}x")[0] == 401
        figures["unauthorised requests"] += 2
    assert not scope.windows()
    for bad, told in (("", "empty"), ("{", "1:2"), ("[]", "must be an object"), ('{"senders": []}', "nobody is named"),
                      ('{"senders": ["10.2.300"]}', "10.2.300"), ('{"senders": ["any"], "sesions": 1}', "1:22: /sesions: unknown"),
                      ('{"senders": ["any"], "sessions": 0}', "/sessions"), ('{"senders": ["any"], "for": "soon"}', "/for"),
                      ('{"senders": 7}', "/senders"), (json.dumps({"senders": ["10.0.0.1"] * 1001}), "at most 1000"),
                      (json.dumps({"senders": ["any"], "reason": "x" * 501}), "reason"), ("\xff", "1:1")):
        status, answer = scope.ask("POST", "/windows", bad.encode("latin-1"), **bearer)
        assert status == 422 and told in json.loads(answer)["error"], (bad[:80], status, answer)
        figures["bad requests"] += 1
    assert scope.ask("POST", "/windows", b"x" * 200_000, **bearer)[0] == 413
    assert scope.ask("PUT", "/windows", body, **bearer)[0] == 405 and scope.ask("GET", "/windows/1")[0] == 405
    assert scope.ask("DELETE", "/windows/1%20", **bearer)[0] == 404
    assert not scope.windows()
    status, answer = scope.ask("POST", "/windows", body, **bearer)
    assert status == 201, answer
    number = json.loads(answer)["id"]
    metrics = scope.ask("GET", "/metrics")[1]
    assert "smtpscope_windows_open 1\n" in metrics and f'smtpscope_window_sessions{{window="{number}"}} 0\n' in metrics, metrics
    # Without the socket the configuration leads to the control address and its token.
    os.rename(scope.store / "control.sock", scope.store / "elsewhere")
    place = ("--config", scope.file)
    closed = json.loads(scope.window("close", number, "--json", place=place)[0])
    assert closed["ended_by"] == "hand"
    (scope.store / "elsewhere").unlink(missing_ok=True)
    deadline = time.monotonic() + 20
    while not (scope.store / "control.sock").exists():  # it comes back by itself
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert json.loads(scope.ask("POST", "/reload", **bearer)[1]) == {"loaded": True, "kept": []}
    fuzz(scope, figures, body, number)


def fuzz(scope, figures, body, number):
    """Garbled requests to the socket itself, where no token is asked for: answered or not, the proxy lives."""
    rnd = random.Random(27)
    good = [f"POST /windows HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}", f"DELETE /windows/{number} HTTP/1.1\r\n\r\n"]
    for _ in range(300):
        data = bytearray(rnd.choice(good).encode())
        for _ in range(rnd.randint(1, 5)):
            data[rnd.randrange(len(data))] = rnd.randrange(256)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(20)
            sock.connect(str(scope.store / "control.sock"))
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            received = sock.recv(100)
            assert received == b"" or re.match(rb"HTTP/1\.1 (201|400|404|405|413|422|409) ", received), (bytes(data), received)
        figures["garbled requests"] += 1
    for each in scope.windows():
        scope.window("close", each)


async def one_in_charge(scope, gateway):
    """A second process is not started beside one that takes connections; one that drains or hangs is no hindrance, and what it
    finds in its place when it wakes up is told, and taken back once it is dead."""
    other = Smtpscope(scope.binary, gateway.port, scope.store, args=("--drain", "1s"))
    status, _, err = scope.cli(*other.command[1:], check=False)
    assert status == 1 and f"process {scope.process.pid} is running with the store" in err, (status, err)
    assert f"kill -USR2 {scope.process.pid}" in err and "--store" in err, err
    scope.windows()
    scope.signal(signal.SIGSTOP)
    try:
        await asyncio.to_thread(other.start)
    finally:
        scope.signal(signal.SIGCONT)
    await scope.wait_log("another process runs with this store")
    assert set(scope.windows()) == {"config"}, "the one that was started last is asked"
    other.kill()
    deadline = time.monotonic() + 20
    while scope.cli("window", "list", "--store", scope.store, check=False)[0] != OK:
        assert time.monotonic() < deadline, scope.log()
        await asyncio.sleep(0.1)
    assert not scope.windows()
    # As in a restart by a service manager that does not wait for the last session.
    reader, writer = await asyncio.open_connection("127.0.0.1", scope.port)
    await reader.readline()
    scope.signal(signal.SIGTERM)
    deadline = time.monotonic() + 20
    while (await asyncio.to_thread(scope.ask, "GET", "/readyz"))[0] == 200:
        assert time.monotonic() < deadline, scope.log()
    await asyncio.to_thread(other.start)
    writer.close()
    assert await asyncio.to_thread(scope.process.wait, 30) == 0
    assert set(scope.windows()) == {"config"}
    other.stop()


def unreachable(scope, folder):
    """Nobody there: 5, and what to check. What is wrong in itself is said first."""
    for words in (("open", "--sender", "127.0.0.1"), ("list",), ("close",), ("close", "1")):
        out, err = scope.window(*words, status=UNREACHABLE)
        assert not out and "no proxy is reachable" in err and str(scope.store) in err and "smtpscope run" in err, err
    assert scope.cli("config", "reload", "--store", folder / "none", check=False)[0] == UNREACHABLE
    for words in (("open",), ("open", "--sender", "10.2.300"), ("open", "--sender", "any", "--sessions", "0"),
                  ("open", "--sender", "any", "--for", "soon"), ("open", "--sender", "any", "--exclude", "10.2.3.4.5"), ("shut",)):
        assert scope.cli("window", *words, check=False)[0] == USAGE, words
    broken = folder / "broken.jsonc"
    broken.write_text("{")
    assert scope.cli("window", "list", "--config", broken, check=False)[0] == CONFIG


def too_many(scope, figures):
    """Windows that ended long ago go when the proxy starts, and those that are open stay."""
    for number in range(2000, 3100):
        folder = scope.store / "windows" / str(number)
        folder.mkdir()
        ended = number < 3099
        (folder / "opened.json").write_text(json.dumps({
            "schema": "smtpscope.debug-window/1", "id": str(number), "opened": "2020-01-01T00:00:00.000000Z", "senders": ["127.0.60.1"],
            "exclude": [], "reason": ""}) + "\n")
        if ended:
            (folder / "ended.json").write_text('{"by":"hand","at":"2020-01-01T00:%02d:%02d.000000Z"}\n' % divmod(number - 1999, 60))
    before = len(list((scope.store / "windows").iterdir()))
    scope.start()
    while not (scope.store / "control.sock").exists():  # it listens before it looks at them
        time.sleep(0.1)
    left = {path.name for path in (scope.store / "windows").iterdir()}
    assert len(left) == 901 and before > 1100, (before, len(left))
    assert list(scope.windows()) == ["3099"] and "2000" not in left and "3098" in left and "2" in left, sorted(left)
    assert scope.open("127.0.60.2")["id"] == "3100"
    figures["windows of long ago gone"] += before - len(left)


async def run(options, folder, figures):
    gateway = await RefusingGateway().start()
    scope = Scope(options.binary, folder, gateway.port, {"senders": []})
    unreachable(scope, folder)
    scope.start()
    try:
        await outside(scope, figures)
        await count_and_verdicts(scope, gateway, figures)
        await several(scope, figures)
        await in_progress(scope)
        await restarts(scope, figures)
        await config_window(scope, figures)
        await asyncio.to_thread(over_http, scope, figures)
        mode = stat.S_IMODE((scope.store / "control.sock").stat().st_mode)
        assert mode == 0o600, f"the socket's mode is {mode:o}"
        store.check_modes(scope.store)
        scope.kill()
        assert (scope.store / "control.sock").exists()
        unreachable(scope, folder)
        scope.start()
        assert not scope.windows()
        await one_in_charge(scope, gateway)
        scope.start()
        scope.signal(signal.SIGTERM)
        scope.process.wait(30)
        assert not (scope.store / "control.sock").exists(), "the socket outlived a proxy that stopped in good order"
        unreachable(scope, folder)
        await asyncio.to_thread(too_many, scope, figures)
    finally:
        scope.stop()
        gateway.close()


class RefusingGateway(SimpleGateway):
    """Takes nobody's mail while `refuse`."""
    refuse = False

    async def _say(self, writer, text):
        await super()._say(writer, "550 5.7.1 rejected" if self.refuse and text == "250 ok" else text)


def main():
    options = command_line.parser(__doc__).parse_args()
    figures = Counter()
    with tempfile.TemporaryDirectory(prefix="smtpscope-windows.") as folder:
        asyncio.run(run(options, Path(folder), figures))
    command_line.summary(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
