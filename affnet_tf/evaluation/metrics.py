"""Scores, from predictions alone. Folds are pooled first and scored once; a mean of folds is a different number."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.evaluation import confusion
from affnet_tf.evaluation.predictions import Predictions

__all__ = [
    "Intervals",
    "Scores",
    "chance_uf1",
    "check_pooled",
    "intervals",
    "resampled",
    "score",
    "score_by_dataset",
    "score_by_fold",
    "uf1_interval",
]


@dataclasses.dataclass(frozen=True)
class Scores:
    """The field's measures of one set of predictions.

    Attributes:
        labels: label names, in the order of the confusion matrix.
        clips: number of clips.
        accuracy: share of clips that are right.
        uf1: unweighted mean over the classes of F1 = 2TP / (2TP + FP + FN), with TP, FP, FN summed over all folds.
        uar: unweighted mean over the classes of recall.
        weighted_f1: F1 weighed by each class's clips.
        per_class: label -> precision, recall, f1, clips.
        confusion: rows are true labels, columns predicted ones.

    A class without a single clip counts as 0 in ``uf1`` and ``uar``, as it does in the MEGC2019 evaluation.
    """

    labels: tuple[str, ...]
    clips: int
    accuracy: float
    uf1: float
    uar: float
    weighted_f1: float
    per_class: dict[str, dict[str, float]]
    confusion: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Bootstrap intervals (low, high) over persons of accuracy, UF1 and UAR, and how many persons there were."""

    people: int
    accuracy: tuple[float, float]
    uf1: tuple[float, float]
    uar: tuple[float, float]


def score(predictions: Predictions) -> Scores:
    """Score pooled predictions.

    Raises:
        InputError: there are none, or a clip was tested in several folds: see ``score_by_fold``.
    """
    check_pooled(predictions)
    matrix = confusion.count(predictions.truth, predictions.predicted, len(predictions.labels))
    columns = (*confusion.class_measures(matrix), matrix.sum(axis=1))
    return Scores(
        labels=predictions.labels,
        clips=len(predictions.rows),
        accuracy=float(confusion.accuracy(matrix)),
        uf1=float(confusion.uf1(matrix)),
        uar=float(confusion.uar(matrix)),
        weighted_f1=float(confusion.weighted_f1(matrix)),
        per_class={
            label: {"precision": float(p), "recall": float(r), "f1": float(f), "clips": int(n)}
            for label, p, r, f, n in zip(predictions.labels, *columns, strict=True)
        },
        confusion=tuple(tuple(map(int, row)) for row in matrix),
    )


def score_by_dataset(predictions: Predictions) -> dict[str, Scores]:
    """The scores of each dataset's clips; the folds are pooled.

    Raises:
        InputError: see ``score``.
    """
    check_pooled(predictions)
    return {name: score(part) for name, part in predictions.by_dataset().items()}


def score_by_fold(predictions: Predictions) -> dict[str, Scores]:
    """The scores of each fold: for ``cross_dataset``, whose folds are experiments of their own."""
    return {name: score(part) for name, part in predictions.by_fold().items()}


def intervals(predictions: Predictions, confidence: float = 0.95, draws: int = 2000, seed: int = 0) -> Intervals:
    """Bootstrap intervals over *persons*: clips of one person are not independent, people are.

    Args:
        predictions: pooled over all folds.
        confidence: share of the bootstrap distribution inside the interval.
        draws: number of resamples of the persons, with replacement.
        seed: of the resampling.

    Returns:
        Percentile intervals. One person says nothing about others: then they are (0, 1).

    Raises:
        InputError: there are no predictions, or a clip was tested in several folds.
    """
    check_pooled(predictions)
    people, matrices = confusion.count_by_person(predictions)
    if len(people) == 1:
        return Intervals(1, (0.0, 1.0), (0.0, 1.0), (0.0, 1.0))
    sums = np.concatenate([matrices[chosen].sum(axis=1) for chosen in resampled(len(people), draws, seed)])
    tail = (1 - confidence) / 2

    def interval(values: np.ndarray) -> tuple[float, float]:
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    measures = (confusion.accuracy, confusion.uf1, confusion.uar)
    return Intervals(len(people), *(interval(measure(sums)) for measure in measures))


def uf1_interval(
    predictions: Predictions, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The interval of UF1 alone: see ``intervals``."""
    return intervals(predictions, confidence, draws, seed).uf1


def resampled(people: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of persons drawn with replacement, (draws, people) int64, in pieces that fit into memory."""
    rng = np.random.default_rng(seed)
    piece = max(1, 200_000 // people)
    for start in range(0, draws, piece):
        yield rng.integers(0, people, (min(piece, draws - start), people))


def chance_uf1(truth: Sequence[int], classes: int, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of UF1 when labels are guessed in their true proportions."""
    truth = np.asarray(truth)
    rng = np.random.default_rng(seed)
    matrices = np.stack([confusion.count(truth, rng.permutation(truth), classes) for _ in range(draws)])
    low, high = np.quantile(confusion.uf1(matrices), [0.025, 0.975])
    return float(low), float(high)


def check_pooled(predictions: Predictions) -> None:
    """Check that the rows may be scored together.

    Raises:
        InputError: there are none, or a clip was tested in several folds.
    """
    if not predictions.rows:
        raise InputError("predictions must hold at least one clip. Received: none")
    if not predictions.pooled:
        folds = ", ".join(dict.fromkeys(row.fold for row in predictions.rows))
        raise InputError(f"predictions that are pooled must have each clip once. Received: clips in several of {folds}")
