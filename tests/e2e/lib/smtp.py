"""A small well-behaved SMTP gateway and sender on asyncio, for load; the scripted peers of peers.py do the rest."""
import asyncio
import itertools
import time


class SimpleGateway:
    """Accepts every mail; `delay` seconds before each reply. `messages` counts the mails taken."""

    def __init__(self, delay=0.0):
        self.delay, self.messages, self.ids = delay, 0, itertools.count(1)
        self.server = self.port = None

    async def start(self, host="127.0.0.1"):
        self.server = await asyncio.start_server(self._serve, host, 0, backlog=512)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def close(self):
        self.server.close()

    async def _say(self, writer, text):
        if self.delay:
            await asyncio.sleep(self.delay)
        writer.write(text.encode() + b"\r\n")
        await writer.drain()

    async def _serve(self, reader, writer):
        try:
            await self._say(writer, "220 gw.example ESMTP")
            while line := await reader.readline():
                verb = line.split()[0].upper() if line.split() else b""
                if verb in (b"EHLO", b"HELO"):
                    await self._say(writer, "250 gw.example")
                elif verb == b"DATA":
                    await self._say(writer, "354 go")
                    while (row := await reader.readline()) not in (b".\r\n", b""):
                        pass
                    if not row:
                        break
                    self.messages += 1
                    await self._say(writer, f"250 2.0.0 Ok: queued as {next(self.ids):X}")
                elif verb == b"QUIT":
                    await self._say(writer, "221 bye")
                    break
                else:
                    await self._say(writer, "250 ok")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class Delivery:
    """One session of a sender: `address`, `greeted_at` and `ended_at` (monotonic; None if it never came so far)."""

    def __init__(self):
        self.address = self.greeted_at = self.ended_at = self.error = None

    async def run(self, port, source, body=b"Subject: load\r\n\r\nx\r\n", pause=0.0, host="127.0.0.1"):
        writer = None
        try:
            reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0))
            self.address = writer.get_extra_info("sockname")[:2]
            await self._expect(reader, b"220")
            self.greeted_at = time.monotonic()
            for command, code in ((b"EHLO load.example\r\n", b"250"), (b"MAIL FROM:<a@load.example>\r\n", b"250"),
                                  (b"RCPT TO:<b@gw.example>\r\n", b"250"), (b"DATA\r\n", b"354"), (body + b".\r\n", b"250"),
                                  (b"QUIT\r\n", b"221")):
                if pause:
                    await asyncio.sleep(pause)
                writer.write(command)
                await writer.drain()
                await self._expect(reader, code)
            assert await reader.read() == b"", "bytes after the 221"
            writer.close()
            self.ended_at = time.monotonic()
        except (ConnectionError, OSError) as error:
            self.error = error
        finally:
            if writer:
                writer.close()
        return self

    @staticmethod
    async def _expect(reader, code):
        while (line := await reader.readline())[3:4] == b"-":
            pass
        if not line:
            raise ConnectionError("closed by the other side")
        assert line.startswith(code), f"{line!r} where {code!r} was due"
