"""Jobs: training, waiting for it, and what it leaves."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _checks, _lambdaml, _options
from ._dataset import Dataset, Stream
from ._errors import Cancelled, Error, InvalidArgument, Unavailable, shown, warn, with_arguments
from ._job import Fresh, Work
from ._model import Model
from ._progress import bar, display_of
from ._types import Callback, Callbacks, Place, Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# A command that continues a run, at the end of a message.
_COMMAND = re.compile(r"lambdaml resume (\S.*?)(?: --([a-z][a-z-]*) (\d+))?$")


class ConvergenceWarning(UserWarning):
    """A job has ended well and may have learned badly."""


def train(
    job: Union[Mapping[str, Any], Place, None] = None,
    *,
    data: Union[Place, Sequence[Place], Dataset, Stream, Rows, None] = None,
    test_data: Union[Place, Sequence[Place], Dataset, Stream, Rows, None] = None,
    start: bool = False,
    callbacks: Callbacks = (),
    progress: Optional[bool] = None,
    **options: Any,
) -> Run:
    """Trains a model with function workers, as ``lambdaml train`` does.

    Parameters
    ----------
    job : dict, str or path, optional
        Options by name, or a job file (YAML or JSON).
    data, test_data : str, path, Dataset, Stream, array, DataFrame or tuple, optional
        Where the data are, or the data themselves: see :class:`Dataset`. A tuple is ``(X, y)`` or
        ``(X, y, weights)``.
    start : bool
        Return at once; ``run.wait()`` waits for the end.
    callbacks : callable or sequence of callables
        Called with the metrics of each epoch, a dict, in order, by the thread that waits: with ``start`` by
        ``run.wait()``, at its beginning for the epochs that are done. The job is stopped if one returns true; it can be
        resumed. An epoch that ends while a callback runs is told of afterwards.
    progress : bool, optional
        Whether to show a bar of progress; by default where there is somebody to see it: in a terminal
        and in a notebook.
    **options
        Options of the job (``docs/reference/options.md``), which take precedence over those of ``job``.

    Returns
    -------
    Run
        The run; its ``model`` and ``metrics`` are there when it has ended.

    Raises
    ------
    lambdaml.Error
        A subclass for each code, e.g. :class:`InvalidArgument`, which is a ``ValueError``.
    KeyboardInterrupt
        After Ctrl-C: the job was stopped and can be resumed.

    Examples
    --------
    >>> run = lambdaml.train(data="higgs.libsvm", model="lr", workers=4)      # doctest: +SKIP
    >>> run.metrics.tail(1)                                                   # doctest: +SKIP
    """
    called = _callbacks_of(callbacks)
    file, text = "", None
    if isinstance(job, Mapping):
        job = dict(job)
        data = job.pop("data", None) if data is None else data
        test_data = job.pop("test_data", None) if test_data is None else test_data
        text = _options.job_text(job) if job else None
    elif job is not None:
        file = _checks.job_file(job)
    data, options["data"] = _place(data, "memory://data")
    test_data, options["test_data"] = _place(test_data, "memory://test")
    if data is not None and test_data is not None:
        test_data._require_columns(data.features, data.feature_names, "the test data", "the training data")
    engine_job = _lambdaml.train(
        file,
        text,
        _options.pairs(options),
        data=None if data is None else data._engine,
        test=None if test_data is None else test_data._engine,
    )
    run = Run(engine_job, data=data, test_data=test_data, callbacks=called, progress=progress)
    return run if start else run.wait()


def resume(
    run: Union[Place, Run],
    *,
    data: Union[Dataset, Stream, Rows, None] = None,
    test_data: Union[Dataset, Stream, Rows, None] = None,
    start: bool = False,
    callbacks: Callbacks = (),
    progress: Optional[bool] = None,
    **options: Any,
) -> Run:
    """Continues an interrupted run from its last checkpoint, as ``lambdaml resume`` does.

    Parameters
    ----------
    run : str, path or Run
        The run's folder.
    data, test_data : Dataset or data, optional
        The same data again, for a run whose data were in memory.
    start : bool
        Return at once; ``run.wait()`` waits for the end.
    callbacks : callable or sequence of callables
        Called with the metrics of each epoch, as for :func:`train`.
    progress : bool, optional
        Whether to show a bar of progress.
    **options
        Options that may be changed when a run is resumed: where and how it runs, and ``epochs``.

    Returns
    -------
    Run
    """
    if not isinstance(run, Run):
        run = Run(None, folder=os.fspath(run))
    return run.resume(
        data=data, test_data=test_data, start=start, callbacks=callbacks, progress=progress, **options
    )


def _callbacks_of(callbacks: Callbacks) -> list[Callback]:
    listed = [callbacks] if callable(callbacks) else callbacks
    if not isinstance(listed, Sequence) or not all(callable(each) for each in listed):
        raise TypeError(f"callbacks must be a function or a list of functions, not {shown(callbacks)}")
    return list(listed)


def _place(data: Any, name: str) -> tuple[Optional[Dataset], Any]:
    """(Dataset, option) of data that are in memory, (None, place) of others."""
    if data is None or isinstance(data, (str, os.PathLike)):
        return None, data
    if isinstance(data, list) and data and all(isinstance(each, (str, os.PathLike)) for each in data):
        return None, data
    if isinstance(data, Stream):
        data = data.load()
    elif isinstance(data, tuple):
        if len(data) not in (2, 3):
            raise InvalidArgument(f"data must be rows X, or a tuple (X, y) or (X, y, weights), not one of {len(data)}")
        data = Dataset(data[0], data[1], weights=data[2] if len(data) == 3 else None)
    elif not isinstance(data, Dataset):
        data = Dataset(data)
    if data.rows == 0:
        raise InvalidArgument("the data have no rows")
    return data, name


class Run(Work):
    """A job, while it runs and afterwards.

    Attributes
    ----------
    job_id : str or None
        Known once the workers are about to start.
    folder : str or None
        Where the model, the metrics and the logs are; known with the job's id, and None if a job has left nothing.
    epochs : list of dict
        The metrics of the epochs that are done.
    summary : dict or None
        The results of a job that has ended well (``docs/reference/metrics.md``).
    urls : dict
        While it runs: where ``"metrics"`` (by ``metrics_port=``) and the ``"dashboard"`` (by ``dashboard=True``) are.
    """

    job_id: Fresh[Optional[str]] = Fresh()
    folder: Fresh[Optional[str]] = Fresh()
    start: Fresh[Optional[dict[str, Any]]] = Fresh()
    tick: Fresh[Optional[dict[str, Any]]] = Fresh()
    epochs: Fresh[list[dict[str, Any]]] = Fresh()
    summary: Fresh[Optional[dict[str, Any]]] = Fresh()
    failures: Fresh[list[dict[str, Any]]] = Fresh()

    def __init__(
        self,
        job: Optional[_lambdaml.Job],
        *,
        data: Optional[Dataset] = None,
        test_data: Optional[Dataset] = None,
        callbacks: Sequence[Callback] = (),
        progress: Optional[bool] = None,
        folder: Optional[str] = None,
        warns: bool = True,
    ) -> None:
        super().__init__(job)
        self._data, self._test_data = data, test_data
        self._callbacks = list(callbacks)
        self._display = display_of(progress)
        self._warns = warns
        self._model: Optional[Model] = None
        self.job_id = None
        self.folder = folder
        self.start = None
        self.tick = None
        self.epochs = []
        self.summary = None
        self.failures = []

    @classmethod
    def open(cls, folder: Place) -> Run:
        """The run of a folder that an earlier job left.

        Parameters
        ----------
        folder : str or path
            It has the model, the metrics and the logs.

        Returns
        -------
        Run
        """
        folder = os.fspath(folder)
        run = cls(None, folder=folder)
        status = json.loads(_lambdaml.status(folder))
        run.job_id = status["job_id"]
        run.summary = status.get("summary")
        run.epochs = run._kept("metrics.jsonl")
        return run

    def _kept(self, name: str) -> list[dict[str, Any]]:
        """The objects of a file of lines in the folder; none if there is no such file."""
        path = os.path.join(self.folder or "", name)
        if self.folder is None or not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]

    def _known_folder(self) -> str:
        if self.folder is None and self._is_running():
            raise Unavailable("the run is still running; stop it first")
        if self.folder is None:
            raise InvalidArgument(
                "the run was stopped before its first checkpoint, so nothing is left to continue with: "
                "start the job again"
            )
        return self.folder

    # While it runs.

    def stop(self) -> Run:
        """Stops the job, which can be resumed, and waits for its end. Callbacks are called no more.

        Returns
        -------
        Run
            This object.
        """
        if self._job is None:
            _lambdaml.stop(self._known_folder())
            return self
        return super().stop()

    def resume(
        self,
        *,
        data: Union[Dataset, Stream, Rows, None] = None,
        test_data: Union[Dataset, Stream, Rows, None] = None,
        start: bool = False,
        callbacks: Callbacks = (),
        progress: Optional[bool] = None,
        **options: Any,
    ) -> Run:
        """Continues the run from its last checkpoint if it was stopped.

        Parameters
        ----------
        data, test_data : Dataset or data, optional
            As of :func:`resume`; by default those that this object was made with.
        start : bool
            Return at once; ``run.wait()`` waits for the end.
        callbacks : callable or sequence of callables
            Called with the metrics of each epoch, as for :func:`train`.
        progress : bool, optional
            Whether to show a bar of progress.
        **options
            Options of the job that may be changed, as of :func:`resume`.

        Returns
        -------
        Run
            Another one, of the same folder.
        """
        called = _callbacks_of(callbacks)
        folder = self._known_folder()
        data, place = _place(self._data if data is None else data, "")
        test_data, test_place = _place(self._test_data if test_data is None else test_data, "")
        if place or test_place:
            raise InvalidArgument("a run is resumed with its own data: give those that are in memory, or none")
        for name, given in (("data", data), ("test_data", test_data)):
            if given is None and _was_in_memory(folder, name):
                raise InvalidArgument(f"the {name} of the run were in memory: give the same again, by {name}=")
        engine_job = _lambdaml.resume(
            folder,
            _options.pairs(options),
            data=None if data is None else data._engine,
            test=None if test_data is None else test_data._engine,
        )
        out = Run(engine_job, data=data, test_data=test_data, callbacks=called, progress=progress, folder=folder)
        return out if start else out.wait()

    @property
    def status(self) -> str:
        """``"running"``, ``"done"``, ``"paused"``, ``"stopped"`` or ``"failed"``."""
        if self._job is None:
            return json.loads(_lambdaml.status(self._known_folder()))["state"]
        if self._is_running():
            return "running"
        if self._error is not None:
            return "stopped" if isinstance(self._error, Cancelled) else "failed"
        if self.summary is None:
            return "stopped"
        return "paused" if self.summary.get("ended_by") == "stop_after" else "done"

    def _take_end(self) -> None:
        assert self._job is not None
        try:
            self.summary = json.loads(self._job.result())
            self._over = True
        except Cancelled as error:
            self._over = True
            if not self._stopped:
                self._error = self._said_here(error)
        except Error as error:
            self._error = self._said_here(error)
        self._find_folder()
        if self._error is None:
            # Those of before a run was resumed, too.
            kept = self._kept("metrics.jsonl")
            if len(kept) >= len(self.epochs):
                self.epochs = kept
        if self.summary is not None:
            self.job_id = self.job_id or self.summary.get("job_id")

    def _warn(self) -> None:
        for line in (self.summary or {}).get("warnings", ()) if self._warns else ():
            warn(with_arguments(line), ConvergenceWarning)

    def _said_here(self, error: Error) -> Error:
        """The error, with the call that continues the run instead of the command."""

        def call(found: re.Match[str]) -> str:
            option = f", {found[2].replace('-', '_')}={found[3]}" if found[2] else ""
            return self._call_that_resumes(found[1], option)

        return type(error)(_COMMAND.sub(call, error.message), error.causes)

    def _call_that_resumes(self, folder: str, options: str) -> str:
        data = "".join(
            f", {name}=…" for name, given in (("data", self._data), ("test_data", self._test_data)) if given is not None
        )
        return f"lambdaml.resume({folder!r}{data}{options})"

    def _take_event(self, event: dict[str, Any]) -> None:
        kind = event.pop("event")
        if kind == "start":
            self.start = event
            self.job_id = event["job_id"]
            self.folder = event["folder"]
        elif kind == "epoch":
            metrics = {"epoch": event["epoch"], **event["metrics"]}
            self.epochs.append(metrics)
            if self._callbacks:
                self._uncalled.append(metrics)
        elif kind == "tick":
            self.tick = event
        elif kind == "worker_failed":
            self.failures.append(event)

    def _call(self, metrics: dict[str, Any]) -> None:
        assert self._job is not None
        # All are called, so that one that stops the job takes nothing from the others.
        if any([callback(dict(metrics)) for callback in self._callbacks]):
            self._stopped = True
            self._job.cancel()

    def _find_folder(self) -> None:
        if self.summary is not None:
            self.folder = os.path.dirname(self.summary["model_path"])
        elif self.folder is not None and not os.path.isdir(self.folder):
            self.folder = None

    def _progress_text(self) -> str:
        assert self.start is not None
        epochs = self.start["epochs"]
        done = self.epochs[-1]["epoch"] if self.epochs else 0
        within = 0.0
        if self.tick and self.tick["rounds"] and self.tick["epoch"] == done + 1:
            within = min(0.99, self.tick["round"] / self.tick["rounds"])
        parts = [f"{bar((done + within) / epochs)} epoch {done}/{epochs}"]
        if self.epochs:
            for name in ("train_loss", "valid_loss", "valid_accuracy", "test_loss", "inertia", "objective"):
                if name in self.epochs[-1]:
                    parts.append(f"{name} {self.epochs[-1][name]:.4g}")
        if self.tick:
            parts.append(f"workers {self.tick['workers_alive']}/{self.start['workers']}")
        return "  ".join(parts)

    # What it leaves.

    @property
    def metrics(self) -> Any:
        """The metrics of the epochs: a DataFrame where pandas is there, else a list of dicts."""
        try:
            import pandas
        except ImportError:
            return list(self.epochs)
        return pandas.DataFrame(self.epochs).set_index("epoch") if self.epochs else pandas.DataFrame()

    @property
    def model(self) -> Model:
        """The trained :class:`Model`."""
        if self._model is None:
            if self.folder is None:
                raise InvalidArgument(f"the job is {self.status}: it has no model yet")
            self._model = Model.load(self.folder)
        return self._model

    @property
    def cost_usd(self) -> Optional[float]:
        """What the job has cost, or would have cost at a cloud's prices, in dollars."""
        return None if self.summary is None else self.summary["cost_usd"]

    def logs(self, worker: Optional[int] = None) -> str:
        """The log of one worker or, one after the other, of all.

        Parameters
        ----------
        worker : int, optional
            Its number, from 0.

        Returns
        -------
        str
        """
        if self.folder is None:
            raise InvalidArgument("the job has left no logs")
        folder, workers = self.folder, _lambdaml.workers(self.folder)
        if worker is not None:
            return _lambdaml.log(folder, _checks.whole("worker", worker, 0, workers - 1))
        return "".join(_lambdaml.log(folder, w) for w in range(workers))

    def plot(self, axes: Optional[Sequence[Any]] = None) -> Figure:
        """Draws curves of the metrics, when each worker did what, and the cost, by matplotlib.

        Parameters
        ----------
        axes : sequence of three matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from ._plot import plot

        return plot(self, axes)

    def __repr__(self) -> str:
        parts = [f"lambdaml.Run {self.job_id or '(starting)'}: {self.status}"]
        if self.epochs:
            parts.append(f"{self.epochs[-1]['epoch']} epochs")
        if self.folder:
            parts.append(self.folder)
        return ", ".join(parts)

    def _repr_html_(self) -> str:
        from html import escape

        rows: dict[str, Any] = {"job": self.job_id, "state": self.status, "folder": self.folder}
        if self.epochs and not self.summary:
            last = dict(self.epochs[-1])
            rows["epochs"] = f"{last.pop('epoch')} of {self.start['epochs']}" if self.start else last.pop("epoch")
            rows.update(last)
        names = ("model", "optim", "workers", "epochs", "ended_by", "train_loss", "valid_loss", "test_loss")
        rows.update({name: self.summary[name] for name in names if self.summary and name in self.summary})
        if self.summary:
            rows["time"] = f"{self.summary['wall_s']:.3g} s"
            rows["cost"] = f"${self.summary['cost_usd']:.2g}"
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(_shown(value))}</td></tr>"
            for name, value in rows.items()
            if value is not None
        )
        return f"<table>{cells}</table>"


def _was_in_memory(folder: str, option: str) -> bool:
    """Whether the run's job had such data in memory."""
    path = os.path.join(folder, "job.yaml")
    if not os.path.exists(path):  # the engine says so
        return False
    with open(path, encoding="utf-8") as lines:
        return any(line.startswith(f'{option}: "memory://') for line in lines)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
