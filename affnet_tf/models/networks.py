"""The one constructor of every network: AffectiveNet and those it is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from affnet_tf.config import ModelConfig
from affnet_tf.models.affectivenet import affectivenet
from affnet_tf.models.catalogue import network_nodes
from affnet_tf.models.nodes import CHANNELS, walk

__all__ = ["build_network", "flat_network", "set_frequencies"]


def build_network(config: ModelConfig, classes: int) -> keras.Model:
    """The network that ``config.network`` names: motion image (B, S, S, 3) in [0, 1] -> logits (B, classes).

    The logits are float32 under every precision policy. ``keras.ops.softmax`` of them gives probabilities, as the
    predictor and every exported file do.

    Args:
        config: which network, and its shape; S is ``config.input_size``.
        classes: number of labels, at least 2.

    Raises:
        InputError: ``classes`` is below 2.

    Example:
        >>> model = build_network(ModelConfig(network="ststnet", input_size=28), classes=3)
        >>> model.count_params()
        1715
    """
    if config.network == "affectivenet":
        return affectivenet(config, classes)
    return flat_network(config, classes)


def flat_network(config: ModelConfig, classes: int, framework: Any = keras) -> Any:
    """The same network as a flat graph of stock layers, from ``keras`` or from ``tf_keras``.

    ``mobilenetv3small`` needs ``keras``: ``tf_keras`` has other activations of those names, or none.
    """
    inputs = framework.layers.Input((config.input_size, config.input_size, CHANNELS), name="motion_image")
    outputs = walk(
        network_nodes(config, classes), inputs, lambda node, value: node.layer(framework.layers, **node.policy)(value)
    )
    return framework.Model(inputs, outputs, name=config.network)


def set_frequencies(model: keras.Model, labels: Iterable[int]) -> None:
    """Train a ``majority`` network in closed form: its probabilities become the frequencies of the labels.

    Args:
        model: what ``build_network`` gave for ``majority``.
        labels: label indices of the training clips; a class without any gets a probability of 1e-6.
    """
    classifier = model.get_layer("logits")
    counts = np.bincount(np.asarray(list(labels), dtype=int), minlength=classifier.units)
    frequencies = np.maximum(counts / counts.sum(), 1e-6)
    kernel, _ = classifier.get_weights()
    classifier.set_weights([np.zeros_like(kernel), np.log(frequencies).astype(kernel.dtype)])
