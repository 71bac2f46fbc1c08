"""Jobs that start by themselves, on moto: `lambdaml deploy --schedule --on-upload` and `destroy`, looked at by boto3.

    python jobs_that_start.py LAMBDAML ZIP FOLDER
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import boto3

LAMBDAML, ZIP, FOLDER = (pathlib.Path(word).absolute() for word in sys.argv[1:4])
PYTHON = LAMBDAML.parents[1] / "python"
ROLE = "arn:aws:iam::123456789012:role/lambdaml"


def free_port():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return reserved.getsockname()[1]


def start_moto():
    port = free_port()
    server = pathlib.Path(sys.executable).parent / "moto_server"
    with (FOLDER / "moto.log").open("w") as log:
        process = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process, f"http://127.0.0.1:{port}"
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"moto does not start: {(FOLDER / 'moto.log').read_text()[-500:]}")
            time.sleep(0.05)


def lambdaml(*words, code=0):
    ended = subprocess.run([LAMBDAML, *words], cwd=FOLDER, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, (words, ended.returncode, ended.stdout, ended.stderr)
    if code:
        assert ended.stderr.count("\n") == 1, ended.stderr
        return ended.stderr
    return ended.stdout


def deploy(*words, **more):
    text = lambdaml("deploy", "--json", "--handler", "trigger", *words, **more)
    return text if more.get("code") else json.loads(text.splitlines()[-1])


def bucket_settings():
    """How often moto has taken notification settings of the bucket; it does not tell those of EventBridge again."""
    return (FOLDER / "moto.log").read_text().count('"PUT /data?notification= HTTP/1.1" 200')


def rules():
    events = boto3.client("events")
    return {rule["Name"]: (rule, events.list_targets_by_rule(Rule=rule["Name"])["Targets"])
            for rule in events.list_rules()["Rules"]}


def check():
    trusted = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    boto3.client("iam").create_role(RoleName="lambdaml", AssumeRolePolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [trusted]}))
    boto3.client("s3").create_bucket(Bucket="data")
    (FOLDER / "job.yaml").write_text("data: s3://data/higgs\nchannel: s3://channel\nworkers: 8\n")
    (FOLDER / "other.yaml").write_text("data: s3://data/higgs\nchannel: s3://channel\nworkers: 4\n")
    wanted = ["--schedule", "cron(0 3 * * ? *)", "--on-upload", "s3://data/higgs/ready", "--job", "job.yaml"]
    new = ["--zip", str(ZIP), "--role", ROLE]

    # What AWS would refuse, before anything is changed.
    assert "--schedule" in deploy(*new, "--schedule", "rate(1 days)", "--job", "job.yaml", code=2)
    assert "--on-upload names no bucket" in deploy(*new, "--on-upload", "s3://absent/x", "--job", "job.yaml", code=2)
    assert deploy(*new, *wanted, "--dry-run")["changed"]
    assert not rules() and not bucket_settings()
    assert not boto3.client("lambda").list_functions()["Functions"]

    arn = deploy(*new, *wanted)["functions"][0]["arn"]
    there = rules()
    assert set(there) == {"lambdaml-trigger-schedule", "lambdaml-trigger-upload"}, there
    assert there["lambdaml-trigger-schedule"][0]["ScheduleExpression"] == "cron(0 3 * * ? *)"
    pattern = json.loads(there["lambdaml-trigger-upload"][0]["EventPattern"])
    assert pattern["detail"] == {"bucket": {"name": ["data"]}, "object": {"key": [{"prefix": "higgs/ready"}]}}
    policy = json.loads(boto3.client("lambda").get_policy(FunctionName="lambdaml-trigger")["Policy"])
    allowed = {s["Condition"]["ArnLike"]["AWS:SourceArn"] for s in policy["Statement"]}
    for rule, targets in there.values():
        assert rule["State"] == "ENABLED"
        assert [target["Arn"] for target in targets] == [arn]
        assert json.loads(targets[0]["Input"]) == {"data": "s3://data/higgs", "channel": "s3://channel", "workers": 8}
        assert rule["Arn"] in allowed, policy
    assert bucket_settings() == 1
    assert not deploy(*wanted)["changed"]

    assert deploy("--schedule", "rate(1 day)", "--job", "other.yaml")["changed"]
    there = rules()
    assert there["lambdaml-trigger-schedule"][0]["ScheduleExpression"] == "rate(1 day)"
    for _, targets in there.values():
        assert json.loads(targets[0]["Input"])["workers"] == 4
    deploy("--schedule", "none")
    assert set(rules()) == {"lambdaml-trigger-upload"}

    # The function was deleted by others, and its permissions with it.
    boto3.client("lambda").delete_function(FunctionName="lambdaml-trigger")
    answer = deploy(*new, "--on-upload", "s3://data/higgs/ready", "--job", "other.yaml")
    assert {"field": "permission of upload", "from": "", "to": "events.amazonaws.com"} in (
        answer["functions"][0]["changes"]), answer
    policy = json.loads(boto3.client("lambda").get_policy(FunctionName="lambdaml-trigger")["Policy"])
    assert len(policy["Statement"]) == 1, policy

    assert "rule lambdaml-trigger-upload: would be deleted" in lambdaml("destroy", "--dry-run", "lambdaml-trigger")
    assert set(rules()) == {"lambdaml-trigger-upload"}
    lambdaml("destroy", "lambdaml-trigger")
    assert not rules()
    assert not boto3.client("lambda").list_functions()["Functions"]


def check_python():
    """The same by the Python package, where it was built."""
    if not (PYTHON / "lambdaml").exists():
        print("the Python package: skipped, `make python` builds it")
        return
    sys.path.insert(0, str(PYTHON))
    import lambdaml

    job = {"data": "s3://data/higgs", "channel": "s3://channel", "workers": 8}
    wanted = {"handler": "trigger", "schedule": "cron(0 3 * * ? *)", "on_upload": "s3://data/higgs/ready"}
    lambdaml.deploy(zip=ZIP, role=ROLE, job=job, **wanted)
    there = rules()
    assert set(there) == {"lambdaml-trigger-schedule", "lambdaml-trigger-upload"}, there
    assert all(json.loads(targets[0]["Input"]) == job for _, targets in there.values()), there
    assert lambdaml.deploy(job=job, **wanted)[0]["changes"] == []
    lambdaml.deploy(handler="trigger", on_upload="none", schedule="rate(1 day)", job=FOLDER / "other.yaml")
    [(rule, targets)] = rules().values()
    assert rule["ScheduleExpression"] == "rate(1 day)" and json.loads(targets[0]["Input"])["workers"] == 4
    gone = lambdaml.destroy("lambdaml-trigger")
    assert (gone["deleted"], gone["rules"]) == (["lambdaml-trigger"], ["lambdaml-trigger-schedule"]), gone
    assert not rules()


shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir(parents=True)
moto, url = start_moto()
try:
    os.environ.update(AWS_ENDPOINT_URL=url, AWS_REGION="us-east-1", AWS_DEFAULT_REGION="us-east-1",
                      AWS_ACCESS_KEY_ID="k", AWS_SECRET_ACCESS_KEY="s", NO_PROXY="127.0.0.1")
    check()
    check_python()
finally:
    moto.kill()
    moto.wait()
print("jobs that start by themselves: 1 passed, 0 failed")
