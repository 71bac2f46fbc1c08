"""Trained models."""

import json
import os

from . import _lambdaml


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
    """

    def __init__(self, engine, place=None):
        self._engine = engine
        self._place = place
        facts = json.loads(engine.facts)
        self.name = facts["model"]
        self.n_features = facts["features"]
        self._label_names = facts.get("label_names")
        self.labels = facts["labels"]
        if self._label_names:
            self.labels = [self._label_names[label] for label in self.labels]
        self.feature_names = facts.get("feature_names") or None
        self.options = facts["options"]
        self.has_probabilities = facts["has_probabilities"]
        self.predicts_numbers = facts["predicts_numbers"]

    @classmethod
    def load(cls, place):
        """Reads a model file, or the model of the folder of a run or search: a path or storage URI."""
        place = os.fspath(place)
        return cls(_lambdaml.read_model(place), place)

    @property
    def parameters(self):
        """The parameters, a dict of arrays by name."""
        import numpy

        return {name: numpy.array(values) for name, values in self._engine.parameters().items()}

    def __getitem__(self, name):
        return self.parameters[name]

    def _table(self, X, **wanted):
        import numpy

        from ._dataset import Dataset

        if not isinstance(X, Dataset):
            X = Dataset(X)
        table = self._engine.predict(X._engine, **wanted)
        return {name: numpy.asarray(values) for name, values in table.items()}

    def predict(self, X):
        """The label, cluster or number that the model predicts for each row.

        Parameters
        ----------
        X : array, sparse matrix, DataFrame or Dataset

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

    def predict_proba(self, X):
        """The probability of each class for each row.

        Returns
        -------
        numpy.ndarray of shape (rows, classes)
        """
        return self._table(X, probabilities=True)["p"]

    def scores(self, X):
        """The score of each class for each row, of which the largest wins.

        Returns
        -------
        numpy.ndarray of shape (rows, classes)
        """
        return self._table(X, scores=True)["score"]

    def __repr__(self):
        return f"lambdaml.Model {self.name} of {self.n_features} features" + (
            f", {len(self.labels)} classes" if self.labels else ""
        )
