"""What disturbs a recording, and says nothing about the expression."""

from __future__ import annotations

import cv2
import numpy as np

from affnet_tf.datasets.synthetic.paint import Noise, View
from affnet_tf.errors import InputError

__all__ = ["Nuisances"]

# One over the standard deviation of two bytes' sum after cv2.GaussianBlur(..., (3, 3), 0.55).
_GRAIN = 1.75 / 104.5
MAINS = 100.0  # Hz: lamps on 50 Hz mains brighten twice a period


class Nuisances:
    """Head drift, imperfect registration, blinks, lamp flicker, a wandering light and sensor noise.

    All are drawn from ``seed`` alone. At the onset (0 seconds) head, skin and light stand at their neutral state.

    Args:
        seed: entropy, as ``numpy.random.SeedSequence`` takes it.
        difficulty: scales everything; 0 turns everything off.
        blinks: scales how often a blink falls into the clip; by default as ``difficulty``.
        seconds: the clip's length after its onset, in which a blink may fall.
    """

    def __init__(
        self,
        seed: np.random.SeedSequence,
        *,
        difficulty: float = 1.0,
        blinks: float | None = None,
        seconds: float = 0.5,
    ) -> None:
        for value in (difficulty, difficulty if blinks is None else blinks):
            if not 0 <= value <= 10:
                raise InputError(f"difficulty must lie in [0, 10]. Received: {value!r}")
        # Not seed.spawn(), which counts its children: equal seeds must give equal nuisances each time.
        draw, noise, stray = (np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, k)) for k in range(3))
        rng = np.random.default_rng(draw)
        self.difficulty = float(difficulty)
        # x, y, angle, log scale, light gain, light gradient along x and y, two strays.
        reach = np.array([0.0045, 0.0045, 0.0020, 0.0011, 0.0075, 0.006, 0.006, 0.0014, 0.0014])
        self._reach = reach * rng.lognormal(0, 0.3, len(reach)) * self.difficulty
        self._rate = rng.uniform([0.2, 0.7, 1.5], [0.7, 1.5, 3.5], (len(reach), 3)) * 2 * np.pi
        self._phase = rng.uniform(0, 2 * np.pi, (len(reach), 3))
        self._flicker = (
            0.006 * self.difficulty * rng.uniform(0.3, 1.0),
            MAINS * (1 + rng.normal(0, 0.002)),
            rng.uniform(0, 2 * np.pi),
        )
        often = self.difficulty if blinks is None else blinks
        blinking = rng.random() < min(0.12 * often, 0.6)
        self._blink = (rng.uniform(-0.05, seconds), rng.uniform(0.12, 0.20)) if blinking else None
        self._sigma = 1.0 * self.difficulty * rng.uniform(0.8, 1.2)
        self._noise = np.random.default_rng(noise).integers(2**63, size=2)
        self._stray = [int(word) for word in stray.generate_state(4)]

    def pose(self, view: View, seconds: float) -> np.ndarray | None:
        """The affine map (2, 3) from a recorded pixel to where it lies on the still head, or None for no motion."""
        if not self.difficulty:
            return None
        x, y, angle, zoom = self._wander(seconds)[:4]
        scale = np.exp(-zoom)
        c, s = scale * np.cos(angle), scale * np.sin(angle)
        # Heads turn about the neck, below the chin.
        centre = view.pixels(np.array([0.0, 1.9]))
        matrix = np.array([[c, s], [-s, c]])
        shift = centre - matrix @ (centre + np.array([x, y]) * view.unit)
        return np.concatenate([matrix, shift[:, None]], 1)

    def stray(self, view: View) -> list[np.ndarray]:
        """Two smooth fields (height, width, 3), the last channel 0: what registration leaves over."""
        if not self.difficulty:
            return []
        noise, (x, y) = Noise(self._stray), view.grid()
        still = np.zeros_like(x)
        return [np.stack([noise.field(x, y, 0.9), noise.field(x, y, 0.9), still], -1) for _ in range(2)]

    def stray_course(self, seconds: float) -> np.ndarray:
        """Weights of the stray fields, in face units."""
        return self._wander(seconds)[7:] if self.difficulty else np.zeros(0)

    def blink(self, seconds: np.ndarray) -> np.ndarray:
        """How far the lids are down at each time, in [0, 1]: down in a third of the blink, up in the rest."""
        seconds = np.asarray(seconds, np.float64)
        if self._blink is None:
            return np.zeros_like(seconds)
        start, length = self._blink
        t = np.clip((seconds - start) / length, 0, 1)
        closing, opening = np.clip(t / 0.35, 0, 1), np.clip((1 - t) / 0.55, 0, 1)
        return np.minimum(closing**2 * (3 - 2 * closing), opening**2 * (3 - 2 * opening))

    def develop(self, frame: np.ndarray, view: View, index: int, seconds: float) -> np.ndarray:
        """Light and sensor: display-encoded float32 (height, width, 3) in, the same out."""
        if not self.difficulty:
            return frame
        gain, slope_x, slope_y = self._wander(seconds)[4:7]
        depth, rate, phase = self._flicker
        gain += depth * (np.sin(2 * np.pi * rate * seconds + phase) - np.sin(phase))
        across = np.linspace(-1, 1, view.width, dtype=np.float32) * np.float32(slope_x)
        down = np.linspace(-1, 1, view.height, dtype=np.float32) * np.float32(slope_y)
        lamp = np.float32(1 + gain) + across[None, :] + down[:, None]
        rng = np.random.Generator(np.random.SFC64([int(self._noise[0]), int(self._noise[1]), index]))
        # Two bytes and the smear of demosaicing come near a Gaussian (kurtosis 2.5) at a quarter of its cost.
        pair = rng.integers(0, 256, (2, *frame.shape), dtype=np.uint8)
        grain = cv2.add(pair[0], pair[1], dtype=cv2.CV_32F) - np.float32(255)
        grain = cv2.GaussianBlur(grain, (3, 3), 0.55)
        frame = frame * lamp[..., None]
        return cv2.scaleAdd(grain, self._sigma * _GRAIN, frame)

    def _wander(self, seconds: float) -> np.ndarray:
        now = np.sin(self._rate * seconds + self._phase) - np.sin(self._phase)
        return self._reach * (now / (self._rate / self._rate.min(1, keepdims=True))).sum(1)
