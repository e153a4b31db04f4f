"""Clips out of a store: all of them in order, or any one by its row, in the graph, from memory or from disk."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from affnet_tf.config import MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.pipeline.pool import signed_motion
from affnet_tf.pipeline.records import record_spans
from affnet_tf.pipeline.store import Store, check_shards, parse_clip
from affnet_tf.pipeline.warp import resize

__all__ = ["ClipReader", "LookUp", "read_clips"]

# What is looked up in every epoch is held in memory, decoded, up to this many bytes; more is read from disk each time.
CACHE_BYTES = 4 * 2**30
_READ_BYTES = 8 * 2**20
_ALIGNMENT = 64  # bytes; TensorFlow takes over an array without a copy only if it begins at a multiple of this


@dataclasses.dataclass(frozen=True)
class LookUp:
    """From a clip's row, int64 (), to what is held of it.

    Attributes:
        of: the function, traced once however many datasets map it.
        many: it takes rows (B,) too, and gives all of them at once.
    """

    of: Callable[[tf.Tensor], Any]
    many: bool


def read_clips(store: Store, cache: bool = False, shards: Sequence[str] | None = None) -> tf.data.Dataset:
    """All clips of a store, in its order.

    Args:
        store: an open store.
        cache: keep the decoded clips in memory after the first pass.
        shards: read these files of the store only.

    Returns:
        Elements (row, frames, flow): the clip's row in ``store.clips``, int64 (); uint8 (T, S, S, 3), T = 1 for a
        ready-made motion image; float32 (S, S, 3).
    """
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant([f"{clip.dataset}\n{clip.clip_id}" for clip in store.clips]),
            tf.range(len(store.clips), dtype=tf.int64),
        ),
        default_value=-1,
    )

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        key, frames, flow = parse_clip(record, store.frame_size)
        return table.lookup(key), frames, flow

    clips = tf.data.TFRecordDataset(list(shards or store.shards), buffer_size=_READ_BYTES)
    clips = clips.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return clips.cache() if cache else clips


class ClipReader:
    """Random access to the clips of a store.

    An epoch shuffles rows, which are numbers, and looks the clips up. They are held in memory where they fit, and read from
    disk one record at a time where not; a look-up gives the same either way.

    Args:
        store: an open store.
        rows: the rows that will be asked for, such as those of the labelled clips; by default all.
        limit: bytes of frames, or of pooled images, that may be held in memory; by default 4 GiB.

    Attributes:
        functions: what was traced with these clips, by what it depends on; datasets of other folds map it again.
    """

    def __init__(self, store: Store, rows: Iterable[int] | None = None, limit: int | None = None) -> None:
        self.store = store
        self.rows = tuple(range(len(store.clips)) if rows is None else sorted(rows))
        self.limit = CACHE_BYTES if limit is None else limit
        self.functions: dict[Hashable, Callable] = {}
        self._signed: dict[tuple[MotionConfig, int], LookUp] = {}

    @functools.cached_property
    def frames(self) -> LookUp:
        """row, int64 () -> frames uint8 (T, S, S, 3)."""
        size = self.store.frame_size
        lengths = np.zeros(len(self.store.clips), np.int64)
        lengths[list(self.rows)] = [self.store.clips[row].length for row in self.rows]
        if lengths.sum() * size**2 * 3 > self.limit:
            from_disk = self._from_disk  # here, not in the graph, which would wrap what is said of a damaged shard
            return LookUp(tf.function(lambda row: from_disk(row)[0]), False)
        held = _aligned((int(lengths.sum()), size, size, 3), np.uint8)
        ends = np.cumsum(lengths)
        for row, frames, _ in self.in_order().as_numpy_iterator():
            held[ends[row] - lengths[row] : ends[row]] = frames
        variable, last, count = _hold(held), tf.constant(ends), tf.constant(lengths)
        return LookUp(tf.function(lambda row: variable[last[row] - count[row] : last[row]]), False)

    def signed(self, motion: MotionConfig, size: int | None = None) -> LookUp:
        """row, int64 () -> the clip's image before it is scaled, float32 (S, S, 3), and whether it came ready-made.

        S is ``size``, to which images are resized once and for all, or that of the store's frames.
        """
        size = size or self.store.frame_size
        if (motion, size) not in self._signed:
            self._signed[motion, size] = self._pooled(motion, size)
        return self._signed[motion, size]

    def names(self, rows: Iterable[int]) -> list[str]:
        """What clips are called, by their rows, whatever else is in the store."""
        return ["\n".join(self.store.clips[row].key) for row in rows]

    def in_order(self) -> tf.data.Dataset:
        """What ``read_clips`` gives, of these rows alone."""
        clips = read_clips(self.store)
        if len(self.rows) == len(self.store.clips):
            return clips
        wanted = np.zeros(len(self.store.clips), bool)
        wanted[list(self.rows)] = True
        wanted = tf.constant(wanted)
        return clips.filter(lambda row, frames, flow: wanted[row])

    def each_by_itself(self) -> tf.data.Dataset:
        """What ``in_order`` gives, each clip read by its place in its file: for few rows, since the others stay unread."""
        rows, from_disk = tf.data.Dataset.from_tensor_slices(np.array(self.rows, np.int64)), self._from_disk
        return rows.map(lambda row: (row, *from_disk(row)), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _pooled(self, motion: MotionConfig, size: int) -> LookUp:
        def image(frames: tf.Tensor, flow: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            signed, ready = signed_motion(frames, flow, motion)
            return resize(signed, size), ready

        if len(self.rows) * size**2 * 3 * 4 > self.limit:
            from_disk = self._from_disk
            return LookUp(tf.function(lambda row: image(*from_disk(row))), False)
        held = _aligned((len(self.rows), size, size, 3), np.float32)
        ready = np.zeros(len(self.rows), bool)
        place = np.full(len(self.store.clips), -1, np.int64)
        place[list(self.rows)] = np.arange(len(self.rows))
        pooled = self.in_order().map(
            lambda row, frames, flow: (row, *image(frames, flow)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        for row, signed, is_ready in pooled.as_numpy_iterator():
            held[place[row]], ready[place[row]] = signed, is_ready
        variable, flags, places = _hold(held), tf.constant(ready), tf.constant(place)

        def look_up(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            place = tf.gather(places, row)
            return tf.gather(variable, place), tf.gather(flags, place)

        return LookUp(tf.function(look_up), True)

    @functools.cached_property
    def _from_disk(self) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        size = self.store.frame_size
        places = _records(self.store)
        names = tf.constant([name for name, *_ in places])
        spans = tf.constant([span for _, *span in places], tf.int64)

        def read(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            start, length = tf.unstack(spans[row])
            file = tf.raw_ops.TFRecordDatasetV2(
                filenames=names[row], compression_type="", buffer_size=length, byte_offsets=start
            )
            record = tf.data.experimental.from_variant(file, tf.TensorSpec([], tf.string)).take(1)
            return parse_clip(record.get_single_element(), size)[1:]

        return read


def _records(store: Store) -> list[tuple[str, int, int]]:
    """Of each clip, in order: the file with its record, the record's first byte, and how many it takes.

    TensorFlow takes memory for what it is told to read before it compares a checksum: a wrong length would end the process.

    Raises:
        InputError: a shard is not as it was written.
    """
    found: list[tuple[str, int, int]] = []
    for shard in store.shards:
        with tf.io.gfile.GFile(shard, "rb") as file:
            try:
                found += [(shard, *span) for span in record_spans(file, tf.io.gfile.stat(shard).length)]
            except ValueError as error:
                check_shards(store, [shard])
                raise InputError(f"shard {shard!r} must be a TFRecord file. Received: {error}") from None
    if len(found) != len(store.clips):
        raise InputError(
            f"store {store.path!r} must have a record for each of its {len(store.clips)} clips. Received: {len(found)}"
        )
    return found


def _aligned(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(count + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + count].view(dtype).reshape(shape)


def _hold(values: np.ndarray) -> tf.Variable:
    """The array as a variable in the host's memory, not copied.

    A constant that a tf.data function captures would be copied into every iterator's graph, which ends at 2 GB; of a
    variable the graph holds a handle.
    """
    with tf.device("CPU:0"):
        return tf.Variable(tf.experimental.dlpack.from_dlpack(values.__dlpack__()), trainable=False)
