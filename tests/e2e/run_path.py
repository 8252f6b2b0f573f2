#!/usr/bin/env python3
"""Faults of the path, made by the kernel in network namespaces of the test's own: what is lost, refused, forgotten or cut off
between the sender, the proxy and the gateway. Each has to come out with its own code, at the very place, and a path that is
only poor has to deliver. Many cases run at once, each on hosts of its own; over IPv6 where the name ends in _v6.

Needs root, iproute2 and nft; ends with 77 where it has none of them.
"""
import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import netns  # noqa: E402
from lib.path_stage import (ANSWERS, DATA, ENVELOPE, GATEWAY_PORT, GREETING, HEARS, HELLO, LEAVES, PORT, SLOW, TAKES,  # noqa: E402
                            TIMES_OUT, Stage, broke, delivered)

WORKERS = 16  # cases at once; they mostly wait


# ------------------------------------------------------------------ packets that are too large

def hole_from_sender(stage):
    """A path MTU black hole before the proxy: full-size segments are lost, the small tail behind them arrives."""
    stage.net.mtu("near", 1300)
    stage.begin([*DATA, ["body", 6000], ["wait", 9], ["rst"]], [["answer"], ["drain"]])
    stage.go_on()
    broke(stage.transcript(), "path-hole-from-sender", "body", "network", "reply", "gateway", missing="sender")


def hole_to_gateway(stage):
    """The same behind the proxy: it takes a part of the message and cannot hand it on."""
    stage.net.mtu("far", 1300)
    stage.begin([*DATA, ["body", 6000], ["wait", 14], ["fin"], ["drain"]], TIMES_OUT)
    stage.go_on()
    broke(stage.transcript(), "path-hole-to-gateway", "body", "network", "body", "sender", missing="sender")


def hole_to_gateway_whole(stage):
    """The proxy takes all of the message, and the sender waits for a reply that cannot come."""
    stage.net.mtu("far", 1300)
    stage.begin([*DATA, ["body", 6000], *LEAVES], TIMES_OUT)
    stage.go_on()
    broke(stage.transcript(), "path-hole-to-gateway", "body", "network", "body", "sender", missing="gateway")


def hole_without_tail(stage):
    """All that is under way is full-size: nothing of the message comes, and only that can be said."""
    stage.net.mtu("near", 1300)
    stage.begin([*DATA, ["body", 2 * 1428 if stage.v6 else 2 * 1448], ["wait", 14]], TIMES_OUT)
    stage.go_on()
    b = broke(stage.transcript(), "message-never-came", "body", "network", "reply", "gateway", missing="sender")
    assert b["confidence"] == "possible", b


def hole_that_was_filled(stage):
    """One segment of the message is lost and sent again; that the sender falls silent later has nothing to do with it."""
    netns.run("ip", "-n", stage.net.names["sender"], "link", "set", "right", "gso_max_segs", "1")  # one packet is one segment
    stage.net.rule("near", "forward", f"tcp dport {PORT} meta length > 1000 limit rate 1/hour burst 1 packets counter drop")
    stage.begin([*DATA, ["body", 30000], ["wait", 14]], TIMES_OUT)
    stage.go_on()
    broke(stage.transcript(), "body-stalled", "body", "sender", "body", "sender", missing="sender")
    counted = netns.run(*stage.net.inside("near"), "nft", "list", "table", "inet", "faults").stdout
    assert "counter packets 1 " in counted, counted


# ------------------------------------------------------------------ devices on the way

def stall_at_64k(stage):
    """A device lets 64 KiB through and no more, as one does whose idea of the window is without scaling."""
    stage.begin([*DATA, ["body", 65535], ["tell", "full"], ["go"], ["body", 200000, 25]],
                TIMES_OUT)
    stage.go_on()
    assert stage.sender.stdout.readline() == "full\n"
    time.sleep(1)
    stage.net.rule("near", "forward", f"tcp dport {PORT} tcp flags & (fin|syn|rst) == 0 meta length > 100 drop")
    stage.go()
    broke(stage.transcript(), "stalled-at-64k", "body", "network", "body", "sender", missing="sender")


def forgotten(stage, statement, code, kind):
    """A firewall before the gateway forgets connections that are quiet for 40 s; the sender goes on after 65 s."""
    stage.net.sysctl("far", "net.netfilter.nf_conntrack_tcp_timeout_established=40", "net.netfilter.nf_conntrack_tcp_loose=0")
    stage.net.sysctl("proxy", "net.ipv4.tcp_retries2=5")
    stage.net.rule("far", "forward", f"ct state invalid {statement}\nct state new tcp flags & syn == 0 {statement}")
    stage.begin([*HELLO, ["wait", 65], ["ask", "MAIL FROM:<a@a.example>"]], [GREETING, *HEARS, ["drain"], ["wait", 60]])
    t = stage.transcript(120)
    b = broke(t, code, "mail", "network", kind, "gateway")
    assert b["confidence"] == "possible" and "65" in b["why"], b


def forgotten_and_dropped(stage):
    forgotten(stage, "drop", "idle-connection-dropped", "close")


def forgotten_and_reset(stage):
    forgotten(stage, "reject with tcp reset", "idle-connection-dropped", "close")


def reset_between_commands(stage):
    """A middlebox ends the connection at RCPT with a reset; the proxy cannot tell it from one of the gateway's."""
    stage.net.rule("far", "forward", f"tcp dport {GATEWAY_PORT} @ih,0,32 0x52435054 reject with tcp reset")
    stage.begin(ENVELOPE, TAKES)
    b = broke(stage.transcript(), "gateway-reset", "rcpt", "gateway", "close", "gateway")
    assert "firewall" in b["advice"], b["advice"]


def reset_in_the_message(stage):
    stage.begin([*DATA, ["body", 3000], ["tell", "half"], ["go"], ["body", 3000], ["wait", 9]], TAKES)
    stage.go_on()
    assert stage.sender.stdout.readline() == "half\n"
    time.sleep(0.5)
    stage.net.rule("far", "forward", f"tcp dport {GATEWAY_PORT} meta length > 200 reject with tcp reset")
    stage.go()
    broke(stage.transcript(), "body-gateway-reset", "body", "gateway", "close", "gateway")


def reset_before_greeting(stage):
    """The gateway's SYN-ACK comes through, and then a reset in its name."""
    stage.net.rule("far", "forward", f"tcp dport {GATEWAY_PORT} tcp flags & (syn | ack) == ack reject with tcp reset")
    stage.begin(HELLO, [["wait", 30]])
    broke(stage.transcript(), "banner-reset", "banner", "gateway", "close", "gateway")


# ------------------------------------------------------------------ hosts that are gone

def sender_gone_in_message(stage):
    stage.net.sysctl("proxy", "net.ipv4.tcp_retries2=6")
    stage.begin([*DATA, ["body", 5000], ["tell", "half"], ["wait", 90]], TIMES_OUT)
    stage.go_on()
    assert stage.sender.stdout.readline() == "half\n"
    time.sleep(0.5)
    stage.net.down("sender")
    broke(stage.transcript(90), "path-to-sender-dead", "body", "network", "body", "sender", missing="sender")


def sender_gone_before_greeting(stage):
    stage.net.sysctl("proxy", "net.ipv4.tcp_retries2=6")
    stage.begin([["tell", "ready"], ["wait", 90]], [["wait", 4], GREETING, ["drain"]])
    stage.ready()
    stage.net.down("sender")
    broke(stage.transcript(90), "path-to-sender-dead", "banner", "network", "reply", "gateway", missing="sender")


def sender_gone_at_data(stage):
    stage.net.sysctl("proxy", "net.ipv4.tcp_retries2=6")
    stage.begin([*ENVELOPE, ["say", "DATA"], ["tell", "ready"], ["wait", 90]],
                [*ANSWERS, ["wait", 2], ["say", "354 go ahead"], ["drain"]])
    stage.ready()
    stage.net.down("sender")
    broke(stage.transcript(90), "path-to-sender-dead", "body", "network", "reply", "gateway", missing="sender")


def gateway_gone_in_message(stage):
    stage.begin([*DATA, ["body", 3000], ["tell", "half"], ["go"], ["body", 3000], ["wait", 12], ["rst"]], TAKES)
    stage.go_on()
    assert stage.sender.stdout.readline() == "half\n"
    time.sleep(0.5)
    stage.net.down("gateway")
    stage.go()
    broke(stage.transcript(), "path-to-gateway-dead", "body", "network", "body", "sender", missing="sender")


def gateway_gone_before_greeting(stage):
    """Nothing is under way to it when the sender gives up; only then its silence shows."""
    stage.net.sysctl("proxy", "net.ipv4.tcp_retries2=5")
    stage.begin([["tell", "ready"], ["go"], ["wait", 4], ["fin"], ["drain"]], [["wait", 60]])
    stage.ready()
    stage.net.down("gateway")
    stage.go()
    broke(stage.transcript(90), "path-to-gateway-dead", "banner", "network", "close", "sender", missing="gateway")


def gateway_gone_after_message(stage):
    stage.net.sysctl("proxy", "net.ipv4.tcp_retries2=5")
    stage.begin([*DATA, ["body", 3000], ["say", "."], ["tell", "sent"], ["go"], ["wait", 4], ["fin"], ["drain"]],
                [["answer"], ["take"], ["wait", 60]])
    stage.go_on()
    assert stage.sender.stdout.readline() == "sent\n"
    time.sleep(0.5)
    stage.net.down("gateway")
    stage.go()
    t = stage.transcript(90)
    broke(t, "path-to-gateway-dead", "end-of-data", "network", "body", "sender", missing="gateway")
    assert "left-before-final-reply" in [n["code"] for n in t["notes"]], t["notes"]


# ------------------------------------------------------------------ hosts that read no more

def gateway_deaf(stage):
    stage.begin([*DATA, ["body", 12_000_000, 20], ["rst"]], [["answer"], ["wait", 120]])
    stage.go_on()
    broke(stage.transcript(), "gateway-stops-reading", "body", "gateway", "body", "sender", missing="sender")


def sender_deaf(stage):
    """It asks again and again, and reads no answer."""
    stage.begin([*HELLO, ["flood", "HELP", 6000], ["wait", 25], ["rst"]], [GREETING, *HEARS, ["help", 120]])
    b = broke(stage.transcript(), "sender-stops-reading", "idle", "sender", "reply", "gateway", missing="sender")
    assert "waiting" in b["got"], b


# ------------------------------------------------------------------ gateways that cannot be reached

def refused(stage):
    stage.begin([["drain"]])
    broke(stage.transcript(), "gateway-refused", "connect", "gateway", "note", "proxy", missing="gateway")


def refused_by_firewall(stage):
    """A firewall between that answers in the gateway's name looks the same."""
    stage.net.rule("far", "forward", f"tcp dport {GATEWAY_PORT} reject with tcp reset")
    stage.begin([["drain"]], TAKES)
    broke(stage.transcript(), "gateway-refused", "connect", "gateway", "note", "proxy", missing="gateway")


def icmp(stage, statement, code, says):
    stage.net.rule("far", "forward", f"tcp dport {GATEWAY_PORT} reject with {statement}")
    stage.begin([["drain"]], TAKES)
    t = stage.transcript()
    b = broke(t, code, "connect", "network", "note", "proxy", missing="gateway")
    far = "fd77:3::2" if stage.v6 else "10.77.3.2"
    assert t["gateway"]["icmp"] == {"from": far, "says": says} and far in b["got"], (t["gateway"], b["got"])


def no_route(stage):
    icmp(stage, "icmpv6 addr-unreachable" if stage.v6 else "icmp host-unreachable", "gateway-no-route", "host-unreachable")


def prohibited(stage):
    icmp(stage, f"icmp{'v6' if stage.v6 else ''} admin-prohibited", "gateway-prohibited", "admin-prohibited")


def no_port(stage):
    icmp(stage, f"icmp{'v6' if stage.v6 else ''} port-unreachable", "gateway-prohibited", "port-unreachable")


def no_answer(stage):
    stage.net.rule("far", "forward", f"tcp dport {GATEWAY_PORT} drop")
    stage.begin([["drain"]], TAKES)
    broke(stage.transcript(90), "gateway-no-answer", "connect", "network", "note", "proxy", missing="gateway")


def no_answer_and_sender_leaves(stage):
    stage.net.rule("far", "forward", f"tcp dport {GATEWAY_PORT} drop")
    stage.begin([["wait", 6], ["rst"]], TAKES)
    broke(stage.transcript(90), "gateway-no-answer", "connect", "network", "close", "sender", missing="gateway")


# ------------------------------------------------------------------ paths that are only poor

def lossy(stage):
    """One packet of ten is lost, in each direction and on both sides."""
    for router in ("near", "far"):
        stage.net.rule(router, "forward", "numgen random mod 10 0 drop")
    stage.begin([*ENVELOPE, ["ask", "DATA"], ["body", 300_000], *LEAVES], TAKES)
    t = stage.transcript(150)
    delivered(t, SLOW)
    assert t["transport"]["sender"]["retransmits"] + t["transport"]["gateway"]["retransmits"] > 0, t["transport"]


def slow_link(stage):
    """400 kbit/s to the gateway."""
    netns.run("tc", "-n", stage.net.names["far"], "qdisc", "add", "dev", "right", "root", "tbf", "rate", "400kbit", "burst",
              "4kb", "latency", "400ms")
    stage.begin([*ENVELOPE, ["ask", "DATA"], ["body", 500_000], *LEAVES], TAKES)
    delivered(stage.transcript(90), SLOW)


def short_of_options(stage):
    """A firewall takes window scaling and SACK out of the SYN: that can be read in the transcript, and mail still passes."""
    stage.net.rule("near", "forward", "tcp flags syn reset tcp option window\ntcp flags syn reset tcp option sack-perm")
    stage.begin([*ENVELOPE, ["ask", "DATA"], ["body", 300_000], *LEAVES], TAKES)
    t = stage.transcript()
    delivered(t)
    syn = t["transport"]["syn"]
    assert syn["window_scale"] is None and syn["sack"] is False and syn["timestamps"] is True, syn
    assert syn["mss"] == (1440 if stage.v6 else 1460) and syn["ttl"] == 63, syn


# The slowest stand first, so that the others run beside them.
CASES = (forgotten_and_dropped, forgotten_and_reset, sender_gone_in_message, sender_gone_before_greeting, sender_gone_at_data,
         hole_from_sender, hole_to_gateway, hole_to_gateway_whole, hole_without_tail, hole_that_was_filled, stall_at_64k,
         reset_between_commands, reset_in_the_message, reset_before_greeting, gateway_gone_in_message,
         gateway_gone_before_greeting, gateway_gone_after_message, gateway_deaf, sender_deaf, refused, refused_by_firewall,
         no_route, prohibited, no_port, no_answer, no_answer_and_sender_leaves, lossy, slow_link, short_of_options)
BOTH = (hole_from_sender, hole_to_gateway, gateway_deaf, sender_gone_at_data, gateway_gone_in_message, refused, no_route,
        prohibited, lossy, short_of_options)


def play(case, v6, options, folder):
    """None, or what went wrong."""
    name = case.__name__ + ("_v6" if v6 else "")
    folder = folder / name
    folder.mkdir()
    try:
        with netns.Net() as net, contextlib.closing(Stage(options, net, folder, v6)) as stage:
            case(stage)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        return f"{error!r}{getattr(error, 'stderr', '') or ''}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--only", default="", help="run only cases with one of these words in their name, comma between")
    options = parser.parse_args()
    if why_not := netns.available():
        print(f"skipped: no network namespaces or no nft here: {why_not}")
        sys.exit(77)
    chosen = [(case, v6) for case in CASES for v6 in ((False, True) if case in BOTH else (False,))
              if any(word in case.__name__ + ("_v6" if v6 else "") for word in options.only.split(","))]
    failures = 0
    said = threading.Lock()

    def one(case_and_family):
        nonlocal failures
        began = time.monotonic()
        wrong = play(*case_and_family, options, Path(folder))
        name = case_and_family[0].__name__ + ("_v6" if case_and_family[1] else "")
        with said:
            failures += wrong is not None
            print((f"ok      {name} ({time.monotonic() - began:.0f} s)" if wrong is None else f"FAILED: {name}: {wrong}")[:3000], flush=True)

    with tempfile.TemporaryDirectory(prefix="smtpscope-path.") as folder, ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, chosen))
    print(f"summary: path: {len(chosen)} cases, {failures} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
