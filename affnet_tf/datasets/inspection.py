"""A dataset on disk at a glance, beside what its paper says. No image is decoded."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affnet_tf.datasets.annotations import read_annotations
from affnet_tf.datasets.clips import Clip, Problem, validate_clips
from affnet_tf.datasets.specs import spec

__all__ = ["Inspection", "inspect_dataset"]


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What ``inspect_dataset`` found.

    Attributes:
        dataset: name of the dataset.
        title: its published name.
        root: the folder that was read.
        release: ``cropped``, ``raw`` or ``own``.
        source: the annotation file or folder.
        subjects: clips by subject.
        emotions: clips by emotion, most frequent first.
        clips: number of clips, unusable ones included.
        usable: number of clips without an error.
        lengths: shortest, median and longest clip in frames; empty where no length is known (videos).
        fps: clips by frames per second; the key is ``unknown`` where there is none.
        without_apex: clips without a usable apex.
        missing_frames: clips whose frame files are absent, incomplete or empty.
        published: subjects, clips and emotions as published, as far as known.
        problems: everything that is wrong, errors and warnings.
    """

    dataset: str
    title: str
    root: Path
    release: str
    source: Path
    subjects: dict[str, int]
    emotions: dict[str, int]
    clips: int
    usable: int
    lengths: tuple[float, ...]
    fps: dict[str, int]
    without_apex: int
    missing_frames: int
    published: dict[str, Any]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make a clip or a row unusable."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values |= {"root": str(self.root), "source": str(self.source), "lengths": list(self.lengths)}
        return values | {"problems": [dataclasses.asdict(problem) for problem in self.problems]}

    def to_text(self, most: int = 20) -> str:
        """A table for people; at most ``most`` problems are written out."""
        known = self.published
        rows = [
            ("dataset", f"{self.title} ({self.dataset}), {self.release} frames", ""),
            ("source", str(self.source), ""),
            ("subjects", str(len(self.subjects)), _published(known.get("subjects"))),
            ("clips", f"{self.clips}, {self.usable} usable", _published(known.get("clips"))),
        ]
        counts = known.get("emotions", {})
        for word in dict.fromkeys([*self.emotions, *counts]):
            rows.append((f"  {word}", str(self.emotions.get(word, 0)), _published(counts.get(word))))
        if self.lengths:
            short, middle, long = self.lengths
            rows.append(("frames per clip", f"{short:g} to {long:g}, median {middle:g}", ""))
        fps = ", ".join(f"{rate} ({count})" for rate, count in self.fps.items())
        rows.append(("frames per second", fps, _published(known.get("fps"))))
        rows.append(("without apex", str(self.without_apex), ""))
        rows.append(("missing frames", f"{self.missing_frames} clips", ""))
        errors = len(self.errors)
        rows.append(("problems", f"{errors} errors, {len(self.problems) - errors} warnings", ""))
        lines = [f"{name:<18} {value:<40} {note}".rstrip() for name, value, note in rows]
        ordered = sorted(self.problems, key=lambda problem: problem.severity != "error")
        lines += [f"{problem.severity}: {problem}" for problem in ordered[:most]]
        if len(ordered) > most:
            lines.append(f"… and {len(ordered) - most} more")
        return "\n".join(lines)


def inspect_dataset(name: str, root: str | os.PathLike, release: str | None = None) -> Inspection:
    """Read a dataset, check every clip, and count.

    Raises:
        InputError: as ``annotations.read_annotations``.
    """
    entry = spec(name)
    read = read_annotations(name, root, release)
    checked = validate_clips(read.clips)
    broken = {(problem.dataset, problem.clip_id) for problem in checked if problem.severity == "error"}
    published: dict[str, Any] = {"subjects": entry.subjects, "clips": entry.clips, "fps": entry.fps}
    if entry.counts:
        published["emotions"] = dict(entry.counts)
    return Inspection(
        dataset=entry.name,
        title=entry.title,
        root=Path(root),
        release=read.release,
        source=read.source,
        subjects=_counts(_subject(clip, entry.name) for clip in read.clips),
        emotions=dict(Counter(clip.emotion for clip in read.clips).most_common()),
        clips=len(read.clips),
        usable=sum(clip.key not in broken for clip in read.clips),
        lengths=_lengths(read.clips),
        fps=_counts("unknown" if clip.fps is None else f"{clip.fps:g}" for clip in read.clips),
        without_apex=sum(clip.apex is None for clip in read.clips),
        missing_frames=len({(problem.dataset, problem.clip_id) for problem in checked if "frame" in _topic(problem)}),
        published={key: value for key, value in published.items() if value is not None},
        problems=(*read.problems, *checked),
    )


def _subject(clip: Clip, dataset: str) -> str:
    return clip.subject if clip.dataset == dataset else f"{clip.dataset} {clip.subject}"


def _topic(problem: Problem) -> str:
    return "frame" if problem.rule.startswith(("frame", "no frame")) else ""


def _counts(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _lengths(clips: Sequence[Clip]) -> tuple[float, ...]:
    lengths = [clip.offset - clip.onset + 1 for clip in clips if clip.offset is not None and clip.kind != "image"]
    lengths = [length for length in lengths if length > 0]
    return (min(lengths), statistics.median(lengths), max(lengths)) if lengths else ()


def _published(value: object) -> str:
    return "" if value is None else f"(published: {value:g})" if isinstance(value, float) else f"(published: {value})"
