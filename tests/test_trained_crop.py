"""A network is asked about frames that are cropped as those that it was trained on."""

import json

import cv2
import numpy as np
import pytest
from forged import EMOTIONS, SIZE, forge_clips
from small import SMALLEST

from affnet_tf.config import ExperimentConfig, TrainConfig
from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.export.run import export_run
from affnet_tf.imaging.faces import Face, FaceDetector, align_crop, crop_frames
from affnet_tf.imaging.frames import iterate_frames, read_image, video_info
from affnet_tf.imaging.magnify import magnify
from affnet_tf.inference.predictor import load_predictor
from affnet_tf.inference.recording import predict_path
from affnet_tf.models.checkpoint import load_checkpoint, save_checkpoint
from affnet_tf.pipeline.crop_config import CropConfig, TrainedCrop
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.pipeline.reading import read_clips
from affnet_tf.pipeline.store import open_store
from affnet_tf.training.experiment import train

CONFIG = ExperimentConfig(model=SMALLEST, train=TrainConfig(epochs=1, batch_size=2))
LENGTH = 5  # as many as a prediction shows


def trained(root, clips, settings):
    """A store of the clips, a run on it, and its bundle."""
    store = prepare(clips, root / "store", settings, release="raw").store
    train(store.path, root / "run", CONFIG, tensorboard=False)
    export_run(root / "run", root / "bundle", ["float32"])
    return root


def stored(root):
    """The frames of each clip, by the clip's folder of frames."""
    rows = read_clips(open_store(root / "store"), cache=False).as_numpy_iterator()
    return [frames for _, frames, _ in rows]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A face in a wide picture that grows brighter, or darker, at one place."""
    pytest.importorskip("mtcnn")
    root = tmp_path_factory.mktemp("found")
    picture = pytest.importorskip("matplotlib").get_data_path() + "/sample_data/grace_hopper.jpg"
    picture = cv2.resize(read_image(picture), (256, 300), interpolation=cv2.INTER_AREA).astype(np.float64)
    clips = []
    for number, emotion in enumerate(EMOTIONS):
        folder = root / f"clip{number}"
        folder.mkdir()
        for i in range(LENGTH):
            frame = picture.copy()
            frame[60:120, 80:180] += (-1) ** number * 5 * i
            frame = np.clip(frame, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"img{i + 1}.png"), frame[..., ::-1])
        clips.append(Clip("casme2", f"sub{number // 2}", f"EP{number}", folder, 1, LENGTH, emotion, 3, 200.0))
    return trained(root, clips, CropConfig(SIZE, "mtcnn", margin=0.3))


@pytest.fixture(scope="module")
def magnified(tmp_path_factory):
    root = tmp_path_factory.mktemp("magnified")
    clips = forge_clips(root, subjects=2, clips=4)
    return trained(root, clips, CropConfig(SIZE, "none", magnify=3.0, band=(5.0, 60.0)))


@pytest.mark.parametrize("model", ["run", "bundle"])
def test_another_margin_is_kept_from_the_store_to_the_prediction(found, model):
    detector = FaceDetector()
    predictor = load_predictor(found / model)
    frames = stored(found)
    for number in (0, 3):
        folder = found / f"clip{number}"
        answer = predict_path(folder, predictor, detector=detector)
        np.testing.assert_array_equal(answer.shown, frames[number])
        raw = list(iterate_frames(folder))
        face = detector.detect(raw[0])[0]
        np.testing.assert_array_equal(answer.shown, crop_frames(raw, align_crop(face, SIZE, 0.3), SIZE))
        usual = crop_frames(raw, align_crop(face, SIZE), SIZE)
        assert np.abs(answer.shown.astype(int) - usual).mean() > 5
        assert not any("crop" in note for note in answer.notes)


@pytest.mark.parametrize("model", ["run", "bundle"])
def test_motion_is_magnified_if_it_was_in_training(magnified, model):
    predictor = load_predictor(magnified / model)
    frames = stored(magnified)[0]
    folder = magnified / "sub01" / "EP00"
    answer = predict_path(folder, predictor, fps=200.0)
    expected = predictor.predict_clip(frames)
    np.testing.assert_array_equal(answer.prediction.probabilities, expected.probabilities)
    np.testing.assert_array_equal(answer.prediction.motion_image, expected.motion_image)
    plain = np.stack(list(iterate_frames(folder)))
    np.testing.assert_array_equal(answer.shown[-1], magnify(plain, 3.0, 5.0, 60.0, 200.0)[-1])
    assert np.abs(answer.shown[-1].astype(int) - plain[-1]).max() > 10
    with pytest.raises(
        InputError, match=r"trained on clips magnified by 3 must have a frame rate: --fps .*EP00' without$"
    ):
        predict_path(folder, predictor)
    with pytest.raises(InputError, match=r"fps must be more than 0\. Received: -25"):
        predict_path(folder, predictor, fps=-25)


def test_a_magnified_clip_that_would_not_fit_in_memory_is_refused(magnified, tmp_path, monkeypatch):
    monkeypatch.setattr("affnet_tf.pipeline.crop_config.CLIP_BYTES", 40_000)
    with pytest.raises(InputError, match=r"magnified by 3 must have at most 3 frames. Received: .* with \d"):
        predict_path(magnified / "sub01" / "EP00", load_predictor(magnified / "run"), fps=200)


def test_a_magnified_video_is_read_no_further_than_fits_whatever_its_header_says(magnified, tmp_path, monkeypatch):
    monkeypatch.setattr("affnet_tf.pipeline.crop_config.CLIP_BYTES", 40_000)
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 200, (SIZE, SIZE))
    for frame in stored(magnified)[0][[0, 1, 2, 3, 3, 2, 1]]:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    data = bytearray(path.read_bytes())
    for box, offset in ((b"avih", 16), (b"strh", 32)):
        at = data.index(box) + 8 + offset
        data[at : at + 4] = (3).to_bytes(4, "little")
    path.write_bytes(data)
    assert video_info(path).frames == 3
    with pytest.raises(
        InputError, match=r"magnified by 3 must have at most 3 frames\. Received: '.*a\.avi' with 4 or more$"
    ):
        predict_path(path, load_predictor(magnified / "run"))


def test_the_bundle_says_it_so_that_a_program_can_read_it(found, magnified):
    crops = [json.loads((root / "bundle/float32/recipe.json").read_text())["crop"] for root in (found, magnified)]
    plain = {"size": SIZE, "detector": "mtcnn", "margin": 0.3, "magnify": 0.0, "band": [1.0, 10.0], "mixed": []}
    assert crops == [plain, {**plain, "detector": "none", "margin": 0.1, "magnify": 3.0, "band": [5.0, 60.0]}]
    assert load_checkpoint(magnified / "run/model").details["crop"] == crops[1]


class EyesAt:
    """A detector that finds one face at a known place."""

    def detect(self, image):
        return [Face((4, 2, 24, 28), ((10.0, 12.0), (22.0, 12.0)), 0.99)]


def test_a_face_that_is_looked_for_although_training_clips_came_cropped_is_noted(magnified):
    words = "the network was trained on clips that came as face crops; the crop that is made here may lie otherwise"
    for detector in (EyesAt(), None):
        answer = predict_path(magnified / "sub01/EP00", load_predictor(magnified / "run"), detector=detector, fps=200)
        assert (words in answer.notes) == (detector is not None)


def part(stored, detector="mtcnn", margin=0.1, magnify=0.0, band=(1.0, 10.0)):
    settings = {"size": 128, "detector": detector, "margin": margin, "magnify": magnify, "band": list(band)}
    return {"stored": stored, "settings": settings}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([part(9, margin=0.3)], TrainedCrop(128, margin=0.3)),
        # What came as crops says nothing of a margin, and what is not magnified nothing of a band.
        ([part(9, "none", 0.2), part(2, margin=0.3)], TrainedCrop(128, "none", 0.3, mixed=("detector",))),
        ([part(9, "none", 0.2)], TrainedCrop(128, "none", 0.1)),
        ([part(9, band=(2, 9)), part(2)], TrainedCrop(128)),
        ([part(4, margin=0.3), part(5), part(2, margin=0.3)], TrainedCrop(128, margin=0.3, mixed=("margin",))),
        (
            [part(2, magnify=4, band=(2, 9)), part(3, magnify=4.0, band=(2.0, 9.0))],
            TrainedCrop(128, magnify=4, band=(2, 9)),
        ),
        ([part(5, margin=0.3), part(5)], TrainedCrop(128, margin=0.3, mixed=("margin",))),
        (
            [part(5, magnify=4, band=(2, 9)), part(3)],
            TrainedCrop(128, magnify=4, band=(2, 9), mixed=("magnify",)),
        ),
    ],
)
def test_of_a_store_of_several_parts_most_clips_decide(parts, expected):
    clips = range(sum(each["stored"] for each in parts))
    found = TrainedCrop.of_parts({str(number): each for number, each in enumerate(parts)}, clips)
    assert found == expected
    assert TrainedCrop.read(json.loads(json.dumps({"crop": found.to_json()}))) == found


def test_clips_that_do_not_train_decide_nothing():
    parts = {"casme2": part(3, margin=0.3), "samm": part(2)}
    assert TrainedCrop.of_parts(parts, [0, 3, 4]) == TrainedCrop(128, mixed=("margin",))
    assert TrainedCrop.of_parts(parts, [2]) == TrainedCrop(128, margin=0.3)


def test_a_network_of_clips_that_differ_says_so(found, tmp_path):
    whole = load_checkpoint(found / "run" / "model")
    crop = TrainedCrop(SIZE, margin=0.3, mixed=("margin",)).to_json()
    made = type(whole)(whole.model, whole.config, whole.labels, SIZE, {**whole.details, "crop": crop})
    save_checkpoint(tmp_path / "model", made)
    answer = predict_path(found / "clip0", load_predictor(tmp_path / "model"), detector=EyesAt())
    assert any("clips that differ in margin; this one is cropped with the margin 0.3" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ("wide", "crop must be an object"),
        ({"margin": "wide"}, "crop.margin must be of type float. Received: 'wide'"),
        ({"margin": 3}, r"margin must lie in \[0, 2\]. Received: 3"),
        ({"band": [4.0]}, "band must be two frequencies"),
        ({"padding": 1}, "a field of crop must be one of"),
        ({"detector": "yolo"}, "detector must be one of mtcnn, none"),
    ],
)
def test_a_damaged_crop_is_named(crop, message):
    with pytest.raises(InputError, match=message):
        TrainedCrop.read({"crop": crop})


def test_a_checkpoint_that_does_not_say_it_is_asked_as_ever(found, tmp_path):
    whole = load_checkpoint(found / "run" / "model")
    details = {name: value for name, value in whole.details.items() if name != "crop"}
    save_checkpoint(tmp_path / "model", type(whole)(whole.model, whole.config, whole.labels, SIZE, details))
    detector = FaceDetector()
    answer = predict_path(found / "clip0", load_predictor(tmp_path / "model"), detector=detector)
    raw = list(iterate_frames(found / "clip0"))
    np.testing.assert_array_equal(answer.shown, crop_frames(raw, align_crop(detector.detect(raw[0])[0], SIZE), SIZE))
    assert "the model does not say how its training clips were cropped: a margin of 0.1 is taken" in answer.notes
