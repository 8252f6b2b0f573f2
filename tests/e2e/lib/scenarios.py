"""Reads and plays the scripts in tests/e2e/scenarios/ (their form is described in its README.md)."""
import ast
import asyncio
import signal
from dataclasses import dataclass, field

from lib import peers

STEP_TIMEOUT = 20
USES = {  # what many scenarios have in common: "use hello mail"
    "hello": ["< 220 gw.example ESMTP", "> EHLO mx.sender.example",
              '<"250-gw.example\\r\\n250-PIPELINING\\r\\n250-SIZE 10240000\\r\\n250-CHUNKING\\r\\n250 8BITMIME\\r\\n"'],
    "mail": ["> MAIL FROM:<a@sender.example>", "< 250 2.1.0 Ok"],
    "rcpt": ["> RCPT TO:<b@gw.example>", "< 250 2.1.5 Ok"],
    "data": ["> DATA", "< 354 End data with <CR><LF>.<CR><LF>"],
    "body": ["> Subject: a test", "> ", "> Hello.", "> ."],
    "accepted": ["< 250 2.0.0 Ok: queued as 4F1A2B3C4D"],
    "bye": ["> QUIT", "< 221 2.0.0 Bye", "<.fin", ">.fin"],
    "plain-hello": ["< 220 gw.example ESMTP", "> EHLO mx.sender.example", "< 250 gw.example"],
    "starttls": ["< 220 gw.example ESMTP", "> EHLO mx.sender.example", '<"250-gw.example\\r\\n250 STARTTLS\\r\\n"',
                 "> STARTTLS", "< 220 2.0.0 Ready to start TLS"],
    "client-hello": ['>"\\x16\\x03\\x01\\x00\\x31\\x01\\x00\\x00\\x2d\\x03\\x03aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb'
                     '\\x00\\x00\\x02\\x13\\x01\\x01\\x00\\x00\\x02\\x00\\x00"'],
    "server-hello": ['<"\\x16\\x03\\x03\\x00\\x2c\\x02\\x00\\x00\\x28\\x03\\x03aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb'
                     '\\x00\\x13\\x01\\x00\\x00\\x00"'],
    "certificate": ['<"\\x16\\x03\\x03\\x00\\x07\\x0b\\x00\\x00\\x03\\x00\\x00\\x00"'],
}


@dataclass
class Step:
    side: str              # sender | gateway | "" for what concerns neither
    what: str              # bytes | fin | rst | point | wait | drain
    data: bytes = b""
    seconds: float = 0
    held: bool = False
    marked: bool = False


@dataclass
class Scenario:
    name: str
    verdict: str = ""
    code: str = "-"
    phase: str = ""
    parties: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    gateway: str = "scripted"
    steps: list = field(default_factory=list)

    def point(self):
        """(side, offset, marked step) of the mark; None if there is none."""
        offset = {"sender": 0, "gateway": 0}
        for step in self.steps:
            if step.marked:
                return step.side, offset[step.side], step
            if step.side:
                offset[step.side] += len(step.data)
        return None


def _step(line):
    step = Step("", "bytes", marked=line.startswith("*"))
    line = line[1:] if step.marked else line
    if line[0] in "<>":
        step.side = "gateway" if line[0] == "<" else "sender"
        step.held = line[1:2] == line[0]
        rest = line[2:] if step.held else line[1:]
        if rest.startswith("."):
            word, _, argument = rest[1:].partition(" ")
            if word == "body":
                row = b"The quick brown fox jumps over the lazy dog, again and again.\r\n"
                step.data = (row * (int(argument) // len(row) + 1))[:int(argument)]
            elif word in ("fin", "rst", "point"):
                step.what = word
            else:
                raise ValueError(f"unknown step: {line}")
        elif rest.startswith('"'):
            step.data = ast.literal_eval("b" + rest)
        elif rest in ("", " ") or rest.startswith(" "):
            step.data = rest[1:].encode() + b"\r\n"
        else:
            raise ValueError(f"unknown step: {line}")
    else:
        word, _, argument = line[1:].partition(" ")
        step.what, step.seconds = word, float(argument or 0)
        if line[0] != "." or word not in ("wait", "drain"):
            raise ValueError(f"unknown step: {line}")
    return step


def load(folder):
    scenarios = []
    for path in sorted(folder.glob("*.txt")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            word, _, rest = line.partition(" ")
            try:
                if not line.strip() or line.startswith("#"):
                    continue
                if word == "scenario":
                    scenarios.append(Scenario(f"{path.stem}/{rest}"))
                elif word == "expect":
                    fields = rest.split()
                    scenarios[-1].verdict = fields[0]
                    if fields[0] == "breakdown":
                        scenarios[-1].code, scenarios[-1].phase = fields[1], fields[2]
                        scenarios[-1].parties = fields[3].split("|")
                elif word == "note":
                    scenarios[-1].notes.append(rest)
                elif word == "use":
                    scenarios[-1].steps += [_step(line) for name in rest.split() for line in USES[name]]
                elif word == "gateway":
                    scenarios[-1].gateway = rest
                else:
                    scenarios[-1].steps.append(_step(line))
            except (ValueError, IndexError, KeyError, SyntaxError) as error:
                raise ValueError(f"{path}:{number}: {error}") from None
    names = [scenario.name for scenario in scenarios]
    assert len(set(names)) == len(names), "two scenarios of one name"
    for scenario in scenarios:
        assert scenario.verdict, f"{scenario.name}: expects nothing"
        assert scenario.verdict != "breakdown" or scenario.point(), f"{scenario.name}: marks no point"
    return scenarios


async def play(scenario, scope, gateway, source):
    """Plays it; gives back the sender's address. With no gateway behind the proxy the sender just waits for its end."""
    if scenario.gateway != "scripted":
        sender = peers.Peer(await peers.connect(scope.port, source, scope.host))
        address = sender.sock.getsockname()
        for step in scenario.steps:
            if step.what == "wait":
                await asyncio.sleep(step.seconds)
        assert await sender.wait_close(STEP_TIMEOUT) == "reset", f"sender saw {sender.saw} where no gateway answers"
        sender.close()
        return address
    sender, receiver, address = await peers.pair(scope.port, gateway, source, scope.host)
    sides = {"sender": (sender, receiver), "gateway": (receiver, sender)}
    total, held = {"sender": 0, "gateway": 0}, {"sender": b"", "gateway": b""}
    try:
        for step in scenario.steps:
            here, there = sides.get(step.side, (None, None))
            if step.what == "wait":
                await asyncio.sleep(step.seconds)
            elif step.what == "drain":
                scope.signal(signal.SIGTERM)
                for peer in (sender, receiver):
                    assert await peer.wait_close(STEP_TIMEOUT), "the proxy did not close what was left"
            elif step.what == "fin":
                here.fin()
                assert await there.wait_close(STEP_TIMEOUT) == "eof", f"{step.side}'s FIN came through as {there.saw}"
            elif step.what == "rst":
                here.reset()
                assert await there.wait_close(STEP_TIMEOUT) == "reset", f"{step.side}'s RST came through as {there.saw}"
            elif step.what == "bytes":
                held[step.side] += step.data
                total[step.side] += len(step.data)
                if not step.held:
                    await here.send(held[step.side])
                    held[step.side] = b""
                    if not there.saw and not there.closed:
                        assert await there.wait(total[step.side], STEP_TIMEOUT), f"bytes of {step.side} did not arrive"
        for peer in (sender, receiver):  # what the script left open ends well
            if not peer.closed and peer.saw != "reset" and not any(
                    s.what == "fin" and sides[s.side][0] is peer for s in scenario.steps if s.side):
                peer.fin()
        for peer in (sender, receiver):
            if not peer.closed:
                await peer.wait_close(STEP_TIMEOUT)
    finally:
        sender.close()
        receiver.close()
    return address


def compare(scenario, transcript):
    """Yields a message for each way in which the transcript is not what the scenario expects."""
    breakdown = transcript["breakdown"]
    if transcript["verdict"] != scenario.verdict:
        yield f"verdict {transcript['verdict']}, expected {scenario.verdict}; {transcript['summary']}"
    if scenario.verdict != "breakdown" and breakdown:
        yield f"breakdown {breakdown['code']} where nothing broke: {breakdown['why']}"
    notes = [note["code"] for note in transcript["notes"]]
    for wanted in scenario.notes:
        if wanted not in notes:
            yield f"note {wanted} is missing, there are {notes}"
    if scenario.verdict != "breakdown" or not breakdown:
        return
    if scenario.code not in ("-", breakdown["code"]):
        yield f"code {breakdown['code']}, expected {scenario.code}"
    if breakdown["phase"] not in scenario.phase.split("|"):
        yield f"{breakdown['code']}: phase {breakdown['phase']}, expected {scenario.phase}"
    if breakdown["party"] not in scenario.parties:
        yield f"{breakdown['code']}: party {breakdown['party']}, expected {'|'.join(scenario.parties)}"
    for key in ("expected", "got", "why", "advice"):
        if not breakdown[key]:
            yield f"{breakdown['code']}: nothing is said under {key}"
    side, offset, step = scenario.point()
    place = breakdown["stream"]
    if (place["from"], place["offset"]) != (side, offset):
        yield f"{breakdown['code']}: at {place['from']} {place['offset']}, expected {side} {offset}"
    if step.what == "point":
        return
    if breakdown["event"] is None:
        yield f"{breakdown['code']}: names no event"
        return
    event = transcript["events"][breakdown["event"]]
    if step.what == "bytes":
        text = step.data.rstrip(b"\r\n").decode("latin-1")
        said = event.get("text", event.get("head", ""))
        if text.isascii() and text.isprintable() and not said.startswith(text.replace("\\", "\\\\")):
            yield f"{breakdown['code']}: event {breakdown['event']} is {event['kind']} {said[:60]!r}, expected {text[:60]!r}"
    elif event["kind"] != "close" or event["from"] != side or event["how"] != step.what:
        yield f"{breakdown['code']}: event {breakdown['event']} is {event}, expected {side}'s {step.what}"
