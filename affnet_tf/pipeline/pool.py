"""From a clip's frames to its motion image, in the graph: pool, then scale."""

from __future__ import annotations

import tensorflow as tf

from affnet_tf.config import MotionConfig
from affnet_tf.imaging.motion import normalise, rank_pool

__all__ = ["scaled", "signed_motion"]


def signed_motion(frames: tf.Tensor, flow: tf.Tensor | None, motion: MotionConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """The clip's image before it is scaled, and whether it came ready-made and is scaled already.

    Args:
        frames: (T, S, S, 3) in [0, 255]; one frame is a ready-made motion image.
        flow: float32 (S, S, 3); None will do where no flow is wanted.
        motion: which of the two is wanted, and how frames are pooled.

    Returns:
        float32 (S, S, 3), and bool ().
    """
    if motion.representation == "flow":
        return flow, tf.constant(False)
    ready = tf.shape(frames)[0] == 1
    signed = tf.cond(
        ready,
        lambda: tf.cast(frames[0], tf.float32) / 255.0,
        lambda: rank_pool(frames, kind=motion.weights),
    )
    return tf.ensure_shape(signed, frames.shape[1:]), ready


def scaled(signed: tf.Tensor, ready: tf.Tensor, motion: MotionConfig) -> tf.Tensor:
    """Images in [0, 1]: float32 (..., S, S, 3), unless they are ready-made; each channel of a flow by itself."""
    if motion.representation == "flow":
        return tf.concat([normalise(signed[..., i : i + 1]) for i in range(3)], axis=-1)
    return tf.where(ready[..., None, None, None], signed, normalise(signed, motion.scaling))
