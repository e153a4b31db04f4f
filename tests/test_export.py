import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import small_network as small

from affnet_tf.errors import InputError
from affnet_tf.export import bundle, convert, join, recipes, representative, run, verify
from affnet_tf.inference.reverify import verify_bundle
from affnet_tf.inference.runtime import TFLiteModel
from affnet_tf.models.affectivenet import affectivenet, copy_weights


def reference_motion(frames, size):
    """Motion image in float64: sums as Bilen et al. write them, bilinear weights by hand, one min-max."""
    length = len(frames)
    motion = np.zeros(frames.shape[1:])
    for t in range(1, length + 1):
        motion += sum((2 * i - length - 1) / i for i in range(t, length + 1)) * frames[t - 1].astype(np.float64)
    source = motion.shape[0]
    matrix = np.zeros((size, source))
    for row in range(size):
        place = (row + 0.5) * source / size - 0.5
        low = int(np.floor(place))
        for index, share in ((low, 1 - (place - low)), (low + 1, place - low)):
            matrix[row, min(max(index, 0), source - 1)] += share
    motion = np.einsum("ai,ijc,bj->abc", matrix, motion, matrix)
    return (motion - motion.min()) / (motion.max() - motion.min())


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


@pytest.fixture(scope="module")
def network():
    return small.checkpoint(frame_size=40)


@pytest.fixture(scope="module")
def exported():
    return bundle.read_bundle(small.exported_bundle())


@pytest.mark.parametrize("length", [2, 9, 40])
def test_both_signatures_answer_as_a_float64_reference_and_keras(exported, network, length):
    model = TFLiteModel(exported.recipes["float32"].model)
    frames = small.clip(length, 40, seed=length)
    probabilities, motion_image = model.classify_clip(frames)
    expected_image = reference_motion(frames, 32)
    expected = softmax(keras.ops.convert_to_numpy(network.model(expected_image[None].astype(np.float32)))[0])
    np.testing.assert_allclose(motion_image, expected_image, atol=1e-5)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(model.classify(expected_image.astype(np.float32)), expected, atol=1e-5)


def test_clips_of_the_network_s_own_size_are_not_resized_and_other_weights_are_honoured(tmp_path):
    network = small.checkpoint(frame_size=32, weights="linear")
    made = bundle.export(network, tmp_path / "bundle", ["float32"])
    assert "RESIZE_BILINEAR" not in made.recipes["float32"].verification["signatures"]["classify_clip"]["operators"]
    frames = small.clip(9, 32)
    motion = sum((2 * t - 10) * frames[t - 1].astype(np.float64) for t in range(1, 10))
    expected_image = (motion - motion.min()) / (motion.max() - motion.min())
    probabilities, motion_image = TFLiteModel(tmp_path / "bundle").classify_clip(frames)
    np.testing.assert_allclose(motion_image, expected_image, atol=1e-6)
    logits = keras.ops.convert_to_numpy(network.model(expected_image[None].astype(np.float32)))[0]
    np.testing.assert_allclose(probabilities, softmax(logits), atol=1e-5)


def test_the_integer_file_agrees_on_clips_and_images_that_it_was_not_calibrated_on(exported, network):
    model = TFLiteModel(exported.recipes["full_int8"].model)
    unseen = small.images(100, 32, seed=11)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(network.model(unseen)))
    answers = np.stack([model.classify(image) for image in unseen])
    assert set(expected.argmax(-1)) == {0, 1, 2}
    assert np.mean(answers.argmax(-1) == expected.argmax(-1)) >= 0.98
    assert np.abs(answers - expected).mean() < 0.02
    for length in (2, 9, 40):
        probabilities, image = model.classify_clip(small.clip(length, 40, seed=5))
        np.testing.assert_allclose(image, reference_motion(small.clip(length, 40, seed=5), 32), atol=1e-5)
        np.testing.assert_array_equal(probabilities, model.classify(image))


def test_the_integer_network_is_integer_in_both_signatures_and_lies_in_the_file_once(exported, network):
    file = exported.recipes["full_int8"].model.read_bytes()
    found = verify.operators(file)
    heavy = sum(layer.__class__.__name__ in ("Conv2D", "Dense") for layer in sublayers(network.model))
    assert found["classify"][1] == found["classify_clip"][1] == (heavy, heavy)
    assert "QUANTIZE" not in found["classify"][0]
    assert not [name for ops, _ in found.values() for name in ops if "CUSTOM" in name or "Flex" in name]
    model = TFLiteModel(exported.recipes["full_int8"].model)
    spec = model.signatures["classify"].inputs["motion_image"]
    assert (spec.dtype, spec.zero_point) == ("int8", -128)
    assert spec.scale == pytest.approx(1 / 255)
    assert model.signatures["classify"].outputs["probabilities"].dtype == "int8"
    assert model.signatures["classify_clip"].outputs["probabilities"].dtype == "float32"
    kernel = np.round(network.model.get_layer("logits").get_weights()[0].T, 6)
    largest = np.abs(kernel).max()
    stored = np.round(kernel / largest * 127).astype(np.int8)
    per_row = np.round(kernel / np.abs(kernel).max(axis=1, keepdims=True) * 127).astype(np.int8)
    assert max(file.count(stored.tobytes()), file.count(per_row.tobytes())) == 1


def sublayers(model):
    return [layer for outer in model.layers for layer in getattr(outer, "sublayers", [outer])]


def test_mixed_precision_is_rebuilt_in_float32(network, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = affectivenet(network.config.model, len(network.labels))
    finally:
        keras.config.set_dtype_policy("float32")
    copy_weights(network.model, mixed)
    made = bundle.export(dataclasses.replace(network, model=mixed), tmp_path / "bundle", ["float32"])
    assert "CAST" not in made.recipes["float32"].verification["signatures"]["classify"]["operators"]
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(network.model(small.images(1, 32))))[0]
    np.testing.assert_allclose(TFLiteModel(made.folder).classify(small.images(1, 32)[0]), expected, atol=1e-5)


def test_what_lies_in_a_bundle(exported, network):
    folder = exported.recipes["full_int8"].folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "SHA256SUMS",
        "labels.txt",
        "model.tflite",
        "recipe.json",
        "vectors.npz",
        "verify.json",
    ]
    document = json.loads((folder / "recipe.json").read_text())
    assert (folder / "labels.txt").read_text() == "negative\npositive\nsurprise\n"
    assert (document["motion"]["weights"], document["frame_size"], document["input_size"]) == ("bilen", 40, 32)
    assert document["recipe"]["name"] == "full_int8"
    checks = json.loads((folder / "verify.json").read_text())
    assert checks["passed"]
    assert checks["data"] == "held-out clips"
    assert checks["bytes"] == (folder / "model.tflite").stat().st_size
    assert checks["signatures"]["classify_clip"]["images"] == 51
    again = bundle.read_bundle(exported.folder)
    assert again == exported
    assert list(bundle.read_bundle(folder).recipes) == ["full_int8"]


def test_a_file_that_answers_otherwise_fails_and_leaves_nothing_behind(network, tmp_path, monkeypatch):
    other = dataclasses.replace(network, model=small.checkpoint(40, mfl=False).model)
    monkeypatch.setattr(bundle, "convert_network", lambda checkpoint, *rest: convert.convert_network(other, *rest))
    with pytest.raises(verify.VerificationError, match=r"float32.*delta.*bound 1e-05"):
        bundle.export(network, tmp_path / "bundle", ["float32"])
    assert list(tmp_path.iterdir()) == []


def test_each_broken_promise_is_named(exported, network):
    clips = [small.clip(9, 40, seed) for seed in range(3)]
    float_file = exported.recipes["float32"].model.read_bytes()
    integer_file = exported.recipes["full_int8"].model.read_bytes()
    full_int8 = recipes.recipe("full_int8")
    failures = verify.verify(float_file, network, full_int8, clips).failures
    assert failures[0].startswith("classify: 0 of 13 convolutions and dense layers are integer")
    failures = verify.verify(integer_file, network, recipes.recipe("float32"), clips).failures
    assert "max |delta p|" in failures[0]
    shuffled = dataclasses.replace(full_int8, min_agreement=1.0)
    turned = small.checkpoint(40)
    kernel, bias = turned.model.get_layer("logits").get_weights()
    turned.model.get_layer("logits").set_weights([-kernel, -bias])
    failures = verify.verify(integer_file, turned, shuffled, clips).failures
    assert "classify: label agreement 0.0%, bound 100%" in failures


def test_nan_and_custom_operators_fail(exported, network):
    broken = small.checkpoint(40)
    kernel, bias = broken.model.get_layer("logits").get_weights()
    broken.model.get_layer("logits").set_weights([kernel, np.full_like(bias, np.nan)])
    float32 = recipes.recipe("float32")
    file = convert.convert(broken, float32)
    assert (
        verify.verify(file, network, float32, [small.clip(2, 40)]).failures[0]
        == "classify: NaN among the probabilities"
    )

    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(exported.recipes["float32"].model.read_bytes()), 0)
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"FlexConv2D"
    failures = verify.verify(join._write(model), network, float32, [small.clip(2, 40)]).failures
    assert failures == ("operators that are not built in: CUSTOM FlexConv2D",)


def test_output_folders_are_not_overwritten(exported, network, tmp_path):
    with pytest.raises(InputError, match="--force"):
        bundle.export(network, exported.folder, ["float32"])
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("do not delete")
    with pytest.raises(InputError, match=r"a bundle and nothing else.*thesis\.txt"):
        bundle.export(network, precious, ["float32"], force=True)
    assert (precious / "thesis.txt").exists()


def test_force_replaces_a_bundle(exported, network, tmp_path):
    shutil.copytree(exported.folder, tmp_path / "bundle")
    made = bundle.export(network, tmp_path / "bundle", ["float32"], force=True)
    assert list(made.recipes) == ["float32"]
    assert made.recipes["float32"].verification["data"] == "clips made from random patterns"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipes": ["full_int9"]}, r"recipe must be one of float32, full_int8.*full_int8'\?"),
        ({"recipes": []}, "must name a recipe"),
        ({"recipes": ["full_int8"]}, "calibration. Received: none"),
        (
            {"recipes": ["full_int8"], "calibration": np.zeros((0, 32, 32, 3), np.float32)},
            "calibration. Received: none",
        ),
        ({"recipes": ["full_int8"], "calibration": np.zeros((40, 28, 28, 3), np.float32)}, r"\(N, 32, 32, 3\)"),
        ({"recipes": ["full_int8"], "calibration": np.full((40, 32, 32, 3), 255.0)}, r"\[0, 1\]"),
        ({"recipes": ["float32"], "holdout": [np.zeros((5, 32, 32, 3), np.uint8)]}, r"\(T, 40, 40, 3\)"),
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

    def spy(checkpoint, recipe, calibration):
        seen["calibration"] = calibration
        return convert.convert_network(checkpoint, recipe, calibration)

    monkeypatch.setattr(bundle, "convert_network", spy)
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


def test_every_recipe_states_its_bounds_and_a_bundle_is_held_to_them_and_no_others(exported):
    assert {each.name: (each.max_delta, each.min_agreement) for each in recipes.RECIPES} == {
        "float32": (1e-5, 1.0),
        "full_int8": (0.2, 0.98),
    }
    document, (_, columns, rows) = verify_bundle(exported.folder)
    bounds = {(row[0], row[1]): row[columns.index("bound")] for row in rows}
    for name, bound in (("float32", 1e-5), ("full_int8", 0.2)):
        assert exported.recipes[name].verification["bounds"]["max_delta"] == bound
        for signature in ("classify", "classify_clip"):
            assert bounds[name, signature] == document["recipes"][name][signature]["bound"] == bound


def test_a_wide_error_in_an_integer_file_fails_though_it_was_recorded(network, tmp_path, monkeypatch):
    """All labels agree, yet a probability is off by more than the recipe allows."""
    blunt = small.checkpoint(40)
    kernel, bias = blunt.model.get_layer("logits").get_weights()
    blunt.model.get_layer("logits").set_weights([kernel * 0.3, bias * 0.3])
    monkeypatch.setattr(bundle, "convert_network", lambda checkpoint, *rest: convert.convert_network(blunt, *rest))
    with pytest.raises(verify.VerificationError, match=r"full_int8.*max \|delta p\| 0\.\d+, bound 0\.2"):
        bundle.export(network, tmp_path / "bundle", ["full_int8"], small.images(64, 32, seed=3))
    assert list(tmp_path.iterdir()) == []


def test_made_up_clips_show_the_images_that_they_are_made_from():
    images = small.images(3, 32)
    for image, frames in zip(images, representative.clips_showing(images, 32, (2, 9, 40)), strict=True):
        np.testing.assert_allclose(reference_motion(frames, 32), image, atol=0.02)


def test_not_a_bundle(tmp_path):
    with pytest.raises(InputError, match=r"folders with model\.tflite"):
        bundle.read_bundle(tmp_path)
