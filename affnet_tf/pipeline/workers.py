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

__all__ = ["Tick", "Workers", "environment"]

Task, Result = TypeVar("Task"), TypeVar("Result")
# Called once for each clip that is done.
Tick = Callable[[], None]

POLL = 0.1  # seconds between two looks at the progress
# For glibc: what TensorFlow's threads free goes back at once, instead of staying in a heap of each.
THRIFTY = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "100000", "MALLOC_MMAP_THRESHOLD_": "65536"}


class Stopped(Exception):
    """The parent doesn't want the rest."""


class Workers:
    """Processes that run tasks; a context, at whose end they are gone.

    Args:
        count: how many; with 1, and for a single task, this process does the work unless ``apart``.
        apart: in other processes in any case, so that what they load doesn't stay.
    """

    def __init__(self, count: int, *, apart: bool = False) -> None:
        self._count = count
        self._apart = apart
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._stop.set()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self) -> None:
        """Let the processes load their libraries already, while this one does something else."""
        if (self._count > 1 or self._apart) and not self._pool:
            # Started afresh: forking a process that runs TensorFlow's threads can deadlock.
            context = multiprocessing.get_context("spawn")
            self._done, self._stop = context.Value("Q"), context.Event()
            self._told = 0
            self._pool = ProcessPoolExecutor(self._count, context, _begin, (self._done, self._stop))
            with _without_interrupts(), environment(THRIFTY if self._apart else {}):
                for _ in range(self._count):
                    self._pool.submit(_nothing)

    def run(self, function: Callable[[Task, Tick], Result], tasks: Sequence[Task], tick: Tick) -> Iterator[Result]:
        """The results of ``function(task, tick)``, in the order of the tasks.

        Args:
            function: of a module's top level; it calls its ``tick`` for each clip.
            tasks: what can be pickled.
            tick: called in this process for each clip.

        Raises:
            InputError: what ``function`` raised, or a process was killed; no task is at work any more by then.
        """
        if len(tasks) > 1 or self._apart:
            self.start()
        if not self._pool:
            yield from (function(task, tick) for task in tasks)
            return
        futures: list[Future] = []
        try:
            with _without_interrupts():
                futures += (self._pool.submit(_call, function, task) for task in tasks)
            for future in futures:
                while not future.done():
                    wait([future], timeout=POLL)
                    self._tell(tick)
                self._tell(tick)
                yield future.result()
        except BrokenProcessPool:
            raise InputError(
                "the worker processes must live until they are done: the same command goes on where it stopped, and with "
                "fewer --workers it takes less memory. Received: one was killed"
            ) from None
        finally:
            self._end(futures)

    def _end(self, futures: Sequence[Future]) -> None:
        """Return only when no task is at work any more; those that were not begun are dropped."""
        self._stop.set()
        wait([future for future in futures if not future.cancel()])
        self._stop.clear()
        self._told = self._done.value

    def _tell(self, tick: Tick) -> None:
        now = self._done.value
        for _ in range(now - self._told):
            self._told += 1
            tick()


@contextlib.contextmanager
def environment(changes: dict[str, str]) -> Iterator[None]:
    """Variables of the environment for the processes that are started inside."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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


def _nothing() -> None:
    pass


def _call(function: Callable[[Task, Tick], Result], task: Task) -> Result | None:
    with contextlib.suppress(Stopped):
        if not _stop.is_set():
            return function(task, _tick)
    return None


def _tick() -> None:
    with _count.get_lock():
        _count.value += 1
    if _stop.is_set():
        raise Stopped
