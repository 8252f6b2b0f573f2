"""What all gateways have in common: how they are started, watched and ended.

A gateway takes mail for everyone named in USERS at example.test and throws it away, knows no other recipient, relays for
nobody, and says so in its own words. It offers what its file says (STARTTLS with the certificate "good", AUTH for LOGIN).
"""
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

DOMAIN = "example.test"
USERS = ("joe", "ann", "bob", "eve", "kim")
LOGIN = ("joe@example.test", "correct-horse")
UNPACKED = Path(__file__).resolve().parents[3] / "build" / "peers" / "debian"  # deploy/unpack-test-mtas.sh fills it


class Gateway:
    """One server process (or family of processes) with private folders. `start` gives back its address."""

    name = ""
    needs = ()      # programs that have to be there: a name is looked up in PATH, a path under UNPACKED
    shared = False  # one instance may serve several ports: add() each, then start() with the last one

    def __init__(self, folder, certificates):
        self.folder, self.certificates, self.process = Path(folder), certificates, None
        self.folder.mkdir(parents=True)
        open_to_daemons(self.folder)
        self.log_path = self.folder / "log"
        self.listeners = {}

    @classmethod
    def missing(cls):
        """What this machine lacks to run it; empty if nothing."""
        if os.geteuid() != 0:
            return "root"
        return ", ".join(str(need) for need in cls.needs if not program(need))

    def add(self, port, settings):
        """A further port with settings of its own, before start()."""
        self.listeners[port] = with_folder(settings, "{certs}", str(self.certificates.folder))

    def start(self, port, settings, timeout=30):
        """Starts it on 127.0.0.1:port; gives back (host, port) once every port accepts. AssertionError with its log if not."""
        self.add(port, settings)
        self.launch_all(timeout)
        return "127.0.0.1", port

    def launch_all(self, timeout=30):
        """Starts it on all ports that were added, and waits until they accept."""
        self.launch()
        deadline = time.monotonic() + timeout
        for port in self.listeners:
            while not accepts(port):
                assert time.monotonic() < deadline, f"{self.name} does not listen on {port} after {timeout} s:\n{self.log()[-3000:]}"
                assert self.process is None or self.process.poll() is None, f"{self.name} ended:\n{self.log()[-3000:]}"
                time.sleep(0.05)

    def launch(self):
        """Writes the configuration and starts the program."""
        raise NotImplementedError

    def spawn(self, *command, env=None, cwd=None):
        """Runs the server in a process group of its own, its output in the log."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, env={**os.environ, **(env or {})}, cwd=cwd or self.folder)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self):
        if self.process:
            end_group(self.process)


class Nothing(Gateway):
    """No gateway: nothing listens on its port."""

    name = "nothing"

    def launch_all(self, timeout=30):
        pass

    @classmethod
    def missing(cls):
        return ""


class ThreadGateway(Gateway):
    """A gateway that lives in this process: run(port, settings) serves until `stopping` is set."""

    def launch(self):
        self.stopping = threading.Event()
        for port, settings in self.listeners.items():
            threading.Thread(target=self.run, args=(port, settings), daemon=True).start()

    def stop(self):
        self.stopping.set()


def with_folder(value, mark, folder):
    """`value` with `mark` replaced in all its texts."""
    if isinstance(value, str):
        return value.replace(mark, folder)
    if isinstance(value, dict):
        return {key: with_folder(each, mark, folder) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_folder(each, mark, folder) for each in value]
    return value


def end_group(process):
    """SIGTERM for the group that spawn() began, SIGKILL for what is left of it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
        time.sleep(0.05)
    process.wait(5)


def program(need):
    """Where a program is, or None: a bare name in PATH, a path with slashes among what was unpacked."""
    if "/" in str(need):
        path = UNPACKED / need
        return path if path.exists() else None
    return shutil.which(need) or next((str(p) for p in (Path("/usr/sbin") / need, Path("/sbin") / need) if p.exists()), None)


def accepts(port):
    """Whether something listens on 127.0.0.1:port; asks the kernel, so that no session is made by asking."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
                return True
    return False


def open_to_daemons(folder):
    """Servers that give up root must get through to their own folders."""
    for path in [folder, *folder.parents]:
        if path in (Path("/tmp"), Path("/")):
            break
        os.chmod(path, 0o755)


def source_socket(address, source, timeout=20):
    """A connection to `address` from the given source address."""
    return socket.create_connection(address, timeout=timeout, source_address=(source, 0))
