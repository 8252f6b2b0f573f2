#!/usr/bin/env python3
"""What the proxy finds out besides the bytes: its timed reverse look-ups while a greeting is late, the sender's SYN, and the
state of the TCP legs when a message stalls. A name server of our own answers as each sender's address asks for; the gateway
asks it before it greets, as real ones do.
"""
import asyncio
import json
import socket
import struct
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import command_line, peers, store  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402

PTR, A = 12, 1


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


class NameServer(asyncio.DatagramProtocol):
    """`names`: {address: (name, seconds)}, `addresses`: {name: (address, seconds)}; what is not there does not exist."""

    def __init__(self, names, addresses):
        self.names, self.addresses, self.asked, self.transport, self.port = names, addresses, [], None, None

    async def start(self):
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        return self

    def datagram_received(self, data, addr):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        kind = struct.unpack(">H", data[at + 1:at + 3])[0]
        name = ".".join(labels).lower()
        question = data[12:at + 5]
        answer, delay, rdata = None, 0.0, b""
        if kind == PTR:
            answer, delay = self.names.get(".".join(reversed(labels[:4])), (None, 0.0))
            rdata = encoded(answer) if answer else b""
        elif kind == A:
            answer, delay = self.addresses.get(name, (None, 0.0))
            rdata = socket.inet_aton(answer) if answer else b""
        self.asked.append((name, kind))
        head = data[:2] + struct.pack(">HHHHH", 0x8180 if answer else 0x8183, 1, 1 if answer else 0, 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(rdata)) + rdata if answer else b""
        asyncio.get_running_loop().call_later(delay, self.transport.sendto, head + question + record, addr)


async def ask(port, name, kind):
    """A look-up as the gateway makes it: waits for the answer however long it takes."""
    done = asyncio.get_running_loop().create_future()

    class Query(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            if not done.done():
                done.set_result(data)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Query, remote_addr=("127.0.0.1", port))
    transport.sendto(b"\x12\x34" + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + encoded(name) + struct.pack(">HH", kind, 1))
    try:
        await done
    finally:
        transport.close()


def reverse(ip):
    return ".".join(reversed(ip.split("."))) + ".in-addr.arpa"


class Stage:
    def __init__(self, options, scope, gateway, names):
        self.options, self.scope, self.gateway, self.names, self.seen = options, scope, gateway, names, {}

    async def pair(self, ip):
        sender, gate, address = await peers.pair(self.scope.port, self.gateway, ip)
        self.seen[ip] = address[:2]
        return sender, gate


async def exchange(sender, gate, line, reply):
    arrived, had = len(gate.received) + len(line), len(sender.received) + len(reply)
    await sender.send(line)
    assert await gate.wait(arrived, 10)
    await gate.send(reply)
    assert await sender.wait(had, 10)


async def delivered(sender, gate):
    for line, reply in ((b"EHLO a.example\r\n", b"250 gw\r\n"), (b"MAIL FROM:<a@a.example>\r\n", b"250 ok\r\n"),
                        (b"RCPT TO:<b@gw.example>\r\n", b"250 ok\r\n"), (b"DATA\r\n", b"354 go\r\n"),
                        (b"Subject: x\r\n\r\nx\r\n.\r\n", b"250 2.0.0 Ok: queued as 1A\r\n"), (b"QUIT\r\n", b"221 bye\r\n")):
        await exchange(sender, gate, line, reply)
    sender.fin()
    gate.fin()


async def slow_name(stage, ip):
    """The name server answers after 35 s, the gateway waits for it, the sender leaves at 30 s."""
    sender, gate = await stage.pair(ip)
    waiting = asyncio.create_task(ask(stage.names.port, reverse(ip), PTR))
    await asyncio.sleep(30)
    sender.fin()
    gate.fin()
    waiting.cancel()

    def check(t):
        b = t["breakdown"]
        assert b and b["code"] == "banner-slow-dns" and b["party"] == "dns" and b["phase"] == "banner", b
        assert "30" in b["why"] and ip in b["why"], b["why"]
        assert t["sender"]["ptr"]["status"] in ("pending", "timeout") and t["sender"]["ptr"]["lookup_ms"] > 20000, t["sender"]
    return check


async def slow_for_another_reason(stage, ip):
    """The same delay with DNS that works: not put down to DNS."""
    sender, gate = await stage.pair(ip)
    await asyncio.sleep(30)
    sender.fin()
    gate.fin()

    def check(t):
        assert t["breakdown"]["code"] == "banner-sender-gave-up", t["breakdown"]
        assert not any("dns" in n["code"] or "ptr" in n["code"] for n in t["notes"]), t["notes"]
        ptr = t["sender"]["ptr"]
        assert ptr["status"] == "ok" and ptr["verified"] and ptr["name"] == "good.sender.example", ptr
        assert ptr["lookup_ms"] < 2000 and ptr["forward_status"] == "ok", ptr
    return check


async def slow_addresses(stage, ip):
    """The name comes at once, its addresses do not."""
    sender, gate = await stage.pair(ip)
    await asyncio.sleep(12)
    sender.fin()
    gate.fin()

    def check(t):
        assert t["breakdown"]["code"] == "banner-slow-dns", t["breakdown"]
        assert "slowforward.sender.example" in t["breakdown"]["why"], t["breakdown"]["why"]
        assert t["sender"]["ptr"]["forward_status"] in ("pending", "timeout"), t["sender"]
    return check


async def slow_name_greeted(stage, ip):
    """The name takes 4 s, the greeting comes after 6 s and the mail is delivered: a note says why it was slow."""
    sender, gate = await stage.pair(ip)
    asking = asyncio.create_task(ask(stage.names.port, reverse(ip), PTR))
    await asyncio.sleep(6)
    await asking
    await gate.send(b"220 gw.example ESMTP\r\n")
    assert await sender.wait(22, 10)
    await delivered(sender, gate)

    def check(t):
        assert t["verdict"] == "delivered", t["summary"]
        seen = [n for n in t["notes"] if n["code"] == "banner-slow-dns-seen"]
        assert seen and seen[0]["party"] == "dns" and ip in seen[0]["why"], t["notes"]
    return check


async def no_name(stage, ip):
    """No name at all, said at once; the greeting comes after 6 s and the mail is delivered."""
    sender, gate = await stage.pair(ip)
    await asyncio.sleep(6)
    await gate.send(b"220 gw.example ESMTP\r\n")
    assert await sender.wait(22, 10)
    await delivered(sender, gate)

    def check(t):
        assert t["verdict"] == "delivered", t["summary"]
        codes = [n["code"] for n in t["notes"]]
        assert codes == ["banner-slow", "sender-without-ptr"] or codes == ["sender-without-ptr", "banner-slow"], codes
        assert t["sender"]["ptr"]["status"] == "nxdomain" and not t["sender"]["ptr"]["verified"], t["sender"]
    return check


async def prompt(stage, ip):
    """A greeting in time: nobody is asked, and the transcript says so."""
    sender, gate = await stage.pair(ip)
    await gate.send(b"220 gw.example ESMTP\r\n")
    assert await sender.wait(22, 10)
    await delivered(sender, gate)

    def check(t):
        assert t["verdict"] == "delivered" and not t["notes"], t["notes"]
        assert t["sender"]["ptr"] is None
        assert not any(name.startswith(reverse(ip)) for name, _ in stage.names.asked)
        syn = t["transport"]["syn"]
        assert syn["mss"] > 1000 and 1 <= syn["ttl"] <= 255 and syn["sack"] in (True, False), syn
    return check


async def gateway_stops_reading(stage, ip):
    """The gateway takes DATA and then reads no more; the sender fills all buffers, waits and leaves."""
    sender, gate = await stage.pair(ip)
    await gate.send(b"220 gw.example ESMTP\r\n")
    assert await sender.wait(22, 10)
    for line, reply in ((b"EHLO a.example\r\n", b"250 gw\r\n"), (b"MAIL FROM:<a@a.example>\r\n", b"250 ok\r\n"),
                        (b"RCPT TO:<b@gw.example>\r\n", b"250 ok\r\n"), (b"DATA\r\n", b"354 go\r\n")):
        await exchange(sender, gate, line, reply)
    gate.pause()
    try:
        await asyncio.wait_for(sender.send(b"x" * 70 + b"\r\n" + (b"y" * 72 + b"\r\n") * 400_000), 4)
    except asyncio.TimeoutError:
        pass
    await asyncio.sleep(8)
    sender.reset()
    gate.resume()
    await asyncio.sleep(1)
    gate.fin()

    def check(t):
        b = t["breakdown"]
        assert b and b["code"] == "gateway-stops-reading" and b["party"] == "gateway" and b["phase"] == "body", b
        assert t["transport"]["samples"], "no sample of the legs"
    return check


CASES = {"127.0.9.1": slow_name, "127.0.9.2": slow_for_another_reason, "127.0.9.3": slow_addresses, "127.0.9.4": no_name,
         "127.0.9.5": prompt, "127.0.9.6": gateway_stops_reading, "127.0.9.7": slow_name_greeted}
NAMES = {"127.0.9.1": ("slow.sender.example", 35.0), "127.0.9.2": ("good.sender.example", 0.01),
         "127.0.9.3": ("slowforward.sender.example", 0.01), "127.0.9.7": ("late.sender.example", 4.0)}
ADDRESSES = {"good.sender.example": ("127.0.9.2", 0.01), "slowforward.sender.example": ("127.0.9.3", 35.0),
             "late.sender.example": ("127.0.9.7", 0.01)}


async def run(options, folder):
    names = await NameServer(NAMES, ADDRESSES).start()
    gateway = peers.Gateway()
    config = folder / "config.jsonc"
    config.write_text(json.dumps({"listeners": [{"address": "127.0.0.1:2525"}],
                                  "gateway": {"address": "127.0.0.1:2526", "present": "proxy"},
                                  "dns": {"resolver": f"127.0.0.1:{names.port}"}}))
    scope = Smtpscope(options.binary, gateway.port, folder / "store", ("--config", str(config))).start()
    stage = Stage(options, scope, gateway, names)
    chosen = {ip: case for ip, case in CASES.items() if options.only in case.__name__}
    failures = 0
    try:
        results = await asyncio.gather(*(case(stage, ip) for ip, case in chosen.items()), return_exceptions=True)
        transcripts = store.by_sender(await asyncio.to_thread(store.wait_transcripts, scope.store, len(chosen), 15))
        validator = store.Validator(options.source)
        for (ip, case), check in zip(chosen.items(), results):
            try:
                if isinstance(check, BaseException):
                    raise check
                transcript = transcripts[stage.seen[ip]]
                validator.check(transcript)
                check(transcript)
                again = json.loads((await asyncio.to_thread(scope.cli, "show", transcript["id"], "--store", scope.store,
                                                     "--format", "json"))[1])
                assert again["sender"] == transcript["sender"] and again["transport"] == transcript["transport"]
                print(f"ok      {case.__name__}")
            except (AssertionError, OSError, asyncio.TimeoutError, KeyError, TypeError) as error:
                failures += 1
                print(f"FAILED: {case.__name__}: {error!r}"[:3000])
        # What the recording says is what the transcript says.
        for path in store.recordings(scope.store):
            for line in (await asyncio.to_thread(scope.cli, "show", path, "--format", "json"))[1].splitlines():
                replayed = json.loads(line)
                live = transcripts[(replayed["sender"]["ip"], replayed["sender"]["port"])]
                if replayed["sender"] != live["sender"] or replayed["breakdown"] != live["breakdown"]:
                    failures += 1
                    print(f"FAILED: {path.parent.name}: the recording gives another transcript")
            store.check_recording(path)
        await asyncio.to_thread(scope.stop)
    finally:
        scope.kill()
        gateway.close()
        names.transport.close()
    print(f"summary: evidence: {len(chosen)} cases, {failures} failed")
    return 1 if failures else 0


def main():
    options = command_line.parser(__doc__, only=True).parse_args()
    with tempfile.TemporaryDirectory(prefix="smtpscope-evidence.") as folder:
        sys.exit(asyncio.run(run(options, Path(folder))))


if __name__ == "__main__":
    main()
