"""Questions for export/android's Motion.kt with the answers of this package: the app's own unit test reads the same file.

    python tests/android_vectors.py     writes export/android/app/src/test/resources/vectors.txt

All frames are made up. A case is a line ``case NAME key=value …``, then lines ``input …`` and ``expected …`` of numbers;
``tolerance`` is the largest |difference| that the case allows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from affnet_tf.imaging.faces import Face, align_crop, crop_frames
from affnet_tf.imaging.motion import SlidingMotion, resize_motion
from affnet_tf.imaging.pooling import normalise, weights
from affnet_tf.inference.runtime import TensorSpec

FILE = Path(__file__).parent.parent / "export" / "android" / "app" / "src" / "test" / "resources" / "vectors.txt"
_HEADER = "# written by tests/android_vectors.py; all frames are made up"


@dataclasses.dataclass
class Case:
    """One call: its name, settings, and lines of numbers."""

    name: str
    settings: dict[str, object]
    inputs: list[np.ndarray]
    expected: list[np.ndarray]

    @property
    def head(self) -> str:
        """The first line."""
        return " ".join(["case", self.name, *(f"{key}={value}" for key, value in self.settings.items())])


def cases() -> list[Case]:
    """Every function of Motion.kt: all weights and scalings, a reset, shrinking and enlarging, heads upright and tilted."""
    return [*_weights(), *_sliding(), *_resizing(), *_normalising(), *_quantising(), *_aligning(), *_cropping()]


def frames(count: int, height: int, width: int, channels: int = 3, seed: int = 0, noise: float = 4) -> np.ndarray:
    """Smooth pictures that drift, with noise of some grey levels; uint8 (count, height, width, channels)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    shift = np.arange(count)[:, None, None, None]
    phase = rng.uniform(0, 6, channels)
    wave = np.sin(0.25 * x[..., None] + 0.15 * y[..., None] + 0.2 * shift + phase)
    return np.clip(np.round(128 + 90 * wave + rng.normal(0, noise, wave.shape)), 0, 255).astype(np.uint8)


def text() -> str:
    """The whole file."""
    lines = [_HEADER]
    for case in cases():
        lines.append(case.head)
        for word, rows in (("input", case.inputs), ("expected", case.expected)):
            lines += [f"{word} {_numbers(row)}" for row in rows]
    return "\n".join(lines) + "\n"


def _numbers(row: np.ndarray) -> str:
    digits = 17 if row.dtype == np.float64 else 7
    return " ".join(f"{value:.{digits}g}" for value in np.ravel(row).tolist())


def _weights() -> Iterator[Case]:
    for kind in ("bilen", "linear", "published_port"):
        for length in (2, 7, 16):
            yield Case("weights", {"tolerance": 1e-12, "length": length, "kind": kind}, [], [weights(length, kind)])


def _sliding() -> Iterator[Case]:
    """A stream that is longer than its window before and after it is forgotten."""
    for number, (kind, scaling, window, to) in enumerate(
        [
            ("linear", "minmax", 5, 4),
            ("linear", "standard", 4, 7),
            ("bilen", "minmax", 5, 4),
            ("bilen", "standard", 3, 5),
            ("published_port", "minmax", 4, 4),
        ]
    ):
        size, reset = 5, window + 2
        stream = frames(reset + window + 3, size, size, seed=number)
        sliding = SlidingMotion(window, kind, signed=True)
        expected = []
        for index, frame in enumerate(stream):
            if index == reset:
                sliding.reset()
            motion = sliding.push(frame)
            if motion is not None:
                expected.append(normalise(resize_motion(motion, to), scaling))
        settings = {"window": window, "kind": kind, "scaling": scaling, "size": size, "to": to, "reset": reset}
        yield Case("sliding", {"tolerance": 1e-5, **settings}, list(stream), expected)


def _resizing() -> Iterator[Case]:
    rng = np.random.default_rng(5)
    for size, to in ((6, 6), (6, 4), (7, 3), (4, 9)):
        motion = rng.normal(0, 1, (size, size, 3)).astype(np.float32)
        yield Case("resize", {"tolerance": 1e-5, "size": size, "to": to}, [motion], [resize_motion(motion, to)])


def _normalising() -> Iterator[Case]:
    rng = np.random.default_rng(6)
    motions = [rng.normal(40, 900, (4, 4, 3)), np.full((2, 2, 3), 7.0), np.r_[np.zeros(299), 1000].reshape(10, 10, 3)]
    motions = [motion.astype(np.float32) for motion in motions]
    for scaling in ("minmax", "standard"):
        expected = [normalise(motion, scaling) for motion in motions]
        yield Case("normalise", {"tolerance": 1e-6, "scaling": scaling}, motions, expected)


def _quantising() -> Iterator[Case]:
    values = np.r_[np.linspace(0, 1, 40), -0.5, 1.5, 0.5 / 128, 1.5 / 128].astype(np.float32)
    for scale, zero in ((1 / 255, -128), (1 / 128, -100)):
        spec = TensorSpec("int8", (len(values),), float(np.float32(scale)), zero)
        stored = spec.quantise(values)
        settings = {"tolerance": 1e-6, "scale": np.format_float_positional(np.float32(scale)), "zero_point": zero}
        yield Case("quantise", settings, [values], [stored, spec.dequantise(stored)])


def _aligning() -> Iterator[Case]:
    faces = [
        Face((100, 80, 120, 150), ((130.5, 140.25), (190.0, 138.0)), 1.0),
        Face((20, 10, 300, 380), ((110.0, 150.0), (230.0, 190.0)), 1.0),
        Face((20, 10, 90, 120), ((60.0, 50.0), (75.0, 49.0)), 1.0),  # turned away: the floor of the eyes' distance
    ]
    inputs = [np.r_[face.box[3], np.ravel(face.eyes)] for face in faces]
    for size, margin in ((128, 0.1), (96, 0.0)):
        expected = [align_crop(face, size, margin) for face in faces]
        yield Case("align", {"tolerance": 1e-9, "size": size, "margin": margin}, inputs, expected)
    # The eyes in the other order are the same face.
    swapped = [np.r_[face.box[3], np.ravel(face.eyes[::-1])] for face in faces]
    expected = [align_crop(face, 128) for face in faces]
    yield Case("align", {"tolerance": 1e-9, "size": 128, "margin": 0.1}, swapped, expected)


def _cropping() -> Iterator[Case]:
    """Motion.kt averages points where Python averages areas and interpolates bicubically: a few grey levels lie between."""
    height, width, padding, size = 32, 28, 8, 9
    image = frames(1, height, width, 4, seed=9, noise=0)[0]
    rows = np.concatenate([image.reshape(height, -1), np.full((height, padding), 255, np.uint8)], axis=1)
    for eyes in (((11.0, 12.0), (17.0, 12.0)), ((11.5, 13.0), (17.0, 11.5))):
        matrix = align_crop(Face((6, 6, 14, 16), eyes, 1.0), size, 0.1)
        expected = crop_frames(image[None, ..., :3], matrix, size)[0]
        settings = {"tolerance": 8, "width": width, "height": height, "padding": padding, "size": size}
        yield Case("crop", settings, [matrix, rows], [expected])


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE}: {FILE.stat().st_size} bytes")
