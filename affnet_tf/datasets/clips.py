"""The one table of the project: clips, and the rules that they must keep."""

from __future__ import annotations

import dataclasses
from pathlib import Path

__all__ = ["Clip"]


@dataclasses.dataclass(frozen=True)
class Clip:
    """One annotated expression.

    Attributes:
        dataset: name of the dataset, such as ``casme2``.
        subject: the subject's name within the dataset; subjects are keyed (dataset, subject).
        clip_id: unique within the dataset, such as ``sub04/EP12_01f``.
        frames: a folder of numbered images, or a video file.
        onset: first frame of the expression, inclusive, as numbered on disk.
        offset: last frame of the expression, inclusive.
        emotion: the dataset's own word, lower case.
        apex: frame of the strongest expression, or None where the sheet has no usable value.
        fps: frames per second, or None where unknown.
        aus: FACS action units as annotated.
    """

    dataset: str
    subject: str
    clip_id: str
    frames: Path
    onset: int
    offset: int
    emotion: str
    apex: int | None = None
    fps: float | None = None
    aus: tuple[str, ...] = ()
