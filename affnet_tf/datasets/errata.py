"""Known mistakes in coding sheets, kept as data: ``corrections/<dataset>.csv`` here and ``corrections.csv`` in a root.

The columns are dataset, clip_id, column, old, new, reason. ``clip_id`` may be ``row 42``, a row of the sheet as the
spreadsheet program counts it; ``column`` is a field: onset, apex, offset, emotion, subject, filename, aus. A correction
with an ``old`` value is made where the cell holds that value. Without one, the corrections of a row are made together,
and only where the row as it stands gives no sound clip and gives one when corrected: so a table that was made for one
edition of a sheet cannot harm another. An empty ``new`` value empties the cell.
"""

from __future__ import annotations

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from affnet_tf.datasets.clips import Clip, Problem, validate_clips
from affnet_tf.datasets.sheets import Row, text
from affnet_tf.errors import InputError

__all__ = ["Correction", "read_corrected", "read_corrections"]

COLUMNS = ("dataset", "clip_id", "column", "old", "new", "reason")
_FIELDS = ("onset", "apex", "offset", "emotion", "subject", "filename", "aus")

Read = list[Clip | Problem]


@dataclasses.dataclass(frozen=True)
class Correction:
    """One changed cell: see the module's text."""

    dataset: str
    clip_id: str
    column: str
    old: str
    new: str
    reason: str


def read_corrections(dataset: str, root: Path) -> dict[str, list[Correction]]:
    """The corrections of a dataset by clip id or row, shipped ones first.

    Raises:
        InputError: a file lacks a column, names a field that cannot be corrected, or gives no reason.
    """
    found: dict[str, list[Correction]] = defaultdict(list)
    for path in (Path(__file__).parent / "corrections" / f"{dataset}.csv", root / "corrections.csv"):
        if not path.is_file():
            continue
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{str(path)!r} must have the columns {', '.join(COLUMNS)}. Missing: {missing}")
            for row in reader:
                correction = Correction(**{column: text(row[column]) for column in COLUMNS})
                place = f"{str(path)!r} line {reader.line_num}"
                if correction.column not in _FIELDS:
                    rule = f"column must be one of {', '.join(_FIELDS)}"
                    raise InputError(f"{place}: {rule}. Received: {correction.column!r}")
                if not correction.reason:
                    raise InputError(f"{place}: a correction must give its reason. Received: ''")
                if correction.dataset == dataset:
                    found[correction.clip_id].append(correction)
    return dict(found)


def read_corrected(row: Row, read: Callable[[Row], Read], corrections: Mapping[str, Sequence[Correction]]) -> Read:
    """What a row says, with the corrections that hold for it and a warning for each.

    Args:
        row: the row as the sheet has it.
        read: reads a row into clips and problems.
        corrections: what ``read_corrections`` returned.
    """
    items = read(row)
    ids = dict.fromkeys([f"row {row.number}", *(item.clip_id for item in items)])
    known = [correction for clip_id in ids for correction in corrections.get(clip_id, ())]
    made = [item for item in known if item.old and item.old == text(row.get(item.column))]
    if made:
        items = read(_replace(row, made))
    unproven = [item for item in known if not item.old]
    if unproven and not _sound(items):
        candidate = read(_replace(row, made + unproven))
        if _sound(candidate):
            items, made = candidate, made + unproven
    changed = [item for item in made if item.new != text(row.get(item.column))]
    return [*(_warning(item, row, items) for item in changed), *items]


def _replace(row: Row, items: Sequence[Correction]) -> Row:
    return dataclasses.replace(row, cells={**row.cells, **{item.column: item.new or None for item in items}})


def _sound(items: Read) -> bool:
    clips = [item for item in items if isinstance(item, Clip)]
    problems = [item for item in items if isinstance(item, Problem)] + validate_clips(clips)
    return bool(clips) and all(problem.severity == "warning" for problem in problems)


def _warning(item: Correction, row: Row, items: Read) -> Problem:
    clip_id = next((read.clip_id for read in items), item.clip_id)
    rule = f"{item.column} is corrected to {item.new or 'none'} (row {row.number}; {item.reason})"
    return Problem(item.dataset, clip_id, rule, text(row.get(item.column)) or "none", "warning")
