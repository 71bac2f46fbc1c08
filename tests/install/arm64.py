"""The zip for arm64: its worker trains on this machine, under qemu-user. As: arm64.py BIN ZIP WORK

Everything happens below WORK, which is emptied first.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

BIN, ZIP, WORK = (pathlib.Path(path).resolve() for path in sys.argv[1:4])
QEMU = "qemu-aarch64-static"
TASK = WORK / "task"
WORKER = TASK / "start"
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8"}
ENVIRONMENT.pop("LAMBDAML_WORKER", None)


def run(*command, code=0, **more):
    """What a command prints that ends with this code."""
    done = subprocess.run([str(word) for word in command], cwd=WORK, env={**ENVIRONMENT, **more}, timeout=300,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != code:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def script(path, *words):
    path.write_text(f"#!/bin/sh\nexec {' '.join(str(word) for word in words)} \"$@\"\n")
    path.chmod(0o755)


def train(output, *job, **more):
    """The summary and the model's bytes."""
    text = run(BIN / "lambdaml", "train", "-q", "--json", "--workers", 2, "--output", output, *job, **more)
    return json.loads(text.splitlines()[-1]), (WORK / output / "model.safetensors").read_bytes()


def setUpModule():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    run("unzip", "-q", ZIP, "-d", TASK)
    # The kernel starts no program of arm64, so qemu is put before what the zip starts.
    (TASK / "lib/loader").rename(TASK / "lib/real-loader")
    script(TASK / "lib/loader", QEMU, TASK / "lib/real-loader")
    script(WORKER, QEMU, TASK / "bootstrap")
    run(BIN / "lambdaml", "data", "synth", "higgs", "--rows", 2000, "-o", "dense.libsvm")
    run(BIN / "lambdaml", "data", "synth", "rcv1", "--rows", 1000, "-o", "sparse.libsvm")


class Zip(unittest.TestCase):
    def test_it_says_what_it_is(self):
        about = json.loads((TASK / "lambdaml.json").read_text())
        self.assertEqual(about["architecture"], "arm64")
        self.assertTrue({"libssl.so.3", "libcurl.so.4", "libc.so.6"} <= set(about["libraries"]))
        self.assertLess(ZIP.stat().st_size, 12e6)
        self.assertTrue(run(WORKER, "--version").startswith("lambdaml-worker "))

    def test_its_worker_needs_nothing_of_this_machine(self):
        out = run(QEMU, "-E", "LD_TRACE_LOADED_OBJECTS=1", TASK / "lib/real-loader", "--library-path", TASK / "lib",
                  TASK / "bin/lambdaml-worker")
        found = re.findall(r"=> (\S+)", out)
        self.assertGreater(len(found), 5, out)
        for path in found:
            self.assertEqual(pathlib.Path(path).parent, TASK / "lib", out)


class Jobs(unittest.TestCase):
    def check(self, name, *job):
        """Trains here and there, twice there, and returns the two models."""
        here, model = train(f"{name}-here", *job, LAMBDAML_ISA="portable")
        there, other = train(f"{name}-there", *job, LAMBDAML_WORKER=str(WORKER))
        self.assertGreater(there["rounds"], 0)
        # A product is added with one rounding on arm64, and with two on x86-64 without AVX2.
        self.assertAlmostEqual(there["train_loss"], here["train_loss"], delta=1e-5 * abs(here["train_loss"]))
        self.assertEqual(train(f"{name}-again", *job, LAMBDAML_WORKER=str(WORKER))[1], other)
        return model, other

    def test_dense(self):
        self.check("lbfgs", "--data", "dense.libsvm", "--model", "lr")
        self.check("admm", "--data", "dense.libsvm", "--model", "lr", "--optim", "admm")

    def test_sparse(self):
        self.check("sparse", "--data", "sparse.libsvm", "--model", "lr", "--optim", "grad_avg", "--epochs", 2)

    def test_the_same_bytes_where_rounding_decides_nothing(self):
        # Of the hinge loss, rows count by the side of their margins.
        model, other = self.check("svm", "--data", "dense.libsvm", "--model", "svm", "--optim", "model_avg")
        self.assertEqual(model, other)

    def test_over_tls(self):
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
            "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
        command = [BIN / "lambdaml", "ps", "--port", "0", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]
        server = subprocess.Popen(command, cwd=WORK, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.addCleanup(server.stdout.close)
        port = next(found[1] for line in server.stdout if (found := re.search(r":(\d+)\b", line)))
        self.check("ps", "--data", "dense.libsvm", "--model", "lr", "--channel",
                   f"ps://127.0.0.1:{port}?tls=1&ca={WORK}/cert.pem", "--checkpoint", WORK / "checkpoints")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
