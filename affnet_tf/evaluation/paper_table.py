"""The table of a paper, from the runs themselves: every score with its interval, and each run beside the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from affnet_tf.errors import InputError
from affnet_tf.evaluation.comparison import Comparison, compare
from affnet_tf.evaluation.evaluated import EvaluatedRun, read_run
from affnet_tf.evaluation.headline import ALL, Headline, Table, headline, span
from affnet_tf.evaluation.predictions import Predictions
from affnet_tf.evaluation.report import markdown_table
from affnet_tf.places import Address, Place, place_at

__all__ = ["compare_runs", "marks"]

_COLUMNS = ("run", "clips", "UF1", "", "UAR", "", "accuracy", "", "ΔUF1", "", "p", "McNemar p", "")
_LEVELS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
FOOT = (
    "Brackets and second columns: 95 % intervals, bootstrap over people. ΔUF1: the run's UF1 minus the first run's, on the "
    "same clips and the same people drawn; p: two-sided, over people. McNemar's exact p takes clips as independent, which "
    "those of one person are not, and few people make p too small. So the marks go by the larger of the two: * below 0.05, "
    "** below 0.01, *** below 0.001; not corrected for the number of runs. With fewer than some 20 people the intervals are "
    "too narrow and the marks too many."
)


@dataclasses.dataclass(frozen=True)
class _Row:
    run: str
    network: str
    headline: Headline
    against_first: Comparison | None


def compare_runs(paths: Sequence[Address]) -> tuple[dict[str, Any], list[Table], str]:
    """Compare runs with the first of them, clip by clip.

    Args:
        paths: run folders of ``affnet evaluate``, at least two, of the same clips and labels.

    Returns:
        A JSON-ready document; tables (title, columns, rows), one for all clips or, for ``cross_dataset``, one for each
        ordered pair; the same as Markdown, with what the columns mean below.

    Raises:
        InputError: fewer than two runs, one that is not a run or is named twice, or runs of other clips, labels, true labels
            or folds than the first's; the difference is named.
    """
    if len(paths) < 2:
        raise InputError(f"a comparison must have at least 2 runs. Received: {len(paths)}")
    resolved = [place_at(path).resolve() for path in paths]
    for path in resolved:
        if resolved.count(path) > 1:
            raise InputError(f"runs that are compared must be different ones. Received: {str(path)!r} twice")
    runs = [read_run(path) for path in paths]
    names = _names(resolved)
    synthetic = any(run.synthetic for run in runs)
    parts = {name: _rows(runs, names, name, part) for name, part in _parts(runs, names).items()}
    title = "Synthetic people. " if synthetic else ""
    tables = [(f"{title}{_title(runs[0], name)}", _COLUMNS, _cells(rows)) for name, rows in parts.items()]
    text = "\n".join(f"{title}**{_title(runs[0], name)}**\n\n{_markdown(rows)}" for name, rows in parts.items())
    document = {
        "first": names[0],
        "synthetic": synthetic,
        "protocol": runs[0].protocol,
        "parts": {name: [_to_json(row) for row in rows] for name, rows in parts.items()},
        "notes": [FOOT],
    }
    return document, tables, f"{text}\n{FOOT}\n"


def marks(p: float) -> str:
    """The stars of a p-value."""
    return next((stars for level, stars in _LEVELS if p < level), "")


def _names(paths: Sequence[Place]) -> list[str]:
    """The folders' names; with their parents' where two are alike."""
    short = [path.name for path in paths]
    if len(set(short)) == len(short):
        return short
    parents = [f"{path.parent.name}/{path.name}" for path in paths]
    return parents if len(set(parents)) == len(parents) else [str(path) for path in paths]


def _parts(runs: Sequence[EvaluatedRun], names: Sequence[str]) -> dict[str, list[Predictions]]:
    """The predictions to compare: all of each run, or those of each fold where folds are experiments of their own."""
    for run, name in zip(runs[1:], names[1:], strict=True):
        if run.by_fold != runs[0].by_fold:
            both = f"{runs[0].protocol} in {names[0]!r} and {run.protocol} in {name!r}"
            raise InputError(f"runs that are compared must be of one protocol. Received: {both}")
    if not runs[0].by_fold:
        return {ALL: [run.predictions for run in runs]}
    folds = [run.predictions.by_fold() for run in runs]
    for found, name in zip(folds[1:], names[1:], strict=True):
        differing = sorted(found.keys() ^ folds[0].keys())
        if differing:
            raise InputError(
                f"runs that are compared must have the same folds. Received: {', '.join(differing)} in one of "
                f"{names[0]!r} and {name!r} alone"
            )
    return {fold: [found[fold] for found in folds] for fold in folds[0]}


def _rows(runs: Sequence[EvaluatedRun], names: Sequence[str], title: str, part: Sequence[Predictions]) -> list[_Row]:
    rows = []
    for run, name, predictions in zip(runs, names, part, strict=True):
        against = None
        if rows:
            try:
                against = compare(predictions, part[0])
            except InputError as error:
                raise InputError(f"{name!r} against {names[0]!r}: {error}") from None
        rows.append(_Row(name, run.network, headline(title, predictions), against))
    return rows


def _title(run: EvaluatedRun, part: str) -> str:
    return f"{run.protocol}, {part if run.by_fold else ' + '.join(run.datasets)}"


def _scores(row: _Row) -> list[tuple[float, tuple[float, float]]]:
    scores, intervals = row.headline.scores, row.headline.intervals
    return [(getattr(scores, name), getattr(intervals, name)) for name in ("uf1", "uar", "accuracy")]


def _cells(rows: Sequence[_Row]) -> list[tuple[object, ...]]:
    found = []
    for row in rows:
        scores = [cell for value, interval in _scores(row) for cell in (f"{value:.3f}", span(interval))]
        found.append((row.run, row.headline.scores.clips, *scores, *_against(row.against_first)))
    return found


def _against(found: Comparison | None) -> tuple[str, ...]:
    if found is None:
        return ("", "", "", "", "")
    signed = f"{found.interval[0]:+.3f} – {found.interval[1]:+.3f}"
    return f"{found.difference:+.3f}", signed, _p(found.p), _p(found.mcnemar), _stars(found)


def _stars(found: Comparison) -> str:
    return marks(max(found.p, found.mcnemar))


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _markdown(rows: Sequence[_Row]) -> str:
    lines = []
    for row in rows:
        difference, interval, p, mcnemar, stars = _against(row.against_first)
        scores = (f"{value:.3f} ({span(interval)})" for value, interval in _scores(row))
        delta = f"{difference}{stars} ({interval})" if difference else ""
        lines.append((row.run, row.network, row.headline.scores.clips, *scores, delta, p, mcnemar))
    columns = ("run", "network", "clips", "UF1", "UAR", "accuracy", "ΔUF1", "p", "McNemar p")
    return markdown_table(columns, lines)


def _to_json(row: _Row) -> dict[str, Any]:
    against = None
    if row.against_first is not None:
        against = {**dataclasses.asdict(row.against_first), "marks": _stars(row.against_first)}
    return {"run": row.run, "network": row.network, **row.headline.to_json(), "against_first": against}
