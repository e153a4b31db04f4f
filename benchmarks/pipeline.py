"""The input pipeline against reading and decoding the store alone, and seconds per fold.

    python benchmarks/pipeline.py

Synthetic noise stands in for clips: only time is measured here.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from affnet_tf.console import Console
from affnet_tf.datasets.clips import Clip
from affnet_tf.silence import silent

with silent():
    from affnet_tf.config import ExperimentConfig, override
    from affnet_tf.pipeline.crop_config import CropConfig
    from affnet_tf.pipeline.input import training_batches
    from affnet_tf.pipeline.prepare import prepare
    from affnet_tf.pipeline.reading import ClipReader, read_clips
    from affnet_tf.pipeline.shared import shared_images, shared_targets
    from affnet_tf.pipeline.store import Store
    from affnet_tf.presets import preset
    from affnet_tf.training.experiment import evaluate

SUBJECTS, CLIPS, FRAMES, SIZE = 4, 16, 60, 128
EMOTIONS = ("happiness", "disgust", "surprise", "others")


def forge(folder: Path) -> list[Clip]:
    """Clips of noise as JPEG frames, cropped already."""
    rng = np.random.default_rng(0)
    clips = []
    for subject in range(SUBJECTS):
        for number in range(CLIPS):
            frames = folder / f"sub{subject:02d}" / f"EP{number:02d}"
            frames.mkdir(parents=True)
            for i in range(1, FRAMES + 1):
                cv2.imwrite(str(frames / f"img{i}.jpg"), rng.integers(0, 256, (340, 280, 3), dtype=np.uint8))
            name = f"sub{subject:02d}/EP{number:02d}"
            clips.append(Clip("casme2", f"sub{subject:02d}", name, frames, 1, FRAMES, EMOTIONS[number % 4], fps=200.0))
    return clips


def clips_per_second(batches: Iterable, count: int, batch: int) -> float:
    """Rate over ``count`` elements after a first pass has filled the cache."""
    iterator = iter(batches)
    for _ in range(SUBJECTS * CLIPS // batch + 2):
        next(iterator)
    start = time.perf_counter()
    for _ in range(count):
        next(iterator)
    return count * batch / (time.perf_counter() - start)


def rates(store: Store, config: ExperimentConfig) -> list[tuple[str, float]]:
    """Clips per second of reading alone, and of the whole pipeline with and without the memory cache."""
    labels = {row: row % 4 for row in range(len(store.clips))}
    weights = dict.fromkeys(labels, 1.0)
    found = [("read and decode the store, nothing else", clips_per_second(read_clips(store).repeat(), 256, 1))]
    for limit in (0, None):
        batches = training_batches(ClipReader(store, limit=limit), labels, weights, 4, config, seed=0)
        name = (
            f"the whole pipeline (sample, pool, augment, normalise, batch), from {'disk' if limit == 0 else 'memory'}"
        )
        found.append((name, clips_per_second(batches, 256 // config.train.batch_size, config.train.batch_size)))
    return found


def shared_rate(store: Store, config: ExperimentConfig) -> float:
    """Clips per second that as many folds as there are clips, each without one of them, take from one stream of images."""
    reader, rows, batch = ClipReader(store), range(len(store.clips)), config.train.batch_size
    folds = [dict.fromkeys((row for row in rows if row != left_out), 1.0) for left_out in rows]
    targets = shared_targets(reader, folds, {row: row % 4 for row in rows}, 4, config, seed=0)
    images, read = iter(shared_images(reader, rows, config, seed=0)), 0

    def steps() -> Iterator[None]:
        nonlocal read
        for places, *_ in targets:
            while read <= places.max():
                next(images)
                read += batch
            yield

    return clips_per_second(steps(), 1024 // batch, len(folds) * batch)


def main() -> None:
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = forge(folder / "frames")
        store = prepare(clips, folder / "store", CropConfig(SIZE, "none"), workers=2).store
        config = override(preset("affectivenet_edge"), ["train.epochs=4"])
        measured = rates(store, config)
        count = len(store.clips)
        measured.append((f"the same, made once for {count} folds: clips that these take", shared_rate(store, config)))
        base = measured[0][1]
        console.result(
            {},
            (
                f"Input, clips of {FRAMES} frames of {SIZE}×{SIZE}",
                ("job", "clips/s", "ratio"),
                [(job, f"{rate:.0f}", f"{rate / base:.2f}") for job, rate in measured],
            ),
        )
        result = evaluate(store.path, folder / "run", config)
        seconds = list(result.seconds.items())
        first = seconds[0][1]
        console.result(
            {},
            (
                f"LOSO folds, affectivenet_edge, {config.train.epochs} epochs of {(SUBJECTS - 1) * CLIPS} clips",
                ("fold", "seconds", "ratio"),
                [
                    (f"{i + 1}: {fold}", f"{value:.2f}", f"{value / first:.2f}")
                    for i, (fold, value) in enumerate(seconds)
                ],
            ),
        )


if __name__ == "__main__":
    main()
