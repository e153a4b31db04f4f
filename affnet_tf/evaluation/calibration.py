"""Can the probabilities be believed? Temperature scaling, calibration error, and abstaining where confidence is low.

A temperature is fitted to predictions of *validation* persons and applied to those of test persons; ``calibrate`` refuses
predictions that share a person. The confidence of a prediction is the probability of its most probable label.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.evaluation import confusion
from affnet_tf.evaluation.predictions import Predictions

__all__ = [
    "Bin",
    "Calibration",
    "Kept",
    "abstain",
    "apply_temperature",
    "calibrate",
    "calibration",
    "coverage_curve",
    "fit_temperature",
]

LIMITS = (0.05, 20.0)
"""Temperatures that are considered: where all validation clips are right, ever sharper probabilities would fit better."""

_LEAST = 1e-12


@dataclasses.dataclass(frozen=True)
class Bin:
    """Predictions whose confidence lies in (``low``, ``high``]: how many, their mean confidence and their accuracy.

    Confidence and accuracy are None in a bin without a clip.
    """

    low: float
    high: float
    clips: int
    confidence: float | None
    accuracy: float | None


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far confidence is from accuracy.

    Attributes:
        ece: expected calibration error: the mean over the clips of |accuracy - confidence| of their bins.
        nll: mean negative log-likelihood of the true labels, in nats.
        bins: bins of equal width from 0 to 1, for a reliability diagram.
    """

    ece: float
    nll: float
    bins: tuple[Bin, ...]


@dataclasses.dataclass(frozen=True)
class Kept:
    """What is left when predictions with a confidence below ``threshold`` are withheld.

    ``coverage`` is the share of clips that are kept; accuracy and UF1 are those of the kept clips, None where there are
    none. A class of which no clip is kept counts as 0 in UF1.
    """

    threshold: float
    clips: int
    coverage: float
    accuracy: float | None
    uf1: float | None


def fit_temperature(validation: Predictions) -> float:
    """The temperature T that makes softmax(log p / T) most likely on validation predictions; above 1: overconfident.

    The logits that gave p do as well as log p, since they differ by one number for each clip. T lies within ``LIMITS``.
    Guo et al.: On calibration of modern neural networks, ICML 2017.

    Raises:
        InputError: there are no predictions, or they have no probabilities.
    """
    from scipy.optimize import minimize_scalar

    logs, truth = _logs(validation), np.array(validation.truth)
    bounds = tuple(map(math.log, LIMITS))
    found = minimize_scalar(
        lambda t: _nll(logs / math.exp(t), truth), bounds=bounds, method="bounded", options={"xatol": 1e-6}
    )
    return float(math.exp(found.x))


def apply_temperature(predictions: Predictions, temperature: float) -> Predictions:
    """The predictions with probabilities softmax(log p / temperature): the most probable label stays the same.

    Raises:
        InputError: they have no probabilities, or the temperature is not positive.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature must be positive. Received: {temperature}")
    probabilities = np.exp(_log_softmax(_logs(predictions) / temperature))
    rows = (
        dataclasses.replace(row, probabilities=tuple(map(float, numbers)), decided=row.label)
        for row, numbers in zip(predictions.rows, probabilities, strict=True)
    )
    return Predictions(predictions.labels, tuple(rows))


def calibrate(validation: Predictions, test: Predictions) -> tuple[Predictions, float]:
    """The test predictions of a fold at the temperature that its validation predictions ask for, and that temperature.

    Raises:
        InputError: a person is in both, the labels differ, there are no predictions, or they have no probabilities.
    """
    shared = sorted({row.person for row in validation.rows} & {row.person for row in test.rows})
    if shared:
        rule = "a temperature must be fitted to persons who are not tested"
        raise InputError(f"{rule}. Received: {', '.join(shared[:5])} in both")
    if validation.labels != test.labels:
        both = f"{', '.join(validation.labels)} and {', '.join(test.labels)}"
        raise InputError(f"validation and test predictions must have the same labels. Received: {both}")
    temperature = fit_temperature(validation)
    return apply_temperature(test, temperature), temperature


def calibration(predictions: Predictions, bins: int = 10) -> Calibration:
    """The expected calibration error in ``bins`` bins of equal width, and the bins.

    Raises:
        InputError: there are no predictions, they have no probabilities, or there is no bin.
    """
    if bins < 1:
        raise InputError(f"calibration must have at least 1 bin. Received: {bins}")
    logs = _logs(predictions)
    confidence, right = _confidence(predictions)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    filled = []
    for i in range(bins):
        own = place == i
        means = (float(confidence[own].mean()), float(right[own].mean())) if own.any() else (None, None)
        filled.append(Bin(i / bins, (i + 1) / bins, int(own.sum()), *means))
    gaps = [one.clips * abs(one.accuracy - one.confidence) for one in filled if one.clips]
    return Calibration(sum(gaps) / len(right), _nll(logs, np.array(predictions.truth)), tuple(filled))


def abstain(predictions: Predictions, threshold: float) -> Kept:
    """What is kept when the network abstains from clips whose confidence is below a threshold.

    Raises:
        InputError: there are no predictions, or they have no probabilities.
    """
    kept = np.flatnonzero(_confidence(predictions)[0] >= threshold)
    if not len(kept):
        return Kept(threshold, 0, 0.0, None, None)
    truth, predicted = np.array(predictions.truth)[kept], np.array(predictions.predicted)[kept]
    matrix = confusion.count(truth, predicted, len(predictions.labels))
    share = len(kept) / len(predictions.rows)
    return Kept(threshold, len(kept), share, float(confusion.accuracy(matrix)), float(confusion.uf1(matrix)))


def coverage_curve(predictions: Predictions) -> tuple[Kept, ...]:
    """What is kept at every confidence that occurs, from the highest to the lowest; the last point keeps all clips.

    Raises:
        InputError: there are no predictions, or they have no probabilities.
    """
    confidence, _ = _confidence(predictions)
    order = np.argsort(-confidence, kind="stable")
    thresholds, clips = np.unique(-confidence[order], return_counts=True)
    ends = np.cumsum(clips)
    matrices = np.zeros((len(ends), *[len(predictions.labels)] * 2), np.int64)
    truth, predicted = np.array(predictions.truth)[order], np.array(predictions.predicted)[order]
    for matrix, start, end in zip(matrices, ends - clips, ends, strict=True):
        matrix += confusion.count(truth[start:end], predicted[start:end], len(predictions.labels))
    matrices = matrices.cumsum(axis=0)
    points = zip(thresholds, ends, confusion.accuracy(matrices), confusion.uf1(matrices), strict=True)
    return tuple(
        Kept(float(-negative), int(end), int(end) / len(order), float(right), float(uf1))
        for negative, end, right, uf1 in points
    )


def _confidence(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """The confidence of each clip and whether it is right: float64 (N,) and bool (N,)."""
    _logs(predictions)
    confidence = np.array([max(row.probabilities) for row in predictions.rows])
    return confidence, np.array([row.label == row.truth for row in predictions.rows])


def _logs(predictions: Predictions) -> np.ndarray:
    if not predictions.has_probabilities:
        received = f"{len(predictions.rows)} clips without" if predictions.rows else "no clips"
        raise InputError(f"calibration must have predictions with probabilities. Received: {received}")
    return np.log(np.maximum([row.probabilities for row in predictions.rows], _LEAST))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _nll(logits: np.ndarray, truth: np.ndarray) -> float:
    return float(-_log_softmax(logits)[np.arange(len(truth)), truth].mean())
