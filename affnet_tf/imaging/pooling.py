"""Approximate rank pooling of a clip's frames into one image, on NumPy arrays and tensors alike. The only rank pooling here.

Source: Bilen, Fernando, Gavves, Vedaldi, Gould, *Dynamic Image Networks for Action Recognition*, CVPR 2016.
NumPy arrays need NumPy alone: Keras, and with it TensorFlow, is imported at the first tensor.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from affnet_tf.config import SCALINGS, WEIGHTS
from affnet_tf.errors import InputError, unknown

__all__ = ["affective_motion_image", "check_dtype", "check_kind", "normalise", "rank_pool", "weights"]

_SPATIAL = (-3, -2, -1)
# Standard deviations from 0 to 1.
SPAN = 8.0


def weights(length: int, kind: str = "bilen") -> np.ndarray:
    """The weight of each frame in a clip of ``length`` frames.

    ``bilen``: alpha_t = 2(T - t + 1) - (T + 1)(H_T - H_{t-1}), H_n the n-th harmonic number; sums to 0.
    ``linear``: alpha_t = 2t - T - 1; sums to 0.
    ``published_port``: alpha_t = sum_{i=t..T} (2i - T)/i, a widely copied port of ``bilen``; sums to T, so the mean face
    remains in the image. It is here to reproduce results that used it.

    Args:
        length: number of frames T, at least 2.
        kind: the name of the weights.

    Returns:
        float64 (T,).

    Raises:
        InputError: ``length`` is below 2, or ``kind`` is unknown.
    """
    check_kind(kind)
    if length < 2:
        raise InputError(f"a clip must have at least 2 frames. Received: {length}")
    t = np.arange(1, length + 1, dtype=np.float64)
    return _alpha(np, t, t[-1:], kind)


def rank_pool(frames: Any, lengths: Any = None, kind: str = "bilen") -> Any:
    """Weighted sum of the frames: the signed motion of a clip.

    Works on NumPy arrays (eagerly), on tensors of the Keras backend (eagerly or in a graph), and on TensorFlow tensors
    inside ``tf.data`` whatever the Keras backend is; the result is of the same family as ``frames``.

    Args:
        frames: (T, H, W, C), or (B, T, H, W, C) for a batch; uint8, or a float dtype of any range, finite.
        lengths: integers (B,), the true number of frames of each clip of a batch that is padded to T; each in [2, T].
            Padding must be finite. None: every clip has T frames.
        kind: ``bilen``, ``linear`` or ``published_port``; see ``weights``.

    Returns:
        float32 (H, W, C) or (B, H, W, C), in units of the frames' values; computed in float32 whatever the precision
        policy, since a 64-frame ramp overflows float16.

    Raises:
        InputError: wrong rank or dtype, T below 2, lengths that do not fit, and, for NumPy arrays, values that are not
            finite.
    """
    check_kind(kind)
    xp = _namespace(frames)
    if xp is np:
        frames = np.asarray(frames)
    _check_frames(frames, lengths)
    # Counting frames by a cumulative sum needs no shape, so that T may be unknown until the graph runs.
    t = xp.cumsum(xp.ones_like(_float32(xp, frames[..., 0, 0, 0])), axis=-1)
    length = xp.max(t, axis=-1, keepdims=True) if lengths is None else _float32(xp, lengths)[:, None]
    alpha = _float32(xp, _alpha(xp, t, length, kind))
    # Where the weights sum to 0, any still image may be taken off. Rounding then cannot leave a trace of a still face.
    still = _float32(xp, frames[..., :1, :, :, :]) if kind != "published_port" else None
    pooled = _accumulate(alpha, frames, still) if xp is np else _contract(xp, alpha, frames, still)
    if xp is np and not np.isfinite(pooled).all():
        raise InputError("frames must be finite. Received: NaN or infinite values")
    return pooled


def normalise(motion: Any, scaling: str = "minmax") -> Any:
    """Bring a signed motion image to [0, 1], each image by itself, over all its pixels and channels.

    ``minmax``, as published dynamic-image codes do: the least value becomes 0 and the greatest 1; a constant image becomes
    zeros. ``standard``, ours: the mean becomes 0.5 and eight standard deviations span [0, 1], beyond which values are
    clipped, so that one blink cannot flatten all other motion; a constant image becomes 0.5.

    Args:
        motion: float (..., H, W, C).
        scaling: ``minmax`` or ``standard``.

    Returns:
        float32, same shape, in [0, 1].

    Raises:
        InputError: ``scaling`` is unknown.
    """
    if scaling not in SCALINGS:
        raise unknown("motion scaling", scaling, SCALINGS)
    xp = _namespace(motion)
    motion = _float32(xp, motion)
    if scaling == "standard":
        change = motion - xp.mean(motion, axis=_SPATIAL, keepdims=True)
        deviation = xp.sqrt(xp.mean(change * change, axis=_SPATIAL, keepdims=True))
        scaled = change / xp.where(deviation > 0, deviation, xp.ones_like(deviation)) / SPAN + 0.5
        return xp.clip(scaled, 0.0, 1.0)
    low = xp.min(motion, axis=_SPATIAL, keepdims=True)
    span = xp.max(motion, axis=_SPATIAL, keepdims=True) - low
    return xp.where(span > 0, (motion - low) / xp.where(span > 0, span, xp.ones_like(span)), xp.zeros_like(motion))


def affective_motion_image(
    frames: Any, lengths: Any = None, kind: str = "bilen", signed: bool = False, scaling: str = "minmax"
) -> Any:
    """The affective-motion image of a clip: ``rank_pool``, then ``normalise`` unless ``signed``.

    Args:
        frames: (T, H, W, C) or (B, T, H, W, C); uint8 or float.
        lengths: integers (B,) or None; see ``rank_pool``.
        kind: name of the weights.
        signed: return the signed motion as it is, without scaling.
        scaling: ``minmax`` or ``standard``; see ``normalise``.

    Returns:
        float32 (H, W, C) or (B, H, W, C): in [0, 1], or in units of the frames' values if ``signed``.

    Raises:
        InputError: as ``rank_pool``.
    """
    motion = rank_pool(frames, lengths, kind)
    return motion if signed else normalise(motion, scaling)


def _contract(xp: Any, alpha: Any, frames: Any, still: Any) -> Any:
    x = _float32(xp, frames)
    return xp.einsum("...t,...thwc->...hwc", alpha, x if still is None else x - still)


def _accumulate(alpha: np.ndarray, frames: np.ndarray, still: np.ndarray | None) -> np.ndarray:
    """Frame by frame: the accumulator stays in the processor's cache, which a contraction over all frames does not."""
    shape = frames.shape[:-4] + frames.shape[-3:]
    batch = frames.reshape(
        -1, frames.shape[-4], math.prod(shape[-3:])
    )  # flat pixels: NumPy converts them thrice as fast
    alpha = np.broadcast_to(alpha, (*frames.shape[:-4], frames.shape[-4])).reshape(len(batch), -1)
    total = np.zeros((len(batch), batch.shape[-1]), np.float32)
    change = np.empty(batch.shape[-1], np.float32)
    for clip in range(len(batch)):
        first = None if still is None else still.reshape(len(batch), -1)[clip]
        for t, frame in enumerate(batch[clip]):
            np.copyto(change, frame, casting="unsafe")
            if first is not None:
                change -= first
            change *= alpha[clip, t]
            total[clip] += change
    return total.reshape(shape)


def _alpha(xp: Any, t: Any, length: Any, kind: str) -> Any:
    """Weights (..., T) for frame numbers t = 1, 2, … (..., T) of clips of ``length`` (..., 1); 0 beyond the length."""
    inside = t <= length
    zero = xp.zeros_like(t)
    if kind == "linear":
        return xp.where(inside, 2 * t - length - 1, zero)
    inverse = xp.where(inside, 1 / t, zero)
    harmonic = xp.sum(inverse, axis=-1, keepdims=True)
    rest = harmonic - (xp.cumsum(inverse, axis=-1) - inverse)  # H_T - H_{t-1}
    factor = length + 1 if kind == "bilen" else length
    return xp.where(inside, 2 * (length - t + 1) - factor * rest, zero)


def _namespace(x: Any) -> Any:
    """The module whose functions take ``x``: NumPy, keras.ops, or TensorFlow's NumPy functions; the names agree."""
    if isinstance(x, (np.ndarray, list, tuple)):
        return np
    import keras

    tensorflow = sys.modules.get("tensorflow")
    if keras.backend.backend() != "tensorflow" and tensorflow is not None and tensorflow.is_tensor(x):
        return tensorflow.experimental.numpy
    return keras.ops


def _float32(xp: Any, x: Any) -> Any:
    # keras.ops alone has ``cast``, and its ``convert_to_tensor`` may keep another dtype.
    return xp.cast(x, "float32") if hasattr(xp, "cast") else xp.asarray(x, dtype="float32")


def check_kind(kind: str) -> None:
    """Raise unless ``kind`` names weights."""
    if kind not in WEIGHTS:
        raise unknown("motion weights", kind, WEIGHTS)


def check_dtype(name: str) -> None:
    """Raise unless a dtype's name is one that frames may have."""
    if name != "uint8" and "float" not in name:
        raise InputError(f"frames must be uint8 or float. Received: {name}")


def _check_frames(frames: Any, lengths: Any) -> None:
    shape = tuple(frames.shape)
    if len(shape) not in (4, 5):
        raise InputError(f"frames must have shape (T, H, W, C) or (B, T, H, W, C). Received: shape {shape}")
    dtype = frames.dtype
    check_dtype(dtype if isinstance(dtype, str) else dtype.name)
    steps = shape[-4]
    if steps is not None and steps < 2:
        raise InputError(f"a clip must have at least 2 frames. Received: {steps}")
    if lengths is None:
        return
    if len(shape) != 5:
        raise InputError(f"lengths must come with a batch (B, T, H, W, C). Received: frames of shape {shape}")
    if isinstance(lengths, (np.ndarray, list, tuple)):
        values = np.asarray(lengths)
        if values.shape != (shape[0],) or values.min() < 2 or values.max() > steps:
            raise InputError(f"lengths must be {shape[0]} numbers in [2, {steps}]. Received: {values.tolist()}")
