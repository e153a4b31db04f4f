"""The same work on the machines of a Ray cluster: the names are its tasks, and one that dies with its machine is done again."""

from __future__ import annotations

import collections
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from affnet_tf.errors import InputError, unknown

__all__ = ["ENGINES", "check_engine", "join_cluster", "on_cluster"]

ENGINES = ("local", "ray")
ADDRESS = "RAY_ADDRESS"
# How often a task may lose the machine or the process that it runs on.
LOSSES = 3
_ANSWER_SECONDS = 20
# How long tasks wait for a machine where there is none that could run them; a cluster may be about to start one.
PATIENCE_SECONDS = 300
_POLL_SECONDS = 5
_AGAIN = "run the same command again, a run with --resume"
_AT = f"a Ray cluster must answer at {ADDRESS}: start one with 'ray start --head' (see docs/cluster.md)."

# In a process of the cluster: the work of each run, which has its libraries, its data and its compiled step by now.
_working: dict[str, tuple[collections.deque[str], Iterator[str]]] = {}


def on_cluster(
    work: Callable[..., Iterator[str]],
    names: Sequence[str],
    kind: str,
    arguments: tuple[Any, ...],
    variables: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield each name when its work is done, in the order in which that happens, as ``in_processes`` does.

    A task is sent a name and the arguments, no data. What the work reads and writes must be at the same path on every machine.

    Args:
        work: a function of a module, which yields each name when it is done with it.
        names: what is to be done.
        kind: ``cpu``, ``gpu`` or ``tpu``; a task asks for one of it.
        arguments: of ``work``; they are sent once to each machine.
        variables: environment variables of the processes, set before what ``work`` needs is imported.

    Raises:
        InputError: no cluster answers at RAY_ADDRESS, Ray is not installed, a task lost its machine too often, or what
            ``work`` raised.
    """
    ray = join_cluster()
    resources = {"cpu": {"num_cpus": 1}, "gpu": {"num_cpus": 1, "num_gpus": 1}, "tpu": {"resources": {"TPU": 1}}}[kind]
    alone = 0.0
    # Unpickling the work imports its libraries: too late for a task to set them.
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **(variables or {})}
    do = ray.remote(max_retries=LOSSES, runtime_env={"env_vars": environment}, **resources)(_do)
    run, sent = uuid.uuid4().hex, ray.put((work, arguments))
    waiting = [do.remote(run, name, sent) for name in names]
    try:
        while waiting:
            ready, waiting = ray.wait(waiting, num_returns=1, timeout=_POLL_SECONDS)
            for task in ready:
                yield _result(ray, task)
            offered = ray.cluster_resources().get(kind.upper(), 0)
            alone = 0.0 if ready or offered else alone + _POLL_SECONDS
            if alone >= PATIENCE_SECONDS:
                raise InputError(
                    f"the Ray cluster must have a machine with a free {kind.upper()}; {_AGAIN}. "
                    f"Received: none for {alone:.0f} seconds, with {len(waiting)} tasks left"
                )
    finally:
        for task in waiting:
            ray.cancel(task, force=True)
        if waiting:  # what is undone after this must not be written any more
            ray.wait(waiting, num_returns=len(waiting), timeout=_ANSWER_SECONDS)
        ray.shutdown()


def check_engine(engine: str) -> None:
    """Raise if no engine has that name.

    Raises:
        InputError: the message lists those that exist.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)


def join_cluster() -> Any:
    """Ray, connected to the cluster at RAY_ADDRESS; once is enough.

    Raises:
        InputError: no cluster answers there, or Ray is not installed.
    """
    address = os.environ.get(ADDRESS)
    if not address:
        raise InputError(
            f"engine 'ray' must be told its cluster: {ADDRESS}=host:6379, or auto on a machine of it. Received: none"
        )
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError("engine 'ray' needs the package 'ray': pip install 'affnet_tf[ray]'. Received: none") from None
    if ray.is_initialized():
        return ray
    if address != "auto" and not address.startswith("ray://"):
        _reach(address)
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except Exception as error:  # Ray has no class of its own for it
        raise InputError(f"{_AT} Received: {address!r}, {_line(error)}") from None
    return ray


def _reach(address: str) -> None:
    """Ray itself waits for a minute, and writes pages about it."""
    import socket

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"{ADDRESS} must be host:port, or auto. Received: {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        raise InputError(f"{_AT} Received: {address!r}, {error.strerror or error}") from None


def _result(ray: Any, task: Any) -> str:
    try:
        name, refusal = ray.get(task)
    except ray.exceptions.RayTaskError as error:  # a mistake of ours, with its traceback
        raise RuntimeError(str(error)) from None
    except ray.exceptions.RayError as error:
        raise InputError(
            f"a task must keep its machine, or find another within {LOSSES} tries; {_AGAIN}. Received: {_line(error)}"
        ) from None
    if refusal is not None:
        raise refusal
    return name


def _do(run: str, name: str, sent: tuple[Callable[..., Iterator[str]], tuple[Any, ...]]) -> tuple:
    """One name, in a process of the cluster. It keeps what it has set up for the next name of the same run."""
    if run not in _working:
        work, arguments = sent
        names: collections.deque[str] = collections.deque()
        _working.clear()  # of runs that are over
        _working[run] = names, work(iter(names.popleft, None), *arguments)
    names, running = _working[run]
    names.append(name)
    try:
        return next(running), None
    except InputError as error:
        _working.clear()
        return name, error
    except BaseException:
        _working.clear()
        raise


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
