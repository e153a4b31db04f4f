"""What a training that is interrupted goes on from: variables, history and best weights so far, in one file."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.files import atomic_write, open_arrays
from affnet_tf.places import Address, place_at

__all__ = ["Averages", "History", "TrainingState", "assign", "values_of"]

History = dict[str, list[float]]


def values_of(variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    """Copies of what the variables hold."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables: Iterable[keras.Variable], values: Iterable[np.ndarray]) -> None:
    """Set each variable to its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class Averages(keras.callbacks.Callback):
    """Puts the moving averages of the weights in their place while the network is validated.

    Batch normalisation's statistics are averages already, and stay as they are.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self._network = model
        self._own: list[np.ndarray] = []

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._own = values_of(self._network.trainable_variables)
        self._network.optimizer.finalize_variable_values(self._network.trainable_variables)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        assign(self._network.trainable_variables, self._own)

    def values(self, variables: Iterable[keras.Variable]) -> list[np.ndarray]:
        """The values of the variables, with the averages for those that have one."""
        self.on_test_begin()
        values = values_of(variables)
        self.on_test_end()
        return values


@dataclasses.dataclass
class _Progress:
    """What ``TrainingState`` saves beside the variables."""

    epoch: int = 0
    best: float = math.inf
    best_epoch: int = -1


class TrainingState(keras.callbacks.Callback):
    """Keeps the history, the best weights by validation loss, and after an epoch all of it in a file."""

    def __init__(
        self,
        path: Address | None,
        keep_seconds: float,
        variables: list[keras.Variable],
        patience: int,
        averages: Averages,
    ) -> None:
        super().__init__()
        self.history: History = {}
        self.stopped = False
        self._path = None if path is None else place_at(path)
        self._keep_seconds = keep_seconds
        self._kept = time.monotonic()
        self._waiting: dict[str, Any] | None = None
        self._variables = variables
        self._patience = patience
        self._averages = averages
        self._progress = _Progress()
        self._best: list[np.ndarray] | None = None

    def load(self) -> int:
        """Take up the state file, if there is one; return the number of epochs that are done."""
        if self._path is None or not self._path.exists():
            return 0
        saved = self._read()
        count = int(saved["count"])
        shapes = [tuple(variable.shape) for variable in self._variables]
        if count != len(shapes) or any(saved[f"now{i}"].shape != shape for i, shape in enumerate(shapes)):
            raise InputError(f"training state {str(self._path)!r} must be of this network. Received: other shapes")
        assign(self._variables, [saved[f"now{i}"] for i in range(count)])
        if "best0" in saved:
            self._best = [saved[f"best{i}"] for i in range(count)]
        self._progress = _Progress(int(saved["epoch"]), float(saved["best"]), int(saved["best_epoch"]))
        self.history = {name[8:]: saved[name].tolist() for name in saved if name.startswith("history_")}
        self.stopped = self._out_of_patience()
        return self._progress.epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            if not math.isfinite(value):  # a loss of training has been looked at in each step
                raise InputError(
                    f"training must keep a finite {name}: lower train.learning_rate. Received: {value} in epoch {epoch + 1}"
                )
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        self._progress.epoch = epoch + 1
        loss = (logs or {}).get("val_loss")
        if self._patience and loss is not None and loss < self._progress.best:
            self._progress.best, self._progress.best_epoch = float(loss), epoch
            self._best = self._averages.values(self._variables)
        if self._path is not None:
            self._waiting = self._arrays()
            if time.monotonic() - self._kept >= self._keep_seconds:
                self._save()
        if self._out_of_patience():
            self.model.stop_training = True

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Whatever ends the block, the state after the last epoch that was finished is saved."""
        try:
            yield
        except BaseException as error:
            try:
                self._save()
            except (OSError, InputError) as failure:  # what ended it is to be told first
                error.add_note(f"the state after the last epoch could not be kept: {failure}")
            raise
        self._save()

    def restore_best(self) -> None:
        """Set the variables to those of the best epoch, if one was asked for."""
        if self._best is not None:
            assign(self._variables, self._best)

    def _read(self) -> dict[str, np.ndarray]:
        try:
            with open_arrays(self._path) as saved:
                return dict(saved)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"training state {str(self._path)!r} must be whole; without it, training begins anew. Received: {error}"
            ) from None

    def _out_of_patience(self) -> bool:
        waited = self._progress.epoch - 1 - self._progress.best_epoch
        return bool(self._patience) and self._progress.best_epoch >= 0 and waited >= self._patience

    def _arrays(self) -> dict[str, Any]:
        """What the file holds: copies, since training goes on."""
        arrays = {f"now{i}": value for i, value in enumerate(values_of(self._variables))}
        arrays |= {f"best{i}": value for i, value in enumerate(self._best or [])}
        arrays |= {f"history_{name}": np.asarray(values) for name, values in self.history.items()}
        return {"count": len(self._variables), **arrays, **dataclasses.asdict(self._progress)}

    def _save(self) -> None:
        """Write the state that waits for it, if one does."""
        if self._waiting is not None:
            with atomic_write(self._path) as file:
                np.savez(file, **self._waiting)
            self._waiting, self._kept = None, time.monotonic()
