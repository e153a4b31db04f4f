"""Where a network comes from, as far as its run tells: what its model card and its metadata quote."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from affnet_tf.errors import InputError
from affnet_tf.files import read_json
from affnet_tf.models.checkpoint import Checkpoint
from affnet_tf.pipeline.store import Store, StoredClip
from affnet_tf.places import Address, place_at

__all__ = ["Origin", "Score", "read_score", "store_origin"]


@dataclasses.dataclass(frozen=True)
class Score:
    """What an evaluation with the same settings scored: one row of it, with 95 % intervals over persons."""

    protocol: str
    name: str
    clips: int
    people: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    uf1: float
    uf1_interval: tuple[float, float]
    uar: float
    uar_interval: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Origin:
    """What is known of the data; all of it may be unknown.

    Attributes:
        datasets: clips that the network was trained on, by dataset.
        subjects: how many people these show.
        validation_subjects: how many more were held out.
        fps: frames in a second, the median over the training clips.
        synthetic: whether any of the people do not exist.
        crops: how the frames were cropped, in words, for each part of the store.
        scores: of an evaluation.
    """

    datasets: dict[str, int] = dataclasses.field(default_factory=dict)
    subjects: int | None = None
    validation_subjects: int = 0
    fps: float | None = None
    synthetic: bool | None = None
    crops: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()


def store_origin(store: Store, trained: Sequence[StoredClip], validation_subjects: int) -> Origin:
    """The origin of a network that was trained on these clips of a store."""
    counts: dict[str, int] = {}
    for clip in trained:
        counts[clip.dataset] = counts.get(clip.dataset, 0) + 1
    rates = [clip.fps for clip in trained if clip.fps]
    return Origin(
        datasets=counts,
        subjects=len({clip.person for clip in trained}),
        validation_subjects=validation_subjects,
        fps=float(statistics.median(rates)) if rates else None,
        synthetic=store.synthetic,
        crops=tuple(sorted({_crop(part["settings"]) for part in store.manifest["parts"].values()})),
    )


def _crop(settings: dict[str, Any]) -> str:
    """How the frames of a part were cropped, for whoever crops frames for the network."""
    if settings["detector"] == "none":
        words = "The frames were face crops already; each axis was resized by itself."
    else:
        words = (
            "The face is found in the first frame. The crop is a square around it with a margin of "
            f"{settings['margin']:g} of its side all around, turned so that the eyes are level; the same crop is taken from "
            "every frame, since a crop for each frame would add the detector's jitter to the motion."
        )
    if settings["magnify"]:
        low, high = settings["band"]
        words += (
            f" Motion of {low:g} to {high:g} Hz was magnified, factor {settings['magnify']:g}: affnet predict does it too, and "
            "so must an app."
        )
    return words


def read_score(run: Address, checkpoint: Checkpoint) -> tuple[Score, ...]:
    """The scores of a run of ``affnet evaluate`` with the network's own settings and data.

    Raises:
        InputError: it is no finished evaluation, or one of other settings or another store.
    """
    run = place_at(run)
    if not (run / "metrics.json").is_file() or not (run / "config.json").is_file():
        raise InputError(f"--scores must be a finished run of affnet evaluate. Received: {str(run)!r}")
    document = read_json(run / "config.json")
    theirs, ours = document.get("config"), checkpoint.config.to_json()
    differ = sorted(name for name in ours if not isinstance(theirs, dict) or theirs.get(name) != ours[name])
    if document.get("store") != checkpoint.details.get("store"):
        differ.append("store")
    if differ:
        raise InputError(
            f"--scores must be of the settings and the store that the network has. Received: {str(run)!r}, "
            f"which differs in {', '.join(differ)}"
        )
    return tuple(_score(document.get("protocol", ""), row) for row in read_json(run / "metrics.json")["rows"].values())


def _score(protocol: str, row: dict[str, Any]) -> Score:
    intervals = row["intervals"]
    measures = ("accuracy", "uf1", "uar")
    return Score(
        protocol=protocol,
        name=row["name"],
        clips=row["clips"],
        people=intervals["people"],
        **{name: row[name] for name in measures},
        **{f"{name}_interval": tuple(intervals[name]) for name in measures},
    )
