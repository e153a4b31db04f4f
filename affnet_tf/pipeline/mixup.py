"""Mixup of motion images (Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018), in the graph."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["draw", "mix", "mix_targets"]


def draw(alpha: float, seed: int, step: tf.Tensor, images: int) -> tf.Tensor:
    """The share of each clip of a batch in its mixture with the next one, from Beta(alpha, alpha).

    Args:
        alpha: 0.01 or more; the larger, the more even the mixtures.
        seed: decides the shares, together with ``step``.
        step: batches before this one, int64 ().
        images: number of clips B.

    Returns:
        float32 (B,) in [0, 1].
    """
    # In float64: gamma variates of a small alpha are often below what float32 can hold.
    key = tf.stack([tf.cast(seed, tf.int64), step])
    parts = tf.random.stateless_gamma([2, images], key, tf.constant(alpha, tf.float64), dtype=tf.float64)
    return tf.cast(parts[0] / (parts[0] + parts[1]), tf.float32)


def mix(images: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Mix each image of a batch, float32 (B, S, S, 3), with the next one, by its share."""
    share = share[:, None, None, None]
    return share * images + (1.0 - share) * tf.roll(images, -1, 0)


def mix_targets(labels: tf.Tensor, weights: tf.Tensor, share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The labels and weights of mixed images.

    The loss of a clip is its weight times a cross-entropy, which is linear in the label. So that the loss of a mixture is the
    mixture of both losses, weights included, its weight is the mixture of the weights, and its label the mixture of the
    labels *by their weighted shares*.

    Args:
        labels: float32 (..., B, classes); rows add up to 1.
        weights: float32 (..., B).
        share: what ``draw`` gave.

    Returns:
        Labels (rows add up to 1) and weights, of the same shapes.
    """
    first, second = share * weights, (1.0 - share) * tf.roll(weights, -1, -1)
    weight = first + second
    label = first[..., None] * labels + second[..., None] * tf.roll(labels, -1, -2)
    return tf.math.divide_no_nan(label, weight[..., None]), weight
