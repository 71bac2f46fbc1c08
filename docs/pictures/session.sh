#!/usr/bin/env bash
# The session that `make pictures` records: real commands, typed slowly. As: session.sh BIN
set -euo pipefail
export PATH="$1:$PATH"
cd "$(mktemp -d /tmp/demo-XXX)"
trap 'rm -r "$PWD"' EXIT

say() {
  printf '\e[32m$\e[0m '
  local i
  for ((i = 0; i < ${#1}; i++)); do
    printf '%s' "${1:i:1}"
    sleep 0.03
  done
  sleep 0.4
  printf '\n'
  eval "$1"
  sleep 1.2
}

say 'lambdaml data synth higgs --rows 200000 -o higgs.libsvm'
say 'lambdaml train --data higgs.libsvm --optim model_avg --epochs 20 --workers 4 --output run'
say 'lambdaml predict --model run --data higgs.libsvm --out labels.txt'
say 'lambdaml report run'
sleep 2
