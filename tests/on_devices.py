"""What the tests of backends and devices run in processes of their own: ``python on_devices.py TASK FOLDER``.

Two logical CPUs stand for two devices. Each task prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=" + ("1" if sys.argv[1] == "host" else "2")

import keras
import numpy as np
import tensorflow as tf
from small import images, randomise

from affnet_tf.config import ExperimentConfig, ModelConfig, TrainConfig
from affnet_tf.models.affectivenet import affectivenet, probabilities
from affnet_tf.models.checkpoint import load_checkpoint
from affnet_tf.training.fit import Trainer
from affnet_tf.training.strategy import choose_devices

STEPS, BATCH, CLASSES = 20, 8, 4
# Dropout draws other numbers under each backend, and on each of several devices.
NETWORK = ModelConfig(
    input_size=28, kernels=(3,), widths=(8,), last_channels=8, tap_channels=(4, 8), dense=8, dropout=0.0
)
CONFIG = ExperimentConfig(model=NETWORK, train=TrainConfig(epochs=4, batch_size=BATCH, learning_rate=1e-2, seed=3))


def network() -> keras.Model:
    """The same weights under every backend."""
    model = affectivenet(NETWORK, CLASSES)
    randomise(model)
    return model


def batches(skip: int) -> tf.data.Dataset:
    """Endless random batches, the same ones everywhere, with weights."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, CLASSES, STEPS * BATCH)
    pictures = images(STEPS * BATCH, 28) * (0.3 + 0.2 * labels[:, None, None, None]).astype(np.float32)
    weights = rng.uniform(0.5, 2, STEPS * BATCH).astype(np.float32)
    whole = (pictures, np.eye(CLASSES, dtype=np.float32)[labels], weights)
    return tf.data.Dataset.from_tensor_slices(whole).batch(BATCH, drop_remainder=True).repeat().skip(skip)


def losses(device: str, precision: str = "float32") -> list[float]:
    """The loss of each of 20 steps, and the validation loss of 11 clips after each, which fill no whole batch."""
    devices = choose_devices(device, precision)
    with devices.scope():
        keras.utils.set_random_seed(0)
        config = TrainConfig(epochs=STEPS, batch_size=BATCH, learning_rate=1e-2)
        model = devices.synchronise(network())
        trainer = Trainer(model, config, 1, devices.jit_compile, devices.replicas)
        validation = (images(11, 28, seed=8), np.eye(CLASSES, dtype=np.float32)[np.arange(11) % CLASSES])
        history = trainer.fit(batches, None if devices.hosts > 1 else validation)
    return [*history["loss"], *history.get("val_loss", [])]


def forward(precision: str = "float32") -> list[list[float]]:
    """Class probabilities of 12 images."""
    with choose_devices("cpu", precision).scope():
        return probabilities(network(), images(12, 28, seed=4), BATCH).tolist()


def steps(folder: str) -> dict[str, object]:
    """Forward and training, on one device and on two, in several precisions."""
    found: dict[str, object] = {device: losses(device) for device in ("cpu", "cpu:2")}
    found["told"] = choose_devices("cpu:2").told(BATCH)
    for precision in ("float32", "mixed_bfloat16", "mixed_float16"):
        found[f"forward {precision}"] = forward(precision)
    found["mixed_bfloat16"] = losses("cpu", "mixed_bfloat16")
    return found


def resumed(folder: str) -> dict[str, object]:
    """A run on one device; the same, killed after two epochs and gone on with on two."""
    from affnet_tf.training.experiment import train

    def killed(done: int, total: int, words: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    whole, broken, told = Path(folder) / "whole", Path(folder) / "broken", []
    options = {"device": "cpu", "tensorboard": False}
    train(Path(folder) / "store", whole, CONFIG, **options)
    try:
        train(Path(folder) / "store", broken, CONFIG, progress=killed, **options)
    except KeyboardInterrupt:
        told.append("killed")
    options["device"] = "cpu:2"
    train(Path(folder) / "store", broken, CONFIG, resume=True, note=told.append, **options)
    model = load_checkpoint(whole / "model").model
    return {
        "told": told,
        "losses": [json.loads((run / "history.json").read_text())["loss"] for run in (whole, broken)],
        "manifest": json.loads((broken / "manifest.json").read_text())["resumed"][0]["devices"],
        "probabilities": probabilities(model, images(12, 28, seed=4)).tolist(),
    }


def host(folder: str) -> dict[str, object]:
    """One of two processes that train together."""
    found = losses("cpu")
    return {"losses": found, "told": choose_devices("cpu").told(BATCH)}


if __name__ == "__main__":
    if keras.backend.backend() == "tensorflow":
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    print(json.dumps({"steps": steps, "resumed": resumed, "host": host}[sys.argv[1]](sys.argv[2])))
