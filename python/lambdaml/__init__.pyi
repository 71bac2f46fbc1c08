from ._dataset import Dataset as Dataset, Stream as Stream
from ._errors import (
    AlreadyExists as AlreadyExists,
    Cancelled as Cancelled,
    DataCorrupt as DataCorrupt,
    DeadlineExceeded as DeadlineExceeded,
    Diverged as Diverged,
    Error as Error,
    Internal as Internal,
    InvalidArgument as InvalidArgument,
    LimitReached as LimitReached,
    NotFound as NotFound,
    PermissionDenied as PermissionDenied,
    ResourceExhausted as ResourceExhausted,
    Unavailable as Unavailable,
    WorkersLost as WorkersLost,
)
from ._kmeans import KMeans as KMeans
from ._linear import Lasso as Lasso, LinearSVC as LinearSVC, LogisticRegression as LogisticRegression, Ridge as Ridge
from ._model import Model as Model
from ._predict import predict as predict
from ._run import ConvergenceWarning as ConvergenceWarning, Run as Run, resume as resume, train as train
from ._search import Search as Search, tune as tune
from ._services import deploy as deploy, destroy as destroy, emulate as emulate, package as package
from . import storage as storage

__version__: str

__all__ = [
    "AlreadyExists",
    "Cancelled",
    "ConvergenceWarning",
    "DataCorrupt",
    "Dataset",
    "DeadlineExceeded",
    "Diverged",
    "Error",
    "Internal",
    "InvalidArgument",
    "KMeans",
    "Lasso",
    "LimitReached",
    "LinearSVC",
    "LogisticRegression",
    "Model",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "Ridge",
    "Run",
    "Search",
    "Stream",
    "Unavailable",
    "WorkersLost",
    "__version__",
    "deploy",
    "destroy",
    "emulate",
    "package",
    "predict",
    "resume",
    "storage",
    "train",
    "tune",
]
