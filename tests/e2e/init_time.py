"""The processor time that a deployed worker takes until it serves events: it is billed at each cold start, and AWS's
floor is some 15 ms. As: init_time.py LAMBDAML ZIP LIMIT_MS

`lambdaml emulate` starts the package as AWS does; the time is that of the whole process after its first event, which is
none that it takes, so it is an upper bound of what it takes before. The least of three starts counts, because other
programs of the machine can only add to it.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

LAMBDAML, ZIP = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
LIMIT_MS = float(sys.argv[3])
STARTS = 3
SKIPPED = 77


def lambdaml(*words, succeeds=True):
    done = subprocess.run([LAMBDAML, *words], capture_output=True, text=True, timeout=120)
    assert not succeeds or done.returncode == 0, (words, done.stdout, done.stderr)


def process_of(function):
    """That runs the function."""
    wanted = b"AWS_LAMBDA_FUNCTION_NAME=" + function.encode()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                return folder
        except OSError:
            pass
    raise AssertionError(f"no process runs {function}")


def processor_ms(process):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in (process / "task").iterdir()) / 1e6


if not pathlib.Path("/proc/self/schedstat").exists():
    print("this kernel does not tell processor times")
    sys.exit(SKIPPED)
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    os.environ.update(AWS_REGION="us-east-1", AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local",
                      NO_PROXY="127.0.0.1")
    emulate = subprocess.Popen([LAMBDAML, "emulate", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        address = emulate.stdout.readline().split()[-1]
        os.environ["AWS_ENDPOINT_URL_LAMBDA"] = address
        taken = []
        for start in range(STARTS):
            function = f"init-time-{os.getpid()}-{start}"
            lambdaml("deploy", "--function", function, "--zip", ZIP, "--role", "arn:aws:iam::000000000000:role/local")
            lambdaml("invoke", function, "--payload", "{}", succeeds=False)
            taken.append(processor_ms(process_of(function)))
    finally:
        emulate.send_signal(signal.SIGTERM)
        emulate.wait(60)
print("processor time of a start and an event that fails:", ", ".join(f"{ms:.1f} ms" for ms in taken))
sys.exit(0 if min(taken) < LIMIT_MS else f"the limit is {LIMIT_MS:g} ms")
