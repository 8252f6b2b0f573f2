#!/usr/bin/env python3
"""Plants secrets in every way that AUTH has, through the proxy, and looks for them in every file of the store and in the
log: as they are, in base64 at any alignment, in hex, URL-encoded. None may be found; the bytes on the wire stay untouched.
Files are 0600 and directories 0700.
"""
import argparse
import asyncio
import base64
import hmac
import random
import string
import sys
import tempfile
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import peers, store  # noqa: E402
from lib.smtpscope import Smtpscope  # noqa: E402

HELLO = [("<", b"220 gw.example ESMTP\r\n"), (">", b"EHLO a.example\r\n"),
         ("<", b"250-gw.example\r\n250 AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER SCRAM-SHA-256\r\n")]
OK, BAD = b"235 2.7.0 ok\r\n", b"535 5.7.8 authentication failed\r\n"


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode())


def forms(secret):
    """What the secret may look like in a file."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), urllib.parse.quote(secret, safe="").encode()}
    for shift in range(3):  # the characters of base64 that depend on the secret alone
        text = base64.b64encode(b"\0" * shift + raw)
        first, last = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
        found |= {text[first:last], base64.urlsafe_b64encode(b"\0" * shift + raw)[first:last]}
    return found


def exchanges(s):
    """Mechanism exchanges with secret s: {name: [(side, bytes)...]} without the outcome."""
    cram = hmac.new(s.encode(), b"<1@gw>", "md5").hexdigest()
    bearer = f"user=joe@a.example\1auth=Bearer {s}\1\1"
    oauth = f"n,a=joe@a.example,\1host=gw\1port=25\1auth=Bearer {s}\1\1"
    plain, login = b64(f"\0joe\0{s}"), [(">", b64("joe") + b"\r\n"), ("<", b"334 UGFzc3dvcmQ6\r\n"), (">", b64(s) + b"\r\n")]
    ask = ("<", b"334 \r\n")
    return {
        "plain": [(">", b"AUTH PLAIN " + plain + b"\r\n")],
        "plain continued": [(">", b"AUTH PLAIN\r\n"), ask, (">", plain + b"\r\n")],
        "login": [(">", b"AUTH LOGIN\r\n"), ("<", b"334 VXNlcm5hbWU6\r\n"), *login],
        "login with name": [(">", b"AUTH LOGIN " + b64("joe") + b"\r\n"), *login[1:]],
        "cram-md5": [(">", b"AUTH CRAM-MD5\r\n"), ("<", b"334 " + b64("<1@gw>") + b"\r\n"), (">", b64(f"joe {cram}") + b"\r\n")],
        "xoauth2": [(">", b"AUTH XOAUTH2 " + b64(bearer) + b"\r\n")],
        "xoauth2 continued": [(">", b"AUTH XOAUTH2\r\n"), ask, (">", b64(bearer) + b"\r\n")],
        "oauthbearer": [(">", b"AUTH OAUTHBEARER " + b64(oauth) + b"\r\n")],
        "scram": [(">", b"AUTH SCRAM-SHA-256 " + b64("n,,n=joe,r=abc") + b"\r\n"), ("<", b"334 " + b64("r=abcdef,s=QQ==,i=4096") + b"\r\n"),
                  (">", b64(f"c=biws,r=abcdef,p={s}") + b"\r\n")],
        "unknown mechanism": [(">", b"AUTH X-NEW " + b64(s) + b"\r\n")],
        "unknown mechanism continued": [(">", b"AUTH X-NEW\r\n"), ask, (">", b64(s) + b"\r\n")],
        "secret not in base64": [(">", b"AUTH PLAIN " + s.encode() + b"\r\n")],
    }


def variants(new):
    """Yields (name, secret, steps). `new()` makes a secret."""
    names = list(exchanges("x"))
    for name in names:
        for outcome, reply in (("accepted", OK), ("refused", BAD)):
            secret = new()
            yield f"{name}, {outcome}", secret, [*exchanges(secret)[name], ("<", reply), (">", b"QUIT\r\n"), ("<", b"221 bye\r\n")]
    for name in ("plain", "plain continued", "login", "xoauth2", "scram"):
        secret = new()
        steps = exchanges(secret)[name]
        yield f"{name}, byte by byte", secret, [*(("b" if side == ">" else side, data) for side, data in steps), ("<", BAD)]
        secret = new()
        last = exchanges(secret)[name][-1][1]
        yield f"{name}, echoed by the gateway", secret, [*exchanges(secret)[name], ("<", b"501 5.5.2 cannot decode " + last.strip() + b"\r\n")]
        secret = new()
        yield f"{name}, next commands in the same segment", secret, [
            *exchanges(secret)[name][:-1], (">", exchanges(secret)[name][-1][1] + b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"), ("<", BAD)]
        secret = new()
        yield f"{name}, connection closed before the reply", secret, [*exchanges(secret)[name]]
    secret = new()
    yield "plain, line never ended", secret, [(">", b"AUTH PLAIN " + b64(f"\0joe\0{secret}") + b"AAAA")]
    secret = new()
    yield "plain, half of the line, then reset", secret, [(">", b"AUTH PLAIN " + b64(f"\0joe\0{secret}" + "x" * 60)[:60]), ("r", b"")]
    secret = new()
    yield "login, password line never ended", secret, [*exchanges(secret)["login"][:-1], (">", b64(secret) + b"AA")]
    secret = new()
    yield "login, cancelled, then again", secret, [*exchanges(secret)["login"][:-1], (">", b"*\r\n"), ("<", b"501 cancelled\r\n"),
                                                  *exchanges(secret)["login"], ("<", OK)]
    secret = new()
    yield "lower case", secret, [(">", b"auth plain " + b64(f"\0joe\0{secret}") + b"\r\n"), ("<", BAD)]
    secret = new()
    yield "extra spaces", secret, [(">", b"AUTH   PLAIN    " + b64(f"\0joe\0{secret}") + b"  \r\n"), ("<", BAD)]
    secret = new()
    yield "tabs", secret, [(">", b"AUTH\tPLAIN\t" + b64(f"\0joe\0{secret}") + b"\r\n"), ("<", BAD)]
    secret = new()
    yield "leading space", secret, [(">", b"  AUTH PLAIN " + b64(f"\0joe\0{secret}") + b"\r\n"), ("<", BAD)]
    secret = new()
    yield "bare line feed", secret, [(">", b"AUTH PLAIN " + b64(f"\0joe\0{secret}") + b"\n"), ("<", BAD)]
    secret = new()
    yield "response sent before the challenge", secret, [
        (">", b"AUTH PLAIN\r\n" + b64(f"\0joe\0{secret}") + b"\r\n"), ("<", b"334 \r\n"), ("<", BAD)]
    secret = new()
    yield "login, everything in one segment", secret, [
        (">", b"AUTH LOGIN\r\n" + b64("joe") + b"\r\n" + b64(secret) + b"\r\n"), ("<", b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" + OK)]
    secret = new()
    yield "before the greeting of the client", secret, [(">", b"AUTH PLAIN " + b64(f"\0joe\0{secret}") + b"\r\n"), ("<", b"503 EHLO first\r\n")]


async def play(steps, scope, gateway, source):
    sender, receiver, _ = await peers.pair(scope.port, gateway, source)
    try:
        for side, data in [*HELLO, *steps]:
            here, there = (receiver, sender) if side == "<" else (sender, receiver)
            if side == "r":
                here.reset()
                await there.wait_close(10)
                return
            before = len(here.sent)
            for piece in ([data[n:n + 1] for n in range(len(data))] if side == "b" else [data]):
                await here.send(piece)
                await asyncio.sleep(0.001 if side == "b" else 0)
            assert await there.wait(before + len(data), 10), "bytes did not arrive"
        sender.fin()
        receiver.fin()
        await asyncio.gather(sender.wait_close(10), receiver.wait_close(10))
        for one, other in ((sender, receiver), (receiver, sender)):
            assert bytes(other.received) == bytes(one.sent), "bytes were changed"
    finally:
        sender.close()
        receiver.close()


async def run(options):
    rng = random.Random(7)
    cases = list(variants(lambda: "Pw+" + "".join(rng.choices(string.ascii_letters + string.digits, k=14)) + "/!"))
    failures, files = [], []
    with tempfile.TemporaryDirectory(prefix="smtpscope-secrets.") as folder:
        gateway = peers.Gateway()
        scope = Smtpscope(options.binary, gateway.port, Path(folder) / "store", options.arg).start()
        for number, (name, _, steps) in enumerate(cases):
            try:
                await play(steps, scope, gateway, f"127.0.0.{number % 20 + 1}")
            except AssertionError as error:
                failures.append(f"{name}: {error}")
        await asyncio.to_thread(store.wait_transcripts, scope.store, len(cases), 10)
        await asyncio.to_thread(scope.stop)
        found = store.transcripts(scope.store)
        for transcript in found[:5]:  # the outputs that people pass on; `list` also makes the index
            for form in ("text", "json", "injection-log", "pcapng"):
                out = scope.cli("show", transcript["id"], "--store", scope.store, "--format", form, text=False)[1]
                (Path(folder) / f"shown-{transcript['id']}-{form}").write_bytes(out)
        scope.cli("list", "--store", scope.store)
        store.check_modes(scope.store)
        files = [p for p in Path(folder).rglob("*") if p.is_file()]
        contents = {path: path.read_bytes() for path in files}
        assert any(b"EHLO a.example" in data for path, data in contents.items() if path.suffix == ".pcapng"), "nothing was recorded"
        for name, secret, steps in cases:
            wire = b"".join(data for _, data in steps)
            wanted = forms(secret)
            if "cram" in name:
                digest = hmac.new(secret.encode(), b"<1@gw>", "md5").hexdigest()
                wanted |= forms(digest)
            assert any(form in wire for form in wanted), f"{name}: the search would not even find it on the wire"
            for path, data in contents.items():
                for form in wanted:
                    if form in data:
                        at = data.index(form)
                        failures.append(f"{name}: {form!r} is in {path.name}: {data[max(0, at - 60):at + 60]!r}")
        masked = sum(t["capture"]["masked_bytes"] for t in found)
        gateway.close()
    for failure in failures:
        print("FAILED:", failure)
    print(f"summary: secrets: {len(cases)} planted, searched in {len(files)} files, {masked} bytes masked, {len(failures)} failures")
    return 1 if failures or len(cases) < 50 else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--arg", action="append", default=[], help="a further option of `run`")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
