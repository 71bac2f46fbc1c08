#!/usr/bin/python3
"""Trains, searches, makes reports and opens them in Chromium (browser.mjs).

Usage: reports.py LAMBDAML FOLDER
FOLDER/made has the runs of make_runs.py. Screenshots go to FOLDER/shots. PATIENCE=1 holds the pages to the times that
an idle machine must reach: first paint within 1 s, an answer to a key or click within 100 ms.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

LAMBDAML, FOLDER = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
SEARCH = """
data: train.libsvm
workers: 2
epochs: 6
optim: grad_avg
tune: {strategy: random, trials: 8, concurrency: 2, space: {lr: {log_uniform: [1e-3, 3]}, momentum: {uniform: [0, 0.9]}}}
"""


def lambdaml(*arguments):
    subprocess.run([str(LAMBDAML), *map(str, arguments)], cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)


for name in ("real", "search", "pages"):
    shutil.rmtree(FOLDER / name, ignore_errors=True)
(FOLDER / "pages").mkdir()
shutil.rmtree(FOLDER / "smaller", ignore_errors=True)
# Another seed would be another problem, which the model cannot know.
lambdaml("data", "synth", "higgs", "--rows", 22000, "-o", "all.libsvm")
rows = (FOLDER / "all.libsvm").read_text().splitlines(keepends=True)
(FOLDER / "train.libsvm").write_text("".join(rows[:20000]))
(FOLDER / "test.libsvm").write_text("".join(rows[20000:]))
JOB = ("train", "-q", "--data", "train.libsvm", "--test-data", "test.libsvm", "--optim", "grad_avg", "--epochs", 20)
lambdaml(*JOB, "--workers", 10, "--output", "real")
lambdaml(*JOB, "--workers", 2, "--output", "smaller")
(FOLDER / "search.yaml").write_text(SEARCH)
lambdaml("tune", "-q", "search.yaml", "--output", "search")
PAGES = {"real": ["real"], "search": ["search"], "several": ["real", "smaller", "search"],
         **{"made-" + name: ["made/" + name] for name in ("wide", "search", "long", "hostile")}}
for page, places in PAGES.items():
    lambdaml("report", *places, "-o", f"pages/{page}.html")
script = Path(__file__).with_name("browser.mjs")
sys.exit(subprocess.run(["node", script, FOLDER / "shots", *(FOLDER / "pages" / f"{page}.html" for page in PAGES)],
                        env={"PATIENCE": "4", **os.environ}).returncode)
