"""Fit a network to training clips. This file has never heard of folds or of test sets, and cannot reach them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import keras
import numpy as np

from affnet_tf.config import TrainConfig
from affnet_tf.places import Address
from affnet_tf.training.finite import FiniteLoss
from affnet_tf.training.progress import EpochProgress, Report
from affnet_tf.training.state import Averages, History, TrainingState, assign, values_of

__all__ = ["History", "Trainer", "balanced_weights"]


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
        self._initial = values_of(self._variables())

    def reset(self) -> None:
        """Forget everything that was learned."""
        assign(self._variables(), self._initial)

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
        averages = Averages(self.model)
        keeper = TrainingState(state, keep_seconds, self._variables(), self.config.patience, averages)
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
