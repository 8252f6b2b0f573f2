"""Sessions out of foreign captures: tshark takes the packets apart, this puts each direction's bytes in order.

load(path) gives Session objects in the order of their first packets. `turns` is [(side, bytes)] in order of arrival, runs of
one side joined only where nothing of the other side stands between; `closes` is [(side, "fin" | "rst")] in order.
"""
import subprocess
from dataclasses import dataclass, field

FIELDS = ("tcp.stream", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw",
          "tcp.flags", "tcp.len", "tcp.payload")
FIN, SYN, RST, ACK = 1, 2, 4, 16


@dataclass
class _Direction:
    next: int = None          # sequence number of the next byte that the receiver lacks
    waiting: dict = field(default_factory=dict)
    gap: int = 0


@dataclass
class Session:
    ends: dict = field(default_factory=dict)   # "sender" and "gateway": "ip:port"
    turns: list = field(default_factory=list)
    closes: list = field(default_factory=list)
    gaps: dict = field(default_factory=dict)
    _directions: dict = field(default_factory=dict)

    def bytes_of(self, side):
        return b"".join(data for who, data in self.turns if who == side)

    def _deliver(self, side, skip_to=None):
        flow = self._directions[side]
        while flow.waiting:
            first = min(flow.waiting, key=lambda seq: (seq - flow.next + 2**31) % 2**32)
            ahead = (first - flow.next + 2**31) % 2**32 - 2**31
            if ahead > 0:
                if skip_to is None or (skip_to - first) % 2**32 > 2**31 or skip_to == first:
                    return
                flow.gap, flow.next, ahead = flow.gap + ahead, first, 0  # the receiver has it, the capture has not
            data = flow.waiting.pop(first)[-ahead:] if ahead else flow.waiting.pop(first)
            if data:
                flow.next = (flow.next + len(data)) % 2**32
                self.turns.append((side, data))

    def _packet(self, side, seq, ack, flags, data):
        other = "gateway" if side == "sender" else "sender"
        flow = self._directions.setdefault(side, _Direction())
        if flow.next is None:
            flow.next = (seq + (1 if flags & SYN else 0)) % 2**32
        if flags & ACK and other in self._directions and self._directions[other].next is not None:
            self._deliver(other, skip_to=ack)
        if data and len(data) >= len(flow.waiting.get(seq, b"")):
            flow.waiting[seq] = data
        self._deliver(side)
        for bit, how in ((FIN, "fin"), (RST, "rst")):
            if flags & bit and (side, how) not in self.closes:
                self.closes.append((side, how))

    def _finish(self):
        for side in self._directions:
            while self._directions[side].waiting:
                last = max(self._directions[side].waiting, key=lambda seq: (seq - self._directions[side].next) % 2**32)
                self._deliver(side, skip_to=(last + 1) % 2**32)
        self.gaps = {side: flow.gap for side, flow in self._directions.items()}


def load(path):
    done = subprocess.run(["tshark", "-n", "-r", str(path), "-Y", "tcp", "-o", "tcp.desegment_tcp_streams:FALSE", "-T", "fields",
                           *[word for name in FIELDS for word in ("-e", name)]], capture_output=True, text=True, check=False)
    sessions = {}
    for line in done.stdout.splitlines():
        stream, src4, src6, sport, dst4, dst6, dport, seq, ack, flags, length, payload = line.split("\t")
        source, target = f"{(src4 or src6).split(',')[-1]}:{sport}", f"{(dst4 or dst6).split(',')[-1]}:{dport}"
        session = sessions.setdefault(stream, Session())
        flags = int(flags.split(",")[-1], 16)
        if not session.ends:
            from_sender = not flags & ACK if flags & SYN else int(sport) > int(dport)
            session.ends = {"sender": source, "gateway": target} if from_sender else {"sender": target, "gateway": source}
        side = "sender" if session.ends["sender"] == source else "gateway"
        data = bytes.fromhex(payload.replace(":", "")) if int(length or 0) else b""
        session._packet(side, int(seq), int(ack or 0), flags, data)
    assert sessions, f"{path}: no TCP session; {done.stderr}"
    for session in sessions.values():
        session._finish()
    return list(sessions.values())
