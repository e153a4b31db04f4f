import json
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
import small_network as small

from affnet_tf.config import MotionConfig
from affnet_tf.errors import InputError
from affnet_tf.imaging.faces import Face
from affnet_tf.imaging.motion import affective_motion_image, clip_motion_image
from affnet_tf.inference import predictor as predictors
from affnet_tf.inference.picture import draw_prediction
from affnet_tf.inference.predictor import Predictor, load_predictor
from affnet_tf.inference.recording import predict_path
from affnet_tf.models.checkpoint import save_checkpoint


class EyesAt:
    """A detector that finds one face at a known place, on every frame but the first few."""

    def __init__(self, hidden=0):
        self.hidden = hidden
        self.asked = 0

    def detect(self, image):
        self.asked += 1
        if self.asked <= self.hidden:
            return []
        return [Face((40, 20, 60, 80), ((55.0, 45.0), (85.0, 45.0)), 0.99)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    save_checkpoint(folder / "model", small.checkpoint(40))
    return folder


@pytest.fixture(scope="module")
def keras_predictor(run):
    return load_predictor(run)


@pytest.fixture(scope="module")
def bundle():
    return small.exported_bundle()


def write_frames(folder, frames, first=1):
    folder.mkdir()
    for number, frame in enumerate(frames, first):
        cv2.imwrite(str(folder / f"img{number}.png"), frame[..., ::-1])
    return folder


@pytest.mark.parametrize("length", [2, 9, 40])
def test_a_checkpoint_and_its_export_give_the_same_answer(keras_predictor, bundle, length):
    frames = small.clip(length, 40, seed=length)
    exact, exported = keras_predictor.predict_clip(frames), load_predictor(bundle).predict_clip(frames)
    assert exact.labels == exported.labels == small.LABELS
    assert exact.label == exported.label
    np.testing.assert_allclose(exported.probabilities, exact.probabilities, atol=1e-5)
    np.testing.assert_allclose(exported.motion_image, exact.motion_image, atol=1e-5)
    assert exact.probabilities.dtype == exported.probabilities.dtype == np.float32
    integer = load_predictor(bundle / "full_int8").predict_clip(frames)
    assert integer.label == exact.label
    assert abs(integer.confidence - exact.confidence) < 0.1


def test_every_kind_of_path_is_read(run, bundle):
    assert load_predictor(run).source == load_predictor(run / "model").source == "checkpoint"
    for path in (bundle, bundle / "full_int8", bundle / "full_int8" / "model.tflite"):
        found = load_predictor(path)
        assert (found.source, found.frame_size, found.input_size, found.motion.weights) == ("tflite", 40, 32, "bilen")


def test_other_paths_are_refused(tmp_path, run):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="must be a checkpoint, a run with a trained model, a bundle"):
            load_predictor(path)
    with pytest.raises(InputError, match="must be a TFLite file"):
        load_predictor(run / "model" / "config.json")


def test_motion_images_of_any_size_and_kind(keras_predictor):
    image = small.images(1, 32)[0]
    exact = keras_predictor.predict_motion_image(image)
    np.testing.assert_array_equal(exact.motion_image, image)
    as_bytes = keras_predictor.predict_motion_image(np.round(image * 255).astype(np.uint8))
    np.testing.assert_allclose(as_bytes.motion_image, image, atol=0.5 / 255 + 1e-6)
    twice = keras_predictor.predict_motion_image(np.repeat(np.repeat(image, 2, 0), 2, 1))
    np.testing.assert_allclose(twice.motion_image, image, atol=1e-6)
    np.testing.assert_allclose(twice.probabilities, exact.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((32, 32), np.uint8), r"\(H, W, 3\). Received: uint8 of shape \(32, 32\)"),
        (np.zeros((32, 32, 3), np.int32), "uint8 or float"),
        (np.full((32, 32, 3), 7.0), r"must lie in \[0, 1\]. Received: \[7, 7\]"),
        (np.full((32, 32, 3), np.nan), r"must lie in \[0, 1\]"),
    ],
)
def test_bad_motion_images_are_refused(keras_predictor, image, message):
    with pytest.raises(InputError, match=message):
        keras_predictor.predict_motion_image(image)


@pytest.mark.parametrize("source", ["checkpoint", "tflite"])
def test_bad_frames_are_refused_alike(keras_predictor, bundle, source):
    found = keras_predictor if source == "checkpoint" else load_predictor(bundle)
    for frames in (np.zeros((9, 32, 32, 3), np.uint8), np.zeros((1, 40, 40, 3), np.uint8), np.zeros((9, 40, 40, 3))):
        with pytest.raises(InputError, match=r"uint8 of shape \(T, 40, 40, 3\), T at least 2"):
            found.predict_clip(frames)


def test_a_long_clip_is_pooled_frame_by_frame_to_the_same_image(keras_predictor, bundle, monkeypatch):
    frames = small.clip(200, 40, seed=4)
    whole = keras_predictor.predict_clip(frames)
    monkeypatch.setattr(predictors, "LONG_CLIP", 100)
    for found in (keras_predictor, load_predictor(bundle)):
        parts = found.predict_clip(frames)
        np.testing.assert_allclose(parts.motion_image, whole.motion_image, atol=1e-5)
        np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=2e-5)


def test_a_folder_of_crops(keras_predictor, tmp_path):
    frames = small.clip(12, 40)
    folder = write_frames(tmp_path / "clip", frames, first=46)
    result = predict_path(folder, keras_predictor)
    expected = keras_predictor.predict_clip(frames)
    np.testing.assert_allclose(result.prediction.probabilities, expected.probabilities, atol=1e-6)
    assert (result.frames, result.start, result.end, result.face_frame) == (12, 46, 57, None)
    assert result.shown_numbers == (46, 49, 52, 54, 57)
    np.testing.assert_array_equal(result.shown[-1], frames[-1])
    assert any("taken as face crops" in note for note in result.notes)
    part = predict_path(folder, keras_predictor, start=48, end=51)
    expected = keras_predictor.predict_clip(frames[2:6])
    np.testing.assert_allclose(part.prediction.probabilities, expected.probabilities, atol=1e-6)
    json.dumps(part.to_json())


def test_one_crop_from_the_first_frame_that_shows_a_face(keras_predictor, tmp_path):
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (120, 140, 3)).astype(np.uint8)
    moving = np.stack(
        [np.clip(still.astype(int) + (t * 3 if t % 2 else 0), 0, 255).astype(np.uint8) for t in range(30)]
    )
    folder = write_frames(tmp_path / "clip", moving)
    shown = predict_path(folder, keras_predictor, detector=EyesAt())
    late = predict_path(folder, keras_predictor, detector=EyesAt(hidden=2))
    assert shown.face_frame == 1
    assert late.face_frame == 7
    assert "no face on frame 1; the crop comes from frame 7" in late.notes
    np.testing.assert_array_equal(shown.shown, late.shown)
    assert shown.shown.shape == (5, 40, 40, 3)
    with pytest.raises(InputError, match=r"must show a face\. Received: none on 10 of its 30 frames"):
        predict_path(folder, keras_predictor, detector=EyesAt(hidden=99))


def test_a_long_video_is_one_clip_with_a_note(keras_predictor, tmp_path):
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 50, (64, 64))
    for frame in small.clip(472, 64):
        writer.write(frame[..., ::-1])
    writer.release()
    result = predict_path(path, keras_predictor)
    assert (result.frames, result.start, result.end) == (472, 0, 471)
    assert result.seconds == pytest.approx(9.44)
    assert "the clip lasts 9.4 s; a micro-expression lasts under 0.5 s: give its --start and --end" in result.notes
    part = predict_path(path, keras_predictor, start=1.0, end=1.3)
    assert (part.start, part.end) == (50, 65)
    assert not any("lasts" in note for note in part.notes)


def test_a_picture_of_a_motion_image(keras_predictor, tmp_path):
    image = np.round(small.images(1, 32)[0] * 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "motion.png"), image[..., ::-1])
    result = predict_path(tmp_path / "motion.png", keras_predictor)
    np.testing.assert_allclose(result.prediction.motion_image, image / 255, atol=1e-6)
    assert (result.frames, result.start) == (0, None)
    with pytest.raises(InputError, match="start, end and fps must go with a video or a folder"):
        predict_path(tmp_path / "motion.png", keras_predictor, start=3)


def test_a_single_frame_is_no_clip(keras_predictor, tmp_path):
    folder = write_frames(tmp_path / "clip", small.clip(2, 40)[:1])
    with pytest.raises(InputError, match=r"at least 2 frames\. Received: .*with 1"):
        predict_path(folder, keras_predictor)


def test_a_predictor_takes_any_functions():
    found = Predictor("checkpoint", ("a", "b"), 32, 40, None, lambda image: np.array([0.2, 0.8]), lambda frames: None)
    prediction = found.predict_motion_image(np.zeros((32, 32, 3), np.uint8))
    assert (prediction.label, prediction.confidence) == ("b", 0.8)
    assert prediction.to_json() == {"label": "b", "confidence": 0.8, "probabilities": {"a": 0.2, "b": 0.8}}


def test_what_the_network_sees_is_the_motion_image_where_sizes_agree():
    frames = small.clip(9, 32)
    expected = affective_motion_image(frames, kind="linear")
    np.testing.assert_allclose(
        clip_motion_image(frames[None], MotionConfig(weights="linear"), 32)[0], expected, atol=1e-6
    )
    tensor = clip_motion_image(keras.ops.convert_to_tensor(frames[None]), MotionConfig(weights="linear"), 32)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor)[0], expected, atol=1e-6)


def test_a_clip_needs_no_keras_when_it_is_exported(bundle):
    program = (
        "import sys, numpy as np; from affnet_tf.inference.predictor import load_predictor; "
        f"load_predictor({str(bundle)!r}).predict_clip(np.zeros((3, 40, 40, 3), np.uint8)); "
        "print(sorted({'keras', 'tensorflow', 'cv2', 'jax', 'matplotlib'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_the_picture_shows_frames_motion_and_bars(keras_predictor, tmp_path):
    folder = write_frames(tmp_path / "clip", small.clip(9, 40))
    draw_prediction(predict_path(folder, keras_predictor), tmp_path / "a" / "prediction.png")
    picture = cv2.imread(str(tmp_path / "a" / "prediction.png"))
    assert picture.shape[1] > 3 * picture.shape[0]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000
