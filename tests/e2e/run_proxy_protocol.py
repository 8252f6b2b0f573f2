#!/usr/bin/env python3
"""The PROXY protocol with real peers: HAProxy before smtpscope (versions 1 and 2, health checks), Postfix and Exim behind it
(both versions), IPv4 and IPv6. The sender's own address has to stand in the transcript and in the gateway's log. Then gateways
whose settings do not fit ours: each breakdown has to be told by its code.
"""
import argparse
import json
import smtplib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import store  # noqa: E402
from lib.smtpscope import Smtpscope, free_port  # noqa: E402
from peers.certificates import Certificates  # noqa: E402
from peers.exim import Exim  # noqa: E402
from peers.gateway import accepts, end_group, program  # noqa: E402
from peers.postfix import Postfix  # noqa: E402

# What each gateway needs so that it reads a PROXY header of either version.
READS_HEADER = {"postfix": {"smtpd_upstream_proxy_protocol": "haproxy", "inet_protocols": "all"},
                "exim": {"hosts_proxy": "127.0.0.1"}}

# The gateway, its settings, what we present, and the code of the breakdown that comes of it.
MISFITS = (
    ("postfix", {}, "proxy-v1", "proxy-header-unexpected"),
    ("postfix", {}, "proxy-v2", "proxy-header-unexpected"),
    ("postfix", {"postscreen": True, "postscreen_greet_action": "enforce", "postscreen_greet_wait": "2s"}, "proxy-v1",
     "proxy-header-unexpected"),
    ("postfix", {"postscreen": True, "postscreen_greet_action": "drop", "postscreen_greet_wait": "2s"}, "proxy-v2",
     "proxy-header-unexpected"),
    ("postfix", {"smtpd_upstream_proxy_protocol": "haproxy"}, "proxy", "proxy-header-awaited"),
    ("exim", {}, "proxy-v1", "proxy-header-unexpected"),
    ("exim", {}, "proxy-v2", "proxy-header-unexpected"),
    ("exim", {"hosts_proxy": "127.0.0.1"}, "proxy", "proxy-header-missing"),
)


class Scope(Smtpscope):
    """smtpscope with listeners of its own: `balanced` for HAProxy, `direct` on 127.0.0.1 and ::1."""

    def __init__(self, binary, folder, gateway_port, present):
        self.direct = free_port()
        super().__init__(binary, gateway_port, folder / "store")
        config = folder / "smtpscope.jsonc"
        config.write_text(json.dumps({
            "listeners": [{"address": f"127.0.0.1:{self.port}", "accept": "proxy-protocol", "trusted": ["127.0.0.1"]},
                          {"address": f"127.0.0.1:{self.direct}"}, {"address": f"[::1]:{self.direct}"}],
            "gateway": {"address": f"127.0.0.1:{gateway_port}", "present": present}, "store": {"path": str(folder / "store")}}))
        self.command = [self.binary, "run", "--config", str(config)]


class Haproxy:
    """A frontend on 127.0.0.1 and ::1 for each (smtpscope, version), with health checks of its backend."""

    def __init__(self, folder, targets):
        self.folder, self.ports = folder, {}
        text = "global\n  maxconn 200\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        for name, (port, version) in targets.items():
            own = self.ports[name] = free_port()
            option = "send-proxy" if version == 1 else "send-proxy-v2"
            text += (f"listen {name}\n  bind 127.0.0.1:{own}\n  bind ::1:{own}\n  option smtpchk HELO lb.example\n"
                     f"  server scope 127.0.0.1:{port} {option} check check-send-proxy inter 2s\n")
        (folder / "haproxy.cfg").write_text(text)
        self.process = None

    def start(self):
        with open(self.folder / "haproxy.log", "wb") as log:
            self.process = subprocess.Popen(["haproxy", "-db", "-f", str(self.folder / "haproxy.cfg")], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 20
        while not all(accepts(port) for port in self.ports.values()):
            assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "haproxy.log").read_text()
            time.sleep(0.05)
        return self

    def stop(self):
        end_group(self.process)


def send_mail(host, port, source, mail_from):
    """One mail; gives back the port that it came from."""
    with smtplib.SMTP(host, port, "mx.sender.example", timeout=30, source_address=(source, 0)) as client:
        own = client.sock.getsockname()[1]
        refused = client.sendmail(mail_from, ["joe@example.test"], "Subject: by way of a header\r\n\r\nHello.\r\n")
        assert not refused, refused
    return own


def try_mail(port):
    """What an ordinary sender does at a gateway where things go wrong: it gives up."""
    try:
        send_mail("127.0.0.1", port, "127.0.0.1", "a@sender.example")
    except (smtplib.SMTPException, OSError):
        pass


def check_fitting(options, folder, certificates, figures):
    gateways, scopes, targets = {}, {}, {}
    for name, kind in (("postfix", Postfix), ("exim", Exim)):
        gateways[name] = kind(folder / name, certificates)
        port = free_port()
        gateways[name].start(port, READS_HEADER[name])
        for present in ("proxy-v1", "proxy-v2"):
            home = folder / f"{name}-{present}"
            home.mkdir()
            scope = scopes[name, present] = Scope(options.binary, home, port, present).start()
            for version in (1, 2):
                targets[f"{name}-{present}-from-v{version}"] = (scope.port, version)
    balancer = Haproxy(folder, targets).start()
    try:
        mails = {}  # (gateway, present): {envelope sender: (ip, port, via)}
        number = 0
        for (name, present), scope in scopes.items():
            ways = [(True, balancer.ports[f"{name}-{present}-from-v{version}"]) for version in (1, 2)] + [(False, scope.direct)]
            for balanced, port in ways:
                for v6 in (False, True):
                    number += 1
                    source, host = ("::1", "::1") if v6 else (f"127.0.1.{number}", "127.0.0.1")
                    mail_from = f"n{number}@sender.example"
                    own = send_mail(host, port, source, mail_from)
                    mails.setdefault((name, present), {})[mail_from] = (source, own, balanced)
                    log = gateways[name].log()
                    line = f"client=unknown[{source}]" if name == "postfix" else f"[{source}]"
                    here = [row for row in log.splitlines() if line in row and (name == "postfix" or mail_from in row)]
                    assert here, f"{name} was not told {source} ({present}):\n{log[-1500:]}"
                    figures["mails"] += 1
        for key, scope in scopes.items():
            deadline = time.monotonic() + 20
            checks = []
            while len(checks) < 2 and time.monotonic() < deadline:
                found = store.transcripts(scope.store)
                checks = [t for t in found if not t["messages"] and t["sender"]["ip"] == "127.0.0.1" and "via" not in t["sender"]]
                time.sleep(0.1)
            assert len(checks) >= 2, f"{key}: no health check of HAProxy's was relayed"
            assert all(t["verdict"] == "no-mail" for t in checks), [t["summary"] for t in checks if t["verdict"] != "no-mail"]
            figures["health checks"] += len(checks)
            by_mail = {t["messages"][0]["mail_from"]: t for t in found if t["messages"]}
            for mail_from, (ip, port, balanced) in mails[key].items():
                t = by_mail[mail_from]
                assert (t["sender"]["ip"], t["sender"]["port"]) == (ip, port), (t["sender"], ip, port)
                assert t["sender"].get("via", {}).get("ip") == ("127.0.0.1" if balanced else None), t["sender"]
                assert (t["gateway"]["sees"], t["gateway"]["header"]) == ("proxy-header", key[1]), t["gateway"]
                assert t["verdict"] == "delivered" and not t["notes"], (t["summary"], t["notes"])
                shown = scope.cli("show", t["id"], "--store", scope.store)[1]
                assert ("whose PROXY header named the sender" in shown) == balanced and key[1] in shown, shown
    finally:
        balancer.stop()
        for each in (*scopes.values(), *gateways.values()):
            each.stop()


def check_misfits(options, folder, certificates, figures):
    postfix = Postfix(folder / "postfix", certificates)
    started, cases = [], []
    for number, (name, settings, present, code) in enumerate(MISFITS):
        home, port = folder / str(number), free_port()
        home.mkdir()
        if name == "postfix":
            postfix.add(port, settings)
        else:
            exim = Exim(home / "exim", certificates)
            started.append(exim)
            exim.start(port, settings)
        cases.append((Scope(options.binary, home, port, present), name, present, code))
    postfix.launch_all()
    started.append(postfix)
    try:
        for scope, name, present, code in cases:
            scope.start()
            try_mail(scope.direct)
            scope.stop()
            t, = store.transcripts(scope.store)
            told = t["breakdown"] and t["breakdown"]["code"]
            events = "\n".join(f'{e["at_ms"]} {e["from"]} {e["kind"]} {e.get("text", "")}' for e in t["events"])
            assert told == code, f"{name} with {present}: {told} where {code} was due: {t['summary']}\n{events}"
            assert t["breakdown"]["party"] == "proxy", t["breakdown"]
            figures["misfits"] += 1
    finally:
        for each in started:
            each.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source")
    options = parser.parse_args()
    missing = [need for need in (Postfix.missing(), Exim.missing(), "" if program("haproxy") else "haproxy") if need]
    if missing:
        print(f"skipped: this needs {', '.join(missing)} (deploy/install-deps.sh --tests)")
        return 77
    figures = Counter()
    with tempfile.TemporaryDirectory(prefix="smtpscope-header.") as name:
        folder = Path(name)
        certificates = Certificates(folder / "certificates")
        for part, check in (("fitting", check_fitting), ("misfits", check_misfits)):
            (folder / part).mkdir()
            check(options, folder / part, certificates, figures)
    print("summary: " + ", ".join(f"{count} {what}" for what, count in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
