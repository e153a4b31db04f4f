"""The one table of the project: clips, and the rules that they must keep."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from affnet_tf.datasets.labels import EMOTIONS
from affnet_tf.errors import InputError
from affnet_tf.files import IMAGE_SUFFIXES, atomic_write, numbered_images
from affnet_tf.places import local

__all__ = ["VIDEO_SUFFIXES", "Clip", "Problem", "read_clips_csv", "validate_clips", "write_clips_csv"]

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv")

COLUMNS = ("path", "dataset", "subject", "clip_id", "onset", "apex", "offset", "fps", "emotion", "aus")


@dataclasses.dataclass(frozen=True)
class Clip:
    """One annotated expression.

    Attributes:
        dataset: name of the dataset, such as ``casme2``.
        subject: the subject's name within the dataset; subjects are keyed (dataset, subject).
        clip_id: unique within the dataset, such as ``sub04/EP12_01f``.
        frames: a folder of numbered images, a video file, or one motion image: see ``kind``.
        onset: first frame of the expression, inclusive, as numbered on disk (in a video, counted from 0).
        offset: last frame of the expression, inclusive; None only for a video that is used to its end.
        emotion: the dataset's own word, lower case.
        apex: frame of the strongest expression, or None where the sheet has no usable value.
        fps: frames per second, or None where unknown.
        aus: FACS action units as annotated, one token each; ``aus.parse_aus`` reads them.
    """

    dataset: str
    subject: str
    clip_id: str
    frames: Path
    onset: int
    offset: int | None
    emotion: str
    apex: int | None = None
    fps: float | None = None
    aus: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """(dataset, clip_id): what predictions and labels are joined by."""
        return self.dataset, self.clip_id

    @property
    def kind(self) -> str:
        """``folder`` (numbered images), ``video`` or ``image`` (one ready-made motion image), told by the suffix."""
        suffix = Path(self.frames).suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            return "video"
        return "image" if suffix in IMAGE_SUFFIXES else "folder"


@dataclasses.dataclass(frozen=True)
class Problem:
    """A rule that a clip breaks.

    Attributes:
        dataset: name of the dataset.
        clip_id: the clip, or the place in the sheet where no clip could be made of a row.
        rule: what must hold, as the middle of a sentence: ``apex must lie in [261, 321]``.
        value: what was found instead, as text.
        severity: ``error``: the clip cannot be used; ``warning``: it can, but somebody should know.
    """

    dataset: str
    clip_id: str
    rule: str
    value: str
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.dataset} clip {self.clip_id!r}: {self.rule}. Received: {self.value}"


def validate_clips(clips: Iterable[Clip]) -> list[Problem]:
    """Check every clip against every rule; list all that is wrong, in the order of the clips.

    Folders are listed, no image is decoded: 255 clips with 17,000 frames take well under a second on a local disk.
    Only the existence and the size of a video or a motion image are checked.
    """
    clips = list(clips)
    listings: dict[Path, dict[int, Path] | InputError] = {}
    seen: dict[tuple[str, str], int] = {}
    problems: list[Problem] = []
    for clip in clips:
        seen[clip.key] = seen.get(clip.key, 0) + 1
        if seen[clip.key] == 2:
            times = sum(other.key == clip.key for other in clips)
            problems.append(_problem(clip, "clip id must be unique in its dataset", f"{times} clips"))
        problems += _check_words(clip)
        problems += _check_numbers(clip)
        problems += _check_folder(clip, listings) if clip.kind == "folder" else _check_file(clip)
    return problems


def write_clips_csv(clips: Iterable[Clip], path: str | os.PathLike) -> None:
    """Write the table as CSV, atomically. Frame paths inside the CSV's folder are written relative to it.

    The columns are those of a ``custom`` dataset's ``clips.csv`` plus ``aus`` (tokens joined by ``;``).
    """
    path = local(path, "clips.csv")
    folder = Path(os.path.abspath(path)).parent
    with atomic_write(path, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for clip in clips:
            frames = Path(os.path.abspath(clip.frames))
            if frames.is_relative_to(folder):
                frames = frames.relative_to(folder)
            row = {name: getattr(clip, name) for name in COLUMNS if name not in ("path", "aus")}
            writer.writerow(row | {"path": frames.as_posix(), "aus": ";".join(clip.aus)})


def read_clips_csv(path: str | os.PathLike | IO[str], folder: str | os.PathLike | None = None) -> list[Clip]:
    """Read what ``write_clips_csv`` wrote: a file, or an open text stream.

    Args:
        path: the CSV file or stream.
        folder: what relative frame paths are relative to; by default the CSV file's own folder.

    Raises:
        InputError: the file or a column is missing, or a cell is not of its type.
    """
    if not isinstance(path, str | os.PathLike):
        return list(_parse_rows(csv.DictReader(path), "clips.csv", Path(folder or ".")))
    try:
        with open(local(path, "clips.csv"), encoding="utf-8-sig", newline="") as file:
            return list(_parse_rows(csv.DictReader(file), str(path), Path(folder or Path(path).parent)))
    except FileNotFoundError:
        raise InputError(f"file must exist. Received: {str(path)!r}") from None


def _parse_rows(reader: csv.DictReader, name: str, folder: Path) -> Iterator[Clip]:
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{name!r} must have the columns {', '.join(COLUMNS)}. Missing: {', '.join(missing)}")
    for row in reader:
        try:
            yield Clip(
                dataset=row["dataset"],
                subject=row["subject"],
                clip_id=row["clip_id"],
                frames=folder / row["path"],
                onset=int(row["onset"]),
                offset=int(row["offset"]) if row["offset"] else None,
                emotion=row["emotion"],
                apex=int(row["apex"]) if row["apex"] else None,
                fps=float(row["fps"]) if row["fps"] else None,
                aus=tuple(row["aus"].split(";")) if row["aus"] else (),
            )
        except (TypeError, ValueError) as error:
            raise InputError(f"{name!r} line {reader.line_num} must hold a clip. Received: {error}") from None


def _problem(clip: Clip, rule: str, value: object, severity: str = "error") -> Problem:
    return Problem(clip.dataset, clip.clip_id, rule, str(value), severity)


def _check_words(clip: Clip) -> Iterator[Problem]:
    if not clip.subject:
        yield _problem(clip, "subject must have a name", repr(clip.subject))
    vocabulary: Sequence[str] | None = EMOTIONS.get(clip.dataset)
    if vocabulary is None:
        if not clip.emotion:
            yield _problem(clip, "emotion must have a name", repr(clip.emotion))
    elif clip.emotion not in vocabulary:
        yield _problem(clip, f"emotion must be one of {', '.join(vocabulary)}", repr(clip.emotion))


def _check_numbers(clip: Clip) -> Iterator[Problem]:
    if clip.fps is not None and not (math.isfinite(clip.fps) and clip.fps > 0):
        yield _problem(clip, "fps must be positive", clip.fps)
    if clip.kind == "image":
        return
    if clip.offset is None:
        if clip.kind != "video":
            yield _problem(clip, "offset must be a frame number", None)
        if clip.apex is not None and clip.apex < clip.onset:
            yield _problem(clip, f"apex must be at least the onset, {clip.onset}", clip.apex)
    elif clip.onset > clip.offset:
        yield _problem(clip, "onset must not come after offset", f"{clip.onset} > {clip.offset}")
    else:
        if clip.offset == clip.onset:
            yield _problem(clip, "clip must have at least 2 frames", f"onset = offset = {clip.onset}")
        if clip.apex is not None and not clip.onset <= clip.apex <= clip.offset:
            yield _problem(clip, f"apex must lie in [{clip.onset}, {clip.offset}]", clip.apex)


def _check_file(clip: Clip) -> Iterator[Problem]:
    noun = "motion image" if clip.kind == "image" else "video file"
    try:
        if not clip.frames.is_file():
            yield _problem(clip, f"{noun} must be a file", repr(str(clip.frames)))
        elif clip.frames.stat().st_size == 0:
            yield _problem(clip, f"{noun} must not be empty", f"{str(clip.frames)!r} has 0 bytes")
    except OSError as error:
        yield _problem(clip, f"{noun} must be readable", error)


def _check_folder(clip: Clip, listings: dict[Path, dict[int, Path] | InputError]) -> Iterator[Problem]:
    if clip.frames not in listings:
        listings.clear()  # clips of one folder follow each other; a million frames need not be held at once
        try:
            listings[clip.frames] = numbered_images(clip.frames)
        except InputError as error:
            listings[clip.frames] = error
        except OSError as error:
            listings[clip.frames] = InputError(f"frame folder must be readable. Received: {error}")
    listing = listings[clip.frames]
    if isinstance(listing, InputError):
        rule, _, value = str(listing).partition(". Received: ")
        yield _problem(clip, rule, value)
    elif not listing:
        yield _problem(clip, "frame folder must hold numbered images", f"{str(clip.frames)!r} holds none")
    elif clip.offset is not None and clip.onset <= clip.offset:
        yield from _check_coverage(clip, listing)


def _check_coverage(clip: Clip, listing: dict[int, Path]) -> Iterator[Problem]:
    present = [number for number in listing if clip.onset <= number <= clip.offset]
    wanted = clip.offset - clip.onset + 1
    if clip.onset not in listing or clip.offset not in listing:
        numbers = list(listing)
        found = f"{len(present)} of {wanted} frames ({str(clip.frames)!r} holds {numbers[0]}..{numbers[-1]})"
        yield _problem(clip, f"frames must cover onset..offset, {clip.onset}..{clip.offset}", found)
    elif len(present) < wanted:
        gaps = [(a + 1, b - 1) for a, b in itertools.pairwise(present) if b > a + 1]
        holes = [str(first) if first == last else f"{first}..{last}" for first, last in gaps]
        shown = ", ".join(holes[:5]) + (", …" if len(holes) > 5 else "")
        rule = f"no frame may be missing between {clip.onset} and {clip.offset}"
        yield _problem(clip, rule, f"{wanted - len(present)} missing: {shown}", "warning")
    empty = [listing[number].name for number in present if listing[number].stat().st_size == 0]
    if empty:
        shown = ", ".join(empty[:3]) + (", …" if len(empty) > 3 else "")
        yield _problem(clip, "frame files must not be empty", f"{len(empty)} with 0 bytes: {shown}")
