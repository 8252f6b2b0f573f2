#!/usr/bin/env python3
"""Runs `smtpscope demo` as a new user would: with --store, again into the same store, without --store, and interrupted.
Each session has to come out as it was staged, what is printed has to be what `list` and `show` say, the commands that it
names have to work, and a run without --store leaves nothing behind.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import store  # noqa: E402

STAGED = {
    "127.0.1.1": ("delivered", None),
    "127.0.1.2": ("breakdown", "rcpt-unknown-user"),
    "127.0.1.3": ("breakdown", "banner-sender-gave-up"),
    "127.0.1.4": ("breakdown", "early-talker"),
    "127.0.1.5": ("breakdown", "greylisted"),
    "127.0.1.6": ("breakdown", "tls-handshake-cut"),
    "127.0.1.7": ("breakdown", "body-stalled"),
    "127.0.1.8": ("breakdown", "gateway-reset"),
    "127.0.1.9": ("breakdown", "left-before-final-reply"),
}
LIMIT = 20  # seconds
SHOWN = 3   # transcripts on screen


class Demo:
    """The binary in a folder of its own, which is also where it makes temporary files."""

    def __init__(self, binary, folder):
        self.binary, self.folder = str(binary), Path(folder)
        self.tmp = self.folder / "tmp"
        self.tmp.mkdir()
        self.env = {**os.environ, "TMPDIR": str(self.tmp), "NO_COLOR": "1"}

    def command(self, *args, shell=False):
        words = args[0] if shell else [self.binary, *map(str, args)]
        started = time.monotonic()
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=not shell, timeout=60, shell=shell,
                              cwd=self.folder, env=self.env, check=False)
        return done, time.monotonic() - started

    def run(self, *args):
        """A demo that has to succeed: (what it printed, seconds)."""
        done, took = self.command("demo", *args)
        assert done.returncode == 0, f"demo {args}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert took < LIMIT, f"demo took {took:.1f} s"
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        assert not list(self.tmp.iterdir()), f"left behind: {list(self.tmp.iterdir())}"
        return done.stdout, took

    def listed(self, *args):
        return self.command("list", "--store", self.folder / "a store", *args)[0].stdout.splitlines()


def check_store(demo, printed, source):
    found = [json.loads(line) for line in demo.listed("--json")]
    outcomes = {t["sender"]["ip"]: (t["verdict"], t["breakdown"] and t["breakdown"]["code"]) for t in found}
    assert outcomes == STAGED and len(found) == len(STAGED), f"{len(found)} sessions: {outcomes}"
    folder = demo.folder / "a store"
    assert {path.name for path in folder.glob("senders/*")} == set(STAGED), "not one folder a sender"
    validator = store.Validator(source)
    for transcript in found:
        validator.check(transcript)
    assert validator.checked == len(STAGED), f"{validator.checked} transcripts were validated"
    for line in demo.listed():
        assert line in printed.splitlines(), f"`list` says, and the demo does not: {line}"
    shown = 0
    for transcript in found:
        text = demo.command("show", transcript["id"], "--store", folder)[0].stdout
        assert text.startswith("Sender"), text
        shown += text in printed
    assert shown == SHOWN, f"{shown} transcripts are printed as `show` prints them"
    common = os.path.commonprefix([transcript["id"] for transcript in found])
    done, _ = demo.command("show", common, "--store", folder)
    assert done.returncode == 2 and not done.stdout and "several sessions begin with" in done.stderr and "--help" not in done.stderr and (
        sum(transcript["id"] in done.stderr for transcript in found) == 5), done
    for path in store.recordings(folder):
        store.check_recording(path)
    store.check_modes(folder)


def check_commands(demo, printed):
    """Every command line that the demo ends with."""
    lines = [line.strip() for line in printed.splitlines() if line.startswith("    " + demo.binary)]
    assert len(lines) >= 3, f"only these commands are named: {lines}"
    for line in lines:
        done, _ = demo.command(line, shell=True)
        assert done.returncode == 0 and (done.stdout or ">" in line or " demo " in line), f"{line}: {done}"
    return len(lines)


def check_interrupted(demo, number):
    process = subprocess.Popen([demo.binary, "demo"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=demo.env)
    deadline = time.monotonic() + 10
    while not list(demo.tmp.glob("*/senders/*")):
        assert time.monotonic() < deadline and process.poll() is None, "no session was recorded"
        time.sleep(0.02)
    sent = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1 and not out and "interrupted" in err, f"status {process.returncode}: {out} {err}"
    assert time.monotonic() - sent < 5, "it took long to end"
    assert "Sanitizer" not in err, err
    assert not list(demo.tmp.iterdir()), f"left behind after a signal: {list(demo.tmp.iterdir())}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=lambda path: Path(path).resolve())
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smtpscope-demo-test.") as folder:
        demo = Demo(options.binary, folder)
        printed, took = demo.run("--store", demo.folder / "a store")
        check_store(demo, printed, options.source)
        commands = check_commands(demo, printed)
        demo.run("--store", demo.folder / "a store")
        assert len(demo.listed()) == 2 * len(STAGED), "a second demo into the same store"
        printed, alone = demo.run()
        assert not re.search(r"smtpscope-demo\.\w{6}", printed), "names files that are gone"
        commands += check_commands(demo, printed)
        for number in (signal.SIGINT, signal.SIGTERM):
            check_interrupted(demo, number)
        done, _ = demo.command("demo", "--store", "/proc/no/such/place")
        assert done.returncode == 1 and "/proc/no/such/place" in done.stderr and not done.stdout, done
    print(f"summary: demo: {len(STAGED)} sessions as staged in {took:.1f} s, {alone:.1f} s without --store; {commands} named "
          "commands work, nothing left behind")


if __name__ == "__main__":
    main()
