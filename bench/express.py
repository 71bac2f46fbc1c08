#!/usr/bin/env python3
"""Measures rounds over S3 Express One Zone, played by a script that answers after 5 ms, as rows of Markdown.

As: lambdaml_with_servers express -- bench/express.py PATH/TO/lambdaml
The ratio is that of a round to its four requests, measured alone just before. Exit code 1 if it is above its target.
"""
import json
import os
import statistics
import subprocess
import sys

TURNS = 5
BYTES = 232
# workers, pattern, target
ROWS = ((8, "reduce", 1.3), (4, "reduce", None), (16, "reduce", None), (8, "reduce_scatter", None))


def main():
    lambdaml, store = sys.argv[1], os.environ["LAMBDAML_STORE_EXPRESS"]
    missed = False
    print("| P | pattern | round, ms | its four requests, ms | ratio | target | GETs and PUTs | dollars per 1,000 |")
    print("|---|---|---|---|---|---|---|---|")
    for workers, pattern, target in ROWS:
        command = [lambdaml, "bench", "comm", "--channel", store, "--workers", str(workers), "--bytes", str(BYTES),
                   "--sync-mode", pattern, "--rounds", "100", "--json"]
        turns = []
        for _ in range(TURNS):
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            turns.append(json.loads(out.splitlines()[-1]))
            assert turns[-1]["bitwise_equal"], command
        round_s, requests, cost = (statistics.median(t[k] for t in turns) for k in ("median_s", "requests", "cost_usd"))
        four_s = statistics.median(2 * (t["put_s"] + t["get_s"]) for t in turns)
        ratio = statistics.median(t["median_s"] / (2 * (t["put_s"] + t["get_s"])) for t in turns)
        missed |= target is not None and ratio > target
        print("| {} | {} | {:.1f} | {:.1f} | {:.2f} | {} | {:.1f} | {:.4f} |".format(
            workers, pattern, round_s * 1e3, four_s * 1e3, ratio, target or "", requests, cost * 1e3), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
