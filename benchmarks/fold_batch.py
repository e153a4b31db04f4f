"""Folds one after the other against several in one program: seconds for each fold's step, and their ratio. JAX alone.

    python benchmarks/fold_batch.py [preset] [size] [folds in one program ...]

Random images stand in for clips, read from memory, each fold in its own order, and once for all folds of a program: only time
is measured here. 68 folds of 442 clips are those of MEGC2019, 27 steps of 16 clips for each epoch of a fold; a run is a
multiple of the figure for an epoch. Each way is timed over some epochs, in a few rounds of which the fastest counts;
compiling is left out. *As Keras computes them*: the convolutions without ``models.convolution``.
"""

from __future__ import annotations

import functools
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
    from affnet_tf.training.fit import Trainer
    from affnet_tf.training.fold_batch import FoldBatch
    from affnet_tf.training.strategy import choose_devices
    from affnet_tf.training.stream import SharedStream

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


def batches(size: int) -> list[Batch]:
    """Those of an epoch; what makes them is not measured."""
    rng, one_hot = np.random.default_rng(0), np.eye(CLASSES, dtype=np.float32)
    labels = rng.integers(0, CLASSES, (STEPS, BATCH))
    return [
        (rng.random((BATCH, size, size, 3), np.float32), one_hot[row], np.ones(BATCH, np.float32)) for row in labels
    ]


def alone(of_epoch: list[Batch], fold: int) -> Iterator[Batch]:
    """A fold's endless batches, in an order of its own."""
    return (of_epoch[place] for place in itertools.cycle(order(fold)))


def order(fold: int) -> np.ndarray:
    """In which a fold reads the batches of an epoch."""
    return np.random.default_rng(fold).permutation(STEPS)


def shared(of_epoch: list[Batch], count: int) -> SharedStream:
    """The same batches of several folds: at a step, folds read different images, anywhere in an epoch."""
    images, *rest = zip(*of_epoch, strict=True)
    labels, weights = map(np.stack, rest)
    orders = np.stack([order(fold) for fold in range(count)])

    def targets() -> Iterator[tuple[np.ndarray, ...]]:
        for step in itertools.count():
            batch = orders[:, step % STEPS]
            places = (step // STEPS * STEPS + batch)[:, None] * BATCH + np.arange(BATCH)
            yield places, labels[batch], weights[batch], None

    return SharedStream(itertools.cycle(images), targets(), STEPS * BATCH)


def measure(name: str, size: int, counts: tuple[int, ...]) -> Iterator[tuple[str, float]]:
    """Each way and its seconds for a step of a fold."""
    config, of_epoch = replace(preset(name).model, input_size=size), batches(size)
    keras.utils.set_random_seed(0)
    trainer = Trainer(affectivenet(config, CLASSES), TrainConfig(epochs=EPOCHS, batch_size=BATCH), STEPS)

    def one() -> None:
        trainer.reset()
        trainer.fit(lambda skip: alone(of_epoch, 0))

    def at_once(together: FoldBatch, count: int) -> None:
        together.fit(list(map(str, range(count))), shared(of_epoch, count))

    yield "one after the other", seconds(one)
    for count, blocks in itertools.product(counts, (False, True)):
        run = functools.partial(at_once, FoldBatch(trainer, count, blocks), count)
        yield f"{count} in one program{'' if blocks else ', as Keras computes them'}", seconds(run) / count


def main(name: str = "affectivenet", size: int = 28, *counts: int) -> None:
    """Print the table."""
    devices, rows, first = choose_devices(), [], 0.0
    with devices.scope():
        for way, each in measure(name, size, counts or (4,)):
            first, epoch = first or each, each * STEPS * FOLDS
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
