"""A line of progress on standard error, in a terminal or a notebook."""

import shutil
import sys
import time

_EVERY = 0.1  # s


def display_of(progress):
    """What shows the progress: `progress` as in `train()`."""
    if progress is None:
        progress = _is_seen()
    return _Line() if progress else _Nothing()


def _is_seen():
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


class _Nothing:
    def draw(self, run):
        pass

    def end(self, run):
        pass


class _Line:
    def __init__(self):
        self._drawn = 0.0
        self._width = 0

    def draw(self, run):
        now = time.monotonic()
        if run.start is None or now - self._drawn < _EVERY:
            return
        self._drawn = now
        self._write(run)

    def end(self, run):
        if run.start is None:
            return
        self._write(run)
        sys.stderr.write("\n")
        sys.stderr.flush()

    def _write(self, run):
        text = run._progress_text()[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)


def counted(batches, rows, what, progress):
    """Yields the batches and shows how many of so many rows have passed."""
    from ._parts import rows_of

    shown = _is_seen() if progress is None else progress
    done, drawn = 0, 0.0
    for batch in batches:
        yield batch
        done += rows_of(batch)
        now = time.monotonic()
        if shown and (now - drawn >= _EVERY or done == rows):
            drawn = now
            sys.stderr.write(f"\r{what} {done}/{rows}")
            sys.stderr.flush()
    if shown:
        sys.stderr.write("\n")
        sys.stderr.flush()
