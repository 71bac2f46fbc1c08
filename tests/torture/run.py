"""One run: a job, its fault, and the verdict on what came of it.

A run passes in one of two ways. The command ends with exit code 0 and the model of an undisturbed
job, byte for byte; or it ends within the documented time with a documented exit code and one line,
and once the fault is over `lambdaml resume`, or the same command where nothing was kept, gives that
model. Either way nothing is left: no key, no process, no file.
"""
import contextlib
import ctypes
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import job
from faults import FAULTS
from places import open_place

# Between the epochs, the fault strikes after one of so many, the first ones.
LATEST_EPOCH = 10
# Jobs that ended before their fault are run again, at most twice, with so many times the epochs.
LONGER = 4
ATTEMPTS = 3
# Asynchronous jobs give no certain bytes; their loss stays below so many times that of the others.
LOSS_BOUND = 1.25
# To come to the moment of the fault; to recover from it.
PATIENCE_S = 60
# What the command started ends with it, or this long after it.
GRACE_S = 2
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Verdict:
    """`outcome` of a run that passed: same_bytes, documented_error; of one that failed:
    undocumented_error, hang, wrong_bytes, leftover, or missed: the job ended before its fault."""
    case: str
    outcome: str
    detail: str = ""
    exit_code: int | None = None
    error: str = ""
    ended_after_s: float | None = None  # from the strike to the command's end
    took_s: float = 0.0


class Failed(Exception):
    def __init__(self, outcome, detail):
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


class Run:
    """One attempt at a case, and what its fault acts on: the place, the disk, the command and its
    workers."""

    def __init__(self, case, settings, epochs):
        self.case = case
        self.settings = settings
        self.epochs = epochs
        self.rng = random.Random(f"{settings.seed}/{case}")
        self.fault = FAULTS[case.fault]()
        self.command = None
        self.ended_after_s = None
        self.folder = Path(tempfile.mkdtemp(prefix="lambdaml-torture-"))
        self.disk = self.folder / "disk"
        for name in ("disk", "tmp", "home", "server"):
            (self.folder / name).mkdir()
        if self.fault.disk_of:
            # In the mount namespace of this process alone.
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", self.disk],
                           check=True)
        self.output = (self.disk if self.fault.disk_of == "run" else self.folder) / "run"
        channel = (self.disk if self.fault.disk_of == "channel" else self.folder) / "channel"
        self.place = open_place(case.store, channel, settings, self.folder / "server")

    # --- for faults

    def start_command(self):
        self.command = self.begin(self.train(self.output))

    def signal(self, number):
        self.send(self.command.pid, number)

    def signal_worker(self, number):
        """Signals one of the command's worker processes and returns its id."""
        workers = sorted(job.children_of(self.command.pid))
        pid = self.rng.choice(workers) if workers else None
        self.send(pid, number)
        return pid

    @staticmethod
    def send(pid, number):
        """Signals a process, if there is one."""
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, number)

    # --- commands

    def train(self, output):
        command = job.train(self.settings, self.case, self.epochs, self.place.channel, output,
                            self.case.pattern)
        return command + list(self.fault.options)

    def begin(self, arguments):
        environment = {**os.environ, **self.place.environment, "TMPDIR": str(self.folder / "tmp"),
                       "HOME": str(self.folder / "home")}
        with open(self.folder / "stdout", "w") as out, open(self.folder / "stderr", "w") as err:
            return subprocess.Popen(arguments, cwd=self.folder, env=environment,
                                    stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def error_text(self):
        return (self.folder / "stderr").read_text(errors="replace").strip()

    # --- the run

    def play(self):
        """The job with its fault, until the command has ended and the fault is over."""
        if self.case.moment != "start":
            gate = self.gate()
            self.start_command()
            self.await_moment(gate)
            self.fault.strike(self)
            if gate:
                self.place.open(gate)
        else:
            self.fault.strike(self)
        struck = time.monotonic()
        if self.command is None:
            self.start_command()
        lasts = None if self.fault.lasts is None else self.rng.uniform(*self.fault.lasts)
        limit_s = self.fault.limit_s(self.case, lasts)
        end = struck + max(limit_s, self.settings.wait)
        is_over = False
        try:
            while self.command.poll() is None and time.monotonic() < end:
                if lasts is not None and not is_over and time.monotonic() >= struck + lasts:
                    is_over = True
                    self.fault.heal(self)
                time.sleep(0.005)
            self.ended_after_s = time.monotonic() - struck
            if self.ended_after_s > limit_s:
                ended = "not ended" if self.command.returncode is None else "ended"
                raise Failed("hang", f"{ended} {self.ended_after_s:.1f} s after the fault struck")
        finally:
            if not is_over:
                self.fault.heal(self)

    def gate(self):
        """What holds the request at which the fault strikes."""
        # A service that has not answered yet ends a job within seconds (docs/reference/channels.md).
        first = 2 if self.fault.survives(self.case) else 1
        proxy, wanted = self.place.proxy, self.rng.randint(first, self.fault.latest_request)
        if self.case.moment == "staging":
            return self.place.set_gate(lambda: proxy.requests >= wanted)
        if self.case.moment == "clearing":
            return self.place.set_gate(job.model_path(self.output).exists)
        return None

    def await_moment(self, gate):
        wanted = self.rng.randint(1, LATEST_EPOCH)
        is_reached = gate.reached.is_set if gate else lambda: job.epochs_in(self.output) >= wanted
        patience = time.monotonic() + PATIENCE_S
        while not is_reached():
            if self.command.poll() == 0:
                raise Failed("missed", "the job ended before its fault")
            if self.command.poll() is not None:
                raise Failed("undocumented_error", f"without a fault: {self.error_text()}")
            if time.monotonic() > patience:
                raise Failed("hang", f"{PATIENCE_S} s, and the fault's moment has not come")
            time.sleep(0.002)

    def judge(self):
        """The outcome of a command that has ended, recovery included."""
        code, error = self.command.returncode, self.error_text()
        if code == 0:
            self.require_model(self.output)
        else:
            self.require_documented(code, error)
        self.require_no_process()
        if code != 0:
            resumed = self.recover(error)
            self.require_no_process()
        if code == 0 or not resumed:
            self.clear_as_told(error)
        self.require_nothing_left()
        return "same_bytes" if code == 0 else "documented_error"

    def require_model(self, output):
        reference = job.reference(self.settings, self.case, self.epochs)
        if self.case.has_equal_bytes:
            if job.model_in(output) != job.model_in(reference):
                raise Failed("wrong_bytes", "the model is another")
        else:
            loss, bound = job.loss_in(output), job.loss_in(reference) * LOSS_BOUND
            if not loss <= bound:
                raise Failed("wrong_bytes", f"a loss of {loss}, above {bound}")

    def require_documented(self, code, error):
        if self.fault.survives(self.case):
            raise Failed("undocumented_error", "the job should have gone on")
        if code not in self.fault.exit_codes:
            raise Failed("undocumented_error", f"exit code {code}, not {self.fault.exit_codes}")
        # Warnings, and a worker's last lines below them, may come before the error.
        lines = [line for line in error.splitlines() if not line.startswith(("warning: ", "    "))]
        if not self.fault.is_mute and (len(lines) != 1 or not lines[0].startswith("lambdaml: ")):
            raise Failed("undocumented_error", f"{len(lines)} lines of error, not one")

    def recover(self, error):
        """The fault is over: the job must come to its end. Returns whether it was the same job that
        did."""
        resumes = job.job_id_in(self.output) if self.fault.is_mute else "lambdaml resume" in error
        if resumes:
            what, output = "resume", self.output
            command = self.begin([self.settings.lambdaml, "resume", "-q", "--json", str(output)])
        else:
            what, output = "the same command again", self.folder / "again"
            command = self.begin(self.train(output))
        try:
            code = command.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            command.kill()
            raise Failed("hang", f"{what}: not ended after {PATIENCE_S} s") from None
        if code != 0:
            raise Failed("undocumented_error", f"{what}: {code}: {self.error_text()}")
        self.require_model(output)
        return resumes

    def clear_as_told(self, error):
        """Removes the keys of a job that cannot do so itself any more: where it said how, or where
        it may leave them unsaid."""
        advice = re.search(r"lambdaml storage clear \S+ (\S+)", error)
        unsaid = self.fault.may_leave_keys and self.command.returncode != 0
        again = job.job_id_in(self.folder / "again")
        for job_id in {key.split("/")[0] for key in self.place.keys()} - {again}:
            if unsaid or (advice and advice[1].rstrip("/.;,") == job_id):
                self.place.clear(job_id)

    def require_no_process(self):
        patience = time.monotonic() + GRACE_S
        while alive := self.processes():
            if time.monotonic() > patience:
                names = ", ".join(f"{job.name_of(pid)} {pid}" for pid in alive)
                raise Failed("leftover", f"processes: {names}")
            time.sleep(0.01)

    def processes(self):
        """What the command has started: this process is the parent of all whose parents ended."""
        servers = self.place.driver.pid if self.case.is_served else None
        return [pid for pid in job.children_of(os.getpid()) if pid != servers]

    def require_nothing_left(self):
        if keys := self.place.keys():
            raise Failed("leftover", f"{len(keys)} keys: {' '.join(keys[:5])}")
        if files := self.files():
            raise Failed("leftover", f"files: {' '.join(str(file) for file in files[:5])}")

    def files(self):
        """Those that should not be there."""
        expected = {"disk", "tmp", "home", "server", "stdout", "stderr", "run", "again", "channel"}
        found = [file for file in self.folder.iterdir() if file.name not in expected]
        found += [*(self.folder / "tmp").iterdir(), *(self.folder / "home").iterdir()]
        reference = job.reference(self.settings, self.case, self.epochs)
        expected = {file.name for file in reference.iterdir()} | {"checkpoint", "log"}
        for output in (self.output, self.folder / "again"):
            if output.exists():
                found += [file for file in output.iterdir() if file.name not in expected]
            if job_id := job.job_id_in(output):
                found += Path("/dev/shm").glob(f"*/{job_id}")
        return found

    def clean(self):
        if self.command and self.command.poll() is None:
            self.command.kill()
            self.command.wait()
        for pid in self.processes():
            self.send(pid, signal.SIGKILL)
        self.place.close()
        if self.fault.disk_of:
            subprocess.run(["umount", "--lazy", self.disk], check=True)
        if not self.settings.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def attempt(case, settings, epochs):
    run = Run(case, settings, epochs)
    verdict = Verdict(str(case), "")
    try:
        run.play()
        verdict.exit_code = run.command.returncode
        verdict.error = run.error_text()
        verdict.outcome = run.judge()
    except Failed as failure:
        verdict.outcome, verdict.detail = failure.outcome, failure.detail
    finally:
        run.clean()
    verdict.ended_after_s = run.ended_after_s
    return verdict


def verdict_on(case, settings):
    """Runs a case. This process must have no other children."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    epochs = job.EPOCHS_SERVED if case.is_served else job.EPOCHS_UNSERVED
    for _ in range(ATTEMPTS):
        verdict = attempt(case, settings, epochs)
        if verdict.outcome != "missed":
            break
        epochs *= LONGER
    verdict.took_s = time.monotonic() - began
    return verdict
