"""The faults: what each does, to which jobs, and what the documentation promises then.

The table FAULTS at the end is the matrix's list. A fault strikes at a moment of the job and is over
after some seconds or, where `lasts` is None, when the command has ended.
"""
import errno
import os
import signal
import threading
import time

import proxy

# docs/reference/channels.md: a service that has answered gets so long to come back.
OUTAGE_S = 20
# One that never answered ends a job "within seconds".
FIRST_CONTACT_S = 5
# docs/reference/errors.md: an interrupted command ends within this time.
INTERRUPT_S = 3
# A documented time holds within a tenth; what else may be late on a machine that is busy.
TOLERANCE = 1.1
BUSY_S = 6
# A whole undisturbed job, on such a machine.
JOB_S = 30


class Fault:
    #: when it strikes: before the command starts, while the data are staged, between the epochs, or
    #: when the model is there and the job clears its channel
    moments = ("start", "staging", "rounds", "clearing")
    #: while the data are staged: at one of so many requests, the first ones
    latest_request = 25
    #: after how many seconds, from and to, it is over; None: when the command has ended
    lasts = None
    #: of a command that fails by it
    exit_codes = {1}
    #: whether the command is killed and can say nothing
    is_mute = False
    #: whether a job that fails may leave its keys, unsaid: it was killed, or took a damaged answer
    #: for the server's; `lambdaml storage clear` removes them
    may_leave_keys = False
    #: more options of the job
    options = ()
    #: whether the run's folder, the channel or neither lies on a small disk
    disk_of = None

    def applies(self, case):
        raise NotImplementedError

    def survives(self, case):
        """Whether the documentation promises that the job goes on to its end."""
        return False

    def limit_s(self, case, lasts):
        """How long a command may take from the strike on, by the documentation. `lasts` as above,
        drawn."""
        if lasts is not None:
            return lasts + OUTAGE_S * TOLERANCE + JOB_S + BUSY_S
        given = FIRST_CONTACT_S if case.moment == "start" else OUTAGE_S
        return given * TOLERANCE + BUSY_S

    def strike(self, run):
        raise NotImplementedError

    def heal(self, run):
        pass


# --- the server ---------------------------------------------------------------------------------

class ServerFault(Fault):
    def applies(self, case):
        return case.is_served


class Kill(ServerFault):
    """The server is killed and stays away."""

    def strike(self, run):
        run.place.kill()

    def heal(self, run):
        run.place.start()


class Restart(Kill):
    """The server is killed and starts again; what it kept in memory is lost."""
    lasts = (0.5, 5)
    # Data that were staged in a memory are gone: not_found.
    exit_codes = {1, 2}

    def survives(self, case):
        return case.moment in ("rounds", "clearing") or (
            case.moment == "staging" and not case.forgets)


class Stop(ServerFault):
    """The server is stopped (SIGSTOP), and no connection ends."""

    def strike(self, run):
        run.place.freeze()

    def heal(self, run):
        run.place.thaw()


class Pause(Stop):
    """The server is stopped for some seconds."""
    lasts = (1, 5)

    def survives(self, case):
        return case.moment != "start"


class InterruptInOutage(Stop):
    """The server is stopped, and the command that waits for it is interrupted."""
    moments = ("start", "rounds")
    exit_codes = {130}

    def limit_s(self, case, lasts):
        return INTERRUPT_S + BUSY_S

    def strike(self, run):
        super().strike(run)
        if run.command is None:
            run.start_command()
        time.sleep(1)
        run.signal(signal.SIGINT)


class Flap(ServerFault):
    """The server is reached and not reached by turns."""
    lasts = (4, 8)

    def survives(self, case):
        return case.moment != "start"

    def strike(self, run):
        over = self.over = threading.Event()

        def flap():
            while not over.is_set():
                run.place.proxy.refuse()
                over.wait(run.rng.uniform(0.3, 2))
                run.place.proxy.accept()
                over.wait(run.rng.uniform(0.2, 1))

        self.thread = threading.Thread(target=flap)
        self.thread.start()

    def heal(self, run):
        self.over.set()
        self.thread.join()


# --- the network --------------------------------------------------------------------------------

class WireFault(ServerFault):
    """The network to the server does what a wire of proxy.py does."""
    exit_codes = {1, 2}

    def __init__(self, wire, lasts, promised):
        self.wire = wire
        self.lasts = lasts
        self.promised = promised
        self.may_leave_keys = wire in (proxy.Truncate, proxy.Garbage, proxy.RepeatBytes)

    def survives(self, case):
        return self.promised and case.moment != "start"

    def strike(self, run):
        run.place.proxy.wire = self.struck = self.wire(run.rng)
        if self.wire is proxy.RepeatConnections:
            run.place.proxy.cut_all()

    def heal(self, run):
        run.place.proxy.wire = proxy.Wire()
        if self.lasts is None:
            # The command has ended: what it sent and what is still on the way gets lost, or it would
            # come after all was cleared.
            run.place.proxy.cut_all()
        self.struck.heal()


class DripForGood(WireFault):
    """What passes does so byte by byte, without end. Short messages come through, so this is about
    the data: a transfer that moves less than 1 KB/s for 20 s fails."""
    moments = ("start", "staging")
    latest_request = 3
    # Short messages before the data, up to a second or two each.
    SHORT_MESSAGES_S = 15

    def __init__(self):
        super().__init__(proxy.DripBothWays, None, promised=False)

    def limit_s(self, case, lasts):
        return OUTAGE_S * TOLERANCE + self.SHORT_MESSAGES_S + BUSY_S


# --- the job's own processes --------------------------------------------------------------------

class WorkerFault(Fault):
    moments = ("rounds",)

    def applies(self, case):
        return case.store != "memory"  # its workers are threads


class WorkerKill(WorkerFault):
    """A worker is killed."""
    lasts = (0, 0)

    def survives(self, case):
        return True

    def strike(self, run):
        run.signal_worker(signal.SIGKILL)


class WorkerPause(WorkerFault):
    """A worker is stopped for some seconds."""
    lasts = (1, 5)

    def survives(self, case):
        return True

    def strike(self, run):
        self.pid = run.signal_worker(signal.SIGSTOP)

    def heal(self, run):
        run.send(self.pid, signal.SIGCONT)


class WorkerStop(WorkerFault):
    """A worker is stopped and stays so."""
    options = ("--patience-s", "5")
    exit_codes = {1, 4}

    def strike(self, run):
        run.signal_worker(signal.SIGSTOP)


class TriggerKill(Fault):
    """The command is killed."""
    moments = ("staging", "rounds")
    exit_codes = {-signal.SIGKILL}
    is_mute = True
    may_leave_keys = True

    def applies(self, case):
        return True

    def limit_s(self, case, lasts):
        return BUSY_S

    def strike(self, run):
        run.signal(signal.SIGKILL)


class Interrupt(TriggerKill):
    """The command is interrupted."""
    exit_codes = {130}
    is_mute = False
    may_leave_keys = False

    def limit_s(self, case, lasts):
        return INTERRUPT_S + BUSY_S

    def strike(self, run):
        run.signal(signal.SIGINT)


# --- the disk -----------------------------------------------------------------------------------

class FullDisk(Fault):
    """The disk of the run's folder or of the channel is full, until the command has ended."""
    moments = ("start", "rounds")

    def __init__(self, disk_of):
        self.disk_of = disk_of

    def applies(self, case):
        return self.disk_of == "run" or case.store == "file"

    def limit_s(self, case, lasts):
        return 5 + BUSY_S

    def strike(self, run):
        self.ballast = run.disk / "ballast"
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def heal(self, run):
        os.unlink(self.ballast)


FAULTS = {
    "kill": Kill,
    "restart": Restart,
    "stop": Stop,
    "pause": Pause,
    "flap": Flap,
    "interrupt_in_outage": InterruptInOutage,
    "cut": lambda: WireFault(proxy.Cut, (1, 5), promised=True),
    "cut_for_good": lambda: WireFault(proxy.CutAtOnce, None, promised=False),
    "truncate": lambda: WireFault(proxy.Truncate, (5, 5), promised=False),
    "garbage": lambda: WireFault(proxy.Garbage, (0.5, 2), promised=False),
    "repeat_bytes": lambda: WireFault(proxy.RepeatBytes, (0.5, 2), promised=False),
    "repeat_connections": lambda: WireFault(proxy.RepeatConnections, (2, 5), promised=True),
    "delay": lambda: WireFault(proxy.Delay, (2, 5), promised=True),
    "silence": lambda: WireFault(proxy.Silence, (1, 5), promised=True),
    "silence_for_good": lambda: WireFault(proxy.Silence, None, promised=False),
    "drip": lambda: WireFault(proxy.Drip, (1, 5), promised=True),
    "drip_for_good": DripForGood,
    "worker_kill": WorkerKill,
    "worker_pause": WorkerPause,
    "worker_stop": WorkerStop,
    "trigger_kill": TriggerKill,
    "interrupt": Interrupt,
    "full_disk_of_run": lambda: FullDisk("run"),
    "full_disk_of_channel": lambda: FullDisk("channel"),
}
