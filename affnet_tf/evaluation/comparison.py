"""Is one network better than another on the same clips? Paired, by person and by clip."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.evaluation import confusion
from affnet_tf.evaluation.metrics import check_pooled, resampled
from affnet_tf.evaluation.predictions import Prediction, Predictions

__all__ = ["Comparison", "compare", "exact_mcnemar"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two sets of predictions of the same clips.

    Attributes:
        clips: number of clips.
        people: number of persons.
        uf1: UF1 of the first and of the second.
        difference: the first's UF1 minus the second's.
        interval: bootstrap interval (low, high) of the difference over persons, the same persons drawn for both.
        p: two-sided bootstrap p-value of no difference in UF1, never below 2 / (draws + 1).
        first_only: clips that the first alone has right.
        second_only: clips that the second alone has right.
        mcnemar: exact two-sided p-value of McNemar's test on those two counts. It takes clips as independent, which those
            of one person are not: where the two p-values disagree, trust the one over persons.
    """

    clips: int
    people: int
    uf1: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p: float
    first_only: int
    second_only: int
    mcnemar: float


def compare(
    first: Predictions, second: Predictions, confidence: float = 0.95, draws: int = 5000, seed: int = 0
) -> Comparison:
    """Compare two sets of predictions, joined by (dataset, clip id).

    Args:
        first: pooled predictions.
        second: pooled predictions of the same clips; the order of its rows and labels may differ.
        confidence: share of the bootstrap distribution inside the interval.
        draws: number of resamples of the persons, with replacement.
        seed: of the resampling.

    Returns:
        The comparison. With one person the interval is (-1, 1) and ``p`` is 1.

    Raises:
        InputError: the clips, the labels or the true label of a clip differ, or there are none.
    """
    second = _aligned(first, second)
    people, ours = confusion.count_by_person(first)
    _, theirs = confusion.count_by_person(second)
    uf1 = float(confusion.uf1(ours.sum(axis=0))), float(confusion.uf1(theirs.sum(axis=0)))
    interval, p = (-1.0, 1.0), 1.0
    if len(people) > 1:
        differences = np.concatenate(
            [
                confusion.uf1(ours[chosen].sum(axis=1)) - confusion.uf1(theirs[chosen].sum(axis=1))
                for chosen in resampled(len(people), draws, seed)
            ]
        )
        tail = (1 - confidence) / 2
        low, high = np.quantile(differences, [tail, 1 - tail])
        interval = float(low), float(high)
        beyond = min(np.sum(differences <= 1e-12), np.sum(differences >= -1e-12))  # equal scores differ by rounding
        p = min(1.0, 2 * float(beyond + 1) / (draws + 1))
    right = [(one.label == one.truth, two.label == two.truth) for one, two in zip(first.rows, second.rows, strict=True)]
    alone = right.count((True, False)), right.count((False, True))
    return Comparison(len(right), len(people), uf1, uf1[0] - uf1[1], interval, p, *alone, exact_mcnemar(*alone))


def exact_mcnemar(first_only: int, second_only: int) -> float:
    """McNemar's exact test: the two-sided binomial p-value of the clips on which just one of two networks is right."""
    trials = first_only + second_only
    tail = sum(math.comb(trials, hits) for hits in range(min(first_only, second_only) + 1))
    return min(1.0, 2 * tail / 2**trials)


def _aligned(first: Predictions, second: Predictions) -> Predictions:
    """The second's rows in the order of the first's, with the first's label indices and subjects."""
    check_pooled(first)
    check_pooled(second)
    if set(first.labels) != set(second.labels):
        both = f"{', '.join(first.labels)} against {', '.join(second.labels)}"
        raise InputError(f"predictions that are compared must have the same labels. Received: {both}")
    theirs = {row.key: row for row in second.rows}
    ours = {row.key: row for row in first.rows}
    missing = [f"{dataset} {clip_id!r}" for dataset, clip_id in ours if (dataset, clip_id) not in theirs]
    extra = [f"{dataset} {clip_id!r}" for dataset, clip_id in theirs if (dataset, clip_id) not in ours]
    if missing or extra:
        parts = [f"the second {verb} {_few(keys)}" for verb, keys in (("lacks", missing), ("adds", extra)) if keys]
        raise InputError(f"predictions that are compared must be of the same clips. Received: {'; '.join(parts)}")
    place = [first.labels.index(label) for label in second.labels]
    rows = tuple(_translated(theirs[row.key], row, place) for row in first.rows)
    for ours_row, row in zip(first.rows, rows, strict=True):
        if ours_row.truth != row.truth:
            both = f"{first.labels[ours_row.truth]} against {first.labels[row.truth]}"
            rule = f"the true label of {row.dataset} {row.clip_id!r} must be the same"
            raise InputError(f"{rule}. Received: {both}")
    return Predictions(first.labels, rows)


def _translated(row: Prediction, other: Prediction, place: list[int]) -> Prediction:
    return dataclasses.replace(other, truth=place[row.truth], probabilities=(), decided=place[row.label])


def _few(keys: list[str]) -> str:
    return f"{len(keys)} clips: {', '.join(keys[:5])}{', …' if len(keys) > 5 else ''}"
