import dataclasses

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from affnet_tf.errors import InputError
from affnet_tf.evaluation.calibration import (
    abstain,
    apply_temperature,
    calibrate,
    calibration,
    coverage_curve,
    fit_temperature,
)
from affnet_tf.evaluation.predictions import Prediction, Predictions

LABELS = ("a", "b", "c")


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def rows_of(truth, probabilities, subject="s", labels=LABELS) -> Predictions:
    rows = enumerate(zip(truth, probabilities, strict=True))
    return Predictions(
        labels, tuple(Prediction("d", str(i), subject, "f", int(t), tuple(map(float, p))) for i, (t, p) in rows)
    )


def believable(scale: float, clips: int = 4000, seed: int = 0, subject: str = "s") -> Predictions:
    """Labels are drawn from softmax(z); the network reports softmax(scale z): its best temperature is ``scale``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (clips, 3))
    truth = [rng.choice(3, p=p) for p in softmax(logits)]
    return rows_of(truth, softmax(scale * logits), subject)


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_the_temperature_is_found(scale):
    assert fit_temperature(believable(scale)) == pytest.approx(scale, rel=0.07)


def test_the_temperature_is_the_most_likely_one():
    """No temperature on a fine grid has a smaller log loss, by scikit-learn's count."""
    predictions = believable(3.0, clips=200)
    found = fit_temperature(predictions)
    logs = np.log([row.probabilities for row in predictions.rows])

    def loss(temperature: float) -> float:
        return log_loss(predictions.truth, softmax(logs / temperature), labels=[0, 1, 2])

    assert loss(found) <= min(loss(t) for t in np.geomspace(0.1, 15, 120)) + 1e-9
    assert calibration(apply_temperature(predictions, found)).nll == pytest.approx(loss(found))


def test_a_calibrated_fold():
    validation, test = believable(4.0, seed=1, subject="v"), believable(4.0, seed=2, subject="t")
    calibrated, temperature = calibrate(validation, test)
    assert temperature == fit_temperature(validation)
    before, after = calibration(test), calibration(calibrated)
    assert before.ece > 0.15
    assert after.ece < 0.03
    assert after.nll < before.nll
    assert calibrated.predicted == test.predicted
    assert [row.key for row in calibrated.rows] == [row.key for row in test.rows]


def test_a_temperature_never_changes_a_label():
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(0, 20, (300, 3)))
    probabilities[:3] = [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3 + 1e-16]]
    predictions = rows_of(rng.integers(0, 3, 300), probabilities)
    for temperature in (0.05, 0.3, 1.0, 20.0):
        scaled = apply_temperature(predictions, temperature)
        assert scaled.predicted == predictions.predicted
        np.testing.assert_allclose(np.sum([row.probabilities for row in scaled.rows], axis=1), 1)
    same = [row.probabilities for row in apply_temperature(predictions, 1.0).rows]
    np.testing.assert_allclose(same, probabilities, atol=1e-11)


def test_where_all_is_right_the_temperature_stays_within_limits():
    perfect = rows_of([0, 1], [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2]])
    assert fit_temperature(perfect) == pytest.approx(0.05, rel=1e-2)
    useless = rows_of([0, 1], [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    assert fit_temperature(useless) == pytest.approx(20, rel=1e-2)


def test_calibration_error_worked_by_hand():
    """(0.25, 0.5] has 0.4 wrong, 0.5 right; (0.5, 0.75] 0.6 right; (0.75, 1] 0.8 and 1 wrong, 0.9 right."""
    cases = [(0.4, False), (0.5, True), (0.6, True), (0.8, False), (1.0, False), (0.9, True)]
    rows = [(0 if right else 1, (p, 0.0 if p < 0.9 else 1 - p, 1 - p if p < 0.9 else 0.0)) for p, right in cases]
    rows[0] = (1, (0.4, 0.3, 0.3))
    found = calibration(rows_of(*zip(*rows, strict=True)), bins=4)
    assert [one.clips for one in found.bins] == [0, 2, 1, 3]
    assert [(one.low, one.high) for one in found.bins] == [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]
    assert (found.bins[0].confidence, found.bins[0].accuracy) == (None, None)
    assert [one.confidence for one in found.bins[1:]] == pytest.approx([0.45, 0.6, 0.9])
    assert [one.accuracy for one in found.bins[1:]] == pytest.approx([0.5, 1.0, 1 / 3])
    assert found.ece == pytest.approx((2 * 0.05 + 1 * 0.4 + 3 * (0.9 - 1 / 3)) / 6)


def test_a_network_that_can_be_believed_has_little_error():
    assert calibration(believable(1.0)).ece < 0.03


def test_abstaining_worked_by_hand():
    truth = [0, 0, 1, 1]
    predictions = rows_of(truth, [(0.9, 0.1), (0.3, 0.7), (0.2, 0.8), (0.6, 0.4)], labels=("a", "b"))
    kept = abstain(predictions, 0.75)
    assert (kept.clips, kept.coverage, kept.accuracy, kept.uf1) == (2, 0.5, 1.0, 1.0)
    kept = abstain(predictions, 0.7)
    assert (kept.clips, kept.accuracy) == (3, pytest.approx(2 / 3))
    assert kept.uf1 == pytest.approx(2 / 3), "F1 2/3 and 2/3"
    assert dataclasses.astuple(abstain(predictions, 0.95)) == (0.95, 0, 0.0, None, None)
    assert abstain(predictions, 0).coverage == 1


def test_every_point_of_the_curve_against_scikit_learn():
    rng = np.random.default_rng(2)
    probabilities = np.round(softmax(rng.normal(0, 1, (60, 3))), 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predictions = rows_of(rng.integers(0, 3, 60), probabilities)
    curve = coverage_curve(predictions)
    confidence = probabilities.max(axis=1)
    assert [point.threshold for point in curve] == sorted(set(confidence), reverse=True)
    assert len(curve) < 60, "clips of the same confidence stand or fall together"
    truth, predicted = np.array(predictions.truth), np.array(predictions.predicted)
    for point in curve:
        kept = confidence >= point.threshold
        assert (point.clips, point.coverage) == (kept.sum(), pytest.approx(kept.mean()))
        assert point.accuracy == pytest.approx(accuracy_score(truth[kept], predicted[kept]))
        expected = f1_score(truth[kept], predicted[kept], labels=[0, 1, 2], average="macro", zero_division=0)
        assert point.uf1 == pytest.approx(expected)
        assert abstain(predictions, point.threshold) == point
    assert curve[-1].coverage == 1


def test_what_cannot_be_calibrated():
    validation, test = believable(1, 5, subject="sub15"), believable(1, 5, subject="t")
    with pytest.raises(InputError, match=r"persons who are not tested\. Received: d/sub15 in both"):
        calibrate(validation, validation)
    one, other = (
        Predictions(LABELS, tuple(dataclasses.replace(row, dataset=dataset, subject=subject) for row in test.rows))
        for dataset, subject in (("casme2", "sub15"), ("casme_sq", "s15"))
    )
    with pytest.raises(InputError, match=r"Received: casme2/sub15 in both"):
        calibrate(one, other)
    with pytest.raises(InputError, match="the same labels"):
        calibrate(validation, Predictions(("a", "b", "d"), test.rows))
    with pytest.raises(InputError, match=r"temperature must be positive\. Received: 0"):
        apply_temperature(test, 0)
    with pytest.raises(InputError, match="at least 1 bin"):
        calibration(test, bins=0)
    bare = Predictions(LABELS, (Prediction("d", "0", "s", "f", 0, (), 0),))
    for use in (fit_temperature, calibration, coverage_curve, lambda p: abstain(p, 0.5)):
        with pytest.raises(InputError, match=r"with probabilities\. Received: 1 clips without"):
            use(bare)
        with pytest.raises(InputError, match=r"with probabilities\. Received: no clips"):
            use(Predictions(LABELS, ()))
