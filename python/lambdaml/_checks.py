"""Arguments of plain types, and the one line for those that are not."""

from __future__ import annotations

import math
import os
from typing import Any

from ._errors import InvalidArgument, shown


def whole(name: str, value: Any, least: int, most: int = 2**63 - 1) -> int:
    """A whole number from `least` to `most`: one of Python's or NumPy's."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = value.__index__()
    except (AttributeError, TypeError):
        number = None
    if number is None or not least <= number <= most:
        raise InvalidArgument(f"{name} must be a whole number {_range(least, most)}, not {shown(value)}")
    return number


def number(name: str, value: Any, least: float = -math.inf) -> float:
    """A finite number from `least`."""
    try:
        real = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        real = math.nan
    if not (math.isfinite(real) and real >= least):
        bound = "" if least == -math.inf else f" from {least:g}"
        raise InvalidArgument(f"{name} must be a number{bound}, not {shown(value)}")
    return real


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return value


def job_file(job: Any) -> str:
    if not isinstance(job, (str, os.PathLike)):
        raise TypeError(f"job must be a dict or the path of a job file, not {type(job).__name__}")
    return os.fspath(job)


def _range(least: int, most: int) -> str:
    return f"from {least}" if most == 2**63 - 1 else f"from {least} to {most}"
