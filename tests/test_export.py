"""The files of a bundle: what they answer, beside Keras and beside references in float64, and what lies in them."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import small_network as small

from affnet_tf.errors import InputError
from affnet_tf.export import bundle, graph, join, metadata, recipes, representative, verify
from affnet_tf.export.convert import convert_network
from affnet_tf.export.fronts import convert_fronts
from affnet_tf.export.signatures import MotionPath
from affnet_tf.inference.reverify import in_window, verify_bundle
from affnet_tf.inference.runtime import BUNDLE_FILES, TFLiteModel


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


UNTRAINED = tuple(each.name for each in recipes.RECIPES if each.fine_tuning is None)


@pytest.fixture(scope="module")
def exported():
    return bundle.read_bundle(small.exported_bundle(UNTRAINED))


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
    for signature in ("classify_clip", "classify_state"):
        assert "RESIZE_BILINEAR" not in made.recipes["float32"].verification["costs"][signature]["operators"]
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
    found = graph.operators(file)
    heavy = sum(layer.__class__.__name__ in ("Conv2D", "Dense") for layer in sublayers(network.model))
    for signature in ("classify", "classify_clip", "classify_state"):
        assert found[signature].integer == (heavy, heavy)
    assert "QUANTIZE" not in found["classify"].counts
    assert not [name for each in found.values() for name in each.custom]
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


def test_what_lies_in_a_bundle(exported, network):
    folder = exported.recipes["full_int8"].folder
    assert sorted(path.name for path in folder.iterdir()) == sorted(BUNDLE_FILES)
    assert sorted(BUNDLE_FILES) == [
        "MODEL_CARD.md",
        "SHA256SUMS",
        "graph.png",
        "labels.txt",
        "metadata.json",
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
    assert [checks["signatures"][name]["images"] for name in ("classify_clip", "classify_state")] == [51, 51]
    again = bundle.read_bundle(exported.folder)
    assert again == exported
    assert list(bundle.read_bundle(folder).recipes) == ["full_int8"]


def test_each_broken_promise_is_named(exported, network):
    clips = [small.clip(9, 40, seed) for seed in range(3)]
    float_file = exported.recipes["float32"].model.read_bytes()
    integer_file = exported.recipes["full_int8"].model.read_bytes()
    full_int8 = recipes.recipe("full_int8")
    failures = verify.verify(float_file, network, full_int8, clips).failures
    assert "classify: 0 of 13 convolutions and dense layers are integer" in failures
    failures = verify.verify(integer_file, network, recipes.recipe("float32"), clips).failures
    assert "max |delta p|" in failures[0]
    shuffled = dataclasses.replace(full_int8, min_agreement=1.0)
    turned = small.checkpoint(40)
    kernel, bias = turned.model.get_layer("logits").get_weights()
    turned.model.get_layer("logits").set_weights([-kernel, -bias])
    failures = verify.verify(integer_file, turned, shuffled, clips).failures
    assert "classify: label agreement 0.0%, bound 100%" in failures
    assert "classify_state: label agreement 0.0%, bound 100%" in failures


def test_a_clip_fills_a_window_with_frames_of_all_of_it():
    clip = np.arange(9)[:, None, None, None]
    assert in_window(clip, 5).ravel().tolist() == [0, 2, 4, 6, 8]
    assert in_window(clip[:2], 4).ravel().tolist() == [0, 0, 1, 1]


def test_nan_and_custom_operators_fail(exported, network):
    broken = small.checkpoint(40)
    kernel, bias = broken.model.get_layer("logits").get_weights()
    broken.model.get_layer("logits").set_weights([kernel, np.full_like(bias, np.nan)])
    float32 = recipes.recipe("float32")
    file = convert_fronts(MotionPath.of(broken), small.WINDOW).around(convert_network(broken, float32))
    assert (
        verify.verify(file, network, float32, [small.clip(2, 40)]).failures[0]
        == "classify: NaN among the probabilities"
    )

    from ai_edge_litert import schema_py_generated as schema

    model = join.read_file(exported.recipes["float32"].model.read_bytes())
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"FlexConv2D"
    failures = verify.verify(join.write_file(model), network, float32, [small.clip(2, 40)]).failures
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


@pytest.mark.parametrize(
    ("stray", "refused"),
    [
        ("float32/notes.txt", True),
        ("recipe.json~", True),
        ("float32/recipe.json~", True),
        ("float32/more/notes.txt", True),
        ("float32/labels.txt/notes.txt", True),
        (".DS_Store/notes.txt", True),
        (".DS_Store", False),
        ("float32/.DS_Store", False),
        ("float32/._model.tflite", False),
        ("Thumbs.db", False),
    ],
)
def test_force_replaces_nothing_that_a_person_wrote(tmp_path, stray, refused):
    (tmp_path / "bundle" / "float32").mkdir(parents=True)
    (tmp_path / "bundle" / "float32" / "model.tflite").write_bytes(b"")
    (tmp_path / "bundle" / stray).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "bundle" / stray).write_text("mine")
    if refused:
        with pytest.raises(InputError, match=r"--force must replace a bundle and nothing else.*bundle' with '"):
            bundle.check_replaceable(tmp_path / "bundle", force=True)
    else:
        bundle.check_replaceable(tmp_path / "bundle", force=True)
    with pytest.raises(InputError, match="--force replaces a bundle"):
        bundle.check_replaceable(tmp_path / "bundle", force=False)


def test_files_that_are_not_the_bundle_s_are_named_and_not_judged(exported, tmp_path):
    folder = shutil.copytree(exported.folder / "float32", tmp_path / "bundle" / "float32")
    assert verify_bundle(tmp_path / "bundle")[0]["notes"] == []
    for name in (".DS_Store", "recipe.json~"):
        (folder / name).write_text("stray")
    (tmp_path / "bundle" / ".DS_Store").write_text("stray")
    document, _ = verify_bundle(tmp_path / "bundle")
    assert document["passed"]
    assert document["notes"] == [
        f"{folder / name} is no file of the bundle's, and was not checked" for name in (".DS_Store", "recipe.json~")
    ]


def test_force_replaces_a_bundle(exported, network, tmp_path):
    shutil.copytree(exported.folder, tmp_path / "bundle")
    (tmp_path / "bundle" / ".DS_Store").write_text("stray")
    made = bundle.export(network, tmp_path / "bundle", ["float32"], force=True)
    assert list(made.recipes) == ["float32"]
    assert made.recipes["float32"].verification["data"] == "clips made from random patterns"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


BOUNDS = {
    "float32": (1e-5, 1.0),
    "float16": (1e-3, 0.99),
    "dynamic_int8": (0.1, 0.99),
    "full_int8": (0.2, 0.98),
    "int16x8": (0.1, 0.99),
    "weight4": (0.4, 0.95),
    "qat_int8": (0.2, 0.98),
    "pruned_int8": (0.2, 0.98),
    "clustered_int8": (0.2, 0.98),
}


def test_every_recipe_states_its_bounds_and_a_bundle_is_held_to_them_and_no_others(exported):
    assert {each.name: (each.max_delta, each.min_agreement) for each in recipes.RECIPES} == BOUNDS
    drops = {each.name: each.max_accuracy_drop for each in recipes.RECIPES}
    assert drops == {name: None if name in UNTRAINED else 0.05 for name in BOUNDS}
    document, (_, columns, rows) = verify_bundle(exported.folder)
    bounds = {(row[0], row[1]): row[columns.index("bound")] for row in rows}
    for name in UNTRAINED:
        bound = BOUNDS[name][0]
        assert exported.recipes[name].verification["bounds"]["max_delta"] == bound
        for signature in ("classify", "classify_clip", "classify_state"):
            assert bounds[name, signature] == document["recipes"][name][signature]["bound"] == bound


@pytest.mark.parametrize("name", UNTRAINED)
def test_every_recipe_answers_as_keras_on_images_that_no_export_saw(exported, network, name):
    unseen = small.images(40, 32, seed=23)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(network.model(unseen)))
    model = TFLiteModel(exported.recipes[name].model)
    answers = np.stack([model.classify(image) for image in unseen])
    max_delta, min_agreement = BOUNDS[name]
    assert np.abs(answers - expected).max() <= max_delta
    assert np.mean(answers.argmax(-1) == expected.argmax(-1)) >= min_agreement
    probabilities, image = model.classify_clip(small.clip(9, 40))
    # The same network behind the motion path, number for number; but for that of int8 in and out, the image is not rounded.
    np.testing.assert_allclose(probabilities, model.classify(image), atol=1e-6)


def test_made_up_clips_show_the_images_that_they_are_made_from():
    images = small.images(3, 32)
    for image, frames in zip(images, representative.clips_showing(images, 32, (2, 9, 40)), strict=True):
        np.testing.assert_allclose(reference_motion(frames, 32), image, atol=0.02)


def test_what_each_recipe_stores(exported):
    """By the types of the tensors in the file, and by its size."""
    types = {}
    for name in UNTRAINED:
        subgraph = join.read_file(exported.recipes[name].model.read_bytes()).subgraphs[0]
        heavy = [tensor.type for tensor in subgraph.tensors if tensor.shape is not None and len(tensor.shape) in (2, 4)]
        types[name] = {kind for kind in vars(graph.schema.TensorType).values() if kind in heavy}
    kinds = graph.schema.TensorType
    assert kinds.FLOAT16 in types["float16"]
    assert kinds.INT4 in types["weight4"]
    assert kinds.INT4 not in types["dynamic_int8"]
    for name in ("dynamic_int8", "full_int8", "int16x8"):
        assert kinds.INT8 in types[name]
    size = {name: exported.recipes[name].verification["bytes"] for name in UNTRAINED}
    assert size["weight4"] < size["dynamic_int8"] < size["float16"] < size["float32"]
    subgraph = join.read_file(exported.recipes["int16x8"].model.read_bytes()).subgraphs[0]
    assert sum(tensor.type == kinds.INT16 for tensor in subgraph.tensors) > 20


def test_scores_beside_keras_by_scikit_learn(exported, network):
    from sklearn.metrics import accuracy_score, f1_score

    truth = [seed % 3 for seed in range(51)]
    clips = [small.clip((2, 9, 40)[seed % 3], 40, seed) for seed in range(51)]
    model = TFLiteModel(exported.recipes["full_int8"].model)
    said = [model.classify_clip(clip)[0].argmax() for clip in clips]
    check = exported.recipes["full_int8"].verification["signatures"]["classify_clip"]
    assert check["accuracy"] == pytest.approx(accuracy_score(truth, said))
    assert check["uf1"] == pytest.approx(f1_score(truth, said, average="macro"))
    images = np.stack([reference_motion(clip, 32) for clip in clips]).astype(np.float32)
    keras_said = keras.ops.convert_to_numpy(network.model(images)).argmax(-1)
    assert check["keras_accuracy"] == pytest.approx(accuracy_score(truth, keras_said))
    assert check["keras_uf1"] == pytest.approx(f1_score(truth, keras_said, average="macro"))


def test_costs_are_measured(exported):
    import gzip

    for name, made in exported.recipes.items():
        assert made.verification["gzip_bytes"] == len(gzip.compress(made.model.read_bytes(), mtime=0))
        assert set(made.verification["costs"]) == {"classify", "classify_clip", "update", "classify_state"}
        for cost in made.verification["costs"].values():
            assert 0 < cost["latency_ms"] < 1000
            assert cost["latency_ms_2_threads"] > 0
            taken, operators = cost["delegated"]
            assert 0 <= taken <= operators == sum(cost["operators"].values()), name
        # The first clip that verified has two frames: what is timed does not depend on it.
        frames = {signature: cost["frames"] for signature, cost in made.verification["costs"].items()}
        assert frames == {"classify": None, "classify_clip": 15, "update": 6, "classify_state": 6}
        assert made.verification["timing"].endswith("classify_clip with 15 frames")
        cost = made.verification["costs"]["classify"]
        if name == "int16x8":
            assert cost["delegated"][0] == 0
        if name in ("float32", "float16", "dynamic_int8"):
            assert cost["delegated"][0] == cost["delegated"][1]
        if cost["peak_memory"] is not None:
            assert 10_000 < cost["peak_memory"] < 100_000_000


def test_the_metadata_in_the_file_is_that_beside_it_and_the_labels_are_attached(exported):
    import zipfile

    for name in ("float32", "full_int8"):
        folder = exported.recipes[name].folder
        file = (folder / "model.tflite").read_bytes()
        document = json.loads((folder / "metadata.json").read_text())
        assert json.loads(metadata.read_metadata(file)) == document
        with zipfile.ZipFile(folder / "model.tflite") as archive:
            assert archive.read("labels.txt").decode() == "negative\npositive\nsurprise\n"
        assert document["labels"] == list(small.LABELS)
        assert (document["scheme"], document["fps"], document["frame_size"]) == ("paper4", None, 40)
        model = TFLiteModel(folder)
        for signature, spec in model.signatures.items():
            described = document["signatures"][signature]
            for side in ("inputs", "outputs"):
                for tensor, expected in getattr(spec, side).items():
                    found = described[side][tensor]
                    assert found["dtype"] == expected.dtype
                    assert tuple(None if size < 0 else size for size in found["shape"]) == expected.shape
                    assert found.get("scale", 0.0) == pytest.approx(expected.scale)
                    assert found.get("zero_point", 0) == expected.zero_point


def test_the_card_and_the_picture(exported):
    from PIL import Image

    folder = exported.recipes["full_int8"].folder
    card = (folder / "MODEL_CARD.md").read_text()
    for words in ("## Intended use", "## What it must not be used for", "Not known: the network was exported without"):
        assert words in card
    check = exported.recipes["full_int8"].verification["signatures"]["classify"]
    assert f"| `classify` | {check['max_delta']:.2g} |" in card
    assert "Synthetic" not in card
    with Image.open(folder / "graph.png") as picture:
        assert min(picture.size) > 400
