"""The estimators against scikit-learn's, and in its tools."""

import pathlib
import pickle
import re
import warnings

import numpy
import pandas
import pytest

import sklearn
import sklearn.cluster
import sklearn.linear_model
import sklearn.svm
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_linnerud, load_svmlight_file, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

import lambdaml
from conftest import data_file

ALL = ["LogisticRegression", "LinearSVC", "Ridge", "Lasso", "KMeans"]

# Sets with columns that are the same: the optimum of Lasso is no single point there.
SAME_COLUMNS = ["agaricus"]
# Checks of newer versions of scikit-learn that ask for 1e-7 of an output. Coefficients are saved as float32, so that
# rounding may take two ways: outputs differ by less than this.
LAST_DIGIT = 2e-7
TO_THE_LAST_DIGIT = [
    (name, f"check_sample_weight_equivalence_on_{form}_data")
    for name in ("LogisticRegression", "LinearSVC")
    for form in ("dense", "sparse")
]
# Checks that scikit-learn expects to fail for its own class, of old and new versions.
EXPECTED_TO_FAIL = {
    "KMeans": [
        "check_sample_weights_invariance",
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ]
}


def expected_by_scikit_learn(name):
    """The checks that it expects to fail for its class of that name."""
    theirs = {"KMeans": sklearn.cluster.KMeans}[name]()
    if hasattr(theirs, "_get_tags"):
        return theirs._get_tags()["_xfail_checks"] or {}
    from sklearn.utils._test_common.instance_generator import _get_expected_failed_checks

    return _get_expected_failed_checks(theirs)


def test_all_exceptions_are_documented():
    page = " ".join((pathlib.Path(__file__).parents[2] / "docs/how-to/python.md").read_text().split())
    for name, checks in EXPECTED_TO_FAIL.items():
        names = ", ".join(f"`{check}`" for check in checks)
        assert f"scikit-learn expects its own class to fail: `{name}` on {names}." in page
    for data in SAME_COLUMNS:
        assert f"`Lasso` on {data}" in page
    for name, check in TO_THE_LAST_DIGIT:
        assert f"`{name}` on `{check}`" in page


def failed_checks(estimator):
    """(names of the checks that fail, number of all)."""
    if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 6):
        results = check_estimator(estimator, on_skip=None, on_fail=None)
        failed = {
            result["check_name"]: str(result["exception"])
            for result in results
            if result["status"] not in ("passed", "skipped")
        }
        return failed, len(results)
    failed, count = {}, 0
    for candidate, check in check_estimator(estimator, generate_only=True):
        count += 1
        try:
            check(candidate)
        except Exception as error:
            if type(error).__name__ != "SkipTest":
                failed[getattr(check, "func", check).__name__] = str(error)
    return failed, count


@pytest.mark.parametrize("name", ALL)
def test_check_estimator(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failed, count = failed_checks(getattr(lambdaml, name)())
    assert count > 35
    for check in EXPECTED_TO_FAIL.get(name, ()):
        if failed.pop(check, None):
            assert check in expected_by_scikit_learn(name)
    for name_and_check in TO_THE_LAST_DIGIT:
        if name_and_check[0] == name and name_and_check[1] in failed:
            why = failed.pop(name_and_check[1])
            assert float(re.search(r"Max absolute difference[^:]*: ([0-9.e+-]+)", why)[1]) < LAST_DIGIT
    assert failed == {}


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def file(name, **options):
    return load_svmlight_file(data_file(name), dtype=numpy.float32, **options)


CLASSIFIED = {
    "breast_cancer": lambda: scaled(load_breast_cancer),
    "breast_cancer as it is": lambda: load_breast_cancer(return_X_y=True),
    "iris": lambda: scaled(load_iris),
    "iris as it is": lambda: load_iris(return_X_y=True),
    "wine": lambda: scaled(load_wine),
    "wine as it is": lambda: load_wine(return_X_y=True),
    "digits": lambda: (load_digits().data / 16, load_digits().target),
    "digits as it is": lambda: load_digits(return_X_y=True),
    "higgs": lambda: (lambda X, y: (X.toarray(), y))(*file("higgs.train.libsvm")),
    "agaricus": lambda: file("agaricus.train.libsvm"),
    "rcv1": lambda: file("rcv1.train.libsvm"),
    "w8a": lambda: file("w8a.libsvm"),
    "linnerud": lambda: (load_linnerud().data, load_linnerud().target[:, 0].astype(int)),
}


def assert_same_coefficients(ours, theirs):
    """Within 1e-4 of the size of the coefficient, or of 1."""
    for name in ("coef_", "intercept_"):
        a, b = numpy.asarray(getattr(ours, name)), numpy.asarray(getattr(theirs, name))
        assert a.shape == b.shape, name
        if name == "intercept_" and a.size > 2 and isinstance(ours, lambdaml.LogisticRegression):
            # What all intercepts of a softmax have in common changes nothing.
            a, b = a - a.mean(), b - b.mean()
        error = numpy.abs(a - b) / numpy.maximum(1, numpy.abs(b))
        assert error.max() < 1e-4, f"{name}: {error.max():.2g}"


def optimum(X, y, sample_weight=None, **options):
    """Of scikit-learn, by Newton's method in float64: L-BFGS ends before it, whatever its tol."""
    X = X.astype(numpy.float64)
    solver = "newton-cg" if len(set(y.tolist())) > 2 or X.shape[1] > 1000 else "newton-cholesky"
    reference = sklearn.linear_model.LogisticRegression(tol=1e-10, max_iter=2000, solver=solver, **options)
    with warnings.catch_warnings(), threadpool_limits(1):
        # Of newton-cg, whose last steps are at the precision of float64.
        warnings.simplefilter("ignore")
        return reference.fit(X, y, sample_weight)


@pytest.mark.parametrize("data", CLASSIFIED)
def test_logistic_regression_has_scikit_learns_optimum(data):
    X, y = CLASSIFIED[data]()
    theirs = optimum(X, y)
    ours = lambdaml.LogisticRegression().fit(X, y)
    assert_same_coefficients(ours, theirs)
    numpy.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)
    assert (ours.predict(X) == theirs.predict(X)).mean() > 0.999
    assert ours.n_iter_.shape == theirs.n_iter_.shape


@pytest.mark.parametrize("options", [{"fit_intercept": False}, {"class_weight": "balanced"}, {"C": 0.01}])
def test_logistic_regression_has_scikit_learns_options(options):
    X, y = scaled(load_breast_cancer)
    assert_same_coefficients(lambdaml.LogisticRegression(**options).fit(X, y), optimum(X, y, **options))


@pytest.mark.parametrize(
    "solver, options",
    [
        ("liblinear", {"penalty": "l1", "fit_intercept": False}),
        ("saga", {"penalty": "l1", "C": 0.1}),
        ("saga", {"penalty": "elasticnet", "C": 0.1, "l1_ratio": 0.5}),
        ("saga", {"C": 0.1, "l1_ratio": 0.5}),
        ("saga", {"C": 0.1, "l1_ratio": 1}),
    ],
)
def test_logistic_regression_has_scikit_learns_sparse_optimum(solver, options):
    X, y = scaled(load_breast_cancer)
    tol = 1e-9 if solver == "liblinear" else 1e-7
    kinds = {0.5: "elasticnet", 1: "l1"}  # what scikit-learn before 1.8 calls it
    theirs = sklearn.linear_model.LogisticRegression(
        tol=tol, max_iter=3000, solver=solver, random_state=0, **{"penalty": kinds.get(options.get("l1_ratio")), **options}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        theirs.fit(X, y)
    theirs.intercept_ = numpy.ravel(theirs.intercept_)  # a number where liblinear has none to learn
    ours = lambdaml.LogisticRegression(**options).fit(X, y)
    assert_same_coefficients(ours, theirs)
    assert ((ours.coef_ == 0) == (theirs.coef_ == 0)).all()


def test_without_a_penalty_it_is_scikit_learns_too():
    X, y = load_iris(return_X_y=True)
    y = (y == 2).astype(int)  # not separable
    theirs = sklearn.linear_model.LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(X, y)
    for options in ({"penalty": None}, {"penalty": "none"}, {"penalty": "deprecated", "C": numpy.inf}, {"C": numpy.inf}):
        ours = lambdaml.LogisticRegression(**options).fit(X, y)
        numpy.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)


def linear_svc(X, y):
    """The optimum by scikit-learn, of the same objective: its intercept is penalized, too."""
    reference = sklearn.svm.LinearSVC(tol=1e-10, max_iter=100_000, dual=X.shape[1] > len(y), random_state=0)
    return reference.fit(X.astype(numpy.float64), y)


@pytest.mark.parametrize("data", CLASSIFIED)
def test_linear_svc_has_scikit_learns_optimum(data):
    X, y = CLASSIFIED[data]()
    theirs = linear_svc(X, y)
    with warnings.catch_warnings():
        if data == "digits as it is":  # it ends at max_iter, near enough
            warnings.simplefilter("ignore", ConvergenceWarning)
        ours = lambdaml.LinearSVC().fit(X, y)
    assert_same_coefficients(ours, theirs)
    assert (ours.predict(X) == theirs.predict(X)).mean() > 0.999


@pytest.mark.parametrize("isa", ["avx512", "avx2", "portable"])
def test_all_processors_find_it(isa, run_python, tmp_path):
    """Where the objective is flat, sums in another order must not lead elsewhere."""
    X, y = CLASSIFIED["breast_cancer as it is"]()
    numpy.savez(tmp_path / "rows.npz", X=X, y=y)
    done = run_python(
        "import lambdaml, numpy\n"
        "rows = numpy.load('rows.npz')\n"
        "model = lambdaml.LinearSVC().fit(rows['X'], rows['y'])\n"
        "numpy.savez('model.npz', coef=model.coef_, intercept=model.intercept_)",
        check=False,
        LAMBDAML_ISA=isa,
    )
    if "but this processor runs" in done.stderr:
        pytest.skip(f"this processor has no {isa}")
    assert done.returncode == 0, done.stderr
    found = numpy.load(tmp_path / "model.npz")
    theirs = linear_svc(X, y)
    numpy.testing.assert_allclose(found["coef"], theirs.coef_, atol=1e-5)
    numpy.testing.assert_allclose(found["intercept"], theirs.intercept_, atol=1e-5)


@pytest.mark.parametrize("alpha", [1e-3, 0.1, 1, 10])
@pytest.mark.parametrize("as_it_is", [True, False])
def test_ridge_and_lasso_have_scikit_learns_optimum(alpha, as_it_is):
    X, y = load_diabetes(return_X_y=True) if as_it_is else scaled(load_diabetes)
    theirs = sklearn.linear_model.Ridge(alpha).fit(X, y)
    assert_same_coefficients(lambdaml.Ridge(alpha).fit(X, y), theirs)
    theirs = sklearn.linear_model.Lasso(alpha, tol=1e-12, max_iter=100_000).fit(X, y)
    ours = lambdaml.Lasso(alpha).fit(X, y)
    assert_same_coefficients(ours, theirs)
    assert ((ours.coef_ == 0) == (theirs.coef_ == 0)).all()


@pytest.mark.parametrize("data", CLASSIFIED)
def test_regressions_have_scikit_learns_optimum(data):
    """Of the classes' numbers: there are no other data of that size."""
    X, y = CLASSIFIED[data]()
    X64, y = X.astype(numpy.float64), y.astype(numpy.float64)
    solver = {"solver": "sparse_cg", "tol": 1e-12} if sparse.issparse(X) else {}
    assert_same_coefficients(lambdaml.Ridge().fit(X, y), sklearn.linear_model.Ridge(**solver).fit(X64, y))
    theirs = sklearn.linear_model.Lasso(0.01, tol=1e-12, max_iter=50_000).fit(X64, y)
    ours = lambdaml.Lasso(0.01).fit(X, y)
    if data not in SAME_COLUMNS:
        return assert_same_coefficients(ours, theirs)
    # Coefficients of scikit-learn itself differ by the order in which it takes the columns. What they predict, and the
    # objective, do not.
    order = {"selection": "random", "random_state": 1}
    other = sklearn.linear_model.Lasso(0.01, tol=1e-12, max_iter=50_000, **order).fit(X64, y)
    assert abs(other.coef_ - theirs.coef_).max() > 0.01

    def objective(model):
        losses = (X64 @ model.coef_.astype(numpy.float64) + model.intercept_ - y) ** 2
        return losses.mean() / 2 + 0.01 * numpy.abs(model.coef_.astype(numpy.float64)).sum()

    for reference in (theirs, other):
        numpy.testing.assert_allclose(X64 @ ours.coef_ + ours.intercept_, reference.predict(X64), atol=1e-5)
        assert objective(ours) == pytest.approx(objective(reference), rel=1e-9)


@pytest.mark.parametrize("make", [lambdaml.LogisticRegression, lambdaml.LinearSVC])
def test_many_classes_may_have_few_rows(make):
    X = numpy.eye(80, dtype=numpy.float32)
    model = make(C=100).fit(X, numpy.arange(80))
    assert (model.predict(X) == numpy.arange(80)).all()
    if make is lambdaml.LogisticRegression:
        iterations = model.n_iter_[0]
        assert model.set_params(warm_start=True).fit(X, numpy.arange(80)).n_iter_[0] < iterations


def test_weights_are_those_of_repeated_rows():
    X, y = scaled(load_breast_cancer)
    weights = numpy.random.default_rng(0).integers(0, 4, len(y))
    repeated = numpy.repeat(numpy.arange(len(y)), weights)
    for model in (lambdaml.LogisticRegression(), lambdaml.LinearSVC(), lambdaml.Ridge(), lambdaml.Lasso(0.1)):
        ours = clone(model).fit(X, y, sample_weight=weights)
        assert_same_coefficients(ours, clone(model).fit(X[repeated], y[repeated]))
    # As of scikit-learn, the objective of Lasso is a mean.
    halved = lambdaml.Lasso(0.1).fit(X, y, sample_weight=0.5 * weights)
    assert_same_coefficients(ours, halved)


def test_kmeans_finds_clusters_as_good_as_scikit_learns():
    X, _ = load_digits(return_X_y=True)
    theirs = sklearn.cluster.KMeans(10, n_init=5, random_state=0).fit(X)
    ours = lambdaml.KMeans(10, n_init=5, random_state=0).fit(X)
    assert ours.inertia_ < 1.01 * theirs.inertia_
    assert ours.cluster_centers_.shape == (10, 64)
    assert (ours.labels_ == ours.predict(X)).all()
    assert ours.score(X) == pytest.approx(-ours.inertia_, rel=1e-4)
    assert ours.transform(X).shape == (len(X), 10)
    again = lambdaml.KMeans(10, n_init=5, random_state=0).fit(X)
    assert (again.cluster_centers_ == ours.cluster_centers_).all()
    # Of one cluster, the mean.
    one = lambdaml.KMeans(1).fit(X)
    numpy.testing.assert_allclose(one.cluster_centers_[0], X.mean(axis=0), atol=1e-5)


def test_kmeans_begins_with_given_centers():
    X, _ = load_digits(return_X_y=True)
    init = X[numpy.random.default_rng(0).choice(len(X), 10, replace=False)]
    theirs = sklearn.cluster.KMeans(10, init=init, n_init=1, algorithm="lloyd").fit(X)
    for workers in (1, 3):
        ours = lambdaml.KMeans(10, init=init, workers=workers).fit(X)
        numpy.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-5)
        assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-6)
    for init, n_init, text in (
        (init[:3], 1, r"init has the shape \(3, 64\) instead of \(10, 64\)"),
        (init * numpy.nan, 1, "NaN"),
        ("randm", 1, "init must be 'k-means\\+\\+' or 'random', not 'randm'"),
        (None, 1, "init must be"),
        ("random", "many", "n_init must be a whole number from 1, not 'many'"),
        (lambda X, k, random_state: X[:2], 1, r"init has the shape \(2, 64\) instead of \(10, 64\)"),
    ):
        with pytest.raises(ValueError, match=text):
            lambdaml.KMeans(10, init=init, n_init=n_init).fit(X)
    # As scikit-learn's.
    with pytest.warns(RuntimeWarning, match="there is one start, and not n_init=5"):
        again = lambdaml.KMeans(10, init=X[:10], n_init=5).fit(X)
    assert again.inertia_ == lambdaml.KMeans(10, init=X[:10]).fit(X).inertia_


def test_kmeans_begins_at_random_or_where_a_function_says():
    X, _ = load_digits(return_X_y=True)
    X = X[:600]
    for form in (numpy.asarray, sparse.csr_matrix, sparse.csc_matrix):
        one, ten = (lambdaml.KMeans(10, init="random", n_init=n, random_state=3).fit(form(X)) for n in (1, "auto"))
        assert ten.inertia_ <= one.inertia_  # whose start is the first of the ten
        assert ten.inertia_ == pytest.approx(sklearn.cluster.KMeans(10, n_init=10, random_state=0).fit(X).inertia_, rel=0.02)
        again = lambdaml.KMeans(10, init="random", random_state=3).fit(form(X))
        numpy.testing.assert_array_equal(again.cluster_centers_, ten.cluster_centers_)
    seen = []

    def first(X, n_clusters, random_state):
        seen.append(random_state.randint(100))
        return X[len(seen) :][:n_clusters]

    ours = lambdaml.KMeans(10, init=first, n_init=3, random_state=0).fit(X)
    assert len(seen) == 3
    theirs = [sklearn.cluster.KMeans(10, init=X[i : i + 10], n_init=1, algorithm="lloyd").fit(X).inertia_ for i in (1, 2, 3)]
    assert ours.inertia_ == pytest.approx(min(theirs), rel=1e-6)
    assert lambdaml.KMeans(10, init=first).partial_fit(X).inertia_ > 0
    weights = numpy.arange(600) < 10  # all that may be drawn
    drawn = lambdaml.KMeans(10, init="random", n_init=1, max_iter=1).fit(X, sample_weight=weights)
    assert drawn.inertia_ == pytest.approx(0, abs=1e-3)
    with pytest.raises(ValueError, match="init='random' needs 10 rows with a weight above 0"):
        lambdaml.KMeans(10, init="random").fit(X, sample_weight=numpy.arange(600) < 9)


@pytest.mark.parametrize("form", [numpy.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("kind", ["whole", "fractions"])
def test_kmeans_has_scikit_learns_sample_weight(form, kind):
    X, _ = load_digits(return_X_y=True)
    random = numpy.random.default_rng(1)
    init = X[random.choice(len(X), 10, replace=False)]
    weights = random.integers(0, 4, len(X)) if kind == "whole" else random.exponential(3, len(X)) + 0.1
    theirs = sklearn.cluster.KMeans(10, init=init, n_init=1, algorithm="lloyd").fit(X, sample_weight=weights)
    for options in ({"workers": 1}, {"workers": 3}, {"workers": 2, "platform": "local"}):
        ours = lambdaml.KMeans(10, init=init, **options).fit(form(X), sample_weight=weights)
        numpy.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=2e-5)
        assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-6)
        assert ours.n_iter_ == theirs.n_iter_
        assert (ours.labels_ == theirs.labels_).mean() > 0.999
    assert ours.score(form(X), sample_weight=weights) == pytest.approx(-ours.inertia_, rel=1e-6)
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-6)
    assert (ours.fit_predict(form(X), sample_weight=weights) == ours.labels_).all()
    if kind == "whole":  # a row of weight 3 is three rows, one of weight 0 none
        repeated = lambdaml.KMeans(10, init=init).fit(numpy.repeat(X, weights, axis=0))
        numpy.testing.assert_allclose(ours.cluster_centers_, repeated.cluster_centers_, atol=1e-5)
        assert ours.inertia_ == pytest.approx(repeated.inertia_, rel=1e-6)


def test_kmeans_begins_at_rows_that_weigh():
    X = numpy.repeat([[0.0, 0.0], [5.0, 5.0], [1e4, 0.0]], 50, axis=0) + numpy.random.default_rng(0).normal(size=(150, 2))
    weights = numpy.repeat([1.0, 2.0, 0.0], 50)
    for seed in range(20):
        fitted = lambdaml.KMeans(2, random_state=seed, max_iter=300).fit(X, sample_weight=weights)
        assert numpy.sort(fitted.cluster_centers_[:, 0]).round() == pytest.approx([0, 5])
        # Weights that are all equal are none, but for the inertia.
        equal = lambdaml.KMeans(3, random_state=seed).fit(X, sample_weight=numpy.full(150, 0.5))
        plain = lambdaml.KMeans(3, random_state=seed).fit(X)
        numpy.testing.assert_allclose(equal.cluster_centers_, plain.cluster_centers_, rtol=1e-5)
        assert equal.inertia_ == pytest.approx(plain.inertia_ / 2, rel=1e-5)


def test_bad_weights_are_one_line():
    X, y = scaled(load_breast_cancer)
    weights = numpy.ones(len(y))
    masked = numpy.ma.masked_array(weights, mask=numpy.arange(len(y)) == 3)
    for make in (lambdaml.KMeans, lambdaml.LogisticRegression, lambdaml.Ridge):
        for bad, text in (
            (-weights, "sample_weight has negative values"),
            (weights * numpy.nan, "sample_weight has NaN or infinity"),
            (weights * numpy.inf, "sample_weight has NaN or infinity"),
            (0 * weights, "sample_weight is zero for all rows"),
            (1e-60 * weights, "sample_weight is zero for all rows"),
            (1e60 * weights, "sample_weight .*too large"),
            (weights[:5], "sample_weight has 5 values for 569 rows"),
            (numpy.stack([weights, weights], axis=1), "sample_weight must be a column of numbers, not of 2 dimensions"),
            (["heavy"] * len(y), "sample_weight has texts: give numbers"),
            ("balanced", "sample_weight must be a column of numbers, not of the type str"),
            (weights + 0j, "sample_weight has values of the type complex128: give numbers"),
            ([1.0] * (len(y) - 1) + [None], "sample_weight has missing values"),
            (masked, "sample_weight has masked values"),
            (pandas.array([1] * (len(y) - 1) + [None], dtype="Int64"), "sample_weight has (missing values|NaN)"),
        ):
            with pytest.raises(ValueError, match=text) as raised:
                make().fit(X, y, sample_weight=bad)
            assert len(str(raised.value).splitlines()) == 1
        make().fit(X, y, sample_weight=pandas.array([1, 2] * (len(y) // 2) + [1], dtype="Int64"))
        make().fit(X, y, sample_weight=2)


@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans_partial_fit_is_that_of_scikit_learns_mini_batches(weighted):
    X, _ = load_digits(return_X_y=True)
    random = numpy.random.default_rng(0)
    init = X[random.choice(len(X), 10, replace=False)]
    weights = random.exponential(2, len(X)) if weighted else None
    theirs = sklearn.cluster.MiniBatchKMeans(10, init=init, reassignment_ratio=0, n_init=1, random_state=0)
    ours = lambdaml.KMeans(10, init=init, workers=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for begin in range(0, len(X), 300):
            batch = X[begin : begin + 300], None, weights[begin : begin + 300] if weighted else None
            theirs.partial_fit(*batch)
            assert ours.partial_fit(*batch) is ours
            numpy.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-5)
    assert ours.n_iter_ == 6 and len(ours.labels_) == len(X) % 300
    again = pickle.loads(pickle.dumps(ours)).partial_fit(X[:300])
    numpy.testing.assert_allclose(again.cluster_centers_, theirs.partial_fit(X[:300]).cluster_centers_, atol=1e-5)
    # After a fit, its rows count too: those that are added once more change nothing.
    whole = lambdaml.KMeans(5, random_state=0).fit(X)
    before = whole.cluster_centers_.copy()
    numpy.testing.assert_allclose(whole.partial_fit(X).cluster_centers_, before, atol=0.02)
    assert lambdaml.KMeans(10, random_state=0).partial_fit(X).inertia_ == lambdaml.KMeans(10, random_state=0).fit(X).inertia_
    # Of fewer rows than centers.
    few = X[:3], None, [1.0, 2.0, 0.5] if weighted else None
    again.partial_fit(*few)
    numpy.testing.assert_allclose(again.cluster_centers_, theirs.partial_fit(*few).cluster_centers_, atol=1e-5)
    with pytest.raises(ValueError, match="features"):
        ours.partial_fit(X[:, :5])
    with pytest.raises(ValueError, match="n_clusters is 4, and partial_fit.. moves the 10 centers of earlier calls"):
        ours.set_params(n_clusters=4).partial_fit(X)


@pytest.mark.parametrize("make", [lambdaml.LogisticRegression, lambda **options: lambdaml.Lasso(0.01, **options)])
def test_a_warm_start_needs_few_iterations(make):
    X, y = scaled(load_wine)
    cold = make().fit(X, y)
    warm = make(warm_start=True).fit(X, y)
    first = int(numpy.ravel(warm.n_iter_)[0])
    assert_same_coefficients(warm.fit(X, y), cold)
    assert int(numpy.ravel(warm.n_iter_)[0]) < first / 4
    # The optimum of other rows is theirs; other columns begin anew.
    assert_same_coefficients(warm.fit(X[:100], y[:100]), make().fit(X[:100], y[:100]))
    assert_same_coefficients(warm.fit(X[:, :5], y), make().fit(X[:, :5], y))
    if isinstance(warm, lambdaml.LogisticRegression):
        other = numpy.array(["a", "b", "c"])[y]
        assert list(warm.fit(X, other).classes_) == ["a", "b", "c"]


@pytest.mark.parametrize("make", [lambdaml.LogisticRegression, lambda **options: lambdaml.Lasso(0.01, **options)])
def test_a_warm_start_without_an_intercept_has_none(make):
    X, y = scaled(load_wine)
    warm = make(warm_start=True).fit(X, y).set_params(fit_intercept=False).fit(X, y)
    assert numpy.ravel(warm.intercept_).any() == 0
    assert_same_coefficients(warm, make(fit_intercept=False).fit(X, y))


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool", "float16"])
def test_kmeans_of_whole_numbers_has_centers_between_them(kind):
    random = numpy.random.default_rng(0)
    X = (random.random((300, 6)) < numpy.repeat([[0.2], [0.8]], 150, axis=0)).astype(kind)
    for rows in (X, sparse.csr_matrix(X.astype("int64"))):
        fitted = lambdaml.KMeans(2, random_state=0).fit(rows)
        assert len(set(fitted.labels_)) == 2
        assert (fitted.labels_ == fitted.predict(rows)).all()


@pytest.mark.parametrize("platform", ["threads", "local"])
def test_workers_give_the_same_model(platform):
    X, y = scaled(load_wine)
    one = lambdaml.LogisticRegression().fit(X, y)
    three = lambdaml.LogisticRegression(workers=3, platform=platform).fit(X, y)
    assert_same_coefficients(three, one)


@pytest.mark.parametrize(
    "form", ["float32", "float64", "fortran", "float16", "int8", "bool", "csr", "csc", "strided", "pandas"]
)
def test_all_forms_of_rows_are_the_same_to_it(form):
    X = numpy.random.default_rng(0).integers(0, 2, (200, 5)).astype(numpy.float64)
    y = (X @ [1, -2, 3, -1, 0.5] > 0.4).astype(int)
    plain = lambdaml.LogisticRegression().fit(X, y)
    forms = {
        "fortran": lambda: numpy.asfortranarray(X),
        "csr": lambda: sparse.csr_matrix(X),
        "csc": lambda: sparse.csc_matrix(X.astype(numpy.float32)),
        "strided": lambda: numpy.repeat(numpy.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
        "pandas": lambda: pandas.DataFrame(X, columns=list("abcde")),
    }
    other = forms[form]() if form in forms else X.astype(form)
    before = other.copy()
    fitted = lambdaml.LogisticRegression().fit(other, y)
    assert_same_coefficients(fitted, plain)
    changed = before != other
    assert (changed.to_numpy() if form == "pandas" else changed).sum() == 0
    if form == "pandas":
        assert list(fitted.feature_names_in_) == list("abcde")


def test_rows_in_the_engines_form_are_used_in_place():
    from lambdaml._rows import engine_dataset

    X = numpy.random.default_rng(0).normal(size=(100, 7)).astype(numpy.float32)
    assert engine_dataset(X).values_address == X.__array_interface__["data"][0]
    assert engine_dataset(X.astype(numpy.float64)).values_address != X.__array_interface__["data"][0]
    matrix = sparse.random(100, 50, 0.1, format="csr", dtype=numpy.float32, random_state=0)
    assert engine_dataset(matrix).values_address == matrix.data.__array_interface__["data"][0]
    # Not in order: of a copy, and the matrix stays as it is.
    mixed = sparse.csr_matrix((matrix.data, matrix.indices[::-1].copy(), matrix.indptr), matrix.shape)
    before = mixed.indices.copy()
    assert not mixed.has_sorted_indices
    engine_dataset(mixed)
    assert (mixed.indices == before).all()


def test_they_work_in_scikit_learns_tools():
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), lambdaml.LogisticRegression())
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.95
    search = GridSearchCV(pipeline, {"logisticregression__C": [1e-4, 1.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"logisticregression__C": 1.0}
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert (again.predict(X) == search.predict(X)).all()
    names = numpy.array(["barolo", "grignolino", "barbera"])
    named = lambdaml.LinearSVC().fit(StandardScaler().fit_transform(X), names[y])
    assert set(named.predict(StandardScaler().fit_transform(X))) == set(names)
    assert list(named.classes_) == sorted(names)


def test_workers_of_grid_search_are_processes(tmp_path):
    X, y = scaled(load_wine)
    search = GridSearchCV(lambdaml.LogisticRegression(), {"C": [0.01, 1.0]}, cv=2, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("name", ALL)
def test_bad_input_is_pythons_usual_error(name):
    make = getattr(lambdaml, name)
    X, y = scaled(load_breast_cancer)
    labels = () if name == "KMeans" else (y,)
    with pytest.raises(NotFittedError):
        make().predict(X)
    bad = X.copy()
    bad[3, 2] = numpy.nan
    with pytest.raises(ValueError, match="NaN"):
        make().fit(bad, *labels)
    # In one line, without the advice to use other classes.
    for wrong, text in ((bad, "NaN: fill or drop"), (X + 1j, "Complex"), (X[:, 0], "Reshape"), (None, "2D array")):
        with pytest.raises(ValueError, match=text) as raised:
            make().fit(wrong, *labels)
        assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(ValueError, match="dates or times"):
        make().fit(pandas.DataFrame({"day": pandas.date_range("2020", periods=len(y))}), *labels)
    bad[3, 2] = 1e39
    with pytest.raises(ValueError, match="too large for float32"):
        make().fit(bad, *labels)
    masked = numpy.ma.masked_array(X, mask=X > 3)
    for call in (lambda: make().fit(masked, *labels), lambda: make().fit(X, *labels).predict(masked)):
        with pytest.raises(ValueError, match="X has masked values: fill or drop"):
            call()
    if labels:
        with pytest.raises(ValueError, match="y has masked values: fill or drop"):
            make().fit(X, numpy.ma.masked_array(y, mask=X[:, 0] > 3))
    make().fit(numpy.ma.masked_array(X), *labels)
    if name in ("Ridge", "Lasso"):
        with pytest.raises(ValueError, match="y has dates or times"):
            make().fit(X, pandas.date_range("2020", periods=len(y)))
    with pytest.raises(ValueError):
        make().fit([[1.0, 2.0], [3.0]], *labels[:0] or ([0, 1],) if labels else ())
    with pytest.raises(ValueError):
        make().fit(numpy.array([["a", "b"], ["c", "d"]], dtype=object), *([0, 1],) if labels else ())
    fitted = make().fit(X, *labels)
    with pytest.raises(ValueError, match="30 features|features"):
        fitted.predict(X[:, :5])
    with pytest.raises(TypeError, match="has no parameter 'worker', did you mean 'workers'"):
        make(worker=2)
    with pytest.raises(ValueError, match="Invalid parameter 'worker' .*did you mean 'workers'"):
        make().set_params(worker=2)
    with pytest.raises(ValueError, match="workers must be a whole number from 1, not 0"):
        make(workers=0).fit(X, *labels)
    with pytest.raises(ValueError, match="max_iter"):
        make(max_iter=-1).fit(X, *labels)
    with pytest.raises(lambdaml.InvalidArgument, match="did you mean 'local'"):
        make(platform="locl").fit(X, *labels)


def test_bad_labels_and_parameters_are_named():
    X, y = scaled(load_breast_cancer)
    with pytest.raises(ValueError, match="one class"):
        lambdaml.LogisticRegression().fit(X, numpy.zeros(len(y)))
    for model in (lambdaml.LogisticRegression(), lambdaml.LinearSVC(), lambdaml.Ridge()):
        for labels, text in (
            ([1, "a", 2.5], "y has values of several types: float, int, str"),
            (["a", None, "b"], "y has missing values"),
        ):
            for form in (labels, numpy.array(labels, dtype=object), pandas.Series(labels, dtype=object)):
                with pytest.raises(ValueError, match=text):
                    model.fit(X[:3], form)
                with pytest.raises(ValueError, match=text):
                    lambdaml.Dataset(X[:3], form)
    with pytest.raises(ValueError, match="C must be a number above 0"):
        lambdaml.LogisticRegression(C=0).fit(X, y)
    for ratio in (2, "half"):
        with pytest.raises(ValueError, match="l1_ratio must be"):
            lambdaml.LogisticRegression(l1_ratio=ratio).fit(X, y)
    with pytest.raises(ValueError, match="^penalty must be 'auto', 'l2', 'l1', 'elasticnet' or None, not 'l3'$"):
        lambdaml.LogisticRegression(penalty="l3").fit(X, y)
    with pytest.raises(ValueError, match="loss must be"):
        lambdaml.LinearSVC(loss="hinge").fit(X, y)
    with pytest.raises(ValueError, match="alpha must be"):
        lambdaml.Ridge(alpha=-1).fit(X, y)
    with pytest.raises(ValueError, match="n_samples=3 should be >= n_clusters=8"):
        lambdaml.KMeans().fit(X[:3])
    with pytest.raises(ValueError, match="negative"):
        lambdaml.LogisticRegression().fit(X, y, sample_weight=-numpy.ones(len(y)))
    for model in (lambdaml.LogisticRegression(max_iter=2), lambdaml.Ridge(max_iter=2), lambdaml.KMeans(max_iter=2)):
        with pytest.warns(ConvergenceWarning, match="max_iter=2") as raised:
            model.fit(X, y)
        assert raised[0].filename == __file__  # where it was called


THEIRS = {
    "LogisticRegression": sklearn.linear_model.LogisticRegression,
    "LinearSVC": sklearn.svm.LinearSVC,
    "Ridge": sklearn.linear_model.Ridge,
    "Lasso": sklearn.linear_model.Lasso,
    "KMeans": sklearn.cluster.KMeans,
}


def learned(model, X, y):
    return model.fit(X, y).cluster_centers_ if isinstance(model, lambdaml.KMeans) else model.fit(X, y).coef_


@pytest.mark.parametrize("name", ALL)
def test_code_for_scikit_learn_runs_with_its_parameters(name):
    X, y = scaled(load_breast_cancer)
    make = getattr(lambdaml, name)
    parameters = THEIRS[name]().get_params()
    # What its own defaults are, of each version, and what they would be in code that says them.
    ours = make(random_state=0, **({"n_init": 10} if parameters.get("n_init") == "warn" else {}))
    numpy.testing.assert_allclose(learned(make(**{**parameters, "random_state": 0}), X, y), learned(ours, X, y), atol=1e-4)
    assert set(parameters) <= set(make().get_params())


WITHOUT_EFFECT = [
    ("LogisticRegression", "solver", ["lbfgs", "newton-cg", "newton-cholesky", "sag", "saga", numpy.str_("saga")], ["adam", None, 3]),
    ("LogisticRegression", "dual", [True, False, numpy.bool_(True)], ["yes", 2]),
    ("LogisticRegression", "multi_class", ["auto", "ovr"], ["all", True]),
    ("LogisticRegression", "n_jobs", [None, 1, -1, numpy.int64(3)], ["all", 1.5, True]),
    ("LogisticRegression", "intercept_scaling", [1, 2.5], [0, "much"]),
    ("LinearSVC", "dual", [True, False, "auto"], ["yes", None]),
    ("LinearSVC", "multi_class", ["ovr"], ["crammer_singer", None]),
    ("Ridge", "solver", ["auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs"], ["adam", None]),
    ("Ridge", "copy_X", [True, False], ["no"]),
    ("Ridge", "max_iter", [None, 1000], ["many", 0]),
    ("Ridge", "positive", [False], [True, "no"]),
    ("Lasso", "precompute", [True, False, numpy.eye(30)], []),
    ("Lasso", "copy_X", [True, False], ["no"]),
    ("Lasso", "positive", [False], [True, "no"]),
    ("Lasso", "selection", ["cyclic", "random"], ["all", None]),
    ("KMeans", "copy_x", [True, False], ["no"]),
    ("KMeans", "algorithm", ["lloyd", "elkan", "auto", "full"], ["hartigan", None]),
]


@pytest.mark.parametrize("name, parameter, values, refused", WITHOUT_EFFECT, ids=lambda each: each if isinstance(each, str) else "")
def test_parameters_without_effect_are_those_of_scikit_learn(name, parameter, values, refused):
    X, y = scaled(load_breast_cancer)
    make = lambda **given: getattr(lambdaml, name)(random_state=0, **given)
    wanted = learned(make(), X, y)
    for value in values:
        numpy.testing.assert_array_equal(learned(make(**{parameter: value}), X, y), wanted)
    for value in refused:
        with pytest.raises(ValueError, match=f"{parameter} must be") as raised:
            make(**{parameter: value}).fit(X, y)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ALL)
def test_parameters_of_wrong_types_are_one_line(name):
    X, y = scaled(load_iris)
    bad = [object(), [], {}, pandas.DataFrame({"a": [1, 2]}), numpy.arange(3), "x", -1, numpy.nan, 2 + 1j, lambda: 1]
    good = {"class_weight": [{}], "n_jobs": [-1], "channel": ["x"], "function": ["x"]}
    for parameter in getattr(lambdaml, name)().get_params():
        for value in bad:
            if any(type(value) is type(each) and value == each for each in good.get(parameter, ())):
                continue
            text = "no error\n"
            try:
                getattr(lambdaml, name)(**{parameter: value}).fit(X, y)
            except (ValueError, TypeError) as error:
                text = str(error)
            assert "\n" not in text and len(text) < 300 and "ambiguous" not in text and "unhashable" not in text, (parameter, value, text)


@pytest.mark.parametrize("options", [{}, {"intercept_scaling": 10}, {"fit_intercept": False}, {"penalty": "l1"}, {"class_weight": "balanced"}])
def test_liblinear_penalizes_the_intercept(options):
    X, y = scaled(load_breast_cancer)
    X = X + 3
    kind = {"penalty": options["penalty"]} if "penalty" in options else {}
    theirs = sklearn.linear_model.LogisticRegression(solver="liblinear", C=0.1, tol=1e-10, max_iter=5000, **{**options, **kind}).fit(X, y)
    theirs.intercept_ = numpy.ravel(theirs.intercept_)
    ours = lambdaml.LogisticRegression(solver="liblinear", C=0.1, **options).fit(X, y)
    assert_same_coefficients(ours, theirs)
    if options.get("fit_intercept", True):
        other = lambdaml.LogisticRegression(C=0.1, **{**options, "intercept_scaling": 1}).fit(X, y)
        assert abs(other.intercept_ - ours.intercept_).max() > 0.01


def test_what_needs_another_optimum_is_refused():
    X, y = load_iris(return_X_y=True)
    for options, classes, text in (
        ({"multi_class": "ovr"}, 3, "multi_class must not be 'ovr' with 3 classes: .*OneVsRestClassifier"),
        ({"solver": "liblinear"}, 3, "solver must not be 'liblinear', .*with 3 classes: .*OneVsRestClassifier"),
        ({"multi_class": "multinomial"}, 2, "multi_class must not be 'multinomial' with 2 classes"),
        ({"penalty": "elasticnet", "l1_ratio": None}, 3, "l1_ratio must be a number from 0 to 1 with the penalty 'elasticnet'"),
    ):
        with pytest.raises(ValueError, match=text):
            lambdaml.LogisticRegression(**options).fit(X, y % classes)
    assert lambdaml.LogisticRegression(multi_class="multinomial", l1_ratio=None).fit(X, y).coef_.shape == (3, 4)
    one_by_one = OneVsRestClassifier(lambdaml.LogisticRegression(solver="liblinear")).fit(X, y)
    theirs = OneVsRestClassifier(sklearn.linear_model.LogisticRegression(solver="liblinear", tol=1e-8)).fit(X, y)
    assert (one_by_one.predict(X) == theirs.predict(X)).all()


def test_names_of_columns_are_compared():
    X, y = load_iris(return_X_y=True)
    frame = pandas.DataFrame(X, columns=list("abcd"))
    fitted = lambdaml.LogisticRegression().fit(frame, y)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[list("dcba")])


@pytest.mark.parametrize(
    "y",
    [
        numpy.array([3, -2, 3, 8]),
        numpy.array([True, True]),
        numpy.arange(-128, 128).repeat(600)[::-1].astype("i1"),
        numpy.array([2**63 + 5, 2**63, 2**63 + 5], dtype="u8"),
        numpy.array([-(2**63), 2**63 - 1, 0]),
        numpy.array([2.0, 1.0, 2.0]),
        numpy.array(["b", "a", "b"]),
        numpy.array(["b", "a", "b"], dtype=object),
    ],
    ids=lambda y: f"{y.dtype}-{len(y)}",
)
def test_classes_have_the_numbers_that_numpy_gives_them(y):
    from lambdaml._linear import class_numbers

    classes, numbers = class_numbers(y)
    wanted, wanted_numbers = numpy.unique(y, return_inverse=True)
    assert classes.dtype == wanted.dtype and numbers.dtype == numpy.int32
    assert classes.tolist() == wanted.tolist() and numbers.tolist() == wanted_numbers.tolist()


def test_nothing_is_left_in_the_temporary_folder(temporary):
    X, y = scaled(load_iris)
    lambdaml.LogisticRegression().fit(X, y)
    with pytest.raises(ValueError):
        lambdaml.LogisticRegression(platform="nowhere").fit(X, y)
    assert list(temporary.iterdir()) == []


def test_a_million_rows_are_not_copied(run_python):
    """The peak of the process, whose workers are threads, beside the data."""
    code = """
import resource, numpy
random = numpy.random.default_rng(0)
X = random.standard_normal((1_000_000, 28), dtype=numpy.float32)
y = (X @ random.standard_normal(28, dtype=numpy.float32) > 0).astype(numpy.int32)
from lambdaml import LogisticRegression
LogisticRegression(workers=2).fit(X[:1000], y[:1000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
LogisticRegression(workers=2, C=1e-4).fit(X, y)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / X.nbytes)
"""
    # The rows themselves are there already: a copy of them would add 1.
    assert float(run_python(code, timeout=100)) < 0.3


def test_workers_that_are_processes_share_a_million_rows(run_python):
    """The peak of all processes' own memory and of shared memory, beside the data."""
    code = """
import os, threading, time, numpy
random = numpy.random.default_rng(0)
X = random.standard_normal((1_000_000, 28), dtype=numpy.float32)
y = (X @ random.standard_normal(28, dtype=numpy.float32) > 0).astype(numpy.int32)
from lambdaml import LogisticRegression
channel = f"/dev/shm/lambdaml-test-{os.getpid()}"
def fit(rows):
    LogisticRegression(workers=2, C=1e-4, platform="local", channel=f"file://{channel}").fit(X[:rows], y[:rows])

def children(process):
    found = []
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    except OSError:  # a thread that ended meanwhile
        pass
    return [child for child in found if is_a_program(child)]

def is_a_program(child):
    # Not before it is one: until then it has its parent's memory, which is not to be counted twice.
    try:
        return os.readlink(f"/proc/{child}/exe") != os.readlink("/proc/self/exe")
    except OSError:
        return False

def program(process):
    try:
        return os.readlink(f"/proc/{process}/exe")
    except OSError:  # a process that ended meanwhile
        return None

def own(process):
    # A child that has not begun its program yet shows the memory of its parent.
    if process != os.getpid() and program(process) == program(os.getpid()):
        return 0
    try:
        with open(f"/proc/{process}/smaps_rollup") as file:
            anonymous = sum(int(line.split()[1]) for line in file if line.startswith("Pss_Anon:"))
        return anonymous * 1024 + sum(map(own, children(process)))
    except OSError:
        return 0

def size(file):
    try:
        return os.stat(file).st_blocks * 512
    except OSError:  # removed meanwhile
        return 0

def shared():
    return sum(size(os.path.join(folder, name)) for folder, _, names in os.walk(channel) for name in names)

peak = 0
def watch():
    global peak
    while not done:
        peak = max(peak, own(os.getpid()) + shared())
        time.sleep(0.005)

fit(1000)
before, done = own(os.getpid()) + shared(), False
watcher = threading.Thread(target=watch)
watcher.start()
fit(1_000_000)
done = True
watcher.join()
print((peak - before) / (X.nbytes + y.nbytes))
"""
    # The rows in shared memory, once.
    assert 0.9 < float(run_python(code, timeout=300)) < 1.2


@pytest.mark.parametrize("dtype", [numpy.float64, numpy.float32])
def test_columns_far_from_0(dtype):
    random = numpy.random.default_rng(0)
    near = numpy.vstack([random.normal(size=(100, 2)) + center for center in ([0, 0], [8, 0], [0, 8])])
    X = (near + [1e5, 0]).astype(dtype)
    init = X[[0, 100, 200]]
    ours, theirs = (cls(3, init=init, n_init=1).fit(X) for cls in (lambdaml.KMeans, sklearn.cluster.KMeans))
    numpy.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-5)
    assert -ours.score(X) == pytest.approx(theirs.inertia_, rel=1e-5 if dtype == numpy.float64 else 1e-3)
    numpy.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-7, atol=1e-5)
    numpy.testing.assert_array_equal(ours.predict(X), theirs.labels_)
    numpy.testing.assert_allclose(ours.transform(X), theirs.transform(X), atol=0.02)
    # Sparse batches have no means that are subtracted.
    assert ours.partial_fit(sparse.csr_matrix(X)).cluster_centers_[0, 0] == pytest.approx(1e5, rel=1e-4)
    batches = lambdaml.KMeans(3, init=init).partial_fit(X[::2]).partial_fit(X[1::2])
    numpy.testing.assert_allclose(batches.cluster_centers_, theirs.cluster_centers_, rtol=1e-5)

    y = near @ [1.0, -2.0] + random.normal(size=300)
    for ours, theirs in (
        (lambdaml.Ridge(), sklearn.linear_model.Ridge()),
        (lambdaml.Lasso(0.1, warm_start=True), sklearn.linear_model.Lasso(0.1)),
    ):
        numpy.testing.assert_allclose(ours.fit(X, y).coef_, theirs.fit(X, y).coef_, rtol=1e-3)
        assert ours.score(X.astype(float), y) == pytest.approx(theirs.score(X.astype(float), y), abs=1e-3)
    passes = ours.n_iter_
    assert ours.fit(X, y).n_iter_ < passes  # from the optimum on
    ours, theirs = lambdaml.LogisticRegression(), sklearn.linear_model.LogisticRegression(tol=1e-8)
    moved = X - numpy.asarray([1e5, 0], dtype=dtype)
    numpy.testing.assert_allclose(ours.fit(X, y > 0).coef_, theirs.fit(moved, y > 0).coef_, rtol=1e-3)
    for model in (lambdaml.LinearSVC(), lambdaml.LogisticRegression(fit_intercept=False)):
        with pytest.warns(UserWarning, match="1 columns are farther than 100 standard deviations from 0"):
            model.fit(X, y > 0)


def test_far_columns_are_found_in_many_rows():
    from lambdaml._rows import far_means

    random = numpy.random.default_rng(0)
    n = 50_000
    normal = lambda mean, deviation: mean + deviation * random.normal(size=n)
    rare = numpy.where(numpy.arange(n) % 5000 == 0, 30.0, 0)  # of a deviation of 0.4
    columns = {
        "near": normal(0, 1), "years": normal(2000, 10), "far": normal(-1e5, 1), "nearly": normal(99, 1), "just": normal(102, 1),
        "one value": numpy.full(n, 7.0), "zeros and ones": (numpy.arange(n) % 100 == 0) * 1.0, "mostly 5": 5 + rare,
        "sorted": numpy.sort(normal(1e4, 50)), "two heights": numpy.where(numpy.arange(n) % 2, 1e4, 1.005e4),
        "heavy tails": 1e6 + random.standard_t(2, size=n), "far but for some": 60 + rare, "exponential": random.exponential(1, n),
    }  # fmt: skip
    X = numpy.column_stack(list(columns.values()))
    means, deviations = X.mean(axis=0), X.std(axis=0)
    far = (abs(means) > 100 * deviations) & (deviations > 0)
    assert {name for name, is_far in zip(columns, far) if is_far} == {
        "years", "far", "just", "sorted", "two heights", "heavy tails", "far but for some"
    }  # fmt: skip
    numpy.testing.assert_allclose(far_means(X), numpy.where(far, means, 0), rtol=1e-12)
    assert far_means(X[:, ~far]) is None


def test_a_warm_start_after_a_fit_that_failed():
    random = numpy.random.default_rng(0)
    X, y = random.normal(size=(60, 3)), numpy.arange(60) % 2
    model = lambdaml.LogisticRegression(warm_start=True, C=-1)
    with pytest.raises(ValueError, match="C must be"):
        model.fit(X, y)
    model.set_params(C=1).fit(X, y)
    # Of three classes and other parameters; the model of two stays as it was.
    with pytest.raises(ValueError, match="C must be"):
        model.set_params(C=-1).fit(X, numpy.arange(60) % 3)
    assert model.predict(X).shape == (60,) and model.classes_.tolist() == [0, 1]
    assert model.set_params(C=1).fit(X, numpy.arange(60) % 3).coef_.shape == (3, 3)


def test_the_environment_does_not_change_the_objective(monkeypatch):
    random = numpy.random.default_rng(0)
    X = random.normal(size=(300, 3))
    y = X[:, 0] > 0.8
    learn = lambda: (lambdaml.LogisticRegression().fit(X, y).coef_, lambdaml.KMeans(3, init=X[:3]).fit(X).inertia_)
    coefficients, inertia = learn()
    for name, value in (("CLASS_WEIGHT", "balanced"), ("STOP_AFTER", "1"), ("TEST_DATA", "/none"), ("PLATFORM", "local")):
        monkeypatch.setenv("LAMBDAML_" + name, value)
    numpy.testing.assert_array_equal(learn()[0], coefficients)
    assert learn()[1] == inertia


def test_classes_without_weight_and_parameters_in_one_line():
    random = numpy.random.default_rng(0)
    X, y = random.normal(size=(200, 3)), numpy.arange(200) % 3
    weights = random.uniform(0.5, 2, 200)
    ours = lambdaml.LogisticRegression(class_weight={0: 0, 1: 1, 2: 2}).fit(X, y, weights)
    theirs = sklearn.linear_model.LogisticRegression(solver="newton-cg", class_weight=ours.class_weight, tol=1e-10)
    theirs.fit(X, y, weights)
    numpy.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    with pytest.raises(ValueError, match="negative|above 0"):
        lambdaml.LogisticRegression(class_weight={0: -1, 1: 1, 2: 1}).fit(X, y)
    with pytest.raises(ValueError, match="zero for all rows"):
        lambdaml.LogisticRegression(class_weight={0: 0, 1: 0, 2: 0}).fit(X, y)
    many = {"channel": "redis://" + 60 * "a", "platform": "threads", "max_iter": 333, "tol": 1e-9, "workers": 2}
    for name in ("alfa", "zzz"):
        with pytest.raises(ValueError, match=f"^Invalid parameter '{name}' for estimator Ridge[^\\n]*$"):
            lambdaml.Ridge(**many).set_params(**{name: 1})
