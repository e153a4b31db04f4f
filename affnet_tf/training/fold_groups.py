"""How many folds go into one program, and which: as many as memory holds beside the images, in groups of nearly one size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np

from affnet_tf.config import ExperimentConfig
from affnet_tf.errors import InputError
from affnet_tf.training.fit import Trainer
from affnet_tf.training.fold_batch import FoldBatch
from affnet_tf.training.strategy import Devices

__all__ = ["check_room", "even_groups", "folds_at_once", "that_fit"]


def folds_at_once(
    wanted: str | int,
    devices: Devices,
    trainer: Trainer,
    config: ExperimentConfig,
    pending: int,
    held: Callable[[], int],
) -> int:
    """How many folds to train in one program.

    Args:
        wanted: a number, or ``auto``: as many as half of an accelerator's memory holds beside the images, for which a program
            of two is compiled; 1 on CPUs, where it was measured to be little faster or far slower, under TensorFlow, on several
            devices, where an epoch decides something for one fold alone, and where device or compiler do not tell of memory.
        devices: where.
        trainer: of the network.
        config: the experiment.
        pending: folds that are left; ``auto`` is no more than these.
        held: gives the bytes of the images that the device holds for several folds.

    Raises:
        InputError: ``wanted`` is no positive number, or asks for what is named above, or images would take half of the memory.
    """
    if wanted == "auto":
        if devices.kind == "cpu" or pending < 2 or _hindrance(devices, config):
            return 1
        with devices.scope():
            two = FoldBatch(trainer, 2).memory()
        return that_fit(devices.memory(), held(), two, pending)
    if not str(wanted).isdecimal() or int(wanted) < 1:
        raise InputError(f"fold_batch must be auto or a number of at least 1. Received: {wanted!r}")
    if int(wanted) > 1:
        if hindrance := _hindrance(devices, config):
            raise InputError(f"fold_batch {hindrance}. Received: {wanted}")
        check_room(devices.memory(), held(), wanted)
    return int(wanted)


def check_room(memory: int, held: int, wanted: str | int) -> None:
    """Raise where the images that are held take half of a memory, in bytes; 0 is unknown.

    Raises:
        InputError: they do.
    """
    if 0 < memory < 2 * held:
        raise InputError(
            f"fold_batch above 1 must leave half of the memory beside the images, which {held / 2**20:.0f} of "
            f"{memory / 2**20:.0f} MB hold: folds of one size, or fewer epochs, need fewer. Received: {wanted}"
        )


def that_fit(memory: int, held: int, two: int, pending: int) -> int:
    """How many folds half of a memory holds beside what is held, where two folds take ``two``, all in bytes; 0 is unknown."""
    return min(pending, max(1, 2 * (memory // 2 - held) // two)) if two else 1


def even_groups(names: Sequence[str], count: int) -> list[list[str]]:
    """Split names into as few groups of up to ``count`` as possible, all of nearly one size."""
    groups = math.ceil(len(names) / count)
    return [list(part) for part in np.array_split(np.array(names, object), groups)] if groups else []


def _hindrance(devices: Devices, config: ExperimentConfig) -> str | None:
    if keras.backend.backend() != "jax":
        return "above 1 must be used with KERAS_BACKEND=jax"
    if devices.replicas > 1:
        return f"above 1 must be used with one device, --device {devices.kind}:1"
    if config.train.patience:
        return "above 1 must be used with train.patience=0, since all folds stop at once"
    if config.model.network == "majority":
        return "must be 1 for a network that is counted, not trained"
    return None
