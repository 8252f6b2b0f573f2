"""What becomes of the installed service while it stands inline: windows, a reload, an upgrade, a hang, a kill. Everything is done
as a postmaster would do it, with the installed program in the clean root."""
import json
import os
import signal
import time

from lib import store
from lib.service import alive, wait_for
from mail import Mail, send
from topology import CAPTURED, OUTSIDE

FLOWS_AGAIN = 1.0  # seconds behind a kill


def window_by_count(c):
    """A stranger is captured for one session, and diverted no longer."""
    stranger = c.net.sender(OUTSIDE)
    opened = json.loads(c.smtpscope("window", "open", "--json", "--sender", stranger, "--sessions", "1", "--reason", "the package's test"))
    wanted = send(c.net, stranger)
    assert c.wait_recorded(wanted)["verdict"] == "delivered"
    ended = wait_for(lambda: next((w for w in c.windows() if w["id"] == opened["id"] and w["state"] == "ended"), None), c.windows)
    assert (ended["ended_by"], ended["sessions"], ended["verdicts"]["delivered"]) == ("count", 1, 1), ended
    unwanted = send(c.net, stranger)
    c.wait_recorded(send(c.net, c.net.sender(CAPTURED)))
    assert not c.recorded(unwanted), "recorded behind the window"


def reloaded(c):
    """A broken file changes nothing and is told; a good one is in force."""
    good = c.config.read_text()
    c.config.write_text(good.replace('"capture"', '"captures"'))
    told = c.smtpscope("config", "reload", status=None)
    assert "smtpscope.jsonc:1:" in told and "captures" in told, told
    settings = json.loads(good)
    settings["capture"]["exclude"] = [c.net.sender(CAPTURED, 6)]
    c.config.write_text(json.dumps(settings))
    c.smtpscope("config", "reload")
    left_out = send(c.net, c.net.sender(CAPTURED, 6))
    assert c.wait_recorded(send(c.net, c.net.sender(CAPTURED)))["verdict"] == "delivered"
    assert not c.recorded(left_out), "recorded, though excluded"
    c.config.write_text(good)
    c.smtpscope("config", "reload")


def upgraded(c):
    """A session from before it ends behind it."""
    old = c.service.pid
    long = Mail(c.net, c.net.sender(CAPTURED)).envelope()
    os.kill(old, signal.SIGUSR2)
    c.service.pid = int(c.manager.wait("MAINPID=", old).split("=")[1])
    c.manager.wait("READY=1", c.service.pid)
    c.service.check()
    mail = send(c.net, c.net.sender(CAPTURED))
    assert c.wait_recorded(mail)["verdict"] == "delivered"
    assert c.wait_recorded(long.finish())["verdict"] == "delivered"
    wait_for(lambda: not alive(old), "the old process has no session and goes on")


def hung(c):
    """SIGSTOP: no sign of life any more; systemd kills it then, and starts another."""
    pid = c.service.pid
    c.manager.wait("WATCHDOG=1", pid, time.monotonic())
    os.kill(pid, signal.SIGSTOP)
    since = time.monotonic() + 0.2
    time.sleep(4)  # WatchdogSec of the unit file
    assert not c.manager.lines("WATCHDOG=1", pid, since), "a sign of life of a hung process"
    c.killed()


def killed(c):
    """The next connection reaches the gateway within a second; what was open is `interrupted`; then all is as before."""
    for version in (4, 6):
        cut = Mail(c.net, c.net.sender(CAPTURED, version)).envelope()
        time.sleep(0.3)  # recorded behind by 100 ms at most
        c.killed()
        assert wait_for(lambda cut=cut: c.recorded(cut), "the transcript of the session that was cut")["capture"]["interrupted"], cut.address
        cut.close()


CASES = (window_by_count, reloaded, upgraded, hung, killed)


class Life:
    """An installed service and what stands around it."""

    def __init__(self, root, net, service, manager, start):
        self.root, self.net, self.service, self.manager, self._start = root, net, service, manager, start
        self.config = root.folder / "etc/smtpscope/smtpscope.jsonc"
        self.store = root.folder / "var/lib/smtpscope"

    def smtpscope(self, *words, status=0):
        done = self.root.run(self.net.names["middle"], "smtpscope", *words, check=status == 0)
        return done.stdout + ("" if status == 0 else done.stderr)

    def windows(self):
        return [json.loads(line) for line in self.smtpscope("window", "list", "--all", "--json").splitlines()]

    def recorded(self, mail):
        return next((t for t in store.transcripts(self.store) if (t["sender"]["ip"], str(t["sender"]["port"])) == mail.address), None)

    def wait_recorded(self, mail):
        return wait_for(lambda: self.recorded(mail), f"the transcript of {mail.address}")

    def killed(self):
        """SIGKILL, mail meanwhile, and another start, as systemd does it."""
        self.service.kill()
        began = time.monotonic()
        direct = send(self.net, self.net.sender(CAPTURED))
        assert time.monotonic() - began < FLOWS_AGAIN, "mail did not go past the dead proxy in time"
        self.service = self._start()
        again = send(self.net, self.net.sender(CAPTURED))
        assert self.wait_recorded(again)["verdict"] == "delivered" and not self.recorded(direct)

    def play(self):
        for case in CASES:
            case(self)
        return len(CASES)
