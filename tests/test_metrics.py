import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from affnet_tf.errors import InputError
from affnet_tf.evaluation import confusion
from affnet_tf.evaluation.metrics import (
    chance_uf1,
    intervals,
    resampled,
    score,
    score_by_dataset,
    score_by_fold,
    uf1_interval,
)
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


@settings(deadline=None, max_examples=25)
@given(PAIRS)
def test_scores_are_those_of_the_definitions(pairs):
    truth, predicted = zip(*pairs, strict=True)
    scores = score(predictions_of(truth, predicted))
    assert (scores.uf1, scores.uar) == pytest.approx(by_hand(truth, predicted, 3))
    assert scores.accuracy == pytest.approx(sk.accuracy_score(truth, predicted))
    options = {"labels": [0, 1, 2], "zero_division": 0}
    assert scores.uf1 == pytest.approx(sk.f1_score(truth, predicted, average="macro", **options))
    assert scores.uar == pytest.approx(sk.recall_score(truth, predicted, average="macro", **options))
    assert scores.weighted_f1 == pytest.approx(sk.f1_score(truth, predicted, average="weighted", **options))
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


def test_a_published_result():
    """CapsuleNet (Van Quang, Chun, Tokuyama, FG 2019) in MEGC2019: the counts of the authors' log, the paper's UF1 and UAR."""
    counts = {
        "smic_hs": ([[35, 12, 19], [14, 31, 6], [12, 3, 25]], 0.5820, 0.5877),
        "casme2": ([[70, 16, 2], [8, 24, 0], [6, 5, 14]], 0.7068, 0.7018),
        "samm": ([[87, 2, 3], [11, 10, 5], [7, 1, 7]], 0.6209, 0.5989),
    }
    rows = [
        Prediction(dataset, f"{t}{p}-{i}", "s", "", t, (), p)
        for dataset, (matrix, *_) in counts.items()
        for t, p in itertools.product(range(3), range(3))
        for i in range(matrix[t][p])
    ]
    predictions = Predictions(("negative", "positive", "surprise"), tuple(rows))
    pooled = score(predictions)
    assert (pooled.clips, pooled.uf1, pooled.uar) == (
        435,
        pytest.approx(0.6520, abs=1.1e-4),
        pytest.approx(0.6506, abs=1.1e-4),
    )
    for dataset, scores in score_by_dataset(predictions).items():
        assert (scores.uf1, scores.uar) == pytest.approx(counts[dataset][1:], abs=1.1e-4)  # the paper cuts digits off


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


def test_a_person_of_two_datasets_is_one():
    """CASME II's sub15 and CAS(ME)2's s15 are one person, who is drawn or not as a whole: always one clip of each class."""
    rows = tuple(
        Prediction(d, "a", s, "f", t, (1.0, 0.0)) for t, (d, s) in enumerate([("casme2", "sub15"), ("casme_sq", "s15")])
    )
    more = tuple(Prediction("casme2", str(t), "sub01", "f", t, (1.0, 0.0)) for t in (0, 1))
    assert intervals(Predictions(("a", "b"), rows + more)).uf1 == pytest.approx((1 / 3, 1 / 3))
    assert intervals(Predictions(("a", "b"), rows + more)).people == 2
    assert intervals(Predictions(("a", "b"), rows)).uf1 == (0, 1), "one person says nothing of others"


def test_intervals_against_a_loop_over_clips():
    """Each resample written out as a list of clips and scored by scikit-learn."""
    predictions = many(np.random.default_rng(3), 7, 0.6)
    people = list(dict.fromkeys(row.subject for row in predictions.rows))
    values = []
    for chosen in np.concatenate(list(resampled(len(people), 60, 5))):
        rows = [row for i in chosen for row in predictions.rows if row.subject == people[i]]
        truth, predicted = [row.truth for row in rows], [row.label for row in rows]
        options = {"labels": [0, 1, 2], "average": "macro", "zero_division": 0}
        values.append(
            (
                sk.accuracy_score(truth, predicted),
                sk.f1_score(truth, predicted, **options),
                sk.recall_score(truth, predicted, **options),
            )
        )
    ours = intervals(predictions, 0.9, draws=60, seed=5)
    expected = np.quantile(values, [0.05, 0.95], axis=0).T
    np.testing.assert_allclose([ours.accuracy, ours.uf1, ours.uar], expected)
    assert uf1_interval(predictions, 0.9, 60, 5) == ours.uf1


def test_resamples_come_in_pieces_of_any_size():
    pieces = list(resampled(1000, 500, 0))
    assert [len(piece) for piece in pieces] == [200, 200, 100]
    assert 0 <= min(piece.min() for piece in pieces) <= max(piece.max() for piece in pieces) < 1000


def test_scores_of_each_dataset():
    """Worked by hand: dataset x has 2 of 3 right, y has 1 of 1; the classes stay those of all predictions."""
    cases = [("x", 0, 0), ("x", 0, 1), ("x", 1, 1), ("y", 1, 1)]
    rows = tuple(
        Prediction(dataset, str(i), "s", "f", truth, (), predicted)
        for i, (dataset, truth, predicted) in enumerate(cases)
    )
    scores = score_by_dataset(Predictions(("a", "b"), rows))
    assert list(scores) == ["x", "y"]
    assert (scores["x"].clips, scores["x"].accuracy, scores["x"].uf1) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (scores["y"].clips, scores["y"].accuracy, scores["y"].uf1) == (1, 1, 0.5)
    assert score(Predictions(("a", "b"), rows)).confusion == ((1, 1), (0, 2))


def test_a_clip_that_several_networks_were_tested_on_is_scored_by_fold():
    rows = tuple(
        Prediction("samm", clip, "006", fold, 0, (), predicted)
        for fold, predicted in (("casme-to-samm", 0), ("casme2-to-samm", 1))
        for clip in ("a", "b")
    )
    both = Predictions(("a", "b"), rows)
    for pooling in (score, score_by_dataset, intervals):
        with pytest.raises(
            InputError, match=r"each clip once\. Received: clips in several of casme-to-samm, casme2-to-samm"
        ):
            pooling(both)
    assert {fold: scores.accuracy for fold, scores in score_by_fold(both).items()} == {
        "casme-to-samm": 1,
        "casme2-to-samm": 0,
    }


@settings(deadline=None, max_examples=25)
@given(PAIRS)
def test_matrices_against_scikit_learn(pairs):
    truth, predicted = zip(*pairs, strict=True)
    np.testing.assert_array_equal(
        confusion.count(truth, predicted, 3), sk.confusion_matrix(truth, predicted, labels=[0, 1, 2])
    )
    people, matrices = confusion.count_by_person(predictions_of(truth, predicted, people=[f"p{t}" for t in truth]))
    assert people == list(dict.fromkeys(f"d/p{t}" for t in truth))
    np.testing.assert_array_equal(matrices.sum(axis=0), confusion.count(truth, predicted, 3))


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
