"""Recipes that fine-tune, on a small network with the layers that the toolkit is odd about."""

import dataclasses
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import small_network as small

from affnet_tf.config import ExperimentConfig, ModelConfig
from affnet_tf.errors import InputError
from affnet_tf.export import bundle, material, recipes, tuned, verify
from affnet_tf.inference.runtime import TFLiteModel
from affnet_tf.models.checkpoint import Checkpoint
from affnet_tf.models.networks import build_network

NAMES = tuple(each.name for each in recipes.RECIPES if each.fine_tuning is not None)
TRUTH = [*(i % 3 for i in range(32)), *(seed % 3 for seed in range(60, 92))]
SHAPE = {"kernels": (3, 5), "widths": (8,), "stem": 4, "last_channels": 16}
# The network is not trained, and its answers are often near ties: with these clips no more are lost than a recipe allows.
HOLDOUT = [small.clip((9, 15)[seed % 2], 32, seed) for seed in range(54)]


@pytest.fixture(scope="module")
def network():
    """With normalisation that stands free of any convolution, behind additions: what the toolkit knows least."""
    return small.checkpoint(32, **SHAPE)


@pytest.fixture(scope="module")
def images(network):
    return small.calibration(network)


@pytest.fixture(scope="module")
def exported(network, images, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned") / "bundle"
    return bundle.export(
        network,
        out,
        NAMES,
        images,
        HOLDOUT,
        calibration_labels=TRUTH,
        holdout_labels=[seed % 3 for seed in range(54)],
        window=small.WINDOW,
    )


def test_two_steps_of_quantisation_aware_training_end_to_end(tmp_path):
    """What every run of the tests can afford: the smallest network, and a file that answers as the network was trained to."""
    network = small.checkpoint(32, kernels=(3,), widths=(8,), stem=4, last_channels=8, taps=("after",))
    images = small.calibration(network)
    qat = recipes.recipe("qat_int8")
    brief = dataclasses.replace(qat, fine_tuning=dataclasses.replace(qat.fine_tuning, epochs=1, batch_size=32))
    out = tmp_path / "out"
    (made,) = bundle.export(
        network, out, [brief], images, HOLDOUT[:9], calibration_labels=TRUTH, window=small.WINDOW
    ).recipes.values()
    facts = made.verification["fine_tuning"]
    assert (facts["images"], facts["steps"], len(facts["losses"])) == (64, 2, 1)
    assert made.recipe["recipe"]["fine_tuning"] == dataclasses.asdict(brief.fine_tuning)
    integer, heavy = made.verification["costs"]["classify"]["integer"]
    assert integer == heavy > 0
    unseen = small.images(60, 32, seed=17)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(network.model(unseen)))
    model = TFLiteModel(made.model)
    answers = np.stack([model.classify(image) for image in unseen])
    assert np.mean(answers.argmax(-1) == expected.argmax(-1)) >= 0.95
    assert np.abs(answers - expected).mean() < 0.05


@pytest.mark.slow
def test_fine_tuned_recipes_keep_their_bounds(exported):
    assert tuple(sorted(exported.recipes)) == tuple(sorted(NAMES))
    for name, made in exported.recipes.items():
        checks = made.verification["signatures"]
        for signature in ("classify", "classify_clip"):
            assert checks[signature]["max_delta"] <= 0.2, name
            assert checks[signature]["agreement"] >= 0.98, name
        for signature in ("classify", "classify_clip", "classify_state"):
            integer, heavy = made.verification["costs"][signature]["integer"]
            assert integer == heavy > 0
        assert TFLiteModel(made.model).signatures["classify"].inputs["motion_image"].dtype == "int8"


def test_a_fine_tuning_that_wrecks_the_network_ends_the_export(network, images, tmp_path):
    """The file would answer as the wrecked network does, and keep every bound of the conversion."""
    pruned = recipes.recipe("pruned_int8")
    wild = dataclasses.replace(
        pruned, fine_tuning=dataclasses.replace(pruned.fine_tuning, epochs=1, learning_rate=30.0)
    )
    said = keras.ops.convert_to_numpy(network.model(images)).argmax(-1)
    before = f"{np.mean(said == np.array(TRUTH)):.3f}"
    message = (
        r"recipe 'pruned_int8': fine-tuning must cost at most 0\.05 of the accuracy on the training images\. "
        rf"Received: {before} before, 0\.[0-6]\d\d after"
    )
    with pytest.raises(verify.VerificationError, match=message):
        bundle.export(network, tmp_path / "out", ["float32", wild], images, HOLDOUT[:2], calibration_labels=TRUTH)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "lost", "fails"), [(64, 3, False), (64, 4, True), (2, 1, False), (2, 2, True)])
def test_how_many_images_fine_tuning_may_lose(network, images, count, lost, fails):
    """A twentieth of 64 is three; of two, one may go, which a near tie can cost."""
    turned = small.checkpoint(32, **SHAPE)
    kernel, bias = turned.model.get_layer("logits").get_weights()
    turned.model.get_layer("logits").set_weights([-kernel, -bias])
    said, other = (keras.ops.convert_to_numpy(each.model(images[:count])).argmax(-1) for each in (network, turned))
    labels = np.where(np.arange(count) < lost, said, 3 - said - other)  # right before alone; wrong before and after
    given = material.gather(network, images[:count], HOLDOUT[:1], labels)
    recipe = recipes.recipe("qat_int8")
    if fails:
        with pytest.raises(verify.VerificationError, match=rf"Received: {lost / count:.3f} before, 0\.000 after"):
            tuned.before_and_after(network, turned, recipe, given)
    else:
        found = tuned.before_and_after(network, turned, recipe, given)
        assert found == {"training": {"before": lost / count, "after": 0.0}, "held_out": None}


@pytest.mark.slow
def test_accuracy_before_and_after_is_recorded(exported, network, images):
    said = keras.ops.convert_to_numpy(network.model(images)).argmax(-1)
    before = float(np.mean(said == np.array(TRUTH)))
    for made in exported.recipes.values():
        facts = json.loads((made.folder / "verify.json").read_text())["fine_tuning"]
        assert facts["training"]["before"] == pytest.approx(before)
        assert facts["held_out"]["after"] == made.verification["signatures"]["classify"]["keras_accuracy"]
        for part in ("training", "held_out"):
            assert facts[part]["after"] >= facts[part]["before"] - 0.05
        assert json.loads((made.folder / "verify.json").read_text())["bounds"]["max_accuracy_drop"] == 0.05
        assert made.recipe["recipe"]["max_accuracy_drop"] == 0.05
        assert (facts["images"], facts["steps"]) == (64, 4 * len(facts["losses"]))
        assert np.isfinite(facts["losses"]).all()
        tuning = made.recipe["recipe"]["fine_tuning"]
        assert tuning["epochs"] == len(facts["losses"])
        assert "Fine-tuned for" in (made.folder / "MODEL_CARD.md").read_text()


def kernels(made):
    """The integer kernels that lie in the file."""
    from affnet_tf.export.join import read_file

    model = read_file(made.model.read_bytes())
    graph = model.subgraphs[0]
    found = {}
    for operator in graph.operators:
        tensor = graph.tensors[operator.inputs[1]] if len(operator.inputs) == 3 else None
        if tensor is not None and tensor.buffer and len(tensor.shape) in (2, 4):
            found[tensor.buffer] = np.array(model.buffers[tensor.buffer].data, np.uint8).view(np.int8)
    return list(found.values())


@pytest.mark.slow
def test_pruning_leaves_zeros_in_the_file_and_makes_it_smaller_once_compressed(exported):
    made = exported.recipes["pruned_int8"]
    sparsity = made.verification["fine_tuning"]["sparsity"]
    assert sparsity == pytest.approx(0.5, abs=0.02)
    stored = np.concatenate([each.ravel() for each in kernels(made)])
    assert np.mean(stored == 0) >= 0.48
    others = np.concatenate([each.ravel() for each in kernels(exported.recipes["qat_int8"])])
    assert np.mean(others == 0) < 0.1
    sizes = {name: made.verification["gzip_bytes"] for name, made in exported.recipes.items()}
    assert sizes["pruned_int8"] < sizes["qat_int8"]


@pytest.mark.slow
def test_clustering_leaves_few_distinct_weights(exported):
    made = exported.recipes["clustered_int8"]
    assert made.verification["fine_tuning"]["distinct_weights"] <= 32
    # A dense kernel of 8-bit numbers has one scale, or one for each row: what is distinct in a row stays so.
    assert max(len(np.unique(row)) for each in kernels(made) for row in each.reshape(len(each), -1)) <= 32


@pytest.mark.slow
def test_the_network_itself_is_left_as_it_was(exported, network):
    again = small.checkpoint(32, **SHAPE)
    for one, other in zip(network.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "TF_USE_LEGACY_KERAS" not in os.environ


@pytest.mark.parametrize("name", ["mobilenetv3small", "originet", "majority"])
def test_other_networks_are_not_fine_tuned(network, images, tmp_path, name):
    config = ExperimentConfig(model=ModelConfig(network=name, input_size=32))
    other = Checkpoint(build_network(config.model, 3), config, network.labels, 32)
    with pytest.raises(InputError, match=rf"'qat_int8' must have AffectiveNet to fine-tune\. Received: '{name}'"):
        bundle.export(other, tmp_path / "out", ["float32", "qat_int8"], images, calibration_labels=TRUTH)
    assert not (tmp_path / "out").exists()


def test_without_the_toolkit_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['tensorflow_model_optimization'] = None\n"
        "from affnet_tf.errors import InputError\n"
        "from affnet_tf.export.qat import _toolkit\n"
        "try:\n    _toolkit()\nexcept InputError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'affnet_tf[qat]'" in done.stdout, done.stderr
