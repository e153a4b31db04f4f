"""From a dataset's folder, as its owners ship it, to clips."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from affnet_tf.datasets.aus import split_aus
from affnet_tf.datasets.clips import Clip, Problem
from affnet_tf.datasets.sheets import Row, contents, find_file, find_table, read_sheets, text, whole_number
from affnet_tf.datasets.specs import DatasetSpec, Release, spec
from affnet_tf.errors import InputError, unknown

__all__ = ["Annotations", "read_annotations", "read_dataset"]


@dataclasses.dataclass(frozen=True)
class Annotations:
    """What a dataset's folder says.

    Attributes:
        clips: the clips, in the order of the sheet.
        problems: rows that make no clip (errors), and cells that were set aside (warnings).
        release: ``cropped`` or ``raw``: which frames the clips point to.
        source: the annotation file, or the folder whose names hold the annotation.
    """

    clips: tuple[Clip, ...]
    problems: tuple[Problem, ...]
    release: str
    source: Path


def read_dataset(name: str, root: str | os.PathLike, release: str | None = None) -> list[Clip]:
    """The clips of a dataset; rows that make no clip are left out (``read_annotations`` lists them).

    Args:
        name: one of ``specs.SPECS``.
        root: the folder that holds the sheet and the frames, named as shipped.
        release: ``cropped``, ``raw``, or None for the cropped frames where they lie beside the raw ones.

    Raises:
        InputError: see ``read_annotations``.
    """
    return list(read_annotations(name, root, release).clips)


def read_annotations(name: str, root: str | os.PathLike, release: str | None = None) -> Annotations:
    """The clips of a dataset and what is wrong with its sheet. Opens no image and lists no frame folder.

    Raises:
        InputError: unknown dataset or release; a root without the expected sheet or folders; a sheet of another
            edition; no usable row at all.
    """
    entry = spec(name)
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{name} root must be a folder. Received: {str(root)!r}")
    chosen, folder = find_release(entry, root, release)
    source = find_file(root, entry.sheet.files, name)
    rows = find_table(read_sheets(source), entry.sheet.columns, entry.sheet.required, str(source), entry.sheet.sheet)
    clips: list[Clip] = []
    problems: list[Problem] = []
    for row in rows:
        read = _read_row(row, entry, chosen, folder)
        clips += [item for item in read if isinstance(item, Clip)]
        problems += [item for item in read if isinstance(item, Problem)]
    if not clips:
        first = f", such as {problems[0]}" if problems else ""
        raise InputError(f"{name} sheet {str(source)!r} must have a usable row. Received: {len(rows)} rows{first}")
    return Annotations(tuple(clips), tuple(problems), chosen.name, source)


def find_release(entry: DatasetSpec, root: Path, wanted: str | None) -> tuple[Release, Path]:
    """The release to read and its folder: the wanted one, or the first of the spec that is there."""
    names = list(dict.fromkeys(release.name for release in entry.releases))
    if wanted is not None and wanted not in names:
        raise unknown(f"{entry.name} release", wanted, names)
    candidates = [release for release in entry.releases if wanted in (None, release.name)]
    for release in candidates:
        for pattern in release.folders:
            found = sorted(path for path in root.glob(pattern) if path.is_dir())
            if found:
                return release, found[0]
    expected = " or ".join(f"{release.folders[0]}/ (as in {release.example})" for release in candidates)
    raise InputError(f"{entry.name} root must hold {expected}. Received: {str(root)!r} with {contents(root)}")


def _read_row(row: Row, entry: DatasetSpec, release: Release, folder: Path) -> list[Clip | Problem]:
    place = f"row {row.number}"
    raw, filename = text(row.get("subject")), text(row.get("filename"))
    digits = re.findall(r"\d+", raw)
    if not digits or not filename:
        rule = "row must name its subject and file"
        return [Problem(entry.name, place, rule, f"subject {raw!r}, filename {filename!r}")]
    names = {"raw": raw, "number": int(digits[-1]), "filename": filename}
    names["subject"] = entry.subject.format(**names)
    problems: list[Clip | Problem] = []
    frames: dict[str, int | None] = {}
    for field in ("onset", "offset", "apex"):
        try:
            frames[field] = _frame_number(row, field)
        except ValueError as error:
            frames[field] = None
            severity = "warning" if field == "apex" else "error"
            rule = f"{field} must be a whole number ({place})"
            problems.append(Problem(entry.name, entry.clip_id.format(**names, **frames), rule, str(error), severity))
    clip_id = entry.clip_id.format(**names, **frames)
    for field in ("onset", "offset"):
        if frames[field] is None and not any(problem.severity == "error" for problem in problems):
            rule = f"{field} must be a whole number ({place})"
            problems.append(Problem(entry.name, clip_id, rule, repr(row.get(field))))
    emotion = text(row.get("emotion")).lower()
    path = clip_folder(release, folder, names | {"emotion": emotion})
    if path is None:
        problems.append(Problem(entry.name, clip_id, f"frame folder must lie inside {str(folder)!r}", repr(filename)))
    if any(problem.severity == "error" for problem in problems):
        return problems
    clip = Clip(
        dataset=entry.name,
        subject=names["subject"],
        clip_id=clip_id,
        frames=path,
        onset=frames["onset"],
        offset=frames["offset"],
        emotion=emotion,
        apex=frames["apex"],
        fps=entry.fps,
        aus=split_aus(text(row.get("aus"))),
    )
    return [clip, *problems]


def _frame_number(row: Row, field: str) -> int | None:
    number = whole_number(row.get(field))
    # No expression peaks or ends on the very first frame of a recording: sheets write 0 for "not annotated".
    return None if number == 0 and field != "onset" else number


def clip_folder(release: Release, folder: Path, names: dict) -> Path | None:
    """Where a clip's frames lie: the first template that exists, else the first; None if it would leave ``folder``."""
    inside = []
    for template in release.clips:
        path = Path(os.path.normpath(folder / template.format(**names)))
        if not path.is_relative_to(os.path.normpath(folder)) or path == Path(os.path.normpath(folder)):
            return None
        inside.append(path)
    return next((path for path in inside if path.is_dir()), inside[0])
