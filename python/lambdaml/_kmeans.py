"""K-means with scikit-learn's interface."""

import numpy
from sklearn.base import ClusterMixin, TransformerMixin
from sklearn.metrics import pairwise_distances_argmin, pairwise_distances_argmin_min
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_is_fitted

from ._rows import engine_dataset
from ._estimators import Estimator, dtype_of, keeps_parameters, validate_data


class KMeans(TransformerMixin, ClusterMixin, Estimator):
    """K-means: Lloyd's iteration from starts by k-means‖.

    Parameters
    ----------
    n_clusters : int
        From 1 to the number of rows.
    init : {"k-means++"}
    n_init : int or "auto"
        Starts that are tried; the one with the smallest inertia is the result. "auto" is one.
    max_iter : int
    tol : float
        As of :class:`sklearn.cluster.KMeans`: relative to the variance of the columns.
    random_state : int, RandomState or None
    verbose : int
        Above 0: a line of progress.
    workers, channel, platform, function
        As of :class:`LogisticRegression`.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
    labels_ : ndarray of shape (rows,)
    inertia_ : float
        The sum of the squared distances of the rows to their centers.
    n_iter_ : int
    """

    @keeps_parameters
    def __init__(
        self,
        n_clusters=8,
        *,
        init="k-means++",
        n_init="auto",
        max_iter=300,
        tol=1e-4,
        random_state=None,
        verbose=0,
        workers=1,
        channel=None,
        platform=None,
        function=None,
    ):
        pass

    def fit(self, X, y=None):
        """Finds the clusters of all rows.

        Parameters
        ----------
        X : array or sparse matrix of shape (rows, features)
        y : None
            Has no effect.

        Returns
        -------
        KMeans

        Raises
        ------
        ValueError, lambdaml.Error
            As of :meth:`LogisticRegression.fit`.
        """
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype="numeric")
        if not isinstance(self.init, str) or self.init != "k-means++":
            raise ValueError(f"init must be 'k-means++', not {self.init!r}")
        clusters = self._positive("n_clusters")
        if X.shape[0] < clusters:
            raise ValueError(f"n_samples={X.shape[0]} should be >= n_clusters={clusters}")
        parameters, summary = self._train(
            engine_dataset(X),
            model="kmeans",
            clusters=clusters,
            n_init=1 if isinstance(self.n_init, str) and self.n_init == "auto" else self._positive("n_init"),
            epochs=self._positive("max_iter"),
            threshold=(self._number("tol") * _variance(X)) ** 0.5,
            seed=self._seed(),
        )
        self.cluster_centers_ = next(iter(parameters.values())).astype(dtype_of(X))
        self.n_iter_ = summary["epochs"]
        self.labels_ = self._nearest(X)
        self.inertia_ = summary["inertia"]
        return self

    def _nearest(self, X):
        return pairwise_distances_argmin(X, self.cluster_centers_.astype(X.dtype, copy=False)).astype(numpy.int32)

    def _rows(self, X):
        check_is_fitted(self)
        return validate_data(self, X, accept_sparse="csr", dtype=[numpy.float64, numpy.float32], reset=False)

    def predict(self, X):
        """The nearest cluster of each row.

        Returns
        -------
        numpy.ndarray of shape (rows,)
        """
        return self._nearest(self._rows(X))

    def transform(self, X):
        """The distance of each row to each cluster's center.

        Returns
        -------
        numpy.ndarray of shape (rows, n_clusters)
        """
        return euclidean_distances(self._rows(X), self.cluster_centers_)

    def score(self, X, y=None):
        """Minus the inertia of the rows."""
        X = self._rows(X)
        _, distances = pairwise_distances_argmin_min(X, self.cluster_centers_.astype(X.dtype, copy=False))
        return -float((distances.astype(numpy.float64) ** 2).sum())

    @property
    def _n_features_out(self):
        return self.cluster_centers_.shape[0]

    def get_feature_names_out(self, input_features=None):
        """The names of transform()'s columns: kmeans0, kmeans1 …"""
        check_is_fitted(self)
        return numpy.asarray([f"kmeans{i}" for i in range(self._n_features_out)], dtype=object)


def _variance(X):
    """The mean variance of the columns."""
    if hasattr(X, "tocsr"):
        return float(numpy.mean(mean_variance_axis(X.astype(numpy.float64), axis=0)[1]))
    # By blocks, since NumPy would make a second table of deviations.
    center = numpy.mean(X, axis=0, dtype=numpy.float64)
    squares = numpy.zeros(X.shape[1])
    for begin in range(0, X.shape[0], 4096):
        squares += ((X[begin : begin + 4096] - center) ** 2).sum(axis=0)
    return float(squares.mean() / X.shape[0])
