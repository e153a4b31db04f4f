"""Random changes of a training clip's timing and light, in the graph, before it is pooled."""

from __future__ import annotations

import tensorflow as tf

from affnet_tf.config import AugmentConfig
from affnet_tf.pipeline.order import CLIP, FRAMES

__all__ = ["Draws", "draw", "retime"]

# The places of the uniform draws of one clip.
START, END, SPEED, LIGHT = range(4)

Draws = tuple[tf.Tensor, tf.Tensor]


def draw(number: tf.Tensor, length: tf.Tensor) -> Draws:
    """The random numbers of one clip: a function of its number, int64 (), and of how long it is.

    Returns:
        float32 (4,) and, one for each frame, float32 (T,), all in [0, 1).
    """
    return tf.random.stateless_uniform([4], [number, CLIP]), tf.random.stateless_uniform([length], [number, FRAMES])


def retime(frames: tf.Tensor, augment: AugmentConfig, random: Draws) -> tf.Tensor:
    """Move onset and offset inwards, leave frames out, change the speed and the light; at least two frames remain.

    Args:
        frames: (T, H, W, 3); a single frame, which is a ready-made motion image, is left alone.
        augment: how much.
        random: what ``draw`` gave.

    Returns:
        (T', H, W, 3); uint8, or float32 if speed or light change.
    """
    once, each = random
    length = tf.shape(frames)[0]
    share = augment.jitter * tf.cast(length, tf.float32)
    first = tf.cast(share * once[START], tf.int32)
    last = tf.maximum(length - 1 - tf.cast(share * once[END], tf.int32), first + 1)
    number = tf.range(length)
    kept = (each >= augment.drop) | (number == first) | (number == last)
    frames = tf.boolean_mask(frames, kept & (number >= first) & (number <= last))
    if augment.speed:
        frames = _resample(frames, 1.0 + (2.0 * once[SPEED] - 1.0) * augment.speed)
    if augment.lighting:
        steps = tf.range(tf.shape(frames)[0])
        time = tf.cast(steps, tf.float32) / tf.cast(tf.maximum(steps[-1], 1), tf.float32)
        ramp = 1.0 + (2.0 * once[LIGHT] - 1.0) * augment.lighting * time
        frames = tf.cast(frames, tf.float32) * ramp[:, None, None, None]
    return frames


def _resample(frames: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """The clip as a camera sees it while it runs ``factor`` times as fast: as many frames fewer, from first to last."""
    length = tf.shape(frames)[0]
    count = tf.cast(tf.round(tf.cast(length, tf.float32) / factor), tf.int32)
    count = tf.where(length == 1, 1, tf.maximum(count, 2))
    place = tf.linspace(0.0, tf.cast(length - 1, tf.float32), count)
    low = tf.cast(tf.floor(place), tf.int32)
    share = (place - tf.cast(low, tf.float32))[:, None, None, None]
    before, after = (tf.cast(tf.gather(frames, tf.minimum(i, length - 1)), tf.float32) for i in (low, low + 1))
    return before * (1.0 - share) + after * share
