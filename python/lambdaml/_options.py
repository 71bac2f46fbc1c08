"""Options of jobs, from Python's values to the engine's texts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ._errors import shown


def text_of(value: Any) -> str:
    """An option's value as one would type it."""
    if isinstance(value, str):
        return value
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, dict):
        return ",".join(f"{text_of(key)}={text_of(weight)}" for key, weight in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(text_of(each) for each in value)
    raise TypeError(f"an option cannot be of the type {type(value).__name__}")


def pairs(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Options as names and texts, without those that are None."""
    out = []
    for name, value in options.items():
        if value is None:
            continue
        out.append((name, text_of_option(name, value)))
    return out


def job_text(job: Mapping[str, Any]) -> str:
    """A job that is given as a dict, as the text of a job file."""
    out = {}
    for name, value in job.items():
        if not isinstance(name, str):
            raise TypeError(f"the names of a job's options must be texts, not {shown(name)}")
        if value is not None:
            out[name] = json.loads(json.dumps(value, default=lambda each: _plain(name, each)))
    return json.dumps(out)


def _plain(name: str, value: Any) -> Any:
    """What JSON has instead of a value that it has not."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    return text_of_option(name, value)


def text_of_option(name: str, value: Any) -> str:
    try:
        return text_of(value)
    except TypeError:
        raise TypeError(f"{name}: an option cannot be of the type {type(value).__name__}") from None
