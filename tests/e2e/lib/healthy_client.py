"""A sender that does what RFC 5321 and its extensions allow, on a plain socket, and counts what the gateway took."""
import socket
import time

HELO = "mx.sender.example"
TIMEOUT = 60


class Unhealthy(Exception):
    """The gateway did what no healthy session has: the session is no test of smtpscope then, and counts as failed."""


class Client:
    def __init__(self, host, port, source):
        self.sock = socket.create_connection((host, port), timeout=TIMEOUT, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.sock.makefile("rb")
        self.address = self.sock.getsockname()[:2]
        self.offers, self.taken = {}, 0

    def reply(self, *allowed):
        """The next reply's code; Unhealthy if its first digit is none of `allowed`."""
        lines = []
        while True:
            line = self.stream.readline()
            if not line:
                raise Unhealthy(f"the gateway left where a reply was due, behind {lines!r}")
            lines.append(line)
            if line[3:4] != b"-":
                break
        if int(line[:1]) not in allowed:
            raise Unhealthy(f"{lines!r} where {allowed} was due")
        self.lines = [each[4:].decode("latin-1").strip() for each in lines]
        return int(line[:3])

    def send(self, *parts):
        """All in one write: str gets a line end, bytes go out as they are."""
        self.sock.sendall(b"".join(part if isinstance(part, bytes) else part.encode() + b"\r\n" for part in parts))

    def ask(self, line, *allowed):
        self.send(line)
        return self.reply(*(allowed or (2,)))

    def hello(self, verb="EHLO"):
        self.reply(2)
        self.ask(f"{verb} {HELO}")
        if verb == "EHLO":
            self.offers = {words.split()[0].upper(): words.split()[1:] for words in self.lines[1:] if words}

    def take(self):
        """The reply to a message, which has to be taken."""
        self.reply(2)
        self.taken += 1

    def quit(self):
        self.ask("QUIT")
        self.close()

    def close(self):
        self.stream.close()
        self.sock.close()

    def drip(self, data, pieces, pause):
        """Sends `data` in pieces with pauses."""
        size = max(1, len(data) // pieces)
        for at in range(0, len(data), size):
            self.sock.sendall(data[at:at + size])
            time.sleep(pause)
