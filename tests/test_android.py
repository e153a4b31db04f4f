"""The app's numerics, compiled from its own Kotlin and run here; `make test-android` brings the compiler."""

import re

import android_vectors
import kotlin
import numpy as np
import pytest
import small_network
from ai_edge_litert.compiled_model import CompiledModel

from affnet_tf.export.convert import convert_network
from affnet_tf.export.fronts import convert_fronts
from affnet_tf.export.recipes import recipe
from affnet_tf.export.signatures import MotionPath
from affnet_tf.inference.runtime import CLASSIFY, MOTION_IMAGE, PROBABILITIES, TFLiteModel

APP = kotlin.ROOT / "export" / "android"
SOURCES = [
    *(kotlin.APP / "main/kotlin/affnet/android" / name for name in ("Motion.kt", "TfliteFile.kt")),
    kotlin.APP / "test/kotlin/affnet/android/Vectors.kt",
]


@pytest.fixture(scope="module")
def program():
    """The Kotlin files that need no library, as one program."""
    return kotlin.compiled(SOURCES)


def run(program, *arguments):
    return kotlin.run(["-jar", program, *arguments]).splitlines()


def parsed(lines):
    """[(settings, [inputs], [other lines])] of a file of vectors, or of the program's answers."""
    cases = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "case":
            cases.append((rest, [], []))
        elif word != "#":
            numbers = rest if word in ("input", "expected") else line
            cases[-1][1 if word == "input" else 2].append(np.array(numbers.split(), np.float64))
    return cases


def test_the_file_that_the_app_tests_by_is_what_python_writes_today():
    stored, today = (
        parsed(text.splitlines()) for text in (android_vectors.FILE.read_text(encoding="utf-8"), android_vectors.text())
    )
    assert android_vectors.FILE.stat().st_size < 100_000
    assert [case[0] for case in stored] == [case[0] for case in today]
    for (name, inputs, expected), (_, inputs_today, expected_today) in zip(stored, today, strict=True):
        for line, line_today in zip(inputs, inputs_today, strict=True):
            np.testing.assert_array_equal(line, line_today, err_msg=name)
        # Another processor may round the last digit otherwise.
        for line, line_today in zip(expected, expected_today, strict=True):
            np.testing.assert_allclose(line, line_today, rtol=1e-6, atol=1e-6, err_msg=name)


def test_kotlin_answers_as_python_does(program, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text(android_vectors.text(), encoding="utf-8")
    answers = parsed(run(program, "vectors", file))
    cases = android_vectors.cases()
    assert len(answers) == len(cases)
    for case, (name, _, found) in zip(cases, answers, strict=True):
        assert name == case.name
        bound = case.settings["tolerance"]
        for line, expected in zip(found, case.expected, strict=True):
            np.testing.assert_allclose(line, np.ravel(expected), rtol=0, atol=bound, err_msg=case.head)


def test_a_long_stream_does_not_drift_from_the_sum_over_its_window(program, tmp_path):
    """An independent reference: each window's weighted sum in Python's integers, D = sum over t of (2t - T - 1) x_t."""
    window, size = 16, 3
    stream = np.random.default_rng(1).integers(0, 256, (300, size, size, 3), np.uint8)
    settings = {"window": window, "kind": "linear", "scaling": "minmax", "size": size, "to": size, "reset": -1}
    lines = [" ".join(["case sliding", *(f"{key}={value}" for key, value in settings.items())])]
    lines += ["input " + " ".join(map(str, frame.ravel())) for frame in stream]
    (tmp_path / "stream.txt").write_text("\n".join(lines) + "\n")
    [(_, _, found)] = parsed(run(program, "vectors", tmp_path / "stream.txt"))
    assert len(found) == len(stream) - window + 1
    frames = stream.reshape(len(stream), -1).astype(object)
    for start, line in enumerate(found):
        motion = sum((2 * t - window - 1) * frames[start + t - 1] for t in range(1, window + 1)).astype(np.float64)
        expected = (motion - motion.min()) / (motion.max() - motion.min())
        np.testing.assert_allclose(line, expected, rtol=0, atol=1e-6)


def test_a_crop_is_the_mean_over_each_pixels_area_and_black_outside_the_frame(program, tmp_path):
    """An independent reference in float64: at half the scale, two points a side of each pixel reach all pixels of the frame."""
    rng = np.random.default_rng(2)
    height, width, size = 20, 24, 6
    image = rng.integers(0, 256, (height, width, 4)).astype(np.float64)
    angle, scale = 0.3, 0.5
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, np.array([2.5, 2.5]) - turn @ np.array([4.0, 9.0])])
    settings = {"width": width, "height": height, "padding": 0, "size": size}
    lines = [" ".join(["case crop", *(f"{key}={value}" for key, value in settings.items())])]
    lines += ["input " + " ".join(f"{value:.17g}" for value in np.ravel(row)) for row in (matrix, image)]
    (tmp_path / "crop.txt").write_text("\n".join(lines) + "\n")
    [(_, _, [found])] = parsed(run(program, "vectors", tmp_path / "crop.txt"))
    expected = np.zeros((size, size, 3))
    shifts = (-0.25, 0.25)
    for row, column in np.ndindex(size, size):
        places = np.array([[column + across, row + down] for down in shifts for across in shifts])
        for x, y in np.linalg.solve(matrix[:, :2], (places - matrix[:, 2]).T).T:
            expected[row, column] += bilinear(image, x, y) / 4
    assert (expected.max(-1) == 0).any()
    assert (expected > 50).any()
    np.testing.assert_allclose(found.reshape(size, size, 3), expected, rtol=0, atol=0.5 + 1e-9)


def bilinear(image, x, y):
    """Zero outside the image."""
    height, width = image.shape[:2]
    total = np.zeros(3)
    for row, column in np.ndindex(height, width):
        total += max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row)) * image[row, column, :3]
    return total


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A float and an integer network as they are exported, by the recipe's name."""
    network = small_network.checkpoint(40)
    # Images that leave out both ends: scale and zero point are not those that anybody would guess.
    images = 0.1 + 0.8 * small_network.images(32, 32, seed=3)
    fronts, found = convert_fronts(MotionPath.of(network)), {}
    for name in ("float32", "full_int8"):
        found[name] = tmp_path_factory.mktemp("files") / f"{name}.tflite"
        found[name].write_bytes(fronts.around(convert_network(network, recipe(name), images)))
    return found


@pytest.mark.parametrize("name", ["float32", "full_int8"])
def test_kotlin_reads_the_quantisation_that_the_runtime_reads(program, files, name):
    signature = TFLiteModel(files[name]).signatures[CLASSIFY]
    inputs = ("input", MOTION_IMAGE, signature.inputs[MOTION_IMAGE])
    outputs = ("output", PROBABILITIES, signature.outputs[PROBABILITIES])
    for side, tensor, spec in (inputs, outputs):
        kind, shape, scale, zero = run(program, "tensor", files[name], side, CLASSIFY, tensor)[0].split(" ")
        assert kind.lower() == spec.dtype
        assert tuple(map(int, shape.split(","))) == spec.shape
        assert np.float32(scale) == np.float32(spec.scale)
        assert int(zero) == spec.zero_point


@pytest.mark.parametrize("name", ["float32", "full_int8"])
def test_the_apps_calls_of_the_runtime_answer_as_the_interpreter_does(files, name):
    """CompiledModel by names of signature and tensors, on the CPU: the same calls as in Classifier.kt, from Python."""
    model, signature = CompiledModel.from_file(str(files[name])), TFLiteModel(files[name]).signatures[CLASSIFY]
    given, taken = signature.inputs[MOTION_IMAGE], signature.outputs[PROBABILITIES]
    question = model.create_input_buffer_by_name(CLASSIFY, MOTION_IMAGE)
    answer = model.create_output_buffer_by_name(CLASSIFY, PROBABILITIES)
    for image in small_network.images(6, 32, seed=8):
        question.write(given.quantise(image[None]))
        model.run_by_name(CLASSIFY, {MOTION_IMAGE: question}, {PROBABILITIES: answer})
        stored = answer.read(taken.shape[-1], np.dtype(taken.dtype).type)
        np.testing.assert_array_equal(taken.dequantise(stored), TFLiteModel(files[name]).classify(image))


def test_the_project_names_no_file_that_is_not_there_and_holds_no_binary():
    files = [path for path in APP.rglob("*") if path.is_file()]
    assert all(b"\0" not in path.read_bytes() for path in files)
    manifest = (APP / "app/src/main/AndroidManifest.xml").read_text(encoding="utf-8")
    for name in re.findall(r'android:name="\.(\w+)"', manifest):
        assert (APP / f"app/src/main/kotlin/affnet/android/{name}.kt").exists()
    resources = "".join(path.read_text(encoding="utf-8") for path in (APP / "app/src/main/res").rglob("*.xml"))
    sources = "".join(path.read_text(encoding="utf-8") for path in (APP / "app/src/main/kotlin").rglob("*.kt"))
    for kind, name in re.findall(r"R\.(string|id)\.(\w+)", sources):
        defined = f'<string name="{name}"' if kind == "string" else f'@+id/{name}"'
        assert defined in resources, name
