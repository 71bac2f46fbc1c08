"""Temporary folders."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref


class Folder:
    """A new temporary folder, until remove(), or until nothing uses this object any more, or Python ends.

    Processes that were forked leave it to the one that made it.
    """

    def __init__(self, purpose: str = "") -> None:
        self.path = tempfile.mkdtemp(prefix=f"lambdaml-{purpose}")
        self._end = weakref.finalize(self, _remove, self.path, os.getpid())

    def remove(self) -> None:
        self._end()

    @property
    def is_there(self) -> bool:
        return self._end.alive

    def __enter__(self) -> str:
        return self.path

    def __exit__(self, *error: object) -> None:
        self.remove()


def _remove(path: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)
