"""Packages and functions of AWS Lambda, and a Lambda service of this machine."""

import contextlib
import json
import os

from . import _lambdaml
from ._errors import InvalidArgument
from ._job import finish

_FOLDER = os.path.dirname(os.path.abspath(__file__))


def package(output="lambdaml.zip"):
    """Makes the zip that functions are deployed from, as ``lambdaml package`` does.

    Parameters
    ----------
    output : str or path
        The zip; replaced if it is there.

    Returns
    -------
    dict
        ``path``, ``architecture``, ``zip_bytes``, ``unzipped_bytes``.
    """
    return finish(_lambdaml.package(_FOLDER, os.fspath(output)))


def deploy(
    *,
    zip=None,
    image=None,
    function=None,
    handler=None,
    model=None,
    role=None,
    code_bucket=None,
    memory_mb=None,
    timeout_s=None,
    ephemeral_mb=None,
    env=None,
    arch=None,
    subnets=None,
    security_groups=None,
    reserved_concurrency=None,
    retries=None,
    max_event_age_s=None,
    dry_run=False,
):
    """Makes or updates functions on AWS Lambda, as ``lambdaml deploy`` does.

    Parameters
    ----------
    zip : str or path, optional
        The package, by :func:`package`.
    image : str, optional
        A container image instead, by its URI.
    function : str, optional
        The function's name; by default ``lambdaml-worker``.
    handler : {"worker", "trigger", "tuner", "predict", "all"}, optional
    model : str, optional
        The model of the handler predict: a file, or the folder of a run, by its URI.
    role : str, optional
        The ARN of the role that it runs with; a new function needs it.
    code_bucket : str, optional
        ``"s3://BUCKET"``, by which the zip goes; needed above 50 MiB.
    memory_mb, timeout_s, ephemeral_mb : int, optional
        Of the function; what is not given stays as it is.
    env : dict, optional
        Variables of its environment; others stay as they are.
    arch : {"x86_64", "arm64"}, optional
    subnets, security_groups : list of str, optional
    reserved_concurrency, retries, max_event_age_s : int, optional
    dry_run : bool
        Say what would change, and change nothing.

    Returns
    -------
    list of dict
        For each function ``function``, ``arn``, ``action`` and ``changes``.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    for name in ("zip", "model"):
        if name in given:
            given[name] = os.fspath(given[name])
    if env is not None:
        given["env"] = [f"{name}={value}" for name, value in env.items()]
    for name in ("subnets", "security_groups"):
        if isinstance(given.get(name), str):
            raise InvalidArgument(f"{name} must be a list of ids")
    for name in ("memory_mb", "timeout_s", "ephemeral_mb", "reserved_concurrency", "retries", "max_event_age_s"):
        value = given.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise InvalidArgument(f"{name} must be a whole number, not {value!r}")
    return finish(_lambdaml.deploy(json.dumps(given)))


def destroy(*functions, all=False, dry_run=False):
    """Deletes functions that :func:`deploy` made, as ``lambdaml destroy`` does.

    Parameters
    ----------
    *functions : str
        Their names.
    all : bool
        Instead of names: every function that LambdaML made, in the region.
    dry_run : bool
        Say what would be deleted, and delete nothing.

    Returns
    -------
    dict
        Names by what happened to them: ``deleted``, ``absent``, ``left``.
    """
    if bool(functions) == bool(all):
        raise InvalidArgument("destroy() takes names of functions, or all=True")
    return finish(_lambdaml.destroy(list(functions), all, dry_run))


@contextlib.contextmanager
def emulate(
    *, port=0, concurrency=1000, retry_delay_s=60.0, idle_s=300.0, deliver_twice=False, log_folder=None, auth=True
):
    """A Lambda service of this machine, while the block runs: as ``lambdaml emulate``.

    Within the block, the environment leads to it: :func:`deploy` deploys there, and jobs of the platform
    ``aws`` run there. Afterwards its functions have ended and the environment is as it was.

    Parameters
    ----------
    port : int
        Of 127.0.0.1; 0 picks a free one.
    concurrency : int
        Events that may run at once.
    retry_delay_s : float
        Before a failed asynchronous event's second attempt; doubles.
    idle_s : float
        An environment without an event for so long is ended.
    deliver_twice : bool
        Deliver each asynchronous event twice, as AWS may.
    log_folder : str or path, optional
        Functions' logs go to a folder each in it; by default to standard error.
    auth : bool
        False takes requests that are not signed: every program of this user may then run code by it.

    Yields
    ------
    str
        The endpoint, ``http://127.0.0.1:PORT``.

    Examples
    --------
    >>> with lambdaml.emulate(log_folder="logs"):                                # doctest: +SKIP
    ...     lambdaml.package("worker.zip")
    ...     lambdaml.deploy(zip="worker.zip", role="arn:aws:iam::123456789012:role/any")
    ...     lambdaml.train(data="s3://bucket/set", platform="aws", channel="s3://bucket/channel")
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise InvalidArgument(f"port must be a whole number from 0 to 65535, not {port!r}")
    service = _lambdaml.Emulator(
        port, concurrency, retry_delay_s, idle_s, deliver_twice, os.fspath(log_folder or ""), auth
    )
    try:
        changed = {"AWS_ENDPOINT_URL_LAMBDA": service.endpoint}
        if service.key is not None:
            changed["AWS_ACCESS_KEY_ID"], changed["AWS_SECRET_ACCESS_KEY"] = service.key
        if not any(os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION")):
            changed["AWS_REGION"] = "us-east-1"
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            yield service.endpoint
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
    finally:
        service.close()
