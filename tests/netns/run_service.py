#!/usr/bin/env python3
"""smtpscope as a service in front of a real Postfix, in network namespaces of the test's own: hung, upgraded, and with no more
rights than its unit file leaves. Needs what run_inline.py needs; ends with 77 where it has not.
"""
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "e2e")]
from lib import command_line  # noqa: E402
import cases_service  # noqa: E402
from run_inline import play, why_not  # noqa: E402


def main():
    options = command_line.parser(__doc__, only=True).parse_args()
    options.kills = 0
    if reason := why_not():
        print(f"skipped: {reason}")
        sys.exit(77)
    figures, failures = [], 0
    cases = [case for case in cases_service.ROUTED if options.only in case.__name__]
    with tempfile.TemporaryDirectory(prefix="smtpscope-service.") as folder:
        for case in cases:
            began = time.monotonic()
            try:
                play(options, case, False, Path(folder) / case.__name__, figures)
                print(f"ok      {case.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                failures += 1
                line = traceback.extract_tb(error.__traceback__)[-1]
                print(f"FAILED: {case.__name__}, line {line.lineno} of {line.filename}: {error!r}"[:3000], flush=True)
    print(f"summary: service: {len(cases)} cases, {failures} failed; {'; '.join(figures)}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
