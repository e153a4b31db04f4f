"""From a dataset's folder, as its owners ship it, to clips."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

from affnet_tf.datasets.casme_sq import code_rows
from affnet_tf.datasets.clips import Clip, Problem
from affnet_tf.datasets.custom import read_custom
from affnet_tf.datasets.errata import read_corrected, read_corrections
from affnet_tf.datasets.folders import FrameFolders, find_release
from affnet_tf.datasets.rows import read_row, set_aside_apex
from affnet_tf.datasets.sheets import Row, find_files, find_table, read_sheets
from affnet_tf.datasets.specs import DatasetSpec, spec
from affnet_tf.errors import InputError, unknown
from affnet_tf.files import numbered_images
from affnet_tf.places import local

__all__ = ["Annotations", "read_annotations", "read_dataset"]


@dataclasses.dataclass(frozen=True)
class Annotations:
    """What a dataset's folder says.

    Attributes:
        clips: the clips, in the order of the sheet.
        problems: rows that make no clip (errors); cells that were set aside and corrections that were made (warnings).
        release: ``cropped`` or ``raw``: which frames the clips point to; ``own`` for a custom dataset.
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
    """The clips of a dataset and what is wrong with its sheet. Opens no image.

    Raises:
        InputError: unknown dataset or release; a root without the expected sheet or folders; a sheet of another
            edition; no usable row at all.
    """
    entry = spec(name)
    root = local(root, "a dataset's folder")
    if not root.is_dir():
        raise InputError(f"{entry.name} root must be a folder. Received: {str(root)!r}")
    if entry.name == "custom":
        if release not in (None, "own"):
            raise unknown("custom release", release, ["own"])
        clips, problems, source = read_custom(root)
        return _checked(Annotations(tuple(clips), tuple(problems), "own", source))
    chosen, folders = find_release(entry, root, release)
    if entry.sheet is None:
        read, source = list(_read_tree(entry, folders[0])), folders[0]
    else:
        files = find_files(root, entry.sheet, entry.name)
        numbered = [row for path in files for row in _rows(entry, path)]
        corrections = read_corrections(entry.name, root)
        frames = FrameFolders(chosen, folders)
        read, source = [], files[0]
        for row in numbered:
            read += read_corrected(row, lambda row: read_row(row, entry, frames), corrections)
        if entry.sheet.loose_apex:
            read = [item for one in read for item in (set_aside_apex(one) if isinstance(one, Clip) else [one])]
    clips = tuple(item for item in read if isinstance(item, Clip))
    problems = tuple(item for item in read if isinstance(item, Problem))
    return _checked(Annotations(clips, problems, chosen.name, source))


def _checked(read: Annotations) -> Annotations:
    if not read.clips:
        first = f", the first: {read.problems[0]}" if read.problems else ""
        broken = f"{len(read.problems)} problems{first}"
        raise InputError(f"{str(read.source)!r} must describe at least one usable clip. Received: none, {broken}")
    return read


def _rows(entry: DatasetSpec, path: Path) -> list[Row]:
    sheets = read_sheets(path)
    if entry.name in ("casme_sq", "casme_sq_macro"):
        return code_rows(sheets, str(path), "macro" if entry.name.endswith("macro") else "micro")
    return find_table(sheets, entry.sheet.columns, entry.sheet.required, str(path), entry.sheet.sheet)


def _read_tree(entry: DatasetSpec, folder: Path) -> Iterator[Clip | Problem]:
    """SMIC: subject and class are in the path, s1/micro/negative/s1_ne_01; a clip is all the frames of its folder."""
    found = [path for path in folder.glob("s*/micro/*/*") if path.is_dir() and not path.name.startswith(".")]
    for path in sorted(found, key=lambda path: _natural(path.relative_to(folder).as_posix())):
        subject, _, emotion, name = path.relative_to(folder).parts
        subject = f"s{int(re.sub(r'[^0-9]', '', subject) or 0)}"
        clip_id = f"{subject}/{name}"
        try:
            listing = list(numbered_images(path))
        except InputError as error:
            rule, _, value = str(error).partition(". Received: ")
            yield Problem(entry.name, clip_id, rule, value)
            continue
        if not listing:
            yield Problem(entry.name, clip_id, "frame folder must hold numbered images", f"{str(path)!r} holds none")
            continue
        yield Clip(entry.name, subject, clip_id, path, listing[0], listing[-1], emotion.lower(), fps=entry.fps)


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]
