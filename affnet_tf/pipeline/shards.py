"""One shard of a clip store, from frames on disk to a TFRecord file and the document that says what is in it.

A worker reads, crops and writes a shard by itself, clip by clip: no pixel travels between processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affnet_tf import __version__
from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.files import said_plainly, write_json
from affnet_tf.pipeline.contact import draw_tile, write_page
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.crops import crop_clip
from affnet_tf.pipeline.records import RecordWriter
from affnet_tf.pipeline.store import clip_row, encode_clip
from affnet_tf.pipeline.workers import Tick

__all__ = ["ClipTask", "ShardTask", "UnusableError", "clip_line", "write_shard", "write_shards"]


class UnusableError(InputError):
    """A clip cannot be used, and the user wants to hear of it at once."""


@dataclasses.dataclass(frozen=True)
class ClipTask:
    """A clip of a shard.

    Attributes:
        clip: what to read.
        source: its fingerprint.
        broken: why it cannot be used, a line each; empty: as far as known, it can.
        transform: what crops it; None: its frames are crops already.
    """

    clip: Clip
    source: str
    broken: tuple[str, ...] = ()
    transform: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """A shard to write: ``<folder>/<name>.tfrecord``, ``.json``, and ``.png``, its page of the contact sheet."""

    folder: Path
    name: str
    clips: tuple[ClipTask, ...]
    settings: CropConfig
    strict: bool = False

    @property
    def sources(self) -> list[str]:
        """The clips' fingerprints."""
        return [each.source for each in self.clips]


def write_shard(task: ShardTask, tick: Tick) -> None:
    """Crop the clips and write them; those that cannot be used are listed in the shard's document.

    Raises:
        UnusableError: with ``strict``, at the first clip that cannot be used.
        InputError: the disk is full.
    """
    path = task.folder / f"{task.name}.tfrecord"
    temporary = task.folder / f".{task.name}.part"
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []
    tiles: list[np.ndarray] = []
    try:
        with open(temporary, "wb") as file:
            writer = RecordWriter(file)
            for each in task.clips:
                broken = each.broken or _write_clip(writer, each, task.settings, rows, tiles)
                if broken and task.strict:
                    raise UnusableError(broken[0])
                skipped += broken
                tick()
        os.replace(temporary, path)
        if tiles:
            write_page(task.folder / f"{task.name}.png", tiles)
    except OSError as error:
        raise said_plainly(error, path) from None
    finally:
        temporary.unlink(missing_ok=True)
    document = {
        "bytes": writer.size,
        "sha256": writer.sha256,
        "sources": task.sources,
        "versions": _versions(task.settings.detector),
        "clips": rows,
        "skipped": skipped,
    }
    # Last: a shard counts as finished once this file is there.
    write_json(task.folder / f"{task.name}.json", document)


def write_shards(names: Iterable[str], tasks: Mapping[str, ShardTask]) -> Iterator[str]:
    """Yield each name when its shard is written; for machines that share a disk, and hand out the names among themselves."""
    cv2.setNumThreads(1)  # a task has one core
    for name in names:
        write_shard(tasks[name], lambda: None)
        yield name


def clip_line(clip: Clip, error: InputError) -> str:
    """The line that says why a clip cannot be used."""
    return f"{clip.dataset} clip {clip.clip_id!r}: {error}"


def _versions(detector: str) -> dict[str, str]:
    """Of what makes the crops, as installed; an OpenCV without windows counts as OpenCV."""
    found = {"affnet_tf": __version__, "opencv-python": cv2.__version__, "numpy": np.__version__}
    if detector != "none":
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[detector] = metadata.version(detector)
    return found


def _write_clip(
    writer: RecordWriter, each: ClipTask, settings: CropConfig, rows: list[dict[str, Any]], tiles: list[np.ndarray]
) -> Sequence[str]:
    """Write a clip, and add its row and its tile; or return why it cannot be used."""
    try:
        crops = crop_clip(each.clip, settings, each.transform)
    except InputError as error:
        return (clip_line(each.clip, error),)
    writer.write(encode_clip(each.clip, crops.frames, crops.flow))
    rows.append(clip_row(each.clip, len(crops.frames), crops.fps))
    tiles.append(draw_tile(each.clip, crops.frames))
    return ()
