"""The supported datasets as a table for people: ``affnet datasets`` and ``docs/datasets.md``."""

from __future__ import annotations

from typing import Any

from affnet_tf.datasets.forms import DatasetSpec
from affnet_tf.datasets.specs import SPECS

__all__ = ["datasets_markdown", "datasets_table"]

_HEAD = """# Datasets

<!-- Written by affnet_tf.datasets.catalogue.datasets_markdown(): change the specs, then write this file again. -->

The licences of these datasets forbid redistribution: none of them is part of this project, and none is downloaded by
it. You bring the folder as its owners ship it; `affnet inspect NAME ROOT` says what was found beside what was
published, and `affnet prepare NAME ROOT STORE` makes a clip store of it.

**How far this was tested.** The readers were tested on forged layouts: folders and sheets written by the tests, with
the quirks that papers, owners' pages and public readers of these datasets report. They were **not** tested on the
licensed originals. What could not be confirmed from a public source is listed under *not confirmed*. If your copy is
read wrongly, `affnet inspect` shows it, and a mistake in a sheet can be corrected in `ROOT/corrections.csv` (dataset,
clip_id, column, old, new, reason).
"""


def datasets_table() -> list[dict[str, Any]]:
    """One row for each dataset: its names and numbers, what its root must hold, and how to get it."""
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "subjects": entry.subjects,
            "clips": entry.clips,
            "fps": entry.fps,
            "emotions": list(entry.emotions),
            "expects": _expects(entry),
            "obtain": entry.obtain,
            "doi": entry.doi,
        }
        for entry in SPECS.values()
    ]


def _expects(entry: DatasetSpec) -> list[str]:
    sheet = [] if entry.sheet is None else [entry.sheet.files[0]]
    return sheet + list(dict.fromkeys(release.example for release in entry.releases))


def datasets_markdown() -> str:
    """The text of ``docs/datasets.md``, from the specs alone."""
    lines = [_HEAD, "| name | dataset | subjects | clips | fps | labels |", "|---|---|---|---|---|---|"]
    for entry in SPECS.values():
        numbers = [f"{value:g}" if value is not None else "–" for value in (entry.subjects, entry.clips, entry.fps)]
        labels = ", ".join(entry.emotions) or "any"
        lines.append(f"| `{entry.name}` | {entry.title} | {' | '.join(numbers)} | {labels} |")
    lines.append("\nClips are those of the released sheet; a dash: it varies, or it is not confirmed.")
    for entry in SPECS.values():
        lines.append(_section(entry))
    return "\n".join(lines) + "\n"


def _section(entry: DatasetSpec) -> str:
    lines = [f"\n## `{entry.name}`: {entry.title}\n"]
    if entry.paper:
        lines.append(f"{entry.paper}. [doi:{entry.doi}](https://doi.org/{entry.doi})\n")
    lines.append(f"- **To get it**: {entry.obtain}")
    lines.append(f"- **Licence**: {entry.licence}")
    if entry.sheet is not None:
        lines.append(f"- **Sheet**: `{entry.sheet.files[0]}`{_columns(entry)}")
    for release in entry.releases:
        lines.append(f"- **Frames, {release.name}**: `{release.example}`")
    if entry.counts:
        lines.append(f"- **Clips by label**: {', '.join(f'{word} {count}' for word, count in entry.counts.items())}")
    lines += [f"- {note}" for note in entry.notes]
    if entry.unconfirmed:
        lines.append(f"- *Not confirmed*: {'; '.join(entry.unconfirmed)}.")
    return "\n".join(lines)


def _columns(entry: DatasetSpec) -> str:
    names = ", ".join(f"`{spellings[0]}`" for spellings in entry.sheet.columns.values())
    if not names:
        return ", which has no header row"
    sheet = f", sheet `{entry.sheet.sheet}`" if entry.sheet.sheet else ""
    return f"{sheet}, header in row {entry.sheet.header_row}: {names}"
