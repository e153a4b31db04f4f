from pathlib import Path

import numpy as np
import pytest

from affnet_tf.export.cost import peak_memory


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux does")
def test_a_file_that_cannot_be_called_is_no_missing_figure(tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(b"no model")
    with pytest.raises(
        RuntimeError,
        match=r"(?s)model\.tflite could not be called in a process of its own: code 1, .*not a valid Flatbuffer",
    ):
        peak_memory(model, {"classify": {"image": np.zeros((1, 28, 28, 3), np.uint8)}})
