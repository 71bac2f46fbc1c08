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
        text = _text(run)[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)


def _text(run):
    epochs = run.start["epochs"]
    done = run.epochs[-1]["epoch"] if run.epochs else 0
    parts = [f"epoch {done}/{epochs}"]
    if run.tick and run.tick["rounds"] and run.tick["epoch"] == done + 1:
        parts[0] += f" +{min(99, 100 * run.tick['round'] // run.tick['rounds'])} %"
    if run.epochs:
        for name in ("train_loss", "valid_loss", "valid_accuracy", "test_loss", "inertia", "objective"):
            if name in run.epochs[-1]:
                parts.append(f"{name} {run.epochs[-1][name]:.4g}")
    if run.tick:
        parts.append(f"workers {run.tick['workers_alive']}/{run.start['workers']}")
    return "  ".join(parts)
