"""The proxy inline as a service: hung, upgraded, under the unit file's user, capabilities and system calls, as a user that root
became."""
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

from cases_mail import diverted, open_window, seen_by_gateway
from lib import sandbox, store
from lib.service import Held, Manager, alive, children, status_of, wait_for, worker_threads
from mail import Mail, send
from topology import CAPTURED, CAPTURED_TOO, OUTSIDE

UID = 64123  # nobody's
NET_ADMIN, BIND = 1 << 12, 1 << 10
FLOWS_AGAIN = 5.0  # seconds


def load(c, stop, done, broken):
    while not stop.is_set():
        try:
            send(c.net, c.net.sender(CAPTURED_TOO), timeout=5)
            done[0] += 1
        except (OSError, AssertionError):
            broken[0] += 1


@contextmanager
def under_load(c):
    """Mail comes all the time; gives [how many], [how many were broken off]."""
    stop, done, broken = threading.Event(), [0], [0]
    thread = threading.Thread(target=load, args=(c, stop, done, broken))
    thread.start()
    try:
        yield done, broken
    finally:
        stop.set()
        thread.join()


def stopped_under_watchdog(c):
    """SIGSTOP of the proxy under load: the next mail reaches the gateway within 5 s, and is recorded again soon after."""
    c.inline.divert("on")
    c.inline.start("--watchdog")
    slowest = 0.0
    with under_load(c) as (done, broken):
        for version in (4, 6):
            pid, = children(c.inline.process.pid)
            time.sleep(1)
            os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            while True:
                try:
                    send(c.net, c.net.sender(CAPTURED, version), timeout=1)
                    break
                except OSError:
                    assert time.monotonic() - began < 30, c.inline.log()
            slowest = max(slowest, time.monotonic() - began)
            assert not alive(pid)
            c.inline.wait_listening()
    assert slowest <= FLOWS_AGAIN, f"{slowest:.1f} s until mail flowed again"
    mail = send(c.net, c.net.sender(CAPTURED))
    wait_for(lambda: mail.address in recorded(c), "a mail behind the restart is recorded")
    c.inline.stop()
    c.figures.append(f"SIGSTOP under {done[0]} mails ({broken[0]} cut): mail again within {slowest * 1000:.0f} ms")


def recorded(c):
    return [(t["sender"]["ip"], str(t["sender"]["port"])) for t in store.transcripts(c.inline.store)]


def upgraded_under_load(c):
    """Listeners for diverted connections are handed over, too."""
    c.inline.divert("on")
    c.inline.start("--watchdog")
    with under_load(c) as (done, broken):
        long = Mail(c.net, c.net.sender(CAPTURED, 6)).envelope()
        for number in range(3):
            c.inline.process.send_signal(signal.SIGUSR2)
            wait_for(lambda n=number: c.inline.log_path.read_text().count("has taken over") == n + 1, c.inline.log)
            time.sleep(0.3)
    long.finish()
    assert broken[0] == 0, f"{broken[0]} of {done[0]} mails failed"
    c.inline.stop()
    found = store.transcripts(c.inline.store)
    assert len(found) == done[0] + 1, f"{len(found)} transcripts of {done[0] + 1} sessions"
    assert all(t["verdict"] == "delivered" and t["gateway"]["sees"] == "sender" for t in found)
    c.figures.append(f"3 upgrades under {done[0]} mails")


def capabilities(pid):
    status = status_of(pid)
    return [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "CapInh")]


def under_the_unit_file(c):
    """Port 25, the sender's address, an upgrade and a hung worker, with no more than the unit leaves."""
    if not shutil.which("systemd-analyze") or not shutil.which("setpriv"):
        c.figures.append("no systemd-analyze or setpriv: the unit's command line was not run")
        return
    c.inline.port = 25
    c.inline.configure()
    binary = c.inline.folder / "smtpscope"  # where any user may read it
    shutil.copy(c.binary, binary)
    for folder in (c.folder.parent, c.folder, c.inline.folder):
        folder.chmod(0o755)
    c.inline.store.mkdir(0o700)
    for path in (c.inline.store, c.inline.config):
        os.chown(path, UID, UID)
    manager = Manager(c.inline.folder)
    c.inline.divert("on")
    unit = c.source / "deploy" / "smtpscope.service"
    program = sandbox.settings(unit)["ExecStart"][0].split()
    program = [str(binary), *[str(c.inline.config) if word.endswith(".jsonc") else word for word in program[1:]]]
    c.inline.start(program=sandbox.command(unit, UID, program), env={**os.environ, **manager.environment()})
    try:
        manager.wait("READY=1")
        pid = c.inline.process.pid
        assert status_of(pid)["Uid"].split() == [str(UID)] * 4 and status_of(pid)["Seccomp"] == "2", status_of(pid)
        open_window(c, c.net.sender(OUTSIDE))  # the proxy itself tells the kernel of it
        wait_for(lambda: c.net.sender(OUTSIDE) in diverted(c), c.inline.log)
        for _ in range(2):
            assert set(capabilities(pid)) == {NET_ADMIN | BIND}, capabilities(pid)
            mail = send(c.net, c.net.sender(CAPTURED))
            seen_by_gateway(c.postfix, mail.address)
            wait_for(lambda: mail.address in recorded(c), "the mail is recorded")
            with Held(worker_threads(pid)[0]):
                time.sleep(1.2)
                since = time.monotonic()
                time.sleep(2)
                assert not manager.lines("WATCHDOG=1", pid, since), "a sign of life of a hung process"
            manager.wait("WATCHDOG=1", pid, time.monotonic())
            if pid == c.inline.process.pid:
                os.kill(pid, signal.SIGUSR2)
                pid = int(manager.wait("MAINPID=", pid).split("=")[1])
                manager.wait("READY=1", pid)
        os.kill(pid, signal.SIGTERM)
        manager.wait("STOPPING=1", pid)
        wait_for(lambda: not alive(pid), c.inline.log)
        c.inline.process.wait(30)
        assert manager.lines("STATUS=")
        # What the proxy is denied would stand in the log.
        wrong = [line for line in c.inline.log().splitlines() if " error " in line and "it hangs" not in line]
        assert not wrong, wrong
    finally:
        manager.close()


def as_a_user(c):
    """Started by root, told to become somebody: port 25 and the sender's address all the same; and where the settings need
    neither, nothing of root's is left. An upgrade keeps to that."""
    user = pwd.getpwnam("nobody")
    for folder in (c.folder.parent, c.folder, c.inline.folder):
        folder.chmod(0o755)
    binary = c.inline.folder / "smtpscope"
    shutil.copy(c.binary, binary)
    c.inline.port = 25
    c.inline.configure()
    c.inline.divert("on")
    c.inline.start("--user", "nobody", program=[str(binary), "run", "--config", str(c.inline.config)])
    pid = c.inline.process.pid
    assert c.inline.store.stat().st_uid == user.pw_uid
    for _ in range(2):
        assert set(status_of(pid)["Uid"].split()) == {str(user.pw_uid)} and status_of(pid)["NoNewPrivs"] == "1"
        assert set(capabilities(pid)) == {NET_ADMIN | BIND}, capabilities(pid)
        mail = send(c.net, c.net.sender(CAPTURED))
        seen_by_gateway(c.postfix, mail.address)
        wait_for(lambda: mail.address in recorded(c), "the mail is recorded")
        if pid == c.inline.process.pid:
            os.kill(pid, signal.SIGUSR2)
            wait_for(lambda: "has taken over" in c.inline.log(), c.inline.log)
            pid = int(c.inline.log().split(" has taken over")[0].split("process ")[-1])
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not alive(pid), c.inline.log)
    c.inline.stop(signalled=True)
    for port, left in ((25, BIND), (2525, 0)):
        plain = subprocess.Popen([*c.net.inside("middle"), str(binary), "run", "--user", "nobody", "--listen", f"10.88.1.1:{port}",
                                  "--gateway", "10.88.2.25:25", "--store", str(c.inline.store)], stderr=subprocess.PIPE, text=True)
        try:
            assert "listening on" in (line := plain.stderr.readline()), line
            assert set(capabilities(plain.pid)) == {left}, capabilities(plain.pid)
        finally:
            wait_for(lambda: int(status_of(plain.pid)["SigCgt"], 16) & 1 << signal.SIGTERM - 1, "it takes SIGTERM")
            plain.terminate()
            status = plain.wait(30)
            assert status == 0, (status, plain.stderr.read())
    done = subprocess.run([*c.net.inside("middle"), str(binary), "run", "--user", "no-such-user", "--listen", "10.88.1.1:25",
                           "--gateway", "10.88.2.25:25", "--store", str(c.inline.store)], capture_output=True, text=True, check=False)
    assert done.returncode == 78 and 'there is no user "no-such-user"' in done.stderr, done.stderr


ROUTED = (stopped_under_watchdog, upgraded_under_load, under_the_unit_file, as_a_user)
