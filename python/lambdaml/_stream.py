"""Rows that come batch by batch, and their ways to shards."""

import glob
import json
import os
import tempfile

from . import _lambdaml, _parts
from ._dataset import Dataset, _labelling, _numbers, names_of_columns
from ._errors import InvalidArgument, NotFound, Unavailable

# Rows of Parquet that are read at a time.
_ROWS = 65_536
# Bytes of a file that are fetched at a time.
_PIECE = 16 << 20


class Stream:
    """Rows that are read batch by batch: of Parquet files, or of an iterator.

    Made by :meth:`Dataset.from_parquet` and :meth:`Dataset.from_batches`.
    """

    def __init__(self, source):
        self._source = source

    def save(self, uri, parts=1):
        """Writes the rows as a prepared set, in the memory of one part.

        The rows keep their order: part i has successive rows. Jobs with as many workers as there are parts
        read a part each; with gradient steps, rows that are sorted by their label are better mixed before.

        Parameters
        ----------
        uri : str or path
            The folder or URI prefix that gets the parts, in any store.
        parts : int

        Returns
        -------
        str
            The set's URI, as ``data`` of :func:`lambdaml.train`.
        """
        facts = self._source.facts()
        return _parts.save(self._source.batches(), facts.rows, parts, uri, facts.dataset)

    def load(self):
        """All rows in memory.

        Returns
        -------
        Dataset
        """
        facts = self._source.facts()
        batches = list(self._source.batches())
        if not batches:
            raise InvalidArgument("the data have no rows")
        out = Dataset.__new__(Dataset)
        out._engine = facts.dataset(_parts.joined(batches))
        return out

    def __repr__(self):
        return f"lambdaml.Stream of {self._source.what}"


class _Facts:
    """What all batches have in common: known only when all have been seen."""

    def __init__(self):
        self.rows = 0
        self.features = None
        self.label = None
        self._texts = set()
        self._are_texts = self._are_real = None

    def see(self, rows, y):
        """Takes in the labels of some rows, or None."""
        import numpy

        self.rows += rows
        if y is None:
            return
        y = numpy.asarray(y)
        if y.dtype.kind == "O" and all(isinstance(each, str) for each in y.tolist()):
            y = y.astype(str)
        are_texts = y.dtype.kind in "US"
        if self._are_texts not in (None, are_texts):
            raise InvalidArgument("y has texts in some batches and numbers in others")
        self._are_texts = are_texts
        if are_texts:
            self._texts.update(numpy.unique(y).tolist())
        else:
            labels, targets, _ = _labelling(y)
            self._are_real = bool(self._are_real) or targets is not None

    def dataset(self, batch):
        """The engine's data set of a batch."""
        import numpy

        from ._dataset import engine_dataset

        names, labels, targets = {}, None, None
        if self.features is not None:
            names["features"] = self.features
        if self.label is not None and names:
            names["label"] = self.label
        y = batch.get("y")
        if self._are_texts:
            texts = numpy.array(sorted(self._texts))
            names["labels"] = texts.tolist()
            labels = numpy.searchsorted(texts, numpy.asarray(y).astype(str)).astype(numpy.int32)
        elif y is not None and self._are_real:
            targets = numpy.asarray(y, dtype=numpy.float32)
        elif y is not None:
            labels = numpy.asarray(y).astype(numpy.int32)
        return engine_dataset(
            batch["X"], labels=labels, targets=targets, weights=batch.get("weights"),
            names=json.dumps(names) if names else "",
        )  # fmt: skip


class Batches:
    """Batches of an iterable: rows X, or tuples (X, y) or (X, y, weights)."""

    what = "batches"

    def __init__(self, batches, label):
        self._label = label
        self._columns = None
        # What can be iterated again is read twice; an iterator is kept in files in between.
        again = not hasattr(batches, "__next__")
        self._batches = batches if again else None
        self._spool = None if again else _parts.Spool(self._numbers(batches))

    def _numbers(self, batches):
        import numpy

        for batch in batches:
            X, y, *more = batch if isinstance(batch, (tuple, list)) else (batch, None)
            if isinstance(self._label, str):
                from ._dataset import _without_column

                X, y = _without_column(X, self._label)
            X, names = rows_and_names(X)
            if self._columns not in (None, (X.shape[1], names)):
                raise InvalidArgument("a batch has other columns than the first one")
            self._columns = X.shape[1], names
            out = {"X": X}
            if y is not None:
                out["y"] = _plain(numpy.asarray(y))
            if more and more[0] is not None:
                out["weights"] = numpy.asarray(more[0], dtype=numpy.float32)
            if any(len(values) != X.shape[0] for name, values in out.items() if name != "X"):
                raise InvalidArgument(f"y and weights of a batch must have one value for each of its {X.shape[0]} rows")
            yield out

    def batches(self):
        return iter(self._spool) if self._spool is not None else self._numbers(self._batches)

    def facts(self):
        facts = _Facts()
        for batch in self.batches():
            facts.see(_parts.rows_of(batch), batch.get("y"))
        facts.features = self._columns[1] if self._columns else None
        facts.label = self._label if isinstance(self._label, str) else None
        return facts


def rows_and_names(X):
    """(array of float32 or CSR matrix, names of columns or None) of a batch in any form."""
    import numpy

    if hasattr(X, "__arrow_c_stream__") and not hasattr(X, "iloc"):
        names, values = _lambdaml.arrow_table(X.__arrow_c_stream__())
        return numpy.asarray(values), names
    names = names_of_columns(X)
    if hasattr(X, "tocsr"):
        return X.tocsr(), names
    X = numpy.asarray(X)
    if X.ndim != 2:
        raise InvalidArgument(f"a batch has {X.ndim} dimensions instead of 2: give rows × features")
    return numpy.asarray(_numbers(X, numpy), dtype=numpy.float32), names


def _plain(y):
    """Labels without objects, which no file can hold."""
    if y.dtype.kind != "O":
        return y
    kinds = {type(each).__name__ for each in y.tolist()}
    if len(kinds) > 1:
        raise InvalidArgument("y has values of several types: " + ", ".join(sorted(kinds)))
    return y.astype(str) if kinds == {"str"} else _numbers_of(y)


def _numbers_of(y):
    try:
        return y.astype(float)
    except (TypeError, ValueError):
        raise InvalidArgument(f"y has values of the type {type(y[0]).__name__}: give numbers or texts") from None


class Parquet:
    """Parquet files, by the library that the user has."""

    def __init__(self, places, label, columns):
        self.what = places if isinstance(places, str) else ", ".join(map(os.fspath, places))
        self._label, self._columns = label, columns
        self._reader = _reader()
        self._files = [file for place in ([places] if _is_place(places) else places) for file in _files(place)]

    def batches(self):
        from ._dataset import _without_column

        for file in self._files:
            with file as path:
                for table in self._reader.batches(path, self._wanted(path)):
                    y = None
                    if self._label is not None:
                        table, y = _without_column(table, self._label)
                    X, _ = rows_and_names(table)
                    out = {"X": X}
                    if y is not None:
                        out["y"] = _column(y)
                    yield out

    def facts(self):
        facts = _Facts()
        for file in self._files:
            with file as path:
                names = [name for name in self._wanted(path) if name != self._label]
                if facts.features not in (None, names):
                    raise InvalidArgument(f"{file.name}: its columns are not those of the first file")
                facts.features = names
                if self._label is None:
                    facts.see(self._reader.rows(path), None)
                    continue
                for table in self._reader.batches(path, [self._label]):
                    y = _column(table[self._label])
                    facts.see(len(y), y)
        facts.label = self._label
        return facts

    def _wanted(self, path):
        there = self._reader.names(path)
        wanted = list(there if self._columns is None else self._columns)
        if self._label is not None and self._label not in wanted:
            wanted.append(self._label)
        for name in wanted:
            if name not in there:
                raise InvalidArgument(f"there is no column '{name}': the file has {', '.join(there[:10])}")
        return wanted


def _column(values):
    import numpy

    if hasattr(values, "null_count"):
        nulls = values.null_count if not callable(values.null_count) else values.null_count()
        if nulls:
            raise InvalidArgument("the label's column has missing values: fill or drop such rows")
    y = numpy.asarray(values)
    return _plain(y)


def _is_place(places):
    return isinstance(places, (str, os.PathLike))


class _File:
    """A file on this machine, or one of a store that is brought here while it is read."""

    def __init__(self, name, store=None, key=None):
        self.name, self._store, self._key = name, store, key
        self._copy = None

    def __enter__(self):
        if self._store is None:
            return self.name
        self._copy = tempfile.NamedTemporaryFile(prefix="lambdaml-", suffix=".parquet")
        begin = 0
        while piece := self._store.load_range(self._key, begin, _PIECE):
            self._copy.write(piece)
            begin += len(piece)
        self._copy.flush()
        return self._copy.name

    def __exit__(self, *error):
        if self._copy is not None:
            self._copy.close()
            self._copy = None


def _files(place):
    """The files that a path, pattern, folder or URI names, in the order of their names."""
    import fnmatch

    place = os.fspath(place)
    if "://" not in place or place.startswith("file://"):
        path = place[len("file://") :] if place.startswith("file://") else place
        if os.path.isdir(path):
            path = os.path.join(path, "*.parquet")
        found = sorted(glob.glob(path))
        if not found:
            raise NotFound(f"reading {place}: there is no such file")
        return [_File(each) for each in found]
    from . import storage

    folder, _, pattern = place.rpartition("/")
    store = storage.open(folder)
    fixed = pattern.split("*")[0].split("?")[0].split("[")[0]
    keys = [key for key in store.list(fixed) if "/" not in key and fnmatch.fnmatchcase(key, pattern)]
    if not keys:
        raise NotFound(f"reading {place}: there is no such file")
    return [_File(f"{folder}/{key}", store, key) for key in sorted(keys)]


class _PyArrow:
    def names(self, path):
        import pyarrow.parquet

        return pyarrow.parquet.read_schema(path).names

    def rows(self, path):
        import pyarrow.parquet

        return pyarrow.parquet.read_metadata(path).num_rows

    def batches(self, path, columns):
        import pyarrow
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(path) as file:
            # One after another, since pyarrow keeps what it has read of those that it was asked for.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(_ROWS, row_groups=[group], columns=columns, use_threads=False):
                    yield pyarrow.Table.from_batches([batch])


class _Polars:
    def names(self, path):
        import polars

        return list(polars.read_parquet_schema(path))

    def rows(self, path):
        import polars

        return polars.scan_parquet(path).select(polars.len()).collect().item()

    def batches(self, path, columns):
        import polars

        for begin in range(0, self.rows(path), _ROWS):
            yield polars.scan_parquet(path).select(columns).slice(begin, _ROWS).collect()


class _DuckDb:
    def names(self, path):
        return [row[0] for row in self._query("DESCRIBE SELECT * FROM read_parquet(?)", path).fetchall()]

    def rows(self, path):
        return self._query("SELECT count(*) FROM read_parquet(?)", path).fetchone()[0]

    def batches(self, path, columns):
        listed = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
        text = (
            f"SELECT {listed} FROM read_parquet(?, file_row_number=true) "
            "WHERE file_row_number >= ? AND file_row_number < ? ORDER BY file_row_number"
        )
        for begin in range(0, self.rows(path), _ROWS):
            yield _Columns(self._query(text, path, begin, begin + _ROWS).fetchnumpy())

    def _query(self, text, *values):
        import duckdb

        return duckdb.connect().execute(text, list(values))


class _Columns:
    """Columns by name, as DuckDB gives them: masked where values are missing."""

    def __init__(self, columns):
        import numpy

        for name, values in columns.items():
            if numpy.ma.isMaskedArray(values) and values.mask.any():
                raise InvalidArgument(f"the column '{name}' has missing values: fill or drop such rows")
        self._columns = {name: numpy.ma.getdata(values) for name, values in columns.items()}
        self.columns = list(self._columns)

    def __getitem__(self, name):
        return self._columns[name]

    def drop(self, columns):
        return _Columns({name: values for name, values in self._columns.items() if name != columns})

    def __array__(self, dtype=None, copy=None):
        import numpy

        for name, values in self._columns.items():
            if values.dtype.kind not in "biuf":
                raise InvalidArgument(f"the column '{name}' has values that are no numbers: drop it, or encode its texts")
        return numpy.column_stack([values.astype(numpy.float32) for values in self._columns.values()])


def _reader():
    import importlib.util

    for name, reader in (("pyarrow", _PyArrow), ("polars", _Polars), ("duckdb", _DuckDb)):
        if importlib.util.find_spec(name) is not None:
            return reader()
    raise Unavailable("reading Parquet needs pyarrow, polars or duckdb, and none is installed: pip install pyarrow")
