"""Folds one after the other against several in one program: seconds for each fold's step, and their ratio. JAX alone.

    python benchmarks/fold_batch.py [size] [folds in one program ...]

Random images stand in for clips, read from memory: only time is measured here. 68 folds of 442 clips are those of MEGC2019,
27 steps of 16 clips for each epoch of a fold; a whole run is a multiple of the figure for an epoch. Both ways train for
the same number of epochs in each round, and the fastest round of each counts; compiling is left out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

os.environ["KERAS_BACKEND"] = "jax"

import itertools

import numpy as np

from affnet_tf.config import ModelConfig, TrainConfig
from affnet_tf.console import Console
from affnet_tf.silence import silent

with silent():
    import keras

    from affnet_tf.models.affectivenet import affectivenet
    from affnet_tf.training.fit import Trainer
    from affnet_tf.training.fold_batch import FoldBatch
    from affnet_tf.training.strategy import choose_devices

BATCH, CLASSES, FOLDS, CLIPS, EPOCHS, ROUNDS, PATIENCE = 16, 3, 68, 442, 2, 3, 60
STEPS = round(CLIPS * (FOLDS - 1) / FOLDS / BATCH)


def seconds(run: Callable[[], object]) -> float:
    """Of the fastest of some rounds, after one that compiles; for a step. Slow rounds are fewer, but one at least."""
    found: list[float] = []
    while len(found) < 2 or (len(found) <= ROUNDS and sum(found) < PATIENCE):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return min(found[1:]) / (EPOCHS * STEPS)


def main(size: int = 28, *counts: int) -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    one_hot = np.eye(CLASSES, dtype=np.float32)
    # As many as a fold has, so that no cache holds them.
    batches = [
        (rng.random((BATCH, size, size, 3), np.float32), one_hot[rng.integers(0, CLASSES, BATCH)], np.ones(BATCH, "f4"))
        for _ in range(STEPS)
    ]
    devices = choose_devices()
    with devices.scope():
        keras.utils.set_random_seed(0)
        model = affectivenet(ModelConfig(input_size=size), CLASSES)
        trainer = Trainer(model, TrainConfig(epochs=EPOCHS, batch_size=BATCH), STEPS, devices.jit_compile)

        def alone() -> None:
            trainer.reset()
            trainer.fit(lambda skip: (batch for batch in itertools.cycle(batches)))

        def at_once(together: FoldBatch, count: int) -> None:
            together.fit({str(place): itertools.cycle(batches) for place in range(count)})

        one = seconds(alone)
        rows = [_row("one after the other", one, one)]
        for count in counts or (4,):
            together = FoldBatch(trainer, count)
            each = seconds(lambda together=together, count=count: at_once(together, count)) / count
            rows.append(_row(f"{count} in one program", each, one))
    title = f"AffectiveNet at {size}×{size}, batches of {BATCH}, {devices}"
    columns = (
        "folds",
        "ms for a step of a fold",
        f"s for an epoch of {FOLDS} folds",
        "images a second",
        "times as fast",
    )
    Console().result(rows, (title, columns, rows))


def _row(name: str, each: float, one: float) -> tuple[str, ...]:
    return name, f"{1e3 * each:.2f}", f"{each * STEPS * FOLDS:.1f}", f"{BATCH / each:,.0f}", f"{one / each:.1f}"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
