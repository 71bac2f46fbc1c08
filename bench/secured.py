#!/usr/bin/env python3
"""Measures rounds over Redis with TLS and over a cluster of three masters, beside plain Redis, as rows of Markdown.

As: lambdaml_with_servers redis rediss masters -- bench/secured.py PATH/TO/lambdaml
The stores take turns, so that a machine with other work slows them all; a ratio is the median over the turns.

"Server alone": what the ratio would be if TLS cost the workers nothing. A round is this many SETs and GETs, which one
thread of the server serves one after the other; redis-benchmark, another client, has it serve as many of that size with
and without TLS, and the server says what processor time they took (INFO cpu). On a machine with other work plain
rounds are longer and this figure is too small: compare the server's milliseconds with plain rounds of an idle machine.
Exit code 1 if a ratio is above its target, or, where the server alone is above it, more than 1.5 times the server alone.
"""
import json
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys

TURNS = 7
WORKERS = 4
# bytes of the vector, rounds in a turn, targets of TLS and of the cluster.
SIZES = ((232, 200, 1.3, 1.5), (188948, 60, 1.3, 1.5), (4000000, 15, 1.8, 1.5))
PATTERNS = ("reduce", "reduce_scatter")
MOST_ABOVE_SERVER = 1.5


def round_s(lambdaml, channel, size, pattern, rounds):
    command = [lambdaml, "bench", "comm", "--channel", channel, "--workers", str(WORKERS), "--bytes", str(size),
               "--sync-mode", pattern, "--rounds", str(rounds), "--json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(out.splitlines()[-1])
    assert result["bitwise_equal"], command
    return result["median_s"]


def server_cpu_s(store):
    """The processor time that the server has used until now."""
    scheme, host, port = re.match(r"(rediss?)://([^:/]+):(\d+)", store).groups()
    connection = socket.create_connection((host, int(port)))
    if scheme == "rediss":
        connection = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]).wrap_socket(
            connection, server_hostname=host)
    with connection:
        connection.sendall(b"INFO cpu\r\n")
        text = b""
        while not re.search(rb"used_cpu_user:[\d.]+\r\n", text):
            text += connection.recv(4096)
    return sum(float(re.search(rb"used_cpu_%s:([\d.]+)" % kind, text)[1]) for kind in (b"sys", b"user"))


def serve_s(store, size, pattern):
    """The server's processor time for a round."""
    chunks = WORKERS if pattern == "reduce_scatter" else 1
    counts = {"set": chunks * WORKERS, "get": 2 * chunks * (WORKERS - 1)}
    host, port = re.match(r"rediss?://([^:/]+):(\d+)", store).groups()
    command = ["redis-benchmark", "-h", host, "-p", port, "-c", str(WORKERS), "-d", str(size // chunks)]
    if store.startswith("rediss:"):
        command += ["--tls", "--cacert", os.environ["SSL_CERT_FILE"]]
    total = 0
    for verb, count in counts.items():
        n = max(100, min(20000, int(4e8 / size)))
        before = server_cpu_s(store)
        subprocess.run(command + ["-t", verb, "-n", str(n)], check=True, capture_output=True)
        total += count * (server_cpu_s(store) - before) / n
    return total


def main():
    lambdaml = sys.argv[1]
    servers = [os.environ["LAMBDAML_STORE_" + name] for name in ("REDIS", "REDISS", "MASTERS")]
    missed = False
    print("| bytes | pattern | redis, ms | TLS | server's TLS, ms | server alone | target | cluster | target |")
    print("|---|---|---|---|---|---|---|---|---|")
    for size, rounds, tls_target, cluster_target in SIZES:
        for pattern in PATTERNS:
            turns = [[round_s(lambdaml, server + "/bench", size, pattern, rounds) for server in servers]
                     for _ in range(TURNS)]
            plain = statistics.median(turn[0] for turn in turns)
            tls, cluster = (statistics.median(turn[i] / turn[0] for turn in turns) for i in (1, 2))
            server_tls_s = serve_s(servers[1], size, pattern) - serve_s(servers[0], size, pattern)
            alone = 1 + server_tls_s / plain
            reachable = tls_target if alone <= tls_target else MOST_ABOVE_SERVER * alone
            missed |= tls > reachable or cluster > cluster_target
            print("| {:,} | {} | {:.2f} | {:.2f}× | {:.2f} | {:.2f}× | {} | {:.2f}× | {} |".format(
                size, pattern, plain * 1e3, tls, server_tls_s * 1e3, alone, tls_target, cluster, cluster_target),
                flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
