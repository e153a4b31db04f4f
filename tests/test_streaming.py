"""The streaming signatures beside ``SlidingMotion`` and beside sums in float64."""

import keras
import numpy as np
import pytest
import small_network as small
from ai_edge_litert import schema_py_generated as schema

from affnet_tf.config import MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.export.convert import convert_network
from affnet_tf.export.fronts import convert_fronts
from affnet_tf.export.graph import operators
from affnet_tf.export.recipes import recipe
from affnet_tf.export.signatures import MotionPath
from affnet_tf.imaging.motion import SlidingMotion, normalise, resize_motion
from affnet_tf.imaging.pooling import weights
from affnet_tf.inference.runtime import TFLiteModel

WINDOW = 7
KINDS = {
    "linear": MotionConfig(weights="linear"),
    "bilen": MotionConfig(weights="bilen"),
    "linear, standard": MotionConfig(weights="linear", scaling="standard"),
}


@pytest.fixture(scope="module")
def network():
    return small.checkpoint(40)


@pytest.fixture(scope="module")
def file(network):
    return convert_network(network, recipe("float32"))


@pytest.fixture(scope="module")
def models(file, tmp_path_factory):
    """The same network behind three kinds of motion; what a stream costs does not depend on the network."""
    folder = tmp_path_factory.mktemp("models")
    for name, settings in KINDS.items():
        (folder / f"{name}.tflite").write_bytes(convert_fronts(MotionPath(settings, 40, 32), WINDOW).around(file))
    return {name: TFLiteModel(folder / f"{name}.tflite") for name in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_is_what_sliding_motion_gives_frame_by_frame(models, network, kind):
    model, settings = models[kind], KINDS[kind]
    assert model.window == WINDOW
    sliding, state = SlidingMotion(WINDOW, settings.weights, signed=True), model.new_state()
    frames = np.random.default_rng(0).integers(0, 256, (3 * WINDOW + 2, 40, 40, 3), np.uint8)
    for count, frame in enumerate(frames, 1):
        state = model.update(frame, state)
        answer, signed = model.classify_state(state), sliding.push(frame)
        assert state["count"] == min(count, WINDOW)
        if count < WINDOW:
            assert answer is signed is None
            continue
        probabilities, image = answer
        np.testing.assert_allclose(image, normalise(resize_motion(signed, 32), settings.scaling), atol=1e-5)
        expected = keras.ops.softmax(network.model(image[None]))[0]
        np.testing.assert_allclose(probabilities, keras.ops.convert_to_numpy(expected), atol=1e-5)
        np.testing.assert_array_equal(model.classify(image), probabilities)
        # And beside a sum in float64 that knows nothing of either.
        latest = frames[count - WINDOW : count].astype(np.float64)
        motion = np.tensordot(weights(WINDOW, settings.weights), latest, axes=1)
        if settings.weights == "linear":
            np.testing.assert_array_equal(state["signed_motion"][0], motion)
            np.testing.assert_array_equal(state["sum"][0], latest.sum(axis=0))
        np.testing.assert_array_equal(state["window"][0], latest)


def test_updates_with_linear_weights_do_no_arithmetic_on_the_window(models):
    """Every operator but those that move the window forward reads one frame's worth of numbers."""
    from affnet_tf.export.join import read_file

    model = read_file(models["linear"].path.read_bytes())
    (place,) = [each.subgraphIndex for each in model.signatureDefs if each.signatureKey == b"update"]
    graph = model.subgraphs[place]
    size = 40 * 40 * 3
    large = [
        operator
        for operator in graph.operators
        if any(np.prod(graph.tensors[index].shape) > size for index in (*operator.inputs, *operator.outputs))
    ]
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    moving = {names[model.operatorCodes[operator.opcodeIndex].builtinCode] for operator in large}
    assert moving <= {"STRIDED_SLICE", "SLICE", "CONCATENATION", "RESHAPE"}
    assert "MUL" in operators(models["linear"].path.read_bytes())["update"].counts


def test_a_state_is_left_as_it_was(models):
    model = models["linear"]
    first = model.update(small.clip(2, 40)[0], model.new_state())
    kept = {name: tensor.copy() for name, tensor in first.items()}
    model.update(small.clip(2, 40)[1], first)
    for name, tensor in kept.items():
        np.testing.assert_array_equal(first[name], tensor)


def test_bad_frames_and_states_are_refused(models):
    model = models["linear"]
    state = model.new_state()
    for frame in (
        np.zeros((40, 40, 3), np.float32),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((2, 40, 40, 3), np.uint8),
    ):
        with pytest.raises(InputError, match=r"a frame must be uint8 of shape \(40, 40, 3\). Received: "):
            model.update(frame, state)
    frame = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(InputError, match=r"must have 'sum', int32 of shape \(1, 40, 40, 3\). Received: none"):
        model.update(frame, {name: tensor for name, tensor in state.items() if name != "sum"})
    with pytest.raises(InputError, match=r"'signed_motion', int32 .* Received: float32"):
        model.classify_state({**state, "signed_motion": state["signed_motion"].astype(np.float32)})
    with pytest.raises(InputError, match=r"'window', uint8 of shape \(1, 7, 40, 40, 3\). Received: uint8 of shape"):
        model.update(frame, {**state, "window": state["window"][:, 1:]})


def test_a_file_without_streams_says_so(file, tmp_path):
    from affnet_tf.export.join import join

    front = convert_fronts(MotionPath(KINDS["linear"], 40, 32), WINDOW)
    (tmp_path / "two.tflite").write_bytes(join(file, {"classify_clip": front.motion}))
    model = TFLiteModel(tmp_path / "two.tflite")
    assert model.window is None
    for call in (model.new_state, lambda: model.update(None, {}), lambda: model.classify_state({})):
        with pytest.raises(InputError, match=r"must be one of classify, classify_clip"):
            call()
