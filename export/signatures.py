"""What is exported: the one place that turns a checkpoint into functions with names, shapes and dtypes.

``classify(motion_image float32 [1, S, S, 3] in [0, 1]) -> probabilities [1, classes]``
``classify_clip(frames uint8 [1, T, F, F, 3]) -> probabilities [1, classes], motion_image [1, S, S, 3]``, T free

The second is the first behind the motion graph, which pools, resizes and normalises with the very functions that training
uses. The two graphs are handed over apart, since a recipe changes the network and leaves the motion alone; ``join`` makes
one file of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from affnet_tf.errors import InputError
from affnet_tf.imaging.motion import clip_motion_image
from affnet_tf.inference.runtime import FRAMES, MOTION_IMAGE, PROBABILITIES
from affnet_tf.models.affectivenet import copy_weights
from affnet_tf.models.checkpoint import Checkpoint
from affnet_tf.models.networks import build_network

__all__ = ["Graph", "in_float32", "keras_classify", "keras_classify_clip", "motion_graph", "network_graph"]


@dataclasses.dataclass(frozen=True)
class Graph:
    """A function to convert.

    Attributes:
        function: takes one tensor, gives tensors by name.
        input: its name, static shape and dtype; None in the shape is free.
        model: what holds the function's variables; None if it has none.
    """

    function: Callable[[Any], dict[str, Any]]
    input: tf.TensorSpec
    model: keras.Model | None


def network_graph(checkpoint: Checkpoint) -> Graph:
    """motion_image float32 (1, S, S, 3) -> probabilities (1, classes); the network rebuilt in float32.

    Raises:
        InputError: Keras does not run on TensorFlow, the only backend that can be exported; or the network sees
            optical flow.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(f"export must run with KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()}")
    if checkpoint.config.motion.representation != "motion":
        raise InputError(
            "a network to export must have motion.representation 'motion': its file makes motion images. "
            f"Received: {checkpoint.config.motion.representation!r}"
        )
    model = in_float32(checkpoint).model
    size = checkpoint.config.model.input_size

    def classify(motion_image: Any) -> dict[str, Any]:
        return {PROBABILITIES: keras.ops.softmax(model(motion_image, training=False))}

    return Graph(classify, tf.TensorSpec((1, size, size, 3), tf.float32, name=MOTION_IMAGE), model)


def motion_graph(checkpoint: Checkpoint) -> Graph:
    """frames uint8 (1, T, F, F, 3) -> motion_image float32 (1, S, S, 3); T is free."""
    size, settings = checkpoint.config.model.input_size, checkpoint.config.motion

    def motion(frames: Any) -> dict[str, Any]:
        return {MOTION_IMAGE: clip_motion_image(frames, settings, size)}

    shape = (1, None, checkpoint.frame_size, checkpoint.frame_size, 3)
    return Graph(motion, tf.TensorSpec(shape, tf.uint8, name=FRAMES), None)


def keras_classify(checkpoint: Checkpoint, motion_image: np.ndarray) -> np.ndarray:
    """What Keras answers to ``classify``: (S, S, 3) -> float32 (classes,)."""
    logits = checkpoint.model(motion_image[None].astype(np.float32), training=False)
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits))[0]


def keras_classify_clip(checkpoint: Checkpoint, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What Keras answers to ``classify_clip``: (T, F, F, 3) uint8 -> float32 (classes,), and the motion image."""
    config = checkpoint.config
    image = clip_motion_image(frames[None], config.motion, config.model.input_size)[0]
    return keras_classify(checkpoint, image), image


def in_float32(checkpoint: Checkpoint) -> Checkpoint:
    """The same network under the float32 policy: mixed precision would leave operators in the graph that no phone runs."""
    if {layer.dtype_policy.name for layer in checkpoint.model.layers} == {"float32"}:
        return checkpoint
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        model = build_network(checkpoint.config.model, len(checkpoint.labels))
    finally:
        keras.config.set_dtype_policy(policy)
    copy_weights(checkpoint.model, model)
    return dataclasses.replace(checkpoint, model=model)
