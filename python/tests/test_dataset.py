"""Data sets in memory, and the ways into them."""

import ctypes

import numpy
import pandas
import pytest
from scipy import sparse

import lambdaml


class Schema(ctypes.Structure):
    pass


Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(Schema))),
    ("dictionary", ctypes.POINTER(Schema)),
    ("release", Release),
    ("private_data", ctypes.c_void_p),
]


class Array(ctypes.Structure):
    pass


Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(Array))),
    ("dictionary", ctypes.POINTER(Array)),
    ("release", Release),
    ("private_data", ctypes.c_void_p),
]


class Stream(ctypes.Structure):
    _fields_ = [
        ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Schema))),
        ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Array))),
        ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)),
        ("release", Release),
        ("private_data", ctypes.c_void_p),
    ]


FORMATS = {"?": b"b", "b": b"c", "B": b"C", "h": b"s", "i": b"i", "l": b"l", "L": b"L", "f": b"f", "d": b"g", "U": b"u"}


class Table:
    """A producer of the Arrow C data interface: columns by name, in chunks."""

    def __init__(self, chunks, missing=(), offset=0):
        self.chunks, self.missing, self.offset = chunks, missing, offset
        self.kept = []
        self.released = 0

    def __arrow_c_stream__(self, requested_schema=None):
        left = list(self.chunks)
        released = Release(self._release)

        def schema(_, out):
            children = [
                Schema(format=FORMATS[values.dtype.char], name=name.encode(), release=released)
                for name, values in self.chunks[0].items()
            ]
            pointers = (ctypes.POINTER(Schema) * len(children))(*map(ctypes.pointer, children))
            self.kept += [children, pointers]
            out[0] = Schema(format=b"+s", n_children=len(children), children=pointers, release=released)
            return 0

        def following(_, out):
            if not left:
                out[0] = Array(release=Release())
                return 0
            chunk = left.pop(0)
            children = []
            for name, values in chunk.items():
                bits = numpy.packbits(values, bitorder="little") if values.dtype == bool else values
                valid = None
                if name in self.missing:
                    valid = numpy.packbits(numpy.arange(len(values)) != 1, bitorder="little")
                buffers = (ctypes.c_void_p * 2)(None if valid is None else valid.ctypes.data, bits.ctypes.data)
                self.kept += [bits, valid, buffers]
                children.append(
                    Array(
                        length=len(values) - self.offset,
                        null_count=0 if valid is None else 1,
                        offset=self.offset,
                        n_buffers=2,
                        buffers=buffers,
                        release=released,
                    )
                )
            pointers = (ctypes.POINTER(Array) * len(children))(*map(ctypes.pointer, children))
            self.kept += [children, pointers]
            out[0] = Array(
                length=children[0].length, n_children=len(children), children=pointers, release=released
            )
            return 0

        stream = Stream(
            Stream._fields_[0][1](schema),
            Stream._fields_[1][1](following),
            Stream._fields_[2][1](lambda _: b"broken"),
            released,
        )
        self.kept += [stream, released]
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(stream), b"arrow_array_stream", None)

    def _release(self, structure):
        self.released += 1


def columns(n, seed=0):
    random = numpy.random.default_rng(seed)
    return {
        "a": random.normal(size=n),
        "b": random.integers(-100, 100, n).astype(numpy.int8),
        "c": random.random(n) < 0.5,
        "d": random.integers(0, 2**40, n),
        "e": random.normal(size=n).astype(numpy.float32),
    }


def test_tables_are_read_by_arrows_interface():
    chunks = [columns(7, 1), columns(1, 2), columns(20, 3)]
    table = Table(chunks)
    names, values = lambdaml._lambdaml.arrow_table(table.__arrow_c_stream__())
    expected = numpy.concatenate([numpy.column_stack(list(chunk.values())) for chunk in chunks])
    assert names == list("abcde")
    numpy.testing.assert_array_equal(numpy.asarray(values), expected.astype(numpy.float32))
    # The schema, and each chunk as a whole; columns belong to their chunk.
    assert table.released == 1 + len(chunks)
    data = lambdaml.Dataset(Table(chunks), numpy.arange(28) % 2)
    assert (data.rows, data.features, data.feature_names) == (28, 5, list("abcde"))
    _, part = lambdaml._lambdaml.arrow_table(Table([columns(7, 1)], offset=3).__arrow_c_stream__())
    numpy.testing.assert_array_equal(numpy.asarray(part), expected[3:7].astype(numpy.float32))


def test_tables_with_other_columns_are_value_errors():
    with pytest.raises(ValueError, match="the column 'b' has missing values"):
        lambdaml.Dataset(Table([columns(7)], missing=["b"]))
    with pytest.raises(ValueError, match="the column 's' has texts, which are no numbers"):
        lambdaml.Dataset(Table([{"s": numpy.array(["x", "y"])}]))


def test_frames_name_their_columns():
    frame = pandas.DataFrame({"u": [1.0, 2, 3, 4], "v": [0, 1, 0, 1], "kind": ["x", "y", "y", "x"]})
    data = lambdaml.Dataset(frame, "kind")
    assert data.feature_names == ["u", "v"]
    run = lambdaml.train(data=data, workers=1, valid_ratio=0)
    assert run.model.labels == ["x", "y"]
    assert run.model.feature_names == ["u", "v"]
    assert set(run.model.predict(frame[["v", "u"]])) <= {"x", "y"}
    assert (run.model.predict(frame[["v", "u"]]) == run.model.predict(frame[["u", "v"]])).all()
    with pytest.raises(ValueError, match="the column 'v' is missing"):
        run.model.predict(frame[["u"]])
    with pytest.raises(ValueError, match="no column 'sort'; it has u, v, kind"):
        lambdaml.Dataset(frame, "sort")
    with pytest.raises(ValueError, match="no numbers"):
        lambdaml.Dataset(frame)


def test_labels_and_targets_follow_their_type():
    X = numpy.eye(4, dtype=numpy.float32)
    model = lambda y, **options: lambdaml.train(data=(X, y), workers=1, valid_ratio=0, **options).model
    assert model([3, 7, 3, 7]).labels == [3, 7]
    assert model([True, False, True, False]).labels == [0, 1]
    assert model(["b", "a", "b", "a"]).labels == ["a", "b"]
    assert model([1.0, 2.0, 1.0, 2.0]).labels == [1, 2]
    assert model([0.5, 1.5, 2.5, 3.5], model="linear").predicts_numbers
    for y, text in (
        ([1, "a", 2.5, None], "several types"),
        ([1.0, numpy.nan, 2, 3], "NaN"),
        ([1, 2, 3], "one value for each of the 4 rows"),
        ([2**40, 0, 0, 0], "beyond 32 bits"),
        (numpy.zeros((4, 2)), "2 dimensions"),
        (numpy.array([1j, 2, 3, 4]), "of the type complex128"),
    ):
        with pytest.raises(ValueError, match=text):
            lambdaml.Dataset(X, numpy.array(y, dtype=object) if text == "several types" else y)


def test_bad_rows_are_value_errors():
    for X, text in (
        (numpy.array([[1.0, numpy.inf]]), "infinity"),
        (numpy.array([[1.0, 1e300]]), "too large for float32"),
        (numpy.ones(3), "1 dimensions"),
        (numpy.ones((2, 2, 2)), "3 dimensions"),
        (numpy.array([["a", "b"]]), "no numbers"),
        (numpy.array([[1, None]], dtype=object), "NaN|no numbers"),
        (numpy.array([[1j]]), "complex"),
    ):
        with pytest.raises(ValueError, match=text):
            lambdaml.Dataset(X)
    with pytest.raises(ValueError):
        lambdaml.Dataset([[1.0, 2.0], [3.0]])
    with pytest.raises(ValueError, match="negative"):
        lambdaml.Dataset(numpy.eye(2), [0, 1], weights=[1, -1])


def test_damaged_sparse_matrices_are_value_errors():
    from lambdaml import _lambdaml

    good = dict(offsets=numpy.array([0, 1, 2]), indices=numpy.array([0, 2], "i"), values=numpy.ones(2, "f"), cols=3)
    assert _lambdaml.csr(**good).rows == 2
    for change in (
        {"offsets": numpy.array([0, 2, 1])},
        {"offsets": numpy.array([0, 1, 3])},
        {"offsets": numpy.array([1, 1, 2])},
        {"indices": numpy.array([0, 3], "i")},
        {"indices": numpy.array([0, -1], "i")},
        {"offsets": numpy.array([0, 2, 2]), "indices": numpy.array([2, 0], "i")},
        {"values": numpy.ones(3, "f")},
        {"values": numpy.array([1, numpy.nan], "f")},
    ):
        with pytest.raises(ValueError):
            _lambdaml.csr(**{**good, **change})


def test_files_are_read():
    numpy.savez("rows.npz", X=numpy.eye(3), y=[0, 1, 0])
    data = lambdaml.Dataset.read("rows.npz")
    assert (data.rows, data.features) == (3, 3)
    with pytest.raises(lambdaml.NotFound):
        lambdaml.Dataset.read("absent.csv")


def test_a_model_takes_rows_of_its_features_only():
    X = numpy.random.default_rng(0).normal(size=(60, 3)).astype("f")
    y = (X[:, 0] > 0).astype(int)
    model = lambdaml.train(data=(X, y), workers=1).model
    for wrong in (X[:, :2], numpy.hstack([X, X]), sparse.csr_matrix(X[:, :2])):
        with pytest.raises(ValueError, match=f"X has {wrong.shape[1]} features, and the model 3"):
            model.predict(wrong)
    # Sparse text does not tell the columns that no row has.
    with open("rows.libsvm", "w") as file:
        file.write("1 1:3\n0 1:-4 2:2\n")
    assert model.predict(lambdaml.Dataset.read("rows.libsvm")).tolist() == [1, 0]
    clusters = lambdaml.train(data=X, model="kmeans", clusters=2, workers=1).model
    with pytest.raises(ValueError, match="has no classes"):
        clusters.scores(X)
    with pytest.raises(ValueError, match="no probabilities"):
        clusters.predict_proba(X)


def test_the_column_without_numbers_is_named():
    for values, text in (
        (["x", "y"], "has values that are no numbers: could not convert"),
        ([1, "b"], "has values that are no numbers: could not convert"),
        ([None, "y"], "has missing values"),
        ([pandas.NA, 1], "has missing values"),
        ([[1], [2, 3]], "has values that are no numbers"),
        (pandas.to_datetime(["2020-01-01", "2020-01-02"]), "has dates or times"),
    ):
        with pytest.raises(ValueError, match=f"^the column 'b' {text}") as raised:
            lambdaml.Dataset(pandas.DataFrame({"a": [1, 2], "b": values, "c": [0.5, 1]}))
        assert "\n" not in str(raised.value)


def test_values_that_are_missing_or_no_numbers_are_named():
    X = numpy.eye(4)
    dates = pandas.DataFrame({"day": pandas.date_range("2020", periods=4)})
    for make, error, text in (
        (lambda: lambdaml.Dataset(dates), ValueError, "dates or times"),
        (lambda: lambdaml.Dataset(numpy.ma.masked_equal(X, 1)), ValueError, "masked"),
        (lambda: lambdaml.Dataset(pandas.DataFrame({"a": pandas.array([1, None], dtype="Int64")})), ValueError, "the column .a. has missing values"),
        (lambda: lambdaml.Dataset(X, ["a", None, "b", "a"]), ValueError, "y has missing values"),
        (lambda: lambdaml.Dataset(X, pandas.array([1, None, 0, 1], dtype="Int64")), ValueError, "y has missing values"),
        (lambda: lambdaml.Dataset(X, [{}, {}, {}, {}]), ValueError, "of the type dict"),
        (lambda: lambdaml.Dataset(X, numpy.ma.masked_equal([0, 1, 0, 1], 1)), ValueError, "y has masked"),
        (lambda: lambdaml.Dataset(X, dates["day"]), ValueError, "type"),
        (lambda: lambdaml.Dataset(X, weights=["a"] * 4), ValueError, "weights has texts"),
        (lambda: lambdaml.Dataset(X, feature_names=["a"]), ValueError, "1 names, and X 4 features"),
        (lambda: lambdaml.Dataset(X, feature_names=list("abca")), ValueError, "two columns have the name 'a'"),
        (lambda: lambdaml.Dataset(X, feature_names="abcd"), TypeError, "list of texts"),
        (lambda: lambdaml.Dataset("rows.csv"), ValueError, "not str: Dataset.read"),
        (lambda: lambdaml.Dataset(None), ValueError, "not NoneType"),
        (lambda: lambdaml.train(data=iter([X])), ValueError, "not list_iterator: Dataset.from_batches"),
    ):
        with pytest.raises(error, match=text) as raised:
            make()
        assert "\n" not in str(raised.value)
    # Nullable columns without a missing value, and numbers of several types, are numbers.
    frame = pandas.DataFrame({"a": pandas.array([1, 2], dtype="Int64"), "b": [True, False]})
    assert lambdaml.Dataset(frame, pandas.array([1, 0], dtype="Int64")).rows == 2
    assert lambdaml.Dataset(X, numpy.array([1, 2.0, 1, numpy.int64(2)], dtype=object)).rows == 4
