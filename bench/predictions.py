#!/usr/bin/env python3
"""How near predictions of `simulate` are to jobs on this machine, by profiles of `calibrate`, which sees none of them.

As: lambdaml_with_servers s3 memcached redis dynamodb ps -- bench/predictions.py PATH/TO/lambdaml [CHANNEL …]
One row of Markdown per job: the median of five runs, how far they spread, what was predicted, and requests of both.
Exit code 1 if predictions are off by more than 15 % in the median or one by more than 40 % and outside of p10 to p90.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

RUNS = 5
SECONDS = 3  # of a calibration
MOST_MEDIAN, MOST = 0.15, 0.40
HIGGS = {"data": "higgs.libsvm"}
JOBS = {
    "LR": HIGGS | {"model": "lr", "optim": "grad_avg", "epochs": 10, "batch_size": 1000, "lr": 0.1},
    "k-means": HIGGS | {"model": "kmeans", "clusters": 50, "epochs": 50, "batch_size": 10000, "threshold": 0},
    # As many parameters as MobileNet has.
    "vectors": {"data": "wide.libsvm", "model": "sparse_lr", "optim": "grad_avg", "epochs": 6, "batch_size": 64, "lr": 0.1},
}
SLOW = ("s3", "dynamodb")  # rounds of others are so short that a job has five times as many epochs
CASES = [("file", "LR", 1), ("file", "k-means", 4), ("file", "vectors", 2), ("memcached", "LR", 2),
         ("memcached", "k-means", 8), ("memcached", "vectors", 4), ("redis", "LR", 4), ("redis", "k-means", 1),
         ("redis", "vectors", 8), ("s3", "LR", 8), ("s3", "k-means", 2), ("s3", "vectors", 1), ("dynamodb", "LR", 2),
         ("dynamodb", "k-means", 4), ("ps", "LR", 4), ("ps", "k-means", 8), ("ps", "vectors", 2)]


class Bench:
    def __init__(self, lambdaml, folder):
        self.lambdaml, self.folder = lambdaml, folder
        self.run("data", "synth", "higgs", "--rows", "200000", "-o", "higgs.libsvm")
        self.run("data", "synth", "rcv1", "--rows", "1024", "--features", "3200000", "-o", "wide.libsvm")

    def run(self, *arguments):
        done = subprocess.run([self.lambdaml, *arguments], cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
        lines = done.stdout.splitlines()
        return json.loads(lines[-1]) if "--json" in arguments else None

    def profile(self, name, uri):
        path = f"{name}.yaml"
        if not (self.folder / path).exists():
            self.run("calibrate", "--channel", uri, "--seconds", str(SECONDS), "--out", path)
        return path

    def case(self, name, uri, kind, workers):
        profile = self.profile(name, uri)
        settings = JOBS[kind] | {"workers": workers}
        if name not in SLOW and kind != "vectors":
            settings["epochs"] *= 5
        job = [f"--{key.replace('_', '-')}={value}" for key, value in settings.items()]
        runs = []
        for i in range(RUNS):
            runs.append(self.run("train", *job, "--channel", uri, "--output", f"{name}-{kind}-{workers}-{i}", "--json"))
        predicted = self.run("simulate", *job, "--profile", profile, "--channel", uri, "--json")
        return runs, predicted


def requests_off(runs, predicted):
    """How many requests more were predicted than any run made, or fewer, by kind; polls are among GETs."""
    off = []
    for kind in ("put", "get", "list", "delete"):
        made = [run["requests"][kind] for run in runs]
        more = predicted["requests_of"][kind] - min(max(predicted["requests_of"][kind], min(made)), max(made))
        if more != 0:
            off.append(f"{kind} {more:+g} of {min(made)} to {max(made)}")
    return ", ".join(off) or "as made"


def main():
    lambdaml, only = os.path.abspath(sys.argv[1]), sys.argv[2:]
    uris = {"file": "file"}
    for scheme in ("memcached", "redis", "s3", "dynamodb", "ps"):
        if uri := os.environ.get("LAMBDAML_STORE_" + scheme.upper()):
            uris[scheme] = uri + ("/predictions" if scheme not in ("ps", "dynamodb", "redis") else "")
    print("| channel | job | P | measured, s | least to most | predicted, s | off | p10 to p90 | requests |")
    print("|---|---|---|---|---|---|---|---|---|")
    offs, misses = [], 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(lambdaml, pathlib.Path(folder))
        for name, kind, workers in CASES:
            if name not in uris or only and name not in only:
                continue
            runs, predicted = bench.case(name, uris[name], kind, workers)
            walls = sorted(run["wall_s"] for run in runs)
            middle, p50 = statistics.median(walls), predicted["seconds"]["p50"]
            tenths = statistics.quantiles(walls, n=10, method="inclusive")
            inside = tenths[0] <= p50 <= tenths[-1]
            off = p50 / middle - 1
            offs.append(abs(off))
            misses += not inside and abs(off) > MOST
            print(f"| {name} | {kind} | {workers} | {middle:.3f} | {walls[0]:.3f} to {walls[-1]:.3f} | {p50:.3f} | "
                  f"{100 * off:+.0f} % | {'inside' if inside else 'outside'} | {requests_off(runs, predicted)} |",
                  flush=True)
            if os.environ.get("VERBOSE"):
                run = runs[RUNS // 2]
                print({k: v for k, v in run.items() if not isinstance(v, (dict, list)) and k in (
                    "rounds", "requests", "startup_s", "load_s", "compute_s", "comm_s", "wall_s", "bytes_sent")},
                    predicted["mean_of_workers"], predicted["requests_of"], run.get("requests_of"), flush=True)
    print(f"\n{len(offs)} jobs: off by {100 * statistics.median(offs):.0f} % in the median, {100 * max(offs):.0f} % at most; "
          f"{misses} beyond {100 * MOST:.0f} % and outside of p10 to p90")
    return int(statistics.median(offs) > MOST_MEDIAN or misses > 0)


if __name__ == "__main__":
    sys.exit(main())
