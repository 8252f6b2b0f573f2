"""Hosts made of network namespaces: a sender, a host in the middle, a gateway, on IPv4 and IPv6, routed or bridged. Made and
removed by the test alone; nothing of the machine's own network is touched.

Routed:   sender 10.88.1.x, fd88:1::x  -  10.88.1.1 middle 10.88.2.1  -  gateway 10.88.2.25, fd88:2::25
Bridged:  sender 10.88.2.x, fd88:2::x  -  br0 of the middle, 10.88.2.1  -  gateway 10.88.2.25, fd88:2::25

The sender has one host number for each role: CAPTURED is in the configuration, EXCLUDED too but left out of it again, and
OUTSIDE is a stranger.
"""
import os
import re
import subprocess
import sys
import time

CAPTURED, CAPTURED_TOO, EXCLUDED, OUTSIDE = 10, 11, 12, 20
KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], 9), 1)"
GATEWAY = {4: "10.88.2.25", 6: "fd88:2::25"}


def run(*command, check=True, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)
    assert not check or done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done


class Topology:
    def __init__(self, bridged=False):
        self.bridged = bridged
        self.names = {who: f"scope-{who}-{os.getpid()}" for who in ("sender", "middle", "gateway")}

    def sender(self, host, version=4):
        return f"10.88.{2 if self.bridged else 1}.{host}" if version == 4 else f"fd88:{2 if self.bridged else 1}::{host}"

    def inside(self, who):
        return ("ip", "netns", "exec", self.names[who])

    def run(self, who, *command, **more):
        return run(*self.inside(who), *command, **more)

    def set(self, who, name, value):
        self.run(who, "sysctl", "-q", "-w", f"{name}={value}")

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for number, who in enumerate(("sender", "gateway"), 1):
            run("ip", "-n", self.names[who], "link", "add", "eth0", "type", "veth", "peer", "name", f"eth{number}", "netns",
                self.names["middle"])
            self.set(who, "net.ipv6.conf.eth0.accept_dad", 0)
        middle = self.names["middle"]
        self.set("middle", "net.ipv6.conf.default.accept_dad", 0)
        if self.bridged:
            run("ip", "-n", middle, "link", "add", "br0", "type", "bridge")
            for link in ("eth1", "eth2"):
                run("ip", "-n", middle, "link", "set", link, "master", "br0", "up")
            self._address(middle, "br0", "10.88.2.1/24", "fd88:2::1/64")
        else:
            self._address(middle, "eth1", "10.88.1.1/24", "fd88:1::1/64")
            self._address(middle, "eth2", "10.88.2.1/24", "fd88:2::1/64")
            self.set("middle", "net.ipv4.ip_forward", 1)
            self.set("middle", "net.ipv6.conf.all.forwarding", 1)
        hosts = (CAPTURED, CAPTURED_TOO, EXCLUDED, OUTSIDE)
        self._address(self.names["sender"], "eth0", *[f"{self.sender(h)}/24" for h in hosts],
                      *[f"{self.sender(h, 6)}/64" for h in hosts])
        self._address(self.names["gateway"], "eth0", "10.88.2.25/24", "fd88:2::25/64")
        if not self.bridged:
            for who, net in (("sender", 1), ("gateway", 2)):
                run("ip", "-n", self.names[who], "route", "add", "default", "via", f"10.88.{net}.1")
                run("ip", "-n", self.names[who], "-6", "route", "add", "default", "via", f"fd88:{net}::1")
        self._settle()

    @staticmethod
    def _address(name, link, *addresses):
        run("ip", "-n", name, "link", "set", link, "up")
        for address in addresses:
            run("ip", "-n", name, "addr", "add", address, "dev", link, *(("nodad",) if ":" in address else ()))

    def _settle(self):
        """The first packets of a link may be lost until both ends are up, and each link gets a route for its own address late."""
        deadline = time.monotonic() + 10
        while "fe80" not in (own := self.run("middle", "ip", "-6", "addr", "show", "dev", "br0" if self.bridged else "eth1").stdout) \
                or "tentative" in self.run("middle", "ip", "-6", "addr").stdout:
            assert time.monotonic() < deadline, f"addresses of links do not settle: {own}"
            time.sleep(0.05)
        for version in (4, 6):
            deadline = time.monotonic() + 10
            while "refused" not in self.run("sender", sys.executable, "-c", KNOCK, GATEWAY[version], check=False).stderr:
                assert time.monotonic() < deadline, f"no way from the sender to the gateway with IPv{version}"
                time.sleep(0.1)

    def __exit__(self, *_):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False)


def snapshot(net, who="middle"):
    """All that a diversion could change on a host, byte for byte; counters, which run by themselves, left out."""
    settings = net.run(who, "sysctl", "-a").stdout
    moving = ("random.", "nf_conntrack_count", "file-nr", "inode", "dentry", "fs.", "kernel.", "vm.", "dev.")
    kept = [line for line in settings.splitlines() if not line.startswith(moving) and not any(m in line for m in moving[:2])]
    return {
        "ruleset": net.run(who, "nft", "list", "ruleset").stdout,
        "rules4": net.run(who, "ip", "-4", "rule", "show").stdout,
        "rules6": net.run(who, "ip", "-6", "rule", "show").stdout,
        "routes4": net.run(who, "ip", "-4", "route", "show", "table", "all").stdout,
        "routes6": net.run(who, "ip", "-6", "route", "show", "table", "all").stdout,
        "links": re.sub(r"_timer +[\d.]+", "_timer", net.run(who, "ip", "-d", "link", "show").stdout),
        "settings": "\n".join(kept),
    }


def differences(before, after):
    found = []
    for key, old in before.items():
        if old == after[key]:
            continue
        a, b = old.splitlines(), after[key].splitlines()
        found += [f"{key}: - {line}" for line in a if line not in b] + [f"{key}: + {line}" for line in b if line not in a]
        found += [f"{key}: order"] if sorted(a) == sorted(b) else []
    return found


def foreign(net, forwarding=True, rp_filter=1, firewall=True):
    """What others have set up on the middle: a stateful firewall, policy rules, routes and marks of their own."""
    middle = net.names["middle"]
    if firewall:
        net.run("middle", "nft", "-f", "-", input="""
table inet firewall {
  set friends { type ipv4_addr; elements = { 10.88.1.0/24 } flags interval; }
  chain input {
    type filter hook input priority filter; policy accept;
    ct state invalid drop
    ct state established,related accept
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state invalid drop
    ct state established,related accept
    meta mark 0x1 counter drop
  }
  chain marks { type filter hook prerouting priority mangle; meta mark set meta mark or 0x1000000 ct mark set 0x2000000; }
}
table ip smtpscope {
  chain other { type filter hook input priority 5; }
}
""")
    run("ip", "-n", middle, "rule", "add", "priority", "1000", "fwmark", "0x10/0xff", "lookup", "200")
    run("ip", "-n", middle, "rule", "add", "priority", "25025", "from", "192.0.2.0/24", "lookup", "25025")
    run("ip", "-n", middle, "-6", "rule", "add", "priority", "900", "fwmark", "7", "lookup", "201")
    run("ip", "-n", middle, "route", "add", "192.0.2.0/24", "dev", "lo", "table", "200")
    run("ip", "-n", middle, "route", "add", "blackhole", "198.51.100.0/24", "table", "25025")
    for name in ("all", "default", *(("br0",) if net.bridged else ("eth1", "eth2"))):
        net.set("middle", f"net.ipv4.conf.{name}.rp_filter", rp_filter)
    if not forwarding:
        net.set("middle", "net.ipv4.ip_forward", 0)
        net.set("middle", "net.ipv6.conf.all.forwarding", 0)
