"""Rows that come batch by batch, and prepared sets."""

import json
import os
import shutil
import sys

import numpy
import pandas
import pytest
from scipy import sparse

import lambdaml
from lambdaml import _parquet
from test_train import rows


def chunks(X, y, size=130):
    return [(X[i : i + size], y[i : i + size]) for i in range(0, len(y), size)]


def read_back(uri):
    """Features and labels of a prepared set, by NumPy alone."""
    from lambdaml import _safetensors

    with open(os.path.join(uri, "manifest.json")) as file:
        manifest = json.load(file)
    n = len(manifest["part_rows"])
    parts = [_safetensors.read(os.path.join(uri, f"{i}_{n}"))[0] for i in range(n)]
    return manifest, [part["values"] for part in parts], [part.get("labels", part.get("targets")) for part in parts]


@pytest.mark.parametrize("again", [True, False])
def test_batches_become_a_prepared_set(again):
    X, y = rows(1000)
    batches = chunks(X, y)
    stream = lambdaml.Dataset.from_batches(batches if again else iter(batches))
    uri = stream.save("set", parts=7)
    manifest, values, labels = read_back("set")
    assert manifest["in_order"] and manifest["part_rows"] == [142, 143, 143, 143, 143, 143, 143]
    numpy.testing.assert_array_equal(numpy.concatenate(values), X)
    numpy.testing.assert_array_equal(numpy.concatenate(labels), y)
    run = lambdaml.train(data=uri, workers=7, valid_ratio=0)
    whole = lambdaml.train(data=(X, y), workers=7, valid_ratio=0)
    numpy.testing.assert_allclose(run.model["weight"], whole.model["weight"], atol=2e-4)
    # The rows in memory are the same, too.
    loaded = lambdaml.Dataset.from_batches(batches).load()
    assert (loaded.rows, loaded.features) == (1000, 6)


def test_tables_texts_targets_and_weights_pass_through_batches():
    frame = pandas.DataFrame({"a": [1.0, 2, 3, 4, 5], "b": [0, 1, 0, 1, 0], "kind": ["x", "z", "y", "x", "z"]})
    parts = [frame[:2], frame[2:]]
    lambdaml.Dataset.from_batches(iter(parts), label="kind").save("texts", parts=2)
    manifest, _, labels = read_back("texts")
    assert json.loads(manifest["names"]) == {"features": ["a", "b"], "labels": ["x", "y", "z"], "label": "kind"}
    assert numpy.concatenate(labels).tolist() == [0, 2, 1, 0, 2]
    # One real number among whole ones makes all of them targets.
    numbers = [(frame[["a"]][:2], [1, 2]), (frame[["a"]][2:], [3, 4.5, 5])]
    lambdaml.Dataset.from_batches(numbers).save("numbers", parts=1)
    manifest, _, targets = read_back("numbers")
    assert manifest["targets"] and targets[0].tolist() == [1, 2, 3, 4.5, 5]
    X, y = rows(400)
    weights = numpy.random.default_rng(0).random(400)
    tables = [pandas.DataFrame(X, columns=list("abcdef")).assign(y=y, w=weights)[part] for part in (slice(100), slice(100, 400))]
    lambdaml.Dataset.from_batches(tables, label="y", weights="w").save("named", parts=2)
    weighed = [(X[:100], y[:100], weights[:100]), (X[100:], y[100:], weights[100:])]
    lambdaml.Dataset.from_batches(weighed).save("weighed", parts=2)
    manifest, values, _ = read_back("named")
    assert json.loads(manifest["names"]) == {"features": list("abcdef"), "label": "y", "weight": "w"}
    numpy.testing.assert_array_equal(numpy.concatenate(values), numpy.concatenate(read_back("weighed")[1]))
    named = lambdaml.Dataset(pandas.concat(tables), "y", weights="w")
    assert named.feature_names == list("abcdef")
    for data in ("named", named, (pandas.concat(tables), "y", "w")):
        again = lambdaml.train(data=data, workers=2, valid_ratio=0)
        assert again.model["weight"].tobytes() == lambdaml.train(data="weighed", workers=2, valid_ratio=0).model["weight"].tobytes()
        # The model finds its columns by name, and needs no weights.
        assert (again.model.predict(tables[1]) == again.model.predict(tables[1].drop(columns=["y", "w"]))).all()
    with pytest.raises(ValueError, match="X has no column 'v'"):
        lambdaml.Dataset(tables[0], "y", weights="v")
    with pytest.raises(ValueError, match="weights is the name 'w', and X has no columns with names"):
        lambdaml.Dataset(X, y, weights="w")
    run = lambdaml.train(data="weighed", workers=2, valid_ratio=0)
    whole = lambdaml.train(data=lambdaml.Dataset(X, y, weights=weights), workers=2, valid_ratio=0)
    numpy.testing.assert_allclose(run.model["weight"], whole.model["weight"], atol=2e-4)


def test_sparse_batches_stay_sparse():
    X = sparse.random(300, 80, 0.1, format="csr", random_state=0)
    y = numpy.arange(300) % 2
    batches = [(X[i : i + 77], y[i : i + 77]) for i in range(0, 300, 77)]
    for form in (batches, iter(batches)):
        lambdaml.Dataset.from_batches(form).save("sparse", parts=3)
        with open("sparse/manifest.json") as file:
            manifest = json.load(file)
        assert manifest["sparse"] and manifest["stored_values"] == X.nnz


def test_rows_in_memory_are_saved_as_by_the_command():
    X, y = rows(100)
    data = lambdaml.Dataset(X, y)
    assert data.save("set", parts=3) == f"file://{os.path.abspath('set')}"
    _, values, _ = read_back("set")
    numpy.testing.assert_array_equal(values[1], X[1::3])
    assert lambdaml.Dataset.read("set").rows == 100


def test_saving_takes_the_memory_of_a_part(run_python):
    code = """
import resource, numpy, lambdaml
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
class Batches:
    def __iter__(self):
        random = numpy.random.default_rng(0)
        for _ in range(100):
            X = random.standard_normal((10_000, 40), dtype=numpy.float32)
            yield X, (X[:, 0] > 0).astype(int)
lambdaml.Dataset.from_batches([(numpy.eye(4), [0, 1, 0, 1])]).save("warm", parts=1)
before = peak()
lambdaml.Dataset.from_batches(Batches()).save("set", parts=50)
print((peak() - before) / 1024)
"""
    # All rows are 160 MB, a part is 3.2 MB, a batch 1.6 MB.
    assert float(run_python(code, timeout=200)) < 40


def test_bad_batches_are_value_errors():
    X, y = rows(100)
    stream = lambda *batches: lambdaml.Dataset.from_batches(list(batches))
    for make, text in (
        (lambda: stream((X, y)).save("set", parts=101), "100 rows cannot be cut in 101 parts"),
        (lambda: stream((X, y)).save("set", parts=0), "parts must be a whole number from 1"),
        (lambda: stream().save("set", parts=1), "the data have no rows"),
        (lambda: stream((X, y), (X[:, :2], y)).save("set", parts=3), "columns"),
        (lambda: stream((X, y), (X, ["a"] * 100)).save("set", parts=2), "texts in some batches"),
        (lambda: stream((X, y[:7])).save("set", parts=2), "one value for each of its 100 rows"),
        (lambda: stream((X * numpy.nan, y)).save("set", parts=2), "NaN"),
        (lambda: stream((X[0], y)).save("set", parts=2), "1 dimensions"),
        (lambda: stream((numpy.array([["a"]]), [1])).save("set", parts=1), "no numbers"),
        (lambda: lambdaml.Dataset.from_batches(iter([(X, numpy.array([1, "a"] * 50, dtype=object))])), "several types"),
    ):
        with pytest.raises(ValueError, match=text):
            make()
        # Nothing is left of a set that was not finished.
        assert not os.path.exists("set") or os.listdir("set") == [], text

    class Shrinking:
        left = [3, 1]

        def __iter__(self):
            return iter([(X, y)] * self.left.pop(0))

    with pytest.raises(ValueError, match="have 100 rows when they are read again, and 300 before"):
        lambdaml.Dataset.from_batches(Shrinking()).save("set", parts=2)


@pytest.mark.parametrize("label", ["texts", "numbers", None])
@pytest.mark.parametrize("again", [True, False])
def test_batches_without_rows_are_left_out(label, again):
    X, y = rows(100)
    y = {"texts": numpy.array(["no", "yes"])[y], "numbers": y, None: None}[label]

    def arrays(begin, end, columns=6):
        return X[begin:end, :columns] if y is None else (X[begin:end, :columns], y[begin:end])

    def table(begin, end, columns=6):
        frame = pandas.DataFrame(X[begin:end, :columns]).add_prefix("x")
        return frame if y is None else frame.assign(y=y[begin:end])

    def sparse_rows(begin, end, columns=6):
        part = sparse.csr_matrix(X[begin:end, :columns])
        return part if y is None else (part, y[begin:end])

    nothing = [[], ([], []), numpy.empty(0)]
    for make, name in ((arrays, None), (table, y if y is None else "y"), (sparse_rows, None)):
        batches = [make(0, 0), make(0, 30), *nothing, make(30, 30), make(30, 100), make(100, 100)]
        source = lambda: lambdaml.Dataset.from_batches(batches if again else iter(batches), label=name)
        assert source().load().rows == 100
        source().save("set", parts=3)
        lambdaml.Dataset.from_batches([make(0, 100)], label=name).save("wanted", parts=3)
        if make is not sparse_rows:
            (_, ours, our_labels), (_, theirs, their_labels) = read_back("set"), read_back("wanted")
            numpy.testing.assert_array_equal(numpy.concatenate(ours), numpy.concatenate(theirs))
            if y is not None:
                numpy.testing.assert_array_equal(numpy.concatenate(our_labels), numpy.concatenate(their_labels))
        shutil.rmtree("set"), shutil.rmtree("wanted")
        # Their columns are checked.
        with pytest.raises(ValueError, match="a batch has other columns than the first one"):
            lambdaml.Dataset.from_batches([make(0, 30), make(30, 30, columns=2)], label=name).load()
        with pytest.raises(ValueError, match="the data have no rows"):
            lambdaml.Dataset.from_batches([make(0, 0), *nothing], label=name).load()


@pytest.mark.parametrize("label", ["y", None])
def test_an_empty_data_frame_is_a_batch_without_rows(label):
    X, y = rows(60)
    table = pandas.DataFrame(X).add_prefix("x")
    table = table if label is None else table.assign(y=y)
    batches = [pandas.DataFrame(), table[:30], pandas.DataFrame(), table[30:], (pandas.DataFrame(), pandas.Series(dtype=float))]
    for source in (batches, iter(batches)):
        assert lambdaml.Dataset.from_batches(source, label=label).load().rows == 60


def test_an_error_of_the_batches_is_passed_on():
    X, y = rows(100)

    class Broken:
        count = 0

        def __iter__(self):
            self.count += 1
            yield X, y
            if self.count == 2:
                raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        lambdaml.Dataset.from_batches(Broken()).save("set", parts=1)
    assert not os.path.exists("set/manifest.json")


def test_parquet_without_a_library_is_a_line(monkeypatch):
    for name in ("pyarrow", "polars", "duckdb"):
        monkeypatch.setitem(sys.modules, name, None)
    import importlib.util

    found = importlib.util.find_spec
    absent = ("pyarrow", "polars", "duckdb")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else found(name))
    with pytest.raises(lambdaml.Unavailable, match="pip install pyarrow"):
        lambdaml.Dataset.from_parquet("rows.parquet", label="y")


def test_a_parquet_file_that_is_missing_or_forbidden_is_not_called_corrupt(monkeypatch):
    class Library:
        def names(self, path):
            raise OSError("the library's own words")

    monkeypatch.setattr(_parquet, "_reader", Library)
    for name in ("removed.parquet", "forbidden.parquet", "broken.parquet"):
        with open(name, "wb") as file:
            file.write(b"PAR1 no")
    removed, forbidden, broken = (
        lambdaml.Dataset.from_parquet(os.path.abspath(f"{name}.parquet")) for name in ("removed", "forbidden", "broken")
    )
    os.remove("removed.parquet")
    os.chmod("forbidden.parquet", 0)
    with pytest.raises(FileNotFoundError, match="removed.parquet"):
        removed.load()
    user = os.geteuid()
    if user == 0:  # whom nothing is forbidden
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="forbidden.parquet"):
            forbidden.load()
    finally:
        os.seteuid(user)
    with pytest.raises(lambdaml.DataCorrupt, match="^/.*broken.parquet: it cannot be read as Parquet: the library's own words$"):
        broken.load()
