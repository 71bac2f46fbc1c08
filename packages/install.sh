#!/bin/sh
# Installs the Debian packages that the named lists (packages/LIST.txt) hold and that are missing.
# As: packages/install.sh build test
set -eu
folder=$(dirname "$0")
missing=
for list in "$@"; do
  for package in $(cat "$folder/$list.txt"); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "packages/install.sh: not a Debian system; install by hand what stands for:$missing" >&2
  exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then as_root=sudo; fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
