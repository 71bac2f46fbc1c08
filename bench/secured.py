#!/usr/bin/env python3
"""Measures rounds over Redis with TLS and over a cluster of three masters, beside plain Redis, as rows of Markdown.

As: lambdaml_with_servers redis rediss cluster -- bench/secured.py PATH/TO/lambdaml
The stores take turns, so that a machine with other work slows them all; a ratio is the median over the turns.
Exit code 1 if a ratio is above its target.
"""
import json
import os
import statistics
import subprocess
import sys

TURNS = 7
WORKERS = 4
# bytes of the vector, rounds in a turn, targets of TLS and of the cluster.
SIZES = ((232, 200, 1.3, 1.5), (188948, 60, 1.3, 1.5), (4000000, 15, 1.8, 1.5))
PATTERNS = ("reduce", "reduce_scatter")


def round_s(lambdaml, channel, size, pattern, rounds):
    command = [lambdaml, "bench", "comm", "--channel", channel, "--workers", str(WORKERS), "--bytes", str(size),
               "--sync-mode", pattern, "--rounds", str(rounds), "--json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(out.splitlines()[-1])
    assert result["bitwise_equal"], command
    return result["median_s"]


def main():
    lambdaml = sys.argv[1]
    stores = [os.environ["LAMBDAML_STORE_" + name] + "/bench" for name in ("REDIS", "REDISS", "CLUSTER")]
    missed = False
    print("| bytes | pattern | redis, ms | TLS | target | cluster | target |")
    print("|---|---|---|---|---|---|---|")
    for size, rounds, tls_target, cluster_target in SIZES:
        for pattern in PATTERNS:
            turns = [[round_s(lambdaml, store, size, pattern, rounds) for store in stores] for _ in range(TURNS)]
            plain = statistics.median(turn[0] for turn in turns)
            tls, cluster = (statistics.median(turn[i] / turn[0] for turn in turns) for i in (1, 2))
            missed |= tls > tls_target or cluster > cluster_target
            print("| {:,} | {} | {:.2f} | {:.2f}× | {} | {:.2f}× | {} |".format(
                size, pattern, plain * 1e3, tls, tls_target, cluster, cluster_target), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
