"""Every network through every ability that training, checkpoints and export ask of it."""

import functools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from flops import tensorflow_flops
from forged import SIZE, forge_clips
from plain_networks import PLAIN
from small import SMALL, images, randomise

from affnet_tf.config import NETWORKS, ExperimentConfig, ModelConfig, TrainConfig, model_fields, replace
from affnet_tf.errors import InputError
from affnet_tf.evaluation.predictions import read_predictions
from affnet_tf.export.convert import convert_network
from affnet_tf.export.recipes import recipe
from affnet_tf.models.catalogue import network_nodes
from affnet_tf.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from affnet_tf.models.describe import describe
from affnet_tf.models.networks import build_network, set_frequencies
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.training.experiment import evaluate

LABELS = ("negative", "positive", "surprise")


def config_of(network: str, size: int = 32) -> ModelConfig:
    return (
        replace(SMALL, input_size=size) if network == "affectivenet" else ModelConfig(network=network, input_size=size)
    )


@functools.cache
def random_network(name: str, size: int = 32) -> keras.Model:
    """A network for 3 classes with random weights, built once; tests leave it as it is."""
    model = build_network(config_of(name, size), 3)
    randomise(model)
    return model


def values(x) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))


@pytest.fixture(params=NETWORKS)
def network(request) -> str:
    return request.param


def bn(*channels: int) -> int:
    """Scale, offset, mean and variance of each channel."""
    return 4 * sum(channels)


# Weights and biases, layer by layer, as one would add them up from the papers.
COUNTS = [
    ("learnet", 112, 8, 1_867_528),
    (
        "originet",
        128,
        8,
        (9 + 25) * (3 * 16 + 16 * 32 + 32 * 64 + 64 * 96)
        + 2 * (16 + 32 + 64 + 96)
        + bn(16, 32, 64)
        + 2 * (8 * 8 * 96 + 1) * 128
        + (256 + 1) * 8,
    ),
    ("ststnet", 28, 3, (9 * 3 + 1) * (3 + 5 + 8) + bn(3, 5, 8) + (5 * 5 * 16 + 1) * 3),
    (
        "offapexnet",
        28,
        3,
        2 * ((25 + 1) * 6 + (25 * 6 + 1) * 16) + (2 * 7 * 7 * 16 + 1) * 1024 + (1024 + 1) * 1024 + (1024 + 1) * 3,
    ),
    ("logistic", 112, 4, (28 * 28 * 3 + 1) * 4),
    ("majority", 112, 4, (3 + 1) * 4),
]


@pytest.mark.parametrize(("name", "size", "classes", "count"), COUNTS)
def test_parameters_are_those_of_the_papers(name, size, classes, count):
    config = ModelConfig(network=name, input_size=size)
    assert describe(config, classes).parameters == build_network(config, classes).count_params() == count


def test_described_as_built(network):
    """At an odd size, where paddings show: shapes, parameters and multiply-accumulates of every layer."""
    config = config_of(network, 37)
    model, described = build_network(config, 3), describe(config, 3)
    assert described.parameters == model.count_params()
    assert described.macs == tensorflow_flops(model, 37) / 2
    if network != "affectivenet":  # whose layers are inside two blocks
        built = {layer.name: (type(layer).__name__, tuple(layer.output.shape[1:])) for layer in model.layers[1:]}
        assert built == {row.name: (row.kind, tuple(row.shape)) for row in described.layers}


def test_outputs(network):
    model = random_network(network)
    assert model.name == network
    assert model.input_shape == (None, 32, 32, 3)
    assert model(images(2, 32)).shape == (2, 3)
    assert describe(config_of(network), 5).layers[-1].shape == (5,)
    with pytest.raises(InputError, match="at least 2 classes"):
        build_network(config_of(network), 1)
    with pytest.raises(InputError, match="at least 2 classes"):
        describe(config_of(network), 1)


@pytest.mark.parametrize("name", PLAIN)
def test_the_wiring_as_a_plain_float64_loop_has_it(name):
    model = random_network(name, 28)
    weights = {layer.name: [w.astype(np.float64) for w in layer.get_weights()] for layer in model.layers}
    for image, logits in zip(images(2, 28), values(model(images(2, 28))), strict=True):
        np.testing.assert_allclose(logits, PLAIN[name](image.astype(np.float64), weights), atol=1e-4)


def test_mobilenet_answers_as_that_of_keras():
    keras.utils.set_random_seed(0)
    ours = build_network(config_of("mobilenetv3small"), 3)
    randomise(ours)
    # Statistics of some images, without which a network so deep answers the same to all.
    norms = [layer for layer in ours.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    ours(images(32, 32, seed=2), training=True)
    theirs = keras.applications.MobileNetV3Small(
        (32, 32, 3), weights=None, classes=3, classifier_activation=None, include_preprocessing=False
    )
    shapes = [weight.shape for weight in theirs.weights]
    theirs.set_weights([w.reshape(shape) for w, shape in zip(ours.get_weights(), shapes, strict=True)])
    data = images(2, 32)
    expected = values(theirs(2 * data - 1))
    assert np.abs(expected[0] - expected[1]).max() > 0.1 * np.abs(expected).max(), "images must matter"
    np.testing.assert_allclose(values(ours(data)), expected, atol=1e-3 * np.abs(expected).max())


def test_logits_are_float32_under_mixed_bfloat16(network):
    exact = random_network(network)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        low = build_network(config_of(network), 3)
    finally:
        keras.config.set_dtype_policy("float32")
    low.set_weights(exact.get_weights())
    assert {weight.dtype for weight in low.trainable_weights} == {"float32"}
    assert "bfloat16" in {layer.compute_dtype for layer in low.layers}
    expected, result = values(exact(images(4, 32))), low(images(4, 32))
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    np.testing.assert_allclose(values(result), expected, atol=0.1 * np.abs(expected).max())


def test_a_training_step_lowers_the_loss(network):
    """Of the same batch, without dropout, which would change the question between two looks at it."""
    config = config_of(network)
    if "dropout" in model_fields(network):
        config = replace(config, dropout=0.0)
    keras.utils.set_random_seed(0)
    model = build_network(config, 3)
    model.compile(
        optimizer=keras.optimizers.SGD(1e-3),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    truth = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 0, 0]]
    losses = [float(model.train_on_batch(images(6, 32), truth)) for _ in range(2)]
    assert losses[0] > losses[1]


def test_checkpoint_round_trip(network, tmp_path):
    config = ExperimentConfig(model=config_of(network), labels="megc3")
    assert ExperimentConfig.from_json(config.to_json()) == config
    model = random_network(network)
    again = load_checkpoint(save_checkpoint(tmp_path / "model", Checkpoint(model, config, LABELS, 40)))
    assert (again.config, again.model.name) == (config, network)
    np.testing.assert_array_equal(values(model(images(2, 32))), values(again.model(images(2, 32))))


@pytest.mark.parametrize(
    ("network", "change", "layer", "field"),
    [
        ("learnet", {"input_size": 96}, "hidden_dense", "model.network or model.input_size"),
        ("learnet", {"network": "originet", "dropout": 0.5}, "first_conv", "model.network"),
        ("ststnet", {"input_size": 96}, "logits", "labels, model.network or model.input_size"),
        ("learnet", {"network": "affectivenet"}, "first_conv", "model.network"),
        ("affectivenet", {"network": "learnet", **{k: v for k, v in ModelConfig().__dict__.items() if k != "network"}},
         "stage1_stream1_conv", "model.network"),
    ],
)  # fmt: skip
def test_an_edited_config_names_the_layer_and_the_field(tmp_path, network, change, layer, field):
    config = ExperimentConfig(model=config_of(network))
    model = build_network(config.model, 3)
    edited = replace(config, model=ModelConfig(**{**config.model.__dict__, **change}))
    # Written with the edited config: what a config.json that was changed by hand says of these weights.
    folder = save_checkpoint(tmp_path / "model", Checkpoint(model, edited, LABELS, 40))
    with pytest.raises(InputError) as error:
        load_checkpoint(folder)
    assert f"layer {layer!r} must have the shapes that {field} gives" in str(error.value)


# AffectiveNet is exported in test_export; MobileNetV3 would take as long as all others together.
@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("learnet", "full_int8"),
        ("originet", "float32"),
        ("ststnet", "full_int8"),
        ("offapexnet", "float32"),
        ("logistic", "full_int8"),
        ("majority", "float32"),
    ],
)
def test_converts_for_phones(network, name):
    from ai_edge_litert.interpreter import Interpreter

    config = ExperimentConfig(model=config_of(network))
    model = random_network(network)
    chosen, data = recipe(name), images(32, 32)
    interpreter = Interpreter(model_content=convert_network(Checkpoint(model, config, LABELS, 40), chosen, data))
    runner = interpreter.get_signature_runner()
    expected = values(keras.ops.softmax(model(data[:8])))
    given = runner.get_input_details()["motion_image"]
    scale, zero = given["quantization"]
    for image, probabilities in zip(data[:8], expected, strict=True):
        batch = image[None] if name == "float32" else np.round(image[None] / scale + zero).astype(given["dtype"])
        answer = runner(motion_image=batch)["probabilities"][0]
        if name == "float32":
            np.testing.assert_allclose(answer, probabilities, atol=1e-5)
        else:
            assert np.abs((answer.astype(np.float32) + 128) / 256 - probabilities).max() < 0.15


def test_majority_is_the_frequency_of_the_labels():
    model = build_network(config_of("majority"), 4)
    set_frequencies(model, [0, 2, 2, 3, 2, 0, 2, 2])
    probabilities = values(keras.ops.softmax(model(images(3, 32))))
    np.testing.assert_allclose(probabilities, np.tile([2 / 8, 0, 5 / 8, 1 / 8], (3, 1)), atol=2e-6)


def test_majority_in_an_experiment_knows_the_other_subjects_labels_alone(tmp_path):
    """With class weights on, which would make gradient steps end at equal probabilities."""
    clips = forge_clips(tmp_path / "casme2", subjects=3, clips=6)
    clips = [clip for clip in clips if (clip.subject, clip.emotion) != ("sub01", "happiness")]
    store = prepare(clips, tmp_path / "store", CropConfig(SIZE, "none")).store
    config = ExperimentConfig(model=config_of("majority"), train=TrainConfig(epochs=1, batch_size=4))
    assert config.train.class_weights
    evaluate(store.path, tmp_path / "run", config)
    order = ("happiness", "disgust", "surprise", "others")  # as positive, negative, surprise, others
    rows = read_predictions(tmp_path / "run" / "predictions.csv").rows
    assert len(rows) == len(clips) == 16
    for row in rows:
        others = [clip.emotion for clip in clips if clip.subject != row.subject]
        expected = [others.count(emotion) / len(others) for emotion in order]
        np.testing.assert_allclose(row.probabilities, expected, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "affectivenet"])
def test_a_field_that_the_network_does_not_read_must_keep_its_default(name):
    with pytest.raises(InputError, match=rf"^model\.kernels must be \(3, 5, 7, 11\), its default.*{name!r}.*\(3, 5\)$"):
        ModelConfig(network=name, kernels=(3, 5))
    if "dropout" in model_fields(name):
        assert ModelConfig(network=name, dropout=0.3).dropout == 0.3
    else:
        with pytest.raises(InputError, match=r"^model\.dropout must be 0\.5, its default"):
            ModelConfig(network=name, dropout=0.3)
    assert set(model_fields(name)) < set(model_fields("affectivenet"))


@pytest.mark.parametrize("name", [name for name in NETWORKS if "dropout" in model_fields(name)])
def test_dropout_is_the_field_s(name):
    for rate, expected in ((0.0, set()), (0.25, {0.25})):
        nodes = network_nodes(replace(config_of(name), dropout=rate), 3)
        assert {node.options["rate"] for node in nodes if node.kind == "Dropout"} == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_smallest_input(name):
    smallest = NETWORKS[name]
    assert describe(config_of(name, smallest), 2).layers[-1].shape == (2,)
    with pytest.raises(
        InputError, match=rf"^model\.input_size must be at least {smallest}\. Received: {smallest - 1}$"
    ):
        config_of(name, smallest - 1)


def test_unknown_network():
    with pytest.raises(InputError, match=r"model\.network must be one of affectivenet, .* Did you mean 'ststnet'\?"):
        ModelConfig(network="ststnt")


JAX = """
import sys
import jax
import keras
import numpy as np
from small import images
from affnet_tf.models.checkpoint import load_checkpoint
assert keras.backend.backend() == "jax"
assert "tensorflow" not in sys.modules
for folder in sys.argv[1:]:
    expected = np.load(folder + ".npy")
    result = np.asarray(jax.jit(load_checkpoint(folder).model)(images(2, 32)))
    assert np.abs(result - expected).max() <= 1e-4 * np.abs(expected).max(), folder
print("equal")
"""


def test_the_jax_backend_gives_the_same_logits(tmp_path):
    """In a process of its own, from checkpoints written under TensorFlow."""
    chosen = ("offapexnet", "majority")  # most kinds of layers in few layers: building is slow under JAX
    for name in chosen:
        config = ExperimentConfig(model=config_of(name))
        model = random_network(name)
        save_checkpoint(tmp_path / name, Checkpoint(model, config, LABELS, 40))
        np.save(f"{tmp_path / name}.npy", values(model(images(2, 32))))
    path = os.pathsep.join([os.getcwd(), os.path.dirname(__file__)])
    environment = {**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", JAX, *(str(tmp_path / name) for name in chosen)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
