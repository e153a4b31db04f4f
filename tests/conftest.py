"""Settings that every test shares."""

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# There are as many workers as cores: threads of one would only wait for those of another, and burn its time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# TensorFlow's traced functions fill a process with objects that stay, and Python would look through all of them every few
# thousand new ones: a test that parses files took 40 seconds behind others, and one on its own.
gc.set_threshold(100_000, 20, 50)


@pytest.fixture(scope="session")
def photograph() -> Path:
    """A photograph of one face, which matplotlib ships; without it the tests that need one are skipped."""
    path = Path(pytest.importorskip("matplotlib").get_data_path()) / "sample_data" / "grace_hopper.jpg"
    if not path.is_file():
        pytest.skip("matplotlib ships no photograph of a face")
    return path


@pytest.fixture
def fails(capsys) -> Callable[..., str]:
    """Run a command line that must fail with code 2 and exactly one line on stderr; the line."""
    from command_line import affnet

    def run(*words: object) -> str:
        capsys.readouterr()
        code = affnet(*words)
        out, err = capsys.readouterr()
        assert (code, out) == (2, "")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert err.startswith("affnet: ")
        assert "unexpected" not in err
        return err

    return run


@pytest.fixture
def affnet(capsys) -> Callable[..., tuple[int, list[str]]]:
    """Run a command line: its exit code and what it wrote to stderr."""
    import command_line

    return lambda *words: (command_line.affnet(*words), capsys.readouterr().err.splitlines())
