"""What the estimators with scikit-learn's interface share: data into the engine, the job, its model."""

import functools
import inspect
import os
import shutil
import tempfile
import warnings

import numpy

try:
    from sklearn.base import BaseEstimator
except ImportError as error:  # pragma: no cover
    raise ImportError("lambdaml's estimators need scikit-learn: pip install scikit-learn") from error
from sklearn.exceptions import ConvergenceWarning

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn before 1.6

    def validate_data(estimator, X="no_validation", y="no_validation", **parameters):
        return estimator._validate_data(X, y, **parameters)


from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from . import _lambdaml, _options

# Checkpoints are of no use: a fit is not resumed.
_NEVER = 10**9


def keeps_parameters(init):
    """Makes an `__init__` without a body keep its arguments as attributes of their names.

    An `__init__` of scikit-learn's estimators does nothing else. An unknown argument is answered with the
    nearest parameter.
    """
    signature = inspect.signature(init)
    known = list(signature.parameters)[1:]

    @functools.wraps(init)
    def wrapped(self, *args, **parameters):
        for name in parameters:
            if name not in known:
                import difflib

                near = difflib.get_close_matches(name, known, 1)
                hint = f", did you mean '{near[0]}'?" if near else f"; it has {', '.join(known)}"
                raise TypeError(f"{type(self).__name__} has no parameter '{name}'{hint}")
        init(self, *args, **parameters)
        given = signature.bind(self, *args, **parameters)
        given.apply_defaults()
        for name in known:
            setattr(self, name, given.arguments[name])

    return wrapped


class Estimator(BaseEstimator):
    """Base of the estimators: `workers`, `channel`, `platform` and `function` say where they are fitted."""

    def _train(self, dataset, **options):
        """Runs a job on all rows; returns the model's parameters by name, and the summary."""
        platform = self.platform or "threads"
        channel = self.channel or ("memory" if platform == "threads" else None)
        folder = tempfile.mkdtemp(prefix="lambdaml-")
        try:
            job = _lambdaml.train(
                "",
                None,
                _options.pairs(
                    {
                        "data": "memory://data",
                        "workers": min(self._positive("workers"), dataset.rows),
                        "platform": platform,
                        "channel": channel,
                        "function": self.function,
                        "valid_ratio": 0 if options["model"] != "kmeans" else None,
                        "checkpoint_every": _NEVER,
                        "output": os.path.join(folder, "run"),
                        **options,
                    }
                ),
                data=dataset,
            )
            from ._run import Run

            run = Run(job, data=dataset, progress=bool(self.verbose), warns=False).wait()
            parameters = run.model.parameters
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if run.summary["ended_by"] == "epochs":
            warnings.warn(
                f"{type(self).__name__} has not converged in max_iter={options['epochs']} iterations: "
                "use a larger max_iter, or scale the columns",
                ConvergenceWarning,
                stacklevel=3,
            )
        return parameters, run.summary

    def _positive(self, name):
        value = getattr(self, name)
        if isinstance(value, (bool, numpy.bool_)) or not isinstance(value, (int, numpy.integer)) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
        return int(value)

    def _number(self, name, least=0.0, above=None):
        value = getattr(self, name)
        good = isinstance(value, (int, float, numpy.integer, numpy.floating)) and not isinstance(value, bool)
        good = good and numpy.isfinite(value) and (value > above if above is not None else value >= least)
        if not good:
            bound = f"above {above:g}" if above is not None else f"from {least:g}"
            raise ValueError(f"{type(self).__name__}: {name} must be a number {bound}, not {value!r}")
        return float(value)

    def _seed(self):
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    # The engine reads sparse rows.
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def dtype_of(X):
    """The type of what is learned from X: that of scikit-learn's estimators."""
    return numpy.float32 if X.dtype == numpy.float32 else numpy.float64


def checked_weights(sample_weight, X):
    """The weights of rows as the engine takes them; None where there are none."""
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, X, dtype=numpy.float64)
    if (weights < 0).any():
        raise ValueError("sample_weight has negative values")
    if not weights.any():
        raise ValueError("sample_weight is zero for all rows")
    return weights
