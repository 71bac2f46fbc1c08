"""Stores, and predictions where the data are."""

import csv
import os

import numpy
import pytest

import lambdaml
from test_train import rows


@pytest.mark.parametrize("uri", ["memory://of-this-test", "folder"])
def test_a_store_is_a_mapping(uri):
    store = lambdaml.storage.open(uri)
    assert store.load("a/b") is None and "a/b" not in store and len(store) == 0
    store["a/b"] = b"bytes\0"
    store.save("a/c", numpy.arange(3, dtype=numpy.int32))
    assert store["a/b"] == b"bytes\0"
    assert numpy.frombuffer(store["a/c"], numpy.int32).tolist() == [0, 1, 2]
    assert store.list("a/") == {"a/b": 6, "a/c": 12} and list(store) == ["a/b", "a/c"]
    del store["a/b"]
    with pytest.raises(KeyError):
        store["a/b"]
    with pytest.raises(KeyError):
        del store["a/b"]
    store.clear("a/")
    assert len(store) == 0
    with pytest.raises(ValueError):
        store[""] = b""
    with pytest.raises(ValueError):
        store["strided"] = numpy.arange(6)[::2]


def test_unknown_stores_are_named():
    with pytest.raises(lambdaml.InvalidArgument, match="did you mean .*'redis'"):
        lambdaml.storage.open("rediss3://host")


@pytest.mark.parametrize("platform", ["threads", "local"])
def test_functions_predict_what_the_model_predicts(platform):
    X, y = rows(500)
    run = lambdaml.train(data=(X, y), workers=2, valid_ratio=0)
    numpy.savez("rows.npz", X=X, y=y)
    found = lambdaml.predict(run, "rows.npz", "out", workers=3, platform=platform, proba=True)
    assert found["parts"] == 3 and found["rows"] == 500
    assert found["accuracy"] == pytest.approx((run.model.predict(X) == y).mean())
    table = []
    for part in sorted(name for name in os.listdir("out") if name.endswith(".csv")):
        with open(os.path.join("out", part), newline="") as file:
            table += list(csv.DictReader(file))
    assert [int(row["label"]) for row in table] == run.model.predict(X).tolist()
    with pytest.raises(lambdaml.NotFound):
        lambdaml.predict("absent", "rows.npz", "out2")
