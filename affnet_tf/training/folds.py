"""The folds of a run: each is trained, tested and written, in turn or several at once, here or in another process."""

from __future__ import annotations

import collections
import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from affnet_tf.config import ExperimentConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.evaluation.protocols import EVEN, Fold, Key
from affnet_tf.files import remove_folder, write_json
from affnet_tf.models.affectivenet import probabilities
from affnet_tf.pipeline.store import naming_damage
from affnet_tf.places import Address, Place
from affnet_tf.training.fit import History, Trainer
from affnet_tf.training.fitting import fit_clips, new_trainer, shared_span, shared_stream, steps_of
from affnet_tf.training.fold_batch import FoldBatch
from affnet_tf.training.fold_groups import even_groups
from affnet_tf.training.gallery import Gallery
from affnet_tf.training.labelled import LabelledClips
from affnet_tf.training.run import Run
from affnet_tf.training.strategy import Devices, choose_devices, share_cores
from affnet_tf.training.stream import held_images

__all__ = ["FoldWork", "Trainers", "fold_steps", "folds_elsewhere", "folds_on_cluster"]


class Trainers:
    """A trainer for each number of steps that a fold's epoch has; folds with the same number share one compiled step."""

    def __init__(self, config: ExperimentConfig, classes: int, steps: dict[str, int], devices: Devices) -> None:
        self.steps = steps
        self._make = functools.cache(lambda count: new_trainer(config, classes, count, devices))
        self._devices = devices

    def of(self, fold: str) -> Trainer:
        """The trainer of a fold, by its name."""
        with self._devices.scope():
            return self._make(self.steps[fold])


@dataclasses.dataclass(frozen=True)
class FoldWork:
    """What the folds of a run have in common.

    Attributes:
        data: the clips.
        config: the experiment.
        folds: all of them.
        run: where each writes what came out.
        devices: what they are trained on.
        trainers: their compiled steps.
        tensorboard: whether each writes logs for TensorBoard.
    """

    data: LabelledClips
    config: ExperimentConfig
    folds: Sequence[Fold]
    run: Run
    devices: Devices
    trainers: Trainers
    tensorboard: bool = False

    def sent(self, device: str, processes: int = 1) -> tuple[Any, ...]:
        """What ``folds_elsewhere`` takes beside the names. Paths are absolute: another machine has another working folder.

        Args:
            device: what each of the processes trains on; the precision is this process's.
            processes: how many share a machine's memory.
        """
        config = replace(self.config, train=replace(self.config.train, precision=self.devices.precision))
        run = dataclasses.replace(self.run, path=self.run.path.absolute())
        steps = self.trainers.steps
        return self.data.address, config, self.folds, steps, run, device, processes, self.tensorboard

    def in_turn(self, names: Iterable[str]) -> Iterator[str]:
        """Run folds one after the other; each is written when it is finished, and then named.

        Raises:
            InputError: of a fold, which it names.
        """
        self.data.load()
        with self.devices.scope():
            for name in names:
                trainer, fold = self.trainers.of(name), self._fold(name)
                started = time.perf_counter()
                try:
                    trainer.reset()
                    keys = (fold.train, fold.validation)
                    history = fit_clips(trainer, self.data, self.config, *keys, log_dir=self._log_dir(name))
                    self._finish(trainer, fold, history, time.perf_counter() - started)
                except InputError as error:
                    raise InputError(f"fold {name!r}: {error}") from None
                yield name

    def together(self, names: Sequence[str], count: int) -> Iterator[str]:
        """The same with up to ``count`` folds in one program; those of one group have as many steps in an epoch."""
        steps = self.trainers.steps
        self.data.load()
        with self.devices.scope():
            for number in sorted({steps[name] for name in names}):
                # Folds of like size stay near each other in the stream. One span for all groups, and one compiled program.
                alike = sorted((name for name in names if steps[name] == number), key=self._size)
                groups = even_groups(alike, count)
                widest = max(map(self._span, groups))
                trainer = self.trainers.of(groups[0][0])
                batch = FoldBatch(trainer, len(groups[0]))
                for group in groups:
                    started = time.perf_counter()
                    # A program is compiled for a number of folds. Where fewer are left, the last one is computed again.
                    filled = [*group, *group[-1:] * (len(groups[0]) - len(group))]
                    keys = [self._fold(name).train for name in filled]
                    with naming_damage(self.data.store):
                        histories = batch.fit(group, shared_stream(self.data, self.config, keys, widest))
                    seconds = (time.perf_counter() - started) / len(group)
                    for name in group:
                        batch.take(name)
                        self._finish(trainer, self._fold(name), histories[name], seconds)
                        yield name

    def images_held(self, names: Iterable[str]) -> int:
        """Bytes of the images that a device holds for folds in one program, at most, however they are grouped."""
        steps, groups = self.trainers.steps, collections.defaultdict(list)
        for name in names:
            groups[steps[name]].append(name)
        count = held_images(max(map(self._span, groups.values())), self.config.train.batch_size)
        return count * self.config.model.input_size**2 * 3 * np.dtype(np.float32).itemsize

    def _span(self, names: Sequence[str]) -> int:
        """``shared_span`` of folds with as many steps in an epoch."""
        keys = [self._fold(name).train for name in names]
        return shared_span(self.config, keys, self.trainers.steps[names[0]])

    def _size(self, name: str) -> int:
        return len(self._fold(name).train)

    def _fold(self, name: str) -> Fold:
        return next(fold for fold in self.folds if fold.name == name)

    def _log_dir(self, name: str) -> Place | None:
        if not self.tensorboard:
            return None
        folder = self.run.path / "tensorboard" / name
        remove_folder(folder)  # of a fold that was cut off
        return folder

    def _finish(self, trainer: Trainer, fold: Fold, history: History, seconds: float) -> None:
        """Predict, and write what came out; what the network saw of a few test clips lies beside it."""
        started = time.perf_counter()
        predictions = self._predict(trainer, fold.test)
        outcome = {
            "history": history,
            "train": fold.train,
            "validation": fold.validation,
            "excluded": fold.excluded,
            "reason": fold.reason,
            "predictions": predictions,
            "validation_predictions": self._predict(trainer, fold.validation),
            "seconds": seconds + time.perf_counter() - started,
        }
        predicted = np.array([numbers for _, _, *numbers in predictions])
        Gallery(trainer.model, self.config.model).write(
            self.run.fold(fold.name).with_suffix(".npz"),
            fold.test,
            self.data.pictures(fold.test),
            self.data.truth(fold.test),
            predicted,
        )
        write_json(self.run.fold(fold.name), outcome)

    def _predict(self, trainer: Trainer, keys: Sequence[Key]) -> list[list[Any]]:
        batch = self.config.train.batch_size
        predicted = probabilities(trainer.model, self.data.pictures(keys), batch) if keys else []
        return [[*key, *map(float, row)] for key, row in zip(keys, predicted, strict=True)]


def folds_elsewhere(
    names: Iterable[str],
    store: Address,
    config: ExperimentConfig,
    folds: Sequence[Fold],
    steps: dict[str, int],
    run: Run,
    device: str,
    processes: int,
    tensorboard: bool,
) -> Iterator[str]:
    """``FoldWork.in_turn`` in a process of its own, of ``processes`` that share this machine's memory."""
    devices = choose_devices(device, config.train.precision)
    data = LabelledClips(store, config, processes)
    trainers = Trainers(config, data.classes, steps, devices)
    yield from FoldWork(data, config, folds, run, devices, trainers, tensorboard).in_turn(names)


def folds_on_cluster(names: Iterable[str], *arguments: Any) -> Iterator[str]:
    """``folds_elsewhere`` in a process of a cluster, with the thread pools of a process on its own."""
    share_cores(0, 1)
    yield from folds_elsewhere(names, *arguments)


def fold_steps(folds: Sequence[Fold], protocol: str, config: ExperimentConfig) -> dict[str, int]:
    """Steps in an epoch, by fold: its own clips over the batch size, or, where all folds train on nearly as many, the mean."""
    clips = {fold.name: float(len(fold.train)) for fold in folds}
    if protocol in EVEN:
        clips = dict.fromkeys(clips, sum(clips.values()) / len(clips))
    return {name: steps_of(count, config) for name, count in clips.items()}
