"""Types of arguments that several functions have in common."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Callable, Union

# A path of this machine or a storage URI.
Place = Union[str, "os.PathLike[str]"]
# Rows in any form: arrays, sparse matrices, DataFrames, tables. No library has a common type for them.
Rows = Any
# Numbers or texts, one for each row.
Column = Any
# Gets the metrics of an epoch; true ends the job.
Callback = Callable[["dict[str, Any]"], Any]
Callbacks = Union[Callback, Sequence[Callback]]
