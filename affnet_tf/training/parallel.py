"""Work of one kind in several processes of this machine, with the same results as in one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from affnet_tf.errors import InputError
from affnet_tf.pipeline.workers import environment
from affnet_tf.silence import silent

__all__ = ["in_processes"]

_POLL_SECONDS = 0.5
# Read by TensorFlow when a process imports it: no chatter, and no process takes a whole GPU for itself.
_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def in_processes(
    work: Callable[..., Iterator[str]], names: Sequence[str], processes: int, arguments: tuple[Any, ...]
) -> Iterator[str]:
    """Yield each name when its work is done, in the order in which that happens.

    Every process calls ``work(its names, *arguments)`` once, where its names are handed out one by one as processes are free.
    It has its share of the cores. When this process dies, however it does, the others leave too.

    Args:
        work: a function of a module, which yields each name when it is done with it.
        names: what is to be done.
        processes: how many.
        arguments: of ``work``; they are sent to the processes.

    Raises:
        InputError: raised by ``work``, or a process that was killed.
        RuntimeError: anything else that ``work`` raised, with its traceback.
    """
    context = multiprocessing.get_context("spawn")
    tasks, results = context.Queue(), context.Queue()
    for name in [*names, *[None] * processes]:
        tasks.put(name)
    # Unpickled by the process itself, which keeps quiet what TensorFlow says when it is imported.
    sent = pickle.dumps((work, arguments))
    workers = [
        context.Process(target=_serve, args=(place, processes, tasks, results, sent), daemon=True)
        for place in range(processes)
    ]
    try:
        with environment(_ENVIRONMENT):
            for worker in workers:
                worker.start()
        for _ in names:
            yield _next(results, workers)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _next(results: Any, workers: Sequence[Any]) -> str:
    while True:
        # Looked at before the queue: what a process did before it ended is then in the queue for certain.
        ended = [worker for worker in workers if worker.exitcode not in (None, 0)]
        with contextlib.suppress(queue.Empty):
            name, error = results.get(timeout=_POLL_SECONDS)
            if error is not None:
                raise error
            return name
        if ended:
            raise InputError(
                "a process of the run must live until its work is done; run the same command again with --resume. "
                f"Received: exit code {ended[0].exitcode}"
            )


def _serve(place: int, processes: int, tasks: Any, results: Any, sent: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the first process's to handle
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        with silent():
            from affnet_tf.training.strategy import share_cores

            work, arguments = pickle.loads(sent)
        share_cores(place, processes)
        for name in work(iter(tasks.get, None), *arguments):
            results.put((name, None))
    except Exception as error:
        if not isinstance(error, InputError):
            error = RuntimeError("".join(traceback.format_exception(error)))
        results.put((None, error))


def _leave_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
