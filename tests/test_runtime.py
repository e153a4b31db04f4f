import shutil
import subprocess
import sys

import numpy as np
import pytest
import small_network as small
from ai_edge_litert.interpreter import Interpreter

from affnet_tf.errors import InputError
from affnet_tf.inference.runtime import TensorSpec, TFLiteModel, find_model


@pytest.fixture(scope="module")
def folder():
    return small.exported_bundle()


def test_it_reads_what_the_file_and_the_files_beside_it_say(folder):
    model = TFLiteModel(folder / "full_int8")
    assert (model.input_size, model.frame_size, model.classes) == (32, 40, 3)
    assert model.labels == small.LABELS
    assert model.recipe["motion"]["weights"] == "bilen"
    assert set(model.signatures) == {"classify", "classify_clip", "update", "classify_state"}
    assert model.window == small.WINDOW
    assert model.signatures["classify_clip"].inputs["frames"] == TensorSpec("uint8", (1, None, 40, 40, 3))


def test_a_bundle_a_folder_and_a_file_are_accepted(folder, tmp_path):
    assert find_model(folder) == folder / "float32" / "model.tflite"
    assert find_model(folder / "full_int8") == folder / "full_int8" / "model.tflite"
    lone = shutil.copy(folder / "full_int8" / "model.tflite", tmp_path / "lone.tflite")
    model = TFLiteModel(lone)
    assert model.labels is None
    assert model.recipe == {}
    image = small.images(1, 32)[0]
    np.testing.assert_array_equal(model.classify(image), TFLiteModel(folder / "full_int8").classify(image))


def test_integers_are_quantised_and_dequantised_as_the_file_says(folder):
    image = small.images(1, 32)[0]
    interpreter = Interpreter(model_path=str(folder / "full_int8" / "model.tflite"))
    runner = interpreter.get_signature_runner("classify")
    stored = np.array([[[[round(float(v) * 255) - 128 for v in pixel] for pixel in row] for row in image]], np.int8)
    expected = (runner(motion_image=stored)["probabilities"][0].astype(float) + 128) / 256
    np.testing.assert_allclose(TFLiteModel(folder / "full_int8").classify(image), expected, atol=1e-7)


def test_values_outside_the_range_of_an_integer_saturate():
    spec = TensorSpec("int8", (3,), 0.5, 10)
    np.testing.assert_array_equal(spec.quantise(np.array([-1000.0, 1.0, 1000.0])), np.array([-128, 12, 127], np.int8))
    np.testing.assert_allclose(spec.dequantise(np.array([-128, 12, 127], np.int8)), [-69, 1, 58.5])


def test_any_number_of_frames_one_after_the_other(folder):
    model = TFLiteModel(folder)
    first = model.classify_clip(small.clip(9, 40))[0]
    for length in (2, 40, 3):
        assert model.classify_clip(small.clip(length, 40))[0].shape == (3,)
    np.testing.assert_array_equal(model.classify_clip(small.clip(9, 40))[0], first)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((32, 32, 3), np.uint8), r"float of shape \(32, 32, 3\).*Received: uint8"),
        (np.zeros((28, 28, 3), np.float32), r"shape \(28, 28, 3\)"),
        (np.zeros((2, 32, 32, 3), np.float32), r"shape \(2, 32, 32, 3\)"),
        (np.full((32, 32, 3), 255.0), r"in \[0, 1\]. Received: \[255, 255\]"),
        (np.full((32, 32, 3), -0.1), r"in \[0, 1\]"),
        (np.full((32, 32, 3), np.nan), "Received: NaN"),
    ],
)
def test_bad_motion_images_are_refused(folder, image, message):
    with pytest.raises(InputError, match=message):
        TFLiteModel(folder).classify(image)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((9, 40, 40, 3), np.float32),
        np.zeros((9, 32, 32, 3), np.uint8),
        np.zeros((1, 40, 40, 3), np.uint8),
        np.zeros((2, 9, 40, 40, 3), np.uint8),
        np.zeros((40, 40, 3), np.uint8),
    ],
)
def test_bad_frames_are_refused(folder, frames):
    with pytest.raises(InputError, match=r"uint8 of shape \(T, 40, 40, 3\), T at least 2. Received: "):
        TFLiteModel(folder).classify_clip(frames)


def test_bad_files_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"must be a \.tflite file, a folder"):
        TFLiteModel(tmp_path / "nowhere")
    (tmp_path / "text.tflite").write_text("not a network")
    with pytest.raises(InputError, match="must be a TFLite file"):
        TFLiteModel(tmp_path / "text.tflite")
    whole = (folder / "float32" / "model.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="must be a whole TFLite file"):
        TFLiteModel(tmp_path / "cut.tflite")
    shutil.copytree(folder / "float32", tmp_path / "labels")
    (tmp_path / "labels" / "labels.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match=r"must name 3 classes, one on each line\. Received: 2"):
        TFLiteModel(tmp_path / "labels")


def test_nothing_but_litert_and_numpy_is_imported(folder):
    program = (
        "import sys, numpy as np; from affnet_tf.inference.runtime import TFLiteModel; "
        f"TFLiteModel({str(folder)!r}).classify_clip(np.zeros((3, 40, 40, 3), np.uint8)); "
        "print(sorted({'keras', 'tensorflow', 'cv2', 'jax', 'matplotlib'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
