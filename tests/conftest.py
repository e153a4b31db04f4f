"""Settings that every test shares."""

import gc
import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")


# TensorFlow's traced functions fill a process with objects that stay: looking through all of them as often as Python does by
# default took a large part of the suite's time.
gc.set_threshold(100_000, 20, 50)


@pytest.fixture(scope="session")
def photograph() -> Path:
    """A photograph of one face, which matplotlib ships; without it the tests that need one are skipped."""
    path = Path(pytest.importorskip("matplotlib").get_data_path()) / "sample_data" / "grace_hopper.jpg"
    if not path.is_file():
        pytest.skip("matplotlib ships no photograph of a face")
    return path
