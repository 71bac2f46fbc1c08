"""The jobs that faults strike, and what an undisturbed one leaves."""
import contextlib
import fcntl
import json
import re
import subprocess
import zlib
from pathlib import Path

from places import Unprepared

# What each optimizer trains: some rounds an epoch, and no early end. EPOCHS is replaced.
RECIPES = {
    "grad_avg": ["--model", "lr", "--epochs", "EPOCHS"],
    "model_avg": ["--model", "svm", "--epochs", "EPOCHS"],
    "admm": ["--model", "lr", "--admm-epochs", "EPOCHS", "--epochs", "2",
             "--admm-tolerance-abs", "0", "--admm-tolerance-rel", "0"],
    "lbfgs": ["--model", "lr", "--epochs", "EPOCHS", "--lbfgs-memory", "1",
              "--lbfgs-tolerance-gradient", "0", "--lbfgs-tolerance-loss", "0"],
    "em": ["--model", "kmeans", "--epochs", "EPOCHS", "--clusters", "8", "--threshold", "0"],
}
# How an optimizer steps. Where workers wait a case draws one, elsewhere it has the first.
# --shard-optimizer needs aggregators among the workers, and changes no byte, so the undisturbed run
# has none.
VARIANTS = {
    "grad_avg": [["--momentum", "0.9", "--lr", "0.1"],
                 ["--momentum", "0.9", "--lr", "0.1", "--shard-optimizer"],
                 ["--optimizer", "adamw", "--l2", "0.01", "--lr", "0.01", "--shard-optimizer"],
                 ["--optimizer", "nesterov", "--lr", "0.1", "--clip-norm", "0.5",
                  "--shard-optimizer"],
                 ["--optimizer", "lars", "--lr", "1", "--ema", "0.9", "--lr-schedule", "one_cycle"]],
    "model_avg": [["--lr", "0.01"],
                  ["--optimizer", "adam", "--moments", "merged", "--lr", "0.001"],
                  ["--optimizer", "nesterov", "--lr", "0.01", "--lr-schedule", "linear"]],
}
STORES_THAT_ADD = ("ps",)
# Epochs that take a second or some: over a network most of the time of a round is waiting.
EPOCHS_SERVED = 40
EPOCHS_UNSERVED = 300
ROWS = 3000


def write_data(lambdaml, path):
    subprocess.run([lambdaml, "data", "synth", "higgs", "--rows", str(ROWS), "--seed", "7", "-q",
                    "-o", path], check=True, stdout=subprocess.DEVNULL)


def variant_of(case):
    """The number of a case's variant."""
    variants = VARIANTS.get(case.optim, [[]])
    return zlib.crc32(str(case).encode()) % len(variants) if case.has_equal_bytes else 0


def variant_options(case, shards):
    options = VARIANTS.get(case.optim, [[]])[variant_of(case)]
    return [option for option in options if shards or option != "--shard-optimizer"]


def train(settings, case, epochs, channel, output, pattern, shards=True):
    """The command of a case's job."""
    recipe = RECIPES.get(case.optim)
    if recipe is None:
        raise Unprepared(f"no job for the optimizer '{case.optim}': add a line to RECIPES in "
                         "tests/torture/job.py")
    recipe = [str(epochs) if word == "EPOCHS" else word for word in recipe]
    return [settings.lambdaml, "train", "-q", "--json", "--data", settings.data,
            "--batch-size", "500", "--workers", str(case.workers), "--seed", "5",
            "--optim", case.optim, "--sync-mode", pattern, "--channel", channel,
            "--output", str(output), *recipe,
            *variant_options(case, shards and case.store not in STORES_THAT_ADD)]


def reference(settings, case, epochs):
    """The folder of an undisturbed run of the same job, made when it is first asked for."""
    folder = Path(settings.references) / f"{case.optim}-{variant_of(case)}-{case.workers}-{epochs}"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "summary.json").exists():
            command = train(settings, case, epochs, "memory", folder, "reduce", shards=False)
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                raise Unprepared(f"{' '.join(command)}: {done.stderr.strip()}")
    return folder


def model_path(output):
    return output / "model.safetensors"


def model_in(output):
    return model_path(output).read_bytes()


def loss_in(output):
    summary = json.loads((output / "summary.json").read_text())
    return summary.get("inertia", summary.get("train_loss"))


def epochs_in(output):
    """Epochs that a run has reported so far."""
    with contextlib.suppress(FileNotFoundError):
        return (output / "metrics.jsonl").read_bytes().count(b"\n")
    return 0


def job_id_in(output):
    with contextlib.suppress(OSError, ValueError, KeyError):
        return json.loads((output / "run.json").read_text())["job_id"]
    return None


def children_of(parent):
    """Process ids, without those that have ended."""
    children = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, AttributeError):
            state, ppid = re.match(r".*\) (\S) (\d+)", (entry / "stat").read_text(), re.S).groups()
            if int(ppid) == parent and state != "Z":
                children.append(int(entry.name))
    return children


def name_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "?"
