"""How far a fit is, told through one function after each epoch; nothing is printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["EpochProgress", "Report"]

Report = Callable[[int, int, str], None]
"""Called with what is done, what there is in all, and a few words."""


class EpochProgress(keras.callbacks.Callback):
    """Reports epochs done, epochs in all, and the last epoch's loss.

    Args:
        report: where to.
        epochs: how many there are in all.
    """

    def __init__(self, report: Report, epochs: int) -> None:
        super().__init__()
        self._report = report
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        names = [name for name in ("loss", "accuracy", "val_loss", "val_accuracy") if name in (logs or {})]
        self._report(epoch + 1, self._epochs, ", ".join(f"{name} {logs[name]:.3f}" for name in names))
