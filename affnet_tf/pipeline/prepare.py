"""``affnet prepare``: from a dataset's folder to its clip store."""

from __future__ import annotations

import os
from collections.abc import Callable

from affnet_tf.datasets.annotations import read_annotations
from affnet_tf.datasets.clips import validate_clips
from affnet_tf.errors import InputError
from affnet_tf.pipeline.crops import CropConfig
from affnet_tf.pipeline.store import Prepared, prepare

__all__ = ["prepare_dataset"]


def prepare_dataset(
    name: str,
    root: str | os.PathLike,
    store: str | os.PathLike,
    *,
    size: int = 128,
    detector: str | None = None,
    release: str | None = None,
    workers: int | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Read a dataset's annotations, check every clip, and write those that can be used to a clip store.

    Args:
        name: a dataset of ``affnet datasets``.
        root: its folder, as its owners ship it.
        store: the store's folder.
        size: height and width of the crops, in pixels.
        detector: ``mtcnn`` or ``none``; by default ``none`` for a cropped release and ``mtcnn`` for a raw one.
        release: ``cropped`` or ``raw``; by default the cropped one if it is there.
        workers: processes; by default one for each core.
        strict: raise at the first clip that cannot be used.
        progress: called with (clips done, clips in all).

    Raises:
        InputError: a root or a sheet that cannot be read, a store of other clips or settings, no usable clip, and with
            ``strict`` the first clip that cannot be used.
    """
    annotations = read_annotations(name, root, release)
    problems = [*annotations.problems, *validate_clips(annotations.clips)]
    errors = [problem for problem in problems if problem.severity == "error"]
    if strict and errors:
        raise InputError(str(errors[0]))
    broken = {(problem.dataset, problem.clip_id) for problem in errors}
    usable = [clip for clip in annotations.clips if clip.key not in broken]
    if not usable:
        raise InputError(
            f"{name} must have a clip that can be used. Received: {len(errors)} problems, such as {errors[0]}"
        )
    settings = CropConfig(size=size, detector=detector or ("none" if annotations.release == "cropped" else "mtcnn"))
    return prepare(
        usable,
        store,
        settings,
        left_out=[str(problem) for problem in errors],
        workers=workers or os.cpu_count() or 1,
        strict=strict,
        progress=progress,
    )
