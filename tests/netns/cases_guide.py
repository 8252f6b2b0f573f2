"""docs/INLINE.md: every command in it is run, on hosts with the addresses that stand there."""
import os
import re
import subprocess
import time
from pathlib import Path

from lib import store
from topology import differences, run, snapshot

ADDRESSES = {"sender": ("203.0.113.9/24", "2001:db8:1::9/64"), "gateway": ("192.0.2.25/24", "2001:db8:2::25/64")}
MIDDLE = {"eth1": ("203.0.113.254/24", "2001:db8:1::fe/64"), "eth2": ("192.0.2.254/24", "2001:db8:2::fe/64")}
FILTER = """
table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    meta l4proto ipv6-icmp accept
    ct state established,related accept
  }
}
"""


def name_hosts(net):
    for who, addresses in ADDRESSES.items():
        for address in addresses:
            run("ip", "-n", net.names[who], "addr", "add", address, "dev", "eth0", *(("nodad",) if ":" in address else ()))
    for link, addresses in MIDDLE.items():
        for address in addresses:
            run("ip", "-n", net.names["middle"], "addr", "add", address, "dev", link, *(("nodad",) if ":" in address else ()))
    for who, other, via in (("sender", "192.0.2.0/24", "203.0.113.254"), ("sender", "2001:db8:2::/64", "2001:db8:1::fe"),
                            ("gateway", "203.0.113.0/24", "192.0.2.254"), ("gateway", "2001:db8:1::/64", "2001:db8:2::fe")):
        run("ip", "-n", net.names[who], "route", "add", other, "via", via)


def guide(c):
    text = (Path(c.source) / "docs" / "INLINE.md").read_text()
    config, local = c.folder / "guide.jsonc", {"/etc/smtpscope/smtpscope.jsonc": str(c.folder / "guide.jsonc"),
                                               "/var/lib/smtpscope": str(c.inline.store)}

    def here(piece):
        for path, replacement in local.items():
            piece = piece.replace(path, replacement)
        return piece
    config.write_text(here(re.search(r"(?s)```jsonc\n(.*?)```", text)[1]))
    commands = re.findall(r"(?m)^(router|partner)[#$] (.*)$", text)
    assert len(commands) >= 12, commands
    name_hosts(c.net)
    c.net.run("middle", "nft", "-f", "-", input=FILTER)
    before = snapshot(c.net)
    env = {**os.environ, "PATH": f"{Path(c.binary).parent}:{os.environ['PATH']}", "SMTPSCOPE_CONFIG": str(config),
           "NO_COLOR": "1"}
    proxy = None
    try:
        for where, command in commands:
            who = "middle" if where == "router" else "sender"
            words = (*c.net.inside(who), "sh", "-c")
            if command.endswith(" &"):
                with open(c.folder / "proxy.log", "wb") as log:
                    proxy = subprocess.Popen([*words, "exec " + here(command[:-2])], env=env, stdout=log, stderr=log)
                deadline = time.monotonic() + 20
                while (c.folder / "proxy.log").read_bytes().count(b"listening on") < 2:
                    assert time.monotonic() < deadline, (c.folder / "proxy.log").read_text()
                    time.sleep(0.05)
                continue
            if command == "kill %1":
                proxy.terminate()
                assert proxy.wait(30) == 0
                continue
            done = subprocess.run([*words, here(command)], env=env, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-1000:]}"
            said = done.stdout + done.stderr
            if command == "smtpscope divert print":
                advised = [line for line in text.splitlines() if "nft insert" in line or "nft delete" in line]
                assert len(advised) == 2 and all(line.removeprefix("router# ") in said for line in advised), (advised, said)
            if command == "smtpscope divert on":
                assert "inet filter" not in said, f"the rule is there, and still: {said}"
            if command.startswith("swaks"):
                seen = store.wait_transcripts(c.inline.store, 1)[0]
                assert seen["sender"]["ip"] == "203.0.113.9" and seen["verdict"] == "delivered", seen["summary"]
                assert (seen["sender"]["ip"], str(seen["sender"]["port"])) in c.postfix.clients(), c.postfix.clients()
            if command.startswith("smtpscope list"):
                assert "203.0.113.9" in done.stdout, done.stdout
    finally:
        if proxy and proxy.poll() is None:
            proxy.terminate()
            proxy.wait(30)
    assert not c.inline.store.exists(), "the store was not deleted"
    found = differences(before, snapshot(c.net))
    assert not found, found
    c.figures.append(f"{len(commands)} commands of docs/INLINE.md run")


ROUTED = (guide,)
