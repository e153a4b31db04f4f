"""Confusion matrices of predictions, and the measures of them: the one place that counts.

A matrix has true labels in rows and predicted ones in columns. The measures take matrices of shape (..., C, C) and return
one number in [0, 1] for each; F1 and recall of a class without a clip count as 0, as in the MEGC2019 evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affnet_tf.evaluation.predictions import Predictions

__all__ = ["accuracy", "class_measures", "count", "count_by_person", "uar", "uf1", "weighted_f1"]


def count(truth: Sequence[int] | np.ndarray, predicted: Sequence[int] | np.ndarray, classes: int) -> np.ndarray:
    """The matrix (C, C) int64 of clips with these true and predicted label indices, in the same order."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (np.asarray(truth, int), np.asarray(predicted, int)), 1)
    return matrix


def count_by_person(predictions: Predictions) -> tuple[list[str], np.ndarray]:
    """The persons, in the order in which they occur, and a matrix of each: (persons, C, C) int64."""
    pairs: dict[str, list[tuple[int, int]]] = {}
    for row in predictions.rows:
        pairs.setdefault(row.person, []).append((row.truth, row.label))
    classes = len(predictions.labels)
    matrices = [count(*zip(*own, strict=True), classes) for own in pairs.values()]
    return list(pairs), np.array(matrices, np.int64).reshape(-1, classes, classes)


def class_measures(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 = 2TP / (2TP + FP + FN) of each class: three arrays (..., C)."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    true, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    return _ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, true + predicted)


def accuracy(matrix: np.ndarray) -> np.ndarray:
    """The share of clips that are right; 0 where there are none."""
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1)))


def uf1(matrix: np.ndarray) -> np.ndarray:
    """The unweighted mean of the classes' F1."""
    return class_measures(matrix)[2].mean(axis=-1)


def uar(matrix: np.ndarray) -> np.ndarray:
    """The unweighted mean of the classes' recall."""
    return class_measures(matrix)[1].mean(axis=-1)


def weighted_f1(matrix: np.ndarray) -> np.ndarray:
    """The mean of the classes' F1, weighed by their clips."""
    clips = matrix.sum(axis=-1)
    return _ratio((class_measures(matrix)[2] * clips).sum(axis=-1), clips.sum(axis=-1))


def _ratio(part: np.ndarray | Sequence[float], whole: np.ndarray) -> np.ndarray:
    part = np.asarray(part, float)
    return np.divide(part, whole, out=np.zeros_like(part), where=np.asarray(whole) > 0)
