#!/usr/bin/python3
"""The safetensors package's own reader against models, shards and checkpoints.

Usage: safetensors_reads.py LAMBDAML FOLDER     with `safetensors` and `numpy` of the Python package index importable
"""
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open

LAMBDAML, FOLDER = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir(parents=True)


def lambdaml(*arguments):
    result = subprocess.run([str(LAMBDAML), *map(str, arguments)], cwd=FOLDER, check=True, capture_output=True, text=True)
    return result.stdout


def read(name):
    """The tensors and the metadata of a file."""
    with safe_open(FOLDER / name, "np") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()


# Dense and sparse rows, of two and of more classes.
for kind, more in (("higgs", ()), ("rcv1", ("--features", 400, "--nnz", 20)), ("blobs", ("--clusters", 4))):
    lambdaml("data", "synth", kind, "--rows", 500, *more, "-o", f"{kind}.libsvm")
    lambdaml("data", "split", f"{kind}.libsvm", "--parts", 2, "--to", f"{kind}-set")
    text = [line.split() for line in (FOLDER / f"{kind}.libsvm").read_text().splitlines()]
    labels = sorted({int(float(row[0])) for row in text})
    rows = sum(len(read(f"{kind}-set/{part}_2")[0]["labels"]) for part in (0, 1))
    assert rows == len(text), (rows, len(text))
    values = np.sort(np.concatenate([read(f"{kind}-set/{part}_2")[0]["values"].ravel() for part in (0, 1)]))
    wanted = np.sort(np.array([field.split(":")[1] for row in text for field in row[1:]], np.float32))
    assert np.array_equal(values[values != 0], wanted[wanted != 0]), (values, wanted)

    lambdaml("train", "-q", "--data", f"{kind}.libsvm", "--workers", 2, "--optim", "grad_avg", "--epochs", 4,
             "--stop-after", 3, "--output", kind)
    shown = json.loads(lambdaml("model", kind, "--json").splitlines()[-1])
    tensors, about = read(f"{kind}/model.safetensors")
    assert about["model"] == "lr" and json.loads(about["labels"]) == labels, about
    assert np.allclose(tensors["weight"], shown["coefficients"][-len(tensors["weight"]):], rtol=1e-6), shown
    states = {worker: max((read(path) for path in (FOLDER / kind / "checkpoint").glob(f"*/{worker}_2.?.safetensors")),
                          key=lambda state: int(state[1]["epoch"])) for worker in (0, 1)}
    assert [about["epoch"] for _, about in states.values()] == ["3", "3"], states
    merged = [tensors["state.parameters"] for tensors, _ in states.values()]
    assert np.array_equal(*merged) and merged[0].size == tensors["weight"].size + tensors["bias"].size, merged
    print(f"{kind}: a model, 2 shards with {rows} rows and 2 checkpoints, read by safetensors")
