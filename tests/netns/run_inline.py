#!/usr/bin/env python3
"""smtpscope in front of a real Postfix, on a host that routes or bridges, all in network namespaces of the test's own:
captured senders are recorded and the gateway sees their addresses; nobody else notices; mail goes on whatever ends or is
killed; and `divert off` restores all.

Needs root, iproute2, nft, procps and postfix; ends with 77 where it has none of them.
"""
import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "e2e")]
import cases_deploy  # noqa: E402
import cases_doctor  # noqa: E402
import cases_guide  # noqa: E402
import cases_mail  # noqa: E402
import cases_undo  # noqa: E402
from inline import Inline  # noqa: E402
from lib.postfix import Postfix  # noqa: E402
from topology import Topology  # noqa: E402


class Context:
    """What a case gets."""

    def __init__(self, options, net, postfix, folder, figures):
        self.source, self.kills, self.binary = options.source, options.kills, options.binary
        self.net, self.postfix, self.folder, self.figures = net, postfix, folder, figures
        self.inline = Inline(options.binary, net, folder / "inline")


def why_not():
    probe = subprocess.run(["unshare", "--net", "nft", "list", "ruleset"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        return f"no network namespaces or no nft here: {probe.stderr.strip()[:200]}"
    missing = [name for name in ("ip", "ss", "sysctl", "postfix") if not shutil.which(name)]
    return f"no {', '.join(missing)} here" if missing else ""


def play(options, case, bridged, folder, figures):
    """Each case has hosts of its own, so that none finds what another left."""
    folder.mkdir(parents=True)
    with Topology(bridged) as net:
        postfix = Postfix(folder / "postfix", namespace=net.names["gateway"])
        context = None
        try:
            postfix.start()
            context = Context(options, net, postfix, folder, figures)
            case(context)
        finally:
            if context:
                context.inline.kill()
                context.inline.divert("off", "--cut", status=None)  # its record outlives the namespace
            postfix.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", default="", help="run only cases with this in their name")
    options = parser.parse_args()
    if reason := why_not():
        print(f"skipped: {reason}")
        sys.exit(77)
    cases = [(case, False) for case in (*cases_mail.ROUTED, *cases_undo.ROUTED, *cases_guide.ROUTED,
                                      *cases_deploy.ROUTED, *cases_doctor.ROUTED)]
    figures = []
    if Path("/proc/sys/net/bridge").exists():
        cases += [(case, True) for case in (*cases_mail.BRIDGED, *cases_undo.BRIDGED)]
    else:
        figures.append("no br_netfilter in this kernel: bridged hosts not tested")
    failures = ran = 0
    with tempfile.TemporaryDirectory(prefix="smtpscope-inline.") as folder:
        for case, bridged in cases:
            name = f"{case.__name__}{' (bridged)' if bridged else ''}"
            if options.only not in name:
                continue
            ran += 1
            began = time.monotonic()
            try:
                play(options, case, bridged, Path(folder) / name.replace(" ", "-"), figures)
                print(f"ok      {name} ({time.monotonic() - began:.1f} s)", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                failures += 1
                print(f"FAILED: {name}: {error!r}"[:3000], flush=True)
    print(f"summary: inline: {ran} cases, {failures} failed; {'; '.join(figures)}")
    sys.exit(1 if failures or not ran else 0)


if __name__ == "__main__":
    main()
