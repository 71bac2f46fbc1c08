import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

DATA = pathlib.Path(
    os.environ.get("LAMBDAML_TEST_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared" / "data")
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Runs go to runs/ of the test's own folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def temporary(tmp_path_factory, monkeypatch):
    """The temporary folder, an own one."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def data_file(name):
    path = DATA / name
    assert path.exists(), f"{path} is missing: set LAMBDAML_TEST_DATA to the folder of the data sets"
    return str(path)


@pytest.fixture(scope="session")
def higgs():
    return data_file("higgs.train.libsvm")


@pytest.fixture
def run_python(tmp_path):
    """Runs a program in an interpreter of its own; returns what it printed."""

    def run(code, check=True, timeout=120, **environment):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )
        if check:
            assert done.returncode == 0, done.stderr
            return done.stdout
        return done

    return run
