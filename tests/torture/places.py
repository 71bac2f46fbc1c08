"""Where a job's workers meet: a store of its own for each run, its server behind a proxy."""
import json
import os
import re
import signal
import subprocess

import proxy
from cases import UNSERVED_STORES


# What lambdaml_with_servers ends with then.
PROGRAM_MISSING = 3


class Unprepared(Exception):
    """Something that this harness needs is missing; the message says what to do."""


class Place:
    """A store without a server: a folder, or the memory of the job's process."""
    environment = {}  # for the job
    proxy = None

    def __init__(self, store, folder, settings):
        self.store = store
        self.folder = folder
        self.lambdaml = settings.lambdaml
        # The bare name of any other means a place that jobs share.
        self.channel = f"file://{folder}" if store == "file" else store
        # By another way than the job's.
        self.direct_channel, self.direct_environment = self.channel, {}

    def keys(self):
        if self.store == "memory" or (self.folder and not self.folder.exists()):
            return []
        listing = self.storage("ls", "--json", self.direct_channel)
        return [entry["key"] for entry in json.loads(listing.splitlines()[-1])["keys"]]

    def clear(self, job_id):
        self.storage("clear", "-q", self.direct_channel, f"{job_id}/")

    def storage(self, *arguments):
        command = [self.lambdaml, "storage", *arguments]
        done = subprocess.run(command, text=True, capture_output=True, timeout=60,
                              env={**os.environ, **self.direct_environment})
        if done.returncode != 0:
            raise Unprepared(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def close(self):
        pass


class ServedPlace(Place):
    """A store on a real server of its own, which lambdaml_with_servers starts, stops and signals,
    behind a proxy."""

    def __init__(self, store, settings, temporary):
        super().__init__(store, None, settings)
        self.is_up = True
        self.driver = subprocess.Popen([settings.with_servers, store], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       env={**os.environ, "TMPDIR": str(temporary)})
        direct = {}
        while (line := self.driver.stdout.readline()) not in ("ready\n", ""):
            name, _, value = line.rstrip("\n").partition("=")
            direct[name] = value
        if not line:
            reason = self.driver.stderr.read().strip()
            if "no test server" in reason:
                reason += f": add a recipe for the store '{store}' to tests/integration/servers.cc"
            raise Unprepared(reason)
        ports = set(re.findall(r"127\.0\.0\.1:(\d+)", " ".join(direct.values())))
        if len(ports) != 1:
            raise Unprepared(f"the server of '{store}' must have one address, not {sorted(ports)}")
        port = ports.pop()
        self.proxy = proxy.Proxy(int(port))

        def behind_proxy(text):
            return text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.proxy.port}")

        uri = direct.pop(f"LAMBDAML_STORE_{store.upper()}")
        self.direct_channel, self.direct_environment = f"{uri}/torture", direct
        self.channel = behind_proxy(self.direct_channel)
        self.environment = {name: behind_proxy(value) for name, value in direct.items()}

    def order(self, text):
        self.driver.stdin.write(text + "\n")
        self.driver.stdin.flush()
        answer = self.driver.stdout.readline().strip()
        if answer != "done":
            raise Unprepared(f"'{text}': {answer or 'lambdaml_with_servers has ended'}")

    def kill(self):
        self.order(f"stop {self.store}")
        self.proxy.refuse()
        self.is_up = False

    def start(self):
        if not self.is_up:
            self.order(f"start {self.store}")
            self.proxy.accept()
            self.is_up = True

    def set_gate(self, has_come):
        self.proxy.wire = proxy.Gate(has_come)
        return self.proxy.wire

    def open(self, gate):
        """The fault has struck; one of the wire has another wire in place of the gate."""
        if self.proxy.wire is gate:
            self.proxy.wire = proxy.Wire()
        gate.struck.set()

    def freeze(self):
        self.order(f"signal {self.store} {signal.SIGSTOP.value}")

    def thaw(self):
        self.order(f"signal {self.store} {signal.SIGCONT.value}")

    def close(self):
        self.driver.stdin.close()
        self.driver.wait()


def why_missing(store, with_servers):
    """Why this store's server cannot be had on this machine; None if it can."""
    if store in UNSERVED_STORES:
        return None
    done = subprocess.run([with_servers, store], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)
    return done.stderr.strip() if done.returncode == PROGRAM_MISSING else None


def open_place(store, folder, settings, temporary):
    """`folder` is for the values of a store without a server, `temporary` for a server's files."""
    if store in UNSERVED_STORES:
        return Place(store, folder, settings)
    return ServedPlace(store, settings, temporary)
