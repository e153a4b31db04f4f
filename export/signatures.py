"""What is exported: the one place that turns a checkpoint into functions with names, shapes and dtypes.

``classify(motion_image float32 [1, S, S, 3] in [0, 1]) -> probabilities [1, classes]``
``classify_clip(frames uint8 [1, T, F, F, 3]) -> probabilities [1, classes], motion_image [1, S, S, 3]``, T free
``update(frame uint8 [1, F, F, 3], state) -> state``, of a window of fixed length
``classify_state(state) -> probabilities [1, classes], motion_image [1, S, S, 3]``

The second and the last are the first behind a graph that pools, resizes and normalises with the very functions that training
uses. The graphs are handed over apart, since a recipe changes the network and leaves the motion alone; ``join`` makes one
file of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from affnet_tf.config import MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.imaging.motion import clip_motion_image, normalise, resize_motion
from affnet_tf.inference.runtime import (
    COUNT,
    FRAME,
    FRAMES,
    MOTION_IMAGE,
    PROBABILITIES,
    SIGNED_MOTION,
    SUM,
    WINDOW,
)
from affnet_tf.models.affectivenet import copy_weights
from affnet_tf.models.checkpoint import Checkpoint
from affnet_tf.models.networks import build_network

__all__ = [
    "Graph",
    "MotionPath",
    "in_float32",
    "keras_classify",
    "keras_motion_images",
    "motion_graph",
    "network_graph",
    "state_graph",
    "update_graph",
]


# Images that Keras is asked at a time.
_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Graph:
    """A function to convert.

    Attributes:
        function: takes tensors, gives tensors by name.
        inputs: their names, static shapes and dtypes; None in a shape is free.
        model: what holds the function's variables; None if it has none.
    """

    function: Callable[[Any], dict[str, Any]]
    inputs: tuple[tf.TensorSpec, ...]
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

    return Graph(classify, (tf.TensorSpec((1, size, size, 3), tf.float32, name=MOTION_IMAGE),), model)


@dataclasses.dataclass(frozen=True)
class MotionPath:
    """All that the graphs in front of a network depend on: how motion is pooled, and the sides F of the frames and S of
    the motion image."""

    settings: MotionConfig
    frame_size: int
    input_size: int

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> MotionPath:
        """That of a network."""
        return cls(checkpoint.config.motion, checkpoint.frame_size, checkpoint.config.model.input_size)


def motion_graph(path: MotionPath) -> Graph:
    """frames uint8 (1, T, F, F, 3) -> motion_image float32 (1, S, S, 3); T is free."""
    size, settings = path.input_size, path.settings

    def motion(frames: Any) -> dict[str, Any]:
        return {MOTION_IMAGE: clip_motion_image(frames, settings, size)}

    shape = (1, None, path.frame_size, path.frame_size, 3)
    return Graph(motion, (tf.TensorSpec(shape, tf.uint8, name=FRAMES),), None)


def update_graph(path: MotionPath, window: int) -> Graph:
    """A frame and a state -> the next state; see ``STATE`` in ``inference.runtime`` for its tensors.

    With ``linear`` weights the signed motion is carried on, at a cost that does not depend on the window: with S the sum
    over it, D its motion, x the frame that leaves and y the one that enters, S' = S - x + y and D' = D + (T-1)x + (T+1)y -
    2S', in integers, without any rounding. Other weights move with every frame, so there only the frames are kept.
    """
    side = path.frame_size
    frame = tf.TensorSpec((1, side, side, 3), tf.uint8, name=FRAME)
    kept = tf.TensorSpec((1, window, side, side, 3), tf.uint8, name=WINDOW)
    count = tf.TensorSpec((1,), tf.int32, name=COUNT)

    def enter(frame: Any, kept: Any, count: Any) -> dict[str, Any]:
        # A frame is one row, and SLICE copies rows; STRIDED_SLICE, which [1:] would become, copies pixel by pixel.
        rows, pixels = keras.ops.reshape(kept, (window, -1)), 3 * side * side
        rows = keras.ops.slice(rows, (1, 0), (window - 1, pixels))
        rows = keras.ops.concatenate([rows, keras.ops.reshape(frame, (1, pixels))])
        return {WINDOW: keras.ops.reshape(rows, kept.shape), COUNT: keras.ops.minimum(count + 1, window)}

    if path.settings.weights != "linear":
        return Graph(enter, (frame, kept, count), None)

    def update(frame: Any, kept: Any, count: Any, total: Any, motion: Any) -> dict[str, Any]:
        entering, leaving = keras.ops.cast(frame, "int32"), keras.ops.cast(kept[:, 0], "int32")
        total = total - leaving + entering
        motion = motion + (window - 1) * leaving + (window + 1) * entering - 2 * total
        return {**enter(frame, kept, count), SUM: total, SIGNED_MOTION: motion}

    sums = [tf.TensorSpec((1, side, side, 3), tf.int32, name=name) for name in (SUM, SIGNED_MOTION)]
    return Graph(update, (frame, kept, count, *sums), None)


def state_graph(path: MotionPath, window: int) -> Graph:
    """What ``update_graph`` keeps -> motion_image float32 (1, S, S, 3), scaled as ``motion_graph`` does."""
    size, settings, side = path.input_size, path.settings, path.frame_size
    if settings.weights != "linear":

        def pooled(kept: Any) -> dict[str, Any]:
            return {MOTION_IMAGE: clip_motion_image(kept, settings, size)}

        return Graph(pooled, (tf.TensorSpec((1, window, side, side, 3), tf.uint8, name=WINDOW),), None)

    def scaled(motion: Any) -> dict[str, Any]:
        signed = keras.ops.cast(motion, "float32")
        return {MOTION_IMAGE: normalise(resize_motion(signed, size), settings.scaling)}

    return Graph(scaled, (tf.TensorSpec((1, side, side, 3), tf.int32, name=SIGNED_MOTION),), None)


def keras_classify(checkpoint: Checkpoint, images: np.ndarray) -> np.ndarray:
    """What Keras answers to ``classify``: (N, S, S, 3) -> float32 (N, classes)."""
    parts = []
    for start in range(0, len(images), _BATCH):
        logits = checkpoint.model(np.asarray(images[start : start + _BATCH], np.float32), training=False)
        parts.append(keras.ops.convert_to_numpy(keras.ops.softmax(logits)))
    return np.concatenate(parts)


def keras_motion_images(checkpoint: Checkpoint, clips: Iterable[np.ndarray]) -> np.ndarray:
    """What Keras sees of clips in ``classify_clip``: (T, F, F, 3) uint8 each -> float32 (N, S, S, 3)."""
    config = checkpoint.config
    return np.stack([clip_motion_image(clip[None], config.motion, config.model.input_size)[0] for clip in clips])


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
