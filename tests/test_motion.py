import os
import subprocess
import sys
from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kendalltau
from sklearn.svm import LinearSVC

from affnet_tf.errors import InputError
from affnet_tf.imaging.motion import (
    AffectiveMotion,
    SlidingMotion,
    affective_motion_image,
    normalise,
    rank_pool,
    weights,
)

KINDS = ("bilen", "linear", "published_port")


def direct_sum(length: int, kind: str) -> list[float]:
    """The defining sums in exact fractions."""
    if kind == "linear":
        return [2 * t - length - 1 for t in range(1, length + 1)]
    extra = 1 if kind == "bilen" else 0
    terms = [Fraction(2 * i - length - extra, i) for i in range(1, length + 1)]
    return [float(sum(terms[t:])) for t in range(length)]


def loop_pool(frames: np.ndarray, kind: str) -> np.ndarray:
    """Frame by frame in float64."""
    total = np.zeros(frames.shape[1:])
    for weight, frame in zip(direct_sum(len(frames), kind), frames, strict=True):
        total += weight * frame.astype(np.float64)
    return total


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 12, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_equal_the_direct_sum(kind):
    for length in range(2, 201):
        np.testing.assert_allclose(weights(length, kind), direct_sum(length, kind), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("bilen", [-1 / 2, 1 / 2]),
        ("bilen", [-4 / 3, 2 / 3, 2 / 3]),
        ("bilen", [-3.7, 0.3, 1.3, 1.3, 0.8]),
        ("linear", [-1, 1]),
        ("linear", [-2, 0, 2]),
        ("linear", [-4, -2, 0, 2, 4]),
        ("published_port", [1, 1]),
        ("published_port", [1 / 2, 3 / 2, 1]),
    ],
)
def test_weights_worked_by_hand(kind, expected):
    np.testing.assert_allclose(weights(len(expected), kind), expected, atol=1e-12)


@pytest.mark.parametrize("length", [2, 3, 17, 200])
def test_weights_sum(length):
    assert abs(weights(length, "bilen").sum()) < 1e-9
    assert abs(weights(length, "linear").sum()) < 1e-9
    assert abs(weights(length, "published_port").sum() - length) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_rank_pool_equals_a_float64_loop(frames, kind):
    expected = loop_pool(frames, kind)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(rank_pool(frames, kind=kind), expected, atol=1e-6 * scale)
    batch = keras.ops.convert_to_tensor(np.stack([frames, frames[::-1]]))
    pooled = keras.ops.convert_to_numpy(rank_pool(batch, kind=kind))
    np.testing.assert_allclose(pooled[0], expected, atol=1e-6 * scale)
    np.testing.assert_allclose(pooled[1], loop_pool(frames[::-1], kind), atol=1e-6 * scale)


@pytest.mark.parametrize("kind", KINDS)
def test_padded_batches_are_pooled_by_their_own_lengths(frames, kind):
    lengths = np.array([9, 2, 5])
    batch = np.full((3, 9, 12, 10, 3), 77, np.uint8)
    for row, length in zip(batch, lengths, strict=True):
        row[:length] = frames[:length]
    for pooled in (
        rank_pool(batch, lengths, kind),
        keras.ops.convert_to_numpy(rank_pool(tf.constant(batch), lengths, kind)),
    ):
        for row, length in zip(pooled, lengths, strict=True):
            np.testing.assert_allclose(row, loop_pool(frames[:length], kind), atol=1e-2)


def test_one_definition_serves_eager_graph_dataset_and_layer(frames):
    expected = affective_motion_image(frames)
    clips = tf.data.Dataset.from_generator(
        lambda: [frames], output_signature=tf.TensorSpec((None, 12, 10, 3), tf.uint8)
    )
    graph = tf.function(affective_motion_image, input_signature=[tf.TensorSpec((None, 12, 10, 3), tf.uint8)])
    layer = AffectiveMotion()
    for image in (next(iter(clips.map(affective_motion_image))), graph(frames), layer(frames[None])[0]):
        assert keras.backend.standardize_dtype(image.dtype) == "float32"
        np.testing.assert_allclose(keras.ops.convert_to_numpy(image), expected, atol=1e-6)


def test_pooling_inside_tf_data_under_the_jax_backend(frames, tmp_path):
    np.save(tmp_path / "frames.npy", frames)
    code = f"""
import numpy as np, tensorflow as tf, keras
from affnet_tf.imaging.motion import affective_motion_image
assert keras.backend.backend() == "jax"
frames = np.load({str(tmp_path / "frames.npy")!r})
clips = tf.data.Dataset.from_generator(lambda: [frames], output_signature=tf.TensorSpec((None, 12, 10, 3), tf.uint8))
inside = next(iter(clips.map(affective_motion_image))).numpy()
native = np.asarray(affective_motion_image(keras.ops.convert_to_tensor(frames)))
np.save({str(tmp_path / "images.npy")!r}, np.stack([inside, native]))
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for image in np.load(tmp_path / "images.npy"):
        np.testing.assert_allclose(image, affective_motion_image(frames), atol=1e-6)


def test_float16_frames_and_policies_are_pooled_in_float32():
    ramp = np.linspace(0, 255, 64, dtype=np.float16)[:, None, None, None] * np.ones((1, 4, 4, 3), np.float16)
    expected = loop_pool(ramp, "bilen")
    assert expected.max() > np.finfo(np.float16).max, "in float16 this clip would overflow"
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = AffectiveMotion(signed=True)
        pooled = layer(keras.ops.convert_to_tensor(ramp[None]))
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(pooled.dtype) == "float32"
    np.testing.assert_allclose(keras.ops.convert_to_numpy(pooled)[0], expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["bilen", "linear"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_still_clip_is_black_and_a_constant_changes_nothing(frames, kind, dtype):
    still = np.repeat(frames[:1], 31, axis=0).astype(dtype)
    assert not affective_motion_image(still, kind=kind).any()
    assert not keras.ops.convert_to_numpy(affective_motion_image(tf.constant(still), kind=kind)).any()
    darker = (frames // 2).astype(np.float32)
    np.testing.assert_allclose(rank_pool(darker, kind=kind), rank_pool(darker + 100, kind=kind), atol=1e-3)


def test_normalise_is_one_min_max_over_all_channels():
    motion = np.zeros((2, 2, 2, 3), np.float32)
    motion[0, 0, 0] = [-4, 0, 12]
    expected = np.full((2, 2, 3), 0.25)
    expected[0, 0] = [0, 0.25, 1]
    np.testing.assert_allclose(normalise(motion)[0], expected)
    assert not normalise(motion)[1].any()


def test_rank_pooling_points_where_the_ranking_machine_does():
    """The exact optimum is a linear ranking SVM over time-averaged frames; both must recover the order of the frames."""
    rng = np.random.default_rng(3)
    start, change = rng.uniform(0, 200, (2, 64))
    steps = np.linspace(0, 1, 20)[:, None]
    clip = start + steps**1.5 * change + rng.normal(0, 0.5, (20, 64))
    smoothed = np.cumsum(clip, axis=0) / np.arange(1, 21)[:, None]
    later, earlier = np.triu_indices(20, 1)[::-1]
    pairs = smoothed[later] - smoothed[earlier]
    machine = LinearSVC(fit_intercept=False, C=1.0, max_iter=20000)
    machine.fit(np.concatenate([pairs, -pairs]), np.repeat([1, -1], len(pairs)))
    optimum = machine.coef_[0]
    pooled = rank_pool(clip.reshape(20, 8, 8, 1).astype(np.float32))[..., 0].ravel()
    for direction in (optimum, pooled):
        assert kendalltau(smoothed @ direction, np.arange(20)).statistic > 0.99
    cosine = pooled @ optimum / np.linalg.norm(pooled) / np.linalg.norm(optimum)
    assert cosine > 0.9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_sliding_motion_equals_the_batch_after_ten_thousand_frames(kind, dtype):
    stream = np.random.default_rng(1).integers(0, 256, (10_000, 4, 5, 3)).astype(dtype)
    sliding = SlidingMotion(16, kind)
    results = [sliding.push(frame) for frame in stream]
    assert all(result is None for result in results[:15])
    for end in (16, 17, 31, 32, 33, 9_999, 10_000):
        expected = affective_motion_image(stream[end - 16 : end], kind=kind)
        np.testing.assert_allclose(results[end - 1], expected, atol=1e-4)
        assert results[end - 1].dtype == np.float32


def test_sliding_motion_starts_anew_after_reset(frames):
    sliding = SlidingMotion(3, "linear", signed=True)
    for frame in frames:
        sliding.push(frame)
    sliding.reset()
    assert sliding.push(frames[0]) is None
    assert sliding.push(frames[1]) is None
    np.testing.assert_allclose(sliding.push(frames[2]), loop_pool(frames[:3], "linear"))


def test_layer_round_trip():
    layer = AffectiveMotion("linear", signed=True, name="motion")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.kind, again.signed, again.name) == ("linear", True, "motion")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weights(1), "at least 2 frames. Received: 1"),
        (lambda: weights(5, "billen"), "Did you mean 'bilen'"),
        (lambda: rank_pool(np.zeros((1, 4, 4, 3))), "at least 2 frames. Received: 1"),
        (lambda: rank_pool(tf.zeros((1, 4, 4, 3))), "at least 2 frames. Received: 1"),
        (lambda: rank_pool(np.zeros((4, 4, 3))), "shape (T, H, W, C)"),
        (lambda: rank_pool(np.zeros((2, 4, 4, 3), np.int32)), "uint8 or float. Received: int32"),
        (lambda: rank_pool(np.full((2, 4, 4, 3), np.nan)), "must be finite"),
        (lambda: rank_pool(np.zeros((2, 4, 4, 3)), [2]), "lengths must come with a batch"),
        (lambda: rank_pool(np.zeros((1, 4, 4, 4, 3)), [5]), "lengths must be 1 numbers in [2, 4]. Received: [5]"),
        (lambda: SlidingMotion(4).push(np.zeros((4, 4))), "shape (H, W, C)"),
        (lambda: SlidingMotion(4).push(np.full((4, 4, 3), np.inf)), "must be finite"),
        (lambda: SlidingMotion(1), "at least 2 frames"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_sliding_motion_refuses_a_frame_of_another_size(frames):
    sliding = SlidingMotion(4)
    sliding.push(frames[0])
    with pytest.raises(InputError, match="as the first one was"):
        sliding.push(frames[0][:4])


def test_standard_scaling_is_by_mean_and_deviation():
    motion = np.random.default_rng(0).normal(3, 2, (2, 8, 9, 3)).astype(np.float32)
    motion[1] = 7
    motion[0, 0, 0, 0] = 1000
    expected = np.clip((motion[0] - motion[0].mean()) / motion[0].std() / 8 + 0.5, 0, 1)
    scaled = normalise(motion, "standard")
    np.testing.assert_allclose(scaled[0], expected, atol=1e-6)
    assert scaled[0, 0, 0, 0] == 1
    assert (scaled[1] == 0.5).all()
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(normalise(tf.constant(motion), "standard")), scaled, atol=1e-6
    )
