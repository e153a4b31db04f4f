import dataclasses

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from affnet_tf.errors import InputError
from affnet_tf.evaluation.comparison import compare, exact_mcnemar
from affnet_tf.evaluation.metrics import resampled
from affnet_tf.evaluation.predictions import Prediction, Predictions

LABELS = ("a", "b", "c")


def predictions_of(truth, predicted, people, labels=LABELS) -> Predictions:
    rows = enumerate(zip(truth, predicted, people, strict=True))
    return Predictions(labels, tuple(Prediction("d", str(i), who, "", t, (), p) for i, (t, p, who) in rows))


def guesses(rng, truth, right: float) -> list[int]:
    return np.where(rng.random(len(truth)) < right, truth, (truth + rng.integers(1, 3, len(truth))) % 3).tolist()


def pair(seed: int, one: float, other: float, people: int = 20, each: int = 8) -> tuple[Predictions, Predictions]:
    rng = np.random.default_rng(seed)
    truth, names = rng.integers(0, 3, people * each), [f"s{i // each}" for i in range(people * each)]
    first, second = guesses(rng, truth, one), guesses(rng, truth, other)
    return predictions_of(truth.tolist(), first, names), predictions_of(truth.tolist(), second, names)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 3), (2, 9), (9, 2), (40, 22), (700, 640)])
def test_mcnemar_against_scipy(first, second):
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert exact_mcnemar(first, second) == pytest.approx(expected)


def test_worked_by_hand():
    """Of 8 clips, the first network has 6 right and the second 3; both 2: 4 against 1, p = 2 (1 + 5) / 32."""
    truth = [0, 0, 0, 0, 1, 1, 1, 1]
    first = predictions_of(truth, [0, 0, 0, 1, 1, 1, 1, 0], list("wxyzwxyz"), ("a", "b"))
    second = predictions_of(truth, [0, 1, 1, 0, 1, 0, 0, 0], list("wxyzwxyz"), ("a", "b"))
    found = compare(first, second)
    assert (found.clips, found.people, found.first_only, found.second_only) == (8, 4, 4, 1)
    assert found.mcnemar == pytest.approx(2 * (1 + 5) / 32)
    # first: [[3, 1], [1, 3]], F1 3/4 and 3/4; second: [[2, 2], [3, 1]], F1 4/9 and 2/7
    assert found.uf1 == pytest.approx((3 / 4, (4 / 9 + 2 / 7) / 2))
    assert found.difference == pytest.approx(3 / 4 - (4 / 9 + 2 / 7) / 2)


def test_the_bootstrap_against_a_loop_over_clips():
    first, second = pair(1, 0.7, 0.55, people=6)
    differences = []
    for chosen in np.concatenate(list(resampled(6, 60, 3))):
        rows = [i for person in chosen for i in range(len(first.rows)) if first.rows[i].subject == f"s{person}"]
        truth = [first.rows[i].truth for i in rows]
        one, other = ([side.rows[i].label for i in rows] for side in (first, second))
        options = {"average": "macro", "labels": [0, 1, 2], "zero_division": 0}
        differences.append(f1_score(truth, one, **options) - f1_score(truth, other, **options))
    found = compare(first, second, 0.9, draws=60, seed=3)
    np.testing.assert_allclose(found.interval, np.quantile(differences, [0.05, 0.95]))
    differences = np.round(differences, 12)
    assert found.p == pytest.approx(min(1, 2 * (min(np.sum(differences <= 0), np.sum(differences >= 0)) + 1) / 61))


def test_a_difference_is_found_and_none_is_not_made_up():
    found = [compare(*pair(seed, 0.75, 0.5), draws=400) for seed in range(10)]
    assert all(one.interval[0] > 0 and one.p < 0.05 and one.mcnemar < 0.05 for one in found)
    alike = [compare(*pair(seed, 0.6, 0.6), draws=300) for seed in range(1000, 1120)]
    assert sum(one.p < 0.05 for one in alike) <= 14, "6 of 120 are expected"
    assert sum(not one.interval[0] <= 0 <= one.interval[1] for one in alike) <= 14
    assert 0.25 < np.mean([one.p for one in alike]) < 0.75


def test_the_other_way_round():
    first, second = pair(2, 0.7, 0.6)
    there, back = compare(first, second), compare(second, first)
    assert back.difference == -there.difference
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]))
    assert (back.first_only, back.second_only) == (there.second_only, there.first_only)
    assert (back.p, back.mcnemar) == pytest.approx((there.p, there.mcnemar))
    same = compare(first, first)
    assert (same.difference, same.interval, same.p, same.mcnemar) == (0, (0, 0), 1, 1)


def test_clips_are_joined_by_id_and_labels_by_name():
    """The second's rows stand in another order, its labels too, and its subjects are spelt differently."""
    first, second = pair(3, 0.8, 0.5)
    place = [2, 0, 1]
    labels = tuple(LABELS[place.index(i)] for i in range(3))
    rows = [
        dataclasses.replace(row, truth=place[row.truth], decided=place[row.label], subject=f"subject-{row.subject}")
        for row in second.rows
    ]
    np.random.default_rng(0).shuffle(rows)
    assert compare(first, Predictions(labels, tuple(rows))) == compare(first, second)


def test_one_person_says_nothing():
    first, second = pair(4, 0.9, 0.3, people=1)
    assert (compare(first, second).interval, compare(first, second).p) == ((-1, 1), 1)


def test_what_cannot_be_compared():
    first, second = pair(5, 0.8, 0.5, people=2, each=2)
    with pytest.raises(InputError, match=r"same clips\. Received: the second lacks 1 clips: d '0'$"):
        compare(first, Predictions(LABELS, second.rows[1:]))
    with pytest.raises(InputError, match=r"the second lacks 1 clips: d '3'; the second adds 1 clips: e '3'"):
        compare(first, Predictions(LABELS, (*second.rows[:3], dataclasses.replace(second.rows[3], dataset="e"))))
    with pytest.raises(InputError, match=r"must have the same labels\. Received: a, b, c against a, b, d"):
        compare(first, Predictions(("a", "b", "d"), second.rows))
    other = dataclasses.replace(second.rows[2], truth=(second.rows[2].truth + 1) % 3)
    with pytest.raises(InputError, match=r"true label of d '2' must be the same\. Received: [abc] against [abc]"):
        compare(first, Predictions(LABELS, (*second.rows[:2], other, second.rows[3])))
    with pytest.raises(InputError, match="at least one clip"):
        compare(first, Predictions(LABELS, ()))
    twice = tuple(dataclasses.replace(row, fold=fold) for fold in ("x-to-d", "y-to-d") for row in second.rows)
    with pytest.raises(InputError, match=r"must have each clip once"):
        compare(first, Predictions(LABELS, twice))
