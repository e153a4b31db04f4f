"""Everything that a report says of a run, counted once: its page, its JSON and its tables are written from it."""

from __future__ import annotations

import dataclasses
from typing import Any

from affnet_tf.evaluation.calibration import Calibration, Kept, calibrate, calibration, coverage_curve
from affnet_tf.evaluation.evaluated import EvaluatedRun
from affnet_tf.evaluation.headline import Headline, headlines
from affnet_tf.evaluation.predictions import Prediction, Predictions

__all__ = ["Findings", "Subject", "TestedFold", "findings"]


@dataclasses.dataclass(frozen=True)
class Subject:
    """One subject of one dataset and the predictions of their clips."""

    dataset: str
    subject: str
    rows: tuple[Prediction, ...]

    @property
    def right(self) -> int:
        """How many of them are right."""
        return sum(row.label == row.truth for row in self.rows)


@dataclasses.dataclass(frozen=True)
class TestedFold:
    """Who was held out in a fold: (dataset, subject) each; numbers of clips, None where they were not recorded."""

    name: str
    tested: tuple[tuple[str, str], ...]
    clips: int
    train_clips: int | None
    validation: tuple[tuple[str, str], ...]
    excluded: int
    reason: str


@dataclasses.dataclass(frozen=True)
class Findings:
    """What was found in a run.

    Attributes:
        rows: the headline.
        by_fold: the rows are folds, experiments of their own, and not datasets.
        people: number of persons tested.
        subjects: the worst first.
        calibration: of the probabilities as they are; None without probabilities.
        calibrated: of the probabilities at each fold's temperature; None where a fold has no validation predictions.
        temperatures: by fold.
        coverage: what is left when unsure answers are withheld; empty without probabilities.
        folds: who was held out.
        dropped: clips that the label scheme leaves out, by ``dataset emotion``.
    """

    rows: list[Headline]
    by_fold: bool
    people: int
    subjects: list[Subject]
    calibration: Calibration | None
    calibrated: Calibration | None
    temperatures: dict[str, float]
    coverage: tuple[Kept, ...]
    folds: list[TestedFold]
    dropped: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dictionary; of a subject, the counts."""
        return {
            "rows": [row.to_json() for row in self.rows],
            "people": self.people,
            "subjects": [
                {"dataset": each.dataset, "subject": each.subject, "clips": len(each.rows), "right": each.right}
                for each in self.subjects
            ],
            "calibration": None if self.calibration is None else dataclasses.asdict(self.calibration),
            "calibrated": None if self.calibrated is None else dataclasses.asdict(self.calibrated),
            "temperatures": self.temperatures,
            "coverage": [dataclasses.asdict(each) for each in self.coverage],
            "folds": [dataclasses.asdict(each) for each in self.folds],
            "dropped": self.dropped,
        }


def findings(run: EvaluatedRun) -> Findings:
    """Count everything.

    Raises:
        InputError: there are no predictions, or a temperature would come from persons who are tested.
    """
    predictions = run.predictions
    # Folds that are experiments of their own have no calibration in common.
    probable = predictions.has_probabilities and not run.by_fold
    after, temperatures = _at_temperature(run) if probable else (None, {})
    dropped = run.manifest.get("dropped")
    return Findings(
        rows=headlines(predictions, run.by_fold),
        by_fold=run.by_fold,
        people=len({row.person for row in predictions.rows}),
        subjects=_subjects(predictions),
        calibration=calibration(predictions) if probable else None,
        calibrated=calibration(after) if after else None,
        temperatures=temperatures,
        coverage=coverage_curve(predictions) if probable else (),
        folds=[_fold(run, name, part) for name, part in predictions.by_fold().items()],
        dropped=dropped if isinstance(dropped, dict) else {},
    )


def _at_temperature(run: EvaluatedRun) -> tuple[Predictions | None, dict[str, float]]:
    rows: list[Prediction] = []
    temperatures = {}
    for name, test in run.predictions.by_fold().items():
        validation = run.validation(name)
        if validation is None or not test.has_probabilities:
            return None, {}
        scaled, temperatures[name] = calibrate(validation, test)
        rows += scaled.rows
    return Predictions(run.predictions.labels, tuple(rows)), temperatures


def _subjects(predictions: Predictions) -> list[Subject]:
    rows: dict[tuple[str, str], list[Prediction]] = {}
    for row in predictions.rows:
        rows.setdefault((row.dataset, row.subject), []).append(row)
    people = [Subject(*key, tuple(group)) for key, group in rows.items()]
    return sorted(people, key=lambda each: (each.right / len(each.rows), each.dataset, each.subject))


def _fold(run: EvaluatedRun, name: str, part: Predictions) -> TestedFold:
    document = run.folds.get(name, {})
    validation = run.validation(name)
    return TestedFold(
        name,
        _names(part),
        len(part.rows),
        len(document["train"]) if "train" in document else document.get("train_clips"),
        _names(validation) if validation else (),
        len(document.get("excluded") or ()),
        str(document.get("reason") or ""),
    )


def _names(part: Predictions) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({(row.dataset, row.subject) for row in part.rows}))
