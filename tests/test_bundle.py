"""What an export asks for, checks, notes and refuses, and what it leaves behind."""

import dataclasses
import re

import keras
import numpy as np
import pytest
import small_network as small

from affnet_tf.errors import InputError
from affnet_tf.export import bundle, join, recipes, representative, run, verify
from affnet_tf.export.convert import convert_network
from affnet_tf.export.fronts import convert_fronts
from affnet_tf.export.signatures import MotionPath
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


def test_a_file_that_breaks_a_bound_ends_the_export_and_leaves_what_was_there(network, tmp_path):
    """The second of two, when the first is written already: rounded weights cannot answer without any difference."""
    strict = dataclasses.replace(recipes.recipe("float16"), max_delta=0.0)
    for name in ("bundle", "other"):
        (tmp_path / "bundle" / name).mkdir(parents=True)
        (tmp_path / "bundle" / name / "model.tflite").write_bytes(b"as it was")
    with pytest.raises(verify.VerificationError, match=r"'float16' must answer as Keras does.*delta.*, bound 0;"):
        bundle.export(network, tmp_path / "bundle", ["float32", strict], force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    for name in ("bundle", "other"):
        assert (tmp_path / "bundle" / name / "model.tflite").read_bytes() == b"as it was"


def test_two_recipes_of_one_name_are_refused(network, tmp_path):
    other = dataclasses.replace(recipes.recipe("float32"), max_delta=1e-4)
    with pytest.raises(InputError, match=r"must differ in name\. Received: two of the name 'float32'"):
        bundle.export(network, tmp_path / "bundle", ["float32", other])


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


def ranges(file):
    """Scale and zero point of what each operator of the network gives: that is what calibration measures."""
    model = join.read_file(file)
    tensors = model.subgraphs[0].tensors
    given = [index for operator in model.subgraphs[0].operators for index in operator.outputs]
    return [(*tensors[index].quantization.scale, *tensors[index].quantization.zeroPoint) for index in given]


def test_the_images_that_verify_do_not_calibrate_and_a_note_on_few_travels_with_the_bundle(network, tmp_path):
    images = small.images(45, 32, seed=3)
    made = bundle.export(network, tmp_path / "bundle", ["full_int8"], images)
    verification = made.recipes["full_int8"].verification
    assert verification["data"] == "clips made from 15 images left out of the calibration"
    assert verification["signatures"]["classify"]["images"] == 15
    found = ranges(made.recipes["full_int8"].model.read_bytes())
    full_int8 = recipes.recipe("full_int8")
    kept = np.stack([each for i, each in enumerate(images) if i % 3 != 2])
    assert found == ranges(convert_network(network, full_int8, kept))
    assert found != ranges(convert_network(network, full_int8, images))
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


def test_a_wide_error_in_an_integer_file_fails_though_all_labels_agree(network):
    blunt = small.checkpoint(40)
    kernel, bias = blunt.model.get_layer("logits").get_weights()
    blunt.model.get_layer("logits").set_weights([kernel * 0.3, bias * 0.3])
    full_int8 = recipes.recipe("full_int8")
    file = convert_network(blunt, full_int8, small.images(64, 32, seed=3))
    file = convert_fronts(MotionPath.of(blunt), small.WINDOW).around(file)
    found = verify.verify(file, network, full_int8, [small.clip(9, 40, seed) for seed in range(12)])
    assert found.signatures["classify"].agreement == 1
    assert not found.passed
    for name, failure in zip(("classify", "classify_clip", "classify_state"), found.failures, strict=True):
        assert re.fullmatch(rf"{name}: max \|delta p\| 0\.\d+, bound 0\.2", failure)


def test_not_a_bundle(tmp_path):
    with pytest.raises(InputError, match=r"folders with model\.tflite"):
        bundle.read_bundle(tmp_path)
