"""The Debian packages in a bare Debian tree: installed, used, removed. As: debian.py BUILD WORK

Needs root, for chroot(2). Everything happens below WORK, which is emptied first.
"""

import gzip
import json
import os
import pathlib
import shutil
import sys
import unittest

import bare_tree
from bare_tree import run

BUILD, WORK = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
SOURCE = pathlib.Path(__file__).resolve().parents[2]
TREE = WORK / "tree"
PACKAGES = WORK / "packages"


def inside(script):
    return bare_tree.inside(TREE, script)


def files_of_the_tree():
    skipped = {TREE / name for name in ("proc", "sys", "dev", "var", "tmp", "run")}
    found = set()
    for folder, folders, files in os.walk(TREE):
        folders[:] = [name for name in folders if pathlib.Path(folder, name) not in skipped]
        found.update(str(pathlib.Path(folder, name).relative_to(TREE)) for name in files + folders)
    return found


def package(name):
    found = list(PACKAGES.glob(f"{name}_*.deb"))
    assert len(found) == 1, found
    return found[0]


def setUpModule():
    shutil.rmtree(WORK, ignore_errors=True)
    PACKAGES.mkdir(parents=True)
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", PACKAGES)
    bare_tree.make(TREE, "--variant=apt")
    for name in PACKAGES.glob("*.deb"):
        shutil.copy(name, TREE / "mnt")


class Packages(unittest.TestCase):
    def test_the_command_is_installed_used_and_removed(self):
        inside("apt-get update -qq")
        before = files_of_the_tree()
        inside("apt-get install -y -qq --no-install-recommends /mnt/lambdaml_*.deb")
        new = files_of_the_tree() - before
        for path in ("usr/bin/lambdaml", "usr/bin/lambdaml-worker", "usr/share/doc/lambdaml/copyright",
                     "usr/share/bash-completion/completions/lambdaml", "usr/share/zsh/site-functions/_lambdaml",
                     "usr/share/fish/vendor_completions.d/lambdaml.fish"):
            self.assertIn(path, new)
        listed = inside("dpkg -L lambdaml").split()
        self.assertIn("/usr/share/man/man1/lambdaml-train.1.gz", [
            line if line.endswith(".gz") else line + ".gz" for line in listed])

        # The documentation lies there as in the source tree, and its links lead to files.
        doc = TREE / "usr/share/doc/lambdaml"
        for path in ("README.md", "CHANGELOG.md", "LICENSE", "changelog.gz", "changelog.Debian.gz", "docs/README.md",
                     "docs/how-to/report.md", "docs/pictures/report.png", "examples/cpp/train/main.cc",
                     "licences/libjs-chart.js", "licences/nlohmann-json3-dev"):
            self.assertTrue((doc / path).is_file(), path)
        self.assertIn(b"lambdaml (", gzip.decompress((doc / "changelog.Debian.gz").read_bytes()))
        self.assertEqual(gzip.decompress((doc / "changelog.gz").read_bytes()), (doc / "CHANGELOG.md").read_bytes())
        links = run(sys.executable, "-B", SOURCE / "tests/docs/links.py", doc, "src", "tests", "packages")
        self.assertRegex(links, r"[0-9]{2,} pages")

        # A user without rights trains, predicts, and makes the package of a function.
        out = inside("""
            useradd --create-home user
            su user -c 'cd && lambdaml data synth higgs --rows 20000 -o h.libsvm -q'
            su user -c 'cd && lambdaml train --data h.libsvm --workers 3 --output run --json -q'""")
        summary = json.loads(out.splitlines()[-1])
        self.assertEqual(summary["workers"], 3)
        self.assertGreater(summary["valid_accuracy"], 0.6)
        self.assertIn("accuracy", inside("su user -c 'cd && lambdaml predict --model run --data h.libsvm --out p --json'"))
        checks = json.loads(inside("su user -c 'cd && lambdaml doctor --json'").splitlines()[-1])
        self.assertTrue(checks["ok"], checks)
        # What is loaded when it is first used is there: curl and TLS (nothing listens), compression, zip.
        refused = inside("""su user -c 'AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_ENDPOINT_URL=http://127.0.0.1:9 \\
            lambdaml storage ls s3://bucket 2>&1' || true""")
        self.assertIn("127.0.0.1:9", refused)
        self.assertNotIn("cannot load", refused)
        inside("su user -c 'cd && gzip -k h.libsvm && lambdaml data info h.libsvm.gz'")
        self.assertIn("zip_bytes", inside("su user -c 'cd && lambdaml package -o f.zip --json'"))

        inside("apt-get purge -y -qq lambdaml && apt-get autoremove -y -qq --purge && userdel --remove user")
        self.assertEqual([path for path in files_of_the_tree() if "lambdaml" in path and not path.startswith("mnt/")], [])
        left = files_of_the_tree() - before
        self.assertEqual([path for path in left if not path.startswith("etc/")], [])

    def test_the_other_packages_can_be_installed(self):
        # Simulated: the libraries that they need are gigabytes.
        inside("apt-get update -qq")
        names = "/mnt/lambdaml_*.deb /mnt/liblambdaml-dev_*.deb"
        if list(PACKAGES.glob("lambdaml-torch_*.deb")):
            names += " /mnt/lambdaml-torch_*.deb"
            self.assertIn("liblambdaml_torch.so", run("dpkg-deb", "-c", package("lambdaml-torch")))
            self.assertIn("libtorch", run("dpkg-deb", "-f", package("lambdaml-torch"), "Depends"))
        inside(f"apt-get install -s -qq --no-install-recommends {names}")
        contents = run("dpkg-deb", "-c", package("liblambdaml-dev"))
        for path in ("liblambdaml.a", "lambdamlConfig.cmake", "lambdamlConfigVersion.cmake", "lambdaml.pc",
                     "include/lambdaml/trigger/trigger.h"):
            self.assertIn(path, contents)

    def test_the_packages_need_what_is_loaded_by_name(self):
        depends = run("dpkg-deb", "-f", package("lambdaml"), "Depends")
        for name in ("libc6", "libcurl4", "libssl3", "libzip4", "libzstd1", "libbz2-1.0", "liblzma5", "libmemcached11"):
            self.assertIn(name, depends)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
