"""Pictures of a run, by matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Optional

from ._errors import InvalidArgument

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ._run import Run

# What a worker does within a round, in this order, and before the first one.
_PHASES = {"checkpoint": "C4", "compute": "C0", "send": "C1", "wait": "0.85", "receive": "C2"}
_BEFORE = {"start": "0.6", "load": "C5"}


def plot(run: Run, axes: Optional[Sequence[Any]] = None) -> Figure:
    """Curves of the metrics, the timeline of the workers, and the cost."""
    import matplotlib.pyplot as pyplot

    if axes is None:
        figure, axes = pyplot.subplots(1, 3, figsize=(15, 4), constrained_layout=True)
    elif not hasattr(axes, "__len__") or len(axes) != 3:
        raise InvalidArgument("axes must be three: of the curves, the timeline and the cost")
    curves, timeline, cost = axes
    _draw_curves(run, curves)
    _draw_timeline(run._kept("workers.jsonl"), timeline)
    parts = (run.summary or {}).get("cost", {})
    shown = {name.replace("_usd", ""): value for name, value in parts.items() if name.endswith("_usd")}
    cost.barh(list(shown), list(shown.values()))
    cost.set(xlabel="dollars", title="cost" if run.cost_usd is None else f"cost: ${run.cost_usd:.2g}")
    return curves.figure


def _draw_curves(run: Run, curves: Any) -> None:
    epochs = [each["epoch"] for each in run.epochs]
    names = [name for name in (run.epochs[-1] if run.epochs else {}) if name.endswith("loss")]
    for name in names or ["inertia", "objective"]:
        values = [each.get(name) for each in run.epochs]
        if any(value is not None for value in values):
            curves.plot(epochs, values, label=name.replace("_", " "))
    curves.set(xlabel="epoch", title="losses")
    if curves.lines:
        curves.legend()


def _draw_timeline(reports: list[dict[str, Any]], axis: Any) -> None:
    """When each worker did what, in s since the first event was sent (docs/how-to/report.md, workers.jsonl)."""
    workers = [report for report in reports if "timeline" in report]
    sent = min((report["timeline"]["sent_ms"] for report in workers), default=0)
    for report in workers:
        bars: dict[str, list[tuple[float, float]]] = {}
        for phase, begin, length in _phases(report["timeline"], sent):
            bars.setdefault(phase, []).append((begin, length))
        for phase, spans in bars.items():
            axis.broken_barh(spans, (report["worker"] - 0.4, 0.8), facecolors={**_BEFORE, **_PHASES}[phase], label=phase)
    axis.set(xlabel="s", ylabel="worker", title="timeline of workers", yticks=[report["worker"] for report in workers])
    handles, names = axis.get_legend_handles_labels()
    if names:
        by_name = dict(zip(names, handles))
        order = [name for name in (*_BEFORE, *_PHASES) if name in by_name]
        axis.legend([by_name[name] for name in order], order, ncol=2, fontsize="small")


def _phases(timeline: dict[str, Any], sent_ms: float) -> Iterator[tuple[str, float, float]]:
    """(phase, begin, length) of all that a worker did, in s."""
    origin = timeline["origin_ms"] - sent_ms
    if origin > 0:
        yield "start", 0.0, origin / 1e3
    for invocation in timeline["invocations"]:
        yield "load", origin / 1e3 + invocation["began_us"] / 1e6, invocation["load_us"] / 1e6
    rounds = timeline["rounds"]
    for i, begin in enumerate(rounds["begin_us"]):
        at = origin / 1e3 + begin / 1e6
        for phase in _PHASES:
            length = rounds[f"{phase}_us"][i] / 1e6
            if length > 0:
                yield phase, at, length
            at += length
