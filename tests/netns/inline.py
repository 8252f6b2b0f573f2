"""smtpscope inline on the host in the middle: its configuration, `smtpscope divert`, and `smtpscope run`."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from lib import store
from lib.service import children, status_of
from topology import CAPTURED, CAPTURED_TOO, EXCLUDED, GATEWAY, run


class Inline:
    def __init__(self, binary, net, folder):
        self.binary, self.net, self.folder = str(binary), net, Path(folder)
        self.store, self.config = self.folder / "store", self.folder / "smtpscope.jsonc"
        self.log_path, self.process = self.folder / "log", None
        self.port = 25 if net.bridged else 10025
        self.folder.mkdir()
        self.configure()

    def configure(self, window="unlimited", resolver=None, **capture):
        """The captured hosts are a network each, of which one is excluded."""
        senders = []
        for version in (4, 6):
            senders += [f"{self.net.sender(host, version)}" for host in (CAPTURED, CAPTURED_TOO, EXCLUDED)]
        settings = {
            "listeners": [{"address": f"{host}:{self.port}", "accept": "tproxy"} for host in ("0.0.0.0", "[::]")],
            "gateway": {"present": "sender"},
            "capture": {"senders": senders, "exclude": [self.net.sender(EXCLUDED), self.net.sender(EXCLUDED, 6)],
                        "for": window, **capture},
            "divert": {"destinations": list(GATEWAY.values())},
            "store": {"path": str(self.store)}, "drain": "1s"}
        if self.net.bridged:
            settings["divert"]["bridge"] = "br0"
        if resolver:
            settings["dns"] = {"resolver": resolver}
        self.config.write_text(json.dumps(settings))

    def divert(self, *words, status=-1, env=None):
        """Runs it; `status`: what it has to end with, None is anything, -1 is well (and for `on` that nobody listens yet).
        Gives back (stdout, stderr)."""
        config = () if words[0] == "off" else ("--config", self.config)
        done = run(*self.net.inside("middle"), self.binary, "divert", *words, *config, check=False, env=env)
        expected = (done.returncode,) if status is None else (0, 5 if words[0] == "on" else 0) if status == -1 else (status,)
        assert done.returncode in expected, f"divert {words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout, done.stderr

    def window(self, *words):
        """`smtpscope window` on the host in the middle; gives back the window, and what was said beside."""
        done = run(*self.net.inside("middle"), self.binary, "window", words[0], "--config", self.config, "--json", *words[1:])
        return json.loads(done.stdout), done.stderr

    def status(self):
        return json.loads(self.divert("status", "--json", status=None)[0])

    def start(self, *more, program=None, env=None):
        """`more`: options of `run`; `program`: what is run in its place."""
        program = program or [self.binary, "run", "--config", str(self.config)]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self.net.inside("middle"), *program, *more], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=env)
        return self.wait_listening()

    def wait_listening(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log()
            listening = self.net.run("middle", "ss", "-Hltn", "sport", "=", self.port).stdout.splitlines()
            if len({line.split()[3] for line in listening}) == 2:  # a socket a worker, IPv4 and IPv6
                return self
            time.sleep(0.02)
        raise AssertionError(f"the proxy does not listen: {self.log()}")

    def log(self):
        return self.log_path.read_text(errors="replace")[-3000:]

    def kill(self):
        if self.process:
            left = children(self.process.pid)  # of a watchdog
            self.process.kill()
            self.process.wait()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            self.process = None

    def stop(self, signalled=False):
        if self.process:
            if not signalled:
                self.process.terminate()
            try:
                status = self.process.wait(90)
            except subprocess.TimeoutExpired:
                left = {pid: status_of(pid).get("State") for pid in (self.process.pid, *children(self.process.pid))}
                raise AssertionError(f"smtpscope does not end: {left}\n{self.log()}") from None
            self.process = None
            assert status == 0, f"smtpscope ended with {status}: {self.log()}"

    def transcripts(self, count, timeout=20):
        found = store.wait_transcripts(self.store, count, timeout)
        assert len(found) == count, f"{len(found)} transcripts in place of {count}"
        return found

    def recorded(self):
        """The addresses of senders that left a trace in the store."""
        folder = self.store / "senders"
        return set(os.listdir(folder)) if folder.exists() else set()
