"""`smtpscope doctor`, and the question of `run` at its start whom the gateway sees, on hosts with and without faults."""
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

GATEWAY, HOST = "10.88.2.25", "10.88.2.1"


class Here:
    """The proxy on the host in the middle, listening on a port of its own, before a gateway that names its client."""

    def __init__(self, c, **gateway):
        self.c, self.config, self.started = c, c.folder / "doctor.jsonc", []
        self.log, self.told = c.folder / "doctor.log", c.folder / "told"
        self.settings = {"listeners": [{"address": f"{HOST}:2525"}], "gateway": {"address": f"{GATEWAY}:2600", **gateway},
                         "capture": {"senders": ["10.88.1.10"]}, "store": {"path": str(c.folder / "kept")}, "drain": "1s"}
        self.save()

    def save(self):
        self.config.write_text(json.dumps(self.settings))

    def gateway(self):
        with open(self.told, "w") as told:
            self.started.append(subprocess.Popen([*self.c.net.inside("gateway"), sys.executable, str(Path(__file__).parent / "echo_gateway.py"),
                                                  GATEWAY, "2600"], stdout=told))
        deadline = time.monotonic() + 20
        while "listening" not in self.told.read_text():
            assert time.monotonic() < deadline, "the gateway does not start"
            time.sleep(0.05)
        return self

    def sessions(self):
        return self.told.read_text().splitlines()[1:]

    def run(self, *options):
        with open(self.log, "w") as log:
            proxy = subprocess.Popen([*self.c.net.inside("middle"), self.c.binary, "run", "--config", str(self.config), *options],
                                     stdout=log, stderr=log)
        self.started.append(proxy)
        self.wait_for("listening on")
        return proxy

    def wait_for(self, part, timeout=30):
        deadline = time.monotonic() + timeout
        while part not in self.log.read_text():
            assert time.monotonic() < deadline, f"no \"{part}\" in {self.log.read_text()}"
            time.sleep(0.05)
        return next(line for line in self.log.read_text().splitlines() if part in line)

    def doctor(self, *options, status=0):
        done = self.c.net.run("middle", self.c.binary, "doctor", "--config", self.config, "--json", *options, check=False)
        assert done.returncode == status, f"doctor: {done.returncode}\n{done.stdout}{done.stderr}"
        report = json.loads(done.stdout)
        assert report["schema"] == "smtpscope.doctor/1" and report["fit"] == (status == 0), report
        found = {}
        for check in report["checks"]:
            found.setdefault(check["check"], []).append(check)
        return found

    def stop(self):
        for process in self.started:
            process.terminate()
            process.wait(30)
        self.started.clear()


def with_host(case):
    def play(c):
        here = Here(c)
        try:
            case(c, here)
        finally:
            here.stop()
    play.__name__, play.__doc__ = case.__name__, case.__doc__
    return play


@with_host
def view_at_start(c, here):
    """One session, EHLO and QUIT; the log says whom the gateway sees; none where it is not wanted."""
    here.gateway()
    proxy = here.run()
    line = here.wait_for("gateway view:")
    assert " warning " in line and f"sees this host ({HOST}) in place of the senders" in line, line
    sessions = here.sessions()
    assert len(sessions) == 1 and sessions[0].startswith(f"{HOST} EHLO ") and sessions[0].endswith("|QUIT"), sessions
    proxy.send_signal(signal.SIGTERM)
    assert proxy.wait(30) == 0
    # In the senders' name: fine, as far as can be seen; but not behind a translation of addresses.
    here.settings["gateway"]["present"] = "sender"
    here.save()
    here.run()
    line = here.wait_for("gateway view:")
    assert " info " in line and "sees addresses as they are" in line, line
    c.net.run("middle", "ip", "addr", "add", "10.88.2.77/24", "dev", "eth2")
    c.net.run("middle", "nft", "-f", "-", input=f"table ip hide {{ chain out {{ type nat hook postrouting priority srcnat; "
              f"ip saddr {HOST} tcp dport 2600 snat to 10.88.2.77; }}\n}}")
    here.started.pop().terminate()
    here.settings["listeners"][0]["address"] = f"{HOST}:2526"
    here.save()
    here.run()
    line = here.wait_for("gateway view:")
    assert " warning " in line and "sees 10.88.2.77 where this host is 10.88.2.1: addresses are translated" in line, line
    before = len(here.sessions())
    here.started.pop().terminate()
    here.settings["listeners"][0]["address"] = f"{HOST}:2527"
    here.save()
    here.run("--no-view-check")
    time.sleep(1)
    assert "gateway view" not in here.log.read_text() and len(here.sessions()) == before, here.sessions()


@with_host
def view_of_no_gateway(c, here):
    """A gateway that refuses is told; one that answers nothing delays neither mail nor the end."""
    proxy = here.run()
    assert "takes no connection: connection refused (ECONNREFUSED)" in here.wait_for("gateway view:")
    proxy.terminate()
    assert proxy.wait(30) == 0
    c.net.run("gateway", "nft", "-f", "-", input="table ip deaf { chain in { type filter hook input priority 0; tcp dport 2600 drop; }\n}")
    here.settings["listeners"][0]["address"] = f"{HOST}:2526"
    here.save()
    proxy = here.run()
    began = time.monotonic()
    proxy.send_signal(signal.SIGTERM)
    assert proxy.wait(30) == 0
    assert time.monotonic() - began < 5, "the end waits for the gateway"


@with_host
def doctor_of_a_sound_host(c, here):
    """All is well: both sessions, and what they have in common."""
    here.gateway()
    here.run("--no-view-check")
    found = here.doctor()
    assert found["ports"][0]["says"].count("smtpscope listens there already"), found["ports"]
    assert found["through-proxy"][0]["result"] == "ok" and f"it sees {HOST} directly" in found["through-proxy"][0]["says"], found["through-proxy"]
    assert found["gateway"][0]["result"] == "ok" and found["gateway"][0]["facts"]["path_mtu"] == 1500, found["gateway"]
    assert found["view"][0]["result"] == "warning", found["view"]
    assert found["kernel"][0]["result"] == "skipped", found["kernel"]
    before = len(here.sessions())
    assert here.doctor("--no-probe")["gateway"][0]["result"] == "skipped"
    assert len(here.sessions()) == before
    # What its text says is the same.
    text = c.net.run("middle", c.binary, "doctor", "--config", here.config).stdout
    assert "0 failed" in text and "\n         -> " in text, text


@with_host
def doctor_of_faults(c, here):
    """A port that somebody has, a gateway that is not there, a store open to all, and what a diversion would meet."""
    here.started.append(subprocess.Popen([*c.net.inside("middle"), sys.executable, "-c",
                                          f"import socket, time; s = socket.create_server(('{HOST}', 2525)); time.sleep(600)"]))
    deadline = time.monotonic() + 20
    while ":2525" not in c.net.run("middle", "ss", "-Hltn").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (c.folder / "kept").mkdir(mode=0o755)
    found = here.doctor(status=1)
    assert "is taken by python3" in found["ports"][0]["says"] and found["ports"][0]["result"] == "failed", found["ports"]
    assert "ECONNREFUSED" in found["gateway"][0]["says"], found["gateway"]
    assert "open to others (mode 0755)" in found["store"][0]["says"], found["store"]
    assert found["view"][0]["result"] == "skipped" and found["through-proxy"][0]["result"] == "skipped"

    here.settings.update(listeners=[{"address": "0.0.0.0:10025", "accept": "tproxy"}], gateway={"present": "sender"},
                         divert={"destinations": [GATEWAY]})
    here.save()
    c.net.set("middle", "net.ipv4.ip_forward", 0)
    c.net.run("middle", "ip", "link", "set", "eth2", "mtu", "1400")
    c.net.run("middle", "nft", "-f", "-", input="table inet wall { chain in { type filter hook input priority 0; policy drop; "
              "ct state established,related accept; }\n}")
    found = here.doctor("--no-probe", status=1)
    assert found["kernel"][0]["result"] == "ok" and found["programs"][0]["result"] == "ok", found["kernel"]
    assert "net/ipv4/conf/eth1/forwarding = 1" in found["divert"][0]["says"], found["divert"]
    wall = found["divert"][1]
    assert wall["result"] == "failed" and "\"inet wall in\" drops" in wall["says"], wall
    # What it advises is what helps.
    c.net.run("middle", "sh", "-c", wall["advice"].split("before `divert on`: ")[1].split(" (after")[0])
    found = here.doctor("--no-probe")
    assert len(found["divert"]) == 1, found["divert"]
    assert found["mtu"][0]["facts"] == {"to_gateway": 1400, "to_senders": 1500} and found["mtu"][0]["result"] == "warning", found["mtu"]
    assert [r["result"] for r in found["routes"]] == ["ok", "ok"], found["routes"]
    assert "table inet smtpscope" not in c.net.run("middle", "nft", "list", "ruleset").stdout, "doctor has left something"
    c.net.run("middle", "ip", "route", "add", "blackhole", "10.88.1.10/32")
    assert here.doctor("--no-probe", status=1)["routes"][1]["result"] == "failed"


@with_host
def doctor_without_ipv6(c, here):
    """IPv6 that is switched off: doctor says what to leave out, and without that `divert on` works."""
    host = "fd88:2::25"
    here.settings.update(listeners=[{"address": f"{any_host}:10025", "accept": "tproxy"} for any_host in ("0.0.0.0", "[::]")],
                         gateway={"present": "sender"}, divert={"destinations": [GATEWAY, host]})
    here.settings["capture"]["senders"].append("fd88:1::10")
    here.save()
    c.net.set("middle", "net.ipv6.conf.all.disable_ipv6", 1)
    found = here.doctor("--no-probe", status=1)
    assert "would refuse: IPv6 is switched off" in found["divert"][0]["says"], found["divert"]
    done = c.net.run("middle", c.binary, "divert", "on", "--config", here.config, check=False)
    assert done.returncode == 1 and "leave out the \"[::]\" listener" in done.stderr, done.stderr
    here.settings["listeners"].pop()
    here.settings["capture"]["senders"].pop()
    here.settings["divert"]["destinations"].pop()
    here.save()
    assert here.doctor("--no-probe")["divert"][0]["result"] == "ok"
    done = c.net.run("middle", c.binary, "divert", "on", "--config", here.config, check=False)
    assert done.returncode == 5, done.stderr  # it is on, and nobody listens yet
    c.net.run("middle", c.binary, "divert", "off")


@with_host
def doctor_of_windows(c, here):
    """A file without senders: until a window is open there is nobody to divert, which is no fault; then doctor asks the proxy."""
    here.settings.update(listeners=[{"address": "0.0.0.0:10025", "accept": "tproxy"}], gateway={"present": "sender"},
                         divert={"destinations": [GATEWAY]}, capture={"senders": []})
    here.save()

    def say(*words, status):
        done = c.net.run("middle", c.binary, *words, "--config", here.config, check=False)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr
    found = here.doctor("--no-probe")
    assert [found[name][0]["result"] for name in ("divert", "kernel")] == ["skipped"] * 2, found
    assert "smtpscope window open" in found["divert"][0]["says"], found["divert"]
    here.run("--no-view-check")
    said = say("divert", "print", status=1)
    assert "there is nothing that could be shown" in said and "of the same family" not in said, said
    say("window", "open", "--sender", "10.88.1.10", "--for", "1h", status=0)
    found = here.doctor("--no-probe")
    assert [found[name][0]["result"] for name in ("divert", "kernel")] == ["ok"] * 2, found
    assert [r["result"] for r in found["routes"]] == ["ok", "ok"], found["routes"]
    say("divert", "on", status=0)
    assert here.doctor("--no-probe")["divert"][0]["result"] == "ok"
    c.net.run("middle", c.binary, "divert", "off")


ROUTED = (view_at_start, view_of_no_gateway, doctor_of_a_sound_host, doctor_of_faults, doctor_without_ipv6, doctor_of_windows)
