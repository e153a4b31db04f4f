from pathlib import Path

import numpy as np
import pytest
import small_network as small

from affnet_tf.export.cost import latency, peak_memory, ready
from affnet_tf.export.graph import alone
from affnet_tf.inference.runtime import TFLiteModel


def test_a_bare_call_of_what_is_timed_answers_as_the_whole_file_does():
    """On either number of threads, and again and again: a call that did nothing would be fast too."""
    path = small.exported_bundle() / "full_int8" / "model.tflite"
    model, clip, image = TFLiteModel(path), small.clip(15, 40, seed=2), small.images(1, 32)
    state = model.new_state()
    for frame in clip:
        state = model.update(frame, state)
    specs = {name: signature.inputs for name, signature in model.signatures.items()}
    inputs = {
        "classify": {"motion_image": specs["classify"]["motion_image"].quantise(image)},
        "classify_clip": {"frames": clip[None]},
        "classify_state": {name: state[name] for name in specs["classify_state"]},
        "update": {"frame": clip[:1], **state},
    }
    expected = {
        "classify": model.classify(image[0]),
        "classify_clip": model.classify_clip(clip)[0],
        "classify_state": model.classify_state(state)[0],
    }
    graphs = alone(path.read_bytes())
    assert set(graphs) == set(model.signatures) == set(inputs)
    moved = model.update(clip[0], state)
    for threads in (1, 2):
        interpreter = ready(graphs["update"], inputs["update"], threads)
        assert 0 < latency(interpreter) < 10_000
        stored = {each["name"]: each for each in interpreter.get_output_details()}
        (window,) = (each for each in stored.values() if len(each["shape"]) == 5)
        np.testing.assert_array_equal(interpreter.get_tensor(window["index"]), moved["window"])
    for name, answer in expected.items():
        for threads in (1, 2):
            interpreter = ready(graphs[name], inputs[name], threads)
            assert 0 < latency(interpreter) < 10_000
            detail = next(
                each for each in interpreter.get_output_details() if each["shape"][-1] == 3 and len(each["shape"]) == 2
            )
            stored = interpreter.get_tensor(detail["index"])[0]
            np.testing.assert_allclose(
                model.signatures[name].outputs["probabilities"].dequantise(stored), answer, atol=1e-6
            )


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux does")
def test_a_file_that_cannot_be_called_is_no_missing_figure(tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(b"no model")
    with pytest.raises(
        RuntimeError,
        match=r"(?s)model\.tflite could not be called in a process of its own: code 1, .*not a valid Flatbuffer",
    ):
        peak_memory(model, {"classify": {"image": np.zeros((1, 28, 28, 3), np.uint8)}})
