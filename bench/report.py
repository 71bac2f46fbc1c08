#!/usr/bin/python3
"""Runs the kernel benchmarks, their peers, rounds, a job and simulations, prints tables and writes JSON.

Usage: report.py BENCH_BINARY LAMBDAML OUTPUT_JSON
Each number is the best of several repetitions, which alternate between the benchmarks, so that the
read bandwidth is measured between them and not before. A share is bytes per second over those of
reading the same memory with as many threads.
"""
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable

# what, our benchmark, its read benchmark and the share to reach, seconds per value to reach, the peer,
# its key in peers.py and the ratio to reach. Rows whose benchmark the binary has not are left out.
ROWS = [
    ("linear dense, one pass, 1 thread", "linear_dense/batch:all/threads:1",
     ("read_dense/threads:1", 0.85), None, ("numpy", "numpy_full", 3)),
    ("linear dense, one pass, 2 threads", "linear_dense/batch:all/threads:2",
     ("read_dense/threads:2", 0.85), None, ("numpy", "numpy_full", 3)),
    ("linear dense, batch 10,000, 1 thread", "linear_dense/batch:10000/threads:1",
     ("read_dense/threads:1", 0.85), None, ("numpy", "numpy_batch_10000", 3)),
    ("linear sparse, 1 thread", "linear_sparse/batch:all/threads:1",
     None, 1.5e-9, ("SGDClassifier", "sklearn_sgd_sparse", 2.5)),
    ("linear sparse, 2 threads", "linear_sparse/batch:all/threads:2",
     None, None, ("SGDClassifier", "sklearn_sgd_sparse", 2.5)),
    ("k-means, k = 10, 1 thread", "kmeans/k:10/threads:1",
     ("read_dense/threads:1", None), None, ("scikit-learn", "sklearn_kmeans_10", None)),
    ("k-means, k = 10, 2 threads", "kmeans/k:10/threads:2",
     ("read_dense/threads:2", None), None, ("scikit-learn", "sklearn_kmeans_10", 8)),
    ("k-means, k = 100, 1 thread", "kmeans/k:100/threads:1",
     None, None, ("scikit-learn", "sklearn_kmeans_100", None)),
    ("k-means, k = 100, 2 threads", "kmeans/k:100/threads:2",
     None, None, ("scikit-learn", "sklearn_kmeans_100", 4)),
    ("merge of 8 × 3.2 M floats, 1 thread", "merge/inputs:8/threads:1",
     ("read_merge/threads:1", 0.9), None, ("numpy", "numpy_merge", None)),
    ("merge of 8 × 3.2 M floats, 2 threads", "merge/inputs:8/threads:2",
     ("read_merge/threads:2", 0.9), None, ("numpy", "numpy_merge", None)),
]


# what, our benchmark, MB/s of text to reach, its key in peers.py, which names the peer, and the ratio to reach.
TEXT_ROWS = [
    ("LIBSVM text, dense, 6 digits, 1 thread", "text_dense/threads:1", 500, "sklearn_text_dense", 15),
    ("LIBSVM text, dense, 6 digits, 2 threads", "text_dense/threads:2", None, "sklearn_text_dense", 15),
    ("CSV of numbers, 1 thread", "csv_dense/threads:1", 300, "numpy_csv", 4),
    ("CSV of numbers, 2 threads", "csv_dense/threads:2", None, "numpy_csv", 4),
    ("LIBSVM text, sparse, 7 digits, 1 thread", "text_sparse/threads:1", 1200, "sklearn_text_sparse", 15),
    ("LIBSVM text, sparse, 7 digits, 2 threads", "text_sparse/threads:2", None, "sklearn_text_sparse", 15),
]

# what, our benchmark, that of read() alone, the share to reach.
SHARD_ROWS = [
    ("prepared shard, dense, 1 thread", "shard_dense/threads:1", "read_file_dense/threads:1", 0.7),
    ("prepared shard, dense, 2 threads", "shard_dense/threads:2", "read_file_dense/threads:1", 0.7),
    ("prepared shard, sparse, 1 thread", "shard_sparse/threads:1", "read_file_sparse/threads:1", 0.7),
    ("prepared shard, sparse, 2 threads", "shard_sparse/threads:2", "read_file_sparse/threads:1", 0.7),
]

# what, arguments of `lambdaml bench comm`, milliseconds to stay below.
ROUND_ROWS = [
    (f"round of {name}, 4 workers, {pattern}",
     ["--workers", "4", "--bytes", bytes_, "--sync-mode", pattern, "--rounds", rounds], limit)
    for name, bytes_, rounds, limits in (("232 B", "232", "500", (1, 1)),
                                         ("189 kB", "188948", "200", (None, None)),
                                         ("4 MB", "4000000", "50", (None, None)),
                                         ("12 MB", "12000000", "30", (None, 60)))
    for pattern, limit in zip(("reduce", "reduce_scatter"), limits)
]

# The original's time for the job of job_row(), repaired to run, on two cores over a local S3 server.
ORIGINAL_JOB_SECONDS = 12.8


def clean_environment():
    return {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def run_ours(binary, what="-deep/", repetitions=31):
    """Name → the best repetition's seconds, bytes per second and seconds per value."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run(
            [binary, f"--benchmark_filter={what}", f"--benchmark_repetitions={repetitions}",
             "--benchmark_min_time=0.01",
             "--benchmark_enable_random_interleaving=true", "--benchmark_out_format=json",
             f"--benchmark_out={out.name}"],
            check=True, env=clean_environment(), stdout=subprocess.DEVNULL)
        report = json.load(open(out.name))
    ours = {}
    for run in report["benchmarks"]:
        if run["run_type"] != "iteration":
            continue
        name = run["name"].removesuffix("/real_time")
        seconds = run["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}[run["time_unit"]]
        if name not in ours or seconds < ours[name]["seconds"]:
            ours[name] = {"seconds": seconds, "bytes_per_second": run["bytes_per_second"],
                          "seconds_per_value": run["seconds_per_value"]}
    return report["context"], ours


def run_peers():
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run([PYTHON, Path(__file__).with_name("peers.py"), out.name], check=True,
                       env=clean_environment())
        return json.load(open(out.name))


def compare(ours, peers):
    rows = []
    for what, name, read, limit, (peer, key, ratio_target) in ROWS:
        if name not in ours:
            continue
        mine = ours[name]
        row = {"what": what, "benchmark": name, "seconds": mine["seconds"],
               "peer": peer, "peer_seconds": peers[key], "ratio": peers[key] / mine["seconds"],
               "ratio_target": ratio_target, "seconds_per_value": mine["seconds_per_value"],
               "seconds_per_value_target": limit}
        reached = [ratio_target is None or row["ratio"] >= ratio_target,
                   limit is None or mine["seconds_per_value"] <= limit]
        if read:
            row["read_share"] = mine["bytes_per_second"] / ours[read[0]]["bytes_per_second"]
            row["read_share_target"] = read[1]
            reached.append(read[1] is None or row["read_share"] >= read[1])
        row["reached"] = all(reached)
        rows.append(row)
    return rows


def text_rows(ours, peers):
    rows = []
    for what, name, megabytes, key, ratio_target in TEXT_ROWS:
        if name not in ours:
            continue
        speed = ours[name]["bytes_per_second"]
        rows.append({"what": what, "figure": f"{speed / 1e6:.0f} MB/s", "bytes_per_second": speed,
                     "beside": f"{'NumPy' if key.startswith('numpy') else 'scikit-learn'} {peers[key] / 1e6:.0f} MB/s", "ratio": speed / peers[key],
                     "target": (f"≥ {megabytes} MB/s, " if megabytes else "") + f"≥ {ratio_target}×",
                     "reached": speed >= (megabytes or 0) * 1e6 and speed >= ratio_target * peers[key]})
    for what, name, read, share_target in SHARD_ROWS:
        if name not in ours:
            continue
        share = ours[name]["bytes_per_second"] / ours[read]["bytes_per_second"]
        rows.append({"what": what, "figure": f"{ours[name]['bytes_per_second'] / 1e9:.2f} GB/s",
                     "beside": f"read() {ours[read]['bytes_per_second'] / 1e9:.2f} GB/s", "ratio": share,
                     "target": f"≥ {share_target} of read()", "reached": share >= share_target})
    return rows


# what, our benchmark, the network in torch_peers.py, the ratios to malloc-tuned and to stock PyTorch to reach.
DEEP_ROWS = [
    ("MobileNet, batch 128, 2 threads, fp32", "deep/mobilenet/fp32/threads:2", "mobilenet", 1.8, 2.5),
    ("MobileNet, batch 128, 2 threads, bf16", "deep/mobilenet/bf16/threads:2", "mobilenet", None, None),
    ("ResNet-18, batch 128, 2 threads, fp32", "deep/resnet18/fp32/threads:2", "resnet18", 1.15, None),
    ("ResNet-18, batch 128, 2 threads, bf16", "deep/resnet18/bf16/threads:2", "resnet18", None, None),
]
# Products of a forward pass over an image of 32 × 32 pixels by direct convolutions. A step computes three times as
# many: also for the gradients of weights and of inputs. Winograd's algorithm needs fewer, so that a share of the peak
# may be above 1.
PRODUCTS = {"mobilenet": 46_354_432, "resnet18": 555_422_720}
# Of an AMX unit: 16 × 16 dot products of 32 numbers in 16 cycles.
AMX_OPERATIONS_PER_CYCLE = 1024


def has_amx():
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def peak_rows(ours):
    """Shares of what the processor's units can do, measured in the same run, and bf16 beside fp32."""
    rows = []
    for what, name, net, _, _ in DEEP_ROWS:
        narrow = "bf16" in name
        unit = "AMX" if narrow and has_amx() else "AVX512-BF16" if narrow else "FMA"
        peak = ours.get("deep/peak/" + {"AMX": "cycles", "AVX512-BF16": "bf16", "FMA": "fma"}[unit] + "/threads:2")
        if name not in ours or peak is None:
            continue
        if unit == "AMX":
            peak *= AMX_OPERATIONS_PER_CYCLE
        share = ours[name] * 6 * PRODUCTS[net] / peak
        target = 0.6 if net == "resnet18" and not narrow else None
        rows.append({"what": what + ", of the peak", "figure": f"{share * peak / 1e9:.0f} GF/s",
                     "beside": f"{unit} {peak / 1e9:.0f} GF/s", "ratio": share,
                     "target": f"≥ {target}" if target else "", "reached": not target or share >= target})
    wide, narrow = ours.get("deep/resnet18/fp32/threads:2"), ours.get("deep/resnet18/bf16/threads:2")
    if wide and narrow:
        rows.append({"what": "ResNet-18, bf16 beside fp32", "figure": f"{narrow:.0f} images/s",
                     "beside": f"fp32 {wide:.0f} images/s", "ratio": narrow / wide,
                     "target": "≥ 3×" if has_amx() else "", "reached": narrow >= 3 * wide})
    return rows


def deep_rows(binary):
    """Ours and PyTorch's in turn, twice; the best of each. Empty where either is missing."""
    ours, peers = {}, {}
    for _ in range(2):
        for mode in ("stock", "tuned"):
            run = subprocess.run([PYTHON, Path(__file__).with_name("torch_peers.py"), mode], capture_output=True,
                                 text=True, env=clean_environment())
            if run.returncode != 0:
                return []
            for name, speed in json.loads(run.stdout).items():
                peers[name, mode] = max(peers.get((name, mode), 0), speed)
        _, timed = run_ours(binary, "deep/.*/threads:2", 4)
        for name, result in timed.items():
            ours[name] = max(ours.get(name, 0), 1 / result["seconds_per_value"])
    rows = []
    for what, name, peer, tuned, stock in DEEP_ROWS:
        for mode, target in (("tuned", tuned), ("stock", stock)):
            if name not in ours:
                continue
            ratio = ours[name] / peers[peer, mode]
            rows.append({"what": what, "figure": f"{ours[name]:.0f} images/s", "images_per_second": ours[name],
                         "beside": f"PyTorch, {mode}, {peers[peer, mode]:.0f} images/s", "ratio": ratio,
                         "target": f"≥ {target}×" if target else "", "reached": not target or ratio >= target})
    return rows + peak_rows(ours)


def lambdaml_json(lambdaml, arguments):
    run = subprocess.run([lambdaml, *arguments, "--json", "-q"], check=True, capture_output=True,
                         text=True, env=clean_environment())
    return json.loads(run.stdout.splitlines()[-1])


def round_rows(lambdaml):
    rows = []
    for what, arguments, limit in ROUND_ROWS:
        result = lambdaml_json(lambdaml, ["bench", "comm", *arguments])
        rows.append({"what": what, "figure": f"{result['median_s'] * 1e3:.3f} ms", "beside": "",
                     "ratio": None, "seconds": result["median_s"], "requests": result["requests"],
                     "target": f"< {limit} ms" if limit else "",
                     "reached": result["bitwise_equal"] and (not limit or result["median_s"] < limit / 1e3)})
    return rows


def job_row(lambdaml):
    """200,000 HIGGS-shaped rows from text, lr, grad_avg, 3 epochs of 54 rounds, 4 workers, over file."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "higgs.libsvm")
        lambdaml_json(lambdaml, ["data", "synth", "higgs", "--rows", "200000", "-o", data])
        walls = []
        for i in range(5):
            started = time.perf_counter()
            summary = lambdaml_json(
                lambdaml, ["train", "--data", data, "--workers", "4", "--epochs", "3", "--batch-size", "926",
                           "--lr", "0.1", "--scale", "none", "--valid-ratio", "0", "--output", os.path.join(folder, f"run{i}")])
            walls.append(time.perf_counter() - started)
            assert summary["rounds"] == 3 * 54, summary
    wall = sorted(walls)[len(walls) // 2]
    return {"what": "job: 200,000 rows, 162 rounds, 4 workers", "figure": f"{wall * 1e3:.0f} ms",
            "beside": f"the original {ORIGINAL_JOB_SECONDS} s", "ratio": ORIGINAL_JOB_SECONDS / wall,
            "seconds": wall, "target": "≥ 20×", "reached": ORIGINAL_JOB_SECONDS / wall >= 20}


# With random rows.
SIMULATED_JOB = ["--optim", "grad_avg", "--valid-ratio", "0", "--features", "28", "--seconds-per-row", "1e-6"]


def measured(arguments):
    """Result, wall seconds and peak bytes of memory of a command that prints JSON."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([*arguments, "--json", "-q"], stdout=out, env=clean_environment())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
        out.seek(0)
        return json.loads(out.read().splitlines()[-1]), wall, 1024 * usage.ru_maxrss


def simulation_rows(lambdaml):
    """A job of one round by 10,000 simulated workers, and a plan of more than 500 ways."""
    _, wall, peak = measured([lambdaml, "simulate", *SIMULATED_JOB, "--rows", "20000", "--batch-size", "2",
                              "--epochs", "1", "--workers", "10000", "--aggregators", "64",
                              "--channel", "redis-r7g.large", "--seeds", "1"])
    rows = [{"what": "simulated job of one round, 10,000 workers, K = 64", "figure": f"{wall:.1f} s",
             "beside": f"{peak / 1e9:.2f} GB", "ratio": None, "seconds": wall, "bytes": peak,
             "target": "< 30 s, < 4 GB", "reached": wall < 30 and peak < 4e9}]
    with tempfile.TemporaryDirectory() as folder:
        plan, wall, _ = measured([lambdaml, "plan", *SIMULATED_JOB, "--rows", "100000", "--batch-size", "100",
                                  "--epochs", "10", "--most-workers", "1000", "-o", os.path.join(folder, "plan.yaml")])
    rows.append({"what": f"plan of {plan['considered']} ways, up to 1,000 workers", "figure": f"{wall:.1f} s",
                 "beside": "", "ratio": None, "seconds": wall, "target": "< 10 s", "reached": wall < 10})
    return rows


def print_lines(rows):
    table = [("what", "ours", "beside", "ratio", "target", "")]
    for row in rows:
        verdict = ("reached" if row["reached"] else "MISSED") if row["target"] else ""
        ratio = f"{row['ratio']:.2f}×" if row["ratio"] else ""
        table.append((row["what"], row["figure"], row["beside"], ratio, row["target"], verdict))
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    print()
    for line in table:
        print("  ".join(cell.rjust(w) if i in (1, 3) else cell.ljust(w)
                        for i, (cell, w) in enumerate(zip(line, widths))).rstrip())


def targets(row):
    parts = []
    if row["ratio_target"]:
        parts.append(f"≥ {row['ratio_target']}×")
    if row.get("read_share_target"):
        parts.append(f"read ≥ {row['read_share_target']}")
    if row["seconds_per_value_target"]:
        parts.append(f"≤ {row['seconds_per_value_target'] * 1e9} ns")
    return ", ".join(parts)


def print_table(context, ours, rows):
    table = [("what", "ours", "a value", "read", "peer", "", "ratio", "target", "")]
    for row in rows:
        share = f"{row['read_share']:.2f}" if "read_share" in row else ""
        verdict = ("reached" if row["reached"] else "MISSED") if targets(row) else ""
        table.append((row["what"], f"{row['seconds'] * 1e3:.1f} ms",
                      f"{row['seconds_per_value'] * 1e9:.2f} ns", share, row["peer"],
                      f"{row['peer_seconds'] * 1e3:.1f} ms", f"{row['ratio']:.1f}×", targets(row),
                      verdict))
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    reads = ", ".join(f"{name} {ours[name]['bytes_per_second'] / 1e9:.1f} GB/s"
                      for name in sorted(ours) if name.startswith("read_"))
    print(textwrap.fill(f"instruction set {context['instruction_set']}, {context['num_cpus']} processors; {reads}",
                        120))
    for line in table:
        print("  ".join(cell.rjust(w) if i in (1, 2, 3, 5, 6) else cell.ljust(w)
                        for i, (cell, w) in enumerate(zip(line, widths))).rstrip())


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    binary, lambdaml, output = sys.argv[1:]
    context, ours = run_ours(binary)
    peers = run_peers()
    rows = compare(ours, peers)
    print_table(context, ours, rows)
    lines = text_rows(ours, peers) + round_rows(lambdaml) + [job_row(lambdaml)]
    lines += simulation_rows(lambdaml) + deep_rows(binary)
    print_lines(lines)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with open(output, "w") as out:
        json.dump({"context": context, "rows": rows, "lines": lines, "benchmarks": ours, "peers": peers}, out, indent=1)


if __name__ == "__main__":
    main()
