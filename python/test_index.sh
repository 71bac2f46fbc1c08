#!/bin/sh
# Tests the wheel in a new virtual environment, beside the newest packages of the Python package index.
# As: python/test_index.sh PYTHON FOLDER-OF-THE-WHEEL
set -eu
python=$1 folder=$2
cd "$(dirname "$0")/.."
venv=$PWD/build/index-venv
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check \
  "$folder"/lambdaml-*.whl duckdb matplotlib mypy pandas polars pyarrow pytest scikit-learn scipy
"$venv/bin/pip" list --disable-pip-version-check | grep -iE '^(lambdaml|duckdb|numpy|pandas|polars|pyarrow|scikit)'
# Debian's processors of BLAS are no matter here, and nothing of the build folder is found.
unset PYTHONPATH OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
export PYTHONDONTWRITEBYTECODE=1 PATH="$venv/bin:$PATH"
"$venv/bin/python" -m pytest -q -p no:cacheprovider python/tests/index python/tests/test_estimators.py \
  -k 'index or check_estimator or scikit_learns_tools or bad_input or bad_weights or partial_fit or warm_start or kmeans or code_for or effect or types'
