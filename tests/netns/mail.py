"""A sender with sockets in a network namespace of the test's, and what became of its mail."""
import ctypes
import os
import re
import socket
from contextlib import contextmanager

from topology import GATEWAY

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
MESSAGE = b"From: <a@b.example>\r\nSubject: a test\r\n\r\nBytes of a message.\r\n..a dot\r\n\r\n"


@contextmanager
def network_of(name):
    """Sockets that this thread makes are in that namespace, and stay there."""
    own, other = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        assert LIBC.setns(other, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
        assert LIBC.setns(own, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    finally:
        LIBC.setns(own, CLONE_NEWNET)
        os.close(own)
        os.close(other)


class Mail:
    """One SMTP session of `source`, an address of the sender. OSError if it breaks."""

    def __init__(self, net, source, gateway=None, port=0, timeout=10):
        version = 6 if ":" in source else 4
        with network_of(net.names["sender"]):
            self.socket = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)
        self.socket.settimeout(timeout)
        if port:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((source, port))
        self.socket.connect((gateway or GATEWAY[version], 25))
        self.address = (source, str(self.socket.getsockname()[1]))
        self.stream = self.socket.makefile("rb")
        self.replies = []

    def reply(self):
        whole = b""
        while True:
            line = self.stream.readline()
            if not line:
                raise ConnectionError("closed by the other side")
            whole += line
            if line[3:4] == b" ":
                self.replies.append(whole)
                return whole

    def say(self, line):
        self.socket.sendall(line + b"\r\n")
        return self.reply()

    def envelope(self):
        """Up to the go-ahead for the message."""
        assert self.reply().startswith(b"220")
        for line in (b"EHLO mx.sender.example", b"MAIL FROM:<a@b.example>", b"RCPT TO:<x@example.test>"):
            assert self.say(line).startswith(b"250"), self.replies
        assert self.say(b"DATA").startswith(b"354"), self.replies
        return self

    def finish(self):
        self.socket.sendall(MESSAGE)
        assert self.say(b".").startswith(b"250"), self.replies
        assert self.say(b"QUIT").startswith(b"221"), self.replies
        assert self.socket.recv(1) == b"", "bytes behind the last reply"
        self.close()
        return self

    def queue_id(self):
        return re.search(rb"queued as (\w+)", self.replies[-2])[1].decode()

    def same_replies(self):
        """What any session is told, whoever it comes from."""
        return [re.sub(rb"queued as \w+", b"queued as ...", reply) for reply in self.replies]

    def close(self):
        self.stream.close()
        self.socket.close()


def send(net, source, **more):
    return Mail(net, source, **more).envelope().finish()


def without_trace(message):
    """A message as it was stored, without what tells one delivery from the other."""
    head, body = message.split(b"\n\n", 1)
    head = re.sub(rb"(?s)Received:.*?\n(?=\S)", b"", head + b"\n")
    return re.sub(rb"(?m)^(Return-Path|Delivered-To|X-Original-To|Message-Id|Date):.*\n", b"", head) + b"\n" + body
