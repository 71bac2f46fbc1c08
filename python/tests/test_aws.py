"""Functions of a Lambda service: emulate(), package(), deploy(), destroy()."""

import os
import pathlib
import zipfile

import numpy
import pytest

import lambdaml

# Set by CTest.
PACKAGE = os.environ["LAMBDAML_TEST_ZIP"]
ROLE = "arn:aws:iam::123456789012:role/test"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch, tmp_path):
    """Those of the user are no matter here."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def environments():
    """The processes that the service has started for functions."""
    out = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"PPid:\t{os.getpid()}\n" in (process / "status").read_text():
                out.append(int(process.name))
        except OSError:
            pass
    return out


def variables():
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


@pytest.mark.parametrize("keys", [{}, KEYS])
def test_functions_train_rows_in_memory(keys, monkeypatch, tmp_path):
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    before = variables()
    random = numpy.random.default_rng(0)
    X = random.normal(size=(500, 4)).astype(numpy.float32)
    y = (X @ [1, -2, 3, 0] + random.normal(size=500) > 0).astype(int)
    with lambdaml.emulate(log_folder="logs") as endpoint:
        assert os.environ["AWS_ENDPOINT_URL_LAMBDA"] == endpoint and endpoint.startswith("http://127.0.0.1:")
        planned = lambdaml.deploy(zip=PACKAGE, function="worker", role=ROLE, dry_run=True)
        assert [each["action"] for each in planned] == ["would create"]
        made = lambdaml.deploy(zip=PACKAGE, function="worker", role=ROLE, memory_mb=1769, env={"TZ": "UTC"})
        assert [(each["function"], each["action"]) for each in made] == [("worker", "created")]
        again = lambdaml.deploy(zip=PACKAGE, function="worker", memory_mb=2048)
        assert [change["field"] for change in again[0]["changes"]] == ["memory"] or again[0]["action"] == "updated"
        there = lambdaml.LogisticRegression(
            workers=2, platform="aws", function="worker", channel=f"file://{tmp_path}/channel"
        ).fit(X, y)
        assert len(environments()) == 2
        with pytest.raises(lambdaml.NotFound):
            lambdaml.LogisticRegression(platform="aws", function="absent", channel=f"file://{tmp_path}/channel").fit(X, y)
        gone = lambdaml.destroy("worker", "absent")
        assert (gone["deleted"], gone["absent"], gone["left"], gone["rules"]) == (["worker"], ["absent"], [], [])
    assert environments() == [] and variables() == before
    here = lambdaml.LogisticRegression(workers=2, platform="local").fit(X, y)
    assert (there.coef_ == here.coef_).all() and (there.intercept_ == here.intercept_).all()
    # One environment for each worker.
    assert len(os.listdir(os.path.join("logs", "worker"))) == 2


def test_the_environment_is_as_it_was_after_an_error():
    before = variables()
    with pytest.raises(KeyError, match="mine"):
        with lambdaml.emulate():
            raise KeyError("mine")
    assert variables() == before


def test_a_package_has_the_worker():
    made = lambdaml.package("worker.zip")
    assert os.path.getsize("worker.zip") == made["zip_bytes"] > 1e6
    with zipfile.ZipFile("worker.zip") as zip:
        assert {"bootstrap", "bin/lambdaml-worker", "lambdaml.json"} <= set(zip.namelist())


def test_bad_arguments_are_named(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    job = {"data": "s3://data/set", "channel": "s3://channel", "workers": 2}
    trigger = lambda **given: lambdaml.deploy(**{"zip": PACKAGE, "role": ROLE, "handler": "trigger", "job": job, **given})
    for call, error, text in (
        (lambda: lambdaml.deploy(zip="absent.zip", role=ROLE), lambdaml.NotFound, "absent.zip"),
        (lambda: lambdaml.deploy(zip=PACKAGE, memory_mb=1), ValueError, "memory"),
        (lambda: lambdaml.deploy(zip=PACKAGE, memory_mb="1769"), ValueError, "memory_mb must be a whole number"),
        (lambda: lambdaml.deploy(zip=PACKAGE, subnets="subnet-1"), ValueError, "subnets must be a list"),
        (lambda: lambdaml.deploy(zip=PACKAGE, handler="wrker"), ValueError, "worker"),
        (lambda: lambdaml.deploy(zip=PACKAGE, file_system="/mnt/x"), ValueError, "file_system="),
        (lambda: trigger(schedule="rate(1 days)"), ValueError, "schedule="),
        (lambda: trigger(on_upload="/data"), ValueError, "on_upload="),
        (lambda: trigger(schedule="rate(1 day)", job=None), ValueError, "job="),
        (lambda: trigger(schedule="rate(1 day)", job={"wokers": 2}), ValueError, "did you mean 'workers'"),
        (lambda: trigger(schedule="rate(1 day)", job="absent.yaml"), lambdaml.NotFound, "absent.yaml"),
        (lambda: lambdaml.destroy(), ValueError, "names of functions, or all=True"),
        (lambda: lambdaml.emulate(port=-1).__enter__(), ValueError, "port must be"),
    ):
        with pytest.raises(error, match=text):
            call()


def test_deploy_has_the_options_of_the_command():
    """Each of `lambdaml deploy`; those that take several values are plural."""
    import inspect
    import re
    import subprocess

    said = subprocess.run([os.environ["LAMBDAML_COMMAND"], "deploy", "--help"], capture_output=True, text=True).stdout
    options = {name.replace("-", "_") for name in re.findall(r"^  --([a-z-]+)", said, re.MULTILINE)} - {"json"}
    there = set(inspect.signature(lambdaml.deploy).parameters)
    assert {{"subnet": "subnets", "security_group": "security_groups"}.get(name, name) for name in options} == there
