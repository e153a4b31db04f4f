"""A small network with random weights, and pictures for it: what the tests of export and inference share."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import cv2
import keras
import numpy as np

from affnet_tf.config import ExperimentConfig, ModelConfig, MotionConfig
from affnet_tf.export.bundle import export
from affnet_tf.export.signatures import keras_motion_images
from affnet_tf.models.affectivenet import affectivenet
from affnet_tf.models.checkpoint import Checkpoint

LABELS = ("negative", "positive", "surprise")
# Frames that the exported streams look back.
WINDOW = 6


def checkpoint(frame_size: int, weights: str = "bilen", **options) -> Checkpoint:
    """A network of 32x32 whose answers differ from picture to picture, with batch normalisation away from the identity.

    Every call builds a network of its own, which the test may change.
    """
    options = {"input_size": 32, "kernels": (3, 5, 7), "widths": (8, 16), "stem": 4, "last_channels": 16, **options}
    # Its last layer is solved for, not trained: without dropout, as it would not bear it.
    options = {"dropout": 0.0, **options}
    config = ExperimentConfig(motion=MotionConfig(weights=weights), model=ModelConfig(dense=32, **options))
    model = affectivenet(config.model, len(LABELS))
    model.set_weights(_weights(config.model))
    return Checkpoint(model, config, LABELS, frame_size)


@functools.cache
def _weights(config: ModelConfig) -> list[np.ndarray]:
    keras.utils.set_random_seed(7)
    model = affectivenet(config, len(LABELS))
    rng = np.random.default_rng(7)
    for weight in model.weights:
        if weight.name == "gamma":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "bias"):
            weight.assign(rng.normal(0, 0.2, weight.shape))
    pictures = images(300, config.input_size, seed=3)
    for _ in range(30):
        # The running averages settle, as they do in training: fine-tuning starts from them.
        model(pictures[:96], training=True)
    _fit_last_layer(model, pictures)
    return model.get_weights()


@functools.cache
def exported_bundle(names: tuple[str, ...] = ("float32", "full_int8")) -> Path:
    """``checkpoint(40)`` exported by some recipes, once for all tests, verified on clips that it was not calibrated on."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    truth = [seed % 3 for seed in range(51)]
    holdout = [clip((2, 9, 40)[seed % 3], 40, seed) for seed in range(51)]
    network = checkpoint(40)
    return export(
        network, folder / "bundle", names, calibration(network), holdout, holdout_labels=truth, window=WINDOW
    ).folder


def calibration(network: Checkpoint) -> np.ndarray:
    """64 motion images to calibrate on: ``images``, and what the network sees of clips like those that verify."""
    clips = [clip((2, 9, 40)[seed % 3], network.frame_size, seed) for seed in range(60, 92)]
    return np.concatenate([images(32, 32, seed=3), keras_motion_images(network, clips)])


def images(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Motion images of three kinds in turn: horizontal stripes, vertical stripes, a blob; float32 (count, size, size, 3)."""
    rng = np.random.default_rng(seed)
    found = [_pattern(index % 3, size, rng) + rng.normal(0, 0.05, (size, size, 3)) for index in range(count)]
    found = [(image - image.min()) / (image.max() - image.min()) for image in found]
    return np.clip(np.stack(found), 0, 1).astype(np.float32)


def clip(length: int, size: int, seed: int = 0) -> np.ndarray:
    """A still background on which one of the patterns of ``images`` (seed mod 3) appears; uint8 (length, size, size, 3)."""
    rng = np.random.default_rng(seed)
    background = cv2.resize(rng.uniform(60, 160, (4, 4, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
    pattern = 60 * _pattern(seed % 3, size, rng)
    noise = rng.normal(0, 1, (length, size, size, 3))
    frames = [background + share * pattern for share in np.linspace(0, 1, length)]
    return np.clip(np.round(frames + noise), 0, 255).astype(np.uint8)


def _pattern(kind: int, size: int, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] / size
    phase, frequency = rng.uniform(0, 6), rng.uniform(10, 25)
    if kind == 2:
        x0, y0 = rng.uniform(0.3, 0.7, 2)
        image = 2 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / rng.uniform(0.01, 0.04)) - 1
    else:
        image = np.sin(frequency * (y if kind == 0 else x) + phase)
    return image[..., None] * rng.uniform(0.6, 1, 3)


def _fit_last_layer(model: keras.Model, pictures: np.ndarray) -> None:
    """Least squares on random features: enough for clear answers, where near ties would test nothing but rounding."""
    last = model.get_layer("logits")
    features = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], last.input)(pictures, training=False))
    centre = features.mean(axis=0)
    target = np.eye(3)[np.arange(len(pictures)) % 3] * 3 - 1
    centred = features - centre
    ridge = 1.0 * np.trace(centred.T @ centred) / centred.shape[1] * np.eye(centred.shape[1])
    kernel = np.linalg.solve(centred.T @ centred + ridge, centred.T @ target)
    last.set_weights([kernel, -centre @ kernel])
