"""The clip store: cropped frames of clips, lossless, in TFRecord shards, and the manifest that says what made them."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from affnet_tf.datasets.clips import Clip
from affnet_tf.datasets.people import person
from affnet_tf.errors import InputError
from affnet_tf.files import read_json

__all__ = [
    "CLIPS",
    "FORMAT",
    "MANIFEST",
    "Store",
    "StoredClip",
    "clip_row",
    "encode_clip",
    "local",
    "open_store",
    "parse_clip",
    "write_rows",
]

FORMAT = 1
MANIFEST = "manifest.json"
CLIPS = "clips.csv"
COLUMNS = ("dataset", "subject", "clip_id", "emotion", "kind", "length", "onset", "apex", "offset", "fps", "aus")


@dataclasses.dataclass(frozen=True)
class StoredClip:
    """A row of the store's clips.csv.

    ``kind`` is ``frames``, or ``image`` for a ready-made motion image; ``length`` is the number of frames; onset, apex and
    offset are frame numbers of the release.
    """

    dataset: str
    subject: str
    clip_id: str
    emotion: str
    kind: str
    length: int
    onset: int
    apex: int | None
    offset: int
    fps: float | None
    aus: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """(dataset, clip_id)."""
        return self.dataset, self.clip_id

    @property
    def person(self) -> str:
        """Who it is, the same text in every dataset that the person takes part in: see ``datasets.people``."""
        return person(self.dataset, self.subject)


@dataclasses.dataclass(frozen=True)
class Store:
    """An open clip store: its clips, its TFRecord files in order, the side of its frames in pixels, and its manifest."""

    path: str
    clips: tuple[StoredClip, ...]
    shards: tuple[str, ...]
    frame_size: int
    manifest: dict[str, Any]

    @property
    def hash(self) -> str:
        """A digest of the contents: two stores with one hash hold the same frames."""
        return self.manifest["hash"]

    def shards_of(self, part: str) -> list[str]:
        """The files of one part, named as ``affnet prepare`` was told."""
        return [f"{self.path}/{name}" for name in self.manifest["parts"][part]["shards"]]

    @property
    def synthetic(self) -> bool:
        """Whether any of the people do not exist."""
        return any(part.get("synthetic") for part in self.manifest["parts"].values())


def open_store(path: str | os.PathLike) -> Store:
    """Open a finished store, on a local disk or anywhere that ``tf.io.gfile`` reads, such as ``gs://``.

    Raises:
        InputError: there is none, it is unfinished, or a shard is missing or of another size than the manifest says.
    """
    path = os.fspath(path)
    if not tf.io.gfile.exists(f"{path}/{MANIFEST}"):
        unfinished = tf.io.gfile.glob(f"{path}/*.plan.json")
        if unfinished:
            raise InputError(f"store {path!r} must be finished: run its affnet prepare again. Received: no {MANIFEST}")
        raise InputError(f"a store must be a folder that affnet prepare wrote. Received: {path!r} without {MANIFEST}")
    manifest = read_json(f"{path}/{MANIFEST}", opener=tf.io.gfile.GFile)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise InputError(f"{path}/{MANIFEST} must be a store's, of format {FORMAT}. Received: {found!r}")
    for name, entry in manifest["shards"].items():
        shard = f"{path}/{name}"
        size = tf.io.gfile.stat(shard).length if tf.io.gfile.exists(shard) else None
        if size != entry["bytes"]:
            raise InputError(f"shard {shard!r} must have {entry['bytes']} bytes. Received: {size}")
    if not tf.io.gfile.exists(f"{path}/{CLIPS}"):
        raise InputError(f"store {path!r} must have {CLIPS}. Received: none")
    with tf.io.gfile.GFile(f"{path}/{CLIPS}") as file:
        clips = tuple(_read_row(row) for row in csv.DictReader(file))
    return Store(path, clips, tuple(f"{path}/{name}" for name in manifest["shards"]), manifest["size"], manifest)


def encode_clip(clip: Clip, frames: np.ndarray, flow: np.ndarray | None) -> bytes:
    """A clip as a TFRecord: its key, its frames uint8 (T, S, S, 3), and its flow float32 (S, S, 3) if it has one."""
    values = {"key": f"{clip.dataset}\n{clip.clip_id}".encode(), "frames": frames.tobytes()}
    if flow is not None:
        values["flow"] = flow.astype("<f4").tobytes()
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in values.items()}
    features["shape"] = tf.train.Feature(int64_list=tf.train.Int64List(value=frames.shape))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def parse_clip(record: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The inverse of ``encode_clip``, in the graph: key, frames (T, S, S, 3) uint8, flow (S, S, 3) float32, 0 if none."""
    example = tf.io.parse_single_example(
        record,
        {
            "key": tf.io.FixedLenFeature([], tf.string),
            "shape": tf.io.FixedLenFeature([4], tf.int64),
            "frames": tf.io.FixedLenFeature([], tf.string),
            "flow": tf.io.FixedLenFeature([], tf.string, default_value=bytes(4 * size * size * 3)),
        },
    )
    frames = tf.reshape(tf.io.decode_raw(example["frames"], tf.uint8), example["shape"])
    flow = tf.reshape(tf.io.decode_raw(example["flow"], tf.float32), [size, size, 3])
    return example["key"], tf.ensure_shape(frames, [None, size, size, 3]), flow


def clip_row(clip: Clip, length: int, fps: float | None) -> dict[str, Any]:
    """The clip's row of clips.csv."""
    values = {name: getattr(clip, name) for name in ("dataset", "subject", "clip_id", "emotion", "onset", "apex")}
    return {
        **values,
        "kind": "image" if clip.kind == "image" else "frames",
        "length": length,
        "offset": clip.offset if clip.offset is not None else clip.onset + length - 1,
        "fps": clip.fps if clip.fps is not None else fps,
        "aus": ";".join(clip.aus),
    }


def write_rows(rows: Sequence[dict[str, Any]], file: Any) -> None:
    """Write clips.csv."""
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def local(path: str | os.PathLike) -> Path:
    """A path that can be written to.

    Raises:
        InputError: it is on a remote file system.
    """
    if "://" in os.fspath(path):
        raise InputError(f"a store must be written to a local folder, and may be copied from there. Received: {path!r}")
    return Path(path)


def _read_row(row: dict[str, str]) -> StoredClip:
    return StoredClip(
        dataset=row["dataset"],
        subject=row["subject"],
        clip_id=row["clip_id"],
        emotion=row["emotion"],
        kind=row["kind"],
        length=int(row["length"]),
        onset=int(row["onset"]),
        apex=int(row["apex"]) if row["apex"] else None,
        offset=int(row["offset"]),
        fps=float(row["fps"]) if row["fps"] else None,
        aus=tuple(row["aus"].split(";")) if row["aus"] else (),
    )
