"""Random changes of a batch of pooled images, in the graph: how they are moved, and how they are finished."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from affnet_tf.config import AugmentConfig
from affnet_tf.pipeline.order import NOISE

__all__ = ["draw", "finish", "moves", "resize", "warp"]

# The places of the random numbers of one image.
ANGLE, ZOOM, SHIFT_X, SHIFT_Y, MIRROR, GAIN = range(6)
_STEPS = 2**24  # as fine as float32 is in [0.5, 1)


def draw(numbers: tf.Tensor) -> tf.Tensor:
    """Random numbers of images, float32 (B, 6), uniform in [0, 1): a hash of the numbers of their clips, int64 (B,)."""
    text = tf.as_string(numbers)[:, None] + "\n" + tf.as_string(tf.range(6))
    return tf.cast(tf.strings.to_hash_bucket_fast(text, _STEPS), tf.float32) / _STEPS


def resize(motion: tf.Tensor, size: int) -> tf.Tensor:
    """Bilinear resize of images (..., H, W, C) to (..., size, size, C), half-pixel centres, no antialiasing."""
    if motion.shape[-3] == size and motion.shape[-2] == size:
        return motion
    return tf.image.resize(motion, (size, size), antialias=False)


def moves(augment: AugmentConfig) -> bool:
    """Whether an image is flipped, shifted, turned or zoomed at all."""
    return bool(augment.flip or augment.shift or augment.rotate or augment.scale)


def warp(motion: tf.Tensor, size: int, augment: AugmentConfig, random: tf.Tensor, vectors: bool = False) -> tf.Tensor:
    """Resize with a random flip, shift, rotation and zoom of each image, in one bilinear interpolation.

    Args:
        motion: float32 (B, S, S, 3).
        size: height and width of the result.
        augment: how much.
        random: what ``draw`` gave.
        vectors: the first two channels are the u and v of a flow, and turn and flip with the image.

    Returns:
        float32 (B, size, size, 3).
    """
    if not moves(augment):
        return resize(motion, size)
    side = float(motion.shape[1])
    signed = 2.0 * random - 1.0
    angle = signed[:, ANGLE] * augment.rotate * (np.pi / 180.0)
    zoom = side / size * (1.0 + signed[:, ZOOM] * augment.scale)
    mirror = tf.where(augment.flip & (random[:, MIRROR] < 0.5), -1.0, 1.0)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # From an output pixel to the input pixel it is read from: mirrored, turned and zoomed about the middle.
    a, b, c, d = zoom * cos * mirror, -zoom * sin, zoom * sin * mirror, zoom * cos
    middle_in, middle_out = (side - 1.0) / 2.0, (size - 1.0) / 2.0
    x = middle_in + signed[:, SHIFT_X] * augment.shift * side - (a + b) * middle_out
    y = middle_in + signed[:, SHIFT_Y] * augment.shift * side - (c + d) * middle_out
    zero = tf.zeros_like(a)
    images = tf.raw_ops.ImageProjectiveTransformV3(
        images=motion,
        transforms=tf.stack([a, b, x, c, d, y, zero, zero], axis=1),
        output_shape=tf.constant([size, size]),
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )
    if not vectors:
        return images
    u, v, strain = tf.unstack(images, axis=-1)
    cos, sin, mirror = (each[:, None, None] for each in (cos, sin, mirror))
    return tf.stack([(u * cos + v * sin) * mirror, v * cos - u * sin, strain], axis=-1)


def finish(images: tf.Tensor, augment: AugmentConfig, random: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Change the contrast of finished images around their means and add noise, clipped to [0, 1].

    Args:
        images: float32 (B, S, S, 3) in [0, 1].
        augment: how much.
        random: what ``draw`` gave.
        numbers: of the clips, int64 (B,); they decide the noise.
    """
    if augment.gain:
        means = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        factors = 1.0 + (2.0 * random[:, GAIN, None, None, None] - 1.0) * augment.gain
        images = tf.clip_by_value((images - means) * factors + means, 0.0, 1.0)
    if augment.noise:
        noise = tf.map_fn(
            lambda number: tf.random.stateless_normal(images.shape[1:], [number, NOISE]),
            numbers,
            fn_output_signature=tf.float32,
        )
        images = tf.clip_by_value(images + augment.noise * noise, 0.0, 1.0)
    return images
