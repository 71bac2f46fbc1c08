"""Batches of rows that come one after another, and what they have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from . import _checks, _lambdaml, _parts
from ._errors import InvalidArgument
from ._rows import engine_dataset, labelling, plain_column, rows_and_names, weighting, without_column
from ._types import Column, Rows


class Facts:
    """What all batches have in common: known only when all have been seen."""

    def __init__(self) -> None:
        self.rows = 0
        self.features: Optional[list[str]] = None
        self.label: Optional[str] = None
        self.weight: Optional[str] = None
        self._texts: set[str] = set()
        self._are_texts: Optional[bool] = None
        self._are_real = False

    def see(self, rows: int, y: Any) -> None:
        """Takes in the labels of some rows, or None."""
        import numpy

        self.rows += rows
        if y is None or rows == 0:  # no values say of what type they would be
            return
        are_texts = y.dtype.kind == "U"
        if self._are_texts not in (None, are_texts):
            raise InvalidArgument("y has texts in some batches and numbers in others")
        self._are_texts = are_texts
        if are_texts:
            self._texts.update(numpy.unique(y).tolist())
        else:
            self._are_real |= labelling(y)[1] is not None

    def dataset(self, batch: dict[str, Any]) -> _lambdaml.Dataset:
        """The engine's data set of a batch."""
        import numpy

        labels = targets = None
        names: dict[str, Any] = {}
        if self.features is not None:
            names["features"] = self.features
        if names:
            names.update({key: name for key, name in (("label", self.label), ("weight", self.weight)) if name is not None})
        y = batch.get("y")
        if y is not None and self._are_texts:
            texts = numpy.array(sorted(self._texts), dtype=str)
            names["labels"] = texts.tolist()
            labels = numpy.searchsorted(texts, y).astype(numpy.int32)
        elif y is not None and self._are_real:
            targets = y.astype(numpy.float32)
        elif y is not None:
            labels = y.astype(numpy.int32)
        return engine_dataset(
            batch["X"],
            labels=labels,
            targets=targets,
            weights=batch.get("weights"),
            names=json.dumps(names) if names else "",
        )


def batch_of(X: Rows, y: Column, weights: Column = None) -> tuple[dict[str, Any], Optional[list[str]]]:
    """(arrays by name, names of the columns) of some rows: X, and where they are there y and weights."""
    import numpy

    X, names = rows_and_names(X, "a batch")
    if not hasattr(X, "tocsr"):
        X = numpy.asarray(X, dtype=numpy.float32)
    out = {"X": X}
    if y is not None:
        out["y"] = plain_column(y)
    if weights is not None:
        out["weights"] = weighting(weights)
    if any(values.shape[0] != X.shape[0] for values in out.values()):
        raise InvalidArgument(f"y and weights of a batch must have one value for each of its {X.shape[0]} rows")
    return out, names


def without_columns(rows: Rows, label: Optional[str], weight: Optional[str]) -> tuple[Rows, Column, Column]:
    """(the other columns, that of labels or None, that of weights or None)."""
    y = weights = None
    if label is not None:
        rows, y = without_column(rows, label)
    if weight is not None:
        rows, weights = without_column(rows, weight, "weights")
    return rows, y, weights


class Batches:
    """Batches of an iterable: rows X, or tuples (X, y) or (X, y, weights); those without rows are left out."""

    what = "batches"

    def __init__(self, batches: Iterable[Any], label: Optional[str], weight: Optional[str]) -> None:
        self._label = None if label is None else _checks.text("label", label)
        self._weight = None if weight is None else _checks.text("weights", weight)
        self._columns: Any = None
        if not hasattr(batches, "__iter__"):
            raise InvalidArgument(f"batches must be an iterable of batches of rows, not {type(batches).__name__}")
        # What can be iterated again is read twice; an iterator is kept in files in between.
        self._batches = _parts.Spool(self._arrays(batches)) if hasattr(batches, "__next__") else batches

    def batches(self) -> Iterator[dict[str, Any]]:
        return iter(self._batches) if isinstance(self._batches, _parts.Spool) else self._arrays(self._batches)

    def facts(self) -> Facts:
        facts = Facts()
        for batch in self.batches():
            facts.see(_parts.rows_of(batch), batch.get("y"))
        facts.features = self._columns[1] if self._columns else None
        facts.label, facts.weight = self._label, self._weight
        return facts

    def _arrays(self, batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
        for batch in batches:
            if _is_nothing(batch):
                continue
            out, names = batch_of(*self._split(batch))
            columns = out["X"].shape[1], names, out.keys()
            if self._columns is None:
                self._columns = columns
            if self._columns[:2] != columns[:2]:
                raise InvalidArgument("a batch has other columns than the first one")
            if self._columns[2] != columns[2]:
                raise InvalidArgument("some batches have y or weights, and others have not")
            if out["X"].shape[0] > 0:
                yield out

    def _split(self, batch: Any) -> tuple[Any, ...]:
        """(X, y) or (X, y, weights)."""
        if not isinstance(batch, (tuple, list)):
            return without_columns(batch, self._label, self._weight)
        named = [f"{what}='{name}'" for what, name in (("label", self._label), ("weights", self._weight)) if name is not None]
        if named or len(batch) not in (2, 3):
            raise InvalidArgument(
                "a batch must be rows X, or a tuple (X, y) or (X, y, weights)"
                + (f"; with {named[0]}, rows with that column" if named else "")
            )
        return tuple(batch)


def _is_nothing(batch: Any) -> bool:
    """Whether it has no rows and no columns either: ``[]``, ``([], [])``, an array of the shape (0,), ``DataFrame()``."""
    if isinstance(batch, (tuple, list)):
        return all(_is_nothing(each) for each in batch)
    return getattr(batch, "shape", None) in ((0,), (0, 0))
