"""A fit that has diverged is stopped at the step where it did."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from affnet_tf.errors import InputError

__all__ = ["FiniteLoss"]


class FiniteLoss(keras.callbacks.Callback):
    """Raises at the first step whose loss is not finite; the epoch is then not counted, and its state not saved.

    The loss that Keras hands over at a step is the mean over the epoch so far: once it is not finite, it stays so. Keras
    turns it into a number on a thread of its own as long as every callback is marked ``async_safe``, so that the training
    loop need not wait for the device at every step.

    Args:
        learning_rate: of a step, counted from the first one of the fit.
        steps_per_epoch: batches in an epoch.

    Raises:
        InputError: naming epoch, step and learning rate.
    """

    async_safe = True

    def __init__(self, learning_rate: Callable[[int], Any], steps_per_epoch: int) -> None:
        super().__init__()
        self._learning_rate = learning_rate
        self._steps = steps_per_epoch
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            rate = float(self._learning_rate(self._epoch * self._steps + batch))
            raise InputError(
                f"training must keep a finite loss: lower train.learning_rate. Received: {loss} in epoch {self._epoch + 1}, "
                f"step {batch + 1} of {self._steps}, at a learning rate of {rate:.3g}"
            )
