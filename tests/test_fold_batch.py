"""Four folds in one program end where each of them ends on its own. The program is JAX's, in a process of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forged import SIZE, forge_clips
from small import SMALL

from affnet_tf.config import AugmentConfig, ExperimentConfig, TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.evaluation.predictions import read_predictions
from affnet_tf.evaluation.protocols import Fold
from affnet_tf.models.affectivenet import affectivenet
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.training.experiment import evaluate
from affnet_tf.training.fit import Trainer
from affnet_tf.training.fold_groups import check_room, even_groups, folds_at_once, that_fit
from affnet_tf.training.folds import FoldWork, Trainers
from affnet_tf.training.strategy import choose_devices

# Dropout, averaged weights and augmentation take part: each fold has its own random numbers, and they are the same ones.
NETWORK = replace(SMALL, input_size=28, kernels=(3, 5), widths=(4,), taps=("after",), dropout=0.3)
CONFIG = ExperimentConfig(
    model=NETWORK,
    train=TrainConfig(epochs=7, batch_size=4, seed=3, learning_rate=1e-2, ema=0.8),
    augment=AugmentConfig(noise=0.02, mixup=0.4),
)
CODE = """
import math, sys
from affnet_tf.training.fitting import new_trainer
from affnet_tf.training.fold_batch import FoldBatch
from test_fold_batch import CONFIG, InputError, choose_devices, evaluate

if __name__ == "__main__":
    trainer = new_trainer(CONFIG, 4, 3, choose_devices("cpu"))
    print(*(FoldBatch(trainer, count).memory() for count in (1, 2, 4)))
    print(4 * sum(math.prod(each.shape) for each in [*trainer.model.variables, *trainer.model.optimizer.variables]))
    for count in ("1", "4", "auto"):
        evaluate(sys.argv[1], f"{sys.argv[2]}/{count}", CONFIG, fold_batch=count)
    for option in ({"parallel": 2}, {"tensorboard": True}):
        try:
            evaluate(sys.argv[1], f"{sys.argv[2]}/refused", CONFIG, fold_batch=4, **option)
        except InputError as error:
            print(error)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same LOSO run of five subjects under JAX, one fold after the other, and up to four at once: three and two.

    The last subject has one clip only, so that its fold is the largest.
    """
    pytest.importorskip("jax")
    folder = tmp_path_factory.mktemp("runs")
    clips = forge_clips(folder / "casme2", subjects=5)[:-3]
    store = prepare(clips, folder / "store", CropConfig(SIZE, "none")).store.path
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", CODE, store, folder],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_LOG_COMPILES": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    (folder / "compiled").write_text(done.stderr)
    return folder


@pytest.mark.slow
def test_what_goes_with_no_fold_batch_is_refused_before_anything_is_written(runs):
    said = (runs / "said").read_text().splitlines()
    assert said[-2:] == [
        "parallel must be 1 with a fold_batch of 4. Received: 2",
        "tensorboard must be off with a fold_batch of 4. Received: True",
    ]
    assert not (runs / "refused").exists()


@pytest.mark.slow
def test_memory_is_that_of_the_state_and_more_for_each_fold(runs):
    planned, state = (list(map(int, line.split())) for line in (runs / "said").read_text().splitlines()[:2])
    assert all(bytes_ > 2 * count * state[0] for bytes_, count in zip(planned, (1, 2, 4), strict=True))
    assert 1.6 < planned[1] / planned[0] < 2.4
    assert 1.6 < planned[2] / planned[1] < 2.4


@pytest.mark.slow
def test_groups_of_folds_that_differ_in_size_share_one_compiled_program(runs):
    """Beside the three of ``memory``: of two groups, the second in another span of the stream."""
    compiled = re.findall(r"XLA compilation of jit\(_all_folds\)", (runs / "compiled").read_text())
    assert len(compiled) == 3 + 1


@pytest.mark.slow
def test_predictions_are_those_of_folds_on_their_own(runs):
    alone, together, auto = (read_predictions(runs / name / "predictions.csv").rows for name in ("1", "4", "auto"))
    assert [(row.key, row.fold) for row in alone] == [(row.key, row.fold) for row in together]
    tables = [np.array([row.probabilities for row in rows]) for rows in (alone, together)]
    assert np.abs(tables[0] - tables[1]).max() < 1e-4
    assert tables[0].std(axis=0).min() > 1e-3, "clips must be told apart"
    assert alone == auto, "on a CPU, auto is one fold after the other"


@pytest.mark.slow
def test_histories_are_those_of_folds_on_their_own(runs):
    for number in range(1, 6):
        alone, together = (
            json.loads((runs / name / "folds" / f"casme2-sub{number:02d}.json").read_text())["history"]
            for name in ("1", "4")
        )
        for name in ("loss", "accuracy"):
            np.testing.assert_allclose(alone[name], together[name], atol=1e-4)
    losses = [
        json.loads((runs / "4" / "folds" / f"casme2-sub{number:02d}.json").read_text())["history"]["loss"]
        for number in (1, 2)
    ]
    assert losses[0] != losses[1]


def test_auto_leaves_room_for_the_images():
    """By hand: of 1000 bytes 500 are to be used; a fold takes 50."""
    assert that_fit(1000, 0, 100, 68) == 10
    assert that_fit(1000, 100, 100, 68) == 8
    assert that_fit(1000, 100, 100, 5) == 5
    assert that_fit(1000, 480, 100, 68) == that_fit(1000, 2000, 100, 68) == 1
    assert that_fit(0, 0, 100, 68) == that_fit(1000, 0, 0, 68) == 1, "a device or a compiler that does not tell"


def test_images_that_take_half_of_the_memory_are_refused():
    check_room(0, 10**9, 4)
    check_room(2 * 10**9, 10**9, 4)
    with pytest.raises(InputError, match=r"which 1000 of 1024 MB hold: .* Received: 4$"):
        check_room(2**30, 1000 * 2**20, 4)


def test_images_are_held_for_the_folds_that_are_furthest_apart():
    """By hand: at 28x28 an image takes 9,408 bytes. Two folds of 8 and 4 clips, the 12 of two that share them, 2 steps of 4."""
    clips = [("casme2", f"clip{number}") for number in range(12)]
    folds = [Fold("a", clips[:8], (), clips[8:]), Fold("b", clips[8:], (), clips[:8])]
    work = FoldWork(None, CONFIG, folds, None, None, Trainers(CONFIG, 4, {"a": 2, "b": 2}, None))
    steps = 2 * CONFIG.train.epochs  # the second fold is in pass 13 when the first one is in pass 6: eight passes of 12
    assert (4 * steps - 1) // 4 - (4 * (steps - 1)) // 8 + 1 == 8
    assert work.images_held(["a", "b"]) == (8 * 12 + 4) * 9408
    assert work.images_held(["b"]) == (4 + 4) * 9408


ALONE = """
import keras, numpy as np
from small import images
from affnet_tf.config import TrainConfig
from affnet_tf.models.affectivenet import affectivenet, probabilities
from affnet_tf.training.fit import Trainer
from affnet_tf.training.fold_batch import FoldBatch
from affnet_tf.training.stream import SharedStream
from test_fold_batch import NETWORK

keras.utils.set_random_seed(0)
pictures, labels = images(24, 28, seed=1).reshape(6, 4, 28, 28, 3), np.eye(3, dtype=np.float32)[np.arange(24).reshape(6, 4) % 3]
share = np.float32([1.0, 0.3, 0.6, 0.9])
order = {"a": [0, 1, 2, 3], "b": [4, 2, 5, 1]}
weights = {"a": np.float32([1, 2, 1, 1]), "b": np.float32([3, 1, 1, 2])}

def mixed(batch):
    part = share[:, None, None, None]
    return part * batch + (1 - part) * np.roll(batch, -1, axis=0)

trainer = Trainer(affectivenet(NETWORK, 3), TrainConfig(epochs=2, batch_size=4, learning_rate=1e-2), 2)
together = FoldBatch(trainer, 2)
places = [np.stack([4 * order[name][step] + np.arange(4) for name in "ab"]) for step in range(4)]
both = [np.stack([labels[order[name][step]] for name in "ab"]) for step in range(4)]
targets = [(place, label, np.stack([*weights.values()]), np.stack([share, share])) for place, label in zip(places, both)]
told = together.fit(["a", "b"], SharedStream(pictures, targets, 24))
for name in "ab":
    trainer.reset()
    history = trainer.fit(lambda skip: ((mixed(pictures[at]), labels[at], weights[name]) for at in order[name]))
    alone = probabilities(trainer.model, pictures[0], 4)
    together.take(name)
    print(*np.abs(alone - probabilities(trainer.model, pictures[0], 4)).max(axis=1))
    print(*np.abs(np.subtract(history["loss"], told[name]["loss"])), *alone.std(axis=0))
"""


def test_two_folds_in_one_program_end_where_each_ends_by_itself():
    """The program alone: images in memory, each fold its own, which it mixes; without a store and without TensorFlow."""
    pytest.importorskip("jax")
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [np.array(line.split(), float) for line in done.stdout.splitlines()]
    for differences, (first, second, *spread) in zip(lines[::2], lines[1::2], strict=True):
        assert differences.max() < 1e-4
        assert max(first, second) < 1e-4
        assert min(spread) > 1e-4, "images must be told apart"


def test_groups_are_even():
    assert even_groups(list("abcde"), 4) == [["a", "b", "c"], ["d", "e"]]
    assert even_groups(list("abcd"), 4) == [list("abcd")]
    assert even_groups([], 4) == []


def test_what_cannot_be_batched_is_told(tmp_path):
    store = prepare(forge_clips(tmp_path / "casme2"), tmp_path / "store", CropConfig(SIZE, "none")).store.path
    with pytest.raises(InputError, match=r"fold_batch above 1 must be used with KERAS_BACKEND=jax\. Received: 4"):
        evaluate(store, tmp_path / "run", CONFIG, fold_batch=4)
    with pytest.raises(InputError, match=r"fold_batch must be auto or a number of at least 1\. Received: 'many'"):
        evaluate(store, tmp_path / "run", CONFIG, fold_batch="many")
    assert not (tmp_path / "run").exists()
    assert (
        folds_at_once(
            "auto", choose_devices("cpu"), Trainer(affectivenet(NETWORK, 4), CONFIG.train, 1), CONFIG, 9, lambda: 0
        )
        == 1
    )
