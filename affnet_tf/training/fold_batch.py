"""Several folds in one program: their networks side by side along an axis, a step of all of them at once. JAX alone.

A fold's network is small, and a step of it leaves an accelerator idle. Here weights, optimizer and batch normalisation's
statistics of K folds are stacked, and ``jax.vmap`` maps Keras' stateless calls over them. Images come in one stream, of which
the device holds the last passes, and a fold takes those of its own clips. These are the batches that it would read on its
own, so that it ends where it would have ended, within float tolerance.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.models.convolution import rewritten
from affnet_tf.training.fit import History, Trainer
from affnet_tf.training.stream import HeldImages, SharedStream

__all__ = ["FoldBatch"]


class FoldBatch:
    """Fits of one network to several folds at once.

    Args:
        trainer: of the network; its own variables are used to begin each fit, and hold a fold's outcome after ``take``.
        count: number of folds K; one program is compiled for it.
        blocks: compute convolutions by ``models.convolution``.
    """

    def __init__(self, trainer: Trainer, count: int, blocks: bool = True) -> None:
        import jax

        self._trainer = trainer
        self._count = count
        self._blocks = blocks
        self._step = jax.jit(self._all_folds, donate_argnums=0)
        self._state: Any = None
        self._names: list[str] = []

    def fit(self, names: Sequence[str], stream: SharedStream) -> dict[str, History]:
        """Train every fold for ``config.epochs``, from the same beginning.

        Args:
            names: of the folds, up to K.
            stream: what they are trained on; what comes beyond the named folds is computed, and forgotten.

        Returns:
            By the fold's name, loss and accuracy of each epoch.

        Raises:
            InputError: a loss is not finite any more.
        """
        trainer, histories = self._trainer, {name: {"loss": [], "accuracy": []} for name in names}
        self._names = list(names)
        trainer.reset()
        self._state = [[self._stacked(variable) for variable in part] for part in self._parts()]
        targets, held = iter(stream.targets), HeldImages(stream)
        for epoch in range(trainer.config.epochs):
            told = []
            for _ in range(trainer.steps_per_epoch):
                places, *rest = next(targets)
                images, places = held.at(places)
                self._state, numbers = self._step(self._state, images, places, *rest)
                told.append(numbers)
            loss, right, weight = (np.array(each, np.float64).T for each in zip(*told, strict=True))
            for place, (name, history) in enumerate(histories.items()):
                _check(loss[place], epoch, name)
                history["loss"].append(float(loss[place].mean()))
                history["accuracy"].append(float(right[place].sum() / max(weight[place].sum(), 1e-7)))
        return histories

    def take(self, name: str) -> None:
        """Give the trainer's network the weights that a fold ended with."""
        place = self._names.index(name)
        for part, values in zip(self._parts(), self._state, strict=True):
            for variable, value in zip(part, values, strict=True):
                variable.assign(value[place])
        optimizer = self._trainer.model.optimizer
        optimizer.finalize_variable_values(self._trainer.model.trainable_variables)  # the averages, if there are any

    def memory(self) -> int:
        """Bytes that a step takes by the compiler's plan: state, batches, and all that lies between; 0 if it does not tell.

        The images that are held are left out: they are the same ones however many folds there are.
        """
        import jax

        model, batch = self._trainer.model, self._trainer.config.batch_size
        like = functools.partial(jax.ShapeDtypeStruct, dtype="float32")
        state = [[like((self._count, *v.shape), dtype=v.dtype) for v in part] for part in self._parts()]
        images, weights = like((batch, *model.input_shape[1:])), like((self._count, batch))
        places = like((self._count, batch), dtype="int32")
        labels = like((self._count, batch, model.output_shape[-1]))
        planned = self._step.lower(state, images, places, labels, weights, None).compile().memory_analysis()
        return planned.argument_size_in_bytes + planned.temp_size_in_bytes if planned else 0

    def _parts(self) -> list[list[keras.Variable]]:
        model = self._trainer.model
        return [model.trainable_variables, model.non_trainable_variables, model.optimizer.variables]

    def _stacked(self, variable: keras.Variable) -> Any:
        return keras.ops.repeat(keras.ops.expand_dims(variable.value, 0), self._count, axis=0)

    def _all_folds(
        self, state: list, images: Any, places: Any, labels: Any, weights: Any, shares: Any
    ) -> tuple[list, tuple]:
        """A step of every fold."""
        import jax

        return jax.vmap(self._one_step, (0, None, 0, 0, 0, 0))(state, images, places, labels, weights, shares)

    def _one_step(
        self, state: list, images: Any, places: Any, labels: Any, weights: Any, shares: Any
    ) -> tuple[list, tuple]:
        """A step of one fold: the same as Keras' own."""
        import jax

        images = keras.ops.take(images, places, axis=0)
        if shares is not None:
            share = shares[:, None, None, None]
            images = share * images + (1.0 - share) * keras.ops.roll(images, -1, axis=0)
        trainable, fixed, optimizing = state
        grow = jax.grad(self._loss, has_aux=True)
        gradients, (fixed, loss, logits) = grow(trainable, fixed, optimizing, images, labels, weights)
        trainable, optimizing = self._trainer.model.optimizer.stateless_apply(optimizing, gradients, trainable)
        right = keras.ops.equal(keras.ops.argmax(labels, axis=-1), keras.ops.argmax(logits, axis=-1))
        right = keras.ops.sum(weights * keras.ops.cast(right, "float32"))
        return [trainable, fixed, optimizing], (loss, right, keras.ops.sum(weights))

    def _loss(self, trainable: list, fixed: list, optimizing: list, images: Any, labels: Any, weights: Any) -> tuple:
        model = self._trainer.model
        with rewritten(model) if self._blocks else contextlib.nullcontext():
            logits, fixed, penalties = model.stateless_call(trainable, fixed, images, training=True, return_losses=True)
        loss = self._trainer.loss(labels, logits, sample_weight=weights) + sum(penalties)
        # Under mixed_float16 the scale is a variable of the optimizer.
        with keras.StatelessScope(state_mapping=list(zip(model.optimizer.variables, optimizing, strict=True))):
            scaled = model.optimizer.scale_loss(loss)
        return scaled, (fixed, loss, logits)


def _check(losses: np.ndarray, epoch: int, fold: str) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if bad.size:
        raise InputError(
            f"fold {fold!r}: training must keep a finite loss: lower train.learning_rate. "
            f"Received: {losses[bad[0]]} in epoch {epoch + 1}, step {bad[0] + 1} of {len(losses)}"
        )
