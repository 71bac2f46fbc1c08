#!/usr/bin/python3
"""TensorBoard's own reader against the event files of a job.

Usage: tensorboard_reads.py LAMBDAML FOLDER     with `tensorboard` of the Python package index importable
"""
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

LAMBDAML, FOLDER = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir(parents=True)


def lambdaml(*arguments):
    result = subprocess.run([str(LAMBDAML), *map(str, arguments)], cwd=FOLDER, check=True, capture_output=True, text=True)
    return result.stdout


lambdaml("data", "synth", "higgs", "--rows", 5000, "-o", "train.libsvm")
text = lambdaml("train", "-q", "--json", "--data", "train.libsvm", "--workers", 2, "--optim", "grad_avg", "--epochs", 6,
                "--stop-after", 4, "--tensorboard", "board", "--output", "run")
job_id = json.loads(text.splitlines()[-1])["job_id"]
# What a killed job had written beyond its checkpoint: the resumed one replaces it.
lambdaml("resume", "run")
events = EventAccumulator(str(FOLDER / "board" / job_id), size_guidance={"scalars": 0, "histograms": 0}).Reload()
epochs = [json.loads(line) for line in (FOLDER / "run" / "metrics.jsonl").read_text().splitlines()]
assert len(epochs) == 6, epochs
tags = events.Tags()
for name, tag in (("train_loss", "loss/train"), ("valid_loss", "loss/valid"), ("valid_accuracy", "accuracy/valid")):
    seen = [(event.step, event.value) for event in events.Scalars(tag)]
    assert [step for step, _ in seen] == [epoch["epoch"] for epoch in epochs], seen
    assert all(abs(value - epoch[name]) <= 1e-6 * abs(epoch[name]) for (_, value), epoch in zip(seen, epochs)), seen
assert tags["histograms"], tags
values = 0
for tag in tags["histograms"]:
    last = events.Histograms(tag)[-1]
    histogram = last.histogram_value
    assert last.step == 6 and histogram.min <= histogram.max and sum(histogram.bucket) == histogram.num, last
    values += histogram.num
assert values >= 28, values
print(f"TensorBoard reads {len(tags['scalars'])} scalars of {len(epochs)} epochs and {len(tags['histograms'])} histograms")
