"""Captures put together packet by packet: a pcap of raw IPv4, little-endian, microseconds. Checksums are left at zero, as
captures on sending hosts have them.

    capture = Capture()
    session = capture.connection(("192.0.2.1", 41000), ("198.51.100.25", 25), at)
    session.say("gateway", b"220 gw.example ESMTP\\r\\n", at + 0.1)
    session.end(at + 1)
"""
import socket
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101)
EPOCH = 1_764_000_000
_IP = struct.Struct(">BBHHHBBH4s4s")
_TCP = struct.Struct(">HHIIBBHHH")
_RECORD = struct.Struct("<IIII")


def packet(source, target, sequence, acknowledged, flags, at, payload=b""):
    """One record: `source` and `target` are (4 bytes of address, port), `at` seconds since the captures' epoch."""
    length = 40 + len(payload)
    seconds = int(at)
    return (_RECORD.pack(EPOCH + seconds, int((at - seconds) * 1_000_000), length, length)
            + _IP.pack(0x45, 0, length, 0, 0, 64, 6, 0, source[0], target[0])
            + _TCP.pack(source[1], target[1], sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, 0x50, flags, 65535, 0, 0) + payload)


def _packed(end):
    return socket.inet_aton(end[0]), end[1]


class Capture:
    def __init__(self):
        self.records = []  # (time, bytes), in order of time once they are written

    def connection(self, sender, gateway, at):
        return Connection(self, _packed(sender), _packed(gateway), at)

    def add(self, at, record):
        self.records.append((at, record))

    def syn(self, source, target, at):
        self.add(at, packet(_packed(source), _packed(target), 1000, 0, SYN, at))

    def reset(self, source, target, at):
        self.add(at, packet(_packed(source), _packed(target), 0, 1001, RST | ACK, at))

    def sorted(self):
        return sorted(self.records, key=lambda record: record[0])

    def bytes(self):
        return HEADER + b"".join(data for _, data in self.sorted())


class Connection:
    """A TCP connection whose segments all arrive; the handshake takes a millisecond."""

    def __init__(self, capture, sender, gateway, at):
        self.capture, self.ends = capture, {"sender": sender, "gateway": gateway}
        self.next = {"sender": 5000, "gateway": 9000}
        self._add("sender", SYN, at)
        self._add("gateway", SYN | ACK, at + 0.0005)
        self._add("sender", ACK, at + 0.001)

    def _add(self, who, flags, at, payload=b""):
        other = "gateway" if who == "sender" else "sender"
        acknowledged = self.next[other] if flags & ACK else 0
        self.capture.add(at, packet(self.ends[who], self.ends[other], self.next[who], acknowledged, flags, at, payload))
        self.next[who] += len(payload) + (1 if flags & (SYN | FIN) else 0)

    def say(self, who, data, at):
        for start in range(0, len(data), 1448):
            self._add(who, PSH | ACK, at, data[start:start + 1448])

    def end(self, at, first="gateway"):
        other = "sender" if first == "gateway" else "gateway"
        self._add(first, FIN | ACK, at)
        self._add(other, FIN | ACK, at + 0.001)
        self._add(first, ACK, at + 0.002)
