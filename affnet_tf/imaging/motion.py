"""Affective-motion imaging: the motion image as the network sees it, as a Keras layer, and of a stream."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from affnet_tf.config import MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.imaging.pooling import (
    affective_motion_image,
    check_dtype,
    check_kind,
    normalise,
    rank_pool,
    weights,
)

__all__ = [
    "AffectiveMotion",
    "SlidingMotion",
    "affective_motion_image",
    "clip_motion_image",
    "normalise",
    "rank_pool",
    "resize_motion",
    "weights",
]


def clip_motion_image(frames: Any, motion: MotionConfig, size: int) -> Any:
    """The motion image of cropped frames as the network sees it: pool, then resize the signed motion, then normalise.

    Args:
        frames: (B, T, F, F, 3) uint8 or float, NumPy or tensors of the Keras backend.
        motion: the weights and the scaling.
        size: height and width S of the image.

    Returns:
        float32 (B, S, S, 3) in [0, 1], of the same family as ``frames``.

    Raises:
        InputError: as ``rank_pool``.
    """
    return normalise(resize_motion(rank_pool(frames, kind=motion.weights), size), motion.scaling)


def resize_motion(motion: Any, size: int) -> Any:
    """Bring motion to size x size: bilinear, with half-pixel centres and without antialiasing.

    Args:
        motion: float (H, W, C) or (B, H, W, C), NumPy or a tensor of the Keras backend.
        size: height and width.

    Returns:
        The same dtype and family; the very same object if it has that size already.
    """
    if tuple(motion.shape[-3:-1]) == (size, size):
        return motion
    resized = keras.ops.image.resize(
        motion, (size, size), interpolation="bilinear", antialias=False, data_format="channels_last"
    )
    return keras.ops.convert_to_numpy(resized) if isinstance(motion, np.ndarray) else resized


@keras.saving.register_keras_serializable("affnet_tf")
class AffectiveMotion(keras.layers.Layer):
    """``affective_motion_image`` as a Keras layer: (B, T, H, W, C) -> (B, H, W, C), float32 under every policy.

    Args:
        kind: name of the weights.
        signed: leave out the scaling.
        scaling: ``minmax`` or ``standard``.
    """

    def __init__(self, kind: str = "bilen", signed: bool = False, scaling: str = "minmax", **options: Any) -> None:
        options["dtype"] = "float32"
        super().__init__(**options)
        check_kind(kind)
        self.kind = kind
        self.signed = signed
        self.scaling = scaling

    def call(self, frames: Any, lengths: Any = None) -> Any:
        return affective_motion_image(frames, lengths, self.kind, self.signed, self.scaling)

    def compute_output_shape(self, frames_shape: tuple, lengths_shape: tuple | None = None) -> tuple:
        return (frames_shape[0], *frames_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "signed": self.signed, "scaling": self.scaling}


class SlidingMotion:
    """The motion image of the last ``window`` frames of a stream, updated frame by frame.

    With ``linear`` weights an update costs the same whatever the window: with S the sum over the window, D its pooled
    motion, x the frame that leaves and y the one that enters, S' = S - x + y and D' = D + (T-1)x + (T+1)y - 2S'. Other
    weights are summed anew over the window. uint8 frames are accumulated in integers, without any rounding; float frames
    in float64, and recomputed from the window once in every ``window`` frames, which bounds the drift and costs as much
    again as the updates.

    Args:
        window: number of frames T, at least 2.
        kind: name of the weights.
        signed: leave out the scaling.
        scaling: ``minmax`` or ``standard``.

    Raises:
        InputError: ``window`` is below 2, or ``kind`` is unknown.
    """

    def __init__(self, window: int, kind: str = "linear", signed: bool = False, scaling: str = "minmax") -> None:
        self._alpha = weights(window, kind)
        self.window = window
        self.kind = kind
        self.signed = signed
        self.scaling = scaling
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._ring: np.ndarray | None = None
        self._seen = 0

    def push(self, frame: np.ndarray) -> np.ndarray | None:
        """Take the next frame.

        Args:
            frame: (H, W, C), uint8 or float; shape and dtype stay the same until ``reset``.

        Returns:
            float32 (H, W, C) as ``affective_motion_image`` of the last ``window`` frames, or None until there are so many.

        Raises:
            InputError: wrong rank, a dtype or shape that differs from the first frame's, or values that are not finite.
        """
        frame = np.asarray(frame)
        self._check(frame)
        if self._ring is None:
            self._ring = np.zeros((self.window, *frame.shape), frame.dtype)
        slot = self._seen % self.window
        leaving = self._ring[slot].copy()
        self._ring[slot] = frame
        self._seen += 1
        if self._seen < self.window:
            return None
        motion = self._linear(leaving, frame) if self.kind == "linear" else rank_pool(self._frames(), kind=self.kind)
        motion = motion.astype(np.float32)
        return motion if self.signed else normalise(motion, self.scaling)

    def _linear(self, leaving: np.ndarray, entering: np.ndarray) -> np.ndarray:
        exact = entering.dtype == np.uint8
        if self._seen == self.window or (not exact and self._seen % self.window == 0):
            # |D| stays below 255 T^2 / 2, which int32 holds up to T = 4096.
            kind = (np.int32 if self.window <= 4096 else np.int64) if exact else np.float64
            frames = self._frames().astype(kind)
            self._sum = frames.sum(axis=0, dtype=kind)
            self._motion = np.tensordot(self._alpha.astype(kind), frames, axes=1)
            return self._motion
        leaving = leaving.astype(self._sum.dtype)
        entering = entering.astype(self._sum.dtype)
        self._sum += entering - leaving
        self._motion += (self.window - 1) * leaving + (self.window + 1) * entering - 2 * self._sum
        return self._motion

    def _frames(self) -> np.ndarray:
        return np.roll(self._ring, -(self._seen % self.window), axis=0)

    def _check(self, frame: np.ndarray) -> None:
        if frame.ndim != 3:
            raise InputError(f"a frame must have shape (H, W, C). Received: shape {frame.shape}")
        check_dtype(frame.dtype.name)
        if self._ring is not None and (frame.shape != self._ring.shape[1:] or frame.dtype != self._ring.dtype):
            expected = f"{self._ring.dtype} {self._ring.shape[1:]}"
            raise InputError(f"a frame must be {expected} as the first one was. Received: {frame.dtype} {frame.shape}")
        if frame.dtype != np.uint8 and not np.isfinite(frame).all():
            raise InputError("frames must be finite. Received: NaN or infinite values")
