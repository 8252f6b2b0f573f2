"""The proxy under test as a process: start on a free port with a store of its own, stop, look at its log."""
import os
import random
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def free_port(host="127.0.0.1"):
    """A port that nobody has, below the range that the kernel takes for outgoing connections."""
    while True:
        port = random.randint(10000, 31000)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
                return port
            except OSError:
                continue


class Smtpscope:
    """`smtpscope run` between `listen` and `gateway`. `args` are further options; `nofile` limits its descriptors."""

    def __init__(self, binary, gateway_port, store, args=(), gateway_host="127.0.0.1", nofile=None, env=None,
                 port=None, host="127.0.0.1", wrapper=()):
        self.binary, self.store, self.host = str(binary), Path(store), host
        self.port = port or free_port(host)
        self.log_path = Path(tempfile.mkstemp(prefix="smtpscope-log.", dir=self.store.parent)[1])
        self.command = [*wrapper, self.binary, "run", "--listen",
                        f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}", "--gateway",
                        f"{gateway_host}:{gateway_port}", "--store", str(store), *args]
        self.nofile = nofile
        self.env = {**os.environ, **(env or {})}
        self.process = None

    def start(self, timeout=30):
        """Starts it and waits until it accepts connections. AssertionError with its log if it does not."""
        def limit():
            if self.nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.env, preexec_fn=limit)
        self.stopping = False
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"smtpscope ended with {self.process.returncode}:\n{self.log()}"
            if self._listening():
                return self
            time.sleep(0.02)
        raise AssertionError(f"smtpscope does not listen after {timeout} s:\n{self.log()}")

    def _listening(self):
        """Whether the port is in state LISTEN; asks the kernel, so that no session of ours is made by asking."""
        wanted = f":{self.port:04X}"
        for line in Path("/proc/net/tcp6" if ":" in self.host else "/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == "0A":
                return True
        return False

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)
        self.stopping = self.stopping or number == signal.SIGTERM

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=30):
        """SIGTERM, wait, check that it ended well and that no sanitizer spoke. A second SIGTERM would mean "at once"."""
        if self.process.poll() is None and not self.stopping:
            self.signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"smtpscope did not end within {timeout} s of SIGTERM:\n{self.log()[-3000:]}") from None
        assert status == 0, f"smtpscope ended with status {status}:\n{self.log()[-6000:]}"
        self.check_log()

    def check_log(self):
        found = re.search(r"ERROR: \w+Sanitizer.*|WARNING: ThreadSanitizer.*|runtime error: .*", self.log())
        assert not found, f"sanitizer: {found[0]}\n{self.log()[-6000:]}"

    def cli(self, *args, check=True, timeout=120, text=True):
        """Runs another subcommand of the binary and gives back (status, stdout, stderr)."""
        done = subprocess.run([self.binary, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=text,
                              timeout=timeout, env={**self.env, "NO_COLOR": "1"}, check=False)
        assert not check or done.returncode == 0, f"{args}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.returncode, done.stdout, done.stderr
