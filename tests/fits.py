"""A tiny network, endless batches, and callbacks that interfere: what the tests of fits share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import keras
import numpy as np
from small import SMALLEST

from affnet_tf.config import TrainConfig, replace
from affnet_tf.models.affectivenet import affectivenet

CONFIG = TrainConfig(epochs=4, batch_size=4, learning_rate=1e-2)
STEPS = 2


def network(dropout: float = 0.5) -> keras.Model:
    """The same weights at every call; logits of three classes."""
    keras.utils.set_random_seed(7)
    return affectivenet(replace(SMALLEST, dropout=dropout), 3)


def batches(skip: int = 0, seed: int = 0) -> Iterator[tuple[np.ndarray, ...]]:
    """Endless batches; the n-th one is the same however it is reached."""
    number = skip
    while True:
        rng = np.random.default_rng((seed, number))
        x = rng.random((4, 32, 32, 3), np.float32)
        labels = rng.integers(0, 3, 4)
        x[np.arange(4), :, :, labels] *= 0.3
        yield x, np.eye(3, dtype=np.float32)[labels], rng.uniform(0.5, 2, 4).astype(np.float32)
        number += 1


def weights(model: keras.Model) -> list[np.ndarray]:
    """Copies of a network's variables."""
    return [np.array(w) for w in model.get_weights()]


def equal(ours: Iterable[np.ndarray], theirs: Iterable[np.ndarray]) -> bool:
    """Whether all arrays are the same, bit by bit."""
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


class Killed(keras.callbacks.Callback):
    """Stands for a kill after an epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


class Planted(keras.callbacks.Callback):
    """Sets the classifier to a known quality at the end of each epoch's training, before validation."""

    def __init__(self, biases) -> None:
        super().__init__()
        self.biases = biases
        self.seen: list[list[np.ndarray]] = []

    def on_train_batch_end(self, batch, logs=None):
        if batch == STEPS - 1:
            epoch = len(self.seen)
            kernel, bias = self.model.get_layer("logits").weights
            kernel.assign(np.zeros(kernel.shape))
            bias.assign(np.float32(self.biases[epoch]))
            self.seen.append(weights(self.model))
