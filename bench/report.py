#!/usr/bin/python3
"""Runs the kernel benchmarks and their peers, prints one table and writes JSON.

Usage: report.py BINARY OUTPUT_JSON
Each number is the best of several repetitions, which alternate between the benchmarks, so that the
read bandwidth is measured between them and not before. A share is bytes per second over those of
reading the same memory with as many threads.
"""
import json
import os
import subprocess
import sys
import tempfile
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


def clean_environment():
    return {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def run_ours(binary):
    """Name → the best repetition's seconds, bytes per second and seconds per value."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run(
            [binary, "--benchmark_repetitions=31", "--benchmark_min_time=0.01",
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


def targets(row):
    parts = []
    if row["ratio_target"]:
        parts.append(f"≥ {row['ratio_target']}×")
    if row.get("read_share_target"):
        parts.append(f"read ≥ {row['read_share_target']}")
    if row["seconds_per_value_target"]:
        parts.append(f"≤ {row['seconds_per_value_target'] * 1e9} ns/value")
    return ", ".join(parts)


def print_table(context, ours, rows):
    table = [("what", "ours", "per value", "read share", "peer", "", "ratio", "target", "")]
    for row in rows:
        share = f"{row['read_share']:.2f}" if "read_share" in row else ""
        verdict = ("reached" if row["reached"] else "MISSED") if targets(row) else ""
        table.append((row["what"], f"{row['seconds'] * 1e3:.1f} ms",
                      f"{row['seconds_per_value'] * 1e9:.2f} ns", share, row["peer"],
                      f"{row['peer_seconds'] * 1e3:.1f} ms", f"{row['ratio']:.1f}×", targets(row),
                      verdict))
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    print(f"instruction set {context['instruction_set']}, {context['num_cpus']} processors; " +
          ", ".join(f"{name} {ours[name]['bytes_per_second'] / 1e9:.1f} GB/s"
                    for name in sorted(ours) if name.startswith("read_")))
    for line in table:
        print("  ".join(cell.rjust(w) if i in (1, 2, 3, 5, 6) else cell.ljust(w)
                        for i, (cell, w) in enumerate(zip(line, widths))).rstrip())


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    context, ours = run_ours(sys.argv[1])
    peers = run_peers()
    rows = compare(ours, peers)
    print_table(context, ours, rows)
    Path(sys.argv[2]).parent.mkdir(parents=True, exist_ok=True)
    with open(sys.argv[2], "w") as out:
        json.dump({"context": context, "rows": rows, "benchmarks": ours, "peers": peers}, out, indent=1)


if __name__ == "__main__":
    main()
