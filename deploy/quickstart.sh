#!/bin/bash
# From a fresh clone to a first look: installs what the build needs (Debian 12; root or sudo), builds smtpscope, and
# runs its demo, whose recordings stay in build/demo. Works from any folder and writes into build/ alone.
# Status 0 if all went well. usage: deploy/quickstart.sh
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
exec </dev/null
if [ $# -gt 0 ]; then
  echo "usage: deploy/quickstart.sh" >&2
  exit 2
fi

export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
log=build/logs/quickstart.log
mkdir -p build/logs

build() {
  cmake --preset release -DSMTPSCOPE_TESTS=OFF && cmake --build --preset release --target smtpscope
}

echo "quickstart: 1 of 3, installing what the build needs"
deploy/install-deps.sh
echo "quickstart: 2 of 3, building build/release/smtpscope (some minutes the first time)"
if ! build >"$log" 2>&1; then
  echo "quickstart: the build failed; the end of $log:" >&2
  tail -n 40 "$log" >&2
  exit 1
fi
echo "quickstart: 3 of 3, the demo"
"$root/build/release/smtpscope" demo --store "$root/build/demo"
