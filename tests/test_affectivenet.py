import dataclasses
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from flops import tensorflow_flops
from small import SMALL, images, randomise

from affnet_tf.config import ModelConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.models.affectivenet import affectivenet, copy_weights, probabilities
from affnet_tf.models.describe import describe
from affnet_tf.models.networks import flat_network

VARIANTS = {
    "small": SMALL,
    "one stream": replace(SMALL, kernels=(3,)),
    "five streams": replace(SMALL, kernels=(1, 3, 5, 7, 9), widths=(4,)),
    "odd size": replace(SMALL, input_size=37, widths=(4, 6, 8)),
    "stem": replace(SMALL, input_size=28, stem=6),
    "depthwise": replace(SMALL, depthwise=True),
    "edge": replace(SMALL, stem=6, depthwise=True, normalise="before_exchange"),
    "norm first": replace(SMALL, normalise="before_exchange"),
    "no exchange": replace(SMALL, exchange=False, kernels=(3, 5, 7)),
    "tap before": replace(SMALL, taps=("before",)),
    "tap after": replace(SMALL, taps=("after",)),
    "no mfl": replace(SMALL, mfl=False),
    "no dropout": replace(SMALL, dropout=0.0),
}


def values(x) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))


@pytest.fixture(params=VARIANTS)
def config(request) -> ModelConfig:
    return VARIANTS[request.param]


def test_the_nested_network_is_the_flat_graph(config):
    nested, flat = affectivenet(config, 3), flat_network(config, 3)
    randomise(nested)
    data = images(3, config.input_size)
    assert np.abs(values(nested(data)) - values(flat(data))).max() > 1e-2, "they must differ at first"
    copy_weights(nested, flat)
    np.testing.assert_allclose(values(nested(data)), values(flat(data)), atol=1e-5)
    randomise(flat, seed=5)
    copy_weights(flat, nested)
    np.testing.assert_allclose(values(nested(data)), values(flat(data)), atol=1e-5)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)


def test_counts_equal_those_of_keras_and_tensorflow(config):
    described = describe(config, 3)
    model, flat = affectivenet(config, 3), flat_network(config, 3)
    assert described.parameters == model.count_params() == flat.count_params()
    by_name = {row.name: row for row in described.layers}
    for layer in flat.layers[1:]:
        row = by_name.pop(layer.name)
        assert row.kind == type(layer).__name__
        assert row.shape == tuple(layer.output.shape[1:])
        assert row.parameters == layer.count_params()
    assert not by_name
    assert described.macs == tensorflow_flops(flat, config.input_size) / 2


def test_macs_worked_by_hand():
    rows = {row.name: row for row in describe(ModelConfig(), 4).layers}
    first = rows["stage1_stream4_conv"]  # 11×11 kernel, 3 -> 16 channels, 112 -> 56
    assert (first.macs, first.parameters, first.shape) == (
        11 * 11 * 3 * 16 * 56 * 56,
        11 * 11 * 3 * 16 + 16,
        (56, 56, 16),
    )
    assert rows["stage1_stream4_norm"].parameters == 4 * 16
    assert rows["before_project"].macs == 14 * 14 * 16 * 128
    assert rows["logits"].parameters == 257 * 4


def test_outputs(config):
    for classes in (2, 5):
        model = affectivenet(config, classes)
        assert model.input_shape == (None, config.input_size, config.input_size, 3)
        result = model(images(2, config.input_size))
        assert result.shape == (2, classes)
        assert keras.backend.standardize_dtype(result.dtype) == "float32"


def test_input_is_centred():
    """Motion images come in [0, 1]; a grey one must look like zeros to the first convolution."""
    model = affectivenet(SMALL, 3)
    np.testing.assert_array_equal(values(model.get_layer("centre")(np.float32([[0, 0.5, 1]]))), [[-1, 0, 1]])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("variant", ["small", "edge", "no mfl"])
def test_logits_are_float32_under_every_policy(policy, variant):
    config = VARIANTS[variant]
    exact = affectivenet(config, 4)
    randomise(exact)
    keras.config.set_dtype_policy(policy)
    try:
        low = affectivenet(config, 4)
    finally:
        keras.config.set_dtype_policy("float32")
    low.set_weights(exact.get_weights())
    assert {weight.dtype for weight in low.trainable_weights} == {"float32"}
    assert low.get_layer("microfeat").compute_dtype == policy.removeprefix("mixed_")
    data = images(4, config.input_size)
    expected, result = values(exact(data)), low(data)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    # Relative to the largest logit: 8 bits of mantissa (bfloat16) or 11 (float16), ten layers deep.
    bound = {"mixed_bfloat16": 0.1, "mixed_float16": 0.01}[policy] * np.abs(expected).max()
    np.testing.assert_allclose(values(result), expected, atol=bound)


def test_gradients_reach_every_weight(config):
    model = affectivenet(config, 3)
    keras.utils.set_random_seed(0)
    data, truth = tf.constant(images(8, config.input_size)), tf.one_hot([0, 1, 2, 0, 1, 2, 0, 1], 3)
    with tf.GradientTape() as tape:
        logits = model(data, training=True)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(truth, logits))
    weights = [weight.value for weight in model.trainable_weights]
    for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
        assert np.abs(gradient).max() > 0, weight.path


def test_training_updates_the_statistics_of_batch_normalisation(config):
    model = affectivenet(config, 3)
    moving = [weight for weight in model.non_trainable_weights if "moving" in weight.name]
    assert moving
    before = [values(weight) for weight in moving]
    model(images(4, config.input_size), training=False)
    assert all(np.array_equal(a, values(b)) for a, b in zip(before, moving, strict=True))
    model(images(4, config.input_size), training=True)
    assert not any(np.array_equal(a, values(b)) for a, b in zip(before, moving, strict=True))


def test_copy_weights_names_the_layer_that_differs():
    source = affectivenet(SMALL, 3)
    with pytest.raises(InputError, match=r"layer 'stage1_stream2_conv' must have the same weights"):
        copy_weights(source, flat_network(replace(SMALL, kernels=(3, 7)), 3))
    with pytest.raises(InputError, match=r"layer 'logits' .* Received: \[\(16, 3\), \(3,\)\], \[\(16, 4\), \(4,\)\]"):
        copy_weights(source, flat_network(SMALL, 4))
    with pytest.raises(InputError, match=r"layer 'before_reduce_conv' .* Received: .*, None"):
        copy_weights(source, affectivenet(replace(SMALL, taps=("after",)), 3))


def test_too_few_classes():
    for build in (affectivenet, flat_network, describe):
        with pytest.raises(InputError, match="at least 2 classes"):
            build(SMALL, 1)


def test_probabilities_do_not_depend_on_the_batches():
    model = affectivenet(SMALL, 3)
    randomise(model)
    data = images(7, 32)
    logits = values(model(data)).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for batch_size in (1, 2, 3, 7, 16):
        result = probabilities(model, data, batch_size)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, atol=1e-5)


FIELD = ModelConfig(
    input_size=64, kernels=(3, 5), widths=(3, 3), mfl=True, taps=("after",), last_channels=3, dense=3, dropout=0.0
)


def test_receptive_fields_worked_by_hand():
    """Each layer adds (kernel - 1) times the distance of its input's neighbours; a stage of stride 2 doubles that."""
    rows = {row.name: row.receptive_field for row in describe(FIELD, 2).layers}
    assert rows["centre"] == 1
    assert rows["stage1_stream1_conv"] == 3
    assert rows["stage1_stream2_conv"] == 5
    assert rows["stage1_stream2_norm"] == 5, "the finer stream is added here"
    assert rows["stage2_stream1_conv"] == 3 + 2 * 2
    assert rows["stage2_stream2_conv"] == 5 + 4 * 2
    assert rows["stage2_stream1_norm"] == 13, "the coarser stream is added here"
    assert rows["streams"] == 13
    assert rows["last_conv"] == rows["after_reduce_conv"] == 13 + 2 * 4
    assert rows["after_project"] == rows["logits"] == 21 + 7 * 8, "a dense unit sees all 8×8 places"


def test_global_pooling_sees_every_place():
    rows = {row.name: row.receptive_field for row in describe(replace(FIELD, mfl=False), 2).layers}
    assert (rows["last_relu"], rows["pool"], rows["logits"]) == (21, 21 + 7 * 8, 21 + 7 * 8)


@pytest.mark.parametrize("name", ["stage1_stream2_norm", "stage2_stream1_norm", "stage2_stream2_norm", "last_relu"])
def test_receptive_fields_by_poking_pixels(name):
    """One unit in the middle changes with the pixels of a square as large as its field, and with no other."""
    flat = flat_network(FIELD, 2)
    randomise(flat)
    for weight in flat.weights:  # positive throughout, so that ReLU hides nothing
        if weight.name in ("kernel", "bias"):
            weight.assign(np.abs(values(weight)) + 0.1)
    model = keras.Model(flat.input, flat.get_layer(name).output)
    base = np.full((64, 64, 3), 0.75, np.float32)
    rows = np.repeat(base[None], 64, axis=0)
    rows[np.arange(64), np.arange(64), :] = 1.0  # picture i: row i is lit
    out, still = values(model(rows)), values(model(base[None]))
    middle = out.shape[1] // 2
    changed = np.abs(out - still)[:, middle, middle].max(axis=-1) > 1e-6
    seen = np.flatnonzero(changed)
    expected = next(row.receptive_field for row in describe(FIELD, 2).layers if row.name == name)
    assert len(seen) == expected
    assert seen[-1] - seen[0] + 1 == expected


TWIN = """
import json, sys
import numpy as np
import tf_keras
from small import images, randomise
from affnet_tf.config import ExperimentConfig
from affnet_tf.models.affectivenet import copy_weights
from affnet_tf.models.networks import build_network, flat_network
assert "keras.src" in build_network.__globals__["keras"].Model.__module__
for number, text in enumerate(json.loads(sys.argv[1])):
    config = ExperimentConfig.from_json({"model": text}).model
    nested, twin = build_network(config, 3), flat_network(config, 3, tf_keras)
    assert isinstance(twin, tf_keras.Model)
    randomise(nested, number)
    copy_weights(nested, twin)
    data = images(3, config.input_size)
    delta = np.abs(nested(data).numpy() - twin(data).numpy()).max()
    assert delta < 1e-5, (text, delta)
    randomise(twin, number + 100)
    copy_weights(twin, nested)
    delta = np.abs(nested(data).numpy() - twin(data).numpy()).max()
    assert delta < 1e-5, (text, delta)
print("equal")
"""


def test_the_tf_keras_twin_is_the_same_network():
    """In a process of its own, so that Keras 2 cannot disturb the other tests."""
    chosen = ("five streams", "odd size", "depthwise", "edge", "no exchange", "tap before", "no mfl")
    published = ("learnet", "originet", "ststnet", "offapexnet", "logistic", "majority")
    baselines = [ModelConfig(network=name, input_size=28) for name in published]
    documents = json.dumps([dataclasses.asdict(each) for each in (*(VARIANTS[name] for name in chosen), *baselines)])
    path = os.pathsep.join([os.getcwd(), os.path.dirname(__file__)])
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", TWIN, documents], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("equal")
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    assert "tf_keras" not in sys.modules
