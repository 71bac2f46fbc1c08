"""What the estimators with scikit-learn's interface share: data into the engine, the job, its model."""

from __future__ import annotations

import functools
import inspect
import numbers
import os
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional, TypeVar

import numpy

from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn before 1.6

    def validate_data(estimator: Any, X: Any = "no_validation", y: Any = "no_validation", **parameters: Any) -> Any:
        return estimator._validate_data(X, y, **parameters)


from sklearn.utils import check_random_state

from . import _lambdaml, _options
from ._errors import InvalidArgument, shown, suggestion_or_names, warn, with_hint
from ._rows import plain_column, require_no_masks
from ._run import Run
from ._temporary import Folder
from ._types import Column, Rows

# Checkpoints are of no use: a fit is not resumed.
_NEVER = 10**9

_Init = TypeVar("_Init", bound=Callable[..., None])
_Self = TypeVar("_Self", bound="Estimator")


def keeps_parameters(init: _Init) -> _Init:
    """Makes an `__init__` without a body keep its arguments as attributes of their names.

    An `__init__` of scikit-learn's estimators does nothing else. An unknown argument is answered with the
    nearest parameter.
    """
    signature = inspect.signature(init)
    known = list(signature.parameters)[1:]

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **parameters: Any) -> None:
        for name in parameters:
            if name not in known:
                hint = suggestion_or_names(name, known)
                raise with_hint(TypeError(f"{type(self).__name__} has no parameter '{name}'{hint}"))
        init(self, *args, **parameters)
        given = signature.bind(self, *args, **parameters)
        given.apply_defaults()
        for name in known:
            setattr(self, name, given.arguments[name])

    return wrapped  # type: ignore[return-value]


class Estimator(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators: `workers`, `channel`, `platform` and `function` say where they are fitted."""

    workers: int
    channel: Optional[str]
    platform: Optional[str]
    function: Optional[str]
    verbose: int
    random_state: Any
    _without_effect: dict[str, Any] = {}

    def set_params(self: _Self, **params: Any) -> _Self:
        """Sets parameters, as those of all estimators of scikit-learn; an unknown one is answered with the nearest."""
        known = self._get_param_names()
        for name in params:
            if name not in known and "__" not in name:
                hint = suggestion_or_names(name, known)
                raise InvalidArgument(f"Invalid parameter '{name}' for estimator {type(self).__name__}{hint}")
        return super().set_params(**params)

    def _train(
        self,
        dataset: _lambdaml.Dataset,
        *,
        start: Any = None,
        classes: int = 0,
        must_converge: bool = True,
        **options: Any,
    ) -> tuple[dict[str, numpy.ndarray], dict[str, Any]]:
        """Runs a job on all rows; returns the model's parameters by name, and the summary.

        `start`, if it is not None, are the parameters to begin from, one tensor after another.
        """
        platform = self.platform or "threads"
        channel = self.channel or ("memory" if platform == "threads" else None)
        with Folder() as folder:
            if start is not None:
                if options.get("optim") == "lbfgs":
                    # The first gradient, of which the tolerance is a part, is small already.
                    options["lbfgs_tolerance_loss"] = 1e-14
                options["init"] = os.path.join(folder, "init.safetensors")
                values = numpy.asarray(start, dtype=numpy.float32)
                typed = _options.pairs({name: options[name] for name in ("model", "clusters") if name in options})
                with open(options["init"], "wb") as file:
                    file.write(
                        _lambdaml.model_file(typed, dataset.features, list(range(classes)), values, dataset.names)
                    )
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
                environment=False,  # LAMBDAML_L1=1 would be another objective
            )
            run = Run(job, progress=bool(self.verbose), warns=False).wait()
            parameters = run.model.parameters
        assert run.summary is not None
        if must_converge and run.summary["ended_by"] == "epochs":
            warn(
                f"{type(self).__name__} has not converged in max_iter={options['epochs']} iterations: "
                "use a larger max_iter, or scale the columns",
                ConvergenceWarning,
            )
        return parameters, run.summary

    def _positive(self, name: str) -> int:
        value = getattr(self, name)
        if isinstance(value, (bool, numpy.bool_)) or not isinstance(value, (int, numpy.integer)) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1, not {shown(value)}")
        return int(value)

    def _number(self, name: str, least: float = 0.0, above: Optional[float] = None, infinite: bool = False) -> float:
        value = getattr(self, name)
        good = isinstance(value, (int, float, numpy.integer, numpy.floating)) and not isinstance(value, bool)
        good = good and (numpy.isfinite(value) or infinite and value == numpy.inf)
        if not good or (value < least if above is None else value <= above):
            bound = f"above {above:g}" if above is not None else f"from {least:g}"
            raise ValueError(f"{type(self).__name__}: {name} must be a number {bound}, not {shown(value)}")
        return float(value)

    def _choice(self, name: str, *values: Any, unsaid: Sequence[str] = ()) -> Any:
        """A parameter that must be one of these texts or None; errors do not name those of `unsaid`."""
        value = getattr(self, name)
        value = str(value) if isinstance(value, str) else value  # one of NumPy's
        if not (value is None or isinstance(value, str)) or value not in (*values, *unsaid):
            *some, last = map(repr, values)
            raise ValueError(f"{name} must be {', '.join(some)}{' or ' * bool(some)}{last}, not {shown(value)}")
        return value

    def _switch(self, name: str) -> bool:
        value = getattr(self, name)
        if not isinstance(value, (bool, int, numpy.bool_, numpy.integer)) or value not in (0, 1):
            raise ValueError(f"{name} must be True or False, not {shown(value)}")
        return bool(value)

    def _require_usable_parameters(self) -> None:
        """Checks those that all have, and those by which scikit-learn computes in another way.

        The latter have no effect here: each has the same result by all its values, so code that gives some runs as it is.
        """
        for name in ("channel", "platform", "function"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, (str, os.PathLike)):
                raise ValueError(f"{name} must be a text or None, not {shown(value)}")
        if not isinstance(self.verbose, (bool, numpy.bool_, numbers.Integral)) or self.verbose < 0:
            raise ValueError(f"verbose must be a whole number from 0, not {shown(self.verbose)}")
        try:
            check_random_state(self.random_state)
        except (TypeError, ValueError):
            raise ValueError(f"random_state must be a whole number, a RandomState or None, not {shown(self.random_state)}") from None
        weights = getattr(self, "class_weight", None)
        if weights is not None and not isinstance(weights, (str, Mapping)):
            raise ValueError(f"class_weight must be a dict, 'balanced' or None, not {shown(weights)}")
        for name, values in self._without_effect.items():
            if values == "switch":
                self._switch(name)
            elif values == "number":
                self._number(name, above=0)
            elif values == "square":
                shape: tuple[int, ...] = getattr(getattr(self, name), "shape", ())
                if len(shape) != 2 or shape[0] != shape[1]:
                    self._switch(name)
            elif values == "jobs":
                value = getattr(self, name)
                if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Integral)):
                    raise ValueError(f"{name} must be a whole number or None, not {shown(value)}; workers= says what works")
            else:
                self._choice(name, *values)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    # The engine reads sparse rows.
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def validated(estimator: Any, X: Rows, y: Any = "no_validation", **parameters: Any) -> Any:
    """What validate_data() of scikit-learn gives; what its messages say in several lines is said in one."""
    require_no_masks(X, "X")
    require_no_masks(y, "y")
    if isinstance(y, (list, tuple)) or getattr(y, "dtype", None) == object:
        plain_column(y)  # whose values have one type
    try:
        out = validate_data(estimator, X, y, **parameters)
    except ValueError as error:
        raise ValueError(line_of(str(error))) from None
    # Dates may be classes.
    for what, values in zip(("X", "y"), out if isinstance(out, tuple) else (out,)):
        if values.dtype.kind in "mM" and (what == "X" or parameters.get("y_numeric")):
            raise InvalidArgument(f"{what} has dates or times, which are no numbers: make numbers of them, e.g. days")
    return out


def line_of(text: str) -> str:
    first, *others = text.splitlines()
    # Tools look for this one as it is.
    if not others or first.startswith("The feature names should match"):
        return text
    if first.startswith("Input "):  # contains NaN; then come other classes, and links
        return f"{first.rstrip('.')}: fill or drop such rows"
    if first.startswith("Expected 2D array"):  # then comes the array
        return f"{first.rstrip(':')}. {others[-1]}"
    return first


def dtype_of(X: Any) -> Any:
    """The type of what is learned from X: that of scikit-learn's estimators."""
    return numpy.float32 if X.dtype == numpy.float32 else numpy.float64


def checked_weights(sample_weight: Optional[Column], X: Rows) -> Optional[numpy.ndarray]:
    """The weights of rows; None where there are none."""
    if sample_weight is None:
        return None
    rows = X.shape[0]
    if isinstance(sample_weight, numbers.Real):
        sample_weight = numpy.full(rows, sample_weight)
    weights = plain_column(sample_weight, "sample_weight", texts=False)
    if len(weights) != rows:
        raise ValueError(f"sample_weight has {len(weights)} values for {rows} rows")
    weights = weights.astype(numpy.float64)
    if not numpy.isfinite(weights).all():
        raise ValueError("sample_weight has NaN or infinity: give numbers from 0")
    if (weights < 0).any():
        raise ValueError("sample_weight has negative values: give numbers from 0")
    if weights.max() > numpy.finfo(numpy.float32).max:
        raise ValueError("sample_weight has values that are too large for float32")
    if weights.max() < numpy.finfo(numpy.float32).tiny:
        raise ValueError("sample_weight is zero for all rows, in float32: give some rows a weight above 0")
    return weights
