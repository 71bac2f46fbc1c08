"""Searches of hyper-parameters: many jobs that differ in some options."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from . import _checks, _lambdaml, _options
from ._dataset import Dataset, Stream
from ._errors import Cancelled, Error, InvalidArgument, LimitReached, Unavailable, suggestion
from ._job import Fresh, Work
from ._model import Model
from ._progress import bar, display_of
from ._run import _place
from ._temporary import Folder
from ._types import Place, Rows


# Options of jobs that show how a search goes.
_SHOWN = ("metrics_port", "dashboard")


def tune(
    job: Union[Mapping[str, Any], Place, None] = None,
    space: Optional[Mapping[str, Any]] = None,
    *,
    data: Union[Place, Sequence[Place], Dataset, Stream, Rows, None] = None,
    test_data: Union[Place, Sequence[Place], Dataset, Stream, Rows, None] = None,
    start: bool = False,
    progress: Optional[bool] = None,
    options: Optional[Mapping[str, Any]] = None,
    **settings: Any,
) -> Search:
    """Searches hyper-parameters by many jobs, as ``lambdaml tune`` does.

    Parameters
    ----------
    job : dict, str or path, optional
        Options that all trials share, or a job file, which may have the section ``tune``.
    space : dict, optional
        What is searched: by option, a list of values, or ``{"log_uniform": [1e-4, 10]}``, ``{"uniform": …}``,
        ``{"int": …}``, ``{"choice": …}`` (``docs/how-to/tune.md``).
    data, test_data : str, path, Dataset, array, DataFrame or tuple, optional
        As of :func:`train`. Data in memory are saved for the time of the search.
    start : bool
        Return at once; ``search.wait()`` waits for the end.
    progress : bool, optional
        Whether to show a bar of progress; by default in terminals and notebooks.
    options : dict, optional
        Options of the jobs, where a setting has the same name: ``{"seed": 2}``.
    **settings
        Settings of the search (``strategy``, ``trials``, ``concurrency``, ``metric``, ``budget`` …); others are
        options of the jobs.

    Returns
    -------
    Search

    Raises
    ------
    lambdaml.Error
        As of :func:`train`.

    Examples
    --------
    >>> search = lambdaml.tune(data="higgs.libsvm", space={"l2": {"log_uniform": [1e-6, 1]}})  # doctest: +SKIP
    >>> search.best, search.model                                                              # doctest: +SKIP
    """
    for name, value in (("space", space), ("options", options)):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"{name} must be a dict, not {type(value).__name__}")
    file, text = "", None
    known = set(_lambdaml.search_settings())
    of_jobs = dict(options or {})
    of_jobs.update({name: value for name, value in settings.items() if name not in known})
    settings = {name: value for name, value in settings.items() if name in known}
    if job is None or isinstance(job, Mapping):
        job = dict(job or {})
        data = job.pop("data", None) if data is None else data
        test_data = job.pop("test_data", None) if test_data is None else test_data
        section = dict(job.pop("tune", {}))
        if space is not None:
            section["space"] = {name: _values(name, values) for name, values in space.items()}
        if not section.get("space"):
            raise InvalidArgument("tune() needs a space, which says what to search: space={'l2': [0.01, 0.1, 1]}")
        text = _options.job_text({**job, "tune": section})
    else:
        file = _checks.job_file(job)
        if space is not None:
            raise InvalidArgument("tune() takes the space of the job file or an argument, not both")
    saved = _Saved()
    try:
        of_jobs["data"] = saved.place(data, "data")
        of_jobs["test_data"] = saved.place(test_data, "test")
        search = Search(
            _lambdaml.tune(file, text, _options.pairs(of_jobs), _options.pairs(settings)),
            progress=progress,
            saved=saved,
            is_kept=start,
        )
        return search if start else search.wait()
    except BaseException as error:
        saved.remove()
        _name_the_nearest(error, of_jobs, known)
        raise


def _name_the_nearest(error: BaseException, options: Mapping[str, Any], settings: set[str]) -> None:
    """The engine, which takes what is no setting for a job's option, does not know the settings' names."""
    if not isinstance(error, InvalidArgument) or "unknown option" not in str(error) or "did you mean" in str(error):
        return
    for name in options:
        near = suggestion(name, settings)
        if str(error).startswith(name + ":") and near:
            raise InvalidArgument(f"{name}: unknown option or setting{near}") from None


def _values(name: str, values: Any) -> Any:
    if isinstance(values, Mapping):
        return values
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidArgument(f"space: '{name}' must be a list of values or a range such as {{'uniform': [0, 1]}}")
    return {"choice": [value.item() if hasattr(value, "item") else value for value in values]}


class _Saved:
    """Data of memory in files, for the time of a search."""

    def __init__(self) -> None:
        self._folder: Optional[Folder] = None

    def place(self, data: Any, name: str) -> Any:
        dataset, place = _place(data, "")
        if dataset is None:
            return place
        if self._folder is None:
            self._folder = Folder("search-")
        return dataset.save(os.path.join(self._folder.path, name))

    @property
    def has_any(self) -> bool:
        return self._folder is not None

    def remove(self) -> None:
        if self._folder is not None:
            self._folder.remove()


class Search(Work):
    """A search, while it runs and afterwards.

    Attributes
    ----------
    folder : str or None
        Where its results are: ``trials.csv``, ``best.yaml``, ``model.safetensors``.
    metric : str
        By which trials are compared.
    summary : dict or None
        The results of a search that is over (``docs/how-to/tune.md``).
    limit : str
        What ended it before all trials were done, e.g. its budget; else empty.
    urls : dict
        While it runs: where ``"metrics"`` (by ``metrics_port=``) and the ``"dashboard"`` (by ``dashboard=True``) are.
    """

    start: Fresh[Optional[dict[str, Any]]] = Fresh()
    folder: Fresh[Optional[str]] = Fresh()
    metric: Fresh[Optional[str]] = Fresh()
    summary: Fresh[Optional[dict[str, Any]]] = Fresh()
    limit: Fresh[str] = Fresh()
    _trials: Fresh[list[dict[str, Any]]] = Fresh()
    _best: Fresh[Optional[dict[str, Any]]] = Fresh()

    def __init__(
        self,
        job: _lambdaml.Job,
        *,
        progress: Optional[bool] = None,
        saved: Optional[_Saved] = None,
        folder: Optional[str] = None,
        is_kept: bool = True,
    ) -> None:
        super().__init__(job)
        self._is_kept = is_kept  # by the user, also after an error
        self._display = display_of(progress)
        self._saved = saved or _Saved()
        self._trials = []
        self._best = None
        self._expected = 0
        self._model: Optional[Model] = None
        self.start = None
        self.folder = folder
        self.metric = None
        self.summary = None
        self.limit = ""

    @property
    def status(self) -> str:
        """``"running"``, ``"done"``, ``"stopped"`` or ``"failed"``."""
        if self._is_running():
            return "running"
        if self._error is not None and not isinstance(self._error, (Cancelled, LimitReached)):
            return "failed"
        return "done" if self.summary is not None and not self.limit else "stopped"

    @property
    def trials(self) -> Any:
        """The trials: a DataFrame where pandas is there, else a list of dicts."""
        rows = []
        for trial in self._trials:
            trial = dict(trial)
            options = trial.pop("options")
            value = trial.pop("value")
            rows.append({"trial": trial.pop("trial"), **options, self.metric or "value": value, **trial})
        try:
            import pandas
        except ImportError:
            return rows
        return pandas.DataFrame(rows).set_index("trial") if rows else pandas.DataFrame()

    @property
    def best(self) -> Optional[dict[str, Any]]:
        """The searched options of the best trial, by name, of those until now; None before one has a value."""
        return None if self._best is None else self._best["options"]

    @property
    def best_value(self) -> Optional[float]:
        """The metric of the best trial until now."""
        return None if self._best is None else self._best["value"]

    @property
    def best_job(self) -> Optional[str]:
        """The job file of the best trial, for :func:`lambdaml.train`; None before the search is over.

        Data that were in memory are given again: ``lambdaml.train(search.best_job, data=(X, y))``.
        """
        return None if self.summary is None else self.summary.get("best_yaml")

    @property
    def model(self) -> Model:
        """The model of the best trial, once the search is over."""
        if self._model is None:
            if self.summary is None or self.best is None or self.folder is None:
                raise InvalidArgument(f"the search is {self.status}: it has no model yet")
            self._model = Model.load(self.folder)
        return self._model

    @property
    def cost_usd(self) -> Optional[float]:
        """What the search has cost, or would have cost at a cloud's prices, in dollars."""
        return None if self.summary is None else self.summary.get("search_cost_usd")

    def resume(self, *, start: bool = False, progress: Optional[bool] = None, **settings: Any) -> Search:
        """Continues a search that was stopped or that a limit ended.

        Parameters
        ----------
        start : bool
            Return at once; ``search.wait()`` waits for the end.
        progress : bool, optional
            Whether to show a bar of progress, as for :func:`tune`.
        **settings
            ``budget`` and ``deadline``, if they change; ``metrics_port`` and ``dashboard``.

        Returns
        -------
        Search
            Another one, of the same folder.
        """
        *some, last = changeable = ("budget", "deadline", *_SHOWN)
        for name in settings:
            if name not in changeable:
                raise InvalidArgument(
                    f"a search is resumed with its own settings, but for {', '.join(some)} and {last}, not {name}"
                )
        if self.folder is None and self._is_running():
            raise Unavailable("the search is still running; stop it first")
        if self.folder is None:
            raise InvalidArgument("the search has not begun: start it again")
        shown = {name: settings.pop(name) for name in _SHOWN if name in settings}
        job = _lambdaml.resume_search(self.folder, _options.pairs(shown), _options.pairs(settings))
        search = Search(job, progress=progress, saved=self._saved, folder=self.folder)
        return search if start else search.wait()

    def _take_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "start":
            self.start = event
            self.folder, self.metric = event["folder"], event["metric"]
        elif event["event"] == "trials":
            self._trials, self._expected = event["trials"], event["trials_expected"]
            self._best = next((trial for trial in self._trials if trial["trial"] == event.get("best")), None)

    def _take_end(self) -> None:
        assert self._job is not None
        try:
            end = json.loads(self._job.result())
            self.summary = end["summary"]
            self._take_summary(self.summary)
            self.limit = "" if end["over"] else end["limit"]
            self._over = True
        except Cancelled as error:
            self._over = True
            if not self._stopped:
                self._error = self._said_here(error)
        except Error as error:
            self._error = self._said_here(error)
        for trial in self._trials:
            if trial["state"] == "running":
                trial["state"] = "stopped"
        # A search that can go on needs its data.
        if self.status == "done" or self.folder is None or not os.path.isdir(self.folder):
            self._saved.remove()

    def _said_here(self, error: Error) -> Error:
        """The error, with the way to continue a search of data in memory, which the command does not have."""
        said, mark, _ = error.message.partition("continue with: lambdaml tune --resume ")
        if not mark or not self._saved.has_any:
            return error
        if self._is_kept:
            return type(error)(said + "continue with: search.resume()", error.causes)
        return type(error)(said + "start the search with start=True to be able to resume it", error.causes)

    def _take_summary(self, summary: dict[str, Any]) -> None:
        """Takes in the trials, which are all there, and the best one."""
        assert self.metric is not None
        values = {trial["trial"]: trial for trial in self._trials}
        for trial in summary.get("trials", ()):
            values.setdefault(trial["trial"], {"options": {}, "value": None}).update(
                {name: trial[name] for name in ("trial", "state") if name in trial}
            )
            number = trial["trial"]
            values[number]["value"] = trial.get(self.metric, values[number].get("value"))
            values[number]["options"] = trial.get("options", values[number].get("options"))
        self._trials = [values[number] for number in sorted(values)]
        self._best = None
        if "best_trial" in summary:
            self._best = {"options": summary["options"], "value": summary.get(self.metric)}

    def _progress_text(self) -> str:
        done = sum(trial["state"] in ("done", "stopped", "failed") for trial in self._trials)
        parts = [f"{bar(done / (self._expected or done or 1))} trials {done}/{self._expected or '?'}"]
        known = [trial["value"] for trial in self._trials if trial["value"] is not None]
        if known:
            parts.append(f"{self.metric} {min(known):.4g} … {max(known):.4g}")
        return "  ".join(parts)

    def __repr__(self) -> str:
        parts = [f"lambdaml.Search: {self.status}", f"{len(self._trials)} trials"]
        if self.best is not None:
            parts.append(f"{self.metric} {self.best_value:.6g} with {self.best}")
        return ", ".join(parts)
