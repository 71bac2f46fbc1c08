#!/usr/bin/env bash
# The zip for AWS Lambda on arm64, made on a Debian machine of any kind: FOLDER/sysroot of Debian's arm64 packages,
# FOLDER/build of the worker against it, and what LAMBDAML (the command of this machine) packages of both. Nothing outside
# FOLDER changes, and no rights are needed. ARM64_CXX=clang++ builds by clang instead of Debian's cross compiler, JOBS=1
# with one process.
#   packages/arm64.sh LAMBDAML FOLDER ZIP
set -euo pipefail
lambdaml=$(realpath "$1") folder=$(realpath -m "$2") zip=$(realpath -m "$3")
source=$(cd "$(dirname "$0")/.." && pwd)
sysroot=$folder/sysroot build=$folder/build
mkdir -p "$folder"

# The libraries of the build; its programs run on this machine.
packages=$(grep -Evx 'g\+\+|cmake|ninja-build|pkg-config|thrift-compiler' "$source/packages/build.txt" | paste -sd,)
packages=libc6-dev,libstdc++-$(aarch64-linux-gnu-g++ -dumpversion)-dev,$packages
if [[ $(cat "$sysroot/.packages" 2>/dev/null) != "$packages" ]]; then
  rm -rf "$sysroot"
  # From where this machine's packages come.
  sources=()
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [[ ${#sources[@]} -eq 0 && -e $file ]] && sources=("$file")
  done
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mmdebstrap --quiet --mode=chrootless --variant=extract --architectures=arm64 --include="$packages" "$suite" \
    "$sysroot" "${sources[@]}"
  # Links of the tree stay within it.
  find "$sysroot" -type l -lname '/*' -print0 | while IFS= read -r -d '' link; do
    ln -srfn "$sysroot$(readlink "$link")" "$link"
  done
  echo "$packages" >"$sysroot/.packages"
fi

compilers=()
if [[ -n ${ARM64_CXX:-} ]]; then
  compilers=("-DCMAKE_C_COMPILER=${ARM64_CXX/clang++/clang}" "-DCMAKE_CXX_COMPILER=$ARM64_CXX")
fi
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$source/cmake/arm64.cmake" \
  -DLAMBDAML_SYSROOT="$sysroot" "${compilers[@]}" -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=ON \
  -DCMAKE_UNITY_BUILD_BATCH_SIZE=16 -DLAMBDAML_TORCH=OFF >"$folder/configure.log" 2>&1 ||
  { tail -n 20 "$folder/configure.log" >&2; exit 1; }
cmake --build "$build" -j "${JOBS:-$(nproc)}" --target lambdaml-worker lambdaml-bootstrap
"$lambdaml" package --worker "$build/bin/lambdaml-worker" --sysroot "$sysroot" -o "$zip"
