"""Keras and JAX alone, as Colab's TPU image comes: an environment without TensorFlow in which a network learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from environments import environment_without_tensorflow

pytest.importorskip("jax")

ROOT = Path(__file__).parent.parent

CODE = """
import importlib, importlib.util, json, pkgutil, sys
import numpy as np

assert all(importlib.util.find_spec(name) is None for name in ("tensorflow", "tf_keras"))
imported = []
for room in ("imaging", "models", "evaluation"):
    package = importlib.import_module(f"affnet_tf.{room}")
    imported += [each.name for each in pkgutil.iter_modules(package.__path__, f"affnet_tf.{room}.")]
for name in [*imported, "affnet_tf.training.fit"]:
    importlib.import_module(name)

import keras
from affnet_tf.config import ModelConfig, TrainConfig
from affnet_tf.evaluation.metrics import score
from affnet_tf.evaluation.predictions import Prediction, Predictions
from affnet_tf.imaging.motion import affective_motion_image
from affnet_tf.models.affectivenet import affectivenet, probabilities
from affnet_tf.training.fit import Trainer
from affnet_tf.training.strategy import choose_devices

def clip(label, rng):  # one third of the face grows brighter from frame to frame
    frames = rng.uniform(60, 120, (28, 28, 3)) + rng.normal(0, 2, (6, 28, 28, 3))
    frames[:, :, label * 9 : label * 9 + 9] += np.linspace(0, 80, 6)[:, None, None, None]
    return np.clip(frames, 0, 255).astype(np.uint8)

def motion_images(labels, seed):
    rng = np.random.default_rng(seed)
    return np.stack([keras.ops.convert_to_numpy(affective_motion_image(clip(label, rng))) for label in labels])

truth = np.arange(32) % 3
images = motion_images(truth, 0)

def batches(skip):
    while True:
        for half in (slice(0, 16), slice(16, 32)):
            yield images[half], np.eye(3, dtype=np.float32)[truth[half]], np.ones(16, np.float32)

devices = choose_devices()
with devices.scope():
    keras.utils.set_random_seed(1)
    network = affectivenet(ModelConfig(input_size=28, kernels=(3,), widths=(8,), last_channels=8, dense=8, dropout=0.0), 3)
    trainer = Trainer(network, TrainConfig(epochs=25, batch_size=16, learning_rate=1e-2), 2)
    history = trainer.fit(batches)
    unseen = np.arange(12) % 3
    found = probabilities(network, motion_images(unseen, 9), 16)
rows = [
    Prediction("casme2", f"EP{i:02d}", f"sub{i:02d}", "all", int(unseen[i]), tuple(map(float, found[i]))) for i in range(12)
]
assert "tensorflow" not in sys.modules
print(json.dumps([str(devices), images.shape, images.dtype.name, history["loss"][0], history["loss"][-1],
                  score(Predictions(("a", "b", "c"), tuple(rows))).uf1, len(imported)]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="links and folders as on Unix")
def test_a_network_learns_where_tensorflow_is_not_installed(tmp_path):
    python = environment_without_tensorflow(tmp_path)
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [python, "-c", CODE],
        capture_output=True,
        text=True,
        env={**environment, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    devices, shape, dtype, first, last, uf1, modules = json.loads(done.stdout.splitlines()[-1])
    assert devices == "1 CPU device(s), float32"
    assert (shape, dtype) == ([32, 28, 28, 3], "float32")
    assert last < 0.7 * first
    assert uf1 > 0.9
    assert modules > 20
