"""Packages and functions of AWS Lambda, and a Lambda service of this machine."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union

from . import _checks, _lambdaml, _options
from ._errors import InvalidArgument, shown
from ._job import finish
from ._progress import tell_serving
from ._types import Place

_FOLDER = os.path.dirname(os.path.abspath(__file__))


def package(output: Place = "lambdaml.zip") -> dict[str, Any]:
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
    zip: Optional[Place] = None,
    image: Optional[str] = None,
    function: Optional[str] = None,
    handler: Optional[str] = None,
    model: Optional[Place] = None,
    role: Optional[str] = None,
    code_bucket: Optional[str] = None,
    memory_mb: Optional[int] = None,
    timeout_s: Optional[int] = None,
    ephemeral_mb: Optional[int] = None,
    env: Optional[Mapping[str, str]] = None,
    arch: Optional[str] = None,
    subnets: Optional[Sequence[str]] = None,
    security_groups: Optional[Sequence[str]] = None,
    file_system: Optional[str] = None,
    reserved_concurrency: Optional[int] = None,
    retries: Optional[int] = None,
    max_event_age_s: Optional[int] = None,
    schedule: Optional[str] = None,
    on_upload: Optional[str] = None,
    job: Union[Mapping[str, Any], Place, None] = None,
    dry_run: bool = False,
) -> list[dict[str, Any]]:
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
        What it does; by default it is a worker. "all" is one function for each, with that in its name.
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
        By default that of the package.
    subnets, security_groups : list of str, optional
        Ids of the network in which it runs.
    file_system : str, optional
        What it mounts, ``"ARN=/mnt/NAME"``: an access point of EFS or S3 Files, within a network; ``"none"``: nothing.
    reserved_concurrency, retries, max_event_age_s : int, optional
        Its executions at once; for asynchronous events, repetitions after an error and seconds until they are dropped.
    schedule : str, optional
        With the handler trigger: when it starts the job, ``"cron(0 3 * * ? *)"`` or ``"rate(1 day)"``, in UTC; ``"none"``:
        never.
    on_upload : str, optional
        With the handler trigger: each new object there starts the job, ``"s3://BUCKET/PREFIX"``; ``"none"``: none does.
    job : dict, str or path, optional
        That of `schedule` and `on_upload`: options by name, or a job file.
    dry_run : bool
        Say what would change, and change nothing.

    Returns
    -------
    list of dict
        For each function ``function``, ``arn``, ``action`` and ``changes``.
    """
    given = {name: value for name, value in locals().items() if value is not None and name != "job"}
    file, text = "", ""
    if isinstance(job, Mapping):
        text = _options.job_text(job)
    elif job is not None:
        file = _checks.job_file(job)
    for name in ("zip", "model"):
        if name in given:
            given[name] = os.fspath(given[name])
    for name in ("image", "function", "handler", "role", "code_bucket", "arch", "file_system", "schedule", "on_upload"):
        if name in given:
            _checks.text(name, given[name])
    if env is not None:
        if not isinstance(env, Mapping):
            raise TypeError(f"env must be a dict, not {type(env).__name__}")
        given["env"] = [f"{name}={value}" for name, value in env.items()]
    for name in ("subnets", "security_groups"):
        ids = given.get(name, ())
        if isinstance(ids, str) or not isinstance(ids, Sequence) or not all(isinstance(each, str) for each in ids):
            raise InvalidArgument(f"{name} must be a list of ids, not {shown(ids)}")
    for name in ("memory_mb", "timeout_s", "ephemeral_mb", "reserved_concurrency", "retries", "max_event_age_s"):
        if name in given:
            given[name] = _checks.whole(name, given[name], 0, 2**31 - 1)
    given["dry_run"] = bool(dry_run)
    return finish(_lambdaml.deploy(json.dumps(given), file, text))


def destroy(*functions: str, all: bool = False, dry_run: bool = False) -> dict[str, list[str]]:
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
        Names of functions by what happened to them: ``deleted``, ``absent``, ``left``; the ``rules`` that started jobs and
        went with their functions; and ``notes``, lines that say what else stays and why.
    """
    if bool(functions) == bool(all):
        raise InvalidArgument("destroy() takes names of functions, or all=True")
    names = [_checks.text("the name of a function", name) for name in functions]
    return finish(_lambdaml.destroy(names, bool(all), bool(dry_run)))


@contextlib.contextmanager
def emulate(
    *,
    port: int = 0,
    concurrency: int = 1000,
    retry_delay_s: float = 60.0,
    idle_s: float = 300.0,
    deliver_twice: bool = False,
    log_folder: Optional[Place] = None,
    auth: bool = True,
    metrics_port: Optional[int] = None,
) -> Iterator[str]:
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
    metrics_port : int, optional
        Of 127.0.0.1, where /metrics is for Prometheus; 0 picks a free one. A line on standard error says where.

    Yields
    ------
    str
        The endpoint, ``http://127.0.0.1:PORT``.

    Examples
    --------
    >>> with lambdaml.emulate(log_folder="logs"):                                # doctest: +SKIP
    ...     lambdaml.package("worker.zip")
    ...     lambdaml.deploy(zip="worker.zip", role="arn:aws:iam::123456789012:role/any")
    ...     lambdaml.train(
    ...         data="s3://bucket/set", platform="aws", function="lambdaml-worker", channel="s3://bucket/channel"
    ...     )
    """
    service = _lambdaml.Emulator(
        _checks.whole("port", port, 0, 65535),
        _checks.whole("concurrency", concurrency, 1, 2**31 - 1),
        _checks.number("retry_delay_s", retry_delay_s, 0),
        _checks.number("idle_s", idle_s, 0),
        bool(deliver_twice),
        os.fspath(log_folder or ""),
        bool(auth),
        -1 if metrics_port is None else _checks.whole("metrics_port", metrics_port, 0, 65535),
    )
    if service.metrics_url:
        tell_serving("metrics", service.metrics_url)
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
