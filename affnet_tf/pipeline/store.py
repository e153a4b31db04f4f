"""The clip store: cropped frames of clips, lossless, in TFRecord shards, and the manifest that says what made them.

TensorFlow is imported by what reads in a graph alone; a local store is opened without.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from affnet_tf.datasets.clips import Clip
from affnet_tf.datasets.people import person
from affnet_tf.errors import InputError
from affnet_tf.files import read_json
from affnet_tf.pipeline.records import Chunk, encode_example
from affnet_tf.places import Address, Place, place_at

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "CLIPS",
    "FORMAT",
    "MANIFEST",
    "UNFINISHED",
    "Store",
    "StoredClip",
    "check_shards",
    "clip_row",
    "encode_clip",
    "naming_damage",
    "open_store",
    "parse_clip",
    "write_rows",
]

FORMAT = 1
MANIFEST = "manifest.json"
CLIPS = "clips.csv"
# What prepare has not finished lies in a hidden folder of the store, named by the part and this.
UNFINISHED = ".unfinished"
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


def open_store(path: Address) -> Store:
    """Open a finished store, on a local disk or anywhere that ``tf.io.gfile`` reads, such as ``gs://``.

    Raises:
        InputError: there is none, it may not be read, it is unfinished, or a shard is missing or of another size than the
            manifest says.
    """
    folder = place_at(path)
    path = str(folder)
    if _size(folder / MANIFEST) is None:
        if any(folder.glob("*.plan.json")) or any(folder.glob(f".*{UNFINISHED}")):
            raise InputError(f"store {path!r} must be finished: run its affnet prepare again. Received: no {MANIFEST}")
        raise InputError(f"a store must be a folder that affnet prepare wrote. Received: {path!r} without {MANIFEST}")
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise InputError(f"{path}/{MANIFEST} must be a store's, of format {FORMAT}. Received: {found!r}")
    for name, entry in manifest["shards"].items():
        size = _size(folder / name)
        if size != entry["bytes"]:
            raise InputError(f"shard '{path}/{name}' must have {entry['bytes']} bytes. Received: {size}")
    if _size(folder / CLIPS) is None:
        raise InputError(f"store {path!r} must have {CLIPS}. Received: none")
    with (folder / CLIPS).open(newline="", encoding="utf-8") as file:
        clips = tuple(_read_row(row) for row in csv.DictReader(file))
    return Store(path, clips, tuple(f"{path}/{name}" for name in manifest["shards"]), manifest["size"], manifest)


def check_shards(store: Store, shards: Sequence[str] | None = None) -> None:
    """Read shards from end to end and compare their SHA-256 with the manifest's.

    Args:
        store: an open store.
        shards: of these files of the store; by default of all.

    Raises:
        InputError: naming the first shard that is not as it was written.
    """
    for shard in shards or store.shards:
        digest = hashlib.sha256()
        with place_at(shard).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        expected = store.manifest["shards"][shard.removeprefix(f"{store.path}/")]["sha256"]
        if digest.hexdigest() != expected:
            raise InputError(
                f"shard {shard!r} must have the SHA-256 {expected[:16]}…: remove it and run its affnet prepare again. "
                f"Received: {digest.hexdigest()[:16]}…"
            )


@contextlib.contextmanager
def naming_damage(store: Store) -> Iterator[None]:
    """Around whatever reads clips: TensorFlow's complaint about a damaged record becomes a line that names the shard.

    Raises:
        InputError: a shard of the store is not as it was written; any error that has another cause stays what it is.
    """
    try:
        yield
    except Exception as error:
        # By name: Keras and tf.data hand on the same error in classes of their own, and nothing is imported for it.
        if type(error).__name__ == "DataLossError":
            check_shards(store)
        raise


def encode_clip(clip: Clip, frames: np.ndarray, flow: np.ndarray | None) -> list[Chunk]:
    """A clip as a TFRecord: its key, its frames uint8 (T, S, S, 3), and its flow float32 (S, S, 3) if it has one.

    Returns:
        The record in pieces; the frames are not copied.
    """
    values: dict[str, Any] = {"key": f"{clip.dataset}\n{clip.clip_id}".encode(), "frames": frames}
    if flow is not None:
        values["flow"] = flow.astype("<f4").tobytes()
    return encode_example({**values, "shape": frames.shape})


def parse_clip(record: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The inverse of ``encode_clip``, in the graph: key, frames (T, S, S, 3) uint8, flow (S, S, 3) float32, 0 if none."""
    import tensorflow as tf

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


def _size(file: Place) -> int | None:
    """Bytes of a file; None if there is none.

    Raises:
        InputError: its folder may not be looked into: what is in it is not missing.
    """
    try:
        found = file.stat()
    except PermissionError as error:
        raise InputError(
            f"store {str(file.parent)!r} must be readable by who runs this. Received: {error.strerror}"
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
