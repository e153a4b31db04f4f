"""From the clip store to batches, on the fly and in the graph: read, sample, pool, augment, normalise, batch.

Rank pooling is linear in the frames, and every spatial change here is linear in the pixels and the same for all frames of a
clip. So a clip is pooled first, and one image is warped instead of all its frames, with the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from affnet_tf.config import AugmentConfig, ExperimentConfig, MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.imaging.motion import normalise, rank_pool
from affnet_tf.pipeline.store import Store

__all__ = ["motion_images", "read_clips", "training_batches"]

# Clips are kept in memory, decoded, up to this many bytes; larger stores are read from disk in every epoch.
CACHE_BYTES = 4 * 2**30
_READ_BYTES = 8 * 2**20


def read_clips(store: Store, cache: bool | None = None) -> tf.data.Dataset:
    """All clips of a store, in its order.

    Args:
        store: an open store.
        cache: keep the decoded clips in memory after the first pass; by default if they take less than 4 GiB.

    Returns:
        Elements (row, frames): the clip's row in ``store.clips``, int64 (); uint8 (T, S, S, 3).
    """
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant([f"{clip.dataset}\n{clip.clip_id}" for clip in store.clips]),
            tf.range(len(store.clips), dtype=tf.int64),
        ),
        default_value=-1,
    )

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = {
            "key": tf.io.FixedLenFeature([], tf.string),
            "shape": tf.io.FixedLenFeature([4], tf.int64),
            "frames": tf.io.FixedLenFeature([], tf.string),
        }
        example = tf.io.parse_single_example(record, features)
        frames = tf.reshape(tf.io.decode_raw(example["frames"], tf.uint8), example["shape"])
        return table.lookup(example["key"]), tf.ensure_shape(frames, [None, store.frame_size, store.frame_size, 3])

    clips = tf.data.TFRecordDataset(list(store.shards), buffer_size=_READ_BYTES)
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
        labels: label index by the clip's row in the store; clips that are not named are never read further.
        weights: loss weight by row.
        classes: number of labels.
        config: motion, augmentation, input size and batch size.
        seed: of shuffling and augmentation.
        skip: number of batches that an interrupted run has consumed already.

    Returns:
        Batches of (motion images float32 (B, S, S, 3) in [0, 1], one-hot labels float32 (B, classes), weights float32 (B,)).

    Raises:
        InputError: fewer clips than one batch can be filled with by repetition, that is none.
    """
    if not labels:
        raise InputError("training must have at least one clip. Received: none")
    rows = tf.constant(sorted(labels), tf.int64)
    label_of = _table(labels, tf.int64, -1)
    weight_of = _table(weights, tf.float32, 0.0)
    size, kind, augment = config.model.input_size, config.motion.weights, config.augment

    chosen = clips.filter(lambda row, frames: label_of.lookup(row) >= 0)
    if not (augment.jitter or augment.drop):
        chosen = chosen.map(lambda row, frames: (row, rank_pool(frames, kind=kind))).cache()
    chosen = chosen.shuffle(len(rows), seed=seed, reshuffle_each_iteration=True).repeat()
    chosen = tf.data.Dataset.zip(tf.data.Dataset.counter(), chosen).skip(skip * config.train.batch_size)

    def example(step: tf.Tensor, clip: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        row, frames = clip
        random = tf.random.stateless_uniform([8], seed=tf.stack([tf.cast(seed, tf.int64), step]))
        motion = frames
        if augment.jitter or augment.drop:
            motion = rank_pool(_sample(frames, augment, random, step, seed), kind=kind)
        image = _gain(normalise(_warp(motion, size, augment, random)), augment, random)
        return image, tf.one_hot(label_of.lookup(row), classes), weight_of.lookup(row)

    batches = chosen.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.batch(config.train.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def motion_images(clips: tf.data.Dataset, motion: MotionConfig, size: int) -> np.ndarray:
    """The motion image of every clip of the store, without augmentation.

    Args:
        clips: what ``read_clips`` gave.
        motion: how a clip is pooled.
        size: height and width of the images.

    Returns:
        float32 (N, size, size, 3) in [0, 1], in the order of the store.
    """

    def image(row: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
        return normalise(resize(rank_pool(frames, kind=motion.weights), size))

    return np.stack(list(clips.map(image, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).as_numpy_iterator()))


def resize(motion: tf.Tensor, size: int) -> tf.Tensor:
    """Bilinear resize of a signed motion image (H, W, C) to (size, size, C), half-pixel centres, no antialiasing."""
    if motion.shape[0] == size and motion.shape[1] == size:
        return motion
    return tf.image.resize(motion, (size, size), antialias=False)


def _table(values: Mapping[int, float], dtype: tf.DType, default: float) -> tf.lookup.StaticHashTable:
    keys: Sequence[int] = sorted(values)
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(keys, tf.int64), tf.constant([values[key] for key in keys], dtype)
    )
    return tf.lookup.StaticHashTable(initializer, tf.constant(default, dtype))


def _sample(frames: tf.Tensor, augment: AugmentConfig, random: tf.Tensor, step: tf.Tensor, seed: int) -> tf.Tensor:
    """Move onset and offset inwards and leave frames out; at least the first and the last that remain are kept."""
    length = tf.shape(frames)[0]
    trim = tf.cast(augment.jitter * random[5:7] * tf.cast(length, tf.float32), tf.int32)
    last = tf.maximum(length - 1 - trim[1], trim[0] + 1)
    number = tf.range(length)
    draws = tf.random.stateless_uniform([length], seed=tf.stack([tf.cast(seed, tf.int64) + 2**31, step]))
    inside = (number >= trim[0]) & (number <= last)
    keep = inside & ((draws >= augment.drop) | (number == trim[0]) | (number == last))
    return tf.boolean_mask(frames, keep)


def _warp(motion: tf.Tensor, size: int, augment: AugmentConfig, random: tf.Tensor) -> tf.Tensor:
    """Resize with a random flip, shift, rotation and zoom, in one bilinear interpolation."""
    if not (augment.flip or augment.shift or augment.rotate or augment.scale):
        return resize(motion, size)
    side = float(motion.shape[0])
    signed = 2.0 * random - 1.0
    angle = signed[0] * augment.rotate * (np.pi / 180.0)
    zoom = side / size * (1.0 + signed[1] * augment.scale)
    mirror = tf.where(augment.flip & (random[4] < 0.5), -1.0, 1.0)
    a, b = zoom * tf.cos(angle) * mirror, -zoom * tf.sin(angle)
    c, d = zoom * tf.sin(angle) * mirror, zoom * tf.cos(angle)
    middle_in, middle_out = (side - 1.0) / 2.0, (size - 1.0) / 2.0
    x = middle_in + signed[2] * augment.shift * side - (a + b) * middle_out
    y = middle_in + signed[3] * augment.shift * side - (c + d) * middle_out
    zero = tf.zeros([])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=motion[None],
        transforms=tf.stack([a, b, x, c, d, y, zero, zero])[None],
        output_shape=tf.constant([size, size]),
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )[0]


def _gain(image: tf.Tensor, augment: AugmentConfig, random: tf.Tensor) -> tf.Tensor:
    if not augment.gain:
        return image
    mean = tf.reduce_mean(image)
    factor = 1.0 + (2.0 * random[7] - 1.0) * augment.gain
    return tf.clip_by_value((image - mean) * factor + mean, 0.0, 1.0)
