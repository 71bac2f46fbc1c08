"""Linear models with scikit-learn's interface."""

import numpy
from scipy.special import expit
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.extmath import safe_sparse_dot, softmax
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ._rows import engine_dataset
from ._estimators import Estimator, checked_weights, dtype_of, keeps_parameters, validate_data

# Parameters of which L-BFGS remembers many steps: 80 MB in all.
_FEW = 100_000


# Kinds of types of whole numbers.
_WHOLE = "biu"
# Rows of which labels are converted at a time: few, so that no array of all rows is made beside the result.
_BLOCK = 1 << 16


def class_numbers(y):
    """The classes of y, ascending, and for each row the number of its class (int32)."""
    low, high = (int(y.min()), int(y.max())) if y.dtype.kind in _WHOLE and y.size else (0, _BLOCK)
    blocks = [slice(begin, begin + _BLOCK) for begin in range(0, len(y), _BLOCK)]
    numbers = numpy.empty(len(y), dtype=numpy.int32)
    if high - low >= _BLOCK:
        classes = numpy.unique(y)
        for block in blocks:
            numbers[block] = numpy.searchsorted(classes, y[block])
        return classes, numbers
    # Labels that are close together are counted instead of sorted, which took longer than the training.
    seen = numpy.zeros(high - low + 1, dtype=bool)
    wide = numpy.uint64 if y.dtype.kind == "u" else numpy.int64
    for block in blocks:
        numbers[block] = y[block].astype(wide) - wide(low)
        seen[numbers[block]] = True
    number_of = (numpy.cumsum(seen) - 1).astype(numpy.int32)
    for block in blocks:
        numbers[block] = number_of[numbers[block]]
    return (numpy.flatnonzero(seen).astype(wide) + wide(low)).astype(y.dtype), numbers


def _total(X, weights):
    """The rows, or the sum of their weights."""
    return X.shape[0] if weights is None else float(weights.sum())


class _Linear(Estimator):
    """Fits by L-BFGS to the optimum of scikit-learn's objective, with its penalties of weights as they are."""

    def _options(self, parameters, l2=0.0, l1=0.0):
        tol = self._number("tol")
        return {
            "optim": "lbfgs",
            "l2": l2,
            "lambda": l1,
            "epochs": self._positive("max_iter"),
            "intercept": bool(self.fit_intercept),
            "scale": "auto",
            "penalize": "saved",
            # scikit-learn's tol is of the largest component of the gradient.
            "lbfgs_tolerance_gradient": tol * 1e-3,
            "lbfgs_tolerance_loss": tol * 1e-8,
            # As many steps as bring the last digits of float32 on columns that depend on each other.
            "lbfgs_memory": 100 if parameters <= _FEW else 20,
        }

    def _scores(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        return safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_


class _Classifier(ClassifierMixin, _Linear):
    def _fit(self, X, y, sample_weight, model, l2=0.0, l1=0.0, **options):
        X, y = validate_data(self, X, y, accept_sparse=["csr", "csc"], dtype="numeric")
        if y.dtype.kind not in _WHOLE:  # which are classes; the check would sort them
            check_classification_targets(y)
        weights = checked_weights(sample_weight, X)
        self.classes_, codes = class_numbers(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs rows of two classes or more, and y has one class: "
                f"{self.classes_[0]!r}"
            )
        if self.class_weight is not None:
            of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            options["class_weight"] = dict(enumerate(of_class.tolist()))
        dataset = engine_dataset(X, labels=codes, weights=weights)
        # The engine's objective is a mean.
        scale = 1.0 / (self._number("C", above=0) * _total(X, weights))
        parameters, summary = self._train(
            dataset,
            model=model,
            **self._options(X.shape[1] * len(self.classes_), l2=l2 * scale, l1=l1 * scale),
            **options,
        )
        self.coef_ = parameters["weight"].astype(dtype_of(X))
        self.intercept_ = parameters["bias"].astype(dtype_of(X))
        return summary["epochs"]

    def decision_function(self, X):
        """The margin of each row, or with more than two classes of each class.

        Returns
        -------
        numpy.ndarray of shape (rows,) or (rows, classes)
        """
        scores = self._scores(X)
        return scores.ravel() if scores.shape[1] == 1 else scores

    def predict(self, X):
        """The class of each row.

        Returns
        -------
        numpy.ndarray of shape (rows,)
        """
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]


class LogisticRegression(_Classifier):
    """Logistic regression: two classes, or more by softmax.

    Minimizes Σ loss + penalty / C to the optimum, as :class:`sklearn.linear_model.LogisticRegression`
    does, over all rows: none are held out.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet", None}
    C : float
        Inverse of the strength of the penalty, above 0.
    l1_ratio : float or None
        The share of the L1 penalty in "elasticnet", from 0 to 1.
    tol : float
        Smaller is closer to the optimum.
    fit_intercept : bool
    class_weight : dict, "balanced" or None
    max_iter : int
        Passes over the data at most, not counting those of refused steps.
    random_state : int, RandomState or None
        Has no effect: the optimum is one.
    verbose : int
        Above 0: a line of progress.
    workers : int
        Workers that train together, each on its part of the rows.
    channel : str, optional
        Where workers meet: by default in memory on the platform threads, else in files.
    platform : {"threads", "local", "aws"}, optional
        Where workers run: by default as threads, which use the rows in place.
    function : str, optional
        The deployed function, for the platform aws, which needs a channel that the function reaches.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
    n_iter_ : ndarray of shape (1,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    Examples
    --------
    >>> from lambdaml import LogisticRegression
    >>> LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]).predict([[0.2], [2.7]])
    array([0, 1])
    """

    @keeps_parameters
    def __init__(
        self,
        penalty="l2",
        *,
        C=1.0,
        l1_ratio=None,
        tol=1e-4,
        fit_intercept=True,
        class_weight=None,
        random_state=None,
        max_iter=1000,
        verbose=0,
        workers=1,
        channel=None,
        platform=None,
        function=None,
    ):
        pass

    def fit(self, X, y, sample_weight=None):
        """Fits the model to all rows.

        Parameters
        ----------
        X : array or sparse matrix of shape (rows, features)
        y : array of shape (rows,)
        sample_weight : array of shape (rows,), optional

        Returns
        -------
        LogisticRegression

        Raises
        ------
        ValueError
            A parameter, X or y cannot be used; nothing was started.
        lambdaml.Error
            The job has failed, e.g. :class:`WorkersLost`.
        """
        shares = {None: (0.0, 0.0), "l2": (1.0, 0.0), "l1": (0.0, 1.0)}
        if self.penalty == "elasticnet":
            ratio = self._number("l1_ratio")
            if ratio > 1:
                raise ValueError(f"l1_ratio must be from 0 to 1, not {ratio!r}")
            l2, l1 = 1 - ratio, ratio
        elif self.penalty in shares:
            l2, l1 = shares[self.penalty]
        else:
            raise ValueError(f"penalty must be 'l2', 'l1', 'elasticnet' or None, not {self.penalty!r}")
        epochs = self._fit(X, y, sample_weight, "lr", l2=l2, l1=l1)
        self.n_iter_ = numpy.array([epochs], dtype=numpy.int32)
        return self

    def predict_proba(self, X):
        """The probability of each class for each row.

        Returns
        -------
        numpy.ndarray of shape (rows, classes)
        """
        scores = self.decision_function(X)
        if scores.ndim == 2:
            return softmax(scores, copy=False)
        positive = expit(scores)
        return numpy.column_stack([1 - positive, positive])

    def predict_log_proba(self, X):
        """The logarithm of :meth:`predict_proba`."""
        return numpy.log(self.predict_proba(X))


class LinearSVC(_Classifier):
    """Linear support vector machine with the squared hinge loss; more than two classes one against the rest.

    Minimizes ½ ‖w‖² + C Σ max(0, 1 − y z)², intercept included in w, as :class:`sklearn.svm.LinearSVC` does.

    Parameters
    ----------
    penalty : {"l2", "l1"}
    loss : {"squared_hinge"}
    C, tol, fit_intercept, class_weight, max_iter, random_state, verbose
        As of :class:`LogisticRegression`.
    intercept_scaling : float
        The intercept is penalized as the weight of a column of this constant.
    workers, channel, platform, function
        As of :class:`LogisticRegression`.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
    n_iter_ : int
    """

    @keeps_parameters
    def __init__(
        self,
        penalty="l2",
        loss="squared_hinge",
        *,
        C=1.0,
        tol=1e-4,
        fit_intercept=True,
        intercept_scaling=1.0,
        class_weight=None,
        random_state=None,
        max_iter=1000,
        verbose=0,
        workers=1,
        channel=None,
        platform=None,
        function=None,
    ):
        pass

    def fit(self, X, y, sample_weight=None):
        """Fits the model to all rows: see :meth:`LogisticRegression.fit`."""
        if self.loss != "squared_hinge":
            raise ValueError(f"loss must be 'squared_hinge', which has an optimum by gradients, not {self.loss!r}")
        if self.penalty not in ("l2", "l1"):
            raise ValueError(f"penalty must be 'l2' or 'l1', not {self.penalty!r}")
        options = {"loss": "squared_hinge"}
        if self.fit_intercept:
            options["intercept_scaling"] = self._number("intercept_scaling", above=0)
        is_l2 = self.penalty == "l2"
        self.n_iter_ = self._fit(X, y, sample_weight, "svm", l2=float(is_l2), l1=float(not is_l2), **options)
        return self


class _Regressor(RegressorMixin, _Linear):
    @keeps_parameters
    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-4,
        random_state=None,
        verbose=0,
        workers=1,
        channel=None,
        platform=None,
        function=None,
    ):
        pass

    def fit(self, X, y, sample_weight=None):
        """Fits the model to all rows: see :meth:`LogisticRegression.fit`."""
        alpha = self._number("alpha")
        X, y = validate_data(self, X, y, accept_sparse=["csr", "csc"], dtype="numeric", y_numeric=True)
        weights = checked_weights(sample_weight, X)
        y = numpy.asarray(y, dtype=numpy.float64)
        # The engine learns float32: without the mean, more of their digits matter.
        mean = float(numpy.average(y, weights=weights)) if self.fit_intercept else 0.0
        dataset = engine_dataset(X, targets=y - mean, weights=weights)
        parameters, summary = self._train(
            dataset, model="linear", **self._options(X.shape[1], **self._penalties(alpha, _total(X, weights)))
        )
        self.coef_ = parameters["weight"][0].astype(dtype_of(X))
        self.intercept_ = float(parameters["bias"][0]) + mean if self.fit_intercept else 0.0
        self.n_iter_ = summary["epochs"]
        return self

    def predict(self, X):
        """The number that the model predicts for each row.

        Returns
        -------
        numpy.ndarray of shape (rows,)
        """
        return self._scores(X)


class Ridge(_Regressor):
    """Linear regression with an L2 penalty: ‖y − X w‖² + alpha ‖w‖², as :class:`sklearn.linear_model.Ridge`.

    Parameters
    ----------
    alpha : float
        The strength of the penalty, from 0.
    fit_intercept, tol, max_iter, random_state, verbose
        As of :class:`LogisticRegression`.
    workers, channel, platform, function
        As of :class:`LogisticRegression`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
    n_iter_ : int
    """

    def _penalties(self, alpha, total):
        return {"l2": alpha / total}  # the engine's objective is a mean


class Lasso(_Regressor):
    """Linear regression with an L1 penalty: ‖y − X w‖² / 2n + alpha ‖w‖₁, as :class:`sklearn.linear_model.Lasso`.

    Parameters
    ----------
    alpha : float
        The strength of the penalty, from 0.
    fit_intercept, tol, max_iter, random_state, verbose
        As of :class:`LogisticRegression`.
    workers, channel, platform, function
        As of :class:`LogisticRegression`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
    n_iter_ : int
    """

    def _penalties(self, alpha, total):
        return {"l1": alpha}
