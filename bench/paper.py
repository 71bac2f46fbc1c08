#!/usr/bin/python3
"""Prints the tables of the paper beside ours, computed from profiles, and draws them.

As: bench/paper.py PATH/TO/lambdaml_paper [FOLDER]
The tables are Markdown, for docs/how-to/planning.md; FOLDER receives paper-rounds.svg and paper-crossover.svg (matplotlib).
"""
import json
import pathlib
import subprocess
import sys


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def seconds(value):
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def beside(value, paper):
    return f"{seconds(value)} ({100 * (value / paper - 1):+.0f} %)"


def print_tables(tables):
    table(["rounds over S3, s", "workers", "pattern", "paper", "original, simulated", "ours then", "ours today: S3", "Express",
           "Valkey"],
          [[r["model"] if p == 0 else "", str(r["workers"]) if p == 0 else "", pattern, seconds(r["paper"][p]),
            beside(r["original"][p], r["paper"][p]), seconds(r["ours"][p]),
            *(seconds(r[store]) if p == 0 else "" for store in ("s3-standard", "s3-express", "valkey"))]
           for r in tables["rounds"] for p, pattern in enumerate(("reduce", "reduce_scatter"))])
    table(["job", "workers", "over", "round, s", "over S3, s", "time, paper", "simulated", "dollars, paper", "simulated"],
          [[c["job"] if c["channel"] == "Memcached" else "", str(c["workers"]) if c["channel"] == "Memcached" else "",
            c["channel"], seconds(c["round"]), seconds(c["s3_round"]),
            *(text for paper, then in zip(c["paper"], c["then"]) for text in (f"{paper:.2f}", beside(then, paper)))]
           for c in tables["channels"]])
    paper = {10: 1.2, 50: 11, 100: 18, 200: 35}
    table(["start-up, s", *(f"{s['workers']:.0f} workers" for s in tables["starts"])],
          [["paper", *(seconds(paper[s["workers"]]) for s in tables["starts"])],
           ["one after another", *(beside(s["then"], paper[s["workers"]]) for s in tables["starts"])],
           ["all at once, arm64", *(seconds(s["today"]) for s in tables["starts"])]])
    parts = ("start", "load", "compute", "rounds", "total")
    breakdown = tables["breakdown"]
    names = {"paper": "paper", "then": "simulated", "today": "ours: prepared data, S3 Express, arm64"}
    table(["LR on HIGGS, 10 workers, s", *parts],
          [[name, *(beside(breakdown[key][part], breakdown["paper"][part]) if key == "then" else seconds(breakdown[key][part])
                    for part in parts)] for key, name in names.items()])

    def side(one):
        return f"{seconds(one['seconds'])} s, ${one['usd']:.3f}"

    def crossover(one):
        return "never" if one["crossover_epochs"] is None else f"{one['crossover_epochs']:.0f}"

    table(["workers", "functions then", "machines then", "up to epoch", "Express", "Valkey", "machines today",
           "up to epoch"],
          [[f"{c['workers']:.0f}", side(c["then"]["functions"]), side(c["then"]["machines"]), crossover(c["then"]),
            side(c["today"]["s3-express"]), side(c["today"]["valkey"]), side(c["today"]["machines"]),
            crossover(c["today"])] for c in tables["faas_iaas"]])


def draw(tables, folder):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "lambdaml"  # the same file from the same numbers
    from matplotlib import pyplot as plt

    def save(figure, name):
        figure.tight_layout()
        figure.savefig(folder / name, metadata={"Date": None})

    series = {"paper": lambda r: min(r["paper"]), "original, simulated": lambda r: min(r["original"]),
              "ours then": lambda r: min(r["ours"]), "S3 today": lambda r: r["s3-standard"],
              "S3 Express": lambda r: r["s3-express"], "Valkey": lambda r: r["valkey"]}
    figure, axes = plt.subplots(figsize=(7, 3.2))
    width = 0.8 / len(series)
    for i, (name, of) in enumerate(series.items()):
        axes.bar([x + i * width for x in range(len(tables["rounds"]))], [of(r) for r in tables["rounds"]], width, label=name)
    axes.set_yscale("log")
    axes.set_ylim(top=200)  # room for the legend
    axes.set_ylabel("the faster pattern's round, s")
    axes.set_xticks([x + 0.4 - width / 2 for x in range(len(tables["rounds"]))],
                    [f"{r['model']}, {r['workers']} workers" for r in tables["rounds"]])
    axes.legend(fontsize=7, ncol=2)
    save(figure, "paper-rounds.svg")

    figure, axes = plt.subplots(figsize=(7, 3.2))
    comparison = tables["faas_iaas"]
    for era, key, name in (("then", "functions", "functions then"), ("then", "machines", "machines then"),
                           ("today", "s3-express", "functions, S3 Express"), ("today", "machines", "machines today")):
        axes.plot([c["workers"] for c in comparison], [c[era][key]["seconds"] for c in comparison], marker="o", label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("workers")
    axes.set_ylabel("LR on HIGGS, 10 epochs, s")
    axes.legend(fontsize=7)
    save(figure, "paper-crossover.svg")


def main():
    tables = json.loads(subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout)
    print_tables(tables)
    if len(sys.argv) > 2:
        draw(tables, pathlib.Path(sys.argv[2]))


if __name__ == "__main__":
    main()
