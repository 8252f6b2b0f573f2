"""Scripted TCP peers on plain sockets: every segment, half-close and reset is under the script's control.

A Peer reads all the time (unless paused) into `received` and notes how the other side ended: `saw` is None, "eof" or
"reset". Pair brings one sender and its gateway side together through the proxy: connections are made one after the other,
so that the gateway's next accepted socket is the one of the sender that has just connected.
"""
import asyncio
import errno
import fcntl
import socket
import struct
import termios

RESETS = (errno.ECONNRESET, errno.EPIPE)


class Peer:
    def __init__(self, sock):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.received, self.sent = bytearray(), bytearray()
        self.saw = None        # how the other side ended
        self.send_failed = False
        self.closed = False
        self.unsent = 0        # bytes that the other kernel had not acknowledged when we reset or closed
        self._reading = asyncio.Event()
        self._reading.set()
        self._news = asyncio.Condition()
        self.reader = asyncio.ensure_future(self._read())

    async def _read(self):
        loop = asyncio.get_running_loop()
        while self.saw is None:
            await self._reading.wait()
            try:
                data = await loop.sock_recv(self.sock, 65536)
            except OSError as error:
                if error.errno not in RESETS:
                    raise
                data, self.saw = b"", "reset"
            else:
                if not data:  # a reset that send() has already reported reads as an end
                    self.saw = "reset" if self.send_failed else "eof"
            self.received += data
            async with self._news:
                self._news.notify_all()

    def pause(self):
        self._reading.clear()

    def resume(self):
        self._reading.set()

    async def wait(self, count, timeout):
        """Until `count` bytes were received in all, or the other side ended. True if the bytes are there."""
        async def enough():
            async with self._news:
                await self._news.wait_for(lambda: len(self.received) >= count or self.saw)
        try:
            await asyncio.wait_for(enough(), timeout)
        except asyncio.TimeoutError:
            pass
        return len(self.received) >= count

    async def wait_close(self, timeout):
        """Until the other side's FIN or RST was seen; gives back `saw`."""
        self.resume()
        await asyncio.wait([self.reader], timeout=timeout)
        if self.reader.done():
            self.reader.result()
        return self.saw

    async def send(self, data):
        """Sends all of it; false if the connection was reset meanwhile. `sent` counts what the kernel took."""
        loop = asyncio.get_running_loop()
        view = memoryview(data)
        while view:
            try:
                count = self.sock.send(view)
            except BlockingIOError:
                await self._writable(loop)
                continue
            except OSError as error:
                if error.errno not in RESETS:
                    raise
                self.send_failed = True
                return False
            self.sent += view[:count]
            view = view[count:]
        return True

    async def _writable(self, loop):
        ready = loop.create_future()
        loop.add_writer(self.sock, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_writer(self.sock)

    def fin(self):
        """Half-close: our FIN goes out, we read on."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def reset(self):
        """Our RST goes out now."""
        self.note_unsent()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def note_unsent(self):
        self.unsent = struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0" * 4))[0]

    def close(self):
        if self.closed:
            return
        self.closed = True
        self.reader.cancel()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.sock)
        loop.remove_writer(self.sock)
        self.sock.close()


class Gateway:
    """A listening socket whose connections are handed out in order."""

    def __init__(self, host="127.0.0.1", port=0):
        self.sock = socket.create_server((host, port), backlog=1024)
        self.sock.setblocking(False)
        self.port = self.sock.getsockname()[1]
        self.lock = asyncio.Lock()

    async def accept(self, timeout=10):
        sock, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(self.sock), timeout)
        return sock

    def close(self):
        self.sock.close()


_used = set()  # transcripts are told apart by the sender's address and port, and the kernel gives a port again


async def connect(port, source="127.0.0.1", host="127.0.0.1"):
    while True:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if not source:
            break
        sock.bind((source, 0))
        if sock.getsockname()[:2] not in _used:
            _used.add(sock.getsockname()[:2])
            break
        sock.close()
    # A proxy accepts at once, and may reset at once: a non-blocking connect could only tell the reset.
    sock.connect((host, port))
    sock.setblocking(False)
    return sock


async def pair(proxy_port, gateway, source="127.0.0.1", host="127.0.0.1", timeout=10):
    """(sender Peer, gateway Peer, sender's address) of one new session through the proxy."""
    async with gateway.lock:
        sender = await connect(proxy_port, source, host)
        try:
            accepted = await gateway.accept(timeout)
        except asyncio.TimeoutError:
            sender.close()
            raise AssertionError(f"the proxy did not connect to the gateway within {timeout} s") from None
    return Peer(sender), Peer(accepted), sender.getsockname()
