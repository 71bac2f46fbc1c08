"""Data sets in memory, and their ways into the engine."""

import json
import os

from . import _lambdaml
from ._errors import InvalidArgument

# Number types that the engine converts itself.
_NUMBERS = "?bBhHiIlLqQfd"


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
    weights : array of shape (rows,), optional
        By which the losses of rows are multiplied: a row of weight 2 counts as the same row twice.
    feature_names : list of str, optional
        By default those of a DataFrame's columns.

    Attributes
    ----------
    rows, features : int
    """

    def __init__(self, X, y=None, *, weights=None, feature_names=None):
        name = None
        if isinstance(y, str):
            name = y
            X, y = _without_column(X, y)
        names = {}
        if hasattr(X, "__arrow_c_stream__") and not hasattr(X, "iloc"):
            # Of polars, pyarrow, duckdb …; pandas needs pyarrow for that, and its arrays none.
            columns, X = _lambdaml.arrow_table(X.__arrow_c_stream__())
            feature_names = columns if feature_names is None else feature_names
        if feature_names is None:
            feature_names = names_of_columns(X)
        if feature_names is not None:
            names["features"] = [str(each) for each in feature_names]
        labels, targets, label_names = _labelling(y)
        if label_names is not None:
            names["labels"] = label_names
        if name is not None and names:
            names["label"] = name
        if weights is not None:
            import numpy

            weights = numpy.asarray(weights)
        self._engine = engine_dataset(
            X, labels=labels, targets=targets, weights=weights, names=json.dumps(names) if names else ""
        )

    @classmethod
    def read(cls, place, format="auto"):
        """Reads a file of any format that ``lambdaml train`` reads, or a prepared set: path or URI."""
        out = cls.__new__(cls)
        out._engine = _lambdaml.read(os.fspath(place), format)
        return out

    @classmethod
    def from_parquet(cls, places, label=None, columns=None):
        """Rows of Parquet files, which are read batch by batch.

        Reads by pyarrow (14 or newer), polars or duckdb, the first of these that is installed.

        Parameters
        ----------
        places : str, path or list
            A file, a pattern (``"days/*.parquet"``) or a folder, or several; on this machine or in any store
            (``"s3://bucket/days/*.parquet"``), from which a file at a time is brought here.
        label : str, optional
            The column of labels or targets.
        columns : list of str, optional
            The columns that are used; by default all.

        Returns
        -------
        Stream
            Its :meth:`~Stream.save` writes shards, its :meth:`~Stream.load` gives a Dataset.

        Examples
        --------
        >>> rows = lambdaml.Dataset.from_parquet("s3://bucket/*.parquet", label="y")  # doctest: +SKIP
        >>> rows.save("s3://bucket/set", parts=100)                                   # doctest: +SKIP
        """
        from ._stream import Parquet, Stream

        return Stream(Parquet(places, label, columns))

    @classmethod
    def from_batches(cls, batches, label=None):
        """Rows that come batch by batch: of a generator, a reader of a table, a loader …

        Parameters
        ----------
        batches : iterable
            Of rows in any form (see :class:`Dataset`), or of tuples ``(X, y)`` or ``(X, y, weights)``. What
            can be iterated again is read twice. The batches of an iterator are kept in files of the
            temporary folder until they are saved.
        label : str, optional
            The column of the rows that has the labels or targets.

        Returns
        -------
        Stream
            Its :meth:`~Stream.save` writes shards, its :meth:`~Stream.load` gives a Dataset.
        """
        from ._stream import Batches, Stream

        return Stream(Batches(batches, label))

    def save(self, uri, parts=1):
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
        return _lambdaml.split(self._engine, os.fspath(uri), parts)

    @property
    def rows(self):
        return self._engine.rows

    @property
    def features(self):
        return self._engine.features

    @property
    def feature_names(self):
        return json.loads(self._engine.names).get("features")

    def __len__(self):
        return self.rows

    def __repr__(self):
        return f"lambdaml.Dataset of {self.rows} rows × {self.features} features"


def names_of_columns(X):
    """The names of a DataFrame's columns, if all are texts; otherwise None."""
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    columns = list(columns)
    return columns if columns and all(isinstance(each, str) for each in columns) else None


def _without_column(X, name):
    if hasattr(X, "column_names"):  # pyarrow
        if name in X.column_names:
            return X.drop([name]), X.column(name)
    elif not hasattr(X, "drop") or not hasattr(X, "columns"):
        raise InvalidArgument(f"y is the name '{name}', and X has no columns with names: give y as an array")
    columns = list(getattr(X, "column_names", None) or X.columns)
    if name not in columns:
        raise InvalidArgument(f"X has no column '{name}': it has {', '.join(map(str, columns[:10]))}")
    try:
        return X.drop(columns=name), X[name]
    except TypeError:  # polars
        return X.drop(name), X[name]


def engine_dataset(X, *, labels=None, targets=None, weights=None, names=""):
    """The engine's data set of rows in any form."""
    import numpy

    labelling = {"labels": labels, "targets": targets, "weights": weights, "names": names}
    if hasattr(X, "tocsr"):
        matrix = X.tocsr()
        if not matrix.has_canonical_format:
            matrix = matrix.copy() if matrix is X else matrix
            matrix.sum_duplicates()
        values = _numbers(matrix.data, numpy)
        return _lambdaml.csr(matrix.indptr, matrix.indices, values, matrix.shape[1], **labelling)
    X = numpy.asarray(X)
    if X.ndim != 2:
        raise InvalidArgument(f"X has {X.ndim} dimensions instead of 2: reshape it to rows × features")
    return _lambdaml.dense(_numbers(X, numpy), **labelling)


def _numbers(array, numpy):
    """The array, of a type that the engine reads."""
    if array.dtype.char in _NUMBERS and array.dtype.isnative:
        return array
    if array.dtype.kind == "c":
        raise InvalidArgument("X has complex numbers, which no model learns from")
    try:
        return array.astype(numpy.float32)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"X has values that are no numbers: {error}") from None


def _labelling(y):
    """(labels, targets, names of labels) of y."""
    import numpy

    if y is None:
        return None, None, None
    y = numpy.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InvalidArgument(f"y has {y.ndim} dimensions instead of 1")
    if y.dtype.kind in "OUS":
        kinds = {type(each) for each in y.tolist()}
        if len(kinds) > 1:
            raise InvalidArgument(
                "y has values of several types: " + ", ".join(sorted(kind.__name__ for kind in kinds))
            )
        if kinds and not issubclass(next(iter(kinds)), str):
            return _labelling(numpy.array(y.tolist()))
        texts, codes = numpy.unique(y.astype(str), return_inverse=True)
        # The engine's order is that of bytes in UTF-8, which is NumPy's of code points.
        return codes.astype(numpy.int32), None, texts.tolist()
    if y.dtype.kind not in "biuf":
        raise InvalidArgument(f"y has values of the type {y.dtype}: give numbers or texts")
    if y.dtype.kind == "f":
        if not numpy.isfinite(y).all():
            raise InvalidArgument("y contains NaN or infinity; fill or drop such rows")
        if (y != numpy.floor(y)).any() or (numpy.abs(y) >= 2**31).any():
            return None, y, None
    if y.size and (y.max() >= 2**31 or y.min() < -(2**31)):
        raise InvalidArgument("y has labels beyond 32 bits")
    return y.astype(numpy.int32, copy=False), None, None
