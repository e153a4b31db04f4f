"""`affnet prepare` of pre-cropped frames against decoding the same frames with OpenCV and nothing else, and `inspect`.

    python benchmarks/prepare.py

Both use two processes, in turn, in one run. Synthetic noise stands in for clips: only time and memory are measured here.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from affnet_tf.console import Console
from affnet_tf.datasets.clips import Clip, validate_clips
from affnet_tf.silence import silent

CLIPS, FRAMES, WORKERS, ROUNDS = 96, 60, 2, 3


def forge(folder: Path) -> list[Clip]:
    """Clips of smooth noise as JPEG frames of 280x340, as CASME II's cropped release has them."""
    rng = np.random.default_rng(0)
    pictures = [
        cv2.imencode(".jpg", cv2.GaussianBlur(rng.integers(0, 256, (340, 280, 3), dtype=np.uint8), (0, 0), 2))[
            1
        ].tobytes()
        for _ in range(16)
    ]
    clips = []
    for number in range(CLIPS):
        frames = folder / f"EP{number:03d}"
        frames.mkdir(parents=True)
        for i in range(1, FRAMES + 1):
            (frames / f"img{i}.jpg").write_bytes(pictures[(i + number) % 16])
        clips.append(Clip("casme2", f"sub{number % 8:02d}", f"EP{number:03d}", frames, 1, FRAMES, "others", fps=200.0))
    return clips


def decode(folder: Path) -> int:
    """Decode every frame of a clip and keep none."""
    return sum(cv2.imread(str(path)) is not None for path in folder.iterdir())


def decode_all(clips: list[Clip]) -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        assert sum(pool.map(decode, [clip.frames for clip in clips])) == CLIPS * FRAMES


def main() -> None:
    with silent():
        from affnet_tf.pipeline.crops import CropConfig
        from affnet_tf.pipeline.prepare import prepare
    times: dict[str, list[float]] = {"decode": [], "prepare": [], "inspect": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = forge(folder / "frames")
        jobs = {
            "decode": lambda i: decode_all(clips),
            "prepare": lambda i: prepare(clips, folder / f"store{i}", CropConfig(128, "none"), workers=WORKERS),
            "inspect": lambda i: validate_clips(clips),
        }
        for i in range(ROUNDS):
            for job, run in jobs.items():
                start = time.perf_counter()
                run(i)
                times[job].append(time.perf_counter() - start)
    frames = CLIPS * FRAMES
    base = statistics.median(times["decode"])
    labels = {
        "decode": "decode with OpenCV, nothing else",
        "prepare": "affnet prepare, 128×128",
        "inspect": "check every clip",
    }
    rows = [
        (labels[job], f"{frames / statistics.median(values):.0f}", f"{base / statistics.median(values):.2f}")
        for job, values in times.items()
    ]
    Console().result({}, (f"{frames} JPEG frames of 280×340, {WORKERS} processes", ("job", "frames/s", "ratio"), rows))


if __name__ == "__main__":
    main()
