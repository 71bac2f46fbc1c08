"""Rows of any form, as the engine takes them: numbers, labels, names of columns."""

from __future__ import annotations

from typing import Any, Optional

from . import _lambdaml
from ._errors import InvalidArgument, suggestion_or_names
from ._types import Column, Rows

# Number types that the engine converts itself.
_NUMBERS = "?bBhHiIlLqQfd"
# Means of columns are far from 0 from so many standard deviations on: of float32's 7 digits 2 are lost.
_FAR = 100
# Rows of which it is seen whether columns may be far.
_LOOKED = 1000
# Rows that are shifted at a time.
_BLOCK = 4096


def engine_dataset(
    X: Rows, *, labels: Any = None, targets: Any = None, weights: Any = None, names: str = ""
) -> _lambdaml.Dataset:
    """The engine's data set of an array or a sparse matrix."""
    labelling = {"labels": labels, "targets": targets, "weights": weights, "names": names}
    if hasattr(X, "tocsr"):
        matrix = X.tocsr()
        if not matrix.has_canonical_format:
            matrix = matrix.copy() if matrix is X else matrix
            matrix.sum_duplicates()
        return _lambdaml.csr(matrix.indptr, matrix.indices, numbers(matrix.data), matrix.shape[1], **labelling)
    return _lambdaml.dense(table(X, "X"), **labelling)


def far_means(X: Any) -> Any:
    """The means (float64) of a table's columns that are far from 0, 0 for other columns; None if none are far.

    What varies in such columns is lost in the engine's float32 unless their means are subtracted before. Costs one
    pass over the columns that look so in some rows. Columns of one value have nothing to lose. None of a sparse matrix,
    whose zeros are to stay.
    """
    import numpy

    if hasattr(X, "tocsr"):
        return None
    looked = numpy.flatnonzero(_may_be_far(X))
    if not looked.size:
        return None
    first = numpy.asarray(X[0, looked], dtype=numpy.float64)
    sums, squares = numpy.zeros(looked.size), numpy.zeros(looked.size)
    with numpy.errstate(over="ignore", invalid="ignore"):
        for begin in range(0, X.shape[0], _BLOCK):
            block = X[begin : begin + _BLOCK]
            block = (block if looked.size == X.shape[1] else block[:, looked]) - first
            sums += block.sum(axis=0)
            squares += numpy.einsum("ij,ij->j", block, block)
        shift = sums / X.shape[0]
        means = first + shift
        deviations = numpy.sqrt(numpy.maximum(squares / X.shape[0] - shift**2, 0))
        far = (abs(means) > _FAR * deviations) & (deviations > 1e-13 * abs(means)) & numpy.isfinite(deviations)
    if not far.any():
        return None
    out = numpy.zeros(X.shape[1])
    out[looked[far]] = means[far]
    return out


def _may_be_far(X: Any) -> Any:
    """For each column, whether its mean may be `_FAR` standard deviations from 0, by rows that lie evenly.

    A column's median is within a deviation of its mean, and half of the values are within √2 deviations of the mean
    (Chebyshev), so within 2.5 of the median: the median of such a column is 40 times as far from 0 as half of the values
    are from it. 10 times are asked for, since these are some of the rows.
    """
    import numpy

    if X.shape[0] <= 4 * _LOOKED:
        return numpy.ones(X.shape[1], dtype=bool)
    some = numpy.asarray(X[:: X.shape[0] // _LOOKED], dtype=numpy.float64)
    medians = numpy.median(some, axis=0)
    return abs(medians) > 10 * numpy.median(abs(some - medians), axis=0)


def shifted(X: Any, means: Any) -> Any:
    """The rows less the means; the rows themselves if those are None."""
    import numpy

    if means is None:
        return X
    out = numpy.empty(X.shape, dtype=numpy.float32 if X.dtype == numpy.float32 else numpy.float64)
    for begin in range(0, X.shape[0], _BLOCK):
        out[begin : begin + _BLOCK] = X[begin : begin + _BLOCK] - means
    return out


def rows_and_names(X: Rows, what: str = "X") -> tuple[Any, Optional[list[str]]]:
    """(array or CSR matrix, names of the columns or None) of rows in any form."""
    if hasattr(X, "__arrow_c_stream__") and not hasattr(X, "iloc"):
        # Of polars, pyarrow, duckdb …; pandas needs pyarrow for that, and its arrays none.
        names, values = _lambdaml.arrow_table(X.__arrow_c_stream__())
        return table(values, what), names
    return (X.tocsr() if hasattr(X, "tocsr") else table(X, what)), names_of_columns(X)


def names_of_columns(X: Rows) -> Optional[list[str]]:
    """The names of a DataFrame's columns, if all are texts; otherwise None."""
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    columns = list(columns)
    return columns if columns and all(isinstance(each, str) for each in columns) else None


def without_column(X: Rows, name: str, what: str = "y") -> tuple[Rows, Column]:
    """The rows without a column, and that column, which is to be `what`."""
    columns = getattr(X, "column_names", None)  # of pyarrow
    if columns is None and (not hasattr(X, "drop") or not hasattr(X, "columns")):
        raise InvalidArgument(f"{what} is the name '{name}', and X has no columns with names: give {what} as an array")
    columns = list(X.columns if columns is None else columns)
    if name not in columns:
        raise InvalidArgument(f"X has no column '{name}'{suggestion_or_names(name, columns)}")
    if hasattr(X, "column_names"):  # a table, or a batch of one
        return X.select([each for each in columns if each != name]), X.column(name)
    try:
        return X.drop(columns=name), X[name]
    except TypeError:  # polars
        return X.drop(name), X[name]


def table(X: Rows, what: str) -> Any:
    """Rows as an array of two dimensions, of a type that the engine reads."""
    import numpy

    require_no_masks(X, what)
    names = names_of_columns(X)
    try:
        X = numpy.asarray(X)
    except (TypeError, ValueError, RuntimeError) as error:
        # Of rows of different lengths; tensors of PyTorch that have a gradient, or are not in this memory.
        raise InvalidArgument(f"{what} is no table of numbers: {_line(error)}") from None
    if X.ndim == 0:
        given = X.item()
        hint = ": Dataset.read() reads files" if isinstance(given, str) else ""
        hint = ": Dataset.from_batches() takes batches" if hasattr(given, "__next__") else hint
        raise InvalidArgument(f"{what} must be rows × features, not {type(given).__name__}{hint}")
    if X.ndim != 2:
        raise InvalidArgument(f"{what} has {X.ndim} dimensions instead of 2: reshape it to rows × features")
    return numbers(X, what, names)


def numbers(array: Any, what: str = "X", names: Optional[list[str]] = None) -> Any:
    """The array, of a type that the engine reads; `names` of its columns are for errors."""
    import numpy

    if array.dtype.char in _NUMBERS and array.dtype.isnative:
        return array
    if array.dtype.kind == "c":
        raise InvalidArgument(f"{what} has complex numbers, which no model learns from")
    if array.dtype.kind in "mM" or (array.ndim == 1 and array.size and hasattr(array[0], "isoformat")):
        raise InvalidArgument(f"{what} has dates or times, which are no numbers: make numbers of them, e.g. days")
    try:
        return array.astype(numpy.float32)
    except (TypeError, ValueError) as error:
        for name, column in zip(names or (), array.T):
            numbers(column, f"the column '{name}'")
        if array.ndim == 1 and any(map(_is_missing, array.tolist())):
            raise InvalidArgument(f"{what} has missing values: fill or drop such rows") from None
        raise InvalidArgument(f"{what} has values that are no numbers: {_line(error)}") from None


def require_no_masks(values: Any, what: str) -> None:
    """Throws if some of the values are masked: NumPy's functions would pass on what is under the mask."""
    import numpy

    if isinstance(values, numpy.ma.MaskedArray) and values.mask.any():
        raise InvalidArgument(f"{what} has masked values: fill or drop such rows")


def plain_column(values: Column, what: str = "y", texts: bool = True) -> Any:
    """Labels, targets or weights as an array of one dimension, of numbers or, if they may be, texts."""
    import numpy

    wanted = "numbers or texts" if texts else "numbers"

    nulls = getattr(values, "null_count", 0)  # of Arrow's columns
    if nulls() if callable(nulls) else nulls:
        raise InvalidArgument(f"{what} has missing values: fill or drop such rows")
    require_no_masks(values, what)
    try:
        array = numpy.asarray(values)
        if array.dtype.kind in "US" and isinstance(values, (list, tuple)):
            # NumPy would make texts of numbers among texts.
            array = numpy.asarray(values, dtype=object)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidArgument(f"{what} is no column of {wanted}: {_line(error)}") from None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InvalidArgument(f"{what} must be a column of {wanted}, not {_shape_of(values, array)}")
    if array.dtype.kind == "O":
        there = [value for value in array.tolist() if not _is_missing(value)]
        kinds = {type(value) for value in there}
        usable = ((int, float, numpy.number, numpy.bool_), (str,), (bytes,))
        if not any(all(issubclass(kind, types) for kind in kinds) for types in usable):
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            if len(kinds) > 1:
                raise InvalidArgument(f"{what} has values of several types: {names}")
            raise InvalidArgument(f"{what} has values of the type {names}: give {wanted}")
        if len(there) < len(array):
            raise InvalidArgument(f"{what} has missing values: fill or drop such rows")
        array = numpy.array(there)
    if array.dtype.kind == "S":
        array = array.astype(str)
    if array.dtype.kind == "U" and not texts:
        raise InvalidArgument(f"{what} has texts: give numbers")
    if array.dtype.kind not in "biufU":
        raise InvalidArgument(f"{what} has values of the type {array.dtype}: give {wanted}")
    return array


def labelling(y: Column) -> tuple[Any, Any, Optional[list[str]]]:
    """(labels, targets, names of labels) of y."""
    import numpy

    if y is None:
        return None, None, None
    y = plain_column(y)
    if y.dtype.kind == "U":
        texts, codes = numpy.unique(y, return_inverse=True)
        # The engine's order is that of bytes in UTF-8, which is NumPy's of code points.
        return codes.astype(numpy.int32), None, texts.tolist()
    if y.dtype.kind == "f":
        if not numpy.isfinite(y).all():
            raise InvalidArgument("y contains NaN or infinity; fill or drop such rows")
        if (y != numpy.floor(y)).any() or (numpy.abs(y) >= 2**31).any():
            return None, y, None
    if y.size and (y.max() >= 2**31 or y.min() < -(2**31)):
        raise InvalidArgument("y has labels beyond 32 bits")
    return y.astype(numpy.int32, copy=False), None, None


def weighting(weights: Column) -> Any:
    """Weights of rows as an array of numbers; None where there are none."""
    if weights is None:
        return None
    return numbers(plain_column(weights, "weights", texts=False), "weights")


def _shape_of(values: Any, array: Any) -> str:
    return f"of {array.ndim} dimensions" if array.ndim else f"of the type {type(values).__name__}"


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    try:
        return bool(value != value)
    except ValueError:  # an array
        return False
    except TypeError:  # pandas.NA, of which nothing is known
        return True


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]
