"""Tasks over processes: results in order, progress counted, and nobody left behind when something dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2

from affnet_tf.errors import InputError

__all__ = ["Tick", "run_tasks"]

Task, Result = TypeVar("Task"), TypeVar("Result")
# Called once for each clip that is done.
Tick = Callable[[], None]

POLL = 0.1  # seconds between two looks at the progress


class Stopped(Exception):
    """The parent doesn't want the rest."""


def run_tasks(
    function: Callable[[Task, Tick], Result],
    tasks: Sequence[Task],
    workers: int,
    tick: Tick,
    *,
    apart: bool = False,
) -> Iterator[Result]:
    """The results of ``function(task, tick)`` in the order of the tasks, from worker processes that run them at once.

    Args:
        function: of a module's top level; it calls its ``tick`` for each clip.
        tasks: what can be pickled.
        workers: processes; with one, or one task, all is done in this process.
        tick: called in this process for each clip.
        apart: in other processes in any case, so that what they load doesn't stay.

    Raises:
        InputError: what ``function`` raised, or a worker was killed.
    """
    if not apart and (workers <= 1 or len(tasks) < 2):
        yield from (function(task, tick) for task in tasks)
        return
    # Started afresh: forking a process that runs TensorFlow's threads can deadlock.
    context = multiprocessing.get_context("spawn")
    count, stop = context.Value("Q"), context.Event()
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _begin, (count, stop))
    told = 0
    try:
        with _without_interrupts():
            futures = [pool.submit(_call, function, task) for task in tasks]
        for future in futures:
            for _ in _polls(future):
                told = _tell(count, told, tick)
            told = _tell(count, told, tick)
            yield future.result()
    except BrokenProcessPool:
        raise InputError(
            "the worker processes must live until they are done: the same command goes on where it stopped, and with fewer "
            "--workers it takes less memory. Received: one was killed"
        ) from None
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C waits, and never reaches the processes that are started inside: the parent ends them in order."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _polls(future: Future) -> Iterator[None]:
    while not future.done():
        wait([future], timeout=POLL)
        yield


def _tell(count: Any, told: int, tick: Tick) -> int:
    now = count.value
    for _ in range(now - told):
        tick()
    return now


_count: Any = None
_stop: Any = None


def _begin(count: Any, stop: Any) -> None:
    """What a worker does first."""
    global _count, _stop
    _count, _stop = count, stop
    cv2.setNumThreads(1)  # there are as many processes as the user asked for
    threading.Thread(target=_die_with_the_parent, daemon=True).start()


def _die_with_the_parent() -> None:
    """A parent that is killed cannot say goodbye, and a pool's worker would wait for it for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _call(function: Callable[[Task, Tick], Result], task: Task) -> Result | None:
    with contextlib.suppress(Stopped):
        return function(task, _tick)
    return None


def _tick() -> None:
    with _count.get_lock():
        _count.value += 1
    if _stop.is_set():
        raise Stopped
