#!/usr/bin/env python3
"""Trains on a large CSV table in S3 with functions that read it, and counts the bytes that the command itself receives.

As: lambdaml_with_servers s3 -- bench/large_data.py PATH/TO/lambdaml FUNCTION.zip [MEGABYTES] [FUNCTIONS]
FUNCTION.zip is what `lambdaml package` makes. 1,000 MB in four files and 8 functions on `lambdaml emulate` unless others
are given. Prints one JSON object; exit code 1 if the command received 1 % of the data or more.
"""
import json
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

FILES = 4


class Relay:
    """Passes connections to a port on and counts what is answered."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.answered = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(self.target) as server:
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is server:
                        with self.lock:
                            self.answered += len(data)
                    (client if source is server else server).sendall(data)


def write_table(path, megabytes, label):
    """Rows of one class, so that a worker that read a run of them would see that class alone."""
    block = random.Random(label)
    rows = ["{},{}\n".format(label, ",".join("{:.6f}".format(block.gauss(0.2 * label, 1)) for _ in range(20)))
            for _ in range(20000)]
    text = "".join(rows).encode()
    header = ("label," + ",".join("x%d" % i for i in range(20)) + "\n").encode()
    with open(path, "wb") as out:
        out.write(header)
        while out.tell() < megabytes * 1000 * 1000:
            out.write(text)


def main():
    lambdaml, package = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    megabytes = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    functions = int(sys.argv[4]) if len(sys.argv) > 4 else 8
    store = os.environ["LAMBDAML_STORE_S3"]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        def run(*arguments, **environment):
            return subprocess.run([lambdaml, *arguments], check=True, stdout=subprocess.PIPE, text=True, cwd=folder,
                                  env={**os.environ, **environment}).stdout

        table = os.path.join(folder, "part.csv")
        for part in range(FILES):
            write_table(table, megabytes // FILES, part % 2)
            run("storage", "put", store + "/table", "part-%d.csv" % part, table)
        os.remove(table)
        emulator = subprocess.Popen([lambdaml, "emulate", "--port", "0", "--log-folder", "logs"], stdout=subprocess.PIPE,
                                    text=True, cwd=folder)
        try:
            url = next(word for line in emulator.stdout for word in line.split() if word.startswith("http://"))
            os.environ["AWS_ENDPOINT_URL_LAMBDA"] = url
            run("deploy", "--zip", package, "--function", "worker", "--timeout-s", "600", "--memory-mb", "1769", "--role",
                "arn:aws:iam::000000000000:role/r", "--code-bucket", store + "/code")
            relay = Relay(urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL_S3"]).port)
            begin = time.monotonic()
            summary = json.loads(run(
                "train", "--data", store + "/table", "--model", "lr", "--platform", "aws", "--function", "worker",
                "--workers", str(functions), "--channel", store + "/channel", "--epochs", "5", "--json", "-q",
                AWS_ENDPOINT_URL_S3="http://127.0.0.1:%d" % relay.port).splitlines()[-1])
            seconds = time.monotonic() - begin
        finally:
            emulator.terminate()
            emulator.wait()
            for prefix in ("table", "code", "channel"):
                run("storage", "clear", store + "/" + prefix)
    print(json.dumps({"data_mb": megabytes, "functions": functions, "rows": summary["rows"], "seconds": round(seconds, 1),
                      "valid_accuracy": summary.get("valid_accuracy"), "received_mb": relay.answered / 1e6}))
    return 0 if relay.answered < megabytes * 1e4 else 1


if __name__ == "__main__":
    sys.exit(main())
