"""AWS's own clients against `lambdaml emulate`: boto3 and the AWS CLI. Arguments: the service's URL
and the executable of a function that answers `"echo WORDS"` and the like, as test_function.h tells.
The environment has the service's keys."""
import base64
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile

import boto3
import botocore
import botocore.config
import botocore.exceptions

URL, BOOTSTRAP = sys.argv[1:3]
os.environ.update(AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true", AWS_PAGER="")
client = boto3.client("lambda", endpoint_url=URL,
                      config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=60))


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o100755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED  # an entry has its own
        with open(BOOTSTRAP, "rb") as file:
            archive.writestr(entry, file.read())
    return out.getvalue()


def cli(*arguments):
    done = subprocess.run(["aws", "lambda", *arguments, "--endpoint-url", URL], text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def refused(call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response
    raise AssertionError("was not refused")


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "did not come true in 30 s"
        time.sleep(0.01)


def with_cli():
    with open("code.zip", "wb") as file:
        file.write(zipped())
    with open("payload.json", "w") as file:
        file.write('"echo hi"')
    cli("create-function", "--function-name", "c", "--runtime", "provided.al2023", "--role",
        "arn:aws:iam::000000000000:role/r", "--handler", "worker", "--zip-file", "fileb://code.zip")
    cli("wait", "function-active-v2", "--function-name", "c")
    told = json.loads(cli("invoke", "--function-name", "c", "--payload", "fileb://payload.json",
                          "--log-type", "Tail", "out"))
    assert told["StatusCode"] == 200 and told["ExecutedVersion"] == "$LATEST", told
    assert "REPORT RequestId" in base64.b64decode(told["LogResult"]).decode()
    assert open("out").read() == "hi"
    cli("update-function-configuration", "--function-name", "c", "--timeout", "7")
    cli("wait", "function-updated-v2", "--function-name", "c")
    assert json.loads(cli("list-functions"))["Functions"][0]["Timeout"] == 7
    versions = json.loads(cli("list-versions-by-function", "--function-name", "c", "--page-size", "1"))["Versions"]
    assert [one["Version"] for one in versions] == ["$LATEST"], versions
    cli("put-function-event-invoke-config", "--function-name", "c", "--maximum-retry-attempts", "1")
    configs = json.loads(cli("list-function-event-invoke-configs", "--function-name", "c"))
    assert [one["MaximumRetryAttempts"] for one in configs["FunctionEventInvokeConfigs"]] == [1], configs
    cli("delete-function", "--function-name", "c")


def with_boto3():
    code = {"ZipFile": zipped()}
    arn = client.create_function(FunctionName="f", Runtime="provided.al2023", Role="arn:aws:iam::000000000000:role/r",
                                 Handler="worker", Code=code, Timeout=30,
                                 Environment={"Variables": {"A": "1"}}, Tags={"t": "1"})["FunctionArn"]
    client.get_waiter("function_active_v2").wait(FunctionName=arn)
    assert client.invoke(FunctionName=arn, Payload='"variable A"')["Payload"].read() == b"1"
    client.update_function_configuration(FunctionName="f", Environment={"Variables": {"A": "2"}})
    client.get_waiter("function_updated_v2").wait(FunctionName="f")
    assert client.invoke(FunctionName="f:$LATEST", Payload='"variable A"')["Payload"].read() == b"2"
    client.update_function_code(FunctionName="f", **code)
    client.get_waiter("function_updated_v2").wait(FunctionName="f")
    assert client.invoke(FunctionName="f", InvocationType="DryRun")["StatusCode"] == 204
    done = os.path.abspath("done")
    assert client.invoke(FunctionName="f", InvocationType="Event",
                         Payload=json.dumps("throw_first " + done))["StatusCode"] == 202
    until(lambda: os.path.exists(done))
    failed = client.invoke(FunctionName="f", Payload='"throw not_found nothing"')
    assert failed["StatusCode"] == 200 and failed["FunctionError"] == "Unhandled", failed
    assert json.loads(failed["Payload"].read())["errorType"] == "not_found"

    client.tag_resource(Resource=arn, Tags={"u": "2"})
    client.untag_resource(Resource=arn, TagKeys=["t"])
    assert client.list_tags(Resource=arn)["Tags"] == {"u": "2"}
    assert client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 1000
    client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    client.update_function_event_invoke_config(FunctionName="f", MaximumEventAgeInSeconds=60)
    told = client.get_function_event_invoke_config(FunctionName="f")
    assert (told["MaximumRetryAttempts"], told["MaximumEventAgeInSeconds"]) == (0, 60), told
    pages = client.get_paginator("list_function_event_invoke_configs").paginate(FunctionName="f")
    assert [len(page["FunctionEventInvokeConfigs"]) for page in pages] == [1]
    client.delete_function_event_invoke_config(FunctionName="f")
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=arn)
    assert [[one["FunctionArn"] for one in page["Versions"]] for page in pages] == [[arn + ":$LATEST"]]

    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    assert client.get_function_concurrency(FunctionName="f")["ReservedConcurrentExecutions"] == 1
    hangs = os.path.abspath("hangs")
    client.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps("hang " + hangs))
    until(lambda: os.path.exists(hangs) and open(hangs).read())
    error = refused(client.invoke, FunctionName="f", Payload='"echo x"')
    assert error["Error"]["Code"] == "TooManyRequestsException", error
    assert error["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded", error
    client.delete_function_concurrency(FunctionName="f")

    for call, arguments, wanted in [
            (client.get_function, {"FunctionName": "nothing"}, "ResourceNotFoundException"),
            (client.create_function, {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r",
                                      "Code": code}, "ResourceConflictException"),
            (client.update_function_code, {"FunctionName": "f", "ZipFile": b"none"},
             "InvalidParameterValueException"),
            (client.update_function_configuration, {"FunctionName": "f", "Layers": [arn + ":1"]},
             "InvalidParameterValueException"),
            (client.update_function_configuration, {"FunctionName": "f", "Role": "r"}, "ValidationException"),
            (client.update_function_code, {"FunctionName": "f", "S3Bucket": "bucket", "S3Key": "k"},
             "InvalidParameterValueException"),
            (client.invoke, {"FunctionName": "f", "Payload": "{no json"}, "InvalidRequestContentException"),
            (client.invoke, {"FunctionName": "f", "Payload": b" " * 7_000_000}, "RequestTooLargeException")]:
        error = refused(call, **arguments)["Error"]
        assert error["Code"] == wanted and error["Message"], (wanted, error)
    for name in "gh":
        client.create_function(FunctionName=name, Runtime="provided.al2023", Handler="worker", Code=code,
                               Role="arn:aws:iam::000000000000:role/r")
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    assert [[one["FunctionName"] for one in page["Functions"]] for page in pages] == [["f", "g"], ["h"]]
    for name in "fgh":
        client.delete_function(FunctionName=name)


def with_wrong_keys():
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    for keys, wanted in [(("x", secret), "UnrecognizedClientException"),
                         ((key, "x"), "InvalidSignatureException"),
                         ((key, secret, "token"), "UnrecognizedClientException")]:
        stranger = boto3.client("lambda", endpoint_url=URL, aws_access_key_id=keys[0],
                                aws_secret_access_key=keys[1], aws_session_token=(keys + (None,))[2])
        error = refused(stranger.list_functions)["Error"]
        assert error["Code"] == wanted and "lambdaml emulate" in error["Message"], (wanted, error)
    stranger = boto3.client("lambda", endpoint_url=URL,
                            config=botocore.config.Config(signature_version=botocore.UNSIGNED))
    assert refused(stranger.list_functions)["Error"]["Code"] == "MissingAuthenticationTokenException"


with_cli()
with_boto3()
with_wrong_keys()
print("all answered as AWS does")
