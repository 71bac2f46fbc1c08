"""Prepared sets that are written part by part, from batches of rows that come one after another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from . import _checks, _lambdaml
from ._errors import InvalidArgument
from ._temporary import Folder
from ._types import Place


def save(
    batches: Iterable[dict[str, Any]],
    rows: int,
    parts: int,
    uri: Place,
    make: Callable[[dict[str, Any]], _lambdaml.Dataset],
) -> str:
    """Writes `rows` rows as a prepared set of `parts` parts, in the memory of a part and a batch.

    Parameters
    ----------
    batches : iterable of dict
        Arrays (or CSR matrices) by name, each with the rows first.
    make : callable
        The engine's data set of such a dict.

    Returns
    -------
    str
        The set's URI.
    """
    parts = checked(parts, rows)
    writer = _lambdaml.SetWriter(os.fspath(uri), parts)
    ends = [rows * (i + 1) // parts for i in range(parts)]
    try:
        begin, done = 0, 0
        own: list[dict[str, Any]] = []
        for batch in batches:
            length, at = rows_of(batch), 0
            while at < length:
                if done == parts:
                    raise InvalidArgument(f"the data have more rows when they are read again, than {rows} before")
                more = min(ends[done] - begin, length - at)
                own.append({name: values[at : at + more] for name, values in batch.items()})
                begin, at = begin + more, at + more
                if begin == ends[done]:
                    writer.add(make(joined(own)))
                    own, done = [], done + 1
        if done < parts:
            raise InvalidArgument(f"the data have {begin} rows when they are read again, and {rows} before")
        return writer.finish()
    except BaseException:
        writer.discard()
        raise


def checked(parts: Any, rows: int) -> int:
    """The number of parts of so many rows."""
    parts = _checks.whole("parts", parts, 1)
    if rows == 0:
        raise InvalidArgument("the data have no rows")
    if rows < parts:
        raise InvalidArgument(f"{rows} rows cannot be cut in {parts} parts: give fewer parts")
    return parts


def rows_of(batch: dict[str, Any]) -> int:
    return next(iter(batch.values())).shape[0]


def joined(batches: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows of several dicts of arrays, one after another."""
    import numpy

    if len(batches) == 1:
        return batches[0]
    out = {}
    for name, first in batches[0].items():
        values = [batch[name] for batch in batches]
        if hasattr(first, "tocsr"):
            from scipy import sparse

            out[name] = sparse.vstack(values, format="csr")
        else:
            out[name] = numpy.concatenate(values)
    return out


class Spool:
    """Batches of an iterator that ends only once, in files of the temporary folder until they are needed again."""

    def __init__(self, batches: Iterable[dict[str, Any]]) -> None:
        self._folder = Folder("batches-")
        self._names: list[list[tuple[str, str]]] = []
        try:
            for batch in batches:
                self._names.append([(name, self._save(name, values)) for name, values in batch.items()])
        except BaseException:
            self._folder.remove()
            raise

    def _save(self, name: str, values: Any) -> str:
        import numpy

        path = os.path.join(self._folder.path, f"{len(self._names)}.{name}")
        if hasattr(values, "tocsr"):
            from scipy import sparse

            sparse.save_npz(path + ".npz", values.tocsr(), compressed=False)
            return path + ".npz"
        numpy.save(path + ".npy", values, allow_pickle=False)
        return path + ".npy"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import numpy

        for batch in self._names:
            out = {}
            for name, path in batch:
                if path.endswith(".npz"):
                    from scipy import sparse

                    out[name] = sparse.load_npz(path)
                else:
                    out[name] = numpy.load(path)
            yield out
