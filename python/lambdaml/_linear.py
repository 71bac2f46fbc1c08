"""Linear models with scikit-learn's interface."""

from __future__ import annotations

import json
from typing import Any, Optional, TypeVar, Union

import numpy
from scipy.special import expit
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.extmath import safe_sparse_dot, softmax
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ._estimators import Estimator, checked_weights, dtype_of, keeps_parameters, validated
from ._errors import shown, warn
from ._rows import engine_dataset, far_means, shifted
from ._types import Column, Rows

_Self = TypeVar("_Self", bound="_Regressor")

# Parameters of all steps that L-BFGS remembers: 32 MB in each worker; but of up to _FEW parameters many steps, 80 MB.
_REMEMBERED = 4_000_000
_FEW = 100_000


# max_iter=None.
_PASSES = 1000

# Kinds of types of whole numbers.
_WHOLE = "biu"
# Rows of which labels are converted at a time: few, so that no array of all rows is made beside the result.
_BLOCK = 1 << 16


def class_numbers(y: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
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


def _total(X: Any, weights: Optional[numpy.ndarray]) -> float:
    """The rows, or the sum of their weights."""
    return X.shape[0] if weights is None else float(weights.sum())


class _Linear(Estimator):
    """Fits by L-BFGS to the optimum of scikit-learn's objective, with its penalties of weights as they are."""

    max_iter: Optional[int]
    tol: float
    fit_intercept: bool
    coef_: numpy.ndarray

    @property
    def _has_free_intercept(self) -> bool:
        """Whether there is one that is not penalized."""
        return self._switch("fit_intercept")

    def _means_to_subtract(self, X: Any) -> numpy.ndarray:
        """Of columns that are far from 0, their means, for which the intercept makes up; else 0."""
        means = far_means(X)
        if means is None:
            return numpy.zeros(X.shape[1])
        if self._has_free_intercept:
            return means
        warn(
            f"{type(self).__name__}: {numpy.count_nonzero(means)} columns are farther than 100 standard deviations "
            "from 0, of which float32 keeps few digits: subtract their means before",
            UserWarning,
        )
        return numpy.zeros(X.shape[1])

    def _options(self, parameters: int, l2: float = 0.0, l1: float = 0.0) -> dict[str, Any]:
        tol = self._number("tol")
        return {
            "optim": "lbfgs",
            "l2": l2,
            "lambda": l1,
            "epochs": _PASSES if self.max_iter is None else self._positive("max_iter"),
            "intercept": self._switch("fit_intercept"),
            "scale": "auto",
            "penalize": "saved",
            # scikit-learn's tol is of the largest component of the gradient, but coefficients are wanted: where the
            # objective is flat, they differ by far more than the gradient does.
            "lbfgs_tolerance_gradient": tol * 1e-6,
            "lbfgs_tolerance_loss": 0.0,
            "lbfgs_precision": "float64",
            # On columns that depend on each other, as many steps as there are parameters save half of the passes; with
            # an L1 penalty, old ones are of other weights that were 0, and mislead.
            "lbfgs_memory": min(
                max(_REMEMBERED // parameters, 100 if parameters <= _FEW else 20), 1000 if l1 == 0 else 50
            ),
        }

    def _scores(self, X: Rows) -> numpy.ndarray:
        check_is_fitted(self)
        X = validated(self, X, accept_sparse=["csr", "csc"], reset=False)
        return safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_


class _Classifier(ClassifierMixin, _Linear):  # type: ignore[misc]
    class_weight: Any
    classes_: numpy.ndarray
    intercept_: numpy.ndarray

    def _fit(
        self,
        X: Rows,
        y: Column,
        sample_weight: Optional[Column],
        model: str,
        l2: float = 0.0,
        l1: float = 0.0,
        warm_start: bool = False,
        **options: Any,
    ) -> int:
        before = getattr(self, "classes_", None) if warm_start else None  # they are set with the weights
        X, y = validated(self, X, y, accept_sparse=["csr", "csc"], dtype="numeric")
        if y.dtype.kind not in _WHOLE:  # which are classes; the check would sort them
            check_classification_targets(y)
        weights = checked_weights(sample_weight, X)
        classes, codes = class_numbers(y)
        self._require_usable_classes(len(classes))
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs rows of two classes or more, and y has one class: "
                f"{classes[0]!r}"
            )
        # Many classes of few rows each could be numbers to predict, which the engine refuses: classes with names are none.
        names = [f"{number:010d}" for number in range(len(classes))]
        if self.class_weight is not None:
            of_class = compute_class_weight(self.class_weight, classes=classes, y=y)
            if of_class.min() == 0:  # which the engine takes of rows only
                weights = of_class[codes] if weights is None else of_class[codes] * weights
                weights = checked_weights(weights, X)
            else:
                options["class_weight"] = dict(zip(names, of_class.tolist()))
        means = self._means_to_subtract(X)
        rows = shifted(X, means if means.any() else None)
        dataset = engine_dataset(rows, labels=codes, weights=weights, names=json.dumps({"labels": names}))
        # The engine's objective is a mean.
        scale = 1.0 / (self._number("C", above=0, infinite=True) * _total(X, weights))
        start = None
        shape = (1 if len(classes) == 2 else len(classes), X.shape[1])
        is_same = before is not None and before.dtype == classes.dtype and numpy.array_equal(before, classes)
        if is_same and self.coef_.shape == shape:
            intercept = (self.intercept_ + self.coef_ @ means) * self._switch("fit_intercept")
            start = numpy.concatenate([self.coef_.ravel(), intercept.ravel()])
        parameters, summary = self._train(
            dataset,
            model=model,
            start=start,
            classes=len(classes),
            **self._options(X.shape[1] * len(classes), l2=l2 * scale, l1=l1 * scale),
            **options,
        )
        weight = parameters["weight"].astype(numpy.float64)
        self.classes_ = classes
        self.coef_ = weight.astype(dtype_of(X))
        self.intercept_ = (parameters["bias"] - weight @ means).astype(dtype_of(X))
        return summary["epochs"]

    def _require_usable_classes(self, classes: int) -> None:
        pass

    def decision_function(self, X: Rows) -> numpy.ndarray:
        """The margin of each row, or with more than two classes of each class.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Rows as those that it was fitted to.

        Returns
        -------
        numpy.ndarray of shape (rows,) or (rows, classes)
        """
        scores = self._scores(X)
        return scores.ravel() if scores.shape[1] == 1 else scores

    def predict(self, X: Rows) -> numpy.ndarray:
        """The class of each row.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Rows as those that it was fitted to.

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
    penalty : {"auto", "l2", "l1", "elasticnet", None}
        The norm of the weights that is added to the losses; the intercept is not in it, but for "liblinear". "auto", as
        "elasticnet", is what `l1_ratio` says.
    C : float
        Inverse of the strength of the penalty, above 0; with infinity there is none.
    l1_ratio : float or None
        The share of the L1 norm, from 0 to 1; None is 0.
    tol : float
        Smaller is closer to the optimum.
    fit_intercept : bool
        Whether an intercept is learned; else it is 0.
    intercept_scaling : float
        For "liblinear": the intercept is penalized as the weight of a column of this constant.
    class_weight : dict, "balanced" or None
        By which the losses of a class are multiplied; "balanced" gives all classes the same weight.
    dual : bool
        Has no effect: the optimum is one.
    solver : {"lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"}
        "liblinear", for two classes, penalizes the intercept, too. Otherwise it has no effect: the optimum is one, and
        found by L-BFGS, with every penalty.
    multi_class : {"auto", "ovr", "multinomial"}
        Has no effect where it is what is done: with two classes "ovr", with more "multinomial". The others are refused.
    n_jobs : int or None
        Has no effect: `workers` says how many train.
    random_state : int, RandomState or None
        Has no effect: the optimum is one.
    max_iter : int
        Passes over the data at most, not counting those of refused steps.
    verbose : int
        Above 0: a bar of progress.
    warm_start : bool
        Whether a fit begins from the model of the one before, if classes and features are the same: the optimum is the
        same, and fewer iterations lead to it.
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
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        The weights of the columns.
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
        The classes, ascending.
    n_iter_ : ndarray of shape (1,)
        Passes over the data.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the columns, where X had some.

    Examples
    --------
    >>> from lambdaml import LogisticRegression
    >>> LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]).predict([[0.2], [2.7]])
    array([0, 1])
    """

    _without_effect = {
        "dual": "switch",
        "intercept_scaling": "number",
        "solver": ("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"),
        "multi_class": ("auto", "ovr", "multinomial"),
        "n_jobs": "jobs",
    }

    @keeps_parameters
    def __init__(
        self,
        penalty: Optional[str] = "auto",
        *,
        C: float = 1.0,
        l1_ratio: Optional[float] = 0.0,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        class_weight: Any = None,
        dual: bool = False,
        solver: str = "lbfgs",
        multi_class: str = "auto",
        n_jobs: Optional[int] = None,
        random_state: Any = None,
        max_iter: int = 1000,
        verbose: int = 0,
        warm_start: bool = False,
        workers: int = 1,
        channel: Optional[str] = None,
        platform: Optional[str] = None,
        function: Optional[str] = None,
    ) -> None:
        pass

    def fit(self, X: Rows, y: Column, sample_weight: Optional[Column] = None) -> LogisticRegression:
        """Fits the model to all rows.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Finite numbers.
        y : array of shape (rows,)
            Numbers or texts, of two classes or more.
        sample_weight : array of shape (rows,), optional
            By which the losses of rows are multiplied, from 0.

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
        self._require_usable_parameters()
        # Some versions of scikit-learn have names besides.
        penalty = self._choice("penalty", "auto", "l2", "l1", "elasticnet", None, unsaid=("none", "deprecated"))
        if self.l1_ratio is None and penalty == "elasticnet":
            raise ValueError("l1_ratio must be a number from 0 to 1 with the penalty 'elasticnet', not None")
        ratio = 0.0 if self.l1_ratio is None else self._number("l1_ratio")
        if ratio > 1:
            raise ValueError(f"l1_ratio must be from 0 to 1, not {shown(ratio)}")
        shares = {None: (0.0, 0.0), "none": (0.0, 0.0), "l2": (1.0, 0.0), "l1": (0.0, 1.0)}
        l2, l1 = shares.get(penalty, (1 - ratio, ratio))
        options: dict[str, Any] = {}
        if self._is_liblinear and self._switch("fit_intercept"):
            options["intercept_scaling"] = self._number("intercept_scaling", above=0)
        epochs = self._fit(X, y, sample_weight, "lr", l2=l2, l1=l1, warm_start=self._switch("warm_start"), **options)
        self.n_iter_ = numpy.array([epochs], dtype=numpy.int32)
        return self

    @property
    def _is_liblinear(self) -> bool:
        return isinstance(self.solver, str) and self.solver == "liblinear"

    @property
    def _has_free_intercept(self) -> bool:
        return super()._has_free_intercept and not self._is_liblinear

    def _require_usable_classes(self, classes: int) -> None:
        one_by_one = f"with {classes} classes: scikit-learn's OneVsRestClassifier(LogisticRegression()) is that"
        if classes > 2 and self.multi_class == "ovr":
            raise ValueError(f"multi_class must not be 'ovr' {one_by_one}")
        if classes > 2 and self._is_liblinear and self.multi_class != "multinomial":
            raise ValueError(f"solver must not be 'liblinear', which takes one class against the rest, {one_by_one}")
        if classes > 2 and self._is_liblinear:
            raise ValueError("solver must not be 'liblinear' with multi_class='multinomial': leave one of them out")
        if classes == 2 and self.multi_class == "multinomial":
            raise ValueError("multi_class must not be 'multinomial' with 2 classes, which have one row of weights: leave it out")

    def predict_proba(self, X: Rows) -> numpy.ndarray:
        """The probability of each class for each row.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Rows as those that it was fitted to.

        Returns
        -------
        numpy.ndarray of shape (rows, classes)
        """
        scores = self.decision_function(X)
        if scores.ndim == 2:
            return softmax(scores, copy=False)
        positive = expit(scores)
        return numpy.column_stack([1 - positive, positive])

    def predict_log_proba(self, X: Rows) -> numpy.ndarray:
        """The logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Rows as those that it was fitted to.

        Returns
        -------
        numpy.ndarray of shape (rows, classes)
        """
        return numpy.log(self.predict_proba(X))


class LinearSVC(_Classifier):
    """Linear support vector machine with the squared hinge loss; more than two classes one against the rest.

    Minimizes ½ ‖w‖² + C Σ max(0, 1 − y z)², intercept included in w, as :class:`sklearn.svm.LinearSVC` does.

    Parameters
    ----------
    penalty : {"l2", "l1"}
        The norm of the weights that is added to the losses.
    loss : {"squared_hinge"}
        The hinge loss itself has no gradient to follow to an optimum.
    C : float
        Inverse of the strength of the penalty, above 0.
    tol : float
        Smaller is closer to the optimum.
    fit_intercept : bool
        Whether an intercept is learned; else it is 0.
    intercept_scaling : float
        The intercept is penalized as the weight of a column of this constant.
    class_weight : dict, "balanced" or None
        By which the losses of a class are multiplied; "balanced" gives all classes the same weight.
    dual : bool or "auto"
        Has no effect: the optimum is one.
    multi_class : {"ovr"}
        The only choice: "crammer_singer" is another model.
    random_state : int, RandomState or None
        Has no effect: the optimum is one.
    max_iter : int
        Passes over the data at most, not counting those of refused steps.
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
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        The weights of the columns.
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
        The classes, ascending.
    n_iter_ : int
        Passes over the data.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the columns, where X had some.
    """

    _has_free_intercept = False

    @keeps_parameters
    def __init__(
        self,
        penalty: str = "l2",
        loss: str = "squared_hinge",
        *,
        C: float = 1.0,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        class_weight: Any = None,
        dual: Union[bool, str] = "auto",
        multi_class: str = "ovr",
        random_state: Any = None,
        max_iter: int = 1000,
        verbose: int = 0,
        workers: int = 1,
        channel: Optional[str] = None,
        platform: Optional[str] = None,
        function: Optional[str] = None,
    ) -> None:
        pass

    def fit(self, X: Rows, y: Column, sample_weight: Optional[Column] = None) -> LinearSVC:
        """Fits the model to all rows.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Finite numbers.
        y : array of shape (rows,)
            Numbers or texts, of two classes or more.
        sample_weight : array of shape (rows,), optional
            By which the losses of rows are multiplied, from 0.

        Returns
        -------
        LinearSVC

        Raises
        ------
        ValueError
            A parameter, X or y cannot be used; nothing was started.
        lambdaml.Error
            The job has failed, e.g. :class:`WorkersLost`.
        """
        self._require_usable_parameters()
        if self._choice("loss", "squared_hinge", "hinge") == "hinge":
            raise ValueError("loss must be 'squared_hinge', which has an optimum by gradients, not 'hinge'")
        if self._choice("multi_class", "ovr", "crammer_singer") != "ovr":
            raise ValueError("multi_class must be 'ovr', one class against the rest, not 'crammer_singer'")
        if isinstance(self.dual, str):
            self._choice("dual", "auto")
        else:
            self._switch("dual")
        options: dict[str, Any] = {"loss": "squared_hinge"}
        if self._switch("fit_intercept"):
            options["intercept_scaling"] = self._number("intercept_scaling", above=0)
        is_l2 = self._choice("penalty", "l2", "l1") == "l2"
        self.n_iter_ = self._fit(X, y, sample_weight, "svm", l2=float(is_l2), l1=float(not is_l2), **options)
        return self


class _Regressor(RegressorMixin, _Linear):  # type: ignore[misc]
    alpha: float
    positive: bool
    warm_start: bool = False  # not a parameter of all
    intercept_: float
    n_iter_: int

    def _penalties(self, alpha: float, total: float) -> dict[str, float]:
        raise NotImplementedError

    def fit(self: _Self, X: Rows, y: Column, sample_weight: Optional[Column] = None) -> _Self:
        """Fits the model to all rows.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Finite numbers.
        y : array of shape (rows,)
            Finite numbers.
        sample_weight : array of shape (rows,), optional
            By which the losses of rows are multiplied, from 0.

        Returns
        -------
        Ridge or Lasso
            This object.

        Raises
        ------
        ValueError
            A parameter, X or y cannot be used; nothing was started.
        lambdaml.Error
            The job has failed, e.g. :class:`WorkersLost`.
        """
        self._require_usable_parameters()
        if self._switch("positive"):
            raise ValueError("positive must be False: the engine finds the optimum of all weights, with negative ones")
        alpha = self._number("alpha")
        X, y = validated(self, X, y, accept_sparse=["csr", "csc"], dtype="numeric", y_numeric=True)
        weights = checked_weights(sample_weight, X)
        y = numpy.asarray(y, dtype=numpy.float64)
        # The engine learns float32: without the mean, more of their digits matter.
        mean = float(numpy.average(y, weights=weights)) if self._switch("fit_intercept") else 0.0
        means = self._means_to_subtract(X)
        dataset = engine_dataset(shifted(X, means if means.any() else None), targets=y - mean, weights=weights)
        start = None
        if self._switch("warm_start") and getattr(self, "coef_", numpy.empty(0)).shape == (X.shape[1],):
            intercept = self.intercept_ + self.coef_ @ means - mean if self._switch("fit_intercept") else 0.0
            start = numpy.append(self.coef_, intercept)
        parameters, summary = self._train(
            dataset, model="linear", start=start, **self._options(X.shape[1], **self._penalties(alpha, _total(X, weights)))
        )
        weight = parameters["weight"][0].astype(numpy.float64)
        self.coef_ = weight.astype(dtype_of(X))
        self.intercept_ = float(parameters["bias"][0] + mean - weight @ means) if self._switch("fit_intercept") else 0.0
        self.n_iter_ = summary["epochs"]
        return self

    def predict(self, X: Rows) -> numpy.ndarray:
        """The number that the model predicts for each row.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (rows, features)
            Rows as those that it was fitted to.

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
    fit_intercept : bool
        Whether an intercept is learned; else it is 0.
    max_iter : int or None
        Passes over the data at most, not counting those of refused steps; None is 1000.
    tol : float
        Smaller is closer to the optimum.
    copy_X : bool
        Has no effect: rows are never changed.
    solver : {"auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs"}
        Has no effect: the optimum is one, and found by L-BFGS.
    positive : {False}
        The only choice: weights may be negative.
    random_state : int, RandomState or None
        Has no effect: the optimum is one.
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
    coef_ : ndarray of shape (n_features,)
        The weights of the columns.
    intercept_ : float
    n_iter_ : int
        Passes over the data.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the columns, where X had some.
    """

    _without_effect = {
        "copy_X": "switch",
        "solver": ("auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs"),
    }

    @keeps_parameters
    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        max_iter: Optional[int] = 1000,
        tol: float = 1e-4,
        copy_X: bool = True,
        solver: str = "auto",
        positive: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        workers: int = 1,
        channel: Optional[str] = None,
        platform: Optional[str] = None,
        function: Optional[str] = None,
    ) -> None:
        pass

    def _penalties(self, alpha: float, total: float) -> dict[str, float]:
        return {"l2": alpha / total}  # the engine's objective is a mean


class Lasso(_Regressor):
    """Linear regression with an L1 penalty: ‖y − X w‖² / 2n + alpha ‖w‖₁, as :class:`sklearn.linear_model.Lasso`.

    Parameters
    ----------
    alpha : float
        The strength of the penalty, from 0.
    fit_intercept : bool
        Whether an intercept is learned; else it is 0.
    max_iter : int or None
        Passes over the data at most, not counting those of refused steps; None is 1000.
    tol : float
        Smaller is closer to the optimum.
    warm_start : bool
        Whether a fit begins from the model of the one before, if the features are the same: the optimum is the same, and
        fewer iterations lead to it.
    precompute : bool or array
        Has no effect: a Gram matrix is not needed.
    copy_X : bool
        Has no effect: rows are never changed.
    positive : {False}
        The only choice: weights may be negative.
    selection : {"cyclic", "random"}
        Has no effect: all coordinates are descended together.
    random_state : int, RandomState or None
        Has no effect: the optimum is one.
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
    coef_ : ndarray of shape (n_features,)
        The weights of the columns.
    intercept_ : float
    n_iter_ : int
        Passes over the data.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the columns, where X had some.
    """

    _without_effect = {"precompute": "square", "copy_X": "switch", "selection": ("cyclic", "random")}

    @keeps_parameters
    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        max_iter: Optional[int] = 1000,
        tol: float = 1e-4,
        warm_start: bool = False,
        precompute: Any = False,
        copy_X: bool = True,
        positive: bool = False,
        selection: str = "cyclic",
        random_state: Any = None,
        verbose: int = 0,
        workers: int = 1,
        channel: Optional[str] = None,
        platform: Optional[str] = None,
        function: Optional[str] = None,
    ) -> None:
        pass

    def _penalties(self, alpha: float, total: float) -> dict[str, float]:
        return {"l1": alpha}
