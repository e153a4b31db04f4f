"""Random changes of a training clip, in the graph: which frames are pooled, and how the pooled image is moved."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from affnet_tf.config import AugmentConfig

__all__ = ["draw", "gain", "resize", "sample", "warp"]

# The places of the uniform draws of one example.
ANGLE, ZOOM, SHIFT_X, SHIFT_Y, MIRROR, TRIM_START, TRIM_END, GAIN = range(8)


def draw(seed: int, step: tf.Tensor) -> tf.Tensor:
    """The random numbers of one example, float32 (8,) in [0, 1): a function of the seed and the example's number."""
    return tf.random.stateless_uniform([8], seed=_seed(seed, step))


def sample(frames: tf.Tensor, augment: AugmentConfig, random: tf.Tensor, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Move onset and offset inwards and leave frames out; at least two remain.

    Args:
        frames: (T, H, W, 3); a single frame, which is a ready-made motion image, is left alone.
        augment: how much.
        random: what ``draw`` gave.
        seed: as for ``draw``.
        step: as for ``draw``.
    """
    length = tf.shape(frames)[0]
    share = augment.jitter * tf.cast(length, tf.float32)
    first = tf.cast(share * random[TRIM_START], tf.int32)
    last = tf.maximum(length - 1 - tf.cast(share * random[TRIM_END], tf.int32), first + 1)
    number = tf.range(length)
    draws = tf.random.stateless_uniform([length], seed=_seed(seed, step) + 2**31)
    kept = (draws >= augment.drop) | (number == first) | (number == last)
    return tf.boolean_mask(frames, kept & (number >= first) & (number <= last))


def resize(motion: tf.Tensor, size: int) -> tf.Tensor:
    """Bilinear resize of an image (H, W, C) to (size, size, C), half-pixel centres, no antialiasing."""
    if motion.shape[0] == size and motion.shape[1] == size:
        return motion
    return tf.image.resize(motion, (size, size), antialias=False)


def warp(motion: tf.Tensor, size: int, augment: AugmentConfig, random: tf.Tensor, vectors: bool = False) -> tf.Tensor:
    """Resize with a random flip, shift, rotation and zoom, in one bilinear interpolation.

    Args:
        motion: float32 (S, S, 3).
        size: height and width of the result.
        augment: how much.
        random: what ``draw`` gave.
        vectors: the first two channels are the u and v of a flow, and turn and flip with the image.

    Returns:
        float32 (size, size, 3).
    """
    if not (augment.flip or augment.shift or augment.rotate or augment.scale):
        return resize(motion, size)
    side = float(motion.shape[0])
    signed = 2.0 * random - 1.0
    angle = signed[ANGLE] * augment.rotate * (np.pi / 180.0)
    zoom = side / size * (1.0 + signed[ZOOM] * augment.scale)
    mirror = tf.where(augment.flip & (random[MIRROR] < 0.5), -1.0, 1.0)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # From an output pixel to the input pixel it is read from: mirrored, turned and zoomed about the middle.
    a, b, c, d = zoom * cos * mirror, -zoom * sin, zoom * sin * mirror, zoom * cos
    middle_in, middle_out = (side - 1.0) / 2.0, (size - 1.0) / 2.0
    x = middle_in + signed[SHIFT_X] * augment.shift * side - (a + b) * middle_out
    y = middle_in + signed[SHIFT_Y] * augment.shift * side - (c + d) * middle_out
    zero = tf.zeros([])
    image = tf.raw_ops.ImageProjectiveTransformV3(
        images=motion[None],
        transforms=tf.stack([a, b, x, c, d, y, zero, zero])[None],
        output_shape=tf.constant([size, size]),
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )[0]
    if not vectors:
        return image
    u, v, strain = tf.unstack(image, axis=-1)
    return tf.stack([(u * cos + v * sin) * mirror, v * cos - u * sin, strain], axis=-1)


def gain(image: tf.Tensor, augment: AugmentConfig, random: tf.Tensor) -> tf.Tensor:
    """Change the contrast of a finished image around its mean, clipped to [0, 1]."""
    if not augment.gain:
        return image
    mean = tf.reduce_mean(image)
    factor = 1.0 + (2.0 * random[GAIN] - 1.0) * augment.gain
    return tf.clip_by_value((image - mean) * factor + mean, 0.0, 1.0)


def _seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.cast(seed, tf.int64), step])
