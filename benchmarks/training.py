"""A step of training against the bare Keras step on cached tensors, and seconds per fold.

    python benchmarks/training.py

Synthetic noise stands in for clips: only time is measured here. The ratios come from one run, rounds in turn, the fastest
of each.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affnet_tf.console import Console
from affnet_tf.datasets.clips import Clip
from affnet_tf.silence import silent

with silent():
    import tensorflow as tf

    from affnet_tf.config import ExperimentConfig, override
    from affnet_tf.models.affectivenet import affectivenet
    from affnet_tf.pipeline.crop_config import CropConfig
    from affnet_tf.pipeline.input import training_batches
    from affnet_tf.pipeline.prepare import prepare
    from affnet_tf.pipeline.reading import ClipReader
    from affnet_tf.presets import preset
    from affnet_tf.training.experiment import evaluate
    from affnet_tf.training.fit import Trainer

SUBJECTS, CLIPS, FRAMES, SIZE = 4, 24, 12, 28
# Steps and epochs of a fold of the 442 clips of MEGC2019: what a fit takes to begin is spread over as many.
STEPS, EPOCHS, ROUNDS = 27, 40, 3
OF_FOLDS = 4  # epochs of the folds, of which only the first compiles
EMOTIONS = ("happiness", "disgust", "surprise", "others")


def forge(folder: Path) -> list[Clip]:
    """Clips of noise."""
    rng = np.random.default_rng(0)
    clips = []
    for subject, number in itertools.product(range(SUBJECTS), range(CLIPS)):
        name = f"sub{subject:02d}/EP{number:02d}"
        (folder / name).mkdir(parents=True)
        for i in range(1, FRAMES + 1):
            cv2.imwrite(str(folder / name / f"img{i}.png"), rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))
        emotion = EMOTIONS[number % len(EMOTIONS)]
        clips.append(Clip("casme2", f"sub{subject:02d}", name, folder / name, 1, FRAMES, emotion, fps=200.0))
    return clips


def steps(config: ExperimentConfig, store: Any) -> list[tuple[str, float]]:
    """Milliseconds a step: the bare step, Keras' fit, ours, and ours with the input pipeline."""
    labels = {row: row % 4 for row in range(len(store.clips))}
    reader = ClipReader(store)

    def pipeline(skip: int) -> tf.data.Dataset:
        return training_batches(reader, labels, dict.fromkeys(labels, 1.0), 4, config, 0, skip)

    trainer = Trainer(affectivenet(config.model, 4), config.train, STEPS)
    cached = tf.data.Dataset.from_tensors(next(iter(pipeline(0)))).repeat()
    iterator = iter(cached)

    def bare() -> None:
        for _ in range(STEPS * EPOCHS):
            trainer.model.train_function(iterator)

    def keras_fit() -> None:
        trainer.model.fit(cached, epochs=EPOCHS, steps_per_epoch=STEPS, verbose=0)

    rows = {
        "bare Keras step, one cached batch": bare,
        "Keras fit, one cached batch": keras_fit,
        "Trainer.fit, one cached batch": lambda: trainer.fit(lambda skip: cached),
        "Trainer.fit, the input pipeline": lambda: trainer.fit(pipeline),
    }
    trainer.fit(pipeline)  # traces
    return list(zip(rows, fastest(list(rows.values())), strict=True))


def fastest(jobs: list[Callable[[], None]]) -> list[float]:
    """Milliseconds a step of each job, the least over the rounds."""
    best = [float("inf")] * len(jobs)
    for _ in range(ROUNDS):
        for place, job in enumerate(jobs):
            start = time.perf_counter()
            job()
            best[place] = min(best[place], (time.perf_counter() - start) / (STEPS * EPOCHS) * 1000)
    return best


def main() -> None:
    console = Console()
    settings = [f"model.input_size={SIZE}", "motion.representation=flow", f"train.epochs={EPOCHS}"]
    config = override(preset("affectivenet_edge"), settings)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = prepare(forge(folder / "frames"), folder / "store", CropConfig(SIZE, "none"), workers=2).store
        measured = steps(config, store)
        base = measured[0][1]
        title = f"A step, affectivenet_edge on flow of {SIZE}×{SIZE}, batches of {config.train.batch_size}"
        rows = [(job, f"{each:.2f}", f"{each / base:.2f}") for job, each in measured]
        console.result({}, (title, ("job", "ms", "ratio"), rows))
        config = override(config, [f"train.epochs={OF_FOLDS}"])
        seconds = list(evaluate(store.path, folder / "run", config).seconds.items())
        first = seconds[0][1]
        rows = [(fold, f"{each:.2f}", f"{each / first:.2f}") for fold, each in seconds]
        console.result({}, (f"LOSO folds, {OF_FOLDS} epochs", ("fold", "seconds", "ratio"), rows))


if __name__ == "__main__":
    main()
