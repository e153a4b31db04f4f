"""Folds one after the other against several in one program: seconds for each fold's step, and their ratio. JAX alone.

    python benchmarks/fold_batch.py [folds in one program] [size] [steps]

Random images stand in for clips: only time is measured here. 68 folds of 442 clips are those of MEGC2019, 27 steps of 16 clips
for each epoch of a fold; the figure is for a step, so that a whole run is a multiple of it. Rounds in turn, the fastest of
each.
"""

from __future__ import annotations

import os
import sys
import time

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

BATCH, CLASSES, FOLDS, CLIPS, ROUNDS = 16, 3, 68, 442, 3


def main(count: int = 4, size: int = 28, steps: int = 27) -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    one_hot = np.eye(CLASSES, dtype=np.float32)
    batches = [
        (rng.random((BATCH, size, size, 3), np.float32), one_hot[rng.integers(0, CLASSES, BATCH)], np.ones(BATCH, "f4"))
        for _ in range(4)
    ]
    devices = choose_devices()
    with devices.scope():
        keras.utils.set_random_seed(0)
        model = affectivenet(ModelConfig(input_size=size), CLASSES)
        trainer = Trainer(model, TrainConfig(epochs=1, batch_size=BATCH), steps, devices.jit_compile)
        together = FoldBatch(trainer, count)

        def alone() -> None:
            trainer.reset()
            trainer.fit(lambda skip: (batch for batch in itertools.cycle(batches)))

        def at_once() -> None:
            together.fit({str(place): itertools.cycle(batches) for place in range(count)})

        seconds: dict[str, list[float]] = {"alone": [], "at_once": []}
        for _ in range(ROUNDS + 1):  # the first compiles
            for name, run in (("alone", alone), ("at_once", at_once)):
                started = time.perf_counter()
                run()
                seconds[name].append((time.perf_counter() - started) / steps)
    one, all_of_them = min(seconds["alone"][1:]), min(seconds["at_once"][1:]) / count
    epoch = FOLDS * round(CLIPS * (FOLDS - 1) / FOLDS / BATCH)
    rows = [
        ("one after the other", f"{1e3 * one:.1f}", f"{one * epoch:.0f}", "1.00"),
        (
            f"{count} in one program",
            f"{1e3 * all_of_them:.1f}",
            f"{all_of_them * epoch:.0f}",
            f"{one / all_of_them:.2f}",
        ),
    ]
    title = f"AffectiveNet at {size}×{size}, batches of {BATCH}, {devices}"
    columns = ("folds", "ms for a step of a fold", f"s for an epoch of {FOLDS} folds", "times as fast")
    Console().result(rows, (title, columns, rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
