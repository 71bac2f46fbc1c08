#!/usr/bin/env python3
"""Measures rounds over every store on a real server and prints them as rows of Markdown.

As: lambdaml_with_servers s3 memcached redis dynamodb -- bench/channels.py PATH/TO/lambdaml
"""
import json
import os
import subprocess
import sys

# The original's rounds in ms on loopback servers (S3, Memcached and DynamoDB; reduce, reduce_scatter; P = 2, 4, 8).
ORIGINAL = {
    ("s3", 58): ((115, 125, 138), (45, 157, 597)),
    ("memcached", 58): ((101, 102, 103), (0.5, 2.5, 8.6)),
    ("dynamodb", 58): ((110, 133, 149), (18, 78, 371)),
    ("s3", 47237): ((125, 142, 159), (63, 217, 633)),
    ("memcached", 47237): ((103, 105, 105), (2.5, 4.7, 25)),
    ("dynamodb", 47237): ((139, 143, 196), (80, 139, 461)),
    ("s3", 1000000): ((215, 374, 549), (116, 478, 859)),
    ("memcached", 1000000): ((131, 169, 314), (34, 62, 204)),
}
WORKERS = (2, 4, 8)
PATTERNS = ("reduce", "reduce_scatter")
SIZES = {58: 31, 47237: 21, 1000000: 7}


def measure(lambdaml, channel, workers, floats, pattern, rounds):
    command = [lambdaml, "bench", "comm", "--channel", channel, "--workers", str(workers), "--bytes",
               str(4 * floats), "--sync-mode", pattern, "--rounds", str(rounds), "--json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(out.splitlines()[-1])
    assert result["bitwise_equal"], command
    return result


def main():
    lambdaml = sys.argv[1]
    print("| channel | floats | pattern | P | round, ms | floor, ms | ratio | original, ms | requests | MB | $ per 1,000 |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    stores = {"file": "file"}
    for scheme in ("memcached", "redis", "s3", "dynamodb"):
        if uri := os.environ.get("LAMBDAML_STORE_" + scheme.upper()):
            stores[scheme] = uri + "/bench"
    for scheme, uri in stores.items():
        for floats, rounds in SIZES.items():
            for p, pattern in enumerate(PATTERNS):
                for w, workers in enumerate(WORKERS):
                    r = measure(lambdaml, uri, workers, floats, pattern, rounds)
                    before = ORIGINAL.get((scheme, floats))
                    print("| {} | {:,} | {} | {} | {:.2f} | {:.2f} | {:.1f} | {} | {:.0f} | {:.3g} | {:.3g} |".format(
                        scheme, floats, pattern, workers, r["median_s"] * 1e3, r["floor_s"] * 1e3,
                        r["median_s"] / r["floor_s"], before[p][w] if before else "", r["requests"],
                        r["bytes"] / 1e6, 1000 * r["cost_usd"]), flush=True)


if __name__ == "__main__":
    main()
