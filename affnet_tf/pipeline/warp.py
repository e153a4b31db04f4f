"""Random changes of a training clip, in the graph: what is pooled, how the pooled image is moved, how it is finished."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from affnet_tf.config import AugmentConfig

__all__ = ["draw", "finish", "resize", "sample", "warp"]

# The places of the uniform draws of one example.
ANGLE, ZOOM, SHIFT_X, SHIFT_Y, MIRROR, TRIM_START, TRIM_END, GAIN, SPEED, LIGHT = range(10)


def draw(seed: int, step: tf.Tensor) -> tf.Tensor:
    """The random numbers of one example, float32 (10,) in [0, 1): a function of the seed and the example's number."""
    # In two draws, so that a seed gives what it gave when there were eight.
    first = tf.random.stateless_uniform([8], seed=_seed(seed, step))
    return tf.concat([first, tf.random.stateless_uniform([2], seed=_seed(seed, step) + 2**32)], axis=0)


def sample(frames: tf.Tensor, augment: AugmentConfig, random: tf.Tensor, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Move onset and offset inwards, leave frames out, change the speed and the light; at least two frames remain.

    Args:
        frames: (T, H, W, 3); a single frame, which is a ready-made motion image, is left alone.
        augment: how much.
        random: what ``draw`` gave.
        seed: as for ``draw``.
        step: as for ``draw``.

    Returns:
        (T', H, W, 3); uint8, or float32 if speed or light change.
    """
    length = tf.shape(frames)[0]
    share = augment.jitter * tf.cast(length, tf.float32)
    first = tf.cast(share * random[TRIM_START], tf.int32)
    last = tf.maximum(length - 1 - tf.cast(share * random[TRIM_END], tf.int32), first + 1)
    number = tf.range(length)
    draws = tf.random.stateless_uniform([length], seed=_seed(seed, step) + 2**31)
    kept = (draws >= augment.drop) | (number == first) | (number == last)
    frames = tf.boolean_mask(frames, kept & (number >= first) & (number <= last))
    if augment.speed:
        frames = _resample(frames, 1.0 + (2.0 * random[SPEED] - 1.0) * augment.speed)
    if augment.lighting:
        steps = tf.range(tf.shape(frames)[0])
        time = tf.cast(steps, tf.float32) / tf.cast(tf.maximum(steps[-1], 1), tf.float32)
        ramp = 1.0 + (2.0 * random[LIGHT] - 1.0) * augment.lighting * time
        frames = tf.cast(frames, tf.float32) * ramp[:, None, None, None]
    return frames


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


def finish(image: tf.Tensor, augment: AugmentConfig, random: tf.Tensor, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Change the contrast of a finished image around its mean and add noise, clipped to [0, 1].

    Args:
        image: float32 (S, S, 3) in [0, 1].
        augment: how much.
        random: what ``draw`` gave.
        seed: as for ``draw``.
        step: as for ``draw``.
    """
    if augment.gain:
        mean = tf.reduce_mean(image)
        factor = 1.0 + (2.0 * random[GAIN] - 1.0) * augment.gain
        image = tf.clip_by_value((image - mean) * factor + mean, 0.0, 1.0)
    if augment.noise:
        noise = tf.random.stateless_normal(tf.shape(image), seed=_seed(seed, step) + 3 * 2**31)
        image = tf.clip_by_value(image + augment.noise * noise, 0.0, 1.0)
    return image


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


def _seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.cast(seed, tf.int64), step])
