"""The price table: updated from a server of Price List files, used by jobs. As: prices.py LAMBDAML"""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

LAMBDAML = str(pathlib.Path(sys.argv[1]).resolve())
FILES = {}


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(FILES.get(self.path, {})).encode()
        self.send_response(200 if self.path in FILES else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def add(offer, region, prices):
    """A Price List file of the service in the region: product attributes to dollars."""
    path = f"/offers/v1.0/aws/{offer}/20261101000000/{region}/index.json"
    index = FILES.setdefault(f"/offers/v1.0/aws/{offer}/current/region_index.json", {"regions": {}})
    index["regions"][region] = {"regionCode": region, "currentVersionUrl": path}
    products, terms = {}, {}
    for number, (attributes, dollars) in enumerate(prices):
        sku = f"SKU{number}"
        family = attributes.pop("productFamily", "")
        products[sku] = {"sku": sku, "productFamily": family, "attributes": {**attributes, "regionCode": region}}
        rate = {"unit": "x", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": dollars}}
        terms[sku] = {f"{sku}.T": {"sku": sku, "priceDimensions": {f"{sku}.T.R": rate}}}
    FILES[path] = {"formatVersion": "v1.0", "offerCode": offer, "publicationDate": "2026-11-01T00:00:00Z",
                   "products": products, "terms": {"OnDemand": terms}}


def add_region(region, factor):
    add("AWSLambda", region, [({"group": "AWS-Lambda-Duration"}, f"{1.6e-5 * factor:.10f}"),
                              ({"group": "AWS-Lambda-Requests"}, "0.0000002000"),
                              ({"group": "AWS-Lambda-Duration-ARM"}, f"{1.3e-5 * factor:.10f}"),
                              ({"group": "AWS-Lambda-Requests-ARM"}, "0.0000002000")])
    add("AmazonS3", region, [({"group": "S3-API-Tier1"}, f"{5e-6 * factor:.10f}"),
                             ({"group": "S3-API-Tier2"}, "0.0000004000")])
    family = "Amazon DynamoDB PayPerRequest Throughput"
    add("AmazonDynamoDB", region, [({"group": "DDB-WriteUnits", "productFamily": family}, "0.0000006250"),
                                   ({"group": "DDB-ReadUnits", "productFamily": family}, "0.0000001250")])
    node = {"productFamily": "Cache Instance", "cacheEngine": "Redis", "instanceType": "cache.t4g.small",
            "usagetype": "NodeUsage:cache.t4g.small"}
    add("AmazonElastiCache", region, [(node, f"{0.03 * factor:.10f}")])


def lambdaml(*words, code=0):
    done = subprocess.run([LAMBDAML, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    if code:
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check(folder, url):
    table = folder / "lambdaml" / "prices.yaml"
    update = ("prices", "update", "-q", "--json", "--from", url)
    assert "404" in lambdaml(*update, code=2)
    add_region("us-east-1", 1)
    add_region("eu-central-1", 2)
    assert lambdaml("prices", "show", "--json")["table"] == "built-in"
    assert "--region mars-1" in lambdaml(*update, "--region", "mars-1", code=2)
    lambdaml(*update, "--dry-run")
    assert not table.exists()
    updated = lambdaml(*update, "--region", "eu-central-1")
    assert updated["table"] == str(table) and set(updated["regions"]) == {"us-east-1", "eu-central-1"}, updated
    assert [file.name for file in table.parent.iterdir()] == ["prices.yaml"]
    shown = lambdaml("prices", "show", "--json")
    assert shown["table"] == str(table) and shown["regions"] == updated["regions"], shown
    assert shown["regions"]["eu-central-1"]["lambda"]["gb_second"] == 3.2e-5

    # What AWS sells no longer is in no new table.
    assert not updated["gone"] and not updated["kept"], updated
    nodes = FILES["/offers/v1.0/aws/AmazonElastiCache/current/region_index.json"]["regions"]
    there = nodes.pop("eu-central-1")
    without = lambdaml(*update, "--dry-run")
    assert without["gone"] == ["eu-central-1 cache.t4g.small hour"], without
    assert "cache.t4g.small" not in without["regions"]["eu-central-1"], without
    nodes["eu-central-1"] = there

    # A damaged file changes nothing.
    before = table.read_bytes()
    FILES["/offers/v1.0/aws/AmazonS3/20261101000000/us-east-1/index.json"] = ["no", "object"]
    lambdaml(*update, code=2)
    assert table.read_bytes() == before

    os.environ["AWS_REGION"] = "eu-central-1"
    lambdaml_out = subprocess.run([LAMBDAML, "data", "synth", "higgs", "--rows", "1000", "-o", "train.libsvm"],
                                  capture_output=True, text=True, timeout=120)
    assert lambdaml_out.returncode == 0, lambdaml_out.stderr
    job = ("train", "-q", "--json", "--data", "train.libsvm", "--workers", "2", "--output")
    plain = lambdaml(*job, "plain")["cost"]
    assert (plain["region"], plain["price_table"], plain["prices_of"]) == ("eu-central-1", str(table), shown["date"])
    assert "servers_usd" not in plain
    with_servers = lambdaml(*job, "servers", "--servers", "2*cache.t4g.small, 3600")
    hours = with_servers["wall_s"] / 3600
    cost = with_servers["cost"]
    assert abs(cost["servers_usd"] - hours * (2 * 0.06 + 3600)) < 1e-9, cost
    total = cost["servers_usd"] + cost["functions_usd"] + cost["requests_usd"]
    assert abs(with_servers["cost_usd"] - total) < 1e-9, with_servers
    assert "no price by the hour" in lambdaml(*job, "none", "--servers", "cache.x", code=2)
    assert not pathlib.Path("none").exists()


with tempfile.TemporaryDirectory() as name, http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.chdir(name)
    for variable in ("LAMBDAML_PRICES", "AWS_REGION", "AWS_DEFAULT_REGION"):
        os.environ.pop(variable, None)
    os.environ.update(XDG_CONFIG_HOME=name, AWS_CONFIG_FILE="/dev/null", NO_PROXY="127.0.0.1")
    check(pathlib.Path(name), f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
print("the price table: 1 passed, 0 failed")
