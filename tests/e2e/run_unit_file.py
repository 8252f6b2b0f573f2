#!/usr/bin/env python3
"""deploy/smtpscope.service as systemd sees it: without a fault, and exposed no more than it was when this was written. (That
the proxy does all it has to under its user, capabilities and system calls, tests/netns/run_service.py shows.)
"""
import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lib import sandbox  # noqa: E402

EXPOSURE = 18  # tenths; systemd 252 says 1.7


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, required=True)
    options = parser.parse_args()
    unit = options.source / "deploy" / "smtpscope.service"
    if not shutil.which("systemd-analyze"):
        print("skipped: no systemd-analyze here (package systemd)")
        return 77
    with tempfile.TemporaryDirectory(prefix="smtpscope-unit.") as folder:
        # The same with a program that is here.
        copy = Path(folder) / unit.name
        copy.write_text(unit.read_text().replace("/usr/bin/smtpscope", str(Path(options.binary).resolve())))
        checks = (["verify", "--man=no", str(copy)],
                  ["security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(copy)])
        for words in checks:
            done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"systemd-analyze {words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr}"
            if words[0] == "verify":
                assert unit.name not in done.stderr, done.stderr
            else:
                verdict = done.stdout.strip().splitlines()[-1]
        # Does the gate hold anything back?
        copy.write_text("".join(line + "\n" for line in copy.read_text().splitlines() if not line.startswith("CapabilityBounding")))
        worse = subprocess.run(["systemd-analyze", *checks[1]], capture_output=True, text=True, check=False)
        assert worse.returncode != 0, "the threshold lets all capabilities pass"
    found = sandbox.settings(unit)
    assert found["AmbientCapabilities"] == ["CAP_NET_ADMIN CAP_NET_BIND_SERVICE"], found["AmbientCapabilities"]
    for name, value in (("Type", "notify"), ("WatchdogSignal", "SIGKILL"), ("Restart", "always"), ("LimitCORE", "0")):
        assert found[name] == [value], (name, found[name])
    assert int(found["WatchdogSec"][0]) < 5, "mail would not flow again within 5 s"
    calls = sandbox.allowed_calls(unit)
    assert {"read", "capset", "clone", "execve"} <= calls and not {"mount", "setuid", "reboot", "ptrace", "bpf"} & calls
    print(f"summary: {verdict}; {len(calls)} system calls allowed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
