#!/usr/bin/python3
"""Writes runs and searches that nobody wants to wait for, as `lambdaml report` reads them.

Usage: make_runs.py FOLDER
  wide     200 workers × 1,000 rounds, with failed attempts and clocks that differ
  search   500 trials
  long     a million epochs
  hostile  names with markup, quotes and text from right to left; NaN and infinity
"""
import json
import math
import random
import shutil
import sys
from pathlib import Path

ROOT = Path(sys.argv[1])
KINDS = ("put", "get", "list", "delete")


def write_lines(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write((row if isinstance(row, str) else json.dumps(row)) + "\n")


def usage(requests, size):
    return {"s3": {kind: {"requests": requests, "bytes": size if kind in KINDS[:2] else 0} for kind in KINDS[:2]}
            | {kind: {"requests": requests // 2, "bytes": 0} for kind in KINDS[2:]}
            | {"write_unit": 0.0, "read_unit": 0.0}}


def summary(workers, epochs, rounds, **more):
    return {"job_id": "20260101-000000-0123456789ab", "model": "lr", "optim": "grad_avg", "sync_mode": "reduce_scatter",
            "channel": "s3://bucket/channel", "workers": workers, "epochs": epochs, "ended_by": "epochs", "rows": 11000000,
            "features": 28, "train_loss": 0.6412, "train_accuracy": 0.6413, "valid_loss": 0.6421, "valid_accuracy": 0.6401,
            "wall_s": 31.0, "startup_s": 1.2, "load_s": 2.1, "compute_s": 8.5, "comm_s": 15.5, "invocations": workers,
            "rounds": rounds, "requests": {"put": 400000, "get": 800000, "list": 0, "delete": 400000},
            "bytes_sent": 12000000000, "bytes_received": 24000000000, "cost_usd": 2.52,
            "cost": {"functions_usd": 0.2, "requests_usd": 2.32, "region": "us-east-1", "prices_of": "2025-11-01"},
            "warnings": [], "model_path": "model.safetensors"} | more


def curves(epochs, best, generator, rate=0.15):
    for epoch in range(1, epochs + 1):
        loss = best + (0.6931 - best) * math.exp(-rate * epoch)
        yield {"epoch": epoch, "train_loss": loss + generator.gauss(0, 0.001), "valid_loss": loss + 0.004 + generator.gauss(0, 0.002),
               "train_accuracy": 0.5 + (0.6931 - loss) * 2, "valid_accuracy": 0.49 + (0.6931 - loss) * 2,
               "compute_s": 0.3, "comm_s": 0.6, "rounds": 20 * epoch}


def timeline(worker, rounds, generator, now_ms):
    skew_ms = generator.randint(-400, 400) if worker % 7 == 3 else 0
    begin = 2_200_000 + generator.randint(0, 900_000)
    start = begin
    names = ("rounds", "begin_us", "compute_us", "send_us", "wait_us", "receive_us", "checkpoint_us")
    columns = {name: [] for name in names}
    # All leave a round at the same time, as a bulk-synchronous pattern makes them.
    clock = random.Random(7)
    end = 3_200_000
    for number in range(rounds):
        end += 22_000 + clock.randint(0, 6_000) + (400_000 if number == 412 else 0)
        length = end + generator.randint(0, 900) - begin
        compute = 4_000 + generator.randint(0, 4_000) + (9_000 if worker == 17 else 0)
        send = 3_000 + generator.randint(0, 1_500)
        receive = 4_000 + generator.randint(0, 1_500)
        checkpoint = 5_000 if number and number % 100 == 0 else 0
        wait = max(0, length - compute - send - receive - checkpoint)
        for name, value in zip(names, (1, begin - start, length - send - wait - receive - checkpoint, send, wait, receive, checkpoint)):
            columns[name].append(value)
        begin += length
    load = 800_000 + generator.randint(0, 300_000)
    origin = now_ms + (start - load) // 1000 - 100 + skew_ms
    shift = load + 100_000
    columns["begin_us"] = [us + shift for us in columns["begin_us"]]
    total = columns["begin_us"][-1] + 30_000
    invocations = [{"began_us": 0, "load_us": load, "trained_us": shift, "ended_us": total}]
    return {"version": 1, "sent_ms": now_ms, "origin_ms": origin, "rounds": columns, "invocations": invocations}


def report(worker, rounds, generator, now_ms):
    return {"worker": worker, "startup_s": 1.1, "load_s": 1.9, "compute_s": 8.4, "comm_s": 15.1, "run_s": 29.0, "invocations": 1,
            "bytes_sent": 60000000, "bytes_received": 120000000, "memory_mb": 1769, "usage": usage(4000, 60000000),
            "timeline": timeline(worker, rounds, generator, now_ms)}


def make_run(name, job, rows, whole, workers=()):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "job.yaml").write_text(job, encoding="utf-8")
    write_lines(folder / "metrics.jsonl", rows)
    if whole is not None:
        (folder / "summary.json").write_text(json.dumps(whole) + "\n", encoding="utf-8")
    if workers:
        write_lines(folder / "workers.jsonl", workers)


def wide():
    generator = random.Random(1)
    now_ms = 1_770_000_000_000
    failed = [{"worker": w, "at_ms": now_ms + 9_000 + 37 * w, "error": "Runtime.Killed: signal 9", "again": True} for w in (5, 90, 91)]
    trigger = {"trigger": {"version": "0.1.0", "sent_ms": now_ms, "ended_ms": now_ms + 31_000, "usage": usage(400, 1000),
                           "failed_attempts": failed}}
    make_run("wide", "data: s3://bucket/higgs\nworkers: 200\nsync_mode: reduce_scatter\noptim: grad_avg\nepochs: 50\nchannel: s3://bucket/channel\n",
             curves(50, 0.64, generator), summary(200, 50, 1000),
             [trigger] + [report(w, 1000, generator, now_ms) for w in range(200)])


def search():
    generator = random.Random(2)
    folder = ROOT / "search"
    shutil.rmtree(folder, ignore_errors=True)
    trials = []
    for number in range(500):
        lr = 10 ** generator.uniform(-4, 1)
        batch = generator.randint(100, 1000)
        momentum = generator.uniform(0, 0.95)
        optim = generator.choice(["grad_avg", "model_avg"])
        best = 0.64 + 0.01 * abs(math.log10(lr) + 0.7) ** 1.5 + 0.004 * abs(momentum - 0.8) + (0.002 if optim == "grad_avg" else 0)
        epochs = 40 if number % 4 == 0 else 10
        run = folder / "trials" / f"{number:04}-{epochs}"
        run.mkdir(parents=True)
        rows = list(curves(epochs, min(best, 0.693), generator, 0.05 + 0.3 * min(1, lr)))
        write_lines(run / "metrics.jsonl", rows)
        trial = {"trial": number, "state": "done" if epochs == 40 else "stopped",
                 "options": {"lr": lr, "batch_size": batch, "momentum": momentum, "optim": optim}, "epochs": epochs,
                 "train_loss": rows[-1]["train_loss"], "valid_loss": rows[-1]["valid_loss"], "valid_accuracy": rows[-1]["valid_accuracy"],
                 "cost_usd": 0.0004 * epochs, "wall_s": 0.9 * epochs}
        if number % 50 == 49:
            trial = {key: trial[key] for key in ("trial", "options", "epochs", "cost_usd", "wall_s")} | {
                "state": "failed", "reason": "diverged: the loss is not a number"}
        trials.append(trial)
    done = [trial for trial in trials if "valid_loss" in trial]
    best = min(done, key=lambda trial: trial["valid_loss"])
    whole = summary(4, 40, 800) | {"search_id": "20260101-000000-0123456789ab", "strategy": "asha", "metric": "valid_loss",
                                   "ended_by": "trials", "search_epochs": sum(t["epochs"] for t in trials),
                                   "search_cost_usd": sum(t["cost_usd"] for t in trials), "search_wall_s": 2400.0, "trials_done": 120,
                                   "trials_stopped": 370, "trials_failed": 10, "trials_running": 0, "best_trial": best["trial"],
                                   "options": best["options"], "trials": trials}
    (folder / "search.json").write_text(json.dumps({"search_id": whole["search_id"], "records": "file:///nowhere"}), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(whole) + "\n", encoding="utf-8")
    (folder / "records").mkdir()
    (folder / "records" / "search.json").write_text(json.dumps(
        {"id": whole["search_id"], "job": {"data": "higgs.libsvm", "workers": 4, "epochs": 40},
         "settings": {"strategy": "asha", "trials": 500, "metric": "valid_loss"},
         "space": [{"name": "lr", "log_uniform": [1e-4, 10]}, {"name": "batch_size", "int": [100, 1000]},
                   {"name": "momentum", "uniform": [0, 0.95]}, {"name": "optim", "choice": ["grad_avg", "model_avg"]}]}),
        encoding="utf-8")


def long():
    generator = random.Random(3)
    make_run("long", "data: higgs.libsvm\nepochs: 1000000\noptim: grad_avg\n",
             ({"epoch": e, "train_loss": 0.64 + 0.05 / math.sqrt(e) + generator.gauss(0, 1e-4), "compute_s": 0.001, "comm_s": 0.001,
               "rounds": e} for e in range(1, 1_000_001)), None)


def hostile():
    bad = "</script><script>alert(1)</script>\u2028\"'&<b>"
    rows = ['{"epoch":1,"train_loss":0.7,"valid_loss":null,"<img src=x onerror=alert(2)>":1.0}',
            '{"epoch":2,"train_loss":null,"valid_loss":0.5}', '{"epoch":3,"train_loss":0.6,"valid_loss":1e999}', '{"epoch":4,"trai']
    make_run("hostile", f"data: {json.dumps('/tmp/' + bad)}\nlabel: {json.dumps('שלום ' + bad)}\n", rows,
             summary(2, 3, 6, warnings=[bad, "תווית a label \u202e from right to left"], ended_by=bad, train_loss=None))


for make in (wide, search, long, hostile):
    if len(sys.argv) < 3 or make.__name__ in sys.argv[2:]:
        make()
