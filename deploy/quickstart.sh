#!/bin/bash
# From a clone to annotated transcripts: installs what the build needs, builds build/release/smtpscope, and runs its demo.
# Ends with status 0 when the demo came out right. Writes only to build/, which git ignores.
set -eu
cd "$(dirname "$0")/.."
started=$SECONDS

deploy/install-deps.sh
cmake --preset release -DSMTPSCOPE_TESTS=OFF >/dev/null
cmake --build --preset release --target smtpscope
echo "quickstart: built build/release/smtpscope after $((SECONDS - started)) s; now the demo"
echo
build/release/smtpscope demo </dev/null
echo
echo "quickstart: done after $((SECONDS - started)) s. Next: build/release/smtpscope --help"
