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

from affnet_tf.cores import cores
from affnet_tf.datasets.folders import SYNTHETIC_MARKER
from affnet_tf.datasets.synthetic.difficulty import Difficulty
from affnet_tf.datasets.synthetic.entries import Entry
from affnet_tf.datasets.synthetic.layout import Form, Layout
from affnet_tf.datasets.synthetic.layouts import LAYOUTS
from affnet_tf.datasets.synthetic.planning import annotate, plan
from affnet_tf.datasets.synthetic.takes import Take, film
from affnet_tf.errors import InputError, unknown
from affnet_tf.files import atomic_folder
from affnet_tf.places import local

__all__ = ["Job", "check_seed", "film_all", "new_folder", "write_release", "write_synthetic"]

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Job:
    """One clip to be filmed and written.

    Attributes:
        root: folder of the dataset.
        layout: key of ``LAYOUTS``.
        take: what is filmed.
        entry: where it goes.
        raw: write the raw release beside the cropped one.
        scale: (height, width) of the frames over the layout's own.
        seed: seed of people and performances.
        difficulty: how hard the clip is.
    """

    root: Path
    layout: str
    take: Take
    entry: Entry
    raw: bool
    scale: tuple[float, float]
    seed: int
    difficulty: Difficulty


def write_synthetic(
    out: str | os.PathLike,
    *,
    dataset: str = "casme2",
    subjects: int = 8,
    clips: int = 12,
    difficulty: float | Difficulty = 1.0,
    seed: int = 0,
    raw: bool = False,
    size: tuple[int, int] | None = None,
    labels: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write people who do not exist, in a real dataset's layout.

    The same arguments give byte-identical files, however many workers there are. ``out`` appears whole or not at all.

    Args:
        out: folder to create; it may exist if it is empty.
        dataset: whose layout, a key of ``LAYOUTS``.
        subjects: how many people, 1 to 99 (CAS(ME)² holds 22).
        clips: clips of each person. CAS(ME)² holds micro- and macro-expressions: each person has one more of the kind that
            was not asked for.
        difficulty: 0 is clean and easy, 1 the default; more shrinks expressions and grows nuisances; or each cause by itself.
        seed: another seed is another cast.
        raw: also write the raw frames, head and shoulders, where a dataset has cropped ones as well.
        size: (height, width) of the frames, of the cropped ones where there are both; by default the layout's.
        labels: the dataset's words to cycle through. By default positive and negative emotions, surprise and others, as far
            as the dataset has them, in equal share.
        workers: processes; by default one a processor.
        progress: called with the number of clips done and the number in all.

    Returns:
        ``out``.

    Raises:
        InputError: an argument is out of range or unknown, or ``out`` holds something.
    """
    if dataset not in LAYOUTS:
        raise unknown("dataset", dataset, LAYOUTS)
    layout = LAYOUTS[dataset]
    _check_whole("subjects", subjects, 1, layout.most)
    _check_whole("clips", clips, 1, 999)
    check_seed(seed)
    difficulty = Difficulty.of(difficulty)
    scale = _scale(size, layout.forms[0])
    pairs = annotate(layout, plan(seed, layout, subjects, clips, labels), seed, difficulty)
    with new_folder(out) as root:
        jobs = [Job(root, dataset, take, entry, raw, scale, seed, difficulty) for take, entry in pairs]
        film_all(jobs, workers, progress)
        write_release(root, layout, [entry for _, entry in pairs], f"seed {seed}, {difficulty.told()}")
    return Path(out)


@contextlib.contextmanager
def new_folder(out: str | os.PathLike) -> Iterator[Path]:
    """A folder that takes the name ``out`` only if the block succeeds.

    Raises:
        InputError: ``out`` is there and not an empty folder.
    """
    out = local(out, "synthetic people")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"output folder must be empty or absent. Received: {str(out)!r}")
    with atomic_folder(out, replace=True) as root:
        yield root


def film_all(jobs: Sequence[Job], workers: int | None, progress: Progress | None) -> None:
    """Film clips and write their frames, in ``workers`` processes (by default one a processor).

    Raises:
        InputError: ``workers`` is out of range.
    """
    if workers is not None:
        _check_whole("workers", workers, 1, 1024)
    with _workers(workers or cores(), len(jobs)) as each:
        for done, _ in enumerate(each(_write_clip, jobs), 1):
            if progress is not None:
                progress(done, len(jobs))


def write_release(root: Path, layout: Layout, entries: Sequence[Entry], how: str) -> None:
    """Write what a release holds beside its frames, and the mark that says that nobody in it exists."""
    if layout.write_sheet is not None:
        layout.write_sheet(root, entries)
    (root / SYNTHETIC_MARKER).write_text(f"People who do not exist: {how}.\n", encoding="utf-8")


def _write_clip(job: Job) -> None:
    layout, entry = LAYOUTS[job.layout], job.entry
    quality = round(min(max(97 - 6 * job.difficulty.recording, 60), 97))
    for form in layout.chosen(job.raw):
        if form.release in entry.absent:
            continue
        frames, truth = film(
            job.seed,
            job.take.person,
            job.take.clip,
            job.take.emotion,
            view=form.view(job.scale),
            difficulty=job.difficulty,
            fps=entry.fps,
            grey=layout.grey,
            kind=job.take.kind,
        )
        start = truth.onset if layout.trimmed else 0
        frames = frames[start : start + entry.last - entry.first + 1]
        if entry.suffix == ".avi":
            _write_video(job.root / layout.frame_paths(form, entry, 0)[0], frames, entry.fps)
            continue
        for number, frame in enumerate(frames, entry.first):
            paths = [job.root / path for path in layout.frame_paths(form, entry, number)]
            picture = frame[..., 0] if layout.grey else frame[..., ::-1]
            options = [cv2.IMWRITE_JPEG_QUALITY, quality] if paths[0].suffix == ".jpg" else []
            _, data = cv2.imencode(paths[0].suffix, picture, options)
            for path in paths:
                if number == entry.first:
                    path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data.tobytes())


def _write_video(path: Path, frames: np.ndarray, fps: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames.shape[1:3]
    # OpenCV writes Motion JPEG itself, so that no codec need be installed.
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height),
        [cv2.VIDEOWRITER_PROP_QUALITY, 95],
    )  # fmt: skip
    if not writer.isOpened():
        raise OSError(f"cannot write {str(path)!r}")
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()


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


def check_seed(seed: object) -> None:
    """Raise unless it can seed people.

    Raises:
        InputError: it is no whole number from 0 on.
    """
    _check_whole("seed", seed, 0, 2**63)


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise InputError(f"{name} must be a whole number in [{low}, {high}]. Received: {value!r}")


def _scale(size: tuple[int, int] | None, form: Form) -> tuple[float, float]:
    """``size`` over the form's own."""
    if size is None:
        return 1.0, 1.0
    try:
        height, width = size
        fits = all(int(side) == side and 32 <= side <= 4096 for side in (height, width)) and 0.4 < width / height < 2.5
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(f"size must be (height, width), each in [32, 4096]. Received: {size!r}")
    return height / form.size[0], width / form.size[1]
