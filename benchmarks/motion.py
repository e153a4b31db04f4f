"""Motion imaging against a plain float64 loop, and against reading the frames' bytes.

    python benchmarks/motion.py

Prints one table; all rows are measured in one run, in turn, and the ratio is to the float64 loop.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from affnet_tf.console import Console
from affnet_tf.silence import silent

with silent():
    import tensorflow as tf

    from affnet_tf.imaging.motion import SlidingMotion, affective_motion_image, weights

FRAMES, SIZE, ROUNDS = 64, 128, 15


def float64_loop(frames: np.ndarray) -> np.ndarray:
    """The definition, written as plainly as can be."""
    alpha = weights(len(frames))
    total = np.zeros(frames.shape[1:], np.float64)
    for weight, frame in zip(alpha, frames, strict=True):
        total += weight * frame
    low, high = total.min(), total.max()
    return (total - low) / (high - low)


def median_milliseconds(jobs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Each job once per round, in turn, so that the machine's drift meets all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def sliding(kind: str, stream: np.ndarray) -> Callable[[], object]:
    """Push one frame into a full window."""
    window = SlidingMotion(FRAMES, kind)
    for frame in stream:
        window.push(frame)
    return lambda: window.push(stream[0])


def main() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    reference = float64_loop(frames)
    error = np.abs(affective_motion_image(frames) - reference).max()
    tensor = tf.constant(frames)
    graph = tf.function(affective_motion_image, input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.uint8)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.raw"
        path.write_bytes(frames.tobytes())
        times = median_milliseconds(
            {
                "float64 loop (NumPy)": lambda: float64_loop(frames),
                "affective_motion_image, NumPy": lambda: affective_motion_image(frames),
                "affective_motion_image, graph": lambda: graph(tensor),
                "reading the frames' bytes": path.read_bytes,
                "sliding window, one frame, linear": sliding("linear", frames),
                "sliding window, one frame, bilen": sliding("bilen", frames),
            }
        )
    base = times["float64 loop (NumPy)"]
    rows = [(name, f"{value:.2f}", f"{value / base:.2f}") for name, value in times.items()]
    title = f"Motion imaging, {FRAMES} frames of {SIZE}×{SIZE}×3 uint8, median of {ROUNDS}; largest error {error:.1e}"
    Console().result({}, (title, ("job", "ms", "ratio"), rows))


if __name__ == "__main__":
    main()
