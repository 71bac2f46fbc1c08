"""The wheel in a bare Debian tree, which has Python and none of the libraries. As: wheel.py VENV WORK

VENV is a virtual environment with the wheel, of the version of Python that the tree gets. Needs root, for chroot(2).
Everything happens below WORK, which is emptied first.
"""

import pathlib
import shutil
import sys

import bare_tree

VENV, WORK = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
TREE = WORK / "tree"

PROGRAM = """
import numpy, lambdaml
random = numpy.random.default_rng(0)
X = random.normal(size=(2000, 5))
y = (X[:, 0] > X[:, 1]).astype(int)
for platform in ("threads", "local"):
    run = lambdaml.train(data=(X, y), workers=2, platform=platform, valid_ratio=0, progress=False)
    assert (run.model.predict(X) == y).mean() > 0.95, platform
    assert lambdaml.LogisticRegression(workers=2, platform=platform).fit(X, y).score(X, y) > 0.95, platform
"""


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    bare_tree.make(TREE, "--variant=apt", "--include=python3")
    # The tree has neither pip nor a way to the index. Links, for the packages are large.
    [packages] = VENV.glob("lib/python3*/site-packages")
    bare_tree.run("cp", "-al", packages, TREE / "opt/packages")
    (TREE / "mnt/program.py").write_text(PROGRAM)
    headers = bare_tree.inside(TREE, "ls /usr/include | wc -l; dpkg -l | grep -c -- '-dev ' || true").split()
    assert headers == ["0", "0"], f"a bare tree has headers: {headers}"
    bare_tree.inside(TREE, """
        useradd --create-home user
        su user -c 'cd && PYTHONPATH=/opt/packages python3 /mnt/program.py'
        su user -c 'cd && /opt/packages/lambdaml/lambdaml data synth higgs --rows 2000 -o h.libsvm -q'
        su user -c 'cd && /opt/packages/lambdaml/lambdaml train --data h.libsvm --workers 2 -q'""")
    print("the wheel trains where no library is installed")


main()
