"""Scores, from predictions alone. Folds are pooled first and scored once; a mean of folds is a different number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support, recall_score

from affnet_tf.errors import InputError
from affnet_tf.evaluation.predictions import Predictions

__all__ = ["Scores", "chance_uf1", "score", "uf1_interval"]


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


def score(predictions: Predictions) -> Scores:
    """Score pooled predictions.

    Raises:
        InputError: there are none.
    """
    truth, predicted = predictions.truth, predictions.predicted
    if not truth:
        raise InputError("predictions must hold at least one clip. Received: none")
    classes = range(len(predictions.labels))
    options: dict[str, Any] = {"labels": list(classes), "zero_division": 0.0}
    columns = precision_recall_fscore_support(truth, predicted, **options)
    per_class = {
        label: {"precision": float(p), "recall": float(r), "f1": float(f), "clips": int(n)}
        for label, p, r, f, n in zip(predictions.labels, *columns, strict=True)
    }
    return Scores(
        labels=predictions.labels,
        clips=len(truth),
        accuracy=float(accuracy_score(truth, predicted)),
        uf1=float(f1_score(truth, predicted, average="macro", **options)),
        uar=float(recall_score(truth, predicted, average="macro", **options)),
        weighted_f1=float(f1_score(truth, predicted, average="weighted", **options)),
        per_class=per_class,
        confusion=tuple(tuple(map(int, row)) for row in confusion_matrix(truth, predicted, labels=list(classes))),
    )


def uf1_interval(
    predictions: Predictions, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of UF1 over *subjects*: clips of one person are not independent, people are.

    Args:
        predictions: pooled over all folds.
        confidence: share of the bootstrap distribution inside the interval.
        draws: number of resamples of the subjects, with replacement.
        seed: of the resampling.

    Returns:
        (low, high) of the percentile interval.

    Raises:
        InputError: there are no predictions.
    """
    if not predictions.rows:
        raise InputError("predictions must hold at least one clip. Received: none")
    classes = len(predictions.labels)
    people: dict[tuple[str, str], np.ndarray] = {}
    for row in predictions.rows:
        matrix = people.setdefault((row.dataset, row.subject), np.zeros((classes, classes)))
        matrix[row.truth, row.label] += 1
    matrices = np.stack(list(people.values()))
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(matrices), (draws, len(matrices)))
    values = _uf1(matrices[chosen].sum(axis=1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _uf1(confusion: np.ndarray) -> np.ndarray:
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)  # TP + FN + TP + FP
    return np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0).mean(axis=-1)


def chance_uf1(truth: Sequence[int], classes: int, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of UF1 when labels are guessed in their true proportions."""
    truth = np.asarray(truth)
    rng = np.random.default_rng(seed)
    matrices = np.zeros((draws, classes, classes))
    for matrix in matrices:
        np.add.at(matrix, (truth, rng.permutation(truth)), 1)
    low, high = np.quantile(_uf1(matrices), [0.025, 0.975])
    return float(low), float(high)
