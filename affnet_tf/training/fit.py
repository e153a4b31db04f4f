"""Fit a network to training clips. This file has never heard of folds or of test sets, and cannot reach them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np

from affnet_tf.config import TrainConfig
from affnet_tf.errors import InputError
from affnet_tf.files import atomic_write
from affnet_tf.places import Address, place_at
from affnet_tf.training.finite import FiniteLoss
from affnet_tf.training.progress import EpochProgress, Report

__all__ = ["History", "Trainer", "balanced_weights"]

History = dict[str, list[float]]


class Trainer:
    """One compiled training step, to be used for any number of fits.

    Compiling traces the network, which costs seconds. Folds therefore share one trainer: ``reset`` sets every variable
    (weights, optimizer state, the states of random generators) back to what it was when the trainer was made.

    Args:
        model: a network that gives logits (B, classes).
        config: how to train it.
        steps_per_epoch: batches in an epoch; the learning-rate schedule runs over ``epochs`` times so many steps.
        jit_compile: compile the step with XLA; on a CPU TensorFlow is slower with it, and JAX far slower without.
        replicas: devices that a batch is split over; validation is then filled up to whole batches.
    """

    def __init__(
        self,
        model: keras.Model,
        config: TrainConfig,
        steps_per_epoch: int,
        jit_compile: bool | str | None = None,
        replicas: int = 1,
    ) -> None:
        self.model = model
        self.config = config
        self.steps_per_epoch = steps_per_epoch
        self.replicas = replicas
        if jit_compile is None:
            jit_compile = "auto" if keras.backend.backend() == "jax" else False
        self._schedule = _schedule(config, steps_per_epoch)
        self.loss = _loss(config)
        average = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
        optimizer = keras.optimizers.AdamW(self._schedule, weight_decay=config.weight_decay, **average)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        model.compile(
            optimizer=optimizer,
            loss=self.loss,
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=jit_compile,
        )
        # Not the optimizer from above: under mixed_float16 it is wrapped in one that scales the loss.
        model.optimizer.build(model.trainable_variables)
        self._initial = _values(self._variables())

    def reset(self) -> None:
        """Forget everything that was learned."""
        _assign(self._variables(), self._initial)

    def fit(
        self,
        train: Callable[[int], Iterable],
        validation: tuple[np.ndarray, ...] | None = None,
        *,
        state: Address | None = None,
        keep_seconds: float = 0.0,
        log_dir: Address | None = None,
        callbacks: Iterable[keras.callbacks.Callback] = (),
        progress: Report | None = None,
    ) -> History:
        """Train for ``config.epochs``; the weights of the last epoch stay, or the best ones under ``config.patience``.

        Args:
            train: given a number of batches to leave out at the start, endless batches of (motion images, one-hot
                labels, weights).
            validation: motion images (N, S, S, 3), one-hot labels (N, classes) and, if they are weighed as in training,
                weights (N,) of held-out training subjects.
            state: a file that keeps the state after an epoch; if it exists, training goes on from there, and ends
                with the same weights as if it had not been interrupted.
            keep_seconds: after an epoch the state is kept if so many seconds, 0 or more, went by since it last was; in any
                case that of the last finished epoch is kept when training ends, however it does, short of a kill.
            log_dir: folder for TensorBoard.
            callbacks: Keras callbacks in addition.
            progress: called after each epoch with (epochs done, epochs in all, its losses in words).

        Returns:
            Loss, accuracy, and validation loss and accuracy if there is validation, of each epoch.

        Raises:
            InputError: the state file is damaged or another network's, or a loss is not finite any more.
        """
        averages = _Averages(self.model)
        keeper = _State(state, keep_seconds, self._variables(), self.config.patience, averages)
        done = keeper.load()
        extra: list[keras.callbacks.Callback] = [FiniteLoss(self._schedule, self.steps_per_epoch), keeper, *callbacks]
        if self.config.ema:
            extra.append(averages)
        if progress is not None:
            extra.append(EpochProgress(progress, self.config.epochs))
        if log_dir is not None:
            extra.append(keras.callbacks.TensorBoard(str(log_dir), write_graph=False))
        if validation is not None and self.replicas > 1:
            validation = _whole_batches(validation, self.config.batch_size)
        if done < self.config.epochs and not keeper.stopped:
            with keeper.keeping():
                self.model.fit(
                    train(done * self.steps_per_epoch),
                    epochs=self.config.epochs,
                    initial_epoch=done,
                    steps_per_epoch=self.steps_per_epoch,
                    shuffle=False,
                    validation_data=validation,
                    validation_batch_size=self.config.batch_size,
                    callbacks=extra,
                    verbose=0,
                )
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)  # the averages, if there are any
        keeper.restore_best()
        return keeper.history

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables]


def balanced_weights(labels: Iterable[int], classes: int) -> np.ndarray:
    """Inverse class frequency, scaled so that the mean weight over the clips is 1; classes without a clip weigh 0.

    Args:
        labels: label indices of the training clips.
        classes: number of labels.

    Returns:
        float32 (classes,).
    """
    counts = np.bincount(np.asarray(list(labels), dtype=int), minlength=classes)
    present = counts > 0
    return np.divide(counts.sum(), counts * present.sum(), out=np.zeros(classes), where=present).astype(np.float32)


def _whole_batches(data: tuple[np.ndarray, ...], size: int) -> tuple[np.ndarray, ...]:
    """Fill validation up to a multiple of the batch size; what is added weighs nothing, and loss and accuracy stay the same."""
    images, labels, *rest = data
    count, more = len(images), -len(images) % size
    weights = rest[0] if rest else np.ones(count, np.float32)
    # The loss is a mean over all that is there, whatever it weighs.
    weights = np.concatenate([weights * np.float32((count + more) / count), np.zeros(more, np.float32)])
    return tuple(np.concatenate([each, np.repeat(each[-1:], more, axis=0)]) for each in (images, labels)) + (weights,)


def _loss(config: TrainConfig) -> keras.losses.Loss:
    options = {"from_logits": True, "label_smoothing": config.label_smoothing}
    if not config.focal_gamma:
        return keras.losses.CategoricalCrossentropy(**options)
    # Classes are balanced by the weights of the clips; alpha would do it twice.
    return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=config.focal_gamma, **options)


def _schedule(config: TrainConfig, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
    steps = config.epochs * steps_per_epoch
    warmup = math.ceil(config.warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.learning_rate * (0.01 if warmup else 1.0),
        decay_steps=max(1, steps - warmup),
        alpha=1.0 if config.schedule == "constant" else 0.01,  # where the cosine ends, as a share of where it begins
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def _values(variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: Iterable[keras.Variable], values: Iterable[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class _Averages(keras.callbacks.Callback):
    """Puts the moving averages of the weights in their place while the network is validated.

    Batch normalisation's statistics are averages already, and stay as they are.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self._network = model
        self._own: list[np.ndarray] = []

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._own = _values(self._network.trainable_variables)
        self._network.optimizer.finalize_variable_values(self._network.trainable_variables)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        _assign(self._network.trainable_variables, self._own)

    def values(self, variables: Iterable[keras.Variable]) -> list[np.ndarray]:
        """The values of the variables, with the averages for those that have one."""
        self.on_test_begin()
        values = _values(variables)
        self.on_test_end()
        return values


@dataclasses.dataclass
class _Progress:
    """What ``_State`` saves beside the variables."""

    epoch: int = 0
    best: float = math.inf
    best_epoch: int = -1


class _State(keras.callbacks.Callback):
    """Keeps the history, the best weights by validation loss, and after an epoch all of it in a file."""

    def __init__(
        self,
        path: Address | None,
        keep_seconds: float,
        variables: list[keras.Variable],
        patience: int,
        averages: _Averages,
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
        _assign(self._variables, [saved[f"now{i}"] for i in range(count)])
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
        except BaseException:
            with contextlib.suppress(OSError, InputError):  # what ended it is to be told
                self._save()
            raise
        self._save()

    def restore_best(self) -> None:
        """Set the variables to those of the best epoch, if one was asked for."""
        if self._best is not None:
            _assign(self._variables, self._best)

    def _read(self) -> dict[str, np.ndarray]:
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
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
        arrays = {f"now{i}": value for i, value in enumerate(_values(self._variables))}
        arrays |= {f"best{i}": value for i, value in enumerate(self._best or [])}
        arrays |= {f"history_{name}": np.asarray(values) for name, values in self.history.items()}
        return {"count": len(self._variables), **arrays, **dataclasses.asdict(self._progress)}

    def _save(self) -> None:
        """Write the state that waits for it, if one does."""
        if self._waiting is not None:
            with atomic_write(self._path) as file:
                np.savez(file, **self._waiting)
            self._waiting, self._kept = None, time.monotonic()
