"""A bar of progress on standard error, in a terminal or a notebook."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from ._parts import rows_of

_EVERY = 0.1  # s
_CELLS = 20


def display_of(progress: Optional[bool]) -> Any:
    """What shows the progress: `progress` as in `train()`."""
    if progress is None:
        progress = _is_seen()
    return _Line() if progress else _Nothing()


def bar(share: float) -> str:
    """As ``[#####     ]``; also where a terminal has no more than ASCII."""
    full = int(_CELLS * min(1.0, max(0.0, share)))
    return "[" + "#" * full + " " * (_CELLS - full) + "]"


def counted(
    batches: Iterable[dict[str, Any]], rows: int, what: str, progress: Optional[bool]
) -> Iterator[dict[str, Any]]:
    """Yields the batches and shows how many of so many rows have passed."""
    display = display_of(progress)
    done = 0
    for batch in batches:
        yield batch
        done += rows_of(batch)
        display.write(f"{bar(done / rows)} {what} {done}/{rows}", is_last=done == rows)
    display.close()


def tell_serving(what: str, url: str) -> None:
    """Says where something is served that was asked for, as the command does."""
    if sys.stderr is not None:
        print(f"{what} on {url}", file=sys.stderr, flush=True)


def _is_seen() -> bool:
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


class _Nothing:
    def draw(self, work: Any) -> None:
        pass

    def end(self, work: Any) -> None:
        pass

    def write(self, text: str, is_last: bool = False) -> None:
        pass

    def close(self) -> None:
        pass


class _Line:
    """A line that is written again and again."""

    def __init__(self) -> None:
        self._drawn = 0.0
        self._width = 0

    def draw(self, work: Any) -> None:
        if work.start is not None:
            self.write(work._progress_text())

    def end(self, work: Any) -> None:
        if work.start is not None:
            self.write(work._progress_text(), is_last=True)
            self.close()

    def write(self, text: str, is_last: bool = False) -> None:
        now = time.monotonic()
        if now - self._drawn < _EVERY and not is_last:
            return
        self._drawn = now
        text = text[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)

    def close(self) -> None:
        if self._width:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._width = 0
