"""Exceptions of the engine: each code is a class, which is also Python's usual one of that kind."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable

# Names that a message lists.
_LISTED = 24
# Characters of a value that a message has.
_LONGEST = 80
# What a message suggests.
_MEANT = re.compile(r"did you mean '.*?'(?:(?:,| or) '.*?')*\?")


class Error(Exception):
    """Base of all errors of the engine.

    Attributes
    ----------
    code : str
        What went wrong, as ``docs/reference/errors.md`` lists it: ``"invalid_argument"`` …
    message : str
        One line: what was being done, to what, why it failed and, where it helps, what to do.
    hint : str
        The part of the message that says what to do, or which name was meant; empty if there is none.
    causes : str
        The chain of causes, outermost first, one a line; empty if there are none.
    """

    code = "internal"

    def __init__(self, message: str = "", causes: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.causes = causes

    @property
    def hint(self) -> str:
        if meant := _MEANT.search(self.message):
            return meant[0]
        _, mark, hint = self.message.rpartition("; ")
        if not mark:
            _, mark, hint = self.message.rpartition(": ")
            if not re.match(r"(use|give|call|start|add|write|name|convert|fill|drop|reshape|encode|make|set) ", hint):
                return ""
        return hint

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type[Error], tuple[str, str]]:
        return type(self), (self.message, self.causes)


class InvalidArgument(Error, ValueError):
    """The request makes no sense; nothing was started."""

    code = "invalid_argument"


class NotFound(Error, LookupError):
    """A named thing that was relied on is not there."""

    code = "not_found"


class AlreadyExists(Error):
    """A named thing that must be new is there."""

    code = "already_exists"


class DataCorrupt(Error, ValueError):
    """Bytes that were read do not mean what they should."""

    code = "data_corrupt"


class PermissionDenied(Error):
    """Credentials or file modes forbid it."""

    code = "permission_denied"


class ResourceExhausted(Error, MemoryError):
    """Disk, memory, file descriptors or a quota ran out."""

    code = "resource_exhausted"


class Unavailable(Error, RuntimeError):
    """A service did not answer, or this process cannot use the engine; worth a retry."""

    code = "unavailable"


class DeadlineExceeded(Error, RuntimeError):
    """A deadline passed before a wait was over."""

    code = "deadline_exceeded"


class WorkersLost(Error, RuntimeError):
    """Functions died and their attempts are used up."""

    code = "workers_lost"


class Diverged(Error, ArithmeticError):
    """Values became infinite or NaN."""

    code = "diverged"


class LimitReached(Error, RuntimeError):
    """A limit that the user set (``deadline``, ``budget``) ended the job."""

    code = "limit_reached"


class Cancelled(Error, RuntimeError):
    """A stop was requested."""

    code = "cancelled"


class Internal(Error, RuntimeError):
    """A defect of the engine."""

    code = "internal"


_BY_CODE: dict[str, type[Error]] = {error.code: error for error in Error.__subclasses__()}

# The engine speaks of data in memory by a name that no user gave.
_IN_MEMORY = re.compile(r"memory://(data|test)(?=[:, ])")
# What it says of files, and what it is of data in memory.
_OF_FILES = {
    "name their column by --label, or their file by --labels-file": "give them as y",
    "name the column of labels by --label, or add rows": "add rows",
    "or another column by --label": "or others as y",
    "or name another column by --label": "or give others as y",
}
# Where in a job that was given as a dict.
_OF_DICT = re.compile(r"^the job:\d+: ")

# With the space before a value, of which messages have some words.
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)(?: (?=['\d]|(?:standard|onehot|csv|none|async|aws|array|linear|lr)\b))?")


def from_engine(code: str, message: str, causes: str = "") -> Error:
    """The exception for an error of the engine."""
    message, found = _IN_MEMORY.subn(lambda found: "X" if found[1] == "data" else "the test data", message)
    for said, instead in _OF_FILES.items() if found else ():
        message = message.replace(said, instead)
    message = _OF_DICT.sub("", message)
    if message.startswith("argument "):
        # "workers: workers wants …" names it twice.
        message = re.sub(r"^(\w+): (?=\1\b)", "", message[len("argument ") :])
    return _BY_CODE.get(code, Internal)(with_arguments(message), causes)


def with_arguments(message: str) -> str:
    """A message of the engine: options are arguments here, except in a command that is to be typed."""
    said, mark, command = message.partition("lambdaml ")
    return _FLAG.sub(lambda found: found[1].replace("-", "_") + "=", said) + mark + command


def shown(value: object) -> str:
    """A value as a message of one line has it: its repr(), or its type."""
    text = repr(value)
    return text if len(text) <= _LONGEST and "\n" not in text else f"a value of the type {type(value).__name__}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """``", did you mean '…'?"`` with the nearest of the known names; empty if none is near."""
    import difflib

    near = difflib.get_close_matches(name, list(known), 1)
    return f", did you mean '{near[0]}'?" if near else ""


def suggestion_or_names(name: str, known: Iterable[object]) -> str:
    """The suggestion or, if no name is near, the first of the known ones."""
    names = [str(each) for each in known]
    return suggestion(name, names) or f"; it has {', '.join(names[:_LISTED])}" + ", …" * (len(names) > _LISTED)


def with_hint(error: Exception) -> Exception:
    """An error of Python's own types, with the `hint` that ours have."""
    error.hint = Error(str(error)).hint  # type: ignore[attr-defined]
    return error


def warn(message: str, category: type[Warning]) -> None:
    """Warns at the line that called the package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
