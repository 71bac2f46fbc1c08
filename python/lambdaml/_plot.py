"""Pictures of a run, by matplotlib."""


def plot(run, axes=None):
    """Curves of the metrics, and the time and the cost of the epochs."""
    import matplotlib.pyplot as pyplot

    if axes is None:
        figure, axes = pyplot.subplots(1, 3, figsize=(15, 4), constrained_layout=True)
    else:
        figure = axes[0].figure
    curves, times, cost = axes
    epochs = [each["epoch"] for each in run.epochs]

    names = [name for name in (run.epochs[-1] if run.epochs else {}) if name.endswith("loss")]
    for name in names or ["inertia", "objective"]:
        values = [each.get(name) for each in run.epochs]
        if any(value is not None for value in values):
            curves.plot(epochs, values, label=name.replace("_", " "))
    curves.set(xlabel="epoch", title="losses")
    if curves.lines:
        curves.legend()

    computing = [each.get("compute_s", 0.0) for each in run.epochs]
    merging = [each.get("comm_s", 0.0) for each in run.epochs]
    times.bar(epochs, computing, label="computing")
    times.bar(epochs, merging, bottom=computing, label="merging")
    times.set(xlabel="epoch", ylabel="s", title="time of worker 0")
    if epochs:
        times.legend()

    parts = (run.summary or {}).get("cost", {})
    shown = {name.replace("_usd", ""): value for name, value in parts.items() if name.endswith("_usd")}
    cost.barh(list(shown), list(shown.values()))
    cost.set(xlabel="dollars", title="cost" if run.cost_usd is None else f"cost: ${run.cost_usd:.2g}")
    return figure
