"""What an export works with: motion images to calibrate and fine-tune on, and clips to verify with. Never the same people."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.export.recipes import Recipe
from affnet_tf.export.representative import calibration_notes, made_clips, representative_dataset
from affnet_tf.models.checkpoint import Checkpoint

__all__ = ["Material", "gather"]

# Made-up clips, where no others are given.
_MADE_UP = 8


@dataclasses.dataclass(frozen=True)
class Material:
    """What an export works with.

    Attributes:
        images: float (N, S, S, 3) in [0, 1], motion images of training subjects; None if there are none.
        labels: their label indices; None if they are not known.
        clips: uint8 (T, F, F, 3) each, to verify with.
        clip_labels: their label indices; None if they are not known.
        data: what the clips are, in words.
    """

    images: np.ndarray | None
    labels: tuple[int, ...] | None
    clips: Sequence[np.ndarray]
    clip_labels: tuple[int, ...] | None
    data: str

    def check(self, recipe: Recipe, checkpoint: Checkpoint) -> None:
        """Raise if a recipe lacks something.

        Raises:
            InputError: no calibration images or wrong ones; for a recipe that fine-tunes, none with labels, or another network.
        """
        representative_dataset(self.images, checkpoint.config.model.input_size, recipe)
        network = checkpoint.config.model.network
        if not recipe.serves(network):
            raise InputError(f"recipe {recipe.name!r} must have AffectiveNet to fine-tune. Received: {network!r}")
        if recipe.needs_labels and self.labels is None:
            raise InputError(
                f"recipe {recipe.name!r} must have labelled motion images of training subjects to fine-tune on. "
                "Received: none"
            )

    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        """What the reader should know of it."""
        return calibration_notes(self.images, recipe)


def gather(
    checkpoint: Checkpoint,
    calibration: np.ndarray | None,
    holdout: Sequence[np.ndarray] | None,
    calibration_labels: Sequence[int] | None = None,
    holdout_labels: Sequence[int] | None = None,
    data: str = "held-out clips",
) -> Material:
    """Check what ``export`` was given, and make up what it was not; arguments as there.

    Raises:
        InputError: clips of another shape, or labels that are not one for each image or clip, or not the network's.
    """
    classes = len(checkpoint.labels)
    labels = _labels(calibration_labels, calibration, "calibration images", classes)
    clip_labels = _labels(holdout_labels, holdout, "held-out clips", classes)
    size = checkpoint.frame_size
    if holdout is not None and len(holdout):
        for clip in holdout:
            if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[1:] != (size, size, 3) or len(clip) < 2:
                raise InputError(
                    f"a held-out clip must be uint8 of shape (T, {size}, {size}, 3), T at least 2. "
                    f"Received: {clip.dtype} of shape {clip.shape}"
                )
        return Material(calibration, labels, holdout, clip_labels, data)
    if calibration is not None and len(calibration) >= 3:
        left_out = calibration[2::3]
        return Material(
            np.delete(calibration, np.s_[2::3], axis=0),
            None if labels is None else tuple(label for place, label in enumerate(labels) if place % 3 != 2),
            made_clips(left_out, size),
            None if labels is None else labels[2::3],
            f"clips made from {len(left_out)} images left out of the calibration",
        )
    side = checkpoint.config.model.input_size
    coarse = np.random.default_rng(0).random((_MADE_UP, 8, 8, 3))
    patterns = np.stack([cv2.resize(each, (side, side), interpolation=cv2.INTER_LINEAR) for each in coarse])
    return Material(calibration, labels, made_clips(patterns, size), None, "clips made from random patterns")


def _labels(
    labels: Sequence[int] | None, of: Sequence[np.ndarray] | None, name: str, classes: int
) -> tuple[int, ...] | None:
    if labels is None:
        return None
    count = 0 if of is None else len(of)
    if len(labels) != count or not all(0 <= label < classes for label in labels):
        raise InputError(
            f"{name} must have one label each, in [0, {classes - 1}]. "
            f"Received: {len(labels)} labels of {count}, {sorted(set(labels))}"
        )
    return tuple(int(label) for label in labels)
