"""Experiments on a clip store: train one network, or evaluate by a protocol; a run folder comes out, and resumes."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from affnet_tf.config import ExperimentConfig
from affnet_tf.datasets.labels import LabelScheme, label_scheme
from affnet_tf.errors import InputError, unknown
from affnet_tf.evaluation.metrics import Scores, chance_uf1, score, uf1_interval
from affnet_tf.evaluation.predictions import Prediction, Predictions, write_predictions
from affnet_tf.evaluation.protocols import Fold, Key, hold_out_subjects, loso
from affnet_tf.files import read_json, write_json
from affnet_tf.models.affectivenet import probabilities
from affnet_tf.models.checkpoint import Checkpoint, is_checkpoint, load_checkpoint, save_checkpoint
from affnet_tf.models.networks import build_network, set_frequencies
from affnet_tf.pipeline.input import check_representation, load, motion_images, training_batches
from affnet_tf.pipeline.reading import ClipReader
from affnet_tf.pipeline.store import Store, StoredClip, open_store
from affnet_tf.training.fit import History, Trainer, balanced_weights
from affnet_tf.training.progress import Report
from affnet_tf.training.run import Run, open_run
from affnet_tf.training.strategy import Devices, choose_devices

__all__ = ["PROTOCOLS", "Evaluation", "evaluate", "train"]

PROTOCOLS = ("loso",)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The outcome of ``evaluate``: pooled scores, the interval of UF1 over subjects, UF1 by chance, seconds by fold."""

    scores: Scores
    uf1_interval: tuple[float, float]
    chance_uf1: tuple[float, float]
    seconds: dict[str, float]


class _Data:
    """A store's labelled clips, their frames as a dataset, and their motion images."""

    def __init__(self, path: str | os.PathLike, config: ExperimentConfig) -> None:
        self.store: Store = open_store(path)
        self.scheme: LabelScheme = label_scheme(config.labels, self.store.clips)
        self.label_of, self.dropped = self.scheme.assign(self.store.clips)
        self.labelled = [clip for clip in self.store.clips if clip.key in self.label_of]
        if not self.labelled:
            words = sorted({clip.emotion for clip in self.store.clips})
            raise InputError(f"label scheme {self.scheme.name!r} must map an emotion of the store. Received: {words}")
        self.row_of = {clip.key: row for row, clip in enumerate(self.store.clips) if clip.key in self.label_of}
        self._config = config
        check_representation(self.store, config.motion.representation)

    @functools.cached_property
    def clips(self) -> ClipReader:
        """The labelled clips by row."""
        return ClipReader(self.store, self.row_of.values())

    @functools.cached_property
    def images(self) -> np.ndarray:
        """The motion image of every labelled clip, without augmentation."""
        return motion_images(self.clips.in_order(), self._config.motion, self._config.model.input_size)

    @property
    def classes(self) -> int:
        return len(self.scheme.labels)

    def truth(self, keys: Iterable[Key]) -> list[int]:
        return [self.label_of[key] for key in keys]

    def subjects(self, keys: Iterable[Key]) -> list[str]:
        return sorted({self.store.clips[self.row_of[key]].person for key in keys})

    def pictures(self, keys: Iterable[Key]) -> np.ndarray:
        place = {key: place for place, key in enumerate(self.row_of)}
        return self.images[[place[key] for key in keys]]


def train(
    store: str | os.PathLike,
    out: str | os.PathLike,
    config: ExperimentConfig,
    *,
    device: str = "auto",
    resume: bool = False,
    tensorboard: bool = True,
    progress: Report | None = None,
) -> Checkpoint:
    """Train one network on all labelled clips of a store; ``config.train.validation`` holds out subjects to watch it.

    Writes config.json, manifest.json, history.json, the checkpoint ``model/`` and TensorBoard logs to ``out``. A run that was
    killed goes on after its last whole epoch with ``resume``, and ends with the same weights; one that is finished is not
    trained again. ``progress`` is called after each epoch with (epochs done, epochs in all, its losses in words).

    Raises:
        InputError: a bad store, an ``out`` that exists without ``resume``, or one that was made by another config.
    """
    out = Path(out)
    devices = choose_devices(device, config.train.precision)
    data = _Data(store, config)
    run = open_run(out, _document({"task": "train"}, config, data), resume)
    if run.resumed and is_checkpoint(out / "model"):
        (out / "state.npz").unlink(missing_ok=True)
        return load_checkpoint(out / "model")
    kept, held_out = hold_out_subjects(data.labelled, config.train.validation, config.train.seed)
    load(data.clips, config)
    with devices.scope():
        trainer = _trainer(config, data.classes, _steps([len(kept)], config), devices)
        run.begin(str(devices), _facts(config, data))
        history = _fit(
            trainer,
            data,
            config,
            kept,
            held_out,
            state=out / "state.npz",
            log_dir=out / "tensorboard" if tensorboard else None,
            progress=progress,
        )
        model = _float32_copy(trainer.model, config, data.classes)
    write_json(out / "history.json", history)
    details = {
        "store": data.store.hash,
        "clips": len(kept),
        "validation_clips": len(held_out),
        "subjects": data.subjects(kept),
        "validation_subjects": data.subjects(held_out),
    }
    checkpoint = Checkpoint(model, config, data.scheme.labels, data.store.frame_size, details)
    save_checkpoint(out / "model", checkpoint, replace=resume)
    (out / "state.npz").unlink(missing_ok=True)
    return checkpoint


def evaluate(
    store: str | os.PathLike,
    out: str | os.PathLike,
    config: ExperimentConfig,
    protocol: str = "loso",
    *,
    device: str = "auto",
    resume: bool = False,
    progress: Report | None = None,
) -> Evaluation:
    """Train and test by a protocol; the predictions of all folds are pooled and then scored.

    Writes config.json, manifest.json, folds/<name>.json, predictions.csv and metrics.json to ``out``. All folds share one
    compiled step. Finished folds are kept when a run is interrupted and resumed; the result is the same.

    Raises:
        InputError: unknown protocol, a bad store, an ``out`` that exists without ``resume``, or one made by another config.
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS)
    devices = choose_devices(device, config.train.precision)
    data = _Data(store, config)
    folds = loso(data.labelled, config.train.validation, config.train.seed)
    run = open_run(Path(out), _document({"task": "evaluate", "protocol": protocol}, config, data), resume)
    pending = [fold for fold in folds if not run.fold(fold.name).exists()]
    if pending:
        load(data.clips, config)
        with devices.scope():
            trainer = _trainer(config, data.classes, _steps([len(fold.train) for fold in folds], config), devices)
            run.begin(str(devices), _facts(config, data))
            for fold in pending:
                if progress:
                    progress(folds.index(fold), len(folds), fold.name)
                try:
                    write_json(run.fold(fold.name), _run_fold(trainer, data, config, fold))
                except InputError as error:
                    raise InputError(f"fold {fold.name!r}: {error}") from None
    if progress:
        progress(len(folds), len(folds), "done")
    return _pool(run, data, folds)


def _run_fold(trainer: Trainer, data: _Data, config: ExperimentConfig, fold: Fold) -> dict[str, Any]:
    started = time.perf_counter()
    trainer.reset()
    history = _fit(trainer, data, config, fold.train, fold.validation)
    predicted = probabilities(trainer.model, data.pictures(fold.test), config.train.batch_size)
    return {
        "history": history,
        "seconds": time.perf_counter() - started,
        "predictions": [[*key, *map(float, row)] for key, row in zip(fold.test, predicted, strict=True)],
    }


def _fit(
    trainer: Trainer,
    data: _Data,
    config: ExperimentConfig,
    train_keys: Sequence[Key],
    validation_keys: Sequence[Key],
    **options: Any,
) -> History:
    truth = data.truth(train_keys)
    if config.model.network == "majority":
        set_frequencies(trainer.model, truth)
        return {}
    weight = balanced_weights(truth, data.classes) if config.train.class_weights else np.ones(data.classes)
    rows = [data.row_of[key] for key in train_keys]

    def batches(skip: int) -> Any:
        labels = dict(zip(rows, truth, strict=True))
        weights = {row: float(weight[label]) for row, label in labels.items()}
        return training_batches(data.clips, labels, weights, data.classes, config, config.train.seed, skip)

    validation = None
    if validation_keys:
        one_hot = np.eye(data.classes, dtype=np.float32)[data.truth(validation_keys)]
        validation = (data.pictures(validation_keys), one_hot)
    return trainer.fit(batches, validation, **options)


def _trainer(config: ExperimentConfig, classes: int, steps: int, devices: Devices) -> Trainer:
    keras.utils.set_random_seed(config.train.seed)
    return Trainer(build_network(config.model, classes), config.train, steps, devices.jit_compile)


def _steps(clips: Sequence[int], config: ExperimentConfig) -> int:
    """Steps in an epoch, the same for all folds, so that one compiled step and one schedule serve them all."""
    return max(1, round(sum(clips) / len(clips) / config.train.batch_size))


def _float32_copy(model: keras.Model, config: ExperimentConfig, classes: int) -> keras.Model:
    if keras.config.dtype_policy().name == "float32":
        return model
    keras.config.set_dtype_policy("float32")
    copy = build_network(config.model, classes)
    copy.set_weights(model.get_weights())
    return copy


def _document(task: dict[str, str], config: ExperimentConfig, data: _Data) -> dict[str, Any]:
    return {**task, "config": config.to_json(), "labels": data.scheme.to_json(), "store": data.store.hash}


def _facts(config: ExperimentConfig, data: _Data) -> dict[str, Any]:
    return {
        "seed": config.train.seed,
        "synthetic": data.store.synthetic,
        "store": os.path.abspath(data.store.path) if "://" not in data.store.path else data.store.path,
        "store_hash": data.store.hash,
        "clips": len(data.labelled),
        "dropped": {f"{dataset} {emotion}": count for (dataset, emotion), count in data.dropped.items()},
    }


def _pool(run: Run, data: _Data, folds: Sequence[Fold]) -> Evaluation:
    clip_of: dict[Key, StoredClip] = {clip.key: clip for clip in data.labelled}
    rows, seconds = [], {}
    for fold in folds:
        document = read_json(run.fold(fold.name))
        seconds[fold.name] = document["seconds"]
        for dataset, clip_id, *numbers in document["predictions"]:
            clip = clip_of[dataset, clip_id]
            rows.append(Prediction(dataset, clip_id, clip.subject, fold.name, data.label_of[clip.key], tuple(numbers)))
    predictions = Predictions(data.scheme.labels, tuple(rows))
    write_predictions(run.path / "predictions.csv", predictions)
    scores = score(predictions)
    result = Evaluation(scores, uf1_interval(predictions), chance_uf1(predictions.truth, data.classes), seconds)
    write_json(run.path / "metrics.json", dataclasses.asdict(result))
    return result
