#!/usr/bin/python3 -B
"""The fault matrix: jobs over every store, by every optimizer and pattern, while something breaks.

    torture.py BUILD_FOLDER [--strength 1|2|all] [--seed N] [--only CASE] [--jobs N] [--json FILE]

The program says which stores, optimizers and patterns there are (`lambdaml options --json`);
faults.py says what can break and what is documented then; cases.py draws a sample of all
combinations; run.py plays one of them, in a process of its own, and judges it. The end is a table.
The exit code is 0 when no run hung, gave wrong bytes, left anything or ended otherwise than
documented, and each fault struck.
"""
import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import cases
import job
from cases import Case
from faults import FAULTS
from places import Unprepared, why_missing
from run import Verdict, verdict_on

PASSED = ("same_bytes", "documented_error")
OUTCOMES = PASSED + ("undocumented_error", "hang", "wrong_bytes", "leftover", "missed")
HEADINGS = ("same bytes", "documented errors", "undocumented errors", "hangs", "wrong bytes",
            "leftovers", "missed")
# Longer than any run: then the harness itself is at fault.
RUN_LIMIT_S = 400
# Processes of runs, each with a session of its own.
RUNNING = set()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", help="the folder of bin/lambdaml, tests/lambdaml_with_servers")
    parser.add_argument("--strength", choices=["1", "2", "all"], default="2",
                        help="what the sample covers: every value, every pair of values, or every "
                        "fault with every store, optimizer and pattern")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="a case as the harness prints it, or a part of such names")
    parser.add_argument("--jobs", type=int, default=5, help="runs at the same time")
    parser.add_argument("--json", help="a file for all verdicts")
    parser.add_argument("--keep", action="store_true", help="keep the runs' folders")
    parser.add_argument("--wait", type=float, default=0, metavar="S",
                        help="let runs that hang go on for so long, to see when they end")
    parser.add_argument("--list", action="store_true", help="print the sample and run nothing")
    parser.add_argument("--references", help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    settings.lambdaml = os.path.abspath(f"{settings.build}/bin/lambdaml")
    settings.with_servers = os.path.abspath(f"{settings.build}/tests/lambdaml_with_servers")
    return settings


def known_to(lambdaml):
    """The names of stores, optimizers and patterns in the program's registries."""
    listing = subprocess.run([lambdaml, "options", "--json"], capture_output=True, text=True,
                             check=True)
    answer = json.loads(listing.stdout.splitlines()[-1])
    choices = {option["name"]: option.get("choices") for option in answer["options"]}
    # Simulated stores exist within a simulation only.
    stores = [store["name"] for store in answer["stores"] if store["name"] != "sim"]
    return stores, choices["optim"], choices["sync_mode"]


def sample_of(settings):
    every = list(cases.all_cases(*known_to(settings.lambdaml)))
    if settings.only:
        try:
            return [Case.parse(settings.only)]
        except ValueError:
            every = [case for case in every if settings.only in str(case)]
    if settings.strength == "all":
        return cases.one_of_each_job(every, settings.seed)
    return cases.cover(every, int(settings.strength), settings.seed)


def mount_prefix():
    """How to run a program that mounts a file system nobody else sees; None where one may not."""
    for prefix in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        test = prefix + ["mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        if subprocess.run(test, stderr=subprocess.DEVNULL).returncode == 0:
            return prefix
    return None


def run_apart(case, settings, prefix):
    """The verdict on a case that is run in a process of its own."""
    command = [sys.executable, "-B", __file__, settings.build, "--only", str(case), "--alone",
               "--seed", str(settings.seed), "--wait", str(settings.wait), "--data", settings.data,
               "--references", settings.references] + (["--keep"] if settings.keep else [])
    if FAULTS[case.fault]().disk_of:
        command = prefix + command
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    RUNNING.add(process)
    try:
        out, err = process.communicate(timeout=RUN_LIMIT_S + settings.wait)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return Verdict(str(case), "hang", f"the run did not end within {RUN_LIMIT_S} s")
    finally:
        RUNNING.discard(process)
    if process.returncode != 0:
        raise Unprepared(f"{case}: {err.strip()}")
    return Verdict(**json.loads(out.splitlines()[-1]))


def table_of(verdicts):
    rows = [("fault", "runs", *HEADINGS)]
    for name in [*FAULTS, "all"]:
        mine = [v.outcome for v in verdicts if name in ("all", Case.parse(v.case).fault)]
        if mine:
            rows.append((name, len(mine), *(mine.count(outcome) for outcome in OUTCOMES)))
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [str(cell).rjust(width) for cell, width in zip(row, widths)]
        yield "  ".join([str(row[0]).ljust(widths[0]), *cells[1:]])


def say(verdict, settings):
    line = f"{verdict.outcome:<19}{verdict.took_s:6.1f} s  {verdict.case}"
    if verdict.ended_after_s is not None:
        line += f"  (ended {verdict.ended_after_s:.1f} s after the fault)"
    if verdict.outcome not in PASSED:
        line += f"\n    {verdict.detail}"
        if verdict.error:
            error = "\n".join(text[:400] for text in verdict.error.splitlines())
            line += f"\n    exit code {verdict.exit_code}: {error}"
        again = ["make", "torture", f"SEED={settings.seed}", f"ONLY={verdict.case}"]
        line += f"\n    again: {shlex.join(again)}"
    print(line, flush=True)


def possible(sample, settings, prefix):
    """The cases that this machine can run. What is left out is said, and an error in CI."""
    reasons = {store: why_missing(store, settings.with_servers)
               for store in sorted({case.store for case in sample})}
    must_run_all = "CI" in os.environ or "LAMBDAML_REQUIRE_SERVERS" in os.environ

    def why_not(case):
        if FAULTS[case.fault]().disk_of and not prefix:
            return "nothing may be mounted here, so no disk can be full"
        return reasons[case.store]

    for reason in sorted({why_not(case) for case in sample} - {None}):
        text = f"{sum(why_not(case) == reason for case in sample)} runs: {reason}"
        if must_run_all:
            raise Unprepared(text)
        print(f"left out: {text}")
    return [case for case in sample if not why_not(case)]


def run_all(sample, settings):
    prefix = mount_prefix()
    verdicts = []

    def one(case):
        verdict = run_apart(case, settings, prefix)
        say(verdict, settings)
        verdicts.append(verdict)

    with ThreadPoolExecutor(settings.jobs) as pool:
        for done in [pool.submit(one, case) for case in possible(sample, settings, prefix)]:
            try:
                done.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(RUNNING):
                    os.killpg(process.pid, signal.SIGINT)
                raise
    return verdicts


def main():
    settings = parse_arguments()
    if settings.alone:
        print(json.dumps(asdict(verdict_on(Case.parse(settings.only), settings))))
        return 0
    sample = sample_of(settings)
    if settings.list:
        print("\n".join(str(case) for case in sample))
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lambdaml-torture-") as folder:
        settings.references = folder
        settings.data = f"{folder}/data.libsvm"
        job.write_data(settings.lambdaml, settings.data)
        print(f"{len(sample)} runs, seed {settings.seed}", flush=True)
        verdicts = run_all(sample, settings)
    if settings.json:
        Path(settings.json).write_text(json.dumps([asdict(v) for v in verdicts], indent=1))
    failed = [verdict for verdict in verdicts if verdict.outcome not in PASSED]
    print("\n" + "\n".join(table_of(verdicts)))
    print(f"\n{len(failed)} of {len(verdicts)} runs failed; {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    # A shell that starts this in the background has it ignore SIGINT, and so all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(main())
    except Unprepared as error:
        sys.exit(f"torture: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
