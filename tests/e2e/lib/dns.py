"""A name server for tests, on UDP and TCP of one port of loopback. Its zone may change at any time.

zone[name, type] = Records([...], ttl=, delay=, big=): `delay` seconds before the answer, `big` has it ask again over TCP;
or SERVFAIL, REFUSED (an answer of that kind), or DROP (none). A name without any record does not exist.
"""
import asyncio
import ipaddress
import struct

A, CNAME, PTR, MX, TXT, AAAA = 1, 5, 12, 15, 16, 28
SERVFAIL, REFUSED, DROP = "servfail", "refused", "drop"


class Records:
    def __init__(self, *data, ttl=300, delay=0.0, big=False):
        self.data, self.ttl, self.delay, self.big = data, ttl, delay, big


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def rdata(kind, data):
    if kind in (A, AAAA):
        return ipaddress.ip_address(data).packed
    if kind == MX:
        preference, name = data
        return struct.pack(">H", preference) + wire(name)
    if kind == TXT:
        raw = data.encode()
        return b"".join(bytes([len(raw[i:i + 255])]) + raw[i:i + 255] for i in range(0, len(raw), 255))
    return wire(data)


def reverse(ip):
    return ipaddress.ip_address(ip).reverse_pointer


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, zone):
        self.zone, self.asked, self.tcp_asked = zone, [], 0
        self.transport = self.server = self.port = None

    async def start(self):
        loop = asyncio.get_running_loop()
        while True:
            self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
            self.port = self.transport.get_extra_info("sockname")[1]
            try:
                self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
                return self
            except OSError:
                self.transport.close()

    def close(self):
        self.transport.close()
        self.server.close()

    def _answer(self, query, tcp):
        """(answer or None, delay)"""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        name, question = ".".join(labels).lower(), query[12:at + 5]
        self.asked.append((name, kind))
        records, count, delay, owner = b"", 0, 0.0, name
        for _ in range(8):
            found = self.zone.get((owner, kind), self.zone.get((owner, CNAME)))
            if found is None:
                break
            if found == DROP:
                return None, 0
            if found in (SERVFAIL, REFUSED):
                code = 2 if found == SERVFAIL else 5
                return query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 0, 0, 0) + question, 0
            delay = max(delay, found.delay)
            if found.big and not tcp:
                return query[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + question, delay
            of = kind if (owner, kind) in self.zone else CNAME
            for data in found.data:
                packed = rdata(of, data)
                records += wire(owner) + struct.pack(">HHIH", of, 1, found.ttl, len(packed)) + packed
                count += 1
            if of == kind:
                break
            owner = found.data[0]
        there = any(known == owner for known, _ in self.zone)
        head = query[:2] + struct.pack(">HHHHH", 0x8180 if there else 0x8183, 1, count, 0, 0)
        return head + question + records, delay

    def datagram_received(self, data, addr):
        answer, delay = self._answer(data, tcp=False)
        if answer is not None:
            asyncio.get_running_loop().call_later(delay, self._send, answer, addr)

    def _send(self, answer, addr):
        if not self.transport.is_closing():
            self.transport.sendto(answer, addr)

    async def _serve(self, reader, writer):
        try:
            while True:
                size = struct.unpack(">H", await reader.readexactly(2))[0]
                answer, delay = self._answer(await reader.readexactly(size), tcp=True)
                self.tcp_asked += 1
                if answer is not None:
                    await asyncio.sleep(delay)
                    writer.write(struct.pack(">H", len(answer)) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
