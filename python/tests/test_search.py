"""tune()."""

import os
import time

import numpy
import pytest

import lambdaml
from test_train import rows, workers_of_this_process


def test_a_search_finds_the_best_of_a_grid():
    X, y = rows(600)
    search = lambdaml.tune(
        {"workers": 1, "valid_ratio": 0.3, "optim": "grad_avg", "epochs": 3, "batch_size": 50},
        {"lr": [1e-6, 0.3]},
        data=(X, y),
        strategy="grid",
        concurrency=2,
    )
    assert search.status == "done"
    assert search.best == {"lr": 0.3}
    trials = search.trials
    assert list(trials.index) == [0, 1] and list(trials["lr"]) == [1e-6, 0.3]
    best = trials.loc[trials["lr"] == 0.3, search.metric].iloc[0]
    assert best == search.best_value
    assert (search.model.predict(X) == y).mean() > 0.8
    assert search.cost_usd > 0 and "2 trials" in repr(search)
    assert sorted(os.listdir(search.folder))[:2] == ["best.yaml", "model.safetensors"]
    # The best job, with data that are no longer where they were saved.
    best = lambdaml.train(search.best_job, data=(X, y))
    assert best.model["weight"].tobytes() == search.model["weight"].tobytes()
    # What was saved of the data is gone.
    assert not os.path.exists(search._saved._folder.path)


def test_a_search_of_a_file_is_that_of_the_command(higgs):
    with open("job.yaml", "w") as file:
        file.write(
            f"data: {higgs}\nepochs: 2\nworkers: 1\ntune:\n  strategy: random\n  trials: 3\n  space:\n"
            "    l2: {log_uniform: [1e-6, 1]}\n"
        )
    search = lambdaml.tune("job.yaml", seed=3, output="mine")
    assert search.folder == os.path.abspath("mine") and len(search.trials) == 3
    again = lambdaml.tune("job.yaml", seed=3)
    numpy.testing.assert_array_equal(search.trials["l2"], again.trials["l2"])
    best = lambdaml.train(search.best_job)
    assert best.model["weight"].tobytes() == search.model["weight"].tobytes()


def test_a_stopped_search_goes_on(capsys):
    search = lambdaml.tune(
        {"workers": 1, "optim": "grad_avg", "epochs": 300, "batch_size": 10},
        {"lr": [0.01, 0.02, 0.04]},
        data=rows(3000),
        concurrency=1,
        start=True,
    )
    with pytest.raises(lambdaml.Unavailable, match="still running; stop it first"):
        search.resume()
    while search.best is None:  # without wait() or status
        time.sleep(0.01)
    assert search.status == "running" and search.best in ({"lr": 0.01}, {"lr": 0.02}, {"lr": 0.04})
    assert search.folder is not None and len(search.trials) >= 1 and "with {'lr'" in repr(search)
    # Which takes nothing from the one that runs.
    with pytest.raises(lambdaml.Unavailable, match="still running; stop it first"):
        search.resume()
    assert os.path.exists(search._saved._folder.path) and search.status == "running"
    search.stop()
    assert search.status == "stopped" and workers_of_this_process() == []
    assert os.path.exists(search._saved._folder.path)
    # The best until now; there is no model yet.
    trials = search.trials
    assert trials.loc[trials["lr"] == search.best["lr"], search.metric].iloc[0] == search.best_value
    assert "running" not in set(trials["state"]) and search.best_job is None
    with pytest.raises(ValueError, match="the search is stopped: it has no model yet"):
        search.model
    with pytest.raises(ValueError, match="but for budget, deadline, metrics_port and dashboard, not trials$"):
        search.resume(trials=9)
    again = search.resume(start=True)
    again.wait(0)
    again.stop()
    assert again.status == "stopped" and again.folder == search.folder
    capsys.readouterr()
    done = again.resume(progress=True)
    assert done.status == "done" and len(done.trials) == 3
    assert "trials 3/3" in capsys.readouterr().err


def test_an_error_says_how_the_search_goes_on(monkeypatch):
    """By the command, which finds data in files; else by the object, which only start=True leaves."""
    wait = lambdaml.Search.wait

    def interrupted(search):
        while search.folder is None:
            time.sleep(0.01)
        search._job.cancel()
        return wait(search)

    monkeypatch.setattr(lambdaml.Search, "wait", interrupted)
    memory = rows()
    lambdaml.Dataset(*memory).save("set", parts=2)
    job = {"workers": 1, "optim": "grad_avg", "epochs": 100_000, "batch_size": 10}
    for data, start, said in (
        ("set", False, r"; continue with: lambdaml tune --resume \S+$"),
        ("set", True, r"; continue with: lambdaml tune --resume \S+$"),
        (memory, False, "; start the search with start=True to be able to resume it$"),
        (memory, True, r"; continue with: search\.resume\(\)$"),
    ):
        with pytest.raises(lambdaml.Cancelled, match=said):
            lambdaml.tune(job, {"lr": [0.01, 0.02]}, data=data, concurrency=1, start=start).wait()


def test_bad_searches_are_value_errors(higgs):
    for arguments, text in (
        ({"data": higgs}, "needs a space"),
        ({"data": higgs, "space": {"lrr": [1]}}, "did you mean 'lr'"),
        ({"data": higgs, "space": {"lr": 3}}, "must be a list of values or a range"),
        ({"data": higgs, "space": {"epochs": [2]}, "strategie": "grid"}, "did you mean"),
        ({"data": higgs, "space": {"epochs": [2]}, "strategy": "gird"}, "did you mean 'grid'"),
        ({"job": "job.yaml", "space": {"epochs": [2]}}, "not both"),
    ):
        with pytest.raises(ValueError, match=text):
            lambdaml.tune(**arguments)
    with pytest.raises(lambdaml.NotFound):
        lambdaml.tune("absent.yaml")
    with pytest.raises(lambdaml.NotFound):
        lambdaml.tune(data="absent.csv", space={"epochs": [2, 3]})
    assert not os.path.exists("runs") or not os.listdir("runs")
