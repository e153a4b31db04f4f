"""The faces of a dataset's clips, found before anything is cropped, by one process: only that one loads TensorFlow."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.files import said_plainly
from affnet_tf.imaging.faces import FaceDetector, face_detector
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.crops import locate_face
from affnet_tf.pipeline.shards import ClipTask, clip_line
from affnet_tf.pipeline.workers import Tick, Workers

__all__ = ["locate_faces"]

FACES = "faces.jsonl"


def locate_faces(clips: Sequence[ClipTask], settings: CropConfig, folder: Path, tick: Tick) -> list[ClipTask]:
    """The clips with the transform of each, or with the line that says why there is none.

    Every face is written down in ``folder`` as it is found, so that none is looked for again after an interruption.

    Args:
        clips: what to search; those that are broken, and single images, are left as they are.
        settings: the detector, the size and the margin.
        folder: where to note the faces.
        tick: called for each clip.

    Raises:
        InputError: the disk is full, or the process was killed.
    """
    known = _read(folder / FACES)
    wanted = {_key(each): each for each in clips if not each.broken and each.clip.kind != "image"}
    missing = [key for key in wanted if key not in known]
    for _ in range(len(clips) - len(missing)):
        tick()
    if missing:
        tasks = [(wanted[key].clip, settings) for key in missing]
        with Workers(1, apart=True) as worker, open(folder / FACES, "a", encoding="utf-8") as file:
            for key, answer in zip(missing, worker.run(locate_clip, tasks, tick), strict=True):
                known[key] = answer
                try:
                    file.write(json.dumps([key, answer]) + "\n")
                    file.flush()
                except OSError as error:
                    raise said_plainly(error, folder / FACES) from None
    return [_located(each, known[_key(each)]) if _key(each) in wanted else each for each in clips]


def locate_clip(task: tuple[Clip, CropConfig], tick: Tick) -> list[list[float]] | str:
    """The transform of one clip, or the line that says why there is none."""
    clip, settings = task
    try:
        detector = _detector(settings.detector)
        transform, _ = locate_face(clip.frames, clip.onset, clip.offset, settings.size, detector, settings.margin)
    except InputError as error:
        return clip_line(clip, error)
    finally:
        tick()
    return transform.tolist()


@functools.cache
def _detector(name: str) -> FaceDetector | None:
    """One detector per process: loading its network costs seconds."""
    return face_detector(name)


def _key(each: ClipTask) -> str:
    return f"{each.clip.dataset}\n{each.clip.clip_id}\n{each.source}"


def _located(each: ClipTask, answer: list[list[float]] | str) -> ClipTask:
    if isinstance(answer, str):
        return dataclasses.replace(each, broken=(answer,))
    return dataclasses.replace(each, transform=np.array(answer))


def _read(path: Path) -> dict[str, Any]:
    """What was found so far; a last line that breaks off is cut away, so that what is found next begins a line."""
    known: dict[str, Any] = {}
    whole = 0
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        with contextlib.suppress(ValueError):
            for line in file:
                key, answer = json.loads(line)
                if not line.endswith(b"\n"):
                    break
                known[key] = answer
                whole += len(line)
        file.truncate(whole)
    return known
