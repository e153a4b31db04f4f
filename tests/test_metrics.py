import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from affnet_tf.errors import InputError
from affnet_tf.evaluation.metrics import chance_uf1, score, uf1_interval
from affnet_tf.evaluation.predictions import Prediction, Predictions


def predictions_of(truth, predicted, labels=("a", "b", "c"), people=None) -> Predictions:
    eye = np.eye(len(labels))
    people = people or [str(i) for i in range(len(truth))]
    return Predictions(
        labels,
        tuple(
            Prediction("d", str(i), who, who, t, tuple(eye[p]))
            for i, (t, p, who) in enumerate(zip(truth, predicted, people, strict=True))
        ),
    )


def by_hand(truth, predicted, classes: int) -> tuple[float, float]:
    """UF1 and UAR by their definitions, counted one clip at a time."""
    f1, recall = [], []
    for c in range(classes):
        tp = sum(t == p == c for t, p in zip(truth, predicted, strict=True))
        fp = sum(p == c != t for t, p in zip(truth, predicted, strict=True))
        fn = sum(t == c != p for t, p in zip(truth, predicted, strict=True))
        f1.append(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0)
        recall.append(tp / (tp + fn) if tp + fn else 0.0)
    return sum(f1) / classes, sum(recall) / classes


PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40)


@settings(deadline=None)
@given(PAIRS)
def test_scores_are_those_of_the_definitions(pairs):
    truth, predicted = zip(*pairs, strict=True)
    scores = score(predictions_of(truth, predicted))
    assert (scores.uf1, scores.uar) == pytest.approx(by_hand(truth, predicted, 3))
    assert scores.accuracy == pytest.approx(sk.accuracy_score(truth, predicted))
    for c, label in enumerate("abc"):
        row = scores.per_class[label]
        assert row["clips"] == truth.count(c)
        ours, theirs = [t == c for t in truth], [p == c for p in predicted]
        assert row["precision"] == pytest.approx(sk.precision_score(ours, theirs, zero_division=0))
        assert row["recall"] == pytest.approx(sk.recall_score(ours, theirs, zero_division=0))
        assert row["f1"] == pytest.approx(sk.f1_score(ours, theirs, zero_division=0))
    weighted = sum(scores.per_class[label]["f1"] * truth.count(c) for c, label in enumerate("abc")) / len(truth)
    assert scores.weighted_f1 == pytest.approx(weighted)
    for i, j in itertools.product(range(3), range(3)):
        assert scores.confusion[i][j] == pairs.count((i, j))
    json.dumps(scores.to_json(), allow_nan=False)


def test_worked_by_hand():
    """Confusion [[3, 1, 0], [1, 1, 0], [0, 1, 1]]: F1 = 6/8, 2/5, 2/3; recall = 3/4, 1/2, 1/2."""
    truth = [0, 0, 0, 0, 1, 1, 2, 2]
    predicted = [0, 0, 0, 1, 0, 1, 1, 2]
    scores = score(predictions_of(truth, predicted))
    assert scores.confusion == ((3, 1, 0), (1, 1, 0), (0, 1, 1))
    assert scores.uf1 == pytest.approx((6 / 8 + 2 / 5 + 2 / 3) / 3)
    assert scores.uar == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    assert scores.accuracy == 5 / 8
    assert scores.weighted_f1 == pytest.approx((4 * 6 / 8 + 2 * 2 / 5 + 2 * 2 / 3) / 8)
    assert scores.clips == 8


def test_a_class_without_clips_counts_as_zero():
    """Two classes are perfect, the third has no clip and is never predicted: 2/3, as the MEGC2019 evaluation has it."""
    scores = score(predictions_of([0, 1], [0, 1]))
    assert scores.uf1 == pytest.approx(2 / 3)
    assert scores.uar == pytest.approx(2 / 3)
    assert scores.per_class["c"] == {"precision": 0, "recall": 0, "f1": 0, "clips": 0}
    assert len(scores.confusion) == 3


def test_pooled_is_not_the_mean_of_folds():
    """Subject x has only class 0, y only class 1; one clip of each is wrong. Pooled UF1 is 0.75, the mean of folds 0.43."""
    truth, predicted, people = [0] * 4 + [1] * 4, [0, 0, 0, 1, 1, 1, 1, 0], ["x"] * 4 + ["y"] * 4
    pooled = score(predictions_of(truth, predicted, ("a", "b"), people)).uf1
    folds = [score(predictions_of(truth[i : i + 4], predicted[i : i + 4], ("a", "b"))).uf1 for i in (0, 4)]
    assert pooled == pytest.approx(0.75)
    assert np.mean(folds) == pytest.approx(3 / 7)


def test_no_clips():
    with pytest.raises(InputError, match="at least one clip"):
        score(Predictions(("a", "b"), ()))
    with pytest.raises(InputError, match="at least one clip"):
        uf1_interval(Predictions(("a", "b"), ()))


def many(rng, people: int, right: float) -> Predictions:
    truth = rng.integers(0, 3, people * 6)
    wrong = rng.random(len(truth)) > right
    predicted = np.where(wrong, (truth + rng.integers(1, 3, len(truth))) % 3, truth)
    return predictions_of(truth.tolist(), predicted.tolist(), people=[f"s{i // 6}" for i in range(len(truth))])


def test_the_interval_covers_the_score_of_new_people():
    """Of 60 repetitions of one experiment, a 95 % interval should miss the score of very many people about 3 times."""
    rng = np.random.default_rng(0)
    expected = score(many(rng, 3000, 0.6)).uf1
    intervals = [uf1_interval(many(rng, 25, 0.6), draws=300) for _ in range(60)]
    missed = sum(not low <= expected <= high for low, high in intervals)
    assert missed <= 9
    assert 0.05 < np.mean([high - low for low, high in intervals]) < 0.3


def test_the_interval_is_over_people():
    """One person's clips stand or fall together: when whole people are right or wrong, the interval is much wider."""
    truth = list(range(3)) * 20
    people = [f"s{i // 6}" for i in range(60)]
    together = [t if (i // 6) % 2 else (t + 1) % 3 for i, t in enumerate(truth)]
    apart = [t if (i // 3) % 2 else (t + 1) % 3 for i, t in enumerate(truth)]
    low, high = uf1_interval(predictions_of(truth, together, people=people))
    assert high - low > 0.4
    low, high = uf1_interval(predictions_of(truth, apart, people=people))
    assert high - low < 1e-9


def test_the_interval_is_deterministic():
    predictions = many(np.random.default_rng(1), 10, 0.7)
    assert uf1_interval(predictions) == uf1_interval(predictions)
    assert uf1_interval(predictions, seed=1) != uf1_interval(predictions, seed=2)
    low, high = uf1_interval(predictions)
    narrow = uf1_interval(predictions, confidence=0.5)
    assert low < narrow[0] < score(predictions).uf1 < narrow[1] < high


def test_the_same_name_in_two_datasets_is_two_people():
    rows = tuple(Prediction(d, str(t), "sub01", "f", t, (1.0, 0.0)) for d in ("casme", "casme2") for t in (0, 1))
    low, high = uf1_interval(Predictions(("a", "b"), rows))
    assert low == high, "each of the two people has one clip of each class"
    rows = tuple(Prediction(d, "a", "sub01", "f", t, (1.0, 0.0)) for t, d in enumerate(("casme", "casme2")))
    low, high = uf1_interval(Predictions(("a", "b"), rows))
    assert (low, high) == (0.0, 0.5), "two people with a clip each: only class 1, or only class 0"


def test_chance_against_all_permutations():
    """Every order of 7 labels, one by one, gives the exact distribution of UF1 by chance."""
    truth = [0, 0, 0, 0, 1, 1, 2]
    exact = [by_hand(truth, guess, 3)[0] for guess in itertools.permutations(truth)]
    low, high = chance_uf1(truth, 3, draws=20_000)
    grid = np.unique(exact)
    for value, share in ((low, 0.025), (high, 0.975)):
        rank = np.searchsorted(grid, value - 1e-9)
        below, upto = np.mean(np.array(exact) < grid[rank] - 1e-9), np.mean(np.array(exact) <= grid[rank] + 1e-9)
        assert value == pytest.approx(grid[rank])
        assert below - 0.01 <= share <= upto + 0.01
    assert chance_uf1(truth, 3) == chance_uf1(truth, 3)
