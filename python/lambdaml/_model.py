"""Trained models."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _lambdaml
from ._dataset import Dataset
from ._errors import InvalidArgument
from ._types import Place, Rows

if TYPE_CHECKING:
    import numpy


class Model:
    """A trained model.

    Attributes
    ----------
    name : str
        What was trained: ``"lr"``, ``"kmeans"`` …
    n_features : int
    labels : list
        The labels of the classes, in their order: numbers or texts. Empty if there are none.
    feature_names : list of str or None
    options : dict
        The options of the job that trained it.
    has_probabilities, predicts_numbers : bool
        Whether :meth:`predict_proba` has an answer; whether :meth:`predict` gives numbers, not labels.
    """

    def __init__(self, engine: _lambdaml.Model, place: Optional[str] = None) -> None:
        self._engine = engine
        self._place = place
        facts = json.loads(engine.facts)
        self.name: str = facts["model"]
        self.n_features: int = facts["features"]
        self._label_names = facts.get("label_names")
        self.labels: list[Any] = facts["labels"]
        if self._label_names:
            self.labels = [self._label_names[label] for label in self.labels]
        self.feature_names: Optional[list[str]] = facts.get("feature_names") or None
        self.options: dict[str, Any] = facts["options"]
        self.has_probabilities: bool = facts["has_probabilities"]
        self.predicts_numbers: bool = facts["predicts_numbers"]

    @classmethod
    def load(cls, place: Place) -> Model:
        """Reads a model.

        Parameters
        ----------
        place : str or path
            A model file, or the folder of a run or search: a path or storage URI.

        Returns
        -------
        Model
        """
        place = os.fspath(place)
        return cls(_lambdaml.read_model(place), place)

    @property
    def parameters(self) -> dict[str, numpy.ndarray]:
        """The parameters, a dict of arrays by name."""
        import numpy

        return {name: numpy.array(values) for name, values in self._engine.parameters().items()}

    def __getitem__(self, name: str) -> numpy.ndarray:
        return self.parameters[name]

    def _table(self, X: Union[Rows, Dataset], **wanted: bool) -> dict[str, numpy.ndarray]:
        import numpy

        if not isinstance(X, Dataset):
            X = Dataset(X)
        X._require_columns(self.n_features, self.feature_names, "X", "the model")
        table = self._engine.predict(X._engine, **wanted)
        return {name: numpy.asarray(values) for name, values in table.items()}

    def predict(self, X: Union[Rows, Dataset]) -> numpy.ndarray:
        """The label, cluster or number that the model predicts for each row.

        Parameters
        ----------
        X : array, sparse matrix, DataFrame or Dataset
            Rows of the model's features; columns with names are found by them, in any order.

        Returns
        -------
        numpy.ndarray of shape (rows,)
        """
        import numpy

        table = self._table(X)
        if "label" not in table:
            return table["cluster" if "cluster" in table else "value"]
        if self._label_names:
            return numpy.array(self._label_names)[table["label"]]
        return table["label"]

    def predict_proba(self, X: Union[Rows, Dataset]) -> numpy.ndarray:
        """The probability of each class for each row.

        Parameters
        ----------
        X : array, sparse matrix, DataFrame or Dataset
            Rows of the model's features; columns with names are found by them, in any order.

        Returns
        -------
        numpy.ndarray of shape (rows, classes)
        """
        if not self.has_probabilities:
            raise InvalidArgument(f"a model of the kind {self.name} gives no probabilities")
        return self._table(X, probabilities=True)["p"]

    def scores(self, X: Union[Rows, Dataset]) -> numpy.ndarray:
        """The score of each class for each row, of which the largest wins.

        Parameters
        ----------
        X : array, sparse matrix, DataFrame or Dataset
            Rows of the model's features; columns with names are found by them, in any order.

        Returns
        -------
        numpy.ndarray of shape (rows, classes)
        """
        if not self.labels:
            raise InvalidArgument(f"a model of the kind {self.name} has no classes, so it gives no scores")
        return self._table(X, scores=True)["score"]

    def __repr__(self) -> str:
        return f"lambdaml.Model {self.name} of {self.n_features} features" + (
            f", {len(self.labels)} classes" if self.labels else ""
        )
