"""Options of jobs, from Python's values to the engine's texts."""

import json
import os


def text_of(value):
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


def pairs(options):
    """Options as names and texts, without those that are None."""
    out = []
    for name, value in options.items():
        if value is None:
            continue
        try:
            out.append((name, text_of(value)))
        except TypeError:
            raise TypeError(
                f"{name}: an option cannot be of the type {type(value).__name__}"
            ) from None
    return out


def job_text(job):
    """A job that is given as a dict, as the text of a job file."""

    def default(value):
        if hasattr(value, "item") and getattr(value, "shape", None) == ():
            return value.item()
        return text_of(value)

    return json.dumps({name: value for name, value in job.items() if value is not None}, default=default)
