"""Skin: the relief of a face, its pigment, and light upon both."""

from __future__ import annotations

import cv2
import numpy as np

from affnet_tf.datasets.synthetic.face import Person
from affnet_tf.datasets.synthetic.paint import Noise, bump, edge

__all__ = ["illuminate", "pigment", "relief"]

# Linear RGB of skin from the least to the most melanin.
TONES = np.array([[0.72, 0.47, 0.355], [0.60, 0.355, 0.235], [0.40, 0.205, 0.115], [0.155, 0.072, 0.040]], np.float32)


def relief(person: Person, x: np.ndarray, y: np.ndarray, inside: np.ndarray, closed: bool = False) -> np.ndarray:
    """Height of the face towards the viewer, float32 like ``x``, in units of the distance between the pupils.

    Args:
        x, y: face space, the person's asymmetry already taken out.
        inside: signed distance to the outline of the face, positive inside.
        closed: the eyelids are down.
    """
    p = person
    ball = 1 - np.square(x / np.float32(1.30 * p.cheek)) - np.square((y - 0.25) / 2.05)
    z = 1.15 * np.sqrt(np.maximum(ball, 0.015))
    z -= 0.20 * np.exp(-np.maximum(inside, 0) / 0.11)
    side = np.abs(x)
    z += 0.035 * bump(side, y, (0.45, p.brow + 0.03), (0.30, 0.085), 0.12)
    z -= 0.085 * bump(side, y, (0.46, 0.0), (0.25, 0.14))
    z -= 0.060 * bump(side, y, (0.19, 0.03), (0.065, 0.11))
    z += (0.075 if closed else 0.055) * bump(side, y, (0.5, 0.01), (0.17, 0.115))
    z -= (0.006 + 0.014 * p.age) * bump(side, y, (0.42, 0.24), (0.15, 0.035), 0.25)
    z += 0.055 * bump(side, y, (0.64, 0.40), (0.24, 0.20), 0.4)
    z -= 0.030 * bump(side, y, (0.80, 0.85), (0.16, 0.25))
    z += _nose(p, x, y)
    z += _mouth(p, x, y)
    fold = side - (p.nose_width + 0.05 + (p.mouth_width + 0.10 - p.nose_width) * _ramp(y, p.nose_tip, p.mouth + 0.08))
    along = edge(y - p.nose_tip + 0.04, 0.10) * edge(p.mouth + 0.06 - y, 0.14)
    z += (0.008 + 0.020 * p.age) * np.tanh(fold / 0.035) * np.exp(-np.abs(fold) / 0.16) * along
    return z.astype(np.float32)


def pigment(person: Person, x: np.ndarray, y: np.ndarray, noise: Noise) -> np.ndarray:
    """Linear RGB of the bare skin, float32 (height, width, 3), in [0, 1]: melanin, blood, freckles, stubble, pores."""
    p = person
    place = p.melanin * (len(TONES) - 1)
    low = min(int(place), len(TONES) - 2)
    base = TONES[low] + (TONES[low + 1] - TONES[low]) * np.float32(place - low)
    side = np.abs(x)
    blood = bump(side, y, (0.62, 0.50), (0.27, 0.22)) + 0.9 * bump(x, y, (0, p.nose_tip), (0.20, 0.13))
    blood += 0.4 * bump(x, y, (0, p.chin - 0.2), (0.25, 0.15)) + 0.5 * bump(side, y, (0.3, 0.05), (0.10, 0.10))
    blood = 0.75 * p.redness * blood + 0.22 * noise.field(x, y, 0.24) + 0.12 * noise.field(x, y, 0.07)
    shadow = 0.35 * bump(side, y, (0.43, 0.17), (0.17, 0.06), 0.2) * (0.5 + 0.5 * p.age)
    dark = 0.05 * noise.field(x, y, 0.35) + 0.030 * noise.field(x, y, 0.045) + 0.028 * noise.field(x, y, 0.016)
    dark += shadow + _freckles(p, x, y, noise)
    absorb = blood[..., None] * np.array([0.02, 0.17, 0.13], np.float32)
    absorb = absorb + dark[..., None] * np.array([0.65, 1.0, 1.15], np.float32)
    colour = base * np.exp(-absorb)
    return _beard(p, x, y, colour, noise)


def illuminate(person: Person, colour: np.ndarray, z: np.ndarray, unit: float, noise: np.ndarray) -> np.ndarray:
    """Light on the relief: a key lamp, a fill, ambient light kept out of hollows, and the shine of oily skin.

    Args:
        colour: linear RGB (height, width, 3).
        z: relief (height, width) in face units.
        unit: pixels per face unit.
        noise: fine bumps (height, width) that break up the shine.

    Returns:
        Linear RGB, float32 (height, width, 3).
    """
    soft = cv2.GaussianBlur(z, (0, 0), max(0.014 * unit, 0.3))
    dx = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3, scale=unit / 8)
    dy = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3, scale=unit / 8)
    rough = np.float32(0.05) * noise
    normal = np.stack([-dx + rough, -dy + rough[::-1], np.ones_like(dx)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    hollow = cv2.GaussianBlur(z, (0, 0), 0.10 * unit) - z
    open_sky = np.exp(-np.maximum(hollow, 0) * np.float32(9))
    key = _lamp(person.light[0], person.light[1])
    fill = _lamp(-1.1 * np.sign(person.light[0] or 1.0), -0.15)
    # Light that entered the skin leaves it reddened further on, so red wraps furthest around the terminator.
    wrap = np.array([0.32, 0.18, 0.13], np.float32)
    shade = 0.82 * np.maximum((normal @ key)[..., None] + wrap, 0) / (1 + wrap)
    shade += 0.18 * np.maximum((normal @ fill)[..., None] + wrap, 0) / (1 + wrap)
    shade = shade * (0.45 + 0.55 * open_sky[..., None]) + 0.22 * open_sky[..., None]
    shine = np.zeros_like(z)
    for lamp, power in ((key, 0.9), (fill, 0.35)):
        half = lamp + np.array([0, 0, 1], np.float32)
        half /= np.linalg.norm(half)
        facing = np.maximum(normal @ half, 0)
        shine += power * (0.045 * facing**18 + 0.05 * facing**60)
    return colour * shade + (person.oil * shine * open_sky)[..., None]


def _nose(p: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    side = np.abs(x)
    t = _ramp(y, -0.15, p.nose_tip)
    width = p.bridge * (1.05 + 0.45 * t)
    height = p.nose_height * (0.30 + 0.62 * t**1.2)
    ends = edge(y + 0.25, 0.20) * edge(p.nose_tip + 0.085 - y, 0.075)
    nose = height * np.exp(-0.5 * np.abs(x / width) ** 2.2) * ends
    nose += 0.34 * p.nose_height * bump(x, y, (0, p.nose_tip - 0.015), (0.115, 0.095))
    wing = p.nose_width - 0.070
    ball = edge(1 - np.square((side - wing) / 0.105) - np.square((y - p.nose_tip - 0.02) / 0.100), 0.85)
    nose = np.maximum(nose, 0.55 * p.nose_height * ball) + 0.22 * p.nose_height * ball
    nose += 0.16 * p.nose_height * bump(x, y, (0, p.nose_tip + 0.10), (0.035, 0.05))
    nose -= 0.16 * p.nose_height * bump(side, y, (p.nose_width + 0.035, p.nose_tip - 0.01), (0.035, 0.085), 0.3)
    return nose


def _mouth(p: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    side = np.abs(x)
    inside = np.sqrt(np.maximum(1 - np.square(x / np.float32(1.02 * p.mouth_width)), 0))
    line = p.mouth - p.mouth_curve * np.square(x / np.float32(p.mouth_width))
    z = 0.060 * bump(x, y, (0, p.mouth), (0.42, 0.22))
    above = (y - (line - 0.50 * p.upper_lip)) / np.float32(0.45 * p.upper_lip)
    below = (y - (line + 0.48 * p.lower_lip)) / np.float32(0.44 * p.lower_lip)
    z += 0.030 * inside * np.exp(-0.5 * above**2) + 0.044 * inside * np.exp(-0.5 * below**2)
    z -= 0.022 * np.sqrt(inside) * np.exp(-np.abs(y - line) / 0.018)
    z -= 0.020 * bump(side, y, (p.mouth_width + 0.01, p.mouth), (0.035, 0.04))
    top = p.nose_tip + 0.12
    z -= 0.014 * bump(x, y, (0, 0.5 * (top + p.mouth - p.upper_lip)), (0.030, 0.07))
    z += 0.008 * bump(side, y, (0.065, 0.5 * (top + p.mouth - p.upper_lip)), (0.025, 0.07))
    z -= 0.035 * bump(x, y, (0, p.mouth + p.lower_lip + 0.075), (0.22, 0.055))
    z += 0.075 * bump(x, y, (0, p.chin - 0.20), (0.22, 0.13))
    return z


def _freckles(p: Person, x: np.ndarray, y: np.ndarray, noise: Noise) -> np.ndarray:
    where = bump(np.abs(x), y, (0.35, 0.38), (0.42, 0.25)) + 0.15
    spots = edge(noise.field(x, y, 0.026) + 0.35 * noise.field(x, y, 0.12) - 1.65, 0.55)
    moles = edge(noise.field(x, y, 0.040) - 3.35, 0.22)
    return 0.9 * p.freckles * where * spots + 1.1 * moles


def _beard(p: Person, x: np.ndarray, y: np.ndarray, colour: np.ndarray, noise: Noise) -> np.ndarray:
    # Drawn whether or not there is a beard, so that one trait does not shift every later random number.
    hairs = edge(noise.field(x, y, 0.014, 1.5) - 0.4, 0.9)
    if not p.stubble:
        return colour
    side = np.abs(x)
    top = p.mouth - 0.30 + 0.55 * np.square(np.maximum(0.75 - side, 0)) * edge(side - 0.30, 0.15)
    where = edge(y - top, 0.13) * edge(1.1 - 0.25 * y + 0.30 - side, 0.12)
    where = where * (0.6 + 0.4 * edge(np.abs(y - p.mouth - 0.22) + side - 0.16, 0.1))
    cover = p.stubble * where * (0.25 + 0.55 * hairs)
    tint = np.array([0.36, 0.42, 0.50], np.float32)
    return colour * (1 - cover[..., None] * (1 - tint * np.float32(0.8)))


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)


def _lamp(sideways: float, upwards: float) -> np.ndarray:
    direction = np.array([np.tan(sideways), np.tan(upwards), 1.0], np.float32)
    return direction / np.linalg.norm(direction)
