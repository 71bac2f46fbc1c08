#!/usr/bin/python3
"""LogisticRegression of lambdaml beside scikit-learn's: a million rows of 28 columns of float32.

    PYTHONPATH=build/release/python bench/python_peers.py [rows]

Prints the seconds of each whole call, their ratio, and the largest difference of a coefficient.
"""

import sys
import time

import numpy
import sklearn.linear_model

from lambdaml import LogisticRegression

COLUMNS = 28


def timed(model, X, y):
    begin = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - begin


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    random = numpy.random.default_rng(0)
    X = random.standard_normal((rows, COLUMNS), dtype=numpy.float32)
    y = (X @ random.normal(size=COLUMNS) + random.normal(size=rows) > 0).astype(numpy.int32)
    LogisticRegression(workers=2).fit(X[:1000], y[:1000])  # loads the libraries
    ours, theirs = LogisticRegression(workers=2), sklearn.linear_model.LogisticRegression()
    ours_s, theirs_s = timed(ours, X, y), timed(theirs, X, y)
    print(f"lambdaml {ours_s:.2f} s, scikit-learn {theirs_s:.2f} s: {theirs_s / ours_s:.1f} times as fast")
    print(f"largest difference of a coefficient: {abs(ours.coef_ - theirs.coef_).max():.2g}")


if __name__ == "__main__":
    main()
