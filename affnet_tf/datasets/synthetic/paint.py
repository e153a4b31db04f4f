"""The painter's tools: where a picture lies in face space, smooth shapes, and noise that stays in its place."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

__all__ = ["Noise", "View", "bump", "closed_curve", "distance", "edge", "open_curve", "strokes"]

SUBPIXEL = 4  # cv2's fixed-point bits for anti-aliased drawing


@dataclasses.dataclass(frozen=True)
class View:
    """A picture's window on face space.

    Face space has its origin midway between the pupils, x to the right of the picture, y down, and the distance
    between the pupils as its unit (about 63 mm on an adult).

    Attributes:
        height: rows of the picture.
        width: columns of the picture.
        unit: pixels per unit of face space.
        x: column, in pixels from the left edge, of the origin.
        y: row, in pixels from the top edge, of the origin.
    """

    height: int
    width: int
    unit: float
    x: float
    y: float

    @classmethod
    def cropped(cls, size: tuple[int, int]) -> View:
        """The face fills the picture, as in the cropped releases (280 x 340 in CASME II)."""
        height, width = size
        unit = min(height / 3.0, width / 2.46)
        return cls(height, width, unit, width / 2, 0.41 * height)

    @classmethod
    def raw(cls, size: tuple[int, int]) -> View:
        """Head and shoulders before a plain wall: 640 x 480 where the cropped picture is 280 x 340."""
        height, width = size
        unit = min(height / 4.25, width / 4.6)
        return cls(height, width, unit, width / 2, 0.44 * height)

    def scaled(self, factor: int) -> View:
        """The same window with ``factor`` times as many rows and columns."""
        return View(self.height * factor, self.width * factor, self.unit * factor, self.x * factor, self.y * factor)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of every pixel's centre in face space, two float32 (height, width)."""
        x = (np.arange(self.width, dtype=np.float32) + np.float32(0.5 - self.x)) / np.float32(self.unit)
        y = (np.arange(self.height, dtype=np.float32) + np.float32(0.5 - self.y)) / np.float32(self.unit)
        x, y = np.meshgrid(x, y)
        return np.ascontiguousarray(x), np.ascontiguousarray(y)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Points of face space (..., 2) as pixel coordinates, where an integer is a pixel's centre."""
        return np.asarray(points, np.float64) * self.unit + (self.x - 0.5, self.y - 0.5)

    def fixed(self, points: np.ndarray) -> np.ndarray:
        """Points as the int32 that cv2's drawing wants with ``shift=SUBPIXEL``."""
        return np.round(self.pixels(points) * (1 << SUBPIXEL)).astype(np.int32)


class Noise:
    """Smooth random fields over face space, zero mean and unit variance at their grid.

    The lattice lies in face space, not in the picture, so a freckle stays where it is at every size and in every view.
    """

    REACH = 3.2

    def __init__(self, seed: list[int]) -> None:
        self._seed = seed
        self._rng = np.random.default_rng(seed)

    def apart(self, number: int) -> Noise:
        """A source of its own that always starts over, so that what it paints can be painted again."""
        return Noise([*self._seed, number])

    def field(self, x: np.ndarray, y: np.ndarray, cell: float, stretch: float = 1.0) -> np.ndarray:
        """A float32 field whose features are ``cell`` units wide and ``cell * stretch`` units high."""
        columns = int(2 * self.REACH / cell) + 4
        rows = int(2 * self.REACH / (cell * stretch)) + 4
        lattice = self._rng.standard_normal((rows, columns), dtype=np.float32)
        u = (x + np.float32(self.REACH)) / np.float32(cell)
        v = (y + np.float32(self.REACH)) / np.float32(cell * stretch)
        return cv2.remap(lattice, u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def bump(
    x: np.ndarray, y: np.ndarray, at: tuple[float, float], size: tuple[float, float], angle: float = 0.0
) -> np.ndarray:
    """A Gaussian hill of height 1 with standard deviations ``size``, turned by ``angle`` radians."""
    dx, dy = x - np.float32(at[0]), y - np.float32(at[1])
    if angle:
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = c * dx + s * dy, c * dy - s * dx
    power = np.square(dx / np.float32(size[0])) + np.square(dy / np.float32(size[1]))
    return np.exp(power * np.float32(-0.5))


def edge(value: np.ndarray, width: float) -> np.ndarray:
    """A smooth step: 0 where ``value`` is below ``-width``, 1 above ``width``."""
    t = np.clip(value * np.float32(0.5 / width) + np.float32(0.5), 0, 1)
    return t * t * (np.float32(3) - np.float32(2) * t)


def closed_curve(points: np.ndarray, steps: int = 16) -> np.ndarray:
    """A Catmull-Rom spline through ``points`` (N, 2) and back to the first: (N * steps, 2)."""
    points = np.asarray(points, np.float64)
    return _spline(np.roll(points, 1, 0), points, np.roll(points, -1, 0), np.roll(points, -2, 0), steps)


def open_curve(points: np.ndarray, steps: int = 16) -> np.ndarray:
    """A Catmull-Rom spline from the first of ``points`` (N, 2) to the last."""
    points = np.asarray(points, np.float64)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    curve = _spline(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], steps)
    return np.concatenate([curve, points[-1:]])


def distance(view: View, outline: np.ndarray) -> np.ndarray:
    """Signed distance to a closed outline (N, 2) in face units, positive inside: float32 (height, width)."""
    mask = np.zeros((view.height, view.width), np.uint8)
    cv2.fillPoly(mask, [view.fixed(outline)], 255, lineType=cv2.LINE_8, shift=SUBPIXEL)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)
    outside = cv2.distanceTransform(255 - mask, cv2.DIST_L2, cv2.DIST_MASK_5)
    return (inside - outside) / np.float32(view.unit)


def strokes(view: View, lines: list[np.ndarray], width: float, softness: float = 0.0) -> np.ndarray:
    """Coverage in [0, 1] of anti-aliased polylines ``width`` units thick: float32 (height, width).

    Lines thinner than a pixel are drawn a pixel wide and fainter, so that a small picture shows the same face.
    """
    mask = np.zeros((view.height, view.width), np.uint8)
    pixels = width * view.unit
    cv2.polylines(mask, [view.fixed(line) for line in lines], False, 255, max(1, round(pixels)), cv2.LINE_AA, SUBPIXEL)
    cover = mask.astype(np.float32) * np.float32(min(1.0, pixels) / 255)
    sigma = softness * view.unit
    return cv2.GaussianBlur(cover, (0, 0), sigma) if sigma > 0.3 else cover


def _spline(before: np.ndarray, start: np.ndarray, end: np.ndarray, after: np.ndarray, steps: int) -> np.ndarray:
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (before, start, end, after))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return curve.reshape(-1, 2)
