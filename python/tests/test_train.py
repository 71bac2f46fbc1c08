"""train() and Run."""

import json
import os
import pathlib
import re
import signal
import threading
import time
import urllib.request

import matplotlib
import numpy
import pytest

import lambdaml


def rows(n=2000, d=6, seed=0):
    random = numpy.random.default_rng(seed)
    X = random.normal(size=(n, d)).astype(numpy.float32)
    return X, (X @ numpy.arange(1, d + 1) + random.normal(size=n) > 0).astype(int)


# Epochs of gradient steps that take long enough to be stopped.
ENDLESS = {"optim": "grad_avg", "lr": 0.01, "epochs": 1_000_000, "batch_size": 10, "workers": 2}


def workers_of_this_process():
    """The processes of workers that this process has started."""
    out = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
            if f"PPid:\t{os.getpid()}\n" in status and "lambdaml-worker" in (process / "comm").read_text():
                out.append(int(process.name))
        except OSError:
            pass
    return out


def test_a_file_is_trained_as_by_the_command(higgs):
    seen = []
    run = lambdaml.train(data=higgs, model="lr", workers=2, callbacks=lambda metrics: seen.append(metrics))
    assert run.status == "done"
    assert run.summary["ended_by"] == "converged"
    # Of scikit-learn on the same rows: docs/reference/optimizers.md.
    assert run.summary["train_loss"] == pytest.approx(0.6378, abs=2e-3)
    assert [each["epoch"] for each in seen] == list(range(1, run.summary["epochs"] + 1))
    assert list(run.metrics.index) == list(range(1, run.summary["epochs"] + 1))
    assert run.metrics["objective"].iloc[-1] < run.metrics["objective"].iloc[0]
    assert run.cost_usd > 0
    assert pathlib.Path(run.folder) == pathlib.Path("runs", run.job_id).absolute()
    assert "loaded 3500 rows" in run.logs(0) and "loaded 3500 rows" in run.logs(1)
    assert len(run.logs()) == len(run.logs(0)) + len(run.logs(1))
    assert run.model.n_features == 28
    assert run.job_id in run._repr_html_() and "done" in repr(run)
    again = lambdaml.Run.open(run.folder)
    assert again.status == "done"
    assert again.summary["train_loss"] == run.summary["train_loss"]
    assert len(again.epochs) == len(run.epochs)


def test_a_run_is_drawn(higgs):
    matplotlib.use("Agg")
    run = lambdaml.train(data=higgs, model="lr", workers=2, optim="grad_avg", epochs=3)
    curves, timeline, cost = run.plot().axes
    assert {len(line.get_xdata()) for line in curves.lines} == {3}
    # A row of bars for each worker, none beyond the job's time.
    rows = {round(sum(bars.get_paths()[0].get_extents().intervaly) / 2) for bars in timeline.collections}
    assert rows == {0, 1} and timeline.get_ylabel() == "worker"
    assert {"load", "compute", "wait"} <= {text.get_text() for text in timeline.get_legend().get_texts()}
    assert 0 < timeline.dataLim.x1 <= run.summary["wall_s"] + 1
    assert sum(bar.get_width() for bar in cost.patches) == pytest.approx(run.cost_usd, rel=1e-3)


def test_jobs_are_dicts_or_files(higgs):
    job = {"data": higgs, "epochs": numpy.int64(3), "l2": numpy.float32(0.5), "workers": 1}
    run = lambdaml.train(job, output=pathlib.Path("mine"))
    assert run.folder == str(pathlib.Path("mine").absolute())
    assert run.summary["epochs"] <= 3
    pathlib.Path("job.yaml").write_text(f"data: {higgs}\nepochs: 3\nl2: 0.5\nworkers: 4\n")
    by_file = lambdaml.train("job.yaml", workers=1)
    assert by_file.model["weight"].tobytes() == run.model["weight"].tobytes()
    assert by_file.model.options["l2"] == 0.5


@pytest.mark.parametrize("platform, channel", [("threads", "memory"), ("local", "file")])
def test_data_in_memory_give_the_model_of_a_file(platform, channel):
    X, y = rows()
    lines = (f"{label} " + " ".join(f"{i + 1}:{v:.9g}" for i, v in enumerate(row)) for label, row in zip(y, X))
    pathlib.Path("rows.libsvm").write_text("\n".join(lines) + "\n")
    options = {"workers": 2, "valid_ratio": 0, "platform": platform, "channel": channel}
    by_file = lambdaml.train(data="rows.libsvm", **options)
    in_memory = lambdaml.train(data=(X, y), test_data=(X[:50], y[:50]), **options)
    numpy.testing.assert_allclose(in_memory.model["weight"], by_file.model["weight"], atol=2e-4)
    assert in_memory.summary["test_accuracy"] > 0.8
    assert (in_memory.model.predict(X) == y).mean() == pytest.approx(in_memory.summary["train_accuracy"], abs=1e-6)


def test_wrong_jobs_are_value_errors(higgs):
    X, y = rows(10)
    with pytest.raises(lambdaml.InvalidArgument, match="did you mean 'epochs'"):
        lambdaml.train(data=higgs, epoch=3)
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        lambdaml.train({"epochs": 0}, data=higgs)
    with pytest.raises(ValueError, match="no training data"):
        lambdaml.train()
    with pytest.raises(TypeError, match="epochs: an option cannot be of the type object"):
        lambdaml.train(data=higgs, epochs=object())
    with pytest.raises(lambdaml.NotFound, match="no such file"):
        lambdaml.train(data="absent.libsvm")
    with pytest.raises(ValueError, match="X: 10 rows are too few for 11 workers; use fewer with workers="):
        lambdaml.train(data=(X, y), workers=11)
    with pytest.raises(ValueError, match="at least two classes"):
        lambdaml.train(data=(X, numpy.zeros(10, int)), workers=2)
    with pytest.raises(ValueError, match="the test data has 2 features, and the training data 6"):
        lambdaml.train(data=(X, y), test_data=(X[:, :2], y), workers=1)
    with pytest.raises(ValueError, match=r"\(X, y\) or \(X, y, weights\), not one of 4"):
        lambdaml.train(data=(X, y, y, y))
    with pytest.raises(TypeError, match="callbacks must be a function or a list of functions"):
        lambdaml.train(data=(X, y), callbacks=3)
    with pytest.raises(ValueError, match="^workers wants a whole number, not 'two'"):
        lambdaml.train(data=(X, y), workers="two")
    for data, options, text in (
        ((X, None), {}, "it has no labels, and lr learns from labels: give them as y$"),
        ((X, numpy.ones(10, int)), {}, "every label is 1: add rows of other classes$"),
        ((X, X[:, 0]), {"model": "lr"}, "use model=linear, labels that are whole numbers, or others as y$"),
    ):
        with pytest.raises(ValueError, match=text):
            lambdaml.train(data=data, workers=1, **options)
    # Where a dict is wrong is no line.
    with pytest.raises(ValueError, match="^epochs wants a whole number, not 'three'$"):
        lambdaml.train({"epochs": "three"}, data=(X, y))
    with pytest.raises(ValueError, match="^lr needs two bounds"):
        lambdaml.tune({"workers": 1}, {"lr": {"uniform": [1]}}, data=(X, y))
    assert not os.path.exists("runs") or not os.listdir("runs")


def test_a_callback_stops_the_job():
    run = lambdaml.train(data=rows(), callbacks=lambda m: m["epoch"] == 3, valid_ratio=0, **ENDLESS)
    assert run.status == "stopped"
    assert 3 <= len(run.epochs) < ENDLESS["epochs"]


def test_callbacks_are_told_of_every_epoch():
    options = {"optim": "grad_avg", "workers": 1, "epochs": 10, "progress": False}
    seen = []

    def slow(metrics):
        seen.append(metrics["epoch"])
        time.sleep(0.1)  # in which the other epochs are done

    lambdaml.train(data=rows(), callbacks=slow, **options)
    assert seen == list(range(1, 11))
    # Of a job that has been started, by wait(), whatever has asked for its state.
    seen = []
    run = lambdaml.train(data=rows(), callbacks=lambda m: seen.append(m["epoch"]), start=True, **options)
    while run.status == "running":
        repr(run)
    assert seen == []
    run.wait()
    run.wait()
    assert seen == list(range(1, 11))


def test_a_callback_stops_a_job_that_is_watched():
    run = lambdaml.train(data=rows(), callbacks=lambda m: m["epoch"] == 3, start=True, valid_ratio=0, **ENDLESS)
    while len(run.epochs) < 5:
        assert run.status == "running"
    assert run.wait().status == "stopped"
    # One that stops the job itself is called no more.
    runs, seen = [], []
    callback = lambda m: seen.append(m) or runs[0].stop()
    runs.append(lambdaml.train(data=rows(), callbacks=callback, start=True, **ENDLESS))
    assert runs[0].wait().status == "stopped"
    assert len(seen) == 1


def test_resume_continues_a_stopped_job():
    X, y = rows()
    # Epochs of several milliseconds: the job is stopped within the first ones.
    options = {**ENDLESS, "epochs": 400, "batch_size": 50, "valid_ratio": 0}
    run = lambdaml.train(data=(X, y), callbacks=lambda m: True, **options)
    assert run.status == "stopped"
    again = run.resume(callbacks=lambda m: True)
    # Of a run that is stopped again, too.
    assert again.status == "stopped" and again.epochs[0]["epoch"] == 1
    done = again.resume()
    assert done.status == "done"
    # The metrics of all epochs, those before the stop included.
    assert [each["epoch"] for each in done.epochs] == list(range(1, 401)) and len(done.metrics) == 400
    whole = lambdaml.train(data=(X, y), **options)
    assert done.model["weight"].tobytes() == whole.model["weight"].tobytes()


def test_resume_is_given_data_that_were_in_memory():
    options = {"optim": "grad_avg", "workers": 1, "epochs": 400, "batch_size": 50}
    run = lambdaml.train(data=rows(), test_data=rows(50), callbacks=lambda m: True, **options)
    opened = lambdaml.Run.open(run.folder)
    with pytest.raises(ValueError, match="^the data of the run were in memory: give the same again, by data=$"):
        lambdaml.resume(run.folder)
    with pytest.raises(ValueError, match="by test_data=$"):
        opened.resume(data=rows())
    assert opened.resume(data=rows(), test_data=rows(50)).status == "done"


def test_an_error_says_the_call_that_goes_on():
    data, test = rows(), rows(50)
    with pytest.raises(lambdaml.LimitReached, match=r"lambdaml.resume\('.*', data=…, test_data=…\)$") as raised:
        lambdaml.train(data=data, test_data=test, deadline=1, **ENDLESS)
    call = raised.value.hint.partition("continue with: ")[2].replace("data=…, test_data=…", "data=data, test_data=test")
    # As it is said.
    run = eval(call[:-1] + ", start=True, deadline=0)", {"lambdaml": lambdaml, "data": data, "test": test})
    assert run.status == "running" and run.stop().status == "stopped"
    lambdaml.Dataset(*data).save("set", parts=2)
    with pytest.raises(lambdaml.LimitReached, match=r"lambdaml.resume\('[^']*'\)$"):
        lambdaml.train(data="set", deadline=1, **ENDLESS)


@pytest.mark.parametrize(("optim", "option"), [("grad_avg", "epochs"), ("admm", "admm_epochs")])
def test_an_error_of_a_resumed_run_says_to_how_many_epochs_it_goes_on(optim, option):
    lambdaml.Dataset(*rows()).save("set", parts=2)
    options = {**ENDLESS, "optim": optim, option: 1_000_000, "output": "my run"}
    run = lambdaml.train(data="set", callbacks=lambda m: True, **options)
    said = rf"lambdaml.resume\('[^']*/my run', {option}=2000000\)$"
    with pytest.raises(lambdaml.LimitReached, match=said) as raised:
        run.resume(deadline=1, **{option: 2_000_000})
    call = raised.value.hint.partition("continue with: ")[2]
    # As it is said.
    again = eval(call[:-1] + ", start=True, deadline=0)", {"lambdaml": lambdaml})
    assert again.status == "running" and again.stop().status == "stopped"


def test_an_error_of_a_callback_ends_the_job():
    def broken(metrics):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        lambdaml.train(data=rows(), callbacks=[broken], **ENDLESS)
    assert workers_of_this_process() == []


@pytest.mark.parametrize("platform, channel", [("threads", "memory"), ("local", "file")])
def test_start_returns_at_once_and_stop_ends(platform, channel):
    run = lambdaml.train(data=rows(), start=True, platform=platform, channel=channel, **ENDLESS)
    begin = time.monotonic()
    while not run.epochs and time.monotonic() - begin < 60:
        run.wait(0.2)
    assert run.status == "running"
    assert len(workers_of_this_process()) == (2 if platform == "local" else 0)
    run.stop()
    assert run.status == "stopped"
    assert workers_of_this_process() == []
    with pytest.raises(lambdaml.NotFound, match="no model"):
        run.model


def test_ctrl_c_stops_the_job():
    thread = threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT))
    thread.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        lambdaml.train(data=rows(), **ENDLESS)
    assert time.monotonic() - begin < 30
    assert workers_of_this_process() == []
    # The next one is not affected.
    assert lambdaml.train(data=rows(), workers=1, epochs=3).status == "done"


def test_two_jobs_at_once_from_two_threads():
    def work(seed, out):
        run = lambdaml.train(data=rows(seed=seed), workers=2, valid_ratio=0, output=f"run{seed}")
        out[seed] = run.model["weight"].tobytes()

    together, alone = {}, {}
    threads = [threading.Thread(target=work, args=(seed, together)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in (1, 2):
        os.rename(f"run{seed}", f"before{seed}")
        work(seed, alone)
    assert together == alone


def test_stopping_one_job_leaves_the_other():
    stopped = lambdaml.train(data=rows(), start=True, **ENDLESS)
    other = lambdaml.train(data=rows(), start=True, workers=2, optim="grad_avg", lr=0.1, epochs=30)
    stopped.stop()
    assert other.wait().status == "done"


def test_no_worker_outlives_the_interpreter(run_python):
    code = f"""
import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})
import lambdaml, test_train
run = lambdaml.train(data=test_train.rows(), start=True, **test_train.ENDLESS)
while not run.epochs: run.wait(0.1)
print(*test_train.workers_of_this_process())
ENDING
"""
    killed = {"kill(os.getpid(), 9)": -9, "kill(os.getpid(), 15)": -15, "abort()": -6, "_exit(4)": 4}
    for ending in ("", "sys.exit(3)", "raise SystemExit", *(f"import os; os.{how}" for how in killed)):
        done = run_python(code.replace("ENDING", ending), check=False)
        workers = [int(each) for each in done.stdout.split()]
        assert len(workers) == 2, done.stderr
        deadline = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{each}") for each in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(os.path.exists(f"/proc/{each}") for each in workers), ending
        codes = {"": 0, "sys.exit(3)": 3, "raise SystemExit": 0, **killed}
        assert done.returncode == codes[ending.replace("import os; os.", "")], done.stderr


def test_a_daemon_thread_that_waits_does_not_abort_the_exit(run_python):
    code = f"""
import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})
import threading, time, lambdaml, test_train
threading.Thread(target=lambda: lambdaml.train(data=test_train.rows(), **test_train.ENDLESS), daemon=True).start()
time.sleep(1.5)
"""
    done = run_python(code, check=False)
    assert done.returncode == 0, done.stderr


def test_daemon_threads_in_the_engine_do_not_abort_the_exit(run_python):
    code = """
import threading, time, lambdaml
store = lambdaml.storage.open("memory://exit")
def load():
    while True:
        store.load("a")
for _ in range(8):
    threading.Thread(target=load, daemon=True).start()
time.sleep(0.1)
"""
    for _ in range(10):
        done = run_python(code, check=False, timeout=60)
        assert done.returncode == 0, done.stderr


def test_a_fork_in_the_middle_of_a_job_is_an_error():
    run = lambdaml.train(data=rows(), start=True, platform="threads", channel="memory", **ENDLESS)
    while not run.epochs:
        run.wait(0.1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            lambdaml.train(data=rows(), workers=1)
            text = "no error"
        except lambdaml.Unavailable as error:
            text = str(error)
        except BaseException as error:
            text = repr(error)
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    assert "it was forked while a job ran in its parent" in os.fdopen(read).read()
    os.waitpid(child, 0)
    run.stop()


def test_a_fork_after_jobs_works():
    X, y = rows()
    lambdaml.train(data=(X, y), workers=1, threads=2, platform="threads", channel="memory", epochs=3)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run = lambdaml.train(data=(X, y), workers=2, epochs=3)
            code = 0 if run.status == "done" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def resources():
    with open("/proc/self/status") as status:
        facts = dict(line.split(":", 1) for line in status)
    return {
        "threads": int(facts["Threads"]),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "memory_kb": int(facts["VmRSS"].split()[0]),
    }


@pytest.mark.parametrize("platform, channel, jobs", [("threads", "memory", 100), ("local", "file", 100)])
def test_jobs_leave_nothing_in_the_process(platform, channel, jobs):
    X, y = rows(20000, 28)

    def job(i):
        run = lambdaml.train(
            data=(X, y), workers=2, platform=platform, channel=channel, epochs=3, output=f"{platform}{i}"
        )
        run.model.predict(X)
        return run.job_id

    for i in range(10):
        job(i)
    before = resources()
    ids = {job(i) for i in range(10, 10 + jobs)}
    after = resources()
    assert len(ids) == jobs
    assert after["threads"] <= before["threads"]
    assert after["descriptors"] <= before["descriptors"]
    # Other tests use the folder at the same time.
    left = [name for _, folders, files in os.walk("/dev/shm") for name in folders + files]
    assert not [name for name in left if any(one in name for one in ids)]
    # One data set has 2.2 MB: a job that kept it would add much more.
    assert after["memory_kb"] - before["memory_kb"] < 20_000


def test_progress_is_shown_on_request(capsys):
    lambdaml.train(data=rows(), workers=1, epochs=3, progress=True)
    assert "epoch 3/3" in capsys.readouterr().err
    lambdaml.train(data=rows(), workers=1, epochs=3, progress=False)
    assert capsys.readouterr().err == ""


def test_only_who_waits_sees_progress(capsys):
    run = lambdaml.train(data=rows(), workers=1, optim="grad_avg", epochs=300, progress=True, start=True)
    while len(run.epochs) < 300 and run.status == "running":
        repr(run)
    assert capsys.readouterr().err == ""
    run = lambdaml.train(data=rows(), progress=True, start=True, **ENDLESS)
    while not run.epochs:
        run.wait(0.1)
    run.stop()
    drawn = capsys.readouterr().err
    assert "epoch" in drawn and drawn.endswith("\n") and drawn.count("\n") == 1


def test_metrics_and_dashboard_are_served(capsys):
    def page(url):
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()

    run = lambdaml.train(data=rows(), start=True, metrics_port=0, dashboard=True, **ENDLESS)
    while len(run.urls) < 2 or not run.epochs:
        time.sleep(0.01)
    urls = dict(run.urls)
    assert run.job_id in page(urls["metrics"]) and "<html" in page(urls["dashboard"])
    with pytest.raises(lambdaml.AlreadyExists, match="port"):
        lambdaml.train(data=rows(), metrics_port=int(urls["metrics"].split(":")[2].split("/")[0]), **ENDLESS)
    run.stop()
    assert run.urls == {}
    for url in urls.values():
        with pytest.raises(OSError):
            page(url)
    said = capsys.readouterr().err
    assert f"metrics on {urls['metrics']}\n" in said and f"dashboard on {urls['dashboard']}\n" in said
    search = lambdaml.tune(ENDLESS, {"lr": [0.01, 0.02]}, data=rows(), start=True, metrics_port=0, concurrency=1)
    while not search.urls:
        time.sleep(0.01)
    assert "lambdaml_search" in page(search.urls["metrics"])
    search.stop()
    again = search.resume(start=True, dashboard=True)
    while "dashboard" not in again.urls:  # that it served metrics, it knows itself
        time.sleep(0.01)
    assert "<html" in page(again.urls["dashboard"])
    again.stop()
    with lambdaml.emulate(metrics_port=0, log_folder="logs"):
        assert "lambdaml_" in page(re.search(r"metrics on (\S+)", capsys.readouterr().err.splitlines()[-1])[1])


def test_poor_results_are_warnings():
    X, y = rows()
    with pytest.warns(lambdaml.ConvergenceWarning, match="has not converged in 2 epochs: give it more with epochs=,"):
        lambdaml.train(data=(X, y), workers=1, epochs=2)


def test_a_run_that_nobody_waits_for_is_up_to_date():
    """Whatever is read first: no attribute is as it was when something else was read."""
    options = {"optim": "grad_avg", "workers": 1, "epochs": 20, "batch_size": 50, "start": True}
    reads = {
        "epochs": lambda run: len(run.epochs) == 20,
        "metrics": lambda run: len(run.metrics) == 20,
        "folder": lambda run: run.folder is not None and os.path.exists(os.path.join(run.folder, "summary.json")),
        "summary": lambda run: run.summary is not None,
        "cost_usd": lambda run: run.cost_usd is not None,
        "job_id": lambda run: run.job_id is not None,
        "logs": lambda run: run.folder is not None and "loaded" in run.logs(0),
        "repr": lambda run: "done, 20 epochs" in repr(run),
        "_repr_html_": lambda run: "<td>done</td>" in run._repr_html_(),
    }
    for name, is_there in reads.items():
        run = lambdaml.train(data=rows(), **options)
        end = time.monotonic() + 60
        while not is_there(run):
            assert time.monotonic() < end, name
            time.sleep(0.01)
    run = lambdaml.train(data=rows(), **{**ENDLESS, "start": True})
    while not run.epochs:
        time.sleep(0.01)
    assert f" of {ENDLESS['epochs']}" in run._repr_html_() and "train_loss" in run._repr_html_()
    before = len(run.metrics)
    while len(run.metrics) == before:
        time.sleep(0.01)
    run.stop()


def test_what_waits_and_callbacks_read_attributes_too():
    seen = []
    run = lambdaml.train(
        data=rows(), start=True, callbacks=lambda m: seen.append((len(run.epochs), repr(run))), progress=True, **{**ENDLESS, "epochs": 5}
    )
    watching = threading.Thread(target=lambda: [repr(run) for _ in range(1000)])
    watching.start()
    run.wait()
    watching.join()
    assert len(seen) == 5 and all(epochs >= i + 1 for i, (epochs, _) in enumerate(seen))
    assert len(run.epochs) == 5


def test_an_interrupt_leaves_no_temporary_folder(temporary):
    X, y = rows(4000)
    def stopped(action):
        timer = threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            action()
        timer.join()
        assert list(temporary.iterdir()) == []

    def batches():
        yield X, y
        time.sleep(60)

    slow = {**ENDLESS, "workers": 1}
    stopped(lambda: lambdaml.tune(slow, {"lr": [0.01, 0.02]}, data=(X, y), concurrency=1))
    stopped(lambda: lambdaml.train(data=lambdaml.Dataset.from_batches([(X, y)]), **slow))
    stopped(lambda: lambdaml.Dataset.from_batches(batches()))
    many = numpy.tile(X, (20, 1))
    stopped(lambda: lambdaml.KMeans(100, n_init=1000, tol=0).fit(many))


def test_folders_end_with_the_process_that_made_them(run_python, temporary):
    code = """
import lambdaml, os, tempfile
search = lambdaml.tune(
    {"workers": 1, "optim": "grad_avg", "epochs": 1000000, "batch_size": 10, "optim": "grad_avg"},
    {"lr": [0.01, 0.02]}, data=([[0.0], [1.0]] * 50, [0, 1] * 50), start=True,
)
while search.folder is None: pass
search.stop()
there = os.listdir(tempfile.gettempdir())
if os.fork() == 0:
    raise SystemExit  # with all that Python does at its end
os.wait()
assert os.listdir(tempfile.gettempdir()) == there and len(there) == 1
"""
    run_python(code)
    assert list(temporary.iterdir()) == []
