"""Writes random requests with the signature that botocore gives them, a JSON object a line.

Usage: botocore_signatures.py COUNT SEED
"""

import json
import random
import sys
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CHARACTERS = "abcXYZ019-_.~ %+&=?#/:@!$'()*,;[]<>\"\\|^`{}éß日本😀"
NAMES = ["x-amz-meta-a", "x-amz-acl", "range", "if-match", "if-none-match", "content-type",
         "content-md5", "x-amz-target", "x-amz-meta-long-name", "x-amzn-thing"]


def text(rng, longest, characters=CHARACTERS):
    return "".join(rng.choice(characters) for _ in range(rng.randrange(longest + 1)))


def path(rng, is_s3):
    """An encoded path; other services' paths are normalised before they are signed, S3's are not."""
    if is_s3:
        return "/" + quote(text(rng, 30), safe="/~")
    parts = [text(rng, 10, CHARACTERS.replace("/", "").replace(".", "")) for _ in range(3)]
    return "/" + "/".join(quote(part, safe="~") for part in parts if part)


def main():
    rng = random.Random(int(sys.argv[2]))
    for _ in range(int(sys.argv[1])):
        service = rng.choice(["s3", "dynamodb", "lambda"])
        region = rng.choice(["us-east-1", "eu-central-1", "cn-north-1"])
        method = rng.choice(["GET", "PUT", "POST", "DELETE", "HEAD"])
        host = rng.choice(["bucket.s3.amazonaws.com", "localhost:8000", "10.0.0.1"])
        target = path(rng, service == "s3")
        query = [[text(rng, 8).strip() or "q", text(rng, 12)] for _ in range(rng.randrange(5))]
        sent = "&".join(quote(n, safe="-_.~") + "=" + quote(v, safe="-_.~") for n, v in query)
        body = text(rng, 200).encode()
        headers = {name: rng.choice(["", " ", "  "]) + text(rng, 20, "abc  019\t=-/*\"") + "x "
                   for name in rng.sample(NAMES, rng.randrange(5))}
        token = rng.choice([None, "token/with+signs=="])
        credentials = Credentials("AKID" + text(rng, 8, "ABC123"), text(rng, 40, "abcABC/+9") + "k",
                                  token)
        url = f"{rng.choice(['http', 'https'])}://{host}{target}" + ("?" + sent if sent else "")
        request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
        signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(credentials, service, region)
        signer.add_auth(request)
        print(json.dumps({
            "service": service, "region": region, "method": method, "path": target, "query": query,
            "headers": sorted(headers.items()), "host": host, "body": body.decode(),
            "payload_hash": request.headers.get("X-Amz-Content-SHA256"),
            "access_key": credentials.access_key, "secret_key": credentials.secret_key,
            "token": token or "", "time": request.headers["X-Amz-Date"],
            "authorization": request.headers["Authorization"]}))


main()
