"""What the test of an accelerator runs in a process of its own: JAX, and no TensorFlow. It prints one line of JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence

import jax
import keras
import numpy as np
from small import images, randomise

from affnet_tf.config import ExperimentConfig, ModelConfig, TrainConfig, replace
from affnet_tf.imaging.motion import AffectiveMotion
from affnet_tf.models.affectivenet import affectivenet, probabilities
from affnet_tf.training.fit import Trainer
from affnet_tf.training.fold_batch import FoldBatch
from affnet_tf.training.fold_groups import folds_at_once
from affnet_tf.training.strategy import Devices, choose_devices
from affnet_tf.training.stream import SharedStream

STEPS, BATCH, CLASSES, FOLDS = 20, 8, 4, 3
NETWORK = ModelConfig(
    input_size=28, kernels=(3, 5), widths=(8, 16), last_channels=8, tap_channels=(4, 8), dense=8, dropout=0.0
)
TRAIN = TrainConfig(epochs=4, batch_size=BATCH, learning_rate=1e-2, weight_decay=1e-3)


def network(config: ModelConfig = NETWORK) -> keras.Model:
    """The same weights on every device."""
    model = affectivenet(config, CLASSES)
    randomise(model)
    return model


def endless(seed: int, size: int = 28) -> Iterator[tuple[np.ndarray, ...]]:
    """Five random batches over and over; a class is an image's brightness."""
    rng, found = np.random.default_rng(seed), []
    for number in range(5):
        labels = rng.integers(0, CLASSES, BATCH)
        pictures = images(BATCH, size, seed=seed + number) * (0.3 + 0.2 * labels[:, None, None, None]).astype(
            np.float32
        )
        found.append(
            (pictures, np.eye(CLASSES, dtype=np.float32)[labels], rng.uniform(0.5, 2, BATCH).astype(np.float32))
        )
    yield from itertools.cycle(found)


def shared(folds: Sequence[Iterator[tuple[np.ndarray, ...]]]) -> SharedStream:
    """The batches of several folds as one stream: at each step, those of the first fold come first.

    To be read as a fit does: the places, then as many images as they ask for.
    """
    read: list[np.ndarray] = []

    def images() -> Iterator[np.ndarray]:
        while True:
            yield read.pop(0)

    def targets() -> Iterator[tuple[np.ndarray, ...]]:
        for number in itertools.count():
            own, labels, weights = zip(*map(next, folds), strict=True)
            read.extend(own)
            places = number * len(folds) * BATCH + np.arange(len(folds) * BATCH).reshape(len(folds), BATCH)
            yield places, np.stack(labels), np.stack(weights), None

    return SharedStream(images(), targets(), len(folds) * BATCH)


def learned(device: str, precision: str, products: str | None = None) -> dict[str, list]:
    """Losses of 20 steps, and what each of three folds, one after the other and in one program, says of 12 images.

    A GPU multiplies float32 in fewer bits unless ``products`` is ``highest``, and twenty steps make much of that.
    """
    unseen = images(12, 28, seed=99)
    with choose_devices(device, precision).scope(), jax.default_matmul_precision(products):
        keras.utils.set_random_seed(0)
        by_step = Trainer(network(), replace(TRAIN, epochs=STEPS), 1).fit(lambda skip: endless(1))
        alone = Trainer(network(), TRAIN, 5)
        of_alone = []
        for fold in range(FOLDS):
            alone.reset()
            alone.fit(lambda skip, fold=fold: endless(10 * fold))
            of_alone.append(probabilities(alone.model, unseen, BATCH).tolist())
        trainer = Trainer(network(), TRAIN, 5)
        together = FoldBatch(trainer, FOLDS)
        together.fit([str(fold) for fold in range(FOLDS)], shared([endless(10 * fold) for fold in range(FOLDS)]))
        of_together = []
        for fold in range(FOLDS):
            together.take(str(fold))
            of_together.append(probabilities(trainer.model, unseen, BATCH).tolist())
    return {"losses": by_step["loss"], "alone": of_alone, "together": of_together}


def fill(devices: Devices) -> dict[str, int]:
    """As many folds at once as ``auto`` takes, for a step: how many, and the memory that they had and could have had."""
    with devices.scope():
        large = affectivenet(ModelConfig(input_size=112), CLASSES)
        trainer = Trainer(large, replace(TRAIN, epochs=1, batch_size=4 * BATCH), 1)
        count = folds_at_once("auto", devices, trainer, ExperimentConfig(), 1000, lambda: 0)
        batch = [np.concatenate(parts) for parts in zip(*itertools.islice(endless(1, 112), 4), strict=True)]
        images, *rest = batch
        targets = [np.broadcast_to(each, (count, *each.shape)) for each in (np.arange(4 * BATCH), *rest)]
        FoldBatch(trainer, count).fit(
            [str(fold) for fold in range(count)], SharedStream([images], [(*targets, None)], 4 * BATCH)
        )
    told = jax.local_devices()[0].memory_stats()
    return {"folds": count, "used": told["peak_bytes_in_use"], "limit": told["bytes_limit"]}


def main() -> None:
    """Print what was found on the accelerator and on the CPU."""
    chosen = choose_devices()
    if chosen.kind == "cpu":
        print(json.dumps({"kind": "cpu"}))
        return
    frames = np.random.default_rng(3).integers(0, 256, (1, 9, 28, 28, 3), dtype=np.uint8)
    found: dict[str, object] = {"kind": chosen.kind, "precision": chosen.precision, "told": chosen.told(BATCH)}
    for device in (chosen.kind, "cpu"):
        for precision in ("float32", "mixed_bfloat16"):
            with choose_devices(device, precision).scope():
                found[f"forward {device} {precision}"] = probabilities(
                    network(), images(12, 28, seed=4), BATCH
                ).tolist()
        with choose_devices(device, "float32").scope():
            found[f"motion {device}"] = keras.ops.convert_to_numpy(AffectiveMotion()(frames)).tolist()
        found[f"learned {device}"] = learned(device, "float32", "highest")
    found["learned as chosen"] = learned(chosen.kind, chosen.precision)
    found["memory"] = fill(chosen)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
