"""What a network says about a clip, and about the file or folder that it was read from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["PathPrediction", "Prediction"]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a network says about a clip.

    Attributes:
        labels: name of each class.
        probabilities: float32 (classes,), in the order of ``labels``.
        motion_image: float32 (S, S, 3) in [0, 1], what the network saw.
    """

    labels: tuple[str, ...]
    probabilities: np.ndarray
    motion_image: np.ndarray

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.labels[int(np.argmax(self.probabilities))]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return float(np.max(self.probabilities))

    def to_json(self) -> dict[str, Any]:
        """Label, confidence and all probabilities; without the picture."""
        probabilities = {label: float(p) for label, p in zip(self.labels, self.probabilities, strict=True)}
        return {"label": self.label, "confidence": self.confidence, "probabilities": probabilities}


@dataclasses.dataclass(frozen=True)
class PathPrediction:
    """What a network says about a file or a folder.

    Attributes:
        path: what was read.
        prediction: the answer.
        frames: number of frames that it rests on; 0 for a motion image.
        start: number of the first of them, as the folder or the video counts; None for a motion image.
        end: number of the last.
        seconds: how long they last; None where the rate is unknown.
        face_frame: number of the frame that gave the crop; None where no face was looked for.
        shown: uint8 (N, F, F, 3), a few of the cropped frames, in order.
        shown_numbers: their numbers.
        notes: what the reader should know.
    """

    path: Path
    prediction: Prediction
    frames: int
    start: int | None
    end: int | None
    seconds: float | None
    face_frame: int | None
    shown: np.ndarray
    shown_numbers: tuple[int, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        plain = {name: getattr(self, name) for name in ("frames", "start", "end", "seconds", "face_frame")}
        return {"path": str(self.path), **self.prediction.to_json(), **plain, "notes": list(self.notes)}
