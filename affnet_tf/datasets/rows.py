"""From one row of a coding sheet to its clips."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from affnet_tf.datasets.aus import parse_aus, split_aus
from affnet_tf.datasets.clips import Clip, Problem
from affnet_tf.datasets.folders import FrameFolders
from affnet_tf.datasets.forms import DatasetSpec
from affnet_tf.datasets.sheets import Row, text, whole_number
from affnet_tf.errors import InputError

__all__ = ["read_row", "set_aside_apex"]


def read_row(row: Row, entry: DatasetSpec, folders: FrameFolders) -> list[Clip | Problem]:
    """The clips of a row, one for each expression, and what is wrong with it; a broken row gives problems alone."""
    place = f"row {row.number}"
    names = _names(row, entry)
    if names is None:
        received = f"subject {text(row.get('subject'))!r}, filename {text(row.get('filename'))!r}"
        return [Problem(entry.name, place, "row must name its subject and file", received)]
    read: list[Clip | Problem] = []
    for count, (onset, offset) in enumerate((("onset", "offset"), *entry.sheet.more), start=1):
        if count > 1 and _not_annotated(row.get(onset)):
            continue
        apex = "apex" if count == 1 else f"apex{count}"
        numbers, problems = _frame_numbers(row, {"onset": onset, "offset": offset, "apex": apex}, entry)
        id_names = names | {"onset": "?" if numbers["onset"] is None else numbers["onset"]}
        clip_id = entry.clip_id.format(**id_names) + (f"-{count}" if count > 1 else "")
        read += [Problem(entry.name, clip_id, f"{rule} ({place})", *rest) for rule, *rest in problems]
        if numbers["onset"] is None or numbers["offset"] is None:
            continue
        frames = folders.find(id_names)
        if frames is None:
            rule = f"frame folder must lie inside the release's folder ({place})"
            read.append(Problem(entry.name, clip_id, rule, repr(names["filename"])))
            continue
        aus, doubtful = _aus(row)
        read += [Problem(entry.name, clip_id, f"{rule} ({place})", value, "warning") for rule, value in doubtful]
        read.append(
            Clip(
                dataset=entry.name,
                subject=names["subject"],
                clip_id=clip_id,
                frames=frames,
                onset=numbers["onset"],
                offset=numbers["offset"],
                emotion=names["emotion"],
                apex=numbers["apex"],
                fps=_fps(row, entry),
                aus=aus,
            )
        )
    return read


def set_aside_apex(clip: Clip) -> list[Clip | Problem]:
    """The clip, without its apex and with a warning where that lies outside, for sheets that are known to hold such."""
    if clip.apex is None or clip.onset > clip.offset or clip.onset <= clip.apex <= clip.offset:
        return [clip]
    rule = f"apex must lie in [{clip.onset}, {clip.offset}]; it is set aside"
    problem = Problem(clip.dataset, clip.clip_id, rule, str(clip.apex), "warning")
    return [problem, dataclasses.replace(clip, apex=None)]


def _not_annotated(cell: Any) -> bool:
    try:
        return whole_number(cell) is None
    except ValueError:
        return False


def _names(row: Row, entry: DatasetSpec) -> dict[str, Any] | None:
    names: dict[str, Any] = {field: text(cell) for field, cell in row.cells.items()}
    raw, filename = names.get("subject", ""), names.get("filename", "")
    digits = re.findall(r"\d+", raw)
    if not digits or not filename:
        return None
    names |= {"raw": raw, "number": int(digits[-1]), "video": filename.rpartition("_")[0] or filename}
    names["subject"] = entry.subject.format(**names)
    names["emotion"] = _word(names.get("emotion", ""), entry)
    return names


def _word(cell: str, entry: DatasetSpec) -> str:
    """The emotion in the dataset's own words: lower case, ``other`` for ``Others``, ``micro`` for ``Micro - 1/2``."""
    word = re.sub(r"\s*\+\s*", "+", cell.lower())
    candidates = (word, word.removesuffix("s"), f"{word}s", re.split(r"[\s-]", word)[0])
    return next((candidate for candidate in candidates if candidate in entry.emotions), word)


def _frame_numbers(row: Row, fields: dict[str, str], entry: DatasetSpec) -> tuple[dict[str, int | None], list[tuple]]:
    numbers: dict[str, int | None] = {}
    problems: list[tuple] = []
    for name, field in fields.items():
        try:
            number = whole_number(row.get(field))
            # No expression peaks or ends on the very first frame of a recording: sheets write 0 for "not annotated".
            numbers[name] = None if number == 0 and name != "onset" else number
        except ValueError as error:
            numbers[name] = None
            problems.append((f"{name} must be a whole number", str(error), "warning" if name == "apex" else "error"))
    for name in ("onset", "offset"):
        if numbers[name] is not None or any(rule.startswith(name) for rule, *_ in problems):
            continue
        if entry.sheet.apex_bounds and numbers["apex"] is not None:
            numbers[name] = numbers["apex"]
            rule = f"{name} must be annotated; the apex stands in for it"
            problems.append((rule, repr(row.get(fields[name])), "warning"))
        else:
            problems.append((f"{name} must be a whole number", repr(row.get(fields[name])), "error"))
    return numbers, problems


def _aus(row: Row) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    tokens = split_aus(text(row.get("aus")))
    problems = []
    for token in tokens:
        try:
            parse_aus((token,))
        except InputError:
            problems.append(("action unit must be readable", repr(token)))
    return tokens, problems


def _fps(row: Row, entry: DatasetSpec) -> float | None:
    try:
        return float(text(row.get("fps")))
    except ValueError:
        return entry.fps
