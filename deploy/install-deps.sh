#!/bin/bash
# Installs what is needed to build smtpscope on Debian 12; with --package also what its Debian package is built with, with
# --tests all that its tests need.
# Never asks anything, needs root or sudo, and does nothing when all is there. Status 1 if a package cannot be installed.
set -eu

folder=$(cd "$(dirname "$0")" && pwd)
packages=(g++ cmake ninja-build pkg-config ccache libuv1-dev libspdlog-dev libfmt-dev nlohmann-json3-dev libcli11-dev
          libssl-dev libsqlite3-dev libxxhash-dev libc-ares-dev zlib1g-dev node-llhttp
          iproute2 nftables procps)  # these three are what `smtpscope divert` runs
package_packages=(dpkg-dev binutils)
test_packages=(catch2 librapidcheck-dev libvalijson-dev clang-14 libclang-rt-14-dev clang-format clang-tidy
               python3 python3-jsonschema python3-aiosmtpd tshark xxhash postfix sasl2-bin libsasl2-modules swaks libnet-ssleay-perl openssl
               curl git
               # and what the mail servers need that unpack-test-mtas.sh puts beside Postfix
               m4 libidn12 libidn2-0 libwrap0 libevent-2.1-7 libgnutls-dane0 libldap-2.5-0 libdb5.3 libnsl2 liblockfile1
               libmariadb3 libperl5.36 libpq5 libspf2-2
               haproxy prometheus
               # the package, its documents and a clean root to install it in
               lintian mmdebstrap mandoc zsh)

case "${1:-}" in
  "") ;;
  --package) packages+=("${package_packages[@]}") ;;
  --tests)
    packages+=("${package_packages[@]}" "${test_packages[@]}")
    command -v npm >/dev/null || packages+=(nodejs npm)  # peers that come from npm; another Node.js will do as well
    ;;
  *) echo "usage: deploy/install-deps.sh [--package | --tests]" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null; then
  echo "install-deps: no apt-get here. Install the equivalents of these Debian 12 packages: ${packages[*]}" >&2
  exit 1
fi

# Tests that need what does not come are left out, and say so.
unpack() { [ "${1:-}" != --tests ] || "$folder/unpack-test-mtas.sh" || true; }

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install-deps: all ${#packages[@]} packages are installed"
  unpack "$@"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: missing: ${missing[*]}. Run this as root, or install sudo." >&2
    exit 1
  fi
  as_root=(sudo)
fi

apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@" </dev/null; }

echo "install-deps: installing ${missing[*]}"
# Postfix would ask how it is to be set up, tshark whether non-root users may capture. A policy that refuses to start
# services keeps port 25 of this machine free; it is removed again.
printf '%s\n' 'postfix postfix/main_mailer_type select No configuration' \
              'wireshark-common wireshark-common/install-setuid boolean false' |
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive debconf-set-selections 2>/dev/null || true
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
  "${as_root[@]}" chmod 755 $policy
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
apt update >/dev/null || echo "install-deps: apt-get update failed; trying with the lists that are here" >&2
if ! apt install --no-install-recommends "${missing[@]}" >"${TMPDIR:-/tmp}/smtpscope-apt.$$" 2>&1; then
  tail -n 30 "${TMPDIR:-/tmp}/smtpscope-apt.$$" >&2
  rm -f "${TMPDIR:-/tmp}/smtpscope-apt.$$"
  echo "install-deps: apt-get could not install: ${missing[*]}" >&2
  exit 1
fi
rm -f "${TMPDIR:-/tmp}/smtpscope-apt.$$"
echo "install-deps: ${#missing[@]} packages installed"
unpack "$@"
