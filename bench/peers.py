#!/usr/bin/python3
"""Times numpy, scipy and scikit-learn on the shapes of shapes.h and writes JSON: name → seconds.

Run with Debian's /usr/bin/python3 (python3-numpy, python3-scipy, python3-sklearn, and
libopenblas0-pthread, without which numpy multiplies with the slow reference BLAS).
"""
import json
import os
import sys
import tempfile
import time
import warnings

for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    if variable in os.environ:  # they make OpenBLAS choose slower kernels
        del os.environ[variable]
        os.execv(sys.executable, [sys.executable] + sys.argv)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import scipy.sparse
from sklearn.cluster import KMeans
from sklearn.datasets import load_svmlight_file
from sklearn.linear_model import SGDClassifier

ROWS, COLS = 1_000_000, 28
SPARSE_ROWS, SPARSE_COLS, MEAN_ENTRIES = 200_000, 47_236, 73


def best(run, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def dense():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((ROWS, COLS), dtype=np.float32)
    y = (x[:, 0] - x[:, 1] + x[:, 2] + rng.standard_normal(ROWS) > 0).astype(np.float32)
    return x, y


def sparse():
    rng = np.random.default_rng(2)
    gap = 2 * SPARSE_COLS // MEAN_ENTRIES
    columns = np.cumsum(1 + rng.integers(0, gap, (SPARSE_ROWS, 2 * MEAN_ENTRIES)), axis=1) - 1
    mask = columns < SPARSE_COLS
    indices = columns[mask].astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int32)
    values = rng.random(len(indices), dtype=np.float32)
    x = scipy.sparse.csr_matrix((values, indices, offsets), shape=(SPARSE_ROWS, SPARSE_COLS))
    sign = np.where(np.arange(SPARSE_COLS) % 2 == 0, 1, -1).astype(np.float32)
    return x, (x @ sign > 0).astype(np.float32)


def numpy_epoch(x, y, batch):
    """Logistic regression: gradient and step for each batch, the loss too, as ours."""
    w = np.full(COLS, 0.01, dtype=np.float32)
    for i in range(0, len(x), batch):
        xb, yb = x[i : i + batch], y[i : i + batch]
        z = xb @ w
        e = np.exp(-np.abs(z))
        loss = float(np.sum(np.maximum(z, 0) - z * yb + np.log1p(e)))
        residual = np.where(z > 0, 1, e) / (1 + e) - yb
        w -= np.float32(0.01 / len(xb)) * (xb.T @ residual)
    return loss


def kmeans_seconds(x, k):
    """Seconds per iteration of lloyd: of a fit of 10 iterations, divided by 10, as its user waits for
    them; and of one more iteration, without the set-up."""

    def fit(iterations):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KMeans(k, init=x[:k], n_init=1, max_iter=iterations, tol=0, algorithm="lloyd").fit(x)

    ten = best(lambda: fit(10), 2)
    return ten / 10, max(ten - best(lambda: fit(1), 2), 0) / 9


def text_bytes_per_second(rows):
    """Parsing of LIBSVM text, rows of (label, [(index, value)]) with 6 digits, in bytes per second."""
    with tempfile.NamedTemporaryFile("w", suffix=".libsvm") as file:
        for label, entries in rows:
            fields = " ".join(f"{i + 1}:{v:.6g}" for i, v in entries)
            file.write(f"{int(label)} {fields}\n")
        file.flush()
        size = os.path.getsize(file.name)
        return size / best(lambda: load_svmlight_file(file.name, dtype=np.float32), 2)


def csv_bytes_per_second(rows):
    """Parsing of a table of numbers with 6 digits, in bytes per second."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        np.savetxt(file, rows, fmt="%.6g", delimiter=",")
        file.flush()
        size = os.path.getsize(file.name)
        return size / best(lambda: np.loadtxt(file.name, dtype=np.float32, delimiter=","), 2)


def main():
    results = {}
    x, y = dense()
    results["numpy_full"] = best(lambda: numpy_epoch(x, y, ROWS), 5)
    results["numpy_batch_10000"] = best(lambda: numpy_epoch(x, y, 10_000), 5)
    for k in (10, 100):
        results[f"sklearn_kmeans_{k}"], results[f"sklearn_kmeans_{k}_one_more"] = kmeans_seconds(x, k)
    results["sklearn_text_dense"] = text_bytes_per_second(
        (label, enumerate(row)) for row, label in zip(x[:50_000], y))
    results["numpy_csv"] = csv_bytes_per_second(x[:50_000])
    xs, ys = sparse()
    results["sklearn_text_sparse"] = text_bytes_per_second(
        (ys[r], zip(xs[r].indices, xs[r].data)) for r in range(10_000))
    sgd = SGDClassifier(loss="log_loss", max_iter=1, tol=None)
    results["sklearn_sgd_sparse"] = best(lambda: sgd.fit(xs, ys), 3)
    vectors = np.full((8, 3_200_000), 0.5, dtype=np.float32)
    results["numpy_merge"] = best(lambda: vectors.sum(axis=0), 5)
    with open(sys.argv[1], "w") as out:
        json.dump(results, out, indent=1)


if __name__ == "__main__":
    main()
