"""Parquet files as batches of rows, by the library that the user has."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

from . import _checks
from ._batches import Facts, batch_of, without_columns
from ._errors import DataCorrupt, InvalidArgument, NotFound, Unavailable, suggestion_or_names
from ._rows import plain_column
from ._types import Place

# Rows that are read at a time.
_ROWS = 65_536
# Bytes of a file that are fetched at a time.
_PIECE = 16 << 20


class Parquet:
    """The rows of Parquet files."""

    def __init__(
        self,
        places: Union[Place, Sequence[Place]],
        label: Optional[str],
        columns: Optional[Sequence[str]],
        weight: Optional[str],
    ) -> None:
        listed = [places] if isinstance(places, (str, os.PathLike)) else list(places)
        self.what = ", ".join(os.fspath(place) for place in listed)
        self._label = None if label is None else _checks.text("label", label)
        self._weight = None if weight is None else _checks.text("weights", weight)
        self._columns = [columns] if isinstance(columns, str) else columns
        self._reader = _reader()
        self._files = [file for place in listed for file in _files(os.fspath(place))]

    def batches(self) -> Iterator[dict[str, Any]]:
        for file in self._files:
            with file as path:
                for rows in self._reader.batches(path, self._wanted(file.name, path)):
                    batch = batch_of(*without_columns(rows, self._label, self._weight))[0]
                    if batch["X"].shape[0] > 0:
                        yield batch

    def facts(self) -> Facts:
        facts = Facts()
        for file in self._files:
            with file as path:
                names = [name for name in self._wanted(file.name, path) if name not in (self._label, self._weight)]
                if facts.features not in (None, names):
                    raise InvalidArgument(f"{file.name}: its columns are not those of the first file")
                facts.features = names
                if self._label is None:
                    facts.see(self._reader.rows(path), None)
                    continue
                for rows in self._reader.batches(path, [self._label]):
                    y = plain_column(rows[self._label], f"the column '{self._label}'")
                    facts.see(len(y), y)
        facts.label, facts.weight = self._label, self._weight
        return facts

    def _wanted(self, file: str, path: str) -> list[str]:
        with open(path, "rb"):  # one that is missing or forbidden is the system's error, whatever the library says
            pass
        try:
            there = self._reader.names(path)
        except Exception as error:  # each library has its own
            lines = [line for line in str(error).splitlines() if line.strip()]
            said = lines[0] if lines else type(error).__name__
            raise DataCorrupt(f"{file}: it cannot be read as Parquet: {said}") from None
        wanted = list(there if self._columns is None else self._columns)
        wanted += [name for name in (self._label, self._weight) if name is not None and name not in wanted]
        for name in wanted:
            if name not in there:
                raise InvalidArgument(f"the file has no column '{name}'{suggestion_or_names(name, there)}")
        return wanted


class _File:
    """A file on this machine, or one of a store that is brought here while it is read."""

    def __init__(self, name: str, store: Any = None, key: str = "") -> None:
        self.name, self._store, self._key = name, store, key
        self._copy: Any = None

    def __enter__(self) -> str:
        if self._store is None:
            return self.name
        self._copy = tempfile.NamedTemporaryFile(prefix="lambdaml-", suffix=".parquet")
        begin = 0
        while piece := self._store.load_range(self._key, begin, _PIECE):
            self._copy.write(piece)
            begin += len(piece)
        self._copy.flush()
        return self._copy.name

    def __exit__(self, *error: object) -> None:
        if self._copy is not None:
            self._copy.close()
            self._copy = None


def _files(place: str) -> list[_File]:
    """The files that a path, pattern, folder or URI names, in the order of their names."""
    found = _files_here(place) if "://" not in place or place.startswith("file://") else _files_of_store(place)
    if not found:
        raise NotFound(f"reading {place}: there is no such file, or no *.parquet in the folder")
    return found


def _files_here(place: str) -> list[_File]:
    path = place[len("file://") :] if place.startswith("file://") else place
    if os.path.isdir(path):
        path = os.path.join(glob.escape(path), "*.parquet")
    elif os.path.exists(path):
        return [_File(path)]
    return [_File(each) for each in sorted(glob.glob(path, recursive=True)) if os.path.isfile(each)]


def _files_of_store(place: str) -> list[_File]:
    from . import storage

    # What follows "?" is the URI's query, or else the wildcard of a pattern.
    query = re.search(r"(\?\w+=[^/*]*)?$", place)[0]  # type: ignore[index]
    scheme, _, path = place[: len(place) - len(query)].partition("://")
    elements = path.rstrip("/").split("/")
    is_pattern = glob.has_magic(path)
    # The bucket or server, and the folders before a pattern.
    fixed = next((i for i, each in enumerate(elements) if glob.has_magic(each)), len(elements) - 1) or 1
    folder, wanted = f"{scheme}://{'/'.join(elements[:fixed])}", elements[fixed:]
    store = storage.open(folder + query)
    keys = list(store.list(re.split(r"[*?[]", "/".join(wanted))[0]))
    if not is_pattern and "/".join(wanted) not in keys:
        wanted.append("*.parquet")
    return [_File(f"{folder}/{key}", store, key) for key in sorted(keys) if _is_of(key.split("/"), wanted)]


def _is_of(elements: list[str], pattern: list[str]) -> bool:
    """Whether the elements of a key fit those of a pattern; `**` is any number of them."""
    if not pattern:
        return not elements
    if pattern[0] == "**":
        return any(_is_of(elements[i:], pattern[1:]) for i in range(len(elements) + 1))
    return (
        bool(elements) and fnmatch.fnmatchcase(elements[0], pattern[0]) and _is_of(elements[1:], pattern[1:])
    )


class _PyArrow:
    def names(self, path: str) -> list[str]:
        import pyarrow.parquet

        return pyarrow.parquet.read_schema(path).names

    def rows(self, path: str) -> int:
        import pyarrow.parquet

        return pyarrow.parquet.read_metadata(path).num_rows

    def batches(self, path: str, columns: list[str]) -> Iterator[Any]:
        import pyarrow
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(path) as file:
            # One after another, since pyarrow keeps what it has read of those that it was asked for.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(_ROWS, row_groups=[group], columns=columns, use_threads=False):
                    yield pyarrow.Table.from_batches([batch])


class _Polars:
    def names(self, path: str) -> list[str]:
        import polars

        return list(polars.read_parquet_schema(path))

    def rows(self, path: str) -> int:
        import polars

        return polars.scan_parquet(path).select(polars.len()).collect().item()

    def batches(self, path: str, columns: list[str]) -> Iterator[Any]:
        import polars

        for begin in range(0, self.rows(path), _ROWS):
            yield polars.scan_parquet(path).select(columns).slice(begin, _ROWS).collect()


class _DuckDb:
    def names(self, path: str) -> list[str]:
        return [row[0] for row in self._query("DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning=false)", path).fetchall()]

    def rows(self, path: str) -> int:
        return self._query("SELECT count(*) FROM read_parquet(?, hive_partitioning=false)", path).fetchone()[0]

    def batches(self, path: str, columns: list[str]) -> Iterator[Any]:
        listed = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
        text = (
            f"SELECT {listed} FROM read_parquet(?, hive_partitioning=false, file_row_number=true) "
            "WHERE file_row_number >= ? AND file_row_number < ? ORDER BY file_row_number"
        )
        for begin in range(0, self.rows(path), _ROWS):
            yield _Columns(self._query(text, path, begin, begin + _ROWS).fetchnumpy())

    def _query(self, text: str, *values: Any) -> Any:
        import duckdb

        return duckdb.connect().execute(text, list(values))


class _Columns:
    """Columns by name, as DuckDB gives them: masked where values are missing."""

    def __init__(self, columns: dict[str, Any]) -> None:
        import numpy

        for name, values in columns.items():
            if numpy.ma.isMaskedArray(values) and values.mask.any():
                raise InvalidArgument(f"the column '{name}' has missing values: fill or drop such rows")
        self._columns = {name: numpy.ma.getdata(values) for name, values in columns.items()}
        self.columns = list(self._columns)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def drop(self, columns: str) -> _Columns:
        return _Columns({name: values for name, values in self._columns.items() if name != columns})

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        import numpy

        for name, values in self._columns.items():
            if values.dtype.kind not in "biuf":
                raise InvalidArgument(f"the column '{name}' has values that are no numbers: drop it, or encode its texts")
        return numpy.column_stack([values.astype(numpy.float32) for values in self._columns.values()])


def _reader() -> Any:
    import importlib.util

    for name, reader in (("pyarrow", _PyArrow), ("polars", _Polars), ("duckdb", _DuckDb)):
        if importlib.util.find_spec(name) is not None:
            return reader()
    raise Unavailable("reading Parquet needs pyarrow, polars or duckdb, and none is installed: pip install pyarrow")
