import math

import keras
import numpy as np
import pytest
from small import images, randomise

from affnet_tf.errors import InputError
from affnet_tf.models.layers import MFL, MICRoFeat

BLOCKS = {
    "microfeat": lambda **options: MICRoFeat((3, 5), (4, 8), **options),
    "microfeat edge": lambda **options: MICRoFeat(
        (1, 7, 5), (4,), depthwise=True, exchange=False, normalise="before_exchange", **options
    ),
    "mfl": lambda **options: MFL(8, ("before", "after"), (4, 6), 8, **options),
    "mfl after": lambda **options: MFL(8, ("after",), (4, 6), 5, **options),
}
ARGUMENTS = {
    "microfeat": {
        "kernels": [3, 5],
        "widths": [4, 8],
        "depthwise": False,
        "exchange": True,
        "normalise": "after_exchange",
    },
    "microfeat edge": {
        "kernels": [1, 7, 5],
        "widths": [4],
        "depthwise": True,
        "exchange": False,
        "normalise": "before_exchange",
    },
    "mfl": {"channels": 8, "taps": ["before", "after"], "tap_channels": [4, 6], "dense": 8},
    "mfl after": {"channels": 8, "taps": ["after"], "tap_channels": [4, 6], "dense": 5},
}


def values(x) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))


@pytest.mark.parametrize("name", BLOCKS)
def test_config_round_trip(name):
    layer = BLOCKS[name](name="block", dtype="mixed_bfloat16")
    config = layer.get_config()
    assert {key: config[key] for key in ARGUMENTS[name]} == ARGUMENTS[name]
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == config
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert all(sublayer.compute_dtype == "bfloat16" for sublayer in again.sublayers)


def test_registered_names():
    for kind in (MICRoFeat, MFL):
        assert keras.saving.get_registered_name(kind) == f"affnet_tf>{kind.__name__}"


@pytest.mark.parametrize("name", BLOCKS)
def test_saved_in_a_model_it_gives_equal_outputs(name, tmp_path):
    inputs = keras.Input((28, 28, 3))
    model = keras.Model(inputs, BLOCKS[name](name="block")(inputs))
    randomise(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert len(model.weights) == len(again.weights)
    np.testing.assert_array_equal(values(model(images(2, 28))), values(again(images(2, 28))))


@pytest.mark.parametrize("size", [28, 37, 112])
@pytest.mark.parametrize("kernels", [(3,), (1, 3), (3, 5, 7), (3, 5, 7, 11), (3, 5, 7, 9, 11)])
def test_microfeat_shapes(size, kernels):
    layer = MICRoFeat(kernels, (4, 6, 8))
    side = math.ceil(math.ceil(math.ceil(size / 2) / 2) / 2)
    expected = (2, side, side, 8 * len(kernels))
    assert layer.compute_output_shape((2, size, size, 3)) == expected
    assert layer(images(2, size)).shape == expected


@pytest.mark.parametrize("size", [4, 5, 14])
@pytest.mark.parametrize(("taps", "width"), [(("before", "after"), 14), (("before",), 7), (("after",), 7)])
def test_mfl_shapes(size, taps, width):
    layer = MFL(channels=8, taps=taps, tap_channels=(2, 3), dense=7)
    assert layer.compute_output_shape((2, size, size, 3)) == (2, width)
    assert layer(images(2, size)).shape == (2, width)
    half = math.ceil(size / 2)
    inputs = {"before": 2 * size * size, "after": 3 * half * half}
    dense = [weight.shape[0] for weight in layer.weights if len(weight.shape) == 2]
    assert dense == [inputs[tap] for tap in taps]
    assert any(len(weight.shape) == 4 and weight.shape[-1] == 8 for weight in layer.weights) == ("after" in taps)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ["microfeat", "mfl"])
def test_low_precision_stays_close_to_float32(name, policy):
    exact, low = BLOCKS[name](), BLOCKS[name](dtype=policy)
    data = images(2, 28)
    exact.build(data.shape)
    low.build(data.shape)
    randomise(exact)
    low.set_weights(exact.get_weights())
    assert all(weight.dtype == "float32" for weight in low.weights)
    result = low(data)
    assert keras.backend.standardize_dtype(result.dtype) == policy.removeprefix("mixed_")
    expected = values(exact(data))
    # 8 bits of mantissa (bfloat16) or 11 (float16), a handful of layers deep.
    bound = {"mixed_bfloat16": 0.05, "mixed_float16": 0.005}[policy] * np.abs(expected).max()
    np.testing.assert_allclose(values(result), expected, atol=bound)


def test_exchange_mixes_neighbouring_streams():
    """Stage 1: stream 2 hears of stream 1. Without exchange no stream hears of another."""
    data = images(1, 28)
    for exchange, heard in ((True, [True, True, False]), (False, [True, False, False])):
        layer = MICRoFeat((3, 5, 7), (4,), exchange=exchange)
        layer.build(data.shape)
        randomise(layer)
        before = values(layer(data)).reshape(1, 14, 14, 3, 4)
        next(w for w in layer.weights if "stage1_stream1_conv/kernel" in w.path).assign(np.ones((3, 3, 3, 4)))
        after = values(layer(data)).reshape(1, 14, 14, 3, 4)
        assert [bool((before[..., i, :] != after[..., i, :]).any()) for i in range(3)] == heard


def test_exchange_turns_round_in_the_second_stage():
    """Stage 2: stream 1 hears of stream 2, so a change that begins in stream 2 of stage 2 reaches streams 1 and 2."""
    data = images(1, 28)
    layer = MICRoFeat((3, 5, 7), (4, 4))
    layer.build(data.shape)
    randomise(layer)
    before = values(layer(data)).reshape(1, 7, 7, 3, 4)
    next(w for w in layer.weights if "stage2_stream2_conv/kernel" in w.path).assign(np.ones((5, 5, 4, 4)))
    after = values(layer(data)).reshape(1, 7, 7, 3, 4)
    assert [bool((before[..., i, :] != after[..., i, :]).any()) for i in range(3)] == [True, True, False]


def test_one_stage_worked_with_numpy():
    """Two streams of 1×1 and 3×3 kernels, one stage, against loops in float64."""
    layer = MICRoFeat((1, 3), (2,))
    data = images(1, 28)
    layer.build(data.shape)
    randomise(layer)
    weight = {w.path.split("/")[-2] + "/" + w.name: values(w).astype(np.float64) for w in layer.weights}
    streams = []
    for index, kernel in ((1, 1), (2, 3)):
        name = f"stage1_stream{index}"
        # same padding of stride 2 on an even side: kernel - 2 pixels in all, the odd one at the end.
        extra = max(kernel - 2, 0)
        padded = np.pad(data[0], ((extra // 2, extra - extra // 2),) * 2 + ((0, 0),)).astype(np.float64)
        out = np.zeros((14, 14, 2))
        for y in range(14):
            for x in range(14):
                patch = padded[2 * y : 2 * y + kernel, 2 * x : 2 * x + kernel]
                out[y, x] = np.einsum("hwc,hwco->o", patch, weight[f"{name}_conv/kernel"]) + weight[f"{name}_conv/bias"]
        streams.append(np.maximum(out, 0))
    streams[1] = streams[1] + streams[0]
    for i, name in enumerate(("stage1_stream1_norm", "stage1_stream2_norm")):
        w = {k: weight[f"{name}/{k}"] for k in ("gamma", "beta", "moving_mean", "moving_variance")}
        streams[i] = (streams[i] - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 1e-3) * w["gamma"] + w["beta"]
    np.testing.assert_allclose(values(layer(data))[0], np.concatenate(streams, axis=-1), atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MICRoFeat((3, 4)), "kernels must be odd and positive, one for each stream. Received: (3, 4)"),
        (lambda: MICRoFeat(()), "kernels must be odd and positive"),
        (lambda: MICRoFeat((3,), ()), "widths must be positive, one for each stage. Received: ()"),
        (lambda: MICRoFeat((3,), (4, 0)), "widths must be positive"),
        (lambda: MICRoFeat(normalise="after"), "normalise must be one of after_exchange, before_exchange"),
        (lambda: MFL(taps=()), "taps must be among 'before' and 'after'"),
        (lambda: MFL(taps=("behind",)), "taps must be among 'before' and 'after'"),
        (lambda: MFL(tap_channels=(16,)), "tap_channels must be two positive numbers. Received: (16,)"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert message in str(error.value)
