"""One training, on everybody: what it writes, what interrupts it, and what it keeps."""

import contextlib
import json
import os

import keras
import numpy as np
import pytest
from forged import SIZE, forge_clips
from small import SMALLEST

from affnet_tf.config import ExperimentConfig, TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.models.affectivenet import probabilities
from affnet_tf.models.checkpoint import load_checkpoint, save_checkpoint
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.input import motion_images
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.pipeline.reading import read_clips
from affnet_tf.pipeline.store import open_store
from affnet_tf.training.experiment import train
from affnet_tf.training.fit import Trainer

CONFIG = ExperimentConfig(model=SMALLEST, train=TrainConfig(epochs=2, batch_size=4, seed=3))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three subjects, six clips each."""
    root = tmp_path_factory.mktemp("data")
    clips = forge_clips(root / "casme2", subjects=3, clips=6)
    return prepare(clips, root / "store", CropConfig(SIZE, "none")).store.path


HELD_OUT = replace(CONFIG, train=replace(CONFIG.train, epochs=3, validation=0.3, patience=2))


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "final"
    return out, train(store, out, HELD_OUT, tensorboard=False)


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_time_that_is_none_is_refused_before_anything_is_written(store, tmp_path, seconds):
    with pytest.raises(InputError, match=rf"keep_seconds must be at least 0\. Received: {seconds}"):
        train(store, tmp_path / "run", CONFIG, keep_seconds=seconds)
    assert not (tmp_path / "run").exists()


def test_the_checkpoint_on_disk_is_the_network_returned(trained, store):
    out, checkpoint = trained
    again = load_checkpoint(out / "model")
    assert again.labels == checkpoint.labels == ("positive", "negative", "surprise", "others")
    assert again.config == HELD_OUT
    assert again.frame_size == SIZE
    images = motion_images(read_clips(open_store(store)), HELD_OUT.motion, 32)
    theirs = probabilities(again.model, images)
    np.testing.assert_array_equal(probabilities(checkpoint.model, images), theirs)
    np.testing.assert_allclose(theirs.sum(axis=1), 1, atol=1e-6)
    assert theirs.std() > 1e-4
    alone = sum(weight.size * 4 for weight in checkpoint.model.get_weights())
    assert (out / "model" / "model.weights.h5").stat().st_size < 1.5 * alone + 64 * 1024, "no optimizer state"
    history = json.loads((out / "history.json").read_text())
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(again.details["subjects"]) == 2
    assert again.details["clips"] + again.details["validation_clips"] == 18
    assert sorted(os.listdir(out)) == ["config.json", "history.json", "manifest.json", "model"]


class Killed(keras.callbacks.Callback):
    """Stands for a kill after the first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


def test_an_interrupted_training_resumes_to_the_same_network(trained, store, tmp_path, monkeypatch):
    fit = Trainer.fit
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", lambda self, *args, **options: fit(self, *args, **options, callbacks=[Killed()]))
        with pytest.raises(KeyboardInterrupt):
            train(store, tmp_path / "run", HELD_OUT, tensorboard=False)
    assert (tmp_path / "run" / "state.npz").exists()
    assert not (tmp_path / "run" / "model").exists()
    checkpoint = train(store, tmp_path / "run", HELD_OUT, tensorboard=False, resume=True)
    for ours, theirs in zip(checkpoint.model.get_weights(), trained[1].model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    history = (tmp_path / "run" / "history.json").read_text()
    assert history == (trained[0] / "history.json").read_text()


@contextlib.contextmanager
def files_up_to(size: int):
    """A full disk, as far as a test can have one: no file grows beyond so many bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_the_run_can_be_gone_on_with(trained, store, tmp_path):
    """First there is no room for the state of an epoch, then none for the checkpoint."""
    out, size = tmp_path / "run", (trained[0] / "model" / "model.weights.h5").stat().st_size
    with (
        files_up_to(5000),
        pytest.raises(InputError, match=r"state\.npz' must have room on its disk.*Received: File too"),
    ):
        train(store, out, HELD_OUT, tensorboard=False)
    assert sorted(os.listdir(out)) == ["config.json", "manifest.json"]
    checkpoint = load_checkpoint(trained[0] / "model")
    with (
        files_up_to(size),
        pytest.raises(InputError, match=r"model' must have room on its disk"),
    ):
        save_checkpoint(out / "model", checkpoint)
    assert sorted(os.listdir(out)) == ["config.json", "manifest.json"]
    again = train(store, out, HELD_OUT, tensorboard=False, resume=True)
    for ours, theirs in zip(again.model.get_weights(), trained[1].model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_finished_training_is_not_done_again(trained, store, monkeypatch):
    monkeypatch.setattr(Trainer, "fit", lambda *args, **options: pytest.fail("there is nothing left to train"))
    again = train(store, trained[0], HELD_OUT, tensorboard=False, resume=True)
    for ours, theirs in zip(again.model.get_weights(), trained[1].model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_low_precision_gives_a_float32_network(store, tmp_path):
    config = replace(CONFIG, train=replace(CONFIG.train, epochs=1, precision="mixed_bfloat16"))
    checkpoint = train(store, tmp_path / "run", config, tensorboard=False)
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in checkpoint.model.layers} == {"float32"}
    again = load_checkpoint(tmp_path / "run" / "model")
    images = np.random.default_rng(0).random((3, 32, 32, 3), np.float32)
    np.testing.assert_array_equal(probabilities(checkpoint.model, images), probabilities(again.model, images))
