#!/usr/bin/python3
"""Jobs over moto's S3 and DynamoDB, with roles from its STS and a function on its Lambda.

Usage: moto_serves.py LAMBDAML ZIP FOLDER     with `moto[server]` of the Python package index importable

moto is another reading of AWS's documentation than radosgw's and dynalite's. It checks no signatures.
DynamoDB Local would be one more; its licence is not open source, and packages only download it.
"""
import configparser
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3

LAMBDAML, ZIP, FOLDER = (Path(argument).resolve() for argument in sys.argv[1:4])
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "SECRETEXAMPLE", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1"}
START_S = 60


@contextlib.contextmanager
def moto():
    """A server on a free port, which ends with the block; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = open(FOLDER / "moto.log", "w")
    server = subprocess.Popen([Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
                              stdout=log, stderr=log, env={**os.environ, **KEYS})
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(url + "/moto-api/", timeout=5).read()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < end, (FOLDER / "moto.log").read_text()
                time.sleep(0.1)
        # Functions are recorded, not run: running them takes docker.
        body = json.dumps({"lambda": {"use_docker": False}}).encode()
        urllib.request.urlopen(urllib.request.Request(url + "/moto-api/config", data=body), timeout=5).read()
        yield url
    finally:
        server.terminate()
        server.wait()


def lambdaml(url, *arguments, ok=True, **environment):
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env |= {"AWS_ENDPOINT_URL": url, "AWS_CONFIG_FILE": str(FOLDER / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(FOLDER / "credentials"), "AWS_EC2_METADATA_DISABLED": "true"}
    env |= KEYS
    env = {name: value for name, value in (env | environment).items() if value is not None}
    result = subprocess.run([str(LAMBDAML), *map(str, arguments)], cwd=FOLDER, env=env, capture_output=True, text=True)
    assert (result.returncode == 0) == ok, (arguments, result.returncode, result.stdout, result.stderr)
    return result.stdout if ok else result.stderr


def model_of(url, channel, *arguments):
    """The digest of the model that is trained over that channel."""
    shutil.rmtree(FOLDER / "run", ignore_errors=True)
    lambdaml(url, "train", "-q", "--data", "train.libsvm", "--workers", 3, "--optim", "grad_avg", "--epochs", 2,
             "--channel", channel, "--output", "run", *arguments)
    return hashlib.sha256((FOLDER / "run" / "model.safetensors").read_bytes()).hexdigest()


def check_s3(url, client, expected):
    client.create_bucket(Bucket="bucket")
    for pattern in ("reduce", "reduce_scatter", "async"):
        model = model_of(url, "s3://bucket/channel", "--sync-mode", pattern)
        assert pattern == "async" or model == expected, f"another model over S3 by {pattern}"
    left = client.list_objects_v2(Bucket="bucket").get("Contents", [])
    assert not left, left
    assert model_of(url, "s3://bucket/channel?prefixes=4") == expected
    # Large enough to be uploaded in parts.
    large = os.urandom(40 << 20)
    (FOLDER / "large").write_bytes(large)
    lambdaml(url, "storage", "put", "s3://bucket/p", "large", "large")
    assert client.get_object(Bucket="bucket", Key="p/large")["Body"].read() == large
    lambdaml(url, "storage", "get", "s3://bucket/p", "large", "-o", "again")
    assert (FOLDER / "again").read_bytes() == large
    # What others call their objects.
    longest = "others/" + "k" * (1024 - len("others/"))
    for key in ("others/a//b", longest, "others/folder/", "others/a\x01b"):
        client.put_object(Bucket="bucket", Key=key, Body=b"" if key.endswith("/") else b"theirs")
    listed = json.loads(lambdaml(url, "storage", "ls", "s3://bucket", "others/", "--json").splitlines()[-1])
    assert [entry["key"] for entry in listed["keys"]] == ["others/a//b", longest], listed
    for key in ("others/a//b", longest):
        assert lambdaml(url, "storage", "get", "s3://bucket", key) == "theirs"
    lambdaml(url, "storage", "clear", "s3://bucket", "-y")
    why = lambdaml(url, "storage", "ls", "s3://nobodys-bucket", ok=False)
    assert "there is no bucket 'nobodys-bucket'" in why and len(why.splitlines()) == 1, why


def check_dynamodb(url, expected):
    for pattern in ("reduce", "reduce_scatter", "async"):
        model = model_of(url, "dynamodb://table/channel?create=true", "--sync-mode", pattern)
        assert pattern == "async" or model == expected, f"another model over DynamoDB by {pattern}"
    assert lambdaml(url, "storage", "ls", "dynamodb://table") == ""
    why = lambdaml(url, "storage", "ls", "dynamodb://no-table", ok=False)
    assert "?create=true" in why and len(why.splitlines()) == 1, why


def check_roles(url, expected):
    config = configparser.ConfigParser()
    config["profile worker"] = {"role_arn": "arn:aws:iam::123456789012:role/worker", "source_profile": "base",
                                "region": "us-east-1"}
    with open(FOLDER / "config", "w") as file:
        config.write(file)
    credentials = configparser.ConfigParser()
    credentials["base"] = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "SECRETEXAMPLE"}
    with open(FOLDER / "credentials", "w") as file:
        credentials.write(file)
    without_keys = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    lambdaml(url, "storage", "ls", "s3://bucket", AWS_PROFILE="worker", **without_keys)
    (FOLDER / "token").write_text("a.web.token")
    lambdaml(url, "storage", "ls", "s3://bucket", AWS_WEB_IDENTITY_TOKEN_FILE=str(FOLDER / "token"),
             AWS_ROLE_ARN="arn:aws:iam::123456789012:role/worker", **without_keys)


def check_lambda(url, functions, identities):
    role = identities.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                 "Principal": {"Service": "lambda.amazonaws.com"}}]}))["Role"]["Arn"]
    deploy = ("deploy", "--zip", ZIP, "--role", role, "--memory-mb", 512)
    lambdaml(url, *deploy)
    known = functions.get_function_configuration(FunctionName="lambdaml-worker")
    assert known["MemorySize"] == 512 and known["Runtime"].startswith("provided"), known
    lambdaml(url, *deploy[:-1], 1769)
    assert functions.get_function_configuration(FunctionName="lambdaml-worker")["MemorySize"] == 1769
    lambdaml(url, "destroy", "lambdaml-worker")
    assert not functions.list_functions()["Functions"]


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with moto() as url:
        def client(service):
            return boto3.client(service, endpoint_url=url, region_name="us-east-1",
                                aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="SECRETEXAMPLE")

        lambdaml(url, "data", "synth", "higgs", "--rows", 3000, "-o", "train.libsvm")
        expected = model_of(url, "file")
        check_s3(url, client("s3"), expected)
        check_dynamodb(url, expected)
        check_roles(url, expected)
        check_lambda(url, client("lambda"), client("iam"))
    print("Jobs over moto's S3 and DynamoDB have the model of those over files; STS lends roles, Lambda takes the function")


main()
