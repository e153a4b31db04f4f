import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chores import work
from forged import SIZE, forge_clips
from small import SMALLEST

from affnet_tf.config import ExperimentConfig, TrainConfig
from affnet_tf.errors import InputError
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.training.experiment import evaluate
from affnet_tf.training.parallel import in_processes

CONFIG = ExperimentConfig(model=SMALLEST, train=TrainConfig(epochs=2, batch_size=4, seed=3))


def test_work_is_shared_and_so_are_the_cores(tmp_path, capfd):
    assert sorted(in_processes(work, list("abcdef"), 2, (tmp_path,))) == list("abcdef")
    assert capfd.readouterr() == ("", "")  # TensorFlow announces itself in each process
    notes = list(tmp_path.iterdir())
    assert sorted(note.name[0] for note in notes) == list("abcdef")
    assert str(os.getpid()) not in {note.name[2:] for note in notes}
    if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1:
        assert all(len(note.read_text()) < len(str(sorted(os.sched_getaffinity(0)))) for note in notes)


@pytest.fixture
def quickly(monkeypatch):
    """Processes that import no TensorFlow."""
    monkeypatch.setenv("KERAS_BACKEND", "numpy")


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(("name", "message"), [("bad", "fold 'bad': no good"), ("killed", "exit code -9")])
def test_what_goes_wrong_in_a_process_is_told(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        list(in_processes(work, ["a", name, "b"], 1, (tmp_path,)))


@pytest.mark.usefixtures("quickly")
def test_a_mistake_in_a_process_is_not_called_the_users(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)in work.*ZeroDivisionError: a mistake of ours"):
        list(in_processes(work, ["a", "broken", "b"], 1, (tmp_path,)))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes as Linux does")
def test_a_parallel_run_that_is_killed_resumes_to_the_predictions_of_one_process(tmp_path):
    """kill -9 as soon as the first fold is there; nobody stays behind; the end is byte for byte that of an undisturbed run."""
    store = prepare(
        forge_clips(tmp_path / "casme2", subjects=6), tmp_path / "store", CropConfig(SIZE, "none")
    ).store.path
    evaluate(store, tmp_path / "whole", CONFIG)
    script = tmp_path / "run.py"
    script.write_text(
        f"import sys\nsys.path[:0] = {sys.path!r}\n"
        "from test_parallel import CONFIG, evaluate\n"
        f"if __name__ == '__main__':\n    evaluate({store!r}, {str(tmp_path / 'run')!r}, CONFIG, parallel=2)\n"
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while not (found := list((tmp_path / "run" / "folds").glob("[!.]*.json"))):
        assert process.poll() is None
        time.sleep(0.02)
    workers = children(process.pid)
    process.kill()
    assert process.communicate()[0] == b""
    assert len(found) < 6
    assert len(workers) >= 2
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers must leave with the process that started them"
        time.sleep(0.1)
    assert len(list((tmp_path / "run" / "folds").glob("[!.]*.json"))) < 6, "and not when they have finished its work"
    assert not (tmp_path / "run" / "predictions.csv").exists()
    evaluate(store, tmp_path / "run", CONFIG, parallel=2, resume=True)
    predictions = [(tmp_path / name / "predictions.csv").read_bytes() for name in ("whole", "run")]
    assert predictions[0] == predictions[1]
