"""AffectiveNet (Verma, Vipparthi, Singh, IEEE MultiMedia 2021, arXiv 2104.07569), as reconstructed here."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from affnet_tf.config import ModelConfig
from affnet_tf.errors import InputError
from affnet_tf.models.layers import MFL, MICRoFeat
from affnet_tf.models.nodes import CHANNELS, around_blocks, walk

__all__ = ["affectivenet", "copy_weights", "probabilities"]


def affectivenet(config: ModelConfig, classes: int) -> keras.Model:
    """The network, made of the layers MICRoFeat and MFL: motion image (B, S, S, 3) in [0, 1] -> logits (B, classes).

    The logits are float32 under every precision policy. ``keras.ops.softmax`` of them gives probabilities, as the
    predictor and every exported file do.

    Args:
        config: the shape of the network; S is ``config.input_size``.
        classes: number of labels, at least 2.

    Raises:
        InputError: ``classes`` is below 2.

    Example:
        >>> model = affectivenet(ModelConfig(input_size=28, widths=(8, 16)), classes=3)
        >>> model(keras.ops.zeros((1, 28, 28, 3))).shape
        (1, 3)
    """
    before, after = around_blocks(config, classes)
    inputs = keras.Input((config.input_size, config.input_size, CHANNELS), name="motion_image")
    x = walk(before, inputs, lambda node, value: node.layer(keras.layers)(value))
    x = MICRoFeat(config.kernels, config.widths, config.depthwise, config.exchange, config.normalise, name="microfeat")(
        x
    )
    if config.mfl:
        x = MFL(config.last_channels, config.taps, config.tap_channels, config.dense, name="mfl")(x)
    x = walk(after, x, lambda node, value: node.layer(keras.layers, **node.policy)(value))
    return keras.Model(inputs, x, name="affectivenet")


def copy_weights(source: Any, target: Any) -> None:
    """Copy weights between two builds of one network, nested or flat, Keras 3 or tf_keras, by layer name.

    Raises:
        InputError: the two do not have the same layers with the same shapes; the first that differs is named.
    """
    theirs, ours = _stock_layers(source), _stock_layers(target)
    for name in [*theirs, *ours]:
        shapes = [
            [tuple(w.shape) for w in side[name].get_weights()] if name in side else None for side in (theirs, ours)
        ]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"layer {name!r} must have the same weights in both networks. Received: {shapes[0]}, {shapes[1]}"
            )
    for name, layer in ours.items():
        layer.set_weights(theirs[name].get_weights())


def probabilities(model: keras.Model, images: np.ndarray, batch_size: int = 16) -> np.ndarray:
    """Class probabilities of motion images.

    Every batch is filled up to ``batch_size``, so that the compiled network sees one static shape.

    Args:
        model: what ``build_network`` gave.
        images: float32 (N, S, S, 3) in [0, 1].
        batch_size: images at a time.

    Returns:
        float32 (N, classes); rows add up to 1.
    """
    parts = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        filled = np.concatenate([batch, np.repeat(batch[-1:], batch_size - len(batch), axis=0)])
        logits = model.predict_on_batch(filled)[: len(batch)]
        parts.append(keras.ops.convert_to_numpy(keras.ops.softmax(keras.ops.cast(logits, "float32"))))
    return np.concatenate(parts)


def _stock_layers(model: Any) -> dict[str, Any]:
    layers = (layer for outer in model.layers for layer in getattr(outer, "sublayers", [outer]))
    return {layer.name: layer for layer in layers if layer.weights}
