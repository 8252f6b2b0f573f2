"""Runs cases: gateways and a smtpscope before each of their settings, then the senders side by side, then the check.

A case is known by its source address (127.0.2.N). The bytes that a finding points at are looked up in the streams that tshark
takes from the recording, so that smtpscope's events are not checked against themselves.
"""
import os
import subprocess
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lib import store
from lib.smtpscope import Smtpscope, free_port
from peers import GATEWAYS
from peers.case import ALERT, HELLO, Case, Route
from peers.certificates import Certificates

AT_ONCE = 12   # senders; most of their time they wait


class Group:
    """The cases that share a gateway's settings: the gateway's port and the smtpscope before it."""

    def __init__(self, gateway, port, cases):
        self.gateway, self.port, self.cases, self.scope = gateway, port, cases, None


class Run:
    """One run of a list of cases. `printed`, `transcripts`: {case name: what came of it}; `left_out`: {case name: why}."""

    def __init__(self, binary, folder, cases, settings):
        self.binary, self.folder, self.settings = binary, Path(folder), settings
        os.chmod(folder, 0o755)
        self.printed, self.transcripts, self.left_out, self.failures = {}, {}, {}, []
        self.certificates = Certificates(self.folder / "certificates")
        self.cases = [case for case in cases if self._can_run(case)]
        self.sources = {case.name: f"127.0.2.{number}" for number, case in enumerate(self.cases, 1)}
        self.gateways, self.groups = [], []
        self._plan()

    def _can_run(self, case):
        reason = GATEWAYS[case.gateway].missing() or getattr(case.send, "needs", lambda: "")()
        if reason:
            self.left_out[case.name] = reason
        return not reason

    def _plan(self):
        kinds, shared, ports = {}, {}, set()
        for case in self.cases:
            kinds.setdefault((case.gateway, case.settings), []).append(case)
        for number, ((name, profile), members) in enumerate(kinds.items()):
            kind = GATEWAYS[name]
            gateway = shared.get(name)
            if gateway is None:
                gateway = kind(self.folder / f"{name}-{number}", self.certificates)
                self.gateways.append(gateway)
                if kind.shared:
                    shared[name] = gateway
            port = free_port()
            while port in ports:  # it is not bound yet, so that it may be found free again
                port = free_port()
            ports.add(port)
            gateway.add(port, self.settings[name, profile])
            self.groups.append(Group(gateway, port, members))

    def run(self):
        try:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(self._launch, self.gateways))
                self.groups = [group for group in self.groups if group.gateway in self.gateways]
                list(pool.map(self._start_scope, self.groups))
            with ThreadPoolExecutor(AT_ONCE) as pool:
                jobs = []
                for group in self.groups:
                    together = [case for case in group.cases if not case.alone]
                    assert not together or len(together) == len(group.cases), f"{group.cases[0].settings}: some cases want it alone"
                    chains = [[case] for case in together] or [group.cases]
                    jobs += [pool.submit(self._send_all, group, chain) for chain in chains]
                for job in jobs:
                    job.result()
            for group in self.groups:
                self._collect(group)
        finally:
            for stop in [group.scope.stop for group in self.groups if group.scope] + [g.stop for g in self.gateways]:
                try:
                    stop()
                except (AssertionError, OSError, subprocess.SubprocessError) as error:
                    self.failures.append(f"stop: {error!r}"[:2000])

    def _launch(self, gateway):
        try:
            gateway.launch_all()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            self.failures.append(f"{gateway.name} {list(gateway.listeners.values())}: does not start: {error}"[:3000])
            self.gateways = [other for other in self.gateways if other is not gateway]
            gateway.stop()

    def _start_scope(self, group):
        base = self.folder / f"store-{group.port}"
        group.scope = Smtpscope(self.binary, group.port, base, ["--body-limit", "unlimited"]).start()

    def _send_all(self, group, cases):
        for case in cases:
            folder = self.folder / "senders" / self.sources[case.name]
            folder.mkdir(parents=True)
            route = Route("127.0.0.1", group.scope.port, self.sources[case.name], folder, self.certificates, group.gateway, group.port)
            try:
                self.printed[case.name] = case.send(route) or ""
            except Exception:  # noqa: BLE001: a case that cannot be played is a failure of its own
                self.failures.append(f"{case.name}: {traceback.format_exc()[-1500:]}")

    def _collect(self, group):
        wanted = sum(case.sessions for case in group.cases if case.name in self.printed)
        deadline = time.monotonic() + 15
        while store.count_lines(group.scope.store) < wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        found = store.transcripts(group.scope.store)
        for case in group.cases:
            own = [t for t in found if t["sender"]["ip"] == self.sources[case.name]]
            if case.name in self.printed and len(own) != case.sessions:
                self.failures.append(f"{case.name}: {len(own)} transcripts, {case.sessions} sessions were due")
            if len(own) > case.judged:
                self.transcripts[case.name] = sorted(own, key=lambda t: t["started"])[case.judged]

    def streams(self):
        """{(sender ip, port): (sender's bytes, gateway's bytes)} of all recordings, as tshark reads them."""
        paths = [path for group in self.groups for path in store.recordings(group.scope.store)]
        merged = self.folder / "all.pcapng"
        subprocess.run(["mergecap", "-a", "-w", str(merged), *map(str, paths)], check=True, capture_output=True)
        text = subprocess.run(["tshark", "-n", "-r", str(merged), "-T", "fields", "-e", "ip.src", "-e", "tcp.srcport", "-e", "ip.dst",
                               "-e", "tcp.dstport", "-e", "tcp.payload"], check=True, capture_output=True, text=True).stdout
        found = {}
        senders = set(self.sources.values())
        for line in text.splitlines():
            source, source_port, target, target_port, payload = (line.split("\t") + [""] * 5)[:5]
            from_sender = source in senders
            key = (source, int(source_port)) if from_sender else (target, int(target_port))
            sides = found.setdefault(key, (bytearray(), bytearray()))
            sides[0 if from_sender else 1].extend(bytes.fromhex(payload.replace(":", "")))
        return found


def verify(case: Case, transcript, streams):
    """Yields (what is wrong: verdict, code, phase, party, place, notes or words; a message)."""
    breakdown, verdict = transcript["breakdown"], case.verdict or ("breakdown" if case.code else "delivered")
    if transcript["verdict"] != verdict:
        yield "verdict", f"verdict {transcript['verdict']}, not {verdict}: {transcript['summary']}"
    present = [note["code"] for note in transcript["notes"]]
    for wanted in case.notes:
        if wanted not in present:
            yield "notes", f"no note {wanted}, there are {present}"
    if not case.code:
        if breakdown:
            yield "code", f"breakdown {breakdown['code']} where nothing broke: {breakdown['why']}"
        return
    if not breakdown:
        yield "code", f"no breakdown, {case.code} is due"
        return
    for key, wanted in (("code", case.code), ("phase", case.phase), ("party", case.party)):
        if breakdown[key] != wanted:
            yield key, f"{key} {breakdown[key]}, not {wanted}"
    yield from (("words", f"nothing is said under {key}") for key in ("expected", "got", "why", "advice") if not breakdown[key])
    yield from (("place", message) for message in misplaced(case.at, breakdown, transcript, streams))


def misplaced(place, breakdown, transcript, streams):
    """Yields a message if the breakdown does not name the very byte and event of `place`."""
    key = transcript["sender"]["ip"], transcript["sender"]["port"]
    sides = dict(zip(("sender", "gateway"), map(bytes, streams.get(key, (b"", b"")))))
    for side, data in sides.items():
        if transcript["streams"][side]["bytes"] != len(data):
            yield f"{side}: {transcript['streams'][side]['bytes']} bytes by the transcript, {len(data)} in the recording"
    data, offset = sides[place.side], -1
    ends = place.text in ("", "fin", "rst")
    if ends:
        offset = len(data)
    else:
        for _ in range(place.nth):
            offset = data.find(place.text.encode("latin-1"), offset + 1)
        record = place.text[:1] in (ALERT[:1], HELLO[:1])  # of TLS: begins anywhere
        if offset < 0 or (offset and data[offset - 1] != 0x0A and not record):
            yield f"{place.text!r} begins no line that the {place.side} sent: {data[-300:]!r}"
            return
    stream = breakdown["stream"]
    if (stream["from"], stream["offset"]) != (place.side, offset):
        got = sides[stream["from"]][stream["offset"]:stream["offset"] + 60]
        yield f"at {stream['from']} {stream['offset']} {got!r}, not {place.side} {offset} {place.text!r}"
    if place.text == "":
        return
    if breakdown["event"] is None:
        yield "no event is named"
        return
    event = transcript["events"][breakdown["event"]]
    if place.text[:1] in (ALERT[:1], HELLO[:1]):
        if (event["kind"], event["from"], event["offset"]) != ("tls", place.side, offset):
            yield f"event {breakdown['event']} is {event}, not the {place.side}'s record"
    elif ends:
        if (event["kind"], event["from"], event.get("how")) != ("close", place.side, place.text):
            yield f"event {breakdown['event']} is {event}, not the {place.side}'s {place.text}"
    elif event["from"] != place.side or not event.get("text", event.get("head", "")).startswith(place.text.replace("\\", "\\\\")):
        yield f"event {breakdown['event']} is {event['kind']} {event.get('text', '')[:80]!r}, not {place.text!r}"
