"""What looks after a service, and what goes wrong with one: systemd's side of sd_notify(3), processes by their parent, one
thread of another process held still (ptrace), as a loop that hangs."""
import contextlib
import ctypes
import os
import re
import socket
import struct
import threading
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
SO_PASSCRED, SCM_CREDENTIALS = 16, 2


def wait_for(what, told, timeout=20):
    """Until `what` gives something true, which is given back; `told` says in an AssertionError what was awaited."""
    deadline = time.monotonic() + timeout
    while not (found := what()):
        assert time.monotonic() < deadline, f"{told() if callable(told) else told}: not within {timeout} s"
        time.sleep(0.02)
    return found


def status_of(pid):
    """/proc/PID/status as a dict; empty if there is no such process."""
    try:
        return dict(re.findall(r"^(\w+):\t(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M))
    except OSError:
        return {}


def alive(pid):
    """A process whose first thread has ended lives on in the others, which still hold its sockets."""
    if status_of(pid).get("State", "Z")[0] != "Z":
        return True
    try:
        return len(threads(pid)) > 1
    except OSError:
        return False


def children(pid):
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and status_of(p.name).get("PPid") == str(pid)
            and alive(p.name)]


def threads(pid):
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))


class Held:
    """One thread of another process that does not run any more, while the others do; `with` lets it go on at the end. Root."""

    def __init__(self, tid):
        self.tid, self.held, self.release, self.error = tid, threading.Event(), threading.Event(), None
        self.tracer = threading.Thread(target=self._trace)  # a tracer is a thread: only it can let go

    def _trace(self):
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            if LIBC.ptrace(request, self.tid, None, None) != 0:
                self.error = os.strerror(ctypes.get_errno())
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.tid, WALL)
        self.held.set()
        while not self.release.wait(0.02):
            # A traced thread that was killed is not gone, nor is its process, before the tracer has taken note.
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self.tid, WALL | os.WNOHANG)[0] != 0:
                    return
        LIBC.ptrace(PTRACE_DETACH, self.tid, None, None)

    def __enter__(self):
        self.tracer.start()
        assert self.held.wait(10) and not self.error, f"thread {self.tid} is not held: {self.error}"
        return self

    def __exit__(self, *_):
        self.release.set()
        self.tracer.join(10)


def worker_threads(pid):
    """The threads of workers' loops."""
    named = {tid: Path(f"/proc/{pid}/task/{tid}/comm").read_text().strip() for tid in threads(pid)}
    found = [tid for tid, name in named.items() if name == "relay"]
    assert found, named
    return found


class Manager:
    """The socket of a service manager: what was told, by whom, when."""

    def __init__(self, folder):
        self.path, self.told = str(Path(folder) / "notify"), []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_PASSCRED, 1)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def environment(self, limit_s=4):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(limit_s * 1e6))}

    def _read(self):
        while True:
            try:
                text, extra, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
            except OSError:
                return
            pid = next(struct.unpack("iii", data)[0] for level, kind, data in extra
                       if (level, kind) == (socket.SOL_SOCKET, SCM_CREDENTIALS))
            for line in text.decode().splitlines():
                self.told.append((time.monotonic(), pid, line))

    def lines(self, prefix, pid=None, since=0.0):
        return [line for at, who, line in list(self.told) if line.startswith(prefix) and pid in (None, who) and at >= since]

    def wait(self, prefix, pid=None, since=0.0, timeout=20):
        return wait_for(lambda: self.lines(prefix, pid, since), lambda: f"{prefix} of {pid} among {self.told[-20:]}", timeout)[-1]

    def close(self):
        self.socket.close()
