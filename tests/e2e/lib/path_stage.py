"""A session over a path with faults (netns): the proxy under test, the programs at its ends, and what its transcript has to say."""
import json
import subprocess
import sys
import time
from pathlib import Path

from lib import netns, store
from lib.smtpscope import Smtpscope

PEER = Path(__file__).parent / "path_peer.py"
PORT, GATEWAY_PORT = 2525, 2526
HELLO = [["hear"], ["ask", "EHLO a.example"]]
ENVELOPE = [*HELLO, ["ask", "MAIL FROM:<a@a.example>"], ["ask", "RCPT TO:<b@gw.example>"]]
DATA = [*ENVELOPE, ["ask", "DATA"], ["tell", "ready"], ["go"]]
GREETING, HEARS = ["say", "220 gw.example ESMTP"], [["hear"], ["say", "250 gw.example"]]
TAKES = [["answer"], ["take"], ["say", "250 2.0.0 Ok: queued as 1A"], ["hear"], ["say", "221 2.0.0 Bye"]]
TIMES_OUT = [["answer"], ["idle", 12], ["say", "421 4.4.2 gw.example Error: timeout exceeded"]]
ANSWERS = [GREETING, *HEARS, ["hear"], ["say", "250 2.1.0 Ok"], ["hear"], ["say", "250 2.1.5 Ok"], ["hear"]]
LEAVES = [["ask", "."], ["ask", "QUIT"], ["drain"]]
SLOW = ("sender-without-ptr", "banner-slow", "helo-slow", "mail-slow", "rcpt-slow", "data-slow", "final-reply-slow", "reply-slow")


class Stage:
    """A proxy, and the two programs that are its sender and its gateway."""

    def __init__(self, options, net, folder, v6):
        self.options, self.net, self.v6 = options, net, v6
        self.at = netns.ADDRESSES[6 if v6 else 4]
        self.scope = Smtpscope(options.binary, GATEWAY_PORT, folder / "store", args=("--connect-timeout", "20s", "--no-view-check"),
                               gateway_host=f"[{self.at['gateway']}]" if v6 else self.at["gateway"], host=self.at["proxy"],
                               port=PORT, wrapper=net.inside("proxy"))
        self.started = []

    def _start(self, command, out=subprocess.PIPE, err=subprocess.DEVNULL):
        self.started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err, text=True))
        return self.started[-1]

    def _peer(self, host, how, address, port, steps):
        return self._start([*self.net.inside(host), sys.executable, str(PEER), how, address, str(port), json.dumps(steps)])

    def begin(self, sender, gateway=None):
        """Starts all three; without a gateway nobody listens there."""
        with open(self.scope.log_path, "ab") as log:
            self._start(self.scope.command, log, log)
        deadline = time.monotonic() + 60
        while "listening" not in self.scope.log():
            assert time.monotonic() < deadline and self.started[0].poll() is None, self.scope.log()
            time.sleep(0.1)
        if gateway is not None:
            assert self._peer("gateway", "accept", self.at["gateway"], GATEWAY_PORT, gateway).stdout.readline() == "listening\n"
        self.sender = self._peer("sender", "connect", self.at["proxy"], PORT, sender)

    def ready(self):
        assert self.sender.stdout.readline() == "ready\n", "the session did not get so far"
        time.sleep(0.3)  # what is under way arrives

    def go_on(self):
        self.ready()
        self.go()

    def go(self):
        self.sender.stdin.write("go\n")
        self.sender.stdin.flush()

    def transcript(self, seconds=60):
        found = store.wait_transcripts(self.scope.store, 1, seconds)
        assert len(found) == 1
        store.Validator(self.options.source).check(found[0])
        for path in store.recordings(self.scope.store):
            again = json.loads(self.scope.cli("show", path, "--format", "json")[1])
            assert again["breakdown"] == found[0]["breakdown"] and again["notes"] == found[0]["notes"], again["breakdown"]
        return found[0]

    def close(self):
        for process in self.started:
            process.kill()
            process.wait()


def broke(t, code, phase, party, kind, side, missing=None):
    """The breakdown is this, at an event of this kind and side; `missing` names whose bytes were missing there."""
    b = t["breakdown"]
    found = b and (b["code"], b["phase"], b["party"])
    assert found == (code, phase, party), (found, b and b["got"], b and b["why"], t["summary"], t["events"][-4:], t["transport"])
    event = t["events"][b["event"]]
    assert (event["kind"], event["from"]) == (kind, side), (event, b)
    if missing is None and kind != "close":
        assert b["stream"] == {"from": side, "offset": event["offset"], "length": event["bytes"]}, (b, event)
    else:
        at = missing or side
        assert b["stream"]["from"] == at and b["stream"]["length"] == 0, b
        assert b["stream"]["offset"] == t["streams"][at]["bytes"], (b, t["streams"])
    return b


def delivered(t, allowed=()):
    assert t["verdict"] == "delivered" and t["breakdown"] is None, (t["summary"], t["breakdown"])
    assert {n["code"] for n in t["notes"]} <= set(allowed), t["notes"]
