"""Data sets in memory and streams of batches, and their ways into the engine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

from . import _checks, _lambdaml, _parts
from ._errors import InvalidArgument, shown
from ._rows import engine_dataset, labelling, rows_and_names, weighting, without_column
from ._types import Column, Place, Rows


class Dataset:
    """Rows of features with their labels or targets, in memory.

    Arrays of float32 whose rows lie one after the other, and CSR matrices of float32, are used in
    place, without a copy; others are converted once.

    Parameters
    ----------
    X : array, SciPy sparse matrix, DataFrame or table
        Rows × features: numbers, all finite. Tables of polars, pyarrow and other libraries that speak the
        Arrow C data interface are read by it.
    y : array, Series or str, optional
        The label or target of each row: whole numbers or texts are labels, other numbers targets. A str
        is the column of X that has them.
    weights : array of shape (rows,) or str, optional
        By which the losses of rows are multiplied: a row of weight 2 counts as the same row twice. A str is the column
        of X that has them.
    feature_names : list of str, optional
        By default those of a DataFrame's columns.

    Attributes
    ----------
    rows, features : int
    feature_names : list of str or None

    Raises
    ------
    InvalidArgument
        A ValueError: values that are no numbers, missing or not finite, or columns of other lengths than X.

    Examples
    --------
    >>> import lambdaml
    >>> lambdaml.Dataset([[1.0, 2.0], [3.0, 4.0]], [0, 1])
    lambdaml.Dataset of 2 rows × 2 features
    """

    _engine: _lambdaml.Dataset
    # Whether all columns are there: text of sparse rows does not tell the last ones.
    _is_whole = True

    def __init__(
        self,
        X: Rows,
        y: Union[Column, str, None] = None,
        *,
        weights: Union[Column, str, None] = None,
        feature_names: Optional[Sequence[str]] = None,
    ) -> None:
        label = y if isinstance(y, str) else None
        if label is not None:
            X, y = without_column(X, label)
        weight = weights if isinstance(weights, str) else None
        if weight is not None:
            X, weights = without_column(X, weight, "weights")
        X, columns = rows_and_names(X)
        names: dict[str, Any] = {}
        if feature_names is not None:
            columns = _names(feature_names)
        if columns is not None:
            _require_names(columns, X.shape[1])
            names["features"] = columns
        labels, targets, label_names = labelling(y)
        if label_names is not None:
            names["labels"] = label_names
        if label is not None and names:
            names["label"] = label
        if weight is not None and names:
            names["weight"] = weight
        self._engine = engine_dataset(
            X,
            labels=labels,
            targets=targets,
            weights=weighting(weights),
            names=json.dumps(names) if names else "",
        )

    @classmethod
    def _of(cls, engine: _lambdaml.Dataset) -> Dataset:
        out = cls.__new__(cls)
        out._engine = engine
        return out

    @classmethod
    def read(cls, place: Place, format: str = "auto") -> Dataset:
        """Reads a file or a prepared set into memory.

        Parameters
        ----------
        place : str or path
            A path or storage URI.
        format : str
            As the option ``format`` of a job: one that ``lambdaml train`` reads (``docs/reference/data.md``); by default it
            is found.

        Returns
        -------
        Dataset
        """
        out = cls._of(_lambdaml.read(os.fspath(place), _checks.text("format", format)))
        out._is_whole = False
        return out

    @classmethod
    def from_parquet(
        cls,
        places: Union[Place, Sequence[Place]],
        label: Optional[str] = None,
        columns: Optional[Sequence[str]] = None,
        weights: Optional[str] = None,
    ) -> Stream:
        """Rows of Parquet files, which are read batch by batch.

        Reads by pyarrow (14 or newer), polars or duckdb, the first of these that is installed.

        Parameters
        ----------
        places : str, path or list
            A file, a pattern (``"days/*.parquet"``; ``**`` is any number of folders) or a folder, or several; on this
            machine or in any store (``"s3://bucket/days/*.parquet"``), from which a file at a time is brought here.
        label : str, optional
            The column of labels or targets.
        columns : list of str, optional
            The columns that are used; by default all.
        weights : str, optional
            The column of the rows' weights, as of :class:`Dataset`.

        Returns
        -------
        Stream
            Its :meth:`~Stream.save` writes shards, its :meth:`~Stream.load` gives a Dataset.

        Raises
        ------
        NotFound
            There is no such file.
        DataCorrupt
            A file is not Parquet; raised when rows are read.
        Unavailable
            None of the libraries is installed.

        Examples
        --------
        >>> rows = lambdaml.Dataset.from_parquet("s3://bucket/*.parquet", label="y")  # doctest: +SKIP
        >>> rows.save("s3://bucket/set", parts=100)                                   # doctest: +SKIP
        """
        from ._parquet import Parquet

        return Stream(Parquet(places, label, columns, weights))

    @classmethod
    def from_batches(
        cls, batches: Iterable[Any], label: Optional[str] = None, weights: Optional[str] = None
    ) -> Stream:
        """Rows that come batch by batch: of a generator, a reader of a table, a loader …

        Parameters
        ----------
        batches : iterable
            Of rows in any form (see :class:`Dataset`), or of tuples ``(X, y)`` or ``(X, y, weights)``; batches without
            rows are left out. What can be iterated again is read twice. The batches of an iterator are kept in files of the
            temporary folder until they are saved.
        label : str, optional
            The column of the rows that has the labels or targets.
        weights : str, optional
            The column of the rows that has their weights.

        Returns
        -------
        Stream
            Its :meth:`~Stream.save` writes shards, its :meth:`~Stream.load` gives a Dataset.

        Examples
        --------
        >>> batches = [([[1.0], [2.0]], [0, 1]), ([[3.0]], [1])]
        >>> lambdaml.Dataset.from_batches(batches).load()
        lambdaml.Dataset of 3 rows × 1 features
        """
        from ._batches import Batches

        return Stream(Batches(batches, label, weights))

    def _require_columns(self, features: int, names: Optional[list[str]], what: str, whose: str) -> None:
        """Checks the number of columns; those with names are found by them, and files may lack the last ones."""
        if self._is_whole and self.features != features and not (names and self.feature_names):
            raise InvalidArgument(f"{what} has {self.features} features, and {whose} {features}")

    def save(self, uri: Place, parts: int = 1) -> str:
        """Writes the rows as a prepared set, as ``lambdaml data split`` does.

        Parameters
        ----------
        uri : str or path
            The folder or URI prefix that gets the parts, in any store.
        parts : int
            Jobs with as many workers read a part each.

        Returns
        -------
        str
            The set's URI, as ``data`` of :func:`lambdaml.train`.
        """
        return _lambdaml.split(self._engine, os.fspath(uri), _parts.checked(parts, self.rows))

    @property
    def rows(self) -> int:
        return self._engine.rows

    @property
    def features(self) -> int:
        return self._engine.features

    @property
    def feature_names(self) -> Optional[list[str]]:
        return json.loads(self._engine.names).get("features")

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        return f"lambdaml.Dataset of {self.rows} rows × {self.features} features"


def _names(names: Any) -> list[str]:
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        raise TypeError(f"feature_names must be a list of texts, not {shown(names)}")
    return [str(each) for each in names]


def _require_names(names: list[str], features: int) -> None:
    if len(names) != features:
        raise InvalidArgument(f"feature_names has {len(names)} names, and X {features} features")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidArgument(f"two columns have the name '{name}': rename or drop one")
        seen.add(name)


class Stream:
    """Rows that are read batch by batch: of Parquet files, or of an iterator.

    Made by :meth:`Dataset.from_parquet` and :meth:`Dataset.from_batches`.
    """

    def __init__(self, source: Any) -> None:
        # Has `what`, facts() of all batches, and batches().
        self._source = source

    def save(self, uri: Place, parts: int = 1) -> str:
        """Writes the rows as a prepared set, in the memory of one part.

        The rows keep their order: part i has successive rows. Jobs with as many workers as there are parts
        read a part each; with gradient steps, rows that are sorted by their label are better mixed before.

        Parameters
        ----------
        uri : str or path
            The folder or URI prefix that gets the parts, in any store.
        parts : int
            Jobs with as many workers read a part each.

        Returns
        -------
        str
            The set's URI, as ``data`` of :func:`lambdaml.train`.
        """
        facts = self._source.facts()
        return _parts.save(self._source.batches(), facts.rows, parts, uri, facts.dataset)

    def load(self) -> Dataset:
        """All rows in memory.

        Returns
        -------
        Dataset
        """
        facts = self._source.facts()
        batches = list(self._source.batches())
        if not batches:
            raise InvalidArgument("the data have no rows")
        return Dataset._of(facts.dataset(_parts.joined(batches)))

    def __repr__(self) -> str:
        return f"lambdaml.Stream of {self._source.what}"
