"""A user's own recordings: ``ROOT/clips.csv``."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections import Counter
from pathlib import Path

from affnet_tf.datasets.aus import split_aus
from affnet_tf.datasets.clips import Clip, Problem
from affnet_tf.datasets.folders import contents
from affnet_tf.datasets.sheets import text, whole_number
from affnet_tf.errors import InputError
from affnet_tf.files import numbered_images

__all__ = ["read_custom"]

REQUIRED = ("path", "subject", "emotion")
OPTIONAL = ("clip_id", "dataset", "onset", "apex", "offset", "fps", "aus")


def read_custom(root: Path) -> tuple[list[Clip], list[Problem], Path]:
    """The clips that ``ROOT/clips.csv`` lists, the lines that make none, and the file.

    ``path`` (inside ROOT) is a folder of numbered images, a video file, or one motion image. Without ``onset`` and
    ``offset`` the whole of it is the clip: in a folder from the lowest to the highest number, in a video from frame 0
    to its end. Unless given, ``clip_id`` is the path (with the onset, where a path is listed more than once) and
    ``dataset`` is ``custom``.

    Raises:
        InputError: the file or a required column is missing.
    """
    path = root / "clips.csv"
    if not path.is_file():
        raise InputError(f"custom root must hold clips.csv. Received: {contents(root)}")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = [column for column in REQUIRED if column not in (reader.fieldnames or ())]
            if missing:
                names = f"{', '.join(REQUIRED)} (and may have {', '.join(OPTIONAL)})"
                raise InputError(f"{str(path)!r} must have the columns {names}. Missing: {', '.join(missing)}")
            lines = [(reader.line_num, {key: text(row[key]) for key in row if key}) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{str(path)!r} must be a CSV file in UTF-8. Received: {error}") from None
    times = Counter(row["path"] for _, row in lines)
    clips: list[Clip] = []
    problems: list[Problem] = []
    for number, row in lines:
        read = _read_line(row, root, f"line {number}", times[row["path"]] > 1)
        if isinstance(read, Clip):
            clips.append(read)
        else:
            problems.append(read)
    return clips, problems, path


def _read_line(row: dict[str, str], root: Path, place: str, repeated: bool) -> Clip | Problem:
    dataset = row.get("dataset") or "custom"
    clip_id = row.get("clip_id") or (f"{row['path']}#{row.get('onset', '')}" if repeated else row["path"])

    def problem(rule: str, value: object) -> Problem:
        return Problem(dataset, clip_id or place, f"{rule} ({place})", str(value))

    base = Path(os.path.normpath(root))
    frames = Path(os.path.normpath(base / row["path"]))
    if not row["path"] or frames == base or not frames.is_relative_to(base):
        return problem(f"path must lie inside {str(root)!r}", repr(row["path"]))
    numbers: dict[str, int | None] = {}
    for field in ("onset", "apex", "offset"):
        try:
            numbers[field] = whole_number(row.get(field))
        except ValueError as error:
            return problem(f"{field} must be a whole number", error)
    try:
        fps = float(row["fps"]) if row.get("fps") else None
    except ValueError:
        return problem("fps must be a number", repr(row["fps"]))
    clip = Clip(
        dataset=dataset,
        subject=row["subject"],
        clip_id=clip_id,
        frames=frames,
        onset=numbers["onset"] or 0,
        offset=numbers["offset"],
        emotion=row["emotion"].lower(),
        apex=numbers["apex"],
        fps=fps,
        aus=split_aus(row.get("aus", "")),
    )
    if clip.kind == "video":
        return clip
    if clip.kind == "image":
        return dataclasses.replace(clip, onset=0, apex=None, offset=0)
    if numbers["onset"] is not None and numbers["offset"] is not None:
        return clip
    try:
        listing = list(numbered_images(frames))
    except InputError as error:
        rule, _, value = str(error).partition(". Received: ")
        return problem(rule, value)
    if not listing:
        return problem("frame folder must hold numbered images", f"{str(frames)!r} holds none")
    onset = listing[0] if numbers["onset"] is None else numbers["onset"]
    offset = listing[-1] if numbers["offset"] is None else numbers["offset"]
    return dataclasses.replace(clip, onset=onset, offset=offset)
