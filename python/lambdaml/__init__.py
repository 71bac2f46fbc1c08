"""LambdaML: machine-learning training on serverless functions, in Python.

The engine is the one of the command ``lambdaml``, in this process; workers are processes or threads.
``docs/how-to/python.md`` begins with an example.
"""

import atexit as _atexit

from . import _lambdaml
from ._errors import (
    AlreadyExists,
    Cancelled,
    DataCorrupt,
    DeadlineExceeded,
    Diverged,
    Error,
    Internal,
    InvalidArgument,
    LimitReached,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    WorkersLost,
)

__version__ = _lambdaml.version

# Imported when they are first used: some take longer than the engine.
_LAZY = {
    "ConvergenceWarning": "_run",
    "Dataset": "_dataset",
    "KMeans": "_kmeans",
    "Lasso": "_linear",
    "LinearSVC": "_linear",
    "LogisticRegression": "_linear",
    "Model": "_model",
    "Ridge": "_linear",
    "Run": "_run",
    "Search": "_search",
    "Stream": "_dataset",
    "deploy": "_services",
    "destroy": "_services",
    "emulate": "_services",
    "package": "_services",
    "predict": "_predict",
    "resume": "_run",
    "storage": "storage",
    "torch": "torch",
    "train": "_run",
    "tune": "_search",
}

# What these need besides NumPy.
_NEEDED = {"_kmeans": "scikit-learn", "_linear": "scikit-learn", "torch": "torch"}

# Without `torch`, which imports PyTorch.
__all__ = sorted(
    [name for name in globals() if not name.startswith("_")]
    + [name for name in _LAZY if name != "torch"]
    + ["__version__"]
)

# No worker outlives the interpreter.
_atexit.register(_lambdaml.close)


def __getattr__(name):
    if name not in _LAZY:
        from ._errors import suggestion, with_hint

        raise with_hint(AttributeError(f"module 'lambdaml' has no attribute '{name}'{suggestion(name, __all__)}"))
    import importlib

    try:
        module = importlib.import_module("." + _LAZY[name], __name__)
    except ModuleNotFoundError as error:
        needed = _NEEDED.get(_LAZY[name])
        if needed is None or (error.name or "").startswith(__name__):
            raise
        raise ImportError(f"lambdaml.{name} needs {needed}: pip install {needed} ({error})") from None
    value = module if _LAZY[name] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
