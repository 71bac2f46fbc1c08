"""AWS's own runtime client for Node.js serves a function of `lambdaml emulate`. Arguments: the
service's URL and the folder of the npm package aws-lambda-ric. The environment has its keys.

The package's native part (a build of libcurl) is not compiled. Its other client, which Lambda itself
switches to by a variable, fetches events; handlers that stream answer by it too."""
import io
import json
import os
import shutil
import sys
import zipfile

import boto3
import botocore.config

URL, PACKAGE = sys.argv[1:3]
os.environ.update(AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true")
client = boto3.client("lambda", endpoint_url=URL,
                      config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=60))

FILES = {
    "bootstrap": f"""#!/bin/sh
cd "$LAMBDA_TASK_ROOT" && AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1=true \
  exec {shutil.which("node")} -r ./no_native_part.cjs {PACKAGE}/bin/index.mjs index.handler
""",
    "no_native_part.cjs": """
const module_ = require("module");
const load = module_._load;
module_._load = (name, ...rest) => name.endsWith("rapid-client.node") ? {} : load(name, ...rest);
""",
    "index.mjs": """
let calls = 0;
export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
  stream.write(JSON.stringify({event, calls: ++calls, id: context.awsRequestId,
                               left: context.getRemainingTimeInMillis()}).slice(0, 5));
  if (event.fail) throw new RangeError(event.fail);
  stream.end(JSON.stringify({event, calls, id: context.awsRequestId,
                             left: context.getRemainingTimeInMillis()}).slice(5));
});
"""}


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in FILES.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return out.getvalue()


def invoke(event):
    told = client.invoke(FunctionName="node", Payload=json.dumps(event))
    return told, json.loads(told["Payload"].read())


client.create_function(FunctionName="node", Runtime="provided.al2023", Handler="index.handler", Timeout=30,
                       Role="arn:aws:iam::000000000000:role/r", Code={"ZipFile": zipped()})
client.get_waiter("function_active_v2").wait(FunctionName="node")
told, answer = invoke({"x": "\u00e4" * 1000})
assert answer["event"] == {"x": "\u00e4" * 1000} and answer["calls"] == 1, answer
assert answer["id"] == told["ResponseMetadata"]["RequestId"] and 0 < answer["left"] <= 30_000, (told, answer)
assert invoke({})[1]["calls"] == 2  # the same environment, warm
told, answer = invoke({"fail": "midway"})
assert told["FunctionError"] == "Unhandled" and answer["errorType"] == "RangeError", (told, answer)
assert answer["errorMessage"] == "midway", answer
assert invoke({})[1]["event"] == {}
client.delete_function(FunctionName="node")
print("the runtime client is served as on AWS")
