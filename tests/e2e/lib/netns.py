"""Hosts in a row, each a network namespace of the test's own, with IPv4 and IPv6: the sender and the gateway at the ends, the
proxy in the middle, a router on each side of it for faults to sit in. Needs root, iproute2 and nft.

    sender  10.77.1.1 -- near -- 10.77.2.2  proxy  10.77.3.1 -- far -- 10.77.4.2  gateway      (fd77:1::1 and so on)
"""
import itertools
import os
import subprocess

HOSTS = ("sender", "near", "proxy", "far", "gateway")
ADDRESSES = {4: {"sender": "10.77.1.1", "proxy": "10.77.2.2", "gateway": "10.77.4.2"},
             6: {"sender": "fd77:1::1", "proxy": "fd77:2::2", "gateway": "fd77:4::2"}}
_numbers = itertools.count()


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more)


def available():
    """"" if namespaces and nft work here, else why not."""
    probe = subprocess.run(["unshare", "--net", "nft", "list", "ruleset"], capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else probe.stderr.strip()[:200]


class Net:
    def __init__(self):
        prefix = f"scope-{os.getpid()}-{next(_numbers)}"
        self.names = {host: f"{prefix}-{host}" for host in HOSTS}
        self._made = []

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
            self._made.append(name)
        orders = {host: ["link set lo up"] for host in HOSTS}
        for number, (one, other) in enumerate(zip(HOSTS, HOSTS[1:]), 1):
            run("ip", "-n", self.names[one], "link", "add", "right", "type", "veth", "peer", "name", "left", "netns",
                self.names[other])
            for host, link, last in ((one, "right", 1), (other, "left", 2)):
                # Without the limit of segments a packet of 64 KB crosses a veth as one.
                orders[host] += [f"link set {link} gso_max_segs 1 up", f"addr add 10.77.{number}.{last}/24 dev {link}",
                                 f"addr add fd77:{number}::{last}/64 dev {link} nodad"]
        for host, target, number, last in (("sender", "default", 1, 2), ("proxy", 1, 2, 1), ("proxy", 4, 3, 2),
                                           ("gateway", "default", 4, 1)):
            nets = ("default", "default") if target == "default" else (f"10.77.{target}.0/24", f"fd77:{target}::/64")
            orders[host] += [f"route add {nets[0]} via 10.77.{number}.{last}", f"route add {nets[1]} via fd77:{number}::{last}"]
        for host, lines in orders.items():
            for family in ("-4", "-6"):
                mine = [line for line in lines if (":" in line) == (family == "-6")]
                run("ip", "-n", self.names[host], family, "-batch", "-", input="\n".join(mine) + "\n")
        for router in ("near", "far"):
            self.sysctl(router, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def __exit__(self, *_):
        for name in self._made:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def inside(self, host):
        return ("ip", "netns", "exec", self.names[host])

    def sysctl(self, host, *settings):
        run(*self.inside(host), "sysctl", "-qw", *settings)

    def rule(self, host, hook, statement, before=""):
        """From now on packets that pass `hook` (forward, input, output) of `host` meet this statement of nft."""
        run(*self.inside(host), "nft", "-f", "-",
            input=f"table inet faults {{ {before}\n chain {hook} {{ type filter hook {hook} priority 0;\n{statement}\n}}\n}}\n")

    def down(self, host):
        """The host is gone, from one moment to the next: its links end."""
        for link in {"sender": ("right",), "gateway": ("left",)}[host]:
            run("ip", "-n", self.names[host], "link", "set", link, "down")

    def mtu(self, router, size):
        """Larger packets through `router` towards the proxy or the gateway are dropped, and nobody is told (a black hole)."""
        to = {"near": 2, "far": 4}[router]
        for family, net in (("-4", f"10.77.{to}.2"), ("-6", f"fd77:{to}::2")):
            run("ip", "-n", self.names[router], family, "route", "add", net, "dev", "right", "mtu", "lock", str(size))
        self.rule(router, "output", "icmp type destination-unreachable icmp code frag-needed drop\n"
                  "icmpv6 type packet-too-big drop")
