#!/bin/bash
# Unpacks mail servers for tests/e2e/peers into build/peers/debian: Debian lets a machine have one of them installed, and that
# is Postfix. Nothing is installed or started; the tests run them from there. Does nothing when all is there.
# usage: deploy/unpack-test-mtas.sh      (deploy/install-deps.sh --tests calls it); status 1 if a package does not come
set -eu

packages=(exim4-daemon-light opensmtpd sendmail-bin sendmail-cf chasquid)
target=$(cd "$(dirname "$0")/.." && pwd)/build/peers/debian
if [ -e "$target/complete" ]; then
  echo "unpack-test-mtas: all is in place"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$target"
cd "$work"
for package in "${packages[@]}"; do
  # Old lists name versions that are gone.
  if ! apt-get -q download "$package" >log 2>&1 && ! { apt-get -q update && apt-get -q download "$package"; } >log 2>&1; then
    cat log >&2
    echo "unpack-test-mtas: apt-get could not download $package; its cases of e2e/peers will not run" >&2
    exit 1
  fi
  dpkg -x "$package"_*.deb "$target"
done
touch "$target/complete"
echo "unpack-test-mtas: unpacked ${packages[*]}"
