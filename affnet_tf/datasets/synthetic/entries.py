"""What a coder writes down about a clip: one line of a release's annotation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["Entry"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One annotated clip of a release.

    Attributes:
        subject: the subject's number in that dataset.
        name: the clip's name in the sheet and on disk.
        onset: first frame, as numbered on disk.
        apex: frame of the strongest expression, or None where a reader must find none.
        offset: last frame, inclusive.
        action_units: as coded, ``4+L12``.
        emotion: the dataset's own word in lower case.
        first: number of the first frame on disk; there may be some before the onset.
        last: number of the last frame on disk.
        video: the recording, where one holds several expressions.
        kind: ``micro`` or ``macro``.
        split: where releases keep parts of themselves apart.
        fps: frames per second.
        pad: digits to which frame numbers are filled up with zeros; 0: none.
        suffix: of the frames' names; ``.avi``: the clip is one video file.
        absent: releases, such as ``cropped``, in which the clip's frames are missing.
        cells: what stands in a column of the sheet, by its name, instead of what the layout would write there.
    """

    subject: int
    name: str
    onset: int
    apex: int | None
    offset: int
    action_units: str
    emotion: str
    first: int
    last: int
    video: str = ""
    kind: str = "micro"
    split: str = ""
    fps: float | None = None
    pad: int = 0
    suffix: str = ".jpg"
    absent: tuple[str, ...] = ()
    cells: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def typed(self, **cells: Any) -> Entry:
        """The same clip with these cells in the sheet; names that are no identifiers go through ``**{...}``."""
        return dataclasses.replace(self, cells={**self.cells, **cells})
