"""The wheel, beside packages that Debian has not: Parquet, Arrow, Polars, DuckDB, and the newest of all others."""

import json
import os
import pathlib
import subprocess
import sys

import numpy
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest

import lambdaml
from lambdaml import _parquet

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))


def frame(n=3000, seed=0):
    random = numpy.random.default_rng(seed)
    X = random.normal(size=(n, 3))
    kind = numpy.where(X @ [1, -2, 3] + 0.1 * random.normal(size=n) > 0, "yes", "no")
    return pandas.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2].astype("float32"), "n": numpy.arange(n), "kind": kind})


def test_the_wheel_is_what_is_tested():
    folder = pathlib.Path(lambdaml.__file__).parent
    assert folder.is_relative_to(sys.prefix)
    assert (folder / "lambdaml-worker").exists() and not (folder / "lambdaml-worker").is_symlink()


def test_the_command_comes_with_the_wheel():
    command = pathlib.Path(sys.prefix, "bin", "lambdaml")
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert lambdaml.__version__ in said
    frame(200).drop(columns="kind").assign(label=numpy.arange(200) % 2).to_csv("rows.csv", index=False)
    subprocess.run([command, "train", "--data", "rows.csv", "--workers", "2", "-q"], check=True, timeout=60)


@pytest.mark.parametrize("platform", ["threads", "local"])
def test_workers_of_the_wheel_train(platform):
    table = frame()
    X, y = table[["a", "b", "c"]], table["kind"]
    model = lambdaml.LogisticRegression(workers=2, platform=platform).fit(X, y)
    assert model.score(X, y) > 0.95


@pytest.mark.parametrize("make", [polars.from_pandas, pyarrow.Table.from_pandas, lambda table: table])
def test_tables_of_all_libraries_are_the_same(make):
    table = frame()
    data = lambdaml.Dataset(make(table), "kind")
    assert (data.rows, data.feature_names) == (3000, ["a", "b", "c", "n"])
    run = lambdaml.train(data=data, workers=2, valid_ratio=0)
    whole = lambdaml.train(data=(table.drop(columns="kind"), table["kind"]), workers=2, valid_ratio=0)
    assert run.model["weight"].tobytes() == whole.model["weight"].tobytes()
    assert set(run.model.predict(table.drop(columns="kind"))) == {"yes", "no"}


@pytest.mark.parametrize("again", [True, False])
def test_batches_of_a_reader_become_shards(again):
    table = pyarrow.Table.from_pandas(frame())
    batches = table.to_batches(max_chunksize=700) if again else table.to_reader(max_chunksize=700)
    lambdaml.Dataset.from_batches(batches, label="kind").save("set", parts=4)
    with open("set/manifest.json") as file:
        names = json.loads(json.load(file)["names"])
    assert names == {"features": ["a", "b", "c", "n"], "labels": ["no", "yes"], "label": "kind"}
    assert lambdaml.train(data="set", workers=4).summary["train_accuracy"] > 0.95


@pytest.mark.parametrize("make", [polars.from_pandas, pyarrow.Table.from_pandas, lambda table: table])
def test_estimators_take_the_tables_of_all_libraries(make):
    table = frame()
    X, y = make(table.drop(columns="kind")), table["kind"]
    model = lambdaml.LogisticRegression().fit(X, y)
    assert list(model.feature_names_in_) == ["a", "b", "c", "n"] and model.score(X, y) > 0.95
    assert lambdaml.KMeans(3, random_state=0).fit(X).predict(X).shape == (3000,)


READERS = {"pyarrow": _parquet._PyArrow, "polars": _parquet._Polars, "duckdb": _parquet._DuckDb}


@pytest.fixture(params=READERS)
def reader(request, monkeypatch):
    monkeypatch.setattr(_parquet, "_reader", READERS[request.param])
    monkeypatch.setattr(_parquet, "_ROWS", 700)
    return request.param


@pytest.mark.parametrize("store", ["folder", "memory"])
def test_parquet_becomes_shards(reader, store):
    table = frame()
    os.mkdir("days")
    for i, part in enumerate((table[:1000], table[1000:1001], table[1001:])):
        part.to_parquet(f"days/{i}.parquet", index=False, row_group_size=300)
    place = "days/*.parquet"
    if store == "memory":
        there = lambdaml.storage.open(f"memory://days-{reader}")
        for name in os.listdir("days"):
            there[name] = pathlib.Path("days", name).read_bytes()
        place = f"memory://days-{reader}/*.parquet"
    rows = lambdaml.Dataset.from_parquet(place, label="kind", columns=["c", "a", "b"])
    uri = rows.save("set", parts=7)
    with open("set/manifest.json") as file:
        manifest = json.load(file)
    assert sum(manifest["part_rows"]) == 3000 and len(manifest["part_rows"]) == 7
    assert json.loads(manifest["names"]) == {"features": ["c", "a", "b"], "labels": ["no", "yes"], "label": "kind"}
    loaded = rows.load()
    assert loaded.rows == 3000
    run = lambdaml.train(data=uri, workers=7, valid_ratio=0)
    whole = lambdaml.train(data=(table[["c", "a", "b"]], table["kind"]), workers=7, valid_ratio=0)
    numpy.testing.assert_allclose(run.model["weight"], whole.model["weight"], rtol=1e-3)
    assert (run.model.predict(table[["a", "b", "c"]]) == table["kind"]).mean() > 0.95


@pytest.mark.parametrize("store", ["folder", "memory"])
def test_places_of_parquet(store):
    """Folders and patterns lead to the same files on the disk and in a store."""
    table = frame(400).drop(columns="kind").assign(y=numpy.arange(400) % 2)
    root = "places" if store == "folder" else "memory://places"
    for i, name in enumerate(("a.parquet", "b.parquet", "days/1/x.parquet", "days/2/x.parquet", "days/2/y.txt")):
        part = table[i * 100 : (i + 1) * 100] if i < 4 else table
        part.to_parquet("part.parquet", index=False)
        path = pathlib.Path("places", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.rename("part.parquet", path)
        lambdaml.storage.open("memory://places")[name] = path.read_bytes()
    for place, firsts in (
        (root, [0, 100]),
        (f"{root}/*.parquet", [0, 100]),
        (f"{root}/a.parquet", [0]),
        ([f"{root}/b.parquet", f"{root}/a.parquet"], [100, 0]),
        (f"{root}/days/2", [300]),
        (f"{root}/days/*/x.parquet", [200, 300]),
        (f"{root}/days/[13]/?.parquet", [200]),
        (f"{root}/**/*.parquet", [0, 100, 200, 300]),
    ):
        rows = lambdaml.Dataset.from_parquet(place, label="y", columns=["n"])
        firsts_read = [batch["X"][0, 0] for batch in rows._source.batches()]
        assert firsts_read == firsts, place
        assert rows.load().rows == 100 * len(firsts)
    for place in (f"{root}/absent", f"{root}/*.csv", f"{root}/days"):
        with pytest.raises(lambdaml.NotFound, match="no such file"):
            lambdaml.Dataset.from_parquet(place, label="y")


def test_real_labels_of_parquet_are_targets(reader):
    table = frame().drop(columns="kind").assign(y=lambda t: t.a * 2 + t.b)
    table.to_parquet("rows.parquet", index=False)
    lambdaml.Dataset.from_parquet("rows.parquet", label="y").save("set", parts=2)
    run = lambdaml.train(data="set", model="linear", workers=2, valid_ratio=0)
    numpy.testing.assert_allclose(run.model["weight"][0], [2, 1, 0, 0], atol=1e-2)


def test_files_and_batches_without_rows_are_left_out(reader):
    table = pyarrow.Table.from_pandas(frame()[:50], preserve_index=False)
    empty = table.schema.empty_table()
    for name, part in (("a", empty), ("b", table), ("c", empty)):
        pyarrow.parquet.write_table(part, f"{name}.parquet")
    rows = lambdaml.Dataset.from_parquet("*.parquet", label="kind")
    assert rows.load().rows == 50
    rows.save("set", parts=2)
    with pytest.raises(ValueError, match="the data have no rows"):
        lambdaml.Dataset.from_parquet("a.parquet", label="kind").load()
    nothing = pyarrow.RecordBatch.from_pylist([], schema=table.schema)
    batches = [nothing, *table.to_batches(max_chunksize=20), nothing]
    batches = pyarrow.RecordBatchReader.from_batches(table.schema, batches)
    assert lambdaml.Dataset.from_batches(batches, label="kind").load().rows == 50


def test_weights_of_parquet(reader):
    table = frame()
    table["w"] = numpy.arange(len(table)) % 3
    table.to_parquet("rows.parquet", index=False)
    lambdaml.Dataset.from_parquet("rows.parquet", label="kind", columns=["a", "b"], weights="w").save("set", parts=2)
    run = lambdaml.train(data="set", workers=2, valid_ratio=0)
    for rows in (table, polars.from_pandas(table), pyarrow.Table.from_pandas(table)):
        data = lambdaml.Dataset(rows[["a", "b", "kind", "w"]] if rows is table else rows.select(["a", "b", "kind", "w"]), "kind", weights="w")
        whole = lambdaml.train(data=data, workers=2, valid_ratio=0)
        numpy.testing.assert_allclose(run.model["weight"], whole.model["weight"], rtol=1e-3)
    with pytest.raises(ValueError, match="no column 'v'"):
        lambdaml.Dataset.from_parquet("rows.parquet", weights="v").save("other", parts=2)


def test_bad_parquet_is_named(reader):
    table = frame(100)
    table.to_parquet("rows.parquet", index=False)
    table.assign(a=table.a.where(table.a > 0)).to_parquet("missing.parquet", index=False)
    table.assign(kind=table.kind.where(table.a > 0, None)).to_parquet("unlabelled.parquet", index=False)
    with open("broken.parquet", "wb") as file:
        file.write(b"PAR1 no")
    for place, options, text in (
        ("rows.parquet", {"label": "sort"}, "the file has no column 'sort'; it has a, b, c, n, kind"),
        ("rows.parquet", {}, "'kind' has .*no numbers"),
        ("missing.parquet", {"label": "kind"}, "NaN|'a' has missing values"),
        ("unlabelled.parquet", {"label": "kind"}, "missing values|several types|no numbers|of the type"),
    ):
        with pytest.raises(ValueError, match=text):
            lambdaml.Dataset.from_parquet(place, **options).save("set", parts=2)
    with pytest.raises(lambdaml.NotFound, match="no such file"):
        lambdaml.Dataset.from_parquet("absent/*.parquet")
    for place in ("broken.parquet", "[abr]*.parquet"):
        with pytest.raises(lambdaml.DataCorrupt, match="^broken.parquet: it cannot be read as Parquet: ") as raised:
            lambdaml.Dataset.from_parquet(place).save("set", parts=2)
        assert "\n" not in str(raised.value)
    gone = lambdaml.Dataset.from_parquet("rows.parquet", label="kind")
    os.remove("rows.parquet")
    with pytest.raises(FileNotFoundError, match="rows.parquet"):
        gone.save("set", parts=2)
    assert not os.path.exists("set/manifest.json")


def test_parquet_takes_the_memory_of_a_part():
    """A gigabyte of float32 would be 10 times the bound."""
    random = numpy.random.default_rng(0)
    schema = pyarrow.schema([(f"f{i}", pyarrow.float32()) for i in range(40)] + [("y", pyarrow.int32())])
    with pyarrow.parquet.ParquetWriter("rows.parquet", schema) as writer:
        for _ in range(64):
            columns = [pyarrow.array(random.standard_normal(32_768, dtype=numpy.float32)) for _ in range(40)]
            writer.write_table(pyarrow.Table.from_arrays([*columns, pyarrow.array(numpy.arange(32_768, dtype="i4") % 2)], schema=schema))
    code = """
import resource, lambdaml, pyarrow.parquet
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
lambdaml.Dataset.from_parquet("rows.parquet", label="y").save("set", parts=64)
print((peak() - before) / 1024)
"""
    # 335 MB of rows; a batch has 10 MB, a part 5 MB.
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert float(said.stdout) < 120


def test_types_are_those_that_the_stubs_say():
    """By mypy: a user's program, and all that is there against what is declared."""
    here = pathlib.Path(__file__).parent
    with open("mypy.ini", "w") as file:
        file.write("[mypy]\nignore_missing_imports = True\n")
    for command in (
        ["mypy", "--strict", here / "typed_program.py"],
        ["mypy.stubtest", "--mypy-config-file", "mypy.ini", "--allowlist", here / "stubtest_allowed.txt"]
        + ["--ignore-unused-allowlist", "lambdaml"],
    ):
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    # What is declared is more than "Any".
    with open("wrong.py", "w") as file:
        file.write("import lambdaml\nlambdaml.train(workers=2).cost_usd.upper()\nlambdaml.Ridge(alpha='much')\n")
    done = subprocess.run([sys.executable, "-m", "mypy", "wrong.py"], capture_output=True, text=True, timeout=300)
    assert "Found 3 errors" in done.stdout, done.stdout
