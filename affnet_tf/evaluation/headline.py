"""The rows of a result: all clips and each dataset, or, where folds are experiments of their own, each fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from affnet_tf.evaluation.metrics import Intervals, Scores, chance_uf1, intervals, score
from affnet_tf.evaluation.predictions import Predictions

__all__ = ["ALL", "Headline", "Table", "headline", "headlines", "span", "tables"]

ALL = "all"

Table = tuple[str, tuple[str, ...], list[tuple[object, ...]]]


@dataclasses.dataclass(frozen=True)
class Headline:
    """One row: its name, its scores, their 95 % intervals over persons, and the interval of UF1 by chance."""

    name: str
    scores: Scores
    intervals: Intervals
    chance_uf1: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {
            "name": self.name,
            **self.scores.to_json(),
            "intervals": dataclasses.asdict(self.intervals),
            "chance_uf1": self.chance_uf1,
        }


def headlines(predictions: Predictions, by_fold: bool = False) -> list[Headline]:
    """``all`` and, of several, each dataset; or each fold, such as ``casme2-to-samm``.

    Args:
        predictions: of all folds.
        by_fold: the folds are experiments of their own, as in ``cross_dataset``. Where a clip is tested in several folds,
            they are in any case.

    Raises:
        InputError: there are no predictions.
    """
    if by_fold or (predictions.rows and not predictions.pooled):
        return [headline(name, part) for name, part in predictions.by_fold().items()]
    datasets = predictions.by_dataset()
    parts = {ALL: predictions, **(datasets if len(datasets) > 1 else {})}
    return [headline(name, part) for name, part in parts.items()]


def headline(name: str, part: Predictions) -> Headline:
    """One row.

    Raises:
        InputError: there are no predictions, or a clip was tested in several folds.
    """
    return Headline(name, score(part), intervals(part), chance_uf1(part.truth, len(part.labels)))


def tables(rows: Sequence[Headline]) -> list[Table]:
    """The headline, the classes and the confusion matrices as tables (title, columns, rows)."""
    found: list[Table] = [
        (
            "Scores, with 95 % intervals over persons",
            ("", "clips", "people", "accuracy", "", "UF1", "", "UAR", "", "weighted F1", "UF1 by chance"),
            [
                (
                    row.name,
                    row.scores.clips,
                    row.intervals.people,
                    *(
                        cell
                        for name in ("accuracy", "uf1", "uar")
                        for cell in (f"{getattr(row.scores, name):.3f}", span(getattr(row.intervals, name)))
                    ),
                    f"{row.scores.weighted_f1:.3f}",
                    span(row.chance_uf1),
                )
                for row in rows
            ],
        )
    ]
    for row in rows:
        suffix = "" if len(rows) == 1 else f", {row.name}"
        found.append(
            (
                f"Classes{suffix}",
                ("class", "precision", "recall", "F1", "clips"),
                [
                    (label, *(f"{measures[key]:.3f}" for key in ("precision", "recall", "f1")), measures["clips"])
                    for label, measures in row.scores.per_class.items()
                ],
            )
        )
        found.append(
            (
                f"Confusion (rows: true, columns: predicted){suffix}",
                ("", *row.scores.labels),
                [(label, *counts) for label, counts in zip(row.scores.labels, row.scores.confusion, strict=True)],
            )
        )
    return found


def span(interval: Sequence[float]) -> str:
    """An interval as text."""
    return f"{interval[0]:.3f} – {interval[1]:.3f}"
