"""Work of the engine on a thread of its own, and the ways to wait for it."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Generic, Optional, TypeVar, Union, overload

from . import _checks, _lambdaml
from ._progress import tell_serving

# A wait for events is no longer than this, in s: meanwhile Python serves no signals.
SLICE = 0.05

_Self = TypeVar("_Self", bound="Work")
_Value = TypeVar("_Value")


def finish(job: _lambdaml.Job) -> Any:
    """Waits for the end of an engine's job and returns its result; an exception, Ctrl-C's too, stops it."""
    try:
        while not job.ended:
            job.wait(SLICE)
    except BaseException:
        job.cancel()
        while not job.ended:
            job.wait(SLICE)
        raise
    return json.loads(job.result())


class Fresh(Generic[_Value]):
    """An attribute of work that is up to date: whoever reads it takes in what the engine has reported."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_last_{name}"

    @overload
    def __get__(self, work: None, owner: type) -> Fresh[_Value]: ...

    @overload
    def __get__(self, work: Work, owner: type) -> _Value: ...

    def __get__(self, work: Optional[Work], owner: type) -> Union[Fresh[_Value], _Value]:
        if work is None:
            return self
        work._refresh()
        return getattr(work, self._name)

    def __set__(self, work: Work, value: _Value) -> None:
        setattr(work, self._name, value)


class Work:
    """What a run and a search have in common: both are done by the engine while others wait.

    A subclass has `_take_event(event)` and `_take_end()`, which sets `_over` or `_error`. Whoever asks for the state
    (attributes that are `Fresh`) takes in events, unless a thread does so already; callbacks are called by `wait()`
    alone, which finds what they are to be told in `_uncalled`.
    """

    _display: Any
    urls: Fresh[dict[str, str]] = Fresh()

    def __init__(self, job: Optional[_lambdaml.Job]) -> None:
        self._job = job
        self.urls = {}
        self._waiting = threading.RLock()
        self._is_taking = False  # what takes in events reads attributes, too
        self._error: Optional[Exception] = None
        self._stopped = False
        self._over = job is None
        self._uncalled: list[dict[str, Any]] = []

    def wait(self: _Self, timeout: Optional[float] = None) -> _Self:
        """Waits for the end and returns this object.

        Parameters
        ----------
        timeout : float, optional
            Seconds, after which the call returns though the work goes on.

        Returns
        -------
        Run or Search
            This object.

        Raises
        ------
        lambdaml.Error
            The work has failed.
        KeyboardInterrupt
            After Ctrl-C: the work was stopped.
        """
        if timeout is not None:
            timeout = _checks.number("timeout", timeout)
        if self._job is None:
            return self
        end = None if timeout is None else time.monotonic() + timeout
        with self._waiting:
            try:
                self._call_back()
                while not self._finished():
                    left = SLICE if end is None else max(0.0, min(SLICE, end - time.monotonic()))
                    self._take(self._job.wait(left), waits=True)
                    if left == 0 and not self._finished():
                        return self
            except BaseException:
                # An interrupt, or an error of a callback.
                self._end_job()
                raise
        if self._error is not None:
            raise self._error
        return self

    def stop(self: _Self) -> _Self:
        """Stops the work, which can be resumed, and waits for its end. Callbacks are called no more.

        Returns
        -------
        Run or Search
            This object.
        """
        assert self._job is not None
        self._stopped = True
        self._job.cancel()
        with self._waiting:
            while not self._finished():
                self._take(self._job.wait(SLICE))
            self._uncalled.clear()
        return self

    def _finished(self) -> bool:
        return self._over or self._error is not None

    def _is_running(self) -> bool:
        """Whether it runs still, as far as is known without waiting."""
        self._refresh()
        return self._job is not None and not self._finished()

    def _refresh(self) -> None:
        """Takes in what the engine has reported until now, unless that is being done."""
        if self._job is None or self._finished() or self._is_taking or not self._waiting.acquire(blocking=False):
            return
        try:
            if not self._finished():
                self._take(self._job.wait(0))
        finally:
            self._waiting.release()

    def _end_job(self) -> None:
        """Stops the work on the way out of an exception, which a second interrupt does not end."""
        self._uncalled.clear()
        if self._job is None or self._finished():
            return
        self._stopped = True
        self._job.cancel()
        while not self._job.ended:
            self._job.wait(SLICE)
        try:
            self._take([])
        except BaseException:  # the exception that is under way says more
            pass
        self._uncalled.clear()

    def _take(self, events: list[str], waits: bool = False) -> None:
        """Takes in what the engine reports, and the end.

        Where somebody waits, the callbacks are told of it before the end, and the bar of progress is drawn.
        """
        assert self._job is not None
        is_end = self._job.ended
        self._is_taking = True
        try:
            for text in [*events, *(self._job.wait(0) if is_end else ())]:
                event = json.loads(text)
                if event["event"] == "serving":
                    self.urls[event["what"]] = event["url"]
                    tell_serving(event["what"], event["url"])
                else:
                    self._take_event(event)
        finally:
            self._is_taking = False
        if waits:
            self._call_back()
        if self._finished():  # a callback has waited for the end
            return
        self._is_taking = True
        try:
            if is_end:
                self.urls = {}
                self._take_end()
            if waits:
                (self._display.end if is_end else self._display.draw)(self)
            elif is_end:
                self._display.close()
        finally:
            self._is_taking = False
        if is_end:
            self._warn()

    def _call_back(self) -> None:
        while self._uncalled:
            self._call(self._uncalled.pop(0))

    def _call(self, metrics: dict[str, Any]) -> None:
        raise NotImplementedError

    def _take_event(self, event: dict[str, Any]) -> None:
        raise NotImplementedError

    def _take_end(self) -> None:
        raise NotImplementedError

    def _warn(self) -> None:
        """Warns of poor results, which may throw, when all else is done."""
