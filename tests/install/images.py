"""Container images of `lambdaml package --oci`: a real registry takes them, skopeo reads them, their worker trains.
As: images.py BIN WORK

Everything happens below WORK, which is emptied first.
"""

import crypt
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import unittest

BIN, WORK = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
ENVIRONMENT = {**os.environ, "HOME": str(WORK), "XDG_RUNTIME_DIR": str(WORK / "run"), "LC_ALL": "C.UTF-8"}
for variable in ("LAMBDAML_WORKER", "XDG_CONFIG_HOME", "LAMBDAML_REGISTRY_AUTH", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"):
    ENVIRONMENT.pop(variable, None)


def run(*command, code=0, timeout=600, **more):
    """What a command prints that ends with this code: to its standard output, of a failure to standard error."""
    done = subprocess.run([str(word) for word in command], cwd=WORK, env={**ENVIRONMENT, **more}, timeout=timeout,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != code:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stderr if code else done.stdout


def lambdaml(*words, **more):
    return run(BIN / "lambdaml", *words, **more)


class Registry:
    """docker-registry on a free port; with a login for me:sesame if wanted."""

    def __init__(self, name, with_login=False):
        folder = WORK / name
        folder.mkdir()
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        text = (f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
                f"http: {{addr: '{self.host}', secret: s}}\n")
        if with_login:
            hashed = crypt.crypt("sesame", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
            (folder / "htpasswd").write_text(f"me:{hashed}\n")
            text += f"auth: {{htpasswd: {{realm: here, path: {folder}/htpasswd}}}}\n"
        (folder / "config.yml").write_text(text)
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((folder / "log").read_text()[-1000:]) from None
                time.sleep(0.05)

    def end(self):
        self.process.kill()
        self.process.wait()


def unpacked(layout, folder):
    """The files of an image in the OCI layout; returns its folder /var/task."""
    def blob(descriptor):
        return layout / "blobs" / descriptor["digest"].replace(":", "/")

    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]).read_text())
    for layer in manifest["layers"]:
        with tarfile.open(blob(layer)) as tar:
            tar.extractall(folder)
    return folder / "var/task"


def model_of(output, *words, **more):
    lambdaml("train", "-q", "--workers", 2, "--output", output, *words, **more)
    return (WORK / output / "model.safetensors").read_bytes()


class Images(unittest.TestCase):
    def test_1_a_registry_takes_one_and_its_worker_trains(self):
        registry = Registry("registry")
        self.addCleanup(registry.end)
        name = f"{registry.host}/team/lambdaml"
        text = lambdaml("package", "--json", "--oci", "-o", "image", "--push", f"{name}:1")
        about = json.loads(text.splitlines()[-1])
        self.assertGreater(about["sent_bytes"], 1e6)
        seen = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}:1"))
        self.assertEqual(seen["Digest"], about["digest"])
        again = json.loads(lambdaml("package", "--json", "--oci", "-o", "image", "--push", f"{name}:2"))
        self.assertEqual((again["digest"], again["sent_bytes"]), (about["digest"], 0))
        run("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}:2", "oci:back:latest")
        task = unpacked(WORK / "back", WORK / "unpacked")
        lambdaml("data", "synth", "higgs", "--rows", 2000, "-o", "train.libsvm")
        here = model_of("here", "--data", "train.libsvm")
        self.assertEqual(model_of("there", "--data", "train.libsvm", LAMBDAML_WORKER=str(task / "bootstrap")), here)

    def test_2_a_registry_with_a_login(self):
        registry = Registry("locked", with_login=True)
        self.addCleanup(registry.end)
        push = ("package", "--oci", "-o", "image", "--push", f"{registry.host}/lambdaml:1")
        refused = lambdaml(*push, code=2)
        self.assertEqual(refused.count("\n"), 1, refused)
        self.assertIn("LAMBDAML_REGISTRY_AUTH=USER:PASSWORD", refused)
        refused = lambdaml(*push, code=2, LAMBDAML_REGISTRY_AUTH="me:wrong-word")
        self.assertIn("login is not valid", refused)
        self.assertNotIn("wrong-word", refused)
        lambdaml(*push, LAMBDAML_REGISTRY_AUTH="me:sesame")
        # As others leave it.
        run("skopeo", "login", "--tls-verify=false", "--authfile", WORK / ".docker/config.json", "-u", "me", "-p",
            "sesame", registry.host)
        lambdaml(*push)
        run("skopeo", "logout", "--authfile", WORK / ".docker/config.json", registry.host)
        self.assertIn("wants a login", lambdaml(*push, code=2))
        # Where skopeo and podman leave it by themselves.
        run("skopeo", "login", "--tls-verify=false", "-u", "me", "-p", "sesame", registry.host)
        self.assertTrue((WORK / "run/containers/auth.json").exists())
        lambdaml(*push)

    @unittest.skipUnless((BIN / "liblambdaml_torch.so").exists(), "this build has no deep models")
    def test_3_with_torch(self):
        lambdaml("package", "--oci", "--with", "torch", "-o", "deep-image")
        task = unpacked(WORK / "deep-image", WORK / "deep-unpacked")
        lambdaml("data", "synth", "cifar10", "--rows", 64, "-o", "images")
        job = ("--data", "images", "--model", "mobilenet", "--epochs", 1, "--batch-size", 16)
        here = model_of("deep-here", *job)
        self.assertEqual(model_of("deep-there", *job, LAMBDAML_WORKER=str(task / "bootstrap")), here)


shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir(parents=True)
(WORK / ".docker").mkdir()
(WORK / "run").mkdir(mode=0o700)
unittest.main(argv=sys.argv[:1], verbosity=2)
