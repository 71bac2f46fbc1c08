"""`lambdaml package --sysroot /` finds by itself the libraries that the loader finds. As: sysroot.py LAMBDAML WORKER"""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

LAMBDAML = pathlib.Path(sys.argv[1]).resolve()
WORKER = pathlib.Path(sys.argv[2]).resolve()


def names(*words):
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "package.zip"
        subprocess.run([LAMBDAML, "package", "-q", "--worker", WORKER, *words, "-o", output], check=True, timeout=120)
        # What starts the worker is a library of each of them.
        return {name for name in zipfile.ZipFile(output).namelist() if not name.startswith("lib/ld-linux")}


own, found = names(), names("--sysroot", "/")
assert own == found, (own - found, found - own)
refused = subprocess.run([LAMBDAML, "package", "--worker", WORKER, "--sysroot", "/var/empty", "-o", "/dev/null"],
                         capture_output=True, text=True, timeout=120)
assert refused.returncode == 2 and refused.stderr.count("\n") == 1, refused
print(f"libraries of a sysroot: 1 passed, 0 failed ({len(found)} files)")
