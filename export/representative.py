"""Representative data: what a converter measures the ranges of activations on. From training subjects only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.export.recipes import Recipe
from affnet_tf.inference.runtime import MOTION_IMAGE

__all__ = ["ENOUGH", "calibration_notes", "clips_showing", "made_clips", "representative_dataset"]

ENOUGH = 32


def representative_dataset(
    images: np.ndarray | None, input_size: int, recipe: Recipe
) -> Callable[[], Iterator[dict[str, np.ndarray]]] | None:
    """Motion images as the converter wants them, one at a time; None if the recipe needs none.

    Args:
        images: float (N, S, S, 3) in [0, 1], motion images of *training* subjects (the caller vouches for that).
        input_size: S.
        recipe: what they are for.

    Raises:
        InputError: none given although the recipe needs some, or another shape, dtype or range.
    """
    if not recipe.needs_calibration:
        return None
    if images is None or len(images) == 0:
        raise InputError(
            f"recipe {recipe.name!r} must have motion images of training subjects for calibration. Received: none"
        )
    images = np.asarray(images)
    if images.dtype.kind != "f" or images.shape[1:] != (input_size, input_size, 3):
        raise InputError(
            f"calibration images must be float of shape (N, {input_size}, {input_size}, 3). "
            f"Received: {images.dtype} of shape {images.shape}"
        )
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        raise InputError(f"calibration images must lie in [0, 1]. Received: [{images.min():.3g}, {images.max():.3g}]")

    def dataset() -> Iterator[dict[str, np.ndarray]]:
        for image in images:
            yield {MOTION_IMAGE: image[None].astype(np.float32)}

    return dataset


def calibration_notes(images: np.ndarray | None, recipe: Recipe) -> tuple[str, ...]:
    """What the reader should know of the calibration: that it rests on few images."""
    if not recipe.needs_calibration or images is None or len(images) >= ENOUGH:
        return ()
    return (f"{recipe.name}: calibrated on {len(images)} images, which are few: {ENOUGH} or more are better",)


def made_clips(images: np.ndarray, frame_size: int) -> list[np.ndarray]:
    """``clips_showing`` in lengths that take every path through the motion graph."""
    return clips_showing(images, frame_size, (2, 9, 40))


def clips_showing(images: np.ndarray, frame_size: int, lengths: Sequence[int]) -> list[np.ndarray]:
    """Clips whose motion images look like given ones: each fades in from black, over so many frames.

    Args:
        images: float (N, S, S, 3) in [0, 1].
        frame_size: height and width F of the frames.
        lengths: numbers of frames; the clips take them in turn.

    Returns:
        N arrays uint8 (T, F, F, 3).
    """
    clips = []
    for index, image in enumerate(images):
        length = lengths[index % len(lengths)]
        last = cv2.resize(image.astype(np.float32), (frame_size, frame_size), interpolation=cv2.INTER_LINEAR)
        shares = np.linspace(0, 255, length, dtype=np.float32)
        clips.append(np.round(shares[:, None, None, None] * np.clip(last, 0, 1)).astype(np.uint8))
    return clips
