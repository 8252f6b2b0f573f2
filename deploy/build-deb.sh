#!/bin/bash
# Builds the Debian package build/smtpscope_VERSION_ARCH.deb; the last line of its output names it. Needs what
# deploy/install-deps.sh installs, and no root.
# usage: deploy/build-deb.sh [--build DIR]     --build: a folder in which smtpscope has been built already
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
exec </dev/null

build=
case "${1:-}" in
  "") ;;
  --build) build=$(cd "$2" && pwd) ;;
  *) echo "usage: deploy/build-deb.sh [--build DIR]" >&2; exit 2 ;;
esac
if [ -z "$build" ]; then
  build=$root/build/release
  export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
  # A folder that was set up for tests stays so.
  [ -e "$build/CMakeCache.txt" ] || tests=-DSMTPSCOPE_TESTS=OFF
  cmake --preset release ${tests:-} >/dev/null
  cmake --build --preset release --target smtpscope
fi

version=$("$build/smtpscope" --version | cut -d ' ' -f 2)
if [ "$(head -n 1 deploy/debian/changelog | sed 's/.*(\(.*\)).*/\1/')" != "$version" ]; then
  echo "build-deb: deploy/debian/changelog does not begin with version $version" >&2
  exit 1
fi
architecture=$(dpkg --print-architecture)
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree/DEBIAN"

DESTDIR=$tree cmake --install "$build" --prefix /usr --component package >/dev/null
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$tree/usr/bin/smtpscope"
install -D -m 644 deploy/smtpscope.jsonc "$tree/etc/smtpscope/smtpscope.jsonc"
if [ -e deploy/smtpscope.service ]; then
  install -D -m 644 deploy/smtpscope.service "$tree/lib/systemd/system/smtpscope.service"
fi

doc=$tree/usr/share/doc/smtpscope
install -D -m 644 -t "$doc" deploy/debian/copyright deploy/debian/README.Debian README.md
install -D -m 644 -t "$doc/docs" docs/*.md docs/*.json
gzip -9nc deploy/debian/changelog >"$doc/changelog.gz"
find "$tree/usr/share/man" -type f -exec gzip -9n {} +

# What the program is linked with, as packages. dpkg-shlibdeps wants the source package's control file.
mkdir -p "$work/debian"
printf 'Source: smtpscope\n\nPackage: smtpscope\nArchitecture: any\n' >"$work/debian/control"
shlibs=$(cd "$work" && dpkg-shlibdeps -O tree/usr/bin/smtpscope 2>"$work/shlibs.log" | sed -n 's/^shlibs:Depends=//p')
[ -n "$shlibs" ] || { cat "$work/shlibs.log" >&2; exit 1; }

sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SHLIBS@/$shlibs/" \
    -e "s/@SIZE@/$(du -sk --apparent-size --exclude DEBIAN "$tree" | cut -f 1)/" deploy/debian/control.in >"$tree/DEBIAN/control"
install -m 755 -t "$tree/DEBIAN" deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm
(cd "$tree" && find etc -type f -printf '/%p\n') >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr lib -type f -print0 2>/dev/null | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"

package=$root/build/smtpscope_${version}_$architecture.deb
mkdir -p "$root/build"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s) dpkg-deb --root-owner-group --build "$tree" "$package" >/dev/null
echo "$package"
