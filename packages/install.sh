#!/bin/sh
# Installs the Debian packages that the named lists (packages/LIST.txt) hold and that are missing, and
# the npm packages of packages/LIST.npm.txt into build/npm.
# As: packages/install.sh build test
set -eu
folder=$(dirname "$0")
missing=
for list in "$@"; do
  for package in $(cat "$folder/$list.txt"); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
done
npm_missing=
for list in "$@"; do
  [ -f "$folder/$list.npm.txt" ] || continue
  for package in $(cat "$folder/$list.npm.txt"); do
    [ -d "$folder/../build/npm/node_modules/${package%@*}" ] || npm_missing="$npm_missing $package"
  done
done
if [ -n "$npm_missing" ] && ! command -v npm >/dev/null 2>&1; then missing="$missing npm"; fi

if [ -n "$missing" ]; then
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
fi
if [ -n "$npm_missing" ]; then
  echo "installing by npm:$npm_missing"
  # Nothing is compiled: aws-lambda-ric would build libcurl.
  # shellcheck disable=SC2086
  npm install --ignore-scripts --silent --no-fund --no-audit --prefix "$folder/../build/npm" $npm_missing >/dev/null
fi
