"""Random scripts for both sides of a session: what is sent, in which pieces, when, and how it ends.

make(seed, size_limit) gives a Script; the same seed gives the same script. Ops of a side, done in order:
  ("wait", n)      until n bytes of the other side have arrived, or it has ended
  ("eof",)         until the other side's FIN has arrived
  ("send", b, cuts)  in pieces cut at `cuts`
  ("sleep", s)  ("pause", s)  pause: does not read for s seconds, while the script goes on
  ("fin",)  ("rst",)  ("close",)   close: without looking at what is unread
"""
import base64
import random
from dataclasses import dataclass, field


@dataclass
class Script:
    kind: str
    ending: str                      # graceful | reset | close | hit-and-run
    ops: dict = field(default_factory=dict)   # "sender" and "gateway"
    ender: str = "sender"            # who resets or closes
    secrets: bool = False            # holds an AUTH exchange: the recording differs from the wire by masks


def _cuts(rng, size):
    how = rng.random()
    if size < 2 or how < 0.45:
        return []
    if how < 0.55 and size <= 200:
        return list(range(1, size))
    return sorted({rng.randrange(1, size) for _ in range(rng.randint(1, 4))})


def _word(rng, most=12):
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(rng.randint(1, most)))


def _body(rng, size_limit):
    size = rng.choice([0, rng.randint(1, 400), rng.randint(400, 6000), rng.randint(1000, size_limit)])
    lines = [f"Subject: {_word(rng)}", f"From: {_word(rng)}@a.example", ""]
    while sum(map(len, lines)) < size:
        lines.append(rng.choice(["." * rng.randint(1, 3), "", "x" * rng.randint(1, 990), "\u00e9t\u00e9 " * rng.randint(1, 20),
                                 _word(rng), "y" * rng.randint(900, 3000) if rng.random() < 0.1 else "z"]))
    end = rng.choice(["\r\n"] * 8 + ["\n", "\r"])
    text = end.join("." + line if line.startswith(".") else line for line in lines).encode() + end.encode()
    if rng.random() < 0.1:  # what looks like an end of data to some server
        text += rng.choice([b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n\x00.\r\n"]) + b"MAIL FROM:<x@y>\r\n"
    return text + (b"" if text.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def _reply(rng, code, most_lines=1):
    lines = rng.randint(1, most_lines)
    end = b"\r\n" if rng.random() < 0.97 else b"\n"
    return b"".join(f"{code}{'-' if n + 1 < lines else ' '}{_word(rng)} {_word(rng)}".encode() + end for n in range(lines))


def _dialogue(rng, size_limit, script):
    """Turns (side, bytes) of something like SMTP, with mistakes on both sides."""
    turns = [("gateway", _reply(rng, rng.choice([220] * 9 + [554, 421]), 3))]
    turns += [("sender", f"EHLO {_word(rng)}\r\n".encode()), ("gateway", _reply(rng, rng.choice([250] * 9 + [502]), 9))]
    if rng.random() < 0.08:
        script.secrets = True
        secret = base64.b64encode(f"\0{_word(rng)}\0{_word(rng)}".encode())
        turns += [("sender", b"AUTH PLAIN " + secret + b"\r\n"), ("gateway", _reply(rng, rng.choice([235, 535])))]
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        group = [f"MAIL FROM:<{_word(rng)}@{_word(rng)}.example>\r\n".encode()]
        group += [f"RCPT TO:<{_word(rng)}@{_word(rng)}.example>\r\n".encode() for _ in range(rng.choice([1, 1, 1, 2, 5]))]
        pipelined = rng.random() < 0.4
        answers = [_reply(rng, rng.choice([250] * 6 + [550, 451])) for _ in group]
        if rng.random() < 0.2 and not pipelined:
            chunk = rng.randbytes(rng.randint(0, 3000))
            group.append(b"BDAT %d LAST\r\n" % len(chunk) + chunk)
            answers.append(_reply(rng, 250))
        else:
            group.append(b"DATA\r\n")
            answers.append(_reply(rng, rng.choice([354] * 8 + [503, 451])))
        if pipelined:
            turns += [("sender", b"".join(group)), ("gateway", b"".join(answers))]
        else:
            for command, answer in zip(group, answers):
                turns += [("sender", command), ("gateway", answer)]
        if not group[-1].startswith(b"BDAT"):
            turns += [("sender", _body(rng, size_limit)), ("gateway", _reply(rng, rng.choice([250] * 6 + [550, 452])))]
        if rng.random() < 0.15:
            turns += [("sender", rng.choice([b"RSET\r\n", b"NOOP\r\n", b"vrfy x\n", b"\r\n", rng.randbytes(20) + b"\r\n"])),
                      ("gateway", _reply(rng, rng.choice([250, 500])))]
    if rng.random() < 0.7:
        turns += [("sender", b"QUIT\r\n"), ("gateway", _reply(rng, 221))]
    return turns


def _ops_of_turns(rng, turns, hasty):
    """Each side waits for what came before its turn; a hasty session leaves out some of the waits."""
    ops, total = {"sender": [], "gateway": []}, {"sender": 0, "gateway": 0}
    for side, data in turns:
        other = "gateway" if side == "sender" else "sender"
        if not (hasty and rng.random() < 0.5):
            ops[side].append(("wait", total[other]))
        if rng.random() < 0.05:
            ops[side].append(("sleep", rng.random() * 0.05))
        ops[side].append(("send", data, _cuts(rng, len(data))))
        total[side] += len(data)
    return ops


def _noise(rng, size_limit):
    """Bytes that are no SMTP at all, from both sides at once."""
    ops = {}
    for side in ("sender", "gateway"):
        ops[side] = []
        for _ in range(rng.randint(0, 8)):
            how = rng.random()
            if how < 0.5:
                data = rng.randbytes(rng.randint(1, rng.choice([20, 2000, size_limit])))
            elif how < 0.75:  # very long lines
                data = bytes([rng.choice(b"aA0. \x00\xff")]) * rng.randint(500, 40000) + rng.choice([b"\r\n", b"\n", b"\r", b""])
            else:
                data = rng.choice([b"\r\n", b".\r\n", b"250 ok\r\n", b"DATA\r\n", b"\x16\x03\x01\x02\x00", b"\r\n.\r\n", b"\0"])
            ops[side].append(("send", data, _cuts(rng, len(data))))
            if rng.random() < 0.15:
                ops[side].append(("sleep", rng.random() * 0.03))
    return ops


def _bulk(rng):
    """More than the kernel's buffers hold, towards a peer that does not read for a while."""
    big = rng.choice(["sender", "gateway"])
    other = "gateway" if big == "sender" else "sender"
    line = rng.randbytes(60).hex().encode() + b"\r\n"
    data = line * (rng.randint(600_000, 6_000_000) // len(line))
    return {big: [("send", data, [])], other: [("pause", 0.1 + rng.random() * 0.4), ("sleep", 0.6),
                                              ("send", b"250 ok\r\n" * rng.randint(0, 50), [])]}


def make(seed, size_limit=20000):
    rng = random.Random(seed)
    script = Script("", "graceful")
    what = rng.random()
    if what < 0.62:
        script.kind = "smtp"
        turns = _dialogue(rng, size_limit, script)
        script.ops = _ops_of_turns(rng, turns, hasty=rng.random() < 0.25)
    elif what < 0.97:
        script.kind = "noise"
        script.ops = _noise(rng, size_limit)
    else:
        script.kind = "bulk"
        script.ops = _bulk(rng)

    how = rng.random()
    script.ender = rng.choice(["sender", "gateway"])
    other = "gateway" if script.ender == "sender" else "sender"
    if how < 0.60:  # either side ends its stream when it has sent all
        for side in script.ops:
            script.ops[side].append(("fin",))
    elif how < 0.75:  # half-close: the other side goes on only after the FIN has come through
        script.ops[script.ender].append(("fin",))
        late = rng.randbytes(rng.randint(1, 3000))
        at = rng.randint(0, len(script.ops[other]))
        keep = [op for op in script.ops[script.ender] if op[0] != "wait"]
        script.ops[script.ender] = keep  # or both would wait for ever
        script.ops[other][at:at] = [("eof",), ("send", late, _cuts(rng, len(late)))]
        script.ops[other].append(("fin",))
        script.kind += "+half-close"
    elif how < 0.92:
        script.ending = "reset"
        ops = script.ops[script.ender]
        script.ops[script.ender] = ops[:rng.randint(0, len(ops))] + [("rst",)]
        script.ops[other].append(("fin",) if rng.random() < 0.5 else ("eof",))
    elif how < 0.97:
        script.ending = "close"
        ops = script.ops[script.ender]
        script.ops[script.ender] = ops[:rng.randint(0, len(ops))] + [("close",)]
        script.ops[other].append(("fin",))
    else:
        script.kind, script.ending, script.ender = "hit-and-run", "hit-and-run", "sender"
        script.ops = {"sender": [(rng.choice(["rst", "close"]),)], "gateway": [("eof",), ("fin",)]}
    return script
