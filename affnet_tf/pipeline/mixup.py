"""Mixup of motion images (Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018), in the graph."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["mixup"]


def mixup(
    images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, alpha: float, seed: int, number: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mix each clip of a batch with the next one, by a share of its own from Beta(alpha, alpha).

    The loss of a clip is its weight times a cross-entropy, which is linear in the label. So that the loss of a mixture is the
    mixture of both losses, weights included, its weight is the mixture of the weights, and its label the mixture of the
    labels *by their weighted shares*.

    Args:
        images: float32 (B, S, S, 3) in [0, 1], in random order.
        labels: float32 (B, classes); rows add up to 1.
        weights: float32 (B,).
        alpha: 0.01 or more; the larger, the more even the mixtures.
        seed: decides the shares, together with ``number``.
        number: of the batch, int64 ().

    Returns:
        Mixed images, labels (rows add up to 1) and weights, of the same shapes.
    """
    # In float64: gamma variates of a small alpha are often below what float32 can hold.
    key = tf.stack([tf.cast(seed, tf.int64), number]) + 2**33
    parts = tf.random.stateless_gamma([2, tf.shape(images)[0]], key, tf.constant(alpha, tf.float64), dtype=tf.float64)
    share = tf.cast(parts[0] / (parts[0] + parts[1]), tf.float32)
    first, second = share * weights, (1.0 - share) * tf.roll(weights, -1, 0)
    weight = first + second
    label = first[:, None] * labels + second[:, None] * tf.roll(labels, -1, 0)
    image_share = share[:, None, None, None]
    image = image_share * images + (1.0 - image_share) * tf.roll(images, -1, 0)
    return image, tf.math.divide_no_nan(label, weight[:, None]), weight
