"""A whole synthetic dataset, filmed in parallel and put on disk in a release's layout."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from affnet_tf.datasets.folders import SYNTHETIC_MARKER
from affnet_tf.datasets.synthetic.layouts import LAYOUTS, Layout, Row
from affnet_tf.datasets.synthetic.paint import View
from affnet_tf.datasets.synthetic.takes import Take, film, plan
from affnet_tf.errors import InputError, unknown
from affnet_tf.files import atomic_folder

__all__ = ["write_synthetic"]

LOSING_APEX = 24  # clips from which on one annotation lacks its apex, as one of CASME II's does


@dataclasses.dataclass(frozen=True)
class _Job:
    root: Path
    dataset: str
    take: Take
    seed: int
    size: tuple[int, int]
    difficulty: float
    raw: bool


def write_synthetic(
    out: str | os.PathLike,
    *,
    dataset: str = "casme2",
    subjects: int = 8,
    clips: int = 12,
    difficulty: float = 1.0,
    seed: int = 0,
    raw: bool = False,
    size: tuple[int, int] = (340, 280),
    labels: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write people who do not exist, in a real dataset's layout.

    The same arguments give byte-identical files, however many workers there are. ``out`` appears whole or not at all.

    Args:
        out: folder to create; it may exist if it is empty.
        dataset: whose layout, a key of ``LAYOUTS``.
        subjects: how many people, 1 to 99.
        clips: clips of each person.
        difficulty: 0 is clean and easy, 1 the default; more shrinks expressions and grows nuisances.
        seed: another seed is another cast.
        raw: also write the raw frames, head and shoulders, at 640 x 480 where the cropped ones are 280 x 340.
        size: (height, width) of the cropped frames; everything scales with it.
        labels: emotions to cycle through. By default happiness, negative emotions, surprise and others in equal share.
        workers: processes; by default one a processor.
        progress: called with the number of clips done and the number in all.

    Returns:
        ``out``.

    Raises:
        InputError: an argument is out of range or unknown, or ``out`` holds something.
    """
    if dataset not in LAYOUTS:
        raise unknown("dataset", dataset, LAYOUTS)
    _check(subjects, clips, difficulty, seed, size, workers)
    takes = plan(seed, subjects, clips, tuple(labels) if labels is not None else None)
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"output folder must be empty or absent. Received: {str(out)!r}")
    with atomic_folder(out, replace=True) as root:
        jobs = [_Job(root, dataset, take, seed, tuple(size), float(difficulty), raw) for take in takes]
        rows = []
        with _workers(workers or os.cpu_count() or 1, len(jobs)) as each:
            for done, row in enumerate(each(_write_clip, jobs), 1):
                rows.append(row)
                if progress is not None:
                    progress(done, len(jobs))
        if len(rows) >= LOSING_APEX:
            lost = int(np.random.default_rng([seed, len(rows)]).integers(len(rows)))
            rows[lost] = dataclasses.replace(rows[lost], apex=None)
        LAYOUTS[dataset].write_sheet(root, rows)
        (root / SYNTHETIC_MARKER).write_text(
            f"People who do not exist: seed {seed}, difficulty {difficulty:g}.\n", encoding="utf-8"
        )
    return out


def _write_clip(job: _Job) -> Row:
    layout: Layout = LAYOUTS[job.dataset]
    views = [(View.cropped(job.size), layout.cropped)]
    if job.raw:
        height, width = layout.raw_size
        scale = (job.size[0] / 340, job.size[1] / 280)
        views.append((View.raw((round(height * scale[0]), round(width * scale[1]))), layout.raw))
    quality = round(min(max(97 - 6 * job.difficulty, 60), 97))
    row = None
    for view, name in views:
        frames, truth = film(
            job.seed,
            job.take.subject,
            job.take.clip,
            job.take.emotion,
            view=view,
            difficulty=job.difficulty,
            fps=layout.fps,
            grey=layout.grey,
        )
        row = row or Row.of(job.take, truth)
        for index, frame in enumerate(frames):
            path = job.root / name(job.take, job.take.first + index)
            if not index:
                path.parent.mkdir(parents=True, exist_ok=True)
            picture = frame[..., 0] if layout.grey else frame[..., ::-1]
            _, data = cv2.imencode(path.suffix, picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            path.write_bytes(data.tobytes())
    return row


@contextlib.contextmanager
def _workers(count: int, jobs: int) -> Iterator[Callable]:
    """Something like ``map`` that keeps the order: in this process for one worker, else over spawned ones."""
    if min(count, jobs) == 1:
        yield map
        return
    pool = ProcessPoolExecutor(
        min(count, jobs), mp_context=multiprocessing.get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    )
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _check(subjects: int, clips: int, difficulty: float, seed: int, size: tuple[int, int], workers: int | None) -> None:
    whole = {"subjects": (subjects, 1, 99), "clips": (clips, 1, 999), "seed": (seed, 0, 2**63)}
    if workers is not None:
        whole["workers"] = (workers, 1, 1024)
    for name, (value, low, high) in whole.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise InputError(f"{name} must be a whole number in [{low}, {high}]. Received: {value!r}")
    if isinstance(difficulty, bool) or not isinstance(difficulty, (int, float)) or not 0 <= difficulty <= 10:
        raise InputError(f"difficulty must lie in [0, 10]. Received: {difficulty!r}")
    try:
        height, width = size
        fits = all(int(side) == side and 32 <= side <= 4096 for side in (height, width)) and 0.4 < width / height < 2.5
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(f"size must be (height, width), each in [32, 4096]. Received: {size!r}")
