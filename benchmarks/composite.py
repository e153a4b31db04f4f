"""How hard the synthetic stand-in for the MEGC2019 composite is: STSTNet on it, UF1 by dataset.

    python benchmarks/composite.py [--folder DIR] [--folds 5 | --loso] [--seeds 1] [--workers 2]

Forges 442 clips, prepares one clip store of them, makes 28×28 flow images (u, v, strain, each min-max scaled) and trains
STSTNet (Liong, Gan, See, Khor, Huang, FG 2019) as published: Adam, learning rate 5e-5, batches of 256, 500 epochs. Beside
the scores stands what STSTNet scores on the real composite. With --folder the clips and the store are kept and used again.
The network stands here by itself, so that the figure does not move when the project's networks do.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from affnet_tf.console import Console
from affnet_tf.datasets.labels import MEGC3
from affnet_tf.datasets.synthetic import write_composite
from affnet_tf.silence import silent

with silent():
    import keras
    import tensorflow as tf

    from affnet_tf.config import MotionConfig
    from affnet_tf.evaluation.metrics import score
    from affnet_tf.evaluation.predictions import Prediction, Predictions
    from affnet_tf.pipeline.input import motion_images, read_clips
    from affnet_tf.pipeline.prepare import prepare_dataset
    from affnet_tf.pipeline.store import Store, StoredClip, open_store

SIZE, EPOCHS, BATCH, RATE = 28, 500, 256, 5e-5
# Published: STSTNet on MEGC2019 scores .7353 over all, as its authors have it; their PyTorch port .7209.
REAL = {"all": 0.72, "smic_hs": 0.68, "casme2": 0.83, "samm": 0.63}


def ststnet() -> keras.Model:
    """Three streams of one convolution each (3, 5, 8 filters), 400 numbers, three logits."""
    layers = keras.layers
    flow = keras.Input((SIZE, SIZE, 3))
    streams = []
    for filters in (3, 5, 8):
        stream = layers.Conv2D(filters, 3, padding="same", activation="relu")(flow)
        stream = layers.BatchNormalization(momentum=0.9)(stream)
        stream = layers.MaxPooling2D(3, 3, padding="same")(stream)
        streams.append(layers.Dropout(0.5)(stream))
    pooled = layers.AveragePooling2D(2, 2)(layers.Concatenate()(streams))
    return keras.Model(flow, layers.Dense(3)(layers.Flatten()(pooled)))


class Trainer:
    """One compiled step for all folds; ``fit`` begins from the same weights each time."""

    def __init__(self, steps: int) -> None:
        self.model, self.steps = ststnet(), steps
        self.start = self.model.get_weights()
        self.optimizer = keras.optimizers.Adam(RATE)
        self.optimizer.build(self.model.trainable_variables)
        self.loss = keras.losses.CategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = self.loss(labels, self.model(images, training=True))
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))

    def fit(self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
        self.model.set_weights(self.start)
        for variable in self.optimizer.variables:
            if "learning_rate" not in variable.path:
                variable.assign(tf.zeros_like(variable))
        for _ in range(self.steps):
            batch = rng.permutation(len(images))[:BATCH]
            self.step(images[batch], labels[batch])

    def predict(self, images: np.ndarray) -> np.ndarray:
        return tf.nn.softmax(self.model(images, training=False)).numpy()


def forge(folder: Path, workers: int, console: Console, size: int = 128, cast: int = 0) -> Store:
    """The composite and a clip store of it with crops of a size, unless they are there."""
    path = folder / f"store-{size}"
    if not (folder / "composite").exists():
        with console.progress("synthesise") as progress:
            write_composite(folder / "composite", seed=cast, workers=workers, progress=progress)
    for name in ("smic_hs", "casme2", "samm"):
        with console.progress(f"prepare {name}") as progress:
            prepare_dataset(name, folder / "composite" / name, path, size=size, workers=workers, progress=progress)
    return open_store(path)


def folds(people: list[str], count: int, seed: int) -> Iterator[np.ndarray]:
    """Masks of the clips to test on; a person is in one fold only. A count of 0 leaves one subject out at a time."""
    names = sorted(set(people))
    order = np.random.default_rng(seed).permutation(len(names))
    for fold in range(count or len(names)):
        test = {names[place] for place in order[fold :: count or len(names)]}
        yield np.array([person in test for person in people])


def predict(clips: list[StoredClip], images: np.ndarray, truth: np.ndarray, count: int, seed: int) -> list[Prediction]:
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    people = [clip.person for clip in clips]
    trainer = Trainer(EPOCHS * round(len(clips) / BATCH))
    labels = np.eye(3, dtype=np.float32)[truth]
    rows = []
    for number, test in enumerate(folds(people, count, seed)):
        trainer.fit(images[~test], labels[~test], rng)
        for place, chances in zip(np.flatnonzero(test), trainer.predict(images[test]), strict=True):
            clip = clips[place]
            probabilities = tuple(map(float, chances))
            row = Prediction(
                clip.dataset, clip.clip_id, clip.subject, f"fold{number}", int(truth[place]), probabilities
            )
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--loso", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as temporary:
        store = forge(options.folder or Path(temporary), options.workers, console)
        signed = motion_images(read_clips(store), MotionConfig(representation="flow"), SIZE)
    assigned, _ = MEGC3.assign(store.clips)
    chosen = [place for place, clip in enumerate(store.clips) if clip.key in assigned]
    clips = [store.clips[place] for place in chosen]
    truth = np.array([assigned[clip.key] for clip in clips])
    images = 2 * signed[chosen] - 1
    scores: dict[str, list[float]] = {name: [] for name in REAL}
    for seed in range(options.seeds):
        rows = predict(clips, images, truth, 0 if options.loso else options.folds, seed)
        for name in REAL:
            part = tuple(row for row in rows if name in ("all", row.dataset))
            scores[name].append(score(Predictions(MEGC3.labels, part)).uf1)
    table = [
        (name, sum(name in ("all", clip.dataset) for clip in clips), " ".join(f"{value:.3f}" for value in values),
         f"{statistics.mean(values):.3f}", f"{REAL[name]:.2f}")
        for name, values in scores.items()
    ]  # fmt: skip
    how = "leave one subject out" if options.loso else f"{options.folds} folds of subjects"
    title = f"STSTNet on the synthetic composite, {how}: UF1 (synthetic people)"
    console.result({}, (title, ("dataset", "clips", "UF1 by seed", "mean", "real people"), table))


if __name__ == "__main__":
    main()
