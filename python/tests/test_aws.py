"""Functions of a Lambda service: `lambdaml emulate`."""

import os
import subprocess

import numpy
import pytest

import lambdaml

# Both are set by CTest.
COMMAND = os.environ["LAMBDAML_COMMAND"]
PACKAGE = os.environ["LAMBDAML_TEST_ZIP"]
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture
def function(monkeypatch):
    """The name of a function that is deployed to a service of this machine."""
    for name, value in {**KEYS, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    service = subprocess.Popen(
        [COMMAND, "emulate", "--port", "0", "--log-folder", "logs"], stdout=subprocess.PIPE, text=True
    )
    try:
        ready = service.stdout.readline()
        assert ready.startswith("listening on "), ready
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", ready.split()[2])
        role = "arn:aws:iam::123456789012:role/test"
        deploy = [COMMAND, "deploy", "--zip", PACKAGE, "--function", "worker", "--role", role]
        subprocess.run(deploy, check=True, stdout=subprocess.DEVNULL, timeout=60)
        yield "worker"
    finally:
        service.terminate()
        assert service.wait(30) == 0
        service.stdout.close()


def test_functions_train_rows_in_memory(function, tmp_path):
    random = numpy.random.default_rng(0)
    X = random.normal(size=(500, 4)).astype(numpy.float32)
    y = (X @ [1, -2, 3, 0] + random.normal(size=500) > 0).astype(int)
    there = lambdaml.LogisticRegression(
        workers=2, platform="aws", function=function, channel=f"file://{tmp_path}/channel"
    ).fit(X, y)
    here = lambdaml.LogisticRegression(workers=2, platform="local").fit(X, y)
    assert (there.coef_ == here.coef_).all() and (there.intercept_ == here.intercept_).all()
    # One environment for each worker.
    assert len(os.listdir(os.path.join("logs", function))) == 2
