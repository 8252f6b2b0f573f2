"""docs/DEPLOY.md: every command in it is run, on hosts with the addresses that stand there."""
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from cases_guide import name_hosts
from lib import store
from topology import differences, run, snapshot

# Prompts, and the host of the topology that each stands for.
HOSTS = {"gateway": "gateway", "scope": "middle", "balancer": "middle", "partner": "sender"}


def commands_of(section):
    """(host, command) of all lines behind a prompt; a here-document belongs to its command."""
    found, lines = [], iter(section.splitlines())
    for line in lines:
        match = re.match(rf"({'|'.join(HOSTS)})[#$] (.*)", line)
        if not match:
            continue
        command = match[2]
        while "<<'END'" in command and not command.endswith("\nEND"):
            command += "\n" + next(lines)
        found.append((match[1], command))
    return found


class Section:
    """One section of the guide, played."""

    def __init__(self, c, title):
        text = (Path(c.source) / "docs" / "DEPLOY.md").read_text()
        self.c, self.text = c, text.split(f"\n## {title}\n")[1].split("\n## ")[0]
        self.local = {"/etc/smtpscope/smtpscope.jsonc": str(c.folder / "guide.jsonc"), "/var/lib/smtpscope": str(c.inline.store),
                      "/etc/haproxy/haproxy.cfg": str(c.folder / "haproxy.cfg"), "/run/haproxy.pid": str(c.folder / "haproxy.pid")}
        for kind, name in (("jsonc", "guide.jsonc"), ("haproxy", "haproxy.cfg")):
            if block := re.search(rf"(?s)```{kind}\n(.*?)```", self.text):
                (c.folder / name).write_text(self.here(block[1]))
        self.env = {**os.environ, "PATH": f"{Path(c.binary).parent}:{os.environ['PATH']}", "NO_COLOR": "1",
                    "SMTPSCOPE_CONFIG": self.local["/etc/smtpscope/smtpscope.jsonc"], "MAIL_CONFIG": str(c.postfix.config)}
        self.proxy, self.log = None, c.folder / "proxy.log"

    def here(self, piece):
        for path, replacement in self.local.items():
            piece = piece.replace(path, replacement)
        return piece

    def start(self, words, command):
        with open(self.log, "wb") as log:
            self.proxy = subprocess.Popen([*words, "exec " + self.here(command[:-2])], env=self.env, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while b"listening on" not in self.log.read_bytes():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def play(self):
        commands, opens = commands_of(self.text), True
        assert len(commands) >= 9, commands
        for where, command in commands:
            words = (*self.c.net.inside(HOSTS[where]), "sh", "-c")
            if command.endswith(" &"):
                self.start(words, command)
            elif command == "kill %1":
                self.stop()
            else:
                # Whatever stays in the background must not hold our pipes.
                with open(self.c.folder / "said", "w+") as said:
                    done = subprocess.run([*words, self.here(command)], env=self.env, stdout=said, stderr=said, check=False, timeout=90)
                    said.seek(0)
                    told = said.read()
                assert done.returncode == 0, f"{command}: {done.returncode}\n{told[-2000:]}"
                if command.startswith("postconf"):
                    opens = "-MX" not in command
                if command == "postfix reload":
                    self.wait_for_port(opens)
                if command.startswith("swaks"):
                    self.mailed()
                if command.startswith("smtpscope list"):
                    assert "203.0.113.9" in told, told
        return len(commands)

    def wait_for_port(self, present):
        """Postfix opens and closes ports a moment after it was told to."""
        deadline = time.monotonic() + 15
        while present != bool(self.c.net.run("gateway", "ss", "-Hltn", "sport", "=", "2526").stdout) and time.monotonic() < deadline:
            time.sleep(0.05)

    def mailed(self):
        """The transcript and the gateway's log both have the partner's own address."""
        seen = store.wait_transcripts(self.c.inline.store, 1)[-1]
        assert seen["sender"]["ip"] == "203.0.113.9" and seen["verdict"] == "delivered", seen["summary"]
        deadline = time.monotonic() + 10
        while "203.0.113.9" not in {address for address, _ in self.c.postfix.clients()}:
            assert time.monotonic() < deadline, self.c.postfix.clients()
            time.sleep(0.05)

    def stop(self):
        if self.proxy:
            self.proxy.terminate()
            status = self.proxy.wait(30)
            self.proxy = None
            assert status == 0, self.log.read_text()[-2000:]

    def close(self):
        self.stop()
        pid = self.c.folder / "haproxy.pid"
        for number in pid.read_text().split() if pid.exists() else ():
            os.kill(int(number), signal.SIGTERM)


def deploy(c, title):
    name_hosts(c.net)
    run("ip", "-n", c.net.names["gateway"], "route", "replace", "203.0.113.0/24", "via", "192.0.2.254")
    for address in ("192.0.2.26/24", "192.0.2.10/24"):
        run("ip", "-n", c.net.names["middle"], "addr", "add", address, "dev", "eth2")
    before = snapshot(c.net, "gateway")
    section = Section(c, title)
    try:
        played = section.play()
    finally:
        section.close()
    found = differences(before, snapshot(c.net, "gateway"))
    assert not found, found
    c.figures.append(f"{played} commands of docs/DEPLOY.md, \"{title}\"")
    return section


def own_host(c):
    """On the gateway's own host; afterwards it is as before, and the sender reaches it directly again."""
    deploy(c, "On the gateway's own host")


def changed_mx(c):
    """And at start the proxy says whom the gateway sees."""
    section = deploy(c, "Beside the gateway, with a changed MX")
    assert "gateway view: 192.0.2.25:2526 takes the PROXY header" in section.log.read_text(), section.log.read_text()


def load_balancer(c):
    if not shutil.which("haproxy"):
        c.figures.append("no haproxy here: its guide was not run")
        return
    deploy(c, "Behind a load balancer")
    seen = store.transcripts(c.inline.store)[-1]
    assert seen["sender"]["via"]["ip"] == "192.0.2.10" and seen["gateway"]["header"] == "proxy-v2", seen


ROUTED = (own_host, changed_mx, load_balancer)
