"""What `divert off` leaves is byte for byte what was there before `divert on`, in every order, wherever it was killed."""
import json
from pathlib import Path

from mail import send
from shim import Shim
from topology import CAPTURED, OUTSIDE, differences, foreign, snapshot

ORDERS = (("on", "off"), ("on", "on", "off"), ("on", "off", "off"), ("off",), ("on", "off", "on", "on", "off"),
          ("print", "on", "status", "print", "off"))


def same(c, before, what):
    found = differences(before, snapshot(c.net))
    assert not found, f"{what}: {found[:8]}"
    state = c.inline.status()
    assert state["state"] == "off" and not state["differences"], (what, state)


def nothing_behind():
    """No record, and no folder for it; but for those of other namespaces."""
    folder = Path("/run/smtpscope-divert")
    assert not folder.exists() or any(folder.iterdir()), "an empty folder stays behind"


def run_orders(c, before):
    for order in ORDERS:
        for step in order:
            c.inline.divert(step, status=None if step == "status" else -1)
            if step == "on":
                assert differences(before, snapshot(c.net)), "nothing was changed"
        same(c, before, order)
        nothing_behind()


def every_order(c):
    """On a plain router: no rules, marks or filters of others, forwarding on."""
    run_orders(c, snapshot(c.net))


def amid_others(c):
    """Foreign tables, sets, rules, routes and marks, a stateful filter, rp_filter on, forwarding off: what others have stays,
    nothing clashes with it, and mail passes meanwhile, with and without the proxy, and nothing else does."""
    foreign(c.net, forwarding=False)
    before = snapshot(c.net)
    run_orders(c, before)
    c.inline.divert("on")
    state = c.inline.status()
    taken = {"mark": [0x1, 0x10, 0x7, 0x1000000, 0x2000000], "route_table": [200, 201, 25025, 253, 254, 255],
             "rule_priority": [0, 900, 1000, 25025, 32766, 32767]}
    for key, values in taken.items():
        assert state[key] not in values, (key, state[key])
    assert state["rule_priority"] < 900, "a rule of others would come first"
    for version in (4, 6):
        send(c.net, c.net.sender(CAPTURED, version))
    c.inline.start()
    for version in (4, 6):
        mail = send(c.net, c.net.sender(CAPTURED, version))
        assert mail.address in c.postfix.clients(), c.postfix.clients()
        send(c.net, c.net.sender(OUTSIDE, version))
    c.inline.transcripts(2)
    refused = c.net.run("sender", "python3", "-c", "import socket; socket.create_connection(('10.88.2.25', 9), 1)", check=False)
    assert "timed out" in refused.stderr, f"other traffic passes a host that did not forward: {refused.stderr[-200:]}"
    c.inline.stop()
    c.inline.divert("off")
    same(c, before, "amid others")


def killed_anywhere(c):
    """on, a new on, and off, killed before and after each call that changes something: `off` restores all; so does it after
    an `on` that finishes the one cut off."""
    foreign(c.net, forwarding=False)
    before = snapshot(c.net)
    shim = Shim(c.folder / "shim")
    c.inline.divert("on", env=shim.environment())
    steps_on = shim.count()
    c.inline.divert("on", env=shim.environment())
    steps_again = shim.count()
    c.inline.divert("off", env=shim.environment())
    steps_off = shim.count()
    same(c, before, "the shim alone")
    assert steps_on >= 9 and steps_off >= 9 and steps_again >= 1, (steps_on, steps_again, steps_off)
    kills = 0
    for how in ("before", "after"):
        for at in range(1, steps_on + 1):
            for finish in ((), ("on",)) if at % 3 == 0 else ((),):
                c.inline.divert("on", env=shim.environment(at, how), status=-9)
                kills += 1
                for step in finish:
                    c.inline.divert(step)
                    assert not c.inline.status()["differences"], c.inline.status()
                c.inline.divert("off")
                same(c, before, f"on killed {how} call {at}, then {finish or ''} off")
        c.inline.divert("on")
        for at in range(1, steps_again + 1):
            c.inline.divert("on", env=shim.environment(at, how), status=-9)
            kills += 1
        for at in range(1, steps_off + 1):
            c.inline.divert("off", env=shim.environment(at, how), status=None)
            kills += 1
            c.inline.divert("off")
            same(c, before, f"off killed {how} call {at}")
            c.inline.divert("on")
        c.inline.divert("off")
        same(c, before, f"off and on, killed {how}")
    c.figures.append(f"{kills} kills of divert, all undone")


def all_or_nothing(c):
    """A step that fails: `on` says so with status 1, and all is as before; where it was on already, it stays on."""
    before = snapshot(c.net)
    shim = Shim(c.folder / "shim")
    c.inline.divert("on", env=shim.environment())
    steps = shim.count()
    c.inline.divert("off")
    for at in range(1, steps + 1):
        _, stderr = c.inline.divert("on", env=shim.environment(at, "fail"), status=1)
        assert "made to fail" in stderr and "all that had been changed was changed back" in stderr, stderr
        same(c, before, f"on with call {at} failing")
    c.inline.divert("on")
    during = c.net.run("middle", "nft", "-s", "list", "table", "inet", "smtpscope").stdout
    _, stderr = c.inline.divert("on", env=shim.environment(1, "fail"), status=1)
    assert "the diversion stays as it was" in stderr, stderr
    assert c.net.run("middle", "nft", "-s", "list", "table", "inet", "smtpscope").stdout == during
    c.inline.divert("off")
    same(c, before, "a second on that failed")


def what_it_says(c):
    """Exit codes, and what status and print tell."""
    before = snapshot(c.net)
    stdout, _ = c.inline.divert("print")
    commands = json.loads(c.inline.divert("print", "--json")[0])
    assert "nft -f -" in stdout and "tproxy ip to :" in stdout and commands["on"][-1]["input"]["nftables"], stdout
    same(c, before, "print")
    c.inline.divert("status")
    stdout, stderr = c.inline.divert("on", status=5)
    assert "no proxy listens" in stderr and "nobody listens" in stdout, stderr + stdout
    c.inline.divert("status", status=5)
    c.inline.start()
    c.inline.divert("status")
    c.inline.divert("on", status=0)
    status = c.inline.status()
    assert status["intent"]["ipv4"]["listener"] == f"0.0.0.0:{c.inline.port}" and status["intent"]["ipv6"]["listener"].startswith("[::]:")
    assert status["diverted"] == {"senders": ["10.88.1.10/31", "fd88:1::10/127"], "destinations": ["10.88.2.25", "fd88:2::25"]}, status
    c.inline.configure(window="1740s", senders="any", exclude=[])
    c.inline.divert("on")
    stdout, _ = c.inline.divert("status")
    assert "\nsenders: any\nfor another 29 min, until 2" in stdout and "port 25 of 10.88.2.25, fd88:2::25\n" in stdout, stdout
    c.inline.configure()
    c.inline.divert("on")
    assert all(f["answered"] for f in c.inline.status()["listening"].values()), c.inline.status()
    c.net.run("middle", "ip", "-6", "rule", "del", "priority", c.inline.status()["rule_priority"])
    assert c.inline.status()["differences"] == ["the IPv6 policy rule is missing"], c.inline.status()
    c.inline.divert("status", status=1)
    c.inline.divert("on")  # mends it
    c.inline.divert("status")
    c.net.run("middle", "nft", "flush", "chain", "inet", "smtpscope", "divert")
    assert c.inline.status()["differences"] == ["the nft table is not as it was made"], c.inline.status()
    c.net.run("middle", "nft", "flush", "ruleset")
    assert c.inline.status()["differences"] == ["the nft table is missing (was the ruleset flushed?)"], c.inline.status()
    c.inline.divert("off")
    same(c, before, "after a flushed ruleset")
    c.inline.configure(senders=["mx.partner.example", ".partner.example"], exclude=[])
    _, stderr = c.inline.divert("on", status=78)
    assert "none of the names has an address, and the kernel diverts by address" in stderr, stderr
    c.inline.configure(exclude=["spf:partner.example"])
    _, stderr = c.inline.divert("on", status=78)
    assert "/capture/exclude/0" in stderr and "whom it means would be diverted" in stderr, stderr
    c.net.run("middle", "nft", "add", "table", "inet", "smtpscope")
    c.inline.configure()
    _, stderr = c.inline.divert("on", status=1)
    assert "no record of having made it" in stderr, stderr
    c.net.run("middle", "nft", "delete", "table", "inet", "smtpscope")
    same(c, before, "what was refused")


def print_is_on(c):
    """What `print` shows for people does the same as `divert on`, run by hand, and its second half undoes it."""
    foreign(c.net, forwarding=False)
    before = snapshot(c.net)
    on, off = c.inline.divert("print")[0].split("\n\n")
    c.inline.divert("on")
    by_us = snapshot(c.net)
    c.inline.divert("off")
    c.net.run("middle", "sh", "-e", "-c", on)
    found = differences(by_us, snapshot(c.net))
    assert not found, found[:8]
    c.net.run("middle", "sh", "-e", "-c", off)
    same(c, before, "print, run by hand")


WALL = """
table inet wall {
  chain in { type filter hook input priority 0; policy drop;
    iifname "lo" accept
    meta l4proto ipv6-icmp accept
    ct state established,related accept
  }
  chain out { type filter hook output priority 0; policy drop;
    oifname "lo" accept
    meta l4proto ipv6-icmp accept
    ct state established,related accept
  }
}
"""


def walled(c):
    """Where the packet filter would drop what is diverted, `on` refuses and says which rules to insert; with these all is well,
    and they can be taken out again as told. With --force it diverts all the same."""
    c.net.run("middle", "nft", "-f", "-", input=WALL)
    before = snapshot(c.net)
    _, said = c.inline.divert("on", status=1)
    assert '"inet wall in" drops' in said and '"inet wall out" drops' in said and "--force" in said, said
    same(c, before, "refused")
    filters = json.loads(c.inline.divert("print", "--json")[0])["filters"]
    for one in filters:
        assert one["drops"] and all(command in said for command in one["insert"] + one["remove"]), (one, said)
        for command in one["insert"]:
            c.net.run("middle", "sh", "-c", command)
    assert not json.loads(c.inline.divert("print", "--json")[0])["filters"]
    c.inline.start()
    said = c.inline.divert("on")[1]
    assert "inet wall" not in said and not c.inline.status()["warnings"], said
    for version in (4, 6):
        send(c.net, c.net.sender(CAPTURED, version))
    c.inline.transcripts(2)
    c.inline.divert("off")
    for one in filters:
        for command in one["remove"]:
            c.net.run("middle", "sh", "-c", command)
    same(c, before, "walled")
    assert '"inet wall in" drops' in c.inline.divert("on", "--force")[1]
    state = json.loads(c.inline.divert("status", "--json", status=1)[0])  # their mail stops: that is not as it should be
    assert len(state["differences"]) == 2 and "To let them pass: " in state["differences"][0] and not state["warnings"], state
    c.inline.divert("off")
    same(c, before, "forced")


def bridge_restored(c):
    """The same on a bridge whose frames were not filtered before."""
    c.net.set("middle", "net.bridge.bridge-nf-call-iptables", 0)
    c.net.set("middle", "net.bridge.bridge-nf-call-ip6tables", 0)
    before = snapshot(c.net)
    run_orders(c, before)
    c.inline.divert("on")
    c.inline.start()
    for version in (4, 6):
        send(c.net, c.net.sender(CAPTURED, version))
    c.inline.transcripts(2)
    c.inline.kill()
    for version in (4, 6):
        send(c.net, c.net.sender(CAPTURED, version))
    c.inline.divert("off")
    same(c, before, "bridge")


ROUTED = (every_order, amid_others, killed_anywhere, all_or_nothing, print_is_on, walled, what_it_says)
BRIDGED = (print_is_on, bridge_restored)
