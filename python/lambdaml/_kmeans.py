"""K-means with scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional, Union

import numpy
from sklearn.base import ClusterMixin, TransformerMixin
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import check_array, check_random_state
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_is_fitted

from ._errors import warn
from ._estimators import Estimator, checked_weights, dtype_of, keeps_parameters, line_of, validated
from ._rows import engine_dataset, far_means, shifted
from ._types import Column, Rows


class KMeans(TransformerMixin, ClusterMixin, Estimator):  # type: ignore[misc]
    """K-means: Lloyd's iteration from starts by k-means‖.

    Parameters
    ----------
    n_clusters : int
        From 1 to the number of rows.
    init : {"k-means++", "random"}, callable or array of shape (n_clusters, n_features)
        Where the centers begin: "k-means++" chooses rows that are far from each other, by k-means‖, "random" any rows,
        by their weights; a callable gets X, n_clusters and ``random_state=``, and returns centers; or the centers
        themselves.
    n_init : int or "auto"
        Starts that are tried; the one with the smallest inertia is the result. "auto" is 10 for "random" and a callable,
        else one. With an array there is one.
    max_iter : int
        Passes over the data at most.
    tol : float
        As of :class:`sklearn.cluster.KMeans`: relative to the variance of the columns.
    copy_x : bool
        Has no effect: rows are never changed.
    algorithm : {"lloyd", "elkan", "auto", "full"}
        Has no effect: all of them lead from the same start to the same clusters.
    random_state : int, RandomState or None
        By which starts are drawn.
    verbose : int
        Above 0: a bar of progress.
    workers : int
        Workers that train together, each on its part of the rows.
    channel : str, optional
        Where workers meet: by default in memory on the platform threads, else in files.
    platform : {"threads", "local", "aws", "http", "array", "slurm"}, optional
        Where workers run: by default as threads, which use the rows in place.
    function : str, optional
        The deployed function, for the platform aws, which needs a channel that the function reaches.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        The means of the clusters' rows.
    labels_ : ndarray of shape (rows,)
        The cluster of each row.
    inertia_ : float
        The sum of the squared distances of the rows to their centers, times their weights if they have some.
    n_iter_ : int
        Passes over the data; of :meth:`partial_fit`, calls.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the columns, where X had some.

    Examples
    --------
    >>> from lambdaml import KMeans
    >>> KMeans(2, random_state=0).fit_predict([[0.0], [0.1], [9.0], [9.1]]).tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
    True
    """

    cluster_centers_: numpy.ndarray
    labels_: numpy.ndarray
    inertia_: float
    n_iter_: int
    # What is subtracted before distances are computed, where columns are far from 0.
    _means: Optional[numpy.ndarray] = None
    _without_effect = {"copy_x": "switch", "algorithm": ("lloyd", "elkan", "auto", "full")}

    @keeps_parameters
    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: Union[int, str] = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        copy_x: bool = True,
        algorithm: str = "lloyd",
        random_state: Any = None,
        verbose: int = 0,
        workers: int = 1,
        channel: Optional[str] = None,
        platform: Optional[str] = None,
        function: Optional[str] = None,
    ) -> None:
        pass

    def fit(self, X: Rows, y: Any = None, sample_weight: Optional[Column] = None) -> KMeans:
        """Finds the clusters of all rows.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Finite numbers.
        y : None
            Has no effect.
        sample_weight : array of shape (rows,), optional
            As how many rows each counts, from 0.

        Returns
        -------
        KMeans

        Raises
        ------
        ValueError, lambdaml.Error
            As of :meth:`LogisticRegression.fit`.
        """
        self._require_usable_parameters()
        X = validated(self, X, accept_sparse=["csr", "csc"], dtype="numeric")
        weights = checked_weights(sample_weight, X)
        options = {
            "epochs": self._positive("max_iter"),
            "threshold": (self._number("tol") * _variance(X)) ** 0.5,
            "seed": self._seed(),
        }
        self._means = far_means(X)
        starts = self._starts(X, weights)
        if starts is None:
            best = self._moved(X, weights, None, n_init=self._tries(1), **options)
        else:
            best = min((self._moved(X, weights, begin, **options) for begin in starts), key=lambda each: each[1]["inertia"])
        self.cluster_centers_, summary = best
        self.n_iter_, self.inertia_ = summary["epochs"], summary["inertia"]
        self.labels_, _ = self._nearest(X)
        self._counts = numpy.bincount(self.labels_, weights, len(self.cluster_centers_))
        return self

    def partial_fit(self, X: Rows, y: Any = None, sample_weight: Optional[Column] = None) -> KMeans:
        """Moves the centers by further rows, which are seen once: mini-batch k-means.

        Each center becomes the mean of all rows that it has been the nearest of, those of earlier calls included, as in
        :class:`sklearn.cluster.MiniBatchKMeans` with ``reassignment_ratio=0``: no center is moved elsewhere because it
        has few rows. The first call, without a fit before it, finds the centers of its rows
        as :meth:`fit` does, or begins from the array ``init``.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            A batch of rows; a call is a job of the engine, which takes some milliseconds.
        y : None
            Has no effect.
        sample_weight : array of shape (rows,), optional
            As how many rows each counts, from 0.

        Returns
        -------
        KMeans

        Raises
        ------
        ValueError
            As of :meth:`fit`, or ``n_clusters`` is no longer the number of the centers.
        """
        is_first = not hasattr(self, "cluster_centers_")
        self._require_usable_parameters()
        if is_first and (isinstance(self.init, str) or callable(self.init)):
            return self.fit(X, sample_weight=sample_weight)
        if not is_first and self._positive("n_clusters") != len(self.cluster_centers_):
            raise ValueError(
                f"n_clusters is {self.n_clusters}, and partial_fit() moves the {len(self.cluster_centers_)} centers of "
                "earlier calls: fit() begins anew"
            )
        X = validated(self, X, accept_sparse=["csr", "csc"], dtype="numeric", reset=is_first)
        weights = checked_weights(sample_weight, X)
        if is_first:
            self._means = far_means(X)
            self.cluster_centers_ = self._given(self.init, X)
            self._counts = numpy.zeros(len(self.cluster_centers_), dtype=numpy.int64)
            self.n_iter_ = 0
        before = self.cluster_centers_
        more = numpy.bincount(self._nearest(X)[0], weights, len(before))
        means, _ = self._moved(X, weights, before, epochs=1, threshold=0, must_converge=False)
        self._counts = self._counts + more
        share = numpy.divide(more, self._counts, out=numpy.zeros(len(before)), where=self._counts > 0)[:, None]
        self.cluster_centers_ = (before + share * (means - before)).astype(dtype_of(X))
        self.n_iter_ += 1
        self.labels_, self.inertia_ = self._nearest(X, weights)
        return self

    def fit_predict(self, X: Rows, y: Any = None, sample_weight: Optional[Column] = None) -> numpy.ndarray:
        """Finds the clusters of all rows; returns the cluster of each.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Finite numbers.
        y : None
            Has no effect.
        sample_weight : array of shape (rows,), optional
            As how many rows each counts, from 0.

        Returns
        -------
        numpy.ndarray of shape (rows,)
        """
        return self.fit(X, sample_weight=sample_weight).labels_

    def _tries(self, by_default: int) -> int:
        """The number of starts."""
        if isinstance(self.n_init, str) and self.n_init in ("auto", "warn"):  # as scikit-learn 1.2 has it by default
            return by_default if self.n_init == "auto" else 10
        return self._positive("n_init")

    def _starts(self, X: Any, weights: Optional[numpy.ndarray]) -> Optional[Iterator[numpy.ndarray]]:
        """The centers of each start; None if the engine is to choose them."""
        clusters = self._positive("n_clusters")
        if X.shape[0] < clusters:
            raise ValueError(f"n_samples={X.shape[0]} should be >= n_clusters={clusters}")
        if isinstance(self.init, str) or self.init is None:
            if self._choice("init", "k-means++", "random") == "k-means++":
                return None
            if weights is not None and numpy.count_nonzero(weights) < clusters:
                raise ValueError(f"init='random' needs {clusters} rows with a weight above 0")
        elif not callable(self.init):
            if self._tries(1) > 1:
                warn(f"init is an array of centers: there is one start, and not n_init={self.n_init}", RuntimeWarning)
            return iter([self._given(self.init, X)])
        random = check_random_state(self.random_state)
        return (self._drawn(X, weights, random) for _ in range(self._tries(10)))

    def _drawn(self, X: Any, weights: Optional[numpy.ndarray], random: numpy.random.RandomState) -> numpy.ndarray:
        if callable(self.init):
            return self._given(self.init(X, self.n_clusters, random_state=random), X)
        shares = None if weights is None else weights / weights.sum()
        rows = X[random.choice(X.shape[0], self.n_clusters, replace=False, p=shares)]
        return self._given(rows.toarray() if hasattr(rows, "toarray") else rows, X)

    def _given(self, centers: Any, X: Any) -> numpy.ndarray:
        """Centers as an array."""
        try:
            centers = check_array(centers, dtype=dtype_of(X), input_name="init")
        except (TypeError, ValueError) as error:
            raise ValueError(f"init must be 'k-means++', 'random', a function or centers: {line_of(str(error))}") from None
        wanted = (self._positive("n_clusters"), X.shape[1])
        if centers.shape != wanted:
            raise ValueError(f"init has the shape {centers.shape} instead of {wanted}")
        return centers

    def _moved(
        self, X: Any, weights: Optional[numpy.ndarray], begin: Optional[numpy.ndarray], **options: Any
    ) -> tuple[numpy.ndarray, dict[str, Any]]:
        """(centers that are trained, from these on if there are some; the job's summary)."""
        means = self._means_of(X)
        parameters, summary = self._train(
            engine_dataset(shifted(X, means), weights=weights),
            start=None if begin is None else shifted(begin, means).ravel(),
            model="kmeans",
            clusters=self._positive("n_clusters"),
            **options,
        )
        centers = next(iter(parameters.values()))
        return (centers if means is None else centers + means).astype(dtype_of(X)), summary

    def _nearest(self, X: Any, weights: Optional[numpy.ndarray] = None) -> tuple[numpy.ndarray, float]:
        """(the nearest center of each row, the sum of the squared distances, times the weights)."""
        labels, distances = pairwise_distances_argmin_min(*self._near_zero(X))
        squared = distances.astype(numpy.float64) ** 2
        return labels.astype(numpy.int32), float(squared.sum() if weights is None else squared @ weights)

    def _near_zero(self, X: Any) -> tuple[Any, numpy.ndarray]:
        """(rows, centers), both less the means of columns that are far from 0."""
        means = self._means_of(X)
        return shifted(X, means), shifted(self.cluster_centers_, means).astype(dtype_of(X), copy=False)

    def _means_of(self, X: Any) -> Optional[numpy.ndarray]:
        return None if hasattr(X, "tocsr") else self._means

    def _rows(self, X: Rows) -> Any:
        check_is_fitted(self)
        return validated(self, X, accept_sparse="csr", dtype=[numpy.float64, numpy.float32], reset=False)

    def predict(self, X: Rows) -> numpy.ndarray:
        """The nearest cluster of each row.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Rows as those that it was fitted to.

        Returns
        -------
        numpy.ndarray of shape (rows,)
        """
        return self._nearest(self._rows(X))[0]

    def transform(self, X: Rows) -> numpy.ndarray:
        """The distance of each row to each cluster's center.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Rows as those that it was fitted to.

        Returns
        -------
        numpy.ndarray of shape (rows, n_clusters)
        """
        return euclidean_distances(*self._near_zero(self._rows(X)))

    def score(self, X: Rows, y: Any = None, sample_weight: Optional[Column] = None) -> float:
        """Minus the inertia of the rows.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Rows as those that it was fitted to.
        y : None
            Has no effect.
        sample_weight : array of shape (rows,), optional
            As how many rows each counts, from 0.

        Returns
        -------
        float
        """
        X = self._rows(X)
        return -self._nearest(X, checked_weights(sample_weight, X))[1]

    @property
    def _n_features_out(self) -> int:
        return self.cluster_centers_.shape[0]

    def get_feature_names_out(self, input_features: Any = None) -> numpy.ndarray:
        """The names of transform()'s columns: kmeans0, kmeans1 …

        Parameters
        ----------
        input_features : None
            Has no effect.

        Returns
        -------
        numpy.ndarray of shape (n_clusters,)
        """
        check_is_fitted(self)
        return numpy.asarray([f"kmeans{i}" for i in range(self._n_features_out)], dtype=object)


def _variance(X: Any) -> float:
    """The mean variance of the columns."""
    if hasattr(X, "tocsr"):
        return float(numpy.mean(mean_variance_axis(X.astype(numpy.float64), axis=0)[1]))
    # By blocks, since NumPy would make a second table of deviations.
    center = numpy.mean(X, axis=0, dtype=numpy.float64)
    squares = numpy.zeros(X.shape[1])
    for begin in range(0, X.shape[0], 4096):
        squares += ((X[begin : begin + 4096] - center) ** 2).sum(axis=0)
    return float(squares.mean() / X.shape[0])
