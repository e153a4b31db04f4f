"""Folds one after the other against several in one program: seconds for each fold's step, and their ratio. JAX alone.

    python benchmarks/fold_batch.py [preset] [size] [folds in one program ...]

Random images stand in for clips, read from memory, each fold's its own: only time is measured here. 68 folds of 442 clips are
those of MEGC2019, 27 steps of 16 clips for each epoch of a fold; a whole run is a multiple of the figure for an epoch. Each way
is timed over some epochs, in a few rounds of which the fastest counts; compiling is left out. *As Keras computes them*: the
convolutions without ``models.convolution``.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator

os.environ["KERAS_BACKEND"] = "jax"

import numpy as np

from affnet_tf.config import TrainConfig, replace
from affnet_tf.console import Console
from affnet_tf.presets import preset
from affnet_tf.silence import silent

with silent():
    import keras

    from affnet_tf.models.affectivenet import affectivenet
    from affnet_tf.models.convolution import rewrite
    from affnet_tf.training.fit import Trainer
    from affnet_tf.training.fold_batch import FoldBatch
    from affnet_tf.training.strategy import choose_devices

BATCH, CLASSES, FOLDS, CLIPS, EPOCHS, ROUNDS, PATIENCE = 16, 3, 68, 442, 2, 3, 60
STEPS = round(CLIPS * (FOLDS - 1) / FOLDS / BATCH)

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def seconds(run: Callable[[], object]) -> float:
    """Of the fastest of some rounds, after one that compiles; for a step. Slow rounds are fewer, but one at least."""
    found: list[float] = []
    while len(found) < 2 or (len(found) <= ROUNDS and sum(found) < PATIENCE):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return min(found[1:]) / (EPOCHS * STEPS)


def stream(clips: np.ndarray, fold: int) -> Iterator[Batch]:
    """A fold's endless batches: its own order of the clips."""
    rng = np.random.default_rng(fold)
    while True:
        order = rng.permutation(len(clips))
        for start in range(0, len(clips) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            yield clips[rows], np.eye(CLASSES, dtype=np.float32)[rows % CLASSES], np.ones(BATCH, np.float32)


def measure(name: str, size: int, counts: tuple[int, ...], rewritten: bool) -> Iterator[tuple[str, float]]:
    """Each way and its seconds for a step of a fold."""
    config = replace(preset(name).model, input_size=size)
    clips = np.random.default_rng(0).random((CLIPS, size, size, 3), np.float32)
    keras.utils.set_random_seed(0)
    trainer = Trainer(affectivenet(config, CLASSES), TrainConfig(epochs=EPOCHS, batch_size=BATCH), STEPS)
    if rewritten:
        rewrite(trainer.model)

    def alone() -> None:
        trainer.reset()
        trainer.fit(lambda skip: stream(clips, 0))

    yield "one after the other", seconds(alone)
    for count in counts:
        yield f"{count} in one program", at_once(FoldBatch(trainer, count), clips, count)


def at_once(together: FoldBatch, clips: np.ndarray, count: int) -> float:
    """Seconds for a step of a fold, of several in one program. What makes their batches is not measured."""
    streams = {str(fold): list(itertools.islice(stream(clips, fold), STEPS)) * EPOCHS for fold in range(count)}
    return seconds(lambda: together.fit(streams)) / count


def main(name: str = "affectivenet", size: int = 28, *counts: int) -> None:
    """Print the table."""
    devices, rows, first = choose_devices(), [], 0.0
    with devices.scope():
        for rewritten in (False, True):
            for way, each in measure(name, size, counts or (4,), rewritten):
                first = first or each
                way = way if rewritten else f"{way}, as Keras computes them"
                epoch = each * STEPS * FOLDS
                rows.append((way, f"{1e3 * each:.2f}", f"{epoch:.1f}", f"{BATCH / each:,.0f}", f"{first / each:.1f}"))
                print(*rows[-1], sep="\t", file=sys.stderr)
    title = f"{name} at {size}×{size}, batches of {BATCH}, {devices}"
    columns = (
        "folds",
        "ms for a step of a fold",
        f"s for an epoch of {FOLDS} folds",
        "images a second",
        "times as fast",
    )
    Console().result(rows, (title, columns, rows))


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
