"""From labelled clips to a fit: the trainer of a network, its batches, and what it is validated on."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from affnet_tf.config import ExperimentConfig
from affnet_tf.evaluation.protocols import Key
from affnet_tf.models.networks import build_network, set_frequencies
from affnet_tf.pipeline.input import training_batches
from affnet_tf.pipeline.shared import shared_images, shared_targets, span
from affnet_tf.pipeline.store import naming_damage
from affnet_tf.training.fit import History, Trainer, balanced_weights
from affnet_tf.training.labelled import LabelledClips
from affnet_tf.training.strategy import Devices
from affnet_tf.training.stream import SharedStream

__all__ = ["batches_of", "fit_clips", "new_trainer", "shared_stream", "shared_span", "steps_of"]


def fit_clips(
    trainer: Trainer,
    data: LabelledClips,
    config: ExperimentConfig,
    train_keys: Sequence[Key],
    validation_keys: Sequence[Key],
    **options: Any,
) -> History:
    """Fit to some clips and watch others; ``options`` are those of ``Trainer.fit``. The majority class needs no fit."""
    truth = data.truth(train_keys)
    if config.model.network == "majority":
        set_frequencies(trainer.model, truth)
        return {}
    validation = None
    if validation_keys:
        weight = _class_weights(data, config, truth)
        one_hot = np.eye(data.classes, dtype=np.float32)[data.truth(validation_keys)]
        validation = (data.pictures(validation_keys), one_hot, weight[data.truth(validation_keys)])
    with naming_damage(data.store):
        return trainer.fit(batches_of(data, config, train_keys), validation, **options)


def batches_of(data: LabelledClips, config: ExperimentConfig, keys: Sequence[Key]) -> Callable[[int], Any]:
    """Given a number of batches to leave out, the endless batches of a fold's training clips."""
    labels, weights = _labelled(data, config, keys)
    return lambda skip: training_batches(data.clips, labels, weights, data.classes, config, config.train.seed, skip)


def shared_stream(
    data: LabelledClips, config: ExperimentConfig, folds: Sequence[Sequence[Key]], widest: int
) -> SharedStream:
    """The batches of ``batches_of`` of several folds, whose images are made once for all of them.

    Args:
        data: the clips.
        config: the experiment.
        folds: the training clips of each.
        widest: what ``shared_span`` gives of them, or more.
    """
    labels, weights = zip(*(_labelled(data, config, keys) for keys in folds), strict=True)
    labels, seed = dict(collections.ChainMap(*labels)), config.train.seed
    return SharedStream(
        shared_images(data.clips, labels, config, seed),
        shared_targets(data.clips, weights, labels, data.classes, config, seed),
        widest,
    )


def shared_span(config: ExperimentConfig, folds: Sequence[Sequence[Key]], steps: int) -> int:
    """From the first to the last image of their stream that several folds read in one step, at most.

    Args:
        config: the experiment.
        folds: the training clips of each.
        steps: batches in an epoch.
    """
    clips, sizes = {key for keys in folds for key in keys}, [len(keys) for keys in folds]
    return span(sizes, len(clips), config.train.batch_size, steps * config.train.epochs)


def _labelled(
    data: LabelledClips, config: ExperimentConfig, keys: Sequence[Key]
) -> tuple[dict[int, int], dict[int, float]]:
    """The labels and the loss weights of a fold's training clips, by row."""
    truth = data.truth(keys)
    weight = _class_weights(data, config, truth)
    labels = {data.row_of[key]: label for key, label in zip(keys, truth, strict=True)}
    return labels, {row: float(weight[label]) for row, label in labels.items()}


def _class_weights(data: LabelledClips, config: ExperimentConfig, truth: Sequence[int]) -> np.ndarray:
    return balanced_weights(truth, data.classes) if config.train.class_weights else np.ones(data.classes)


def new_trainer(config: ExperimentConfig, classes: int, steps: int, devices: Devices) -> Trainer:
    """A network of the experiment, from its seed, and its compiled step; within the devices' scope."""
    keras.utils.set_random_seed(config.train.seed)
    model = devices.synchronise(build_network(config.model, classes))
    return Trainer(model, config.train, steps, devices.jit_compile, devices.replicas)


def steps_of(clips: float, config: ExperimentConfig) -> int:
    """Steps in an epoch of so many clips."""
    return max(1, round(clips / config.train.batch_size))
