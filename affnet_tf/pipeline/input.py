"""From the clip store to batches, on the fly and in the graph: read, sample, pool, augment, normalise, batch.

Rank pooling is linear in the frames, and every spatial change here is linear in the pixels and the same for all frames of a
clip. So a clip is pooled first, and one image is warped instead of all its frames, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from affnet_tf.config import ExperimentConfig, MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.imaging.motion import normalise, rank_pool
from affnet_tf.pipeline.store import Store, parse_clip
from affnet_tf.pipeline.warp import draw, gain, resize, sample, warp

__all__ = ["check_representation", "motion_images", "read_clips", "training_batches"]

# Clips are kept in memory, decoded, up to this many bytes; larger stores are read from disk in every epoch.
CACHE_BYTES = 4 * 2**30
_READ_BYTES = 8 * 2**20


def check_representation(store: Store, representation: str) -> None:
    """Raise if a clip of the store cannot be represented so: a ready-made motion image has no flow.

    Raises:
        InputError: naming the first such clip.
    """
    without = [clip for clip in store.clips if clip.kind == "image"] if representation == "flow" else []
    if without:
        raise InputError(
            f"motion.representation 'flow' must be made of frames. Received: {len(without)} clips that are one image, "
            f"such as {without[0].dataset} {without[0].clip_id!r}"
        )


def read_clips(store: Store, cache: bool | None = None, shards: Sequence[str] | None = None) -> tf.data.Dataset:
    """All clips of a store, in its order.

    Args:
        store: an open store.
        cache: keep the decoded clips in memory after the first pass; by default if they take less than 4 GiB.
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
    if cache is None:
        size = sum(clip.length for clip in store.clips) * store.frame_size**2 * 3
        cache = size < CACHE_BYTES
    return clips.cache() if cache else clips


def training_batches(
    clips: tf.data.Dataset,
    labels: Mapping[int, int],
    weights: Mapping[int, float],
    classes: int,
    config: ExperimentConfig,
    seed: int,
    skip: int = 0,
) -> tf.data.Dataset:
    """Endless batches of augmented motion images; the same for the same arguments, however they are interrupted.

    TensorFlow mixes its global seed into the order of the clips, so ``keras.utils.set_random_seed`` must have been called
    with the same seed too. A dataset is for one pass: a second pass over the same object has another order.

    Args:
        clips: what ``read_clips`` gave.
        labels: label index by the clip's row in the store; clips that are not named are left out.
        weights: loss weight by row.
        classes: number of labels.
        config: motion, augmentation, input size and batch size.
        seed: of shuffling and augmentation.
        skip: number of batches that an interrupted run has consumed already.

    Returns:
        Batches of (motion images float32 (B, S, S, 3) in [0, 1], one-hot labels float32 (B, classes), weights float32 (B,)).

    Raises:
        InputError: ``labels`` is empty.
    """
    if not labels:
        raise InputError("training must have at least one clip. Received: none")
    label_of = _table(labels, tf.int64, -1)
    weight_of = _table(weights, tf.float32, 0.0)
    motion, augment, size = config.motion, config.augment, config.model.input_size
    temporal = motion.representation == "motion" and bool(augment.jitter or augment.drop)

    def pooled(row: tf.Tensor, frames: tf.Tensor, flow: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return row, *_signed(frames, flow, motion)

    chosen = clips.filter(lambda row, frames, flow: label_of.lookup(row) >= 0)
    if not temporal:
        chosen = chosen.map(pooled).cache()
    chosen = chosen.shuffle(len(labels), seed=seed, reshuffle_each_iteration=True).repeat()
    chosen = tf.data.Dataset.zip(tf.data.Dataset.counter(), chosen).skip(skip * config.train.batch_size)

    def example(step: tf.Tensor, clip: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        row = clip[0]
        random = draw(seed, step)
        if temporal:
            signed, ready = _signed(sample(clip[1], augment, random, seed, step), clip[2], motion)
        else:
            signed, ready = clip[1:]
        warped = warp(signed, size, augment, random, vectors=motion.representation == "flow")
        image = gain(_scaled(warped, ready, motion), augment, random)
        return image, tf.one_hot(label_of.lookup(row), classes), weight_of.lookup(row)

    batches = chosen.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.batch(config.train.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def motion_images(
    clips: tf.data.Dataset, motion: MotionConfig, size: int, progress: Callable[[int], None] | None = None
) -> np.ndarray:
    """The motion image of every clip of the store, without augmentation.

    Args:
        clips: what ``read_clips`` gave.
        motion: how a clip is pooled.
        size: height and width of the images.
        progress: called with the number of clips done.

    Returns:
        float32 (N, size, size, 3) in [0, 1], in the order of the store.
    """

    def image(row: tf.Tensor, frames: tf.Tensor, flow: tf.Tensor) -> tf.Tensor:
        signed, ready = _signed(frames, flow, motion)
        return _scaled(resize(signed, size), ready, motion)

    images = []
    for each in clips.map(image, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).as_numpy_iterator():
        images.append(each)
        if progress:
            progress(len(images))
    return np.stack(images)


def _signed(frames: tf.Tensor, flow: tf.Tensor, motion: MotionConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """The clip's image before it is scaled, and whether it came ready-made and is scaled already."""
    if motion.representation == "flow":
        return flow, tf.constant(False)
    ready = tf.shape(frames)[0] == 1
    signed = tf.cond(
        ready,
        lambda: tf.cast(frames[0], tf.float32) / 255.0,
        lambda: rank_pool(frames, kind=motion.weights),
    )
    return tf.ensure_shape(signed, frames.shape[1:]), ready


def _scaled(signed: tf.Tensor, ready: tf.Tensor, motion: MotionConfig) -> tf.Tensor:
    if motion.representation == "flow":
        return tf.concat([normalise(signed[..., i : i + 1]) for i in range(3)], axis=-1)
    return tf.where(ready, signed, normalise(signed, motion.scaling))


def _table(values: Mapping[int, float], dtype: tf.DType, default: float) -> tf.lookup.StaticHashTable:
    keys: Sequence[int] = sorted(values)
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(keys, tf.int64), tf.constant([values[key] for key in keys], dtype)
    )
    return tf.lookup.StaticHashTable(initializer, tf.constant(default, dtype))
