#!/usr/bin/env python3
"""The disk of the store fills up (a small tmpfs): sessions go on byte for byte, the loss is logged, and when there is space
again recording goes on, and the transcript of a session that lived through it says that its capture is incomplete.
"""
import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import peers, store  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402

BODY = b"Subject: filler\r\n\r\n" + b"0123456789" * 7 * 300 + b"\r\n.\r\n"
FULL_SESSIONS = 60


async def step(here, there, data):
    total = len(there.received) + len(data)
    await here.send(data)
    assert await there.wait(total, 10), "bytes did not arrive while the disk was full"


async def deliver(sender, receiver, through_data=lambda: None):
    for side, data in (("<", b"220 gw\r\n"), (">", b"HELO a\r\n"), ("<", b"250 ok\r\n"), (">", b"MAIL FROM:<a@b.example>\r\n"),
                       ("<", b"250 ok\r\n"), (">", b"RCPT TO:<c@d.example>\r\n"), ("<", b"250 ok\r\n"), (">", b"DATA\r\n"),
                       ("<", b"354 go\r\n"), (">", BODY), ("<", b"250 ok\r\n"), (">", b"QUIT\r\n"), ("<", b"221 bye\r\n")):
        await step(*((receiver, sender) if side == "<" else (sender, receiver)), data)
        if data == BODY:
            result = through_data()
            if result:
                await result
    sender.fin()
    receiver.fin()
    assert await sender.wait_close(10) == "eof" and await receiver.wait_close(10) == "eof", "closes did not come through"
    assert bytes(receiver.received) == bytes(sender.sent) and bytes(sender.received) == bytes(receiver.sent), "bytes changed"
    sender.close()
    receiver.close()


async def scene(scope, gateway, mount):
    """Gives back the addresses of the session before, through and after the outage."""
    sender, receiver, before = await peers.pair(scope.port, gateway)
    await deliver(sender, receiver)

    async def fill_and_free():
        for _ in range(FULL_SESSIONS):
            await deliver(*(await peers.pair(scope.port, gateway))[:2])
        await asyncio.sleep(0.5)
        # A group that does not fit is taken back whole, so some room may be left: what counts is that appending failed.
        assert "space" in scope.log().lower(), f"the disk was to be full:\n{scope.log()[-2000:]}"
        subprocess.run(["mount", "-o", "remount,size=64m", mount], check=True)
        await asyncio.sleep(0.5)
    sender, receiver, through = await peers.pair(scope.port, gateway)
    await deliver(sender, receiver, fill_and_free)
    sender, receiver, after = await peers.pair(scope.port, gateway)
    await deliver(sender, receiver)
    return before[:2], through[:2], after[:2]


async def run(options):
    with tempfile.TemporaryDirectory(prefix="smtpscope-diskfull.") as folder:
        mount = Path(folder) / "disk"
        mount.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "none", str(mount)], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"skipped: disk full: cannot mount a small tmpfs here: {done.stderr.strip()}")
            return 77
        gateway = peers.Gateway()
        scope = Smtpscope(options.binary, gateway.port, mount / "store")
        scope.log_path = Path(folder) / "log"  # not on the disk that fills up
        started = time.monotonic()
        try:
            scope.start()
            before, through, after = await scene(scope, gateway, mount)
            deadline, found = time.monotonic() + 10, {}
            while not {before, through, after} <= set(found) and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                found = store.by_sender(store.transcripts(scope.store))
            await asyncio.to_thread(scope.stop)
            for name, address in (("before", before), ("through", through), ("after", after)):
                assert address in found, f"no transcript of the session {name} the outage\n{scope.log()[-2000:]}"
            assert found[before]["capture"]["complete"] and found[after]["capture"]["complete"], "complete sessions are said not to be"
            assert found[before]["verdict"] == found[after]["verdict"] == "delivered"
            assert not found[through]["capture"]["complete"], f"the loss is not stated: {found[through]['capture']}"
            assert "space" in scope.log().lower(), f"the loss was not logged:\n{scope.log()[-2000:]}"
            packets = sum(store.check_recording(path) for path in store.recordings(scope.store))
            scope.cli("list", "--store", scope.store)
            incomplete = sum(not t["capture"]["complete"] for t in found.values())
        finally:
            if scope.process and scope.process.poll() is None:
                scope.kill()
            subprocess.run(["umount", "-l", str(mount)], check=False)
            gateway.close()
    print(f"summary: disk full: {FULL_SESSIONS + 3} sessions relayed exactly in {time.monotonic() - started:.0f} s, {len(found)} have "
          f"transcripts, {incomplete} of them say that capture is incomplete, {packets} packets readable")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
