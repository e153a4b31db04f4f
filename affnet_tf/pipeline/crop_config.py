"""How frames become square crops: the settings, and those that a network's training clips were cropped with. No OpenCV."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from affnet_tf.config import DETECTORS, build, check, check_types
from affnet_tf.errors import unknown

__all__ = ["CropConfig", "TrainedCrop"]

# What one clip's crops may take in memory, in bytes: 5461 frames of 128x128.
CLIP_BYTES = 256 << 20
# Magnification holds, beside the frames, their luminance as float32, the frames that come out, and a matrix of T x T float32.
MAGNIFIED = 4


@dataclasses.dataclass(frozen=True)
class CropConfig:
    """How frames become square crops.

    Attributes:
        size: height and width of a crop, in pixels.
        detector: ``mtcnn`` finds the face on the onset frame; ``none`` resizes frames that are crops already.
        margin: room around the face, as a share of its side.
        magnify: factor of the linear Eulerian motion magnification (Wu et al. 2012); 0: none.
        band: the frequencies that are magnified, in Hz: lower and upper edge.
    """

    size: int = 128
    detector: str = "mtcnn"
    margin: float = 0.1
    magnify: float = 0.0
    band: tuple[float, float] = (1.0, 10.0)

    def __post_init__(self) -> None:
        check(self.size >= 28, "size", "be at least 28", self.size)
        check(0 <= self.margin <= 2, "margin", "lie in [0, 2]", self.margin)
        check(self.magnify >= 0, "magnify", "be 0 or more", self.magnify)
        check(
            len(self.band) == 2 and 0 < self.band[0] < self.band[1],
            "band",
            "be two frequencies above 0, the lower one first",
            self.band,
        )
        if self.detector not in DETECTORS:
            raise unknown("detector", self.detector, DETECTORS)

    @property
    def most_frames(self) -> int:
        """The longest clip that is taken: whatever the dataset, a clip has to fit in memory."""
        frame = self.size**2 * 3
        if not self.magnify:
            return int(CLIP_BYTES / frame)
        # The greatest T with MAGNIFIED frames' bytes for each and 4 T^2 for the matrix.
        half = MAGNIFIED * frame / 2
        return int((math.sqrt(half**2 + 4 * CLIP_BYTES) - half) / 4)


@dataclasses.dataclass(frozen=True)
class TrainedCrop(CropConfig):
    """How the frames of a network's training clips were cropped: so must be whatever it is asked about.

    It travels as ``crop`` in the details of a checkpoint and in the ``recipe.json`` of a bundle.

    Attributes:
        size: as ``CropConfig``, like the rest; where the clips were not all cropped alike, each as most of them were.
        detector: ``none`` if most training frames came as crops; how these lie in the face is then not known.
        margin: of the clips in which a face was looked for; the default, if there are none.
        band: of the clips that were magnified; likewise.
        mixed: which of these the training clips differ in.

    Raises:
        InputError: a field of another type, or one that breaks its rule.
    """

    mixed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_types(self, "crop")
        super().__post_init__()

    @classmethod
    def of_parts(cls, parts: Mapping[str, Mapping[str, Any]], rows: Iterable[int]) -> TrainedCrop:
        """From ``parts`` of a store's manifest: each setting as most clips have it that it says something of.

        A tie goes to the part that comes first.

        Args:
            parts: by name, in the order of the store's clips.
            rows: of the clips that count, in the store; those of training.
        """
        ends = list(itertools.accumulate(part["stored"] for part in parts.values()))
        clips = Counter(bisect.bisect_right(ends, row) for row in rows)
        settings = [build(cls, part["settings"], "crop") for part in parts.values()]
        every = [(each, clips[place]) for place, each in enumerate(settings) if clips[place]]
        found = [each for each in every if each[0].detector != "none"]
        magnified = [each for each in every if each[0].magnify]
        asked = {"size": every, "detector": every, "margin": found, "magnify": every, "band": magnified}
        ranked = {name: _by_clips(name, those) for name, those in asked.items()}
        chosen = {name: values[0] for name, values in ranked.items() if values}
        return cls(**chosen, mixed=tuple(name for name, values in ranked.items() if len(values) > 1))

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> TrainedCrop | None:
        """The ``crop`` of a checkpoint's details or of a recipe.json; None of one that is too old to have it.

        Raises:
            InputError: it holds something else.
        """
        return build(cls, document["crop"], "crop") if "crop" in document else None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; ``read`` takes it back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def _by_clips(name: str, parts: Sequence[tuple[CropConfig, int]]) -> list[Any]:
    """The values of a setting, the one of most clips first."""
    clips: Counter[Any] = Counter()
    for settings, count in parts:
        clips[getattr(settings, name)] += count
    return [value for value, _ in clips.most_common()]
