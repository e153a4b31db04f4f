"""What an export asks for, checks, notes and refuses, and what it leaves behind."""

import dataclasses

import keras
import numpy as np
import pytest
import small_network as small

from affnet_tf.errors import InputError
from affnet_tf.export import bundle, recipes, representative, run, verify
from affnet_tf.export.signatures import network_graph
from affnet_tf.inference.runtime import TFLiteModel
from affnet_tf.models.affectivenet import affectivenet, copy_weights


@pytest.fixture(scope="module")
def network():
    return small.checkpoint(frame_size=40)


def test_mixed_precision_is_rebuilt_in_float32(network, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = affectivenet(network.config.model, len(network.labels))
    finally:
        keras.config.set_dtype_policy("float32")
    copy_weights(network.model, mixed)
    made = bundle.export(dataclasses.replace(network, model=mixed), tmp_path / "bundle", ["float32"])
    assert "CAST" not in made.recipes["float32"].verification["costs"]["classify"]["operators"]
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(network.model(small.images(1, 32))))[0]
    np.testing.assert_allclose(TFLiteModel(made.folder).classify(small.images(1, 32)[0]), expected, atol=1e-5)


def test_a_file_that_answers_otherwise_fails_and_leaves_nothing_behind(network, tmp_path, monkeypatch):
    other = dataclasses.replace(network, model=small.checkpoint(40, mfl=False).model)
    monkeypatch.setattr(bundle, "network_graph", lambda checkpoint: network_graph(other))
    with pytest.raises(verify.VerificationError, match=r"float32.*delta.*bound 1e-05"):
        bundle.export(network, tmp_path / "bundle", ["float32"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("images", "lost", "fails"),
    [(4, 1, False), (4, 2, True), (51, 1, False), (51, 2, True), (100, 2, False), (100, 3, True)],
)
def test_labels_that_may_be_lost(images, lost, fails):
    """98 % of the labels: one of a few, two of a hundred; of float32, none."""
    check = verify.SignatureCheck(images, 0.0, 0.0, 1 - lost / images)
    assert bool(verify._failures("classify", check, recipes.recipe("full_int8"))) == fails
    assert verify._failures("classify", check, recipes.recipe("float32"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipes": ["full_int9"]}, r"recipe must be one of float32, float16, .*clustered_int8.*full_int8'\?"),
        ({"recipes": []}, "must name a recipe"),
        ({"recipes": ["full_int8"]}, "calibration. Received: none"),
        (
            {"recipes": ["full_int8"], "calibration": np.zeros((0, 32, 32, 3), np.float32)},
            "calibration. Received: none",
        ),
        ({"recipes": ["full_int8"], "calibration": np.zeros((40, 28, 28, 3), np.float32)}, r"\(N, 32, 32, 3\)"),
        ({"recipes": ["full_int8"], "calibration": np.full((40, 32, 32, 3), 255.0)}, r"\[0, 1\]"),
        ({"recipes": ["float32"], "holdout": [np.zeros((5, 32, 32, 3), np.uint8)]}, r"\(T, 40, 40, 3\)"),
        ({"recipes": ["float32"], "window": 1}, r"window must lie in \[2, 4096\]. Received: 1"),
        ({"recipes": ["qat_int8"]}, "calibration. Received: none"),
        (
            {"recipes": ["pruned_int8"], "calibration": np.zeros((40, 32, 32, 3), np.float32)},
            r"pruned_int8' must have labelled motion images.*none",
        ),
        (
            {
                "recipes": ["qat_int8"],
                "calibration": np.zeros((40, 32, 32, 3), np.float32),
                "calibration_labels": [3] * 40,
            },
            r"one label each, in \[0, 2\]. Received: 40 labels of 40, \[3\]",
        ),
        (
            {
                "recipes": ["float32"],
                "holdout": [np.zeros((5, 40, 40, 3), np.uint8)],
                "holdout_labels": [0, 1],
            },
            "held-out clips must have one label each.*2 labels of 1",
        ),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(network, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        bundle.export(network, tmp_path / "bundle", **options)
    assert list(tmp_path.iterdir()) == []


def test_few_calibration_images_are_noted():
    note = "full_int8: calibrated on 31 images, which are few: 32 or more are better"
    full_int8 = recipes.recipe("full_int8")
    assert representative.calibration_notes(small.images(31, 32), full_int8) == (note,)
    assert representative.calibration_notes(small.images(32, 32), full_int8) == ()
    assert representative.calibration_notes(small.images(1, 32), recipes.recipe("float32")) == ()


def test_the_images_that_verify_do_not_calibrate_and_a_note_on_few_travels_with_the_bundle(
    network, tmp_path, monkeypatch
):
    seen = {}
    real = bundle.representative_dataset

    def spy(calibration, size, recipe):
        seen["calibration"] = calibration
        return real(calibration, size, recipe)

    monkeypatch.setattr(bundle, "representative_dataset", spy)
    images = small.images(45, 32, seed=3)
    made = bundle.export(network, tmp_path / "bundle", ["full_int8"], images)
    verification = made.recipes["full_int8"].verification
    assert verification["data"] == "clips made from 15 images left out of the calibration"
    assert verification["signatures"]["classify"]["images"] == 15
    np.testing.assert_array_equal(seen["calibration"], [each for i, each in enumerate(images) if i % 3 != 2])
    assert made.notes == ("full_int8: calibrated on 30 images, which are few: 32 or more are better",)
    assert bundle.read_bundle(tmp_path / "bundle").notes == made.notes


@dataclasses.dataclass(frozen=True)
class Of:
    person: str


def test_nobody_calibrates_and_verifies():
    clips = [Of(f"casme2/{i % 4}") for i in range(12)]
    calibrate, check, words = run.divide(clips, range(12), [])
    assert (calibrate, check) == ([0, 2, 3, 4, 6, 7, 8, 10, 11], [1, 5, 9])
    assert words.startswith("training clips of 1 of 4 subjects, of whom the others calibrated")
    calibrate, check, words = run.divide(clips, [0, 1, 4], [2, 3])
    assert (calibrate, check) == ([0, 1, 4], [2, 3])
    calibrate, check, words = run.divide(clips, [1, 5, 9], [])
    assert (calibrate, check) == ([1, 9], [5])
    assert "the only subject" in words
    calibrate, check, words = run.divide(clips, [3], [])
    assert (calibrate, check) == ([3], [3])
    assert words == "training clip, the only one, which calibrated too"


def test_a_wide_error_in_an_integer_file_fails_though_it_was_recorded(network, tmp_path, monkeypatch):
    """All labels agree, yet a probability is off by more than the recipe allows."""
    blunt = small.checkpoint(40)
    kernel, bias = blunt.model.get_layer("logits").get_weights()
    blunt.model.get_layer("logits").set_weights([kernel * 0.3, bias * 0.3])
    monkeypatch.setattr(bundle, "network_graph", lambda checkpoint: network_graph(blunt))
    with pytest.raises(verify.VerificationError, match=r"full_int8.*max \|delta p\| 0\.\d+, bound 0\.2"):
        bundle.export(network, tmp_path / "bundle", ["full_int8"], small.images(64, 32, seed=3))
    assert list(tmp_path.iterdir()) == []


def test_not_a_bundle(tmp_path):
    with pytest.raises(InputError, match=r"folders with model\.tflite"):
        bundle.read_bundle(tmp_path)
