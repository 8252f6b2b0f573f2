"""ip, nft and sysctl as programs of a folder to be put first in PATH: they count the calls that change something, and at the
wanted one kill their caller, before or after the change, or fail."""
import os
import shutil
import stat

PROGRAM = """#!/bin/bash
real={real}
case "{name} $*" in
  "nft -j -f"*|"sysctl -q -w"*|*" rule add "*|*" rule del "*|*" route add "*|*" route del "*|*" link set "*) ;;
  *) exec "$real" "$@" ;;
esac
n=$(( $(cat {folder}/count) + 1 ))
echo $n >{folder}/count
read -r at how <{folder}/plan
if [ "$n" -ne "$at" ]; then exec "$real" "$@"; fi
case $how in
  before) kill -9 $PPID ;;
  after) "$real" "$@"; kill -9 $PPID ;;
  fail) echo "made to fail" >&2; exit 1 ;;
esac
"""


class Shim:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        for name in ("ip", "nft", "sysctl"):
            path = folder / name
            path.write_text(PROGRAM.format(real=shutil.which(name), name=name, folder=folder))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def environment(self, at=0, how="before"):
        """For a run in which the call number `at` is the one; 0: none is."""
        (self.folder / "count").write_text("0\n")
        (self.folder / "plan").write_text(f"{at} {how}\n")
        return {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}

    def count(self):
        return int((self.folder / "count").read_text())
