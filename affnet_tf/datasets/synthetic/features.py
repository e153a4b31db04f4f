"""Eyes, brows, lips and nostrils, painted onto the skin's colour and relief."""

from __future__ import annotations

import numpy as np

from affnet_tf.datasets.synthetic.face import SIDES, Person
from affnet_tf.datasets.synthetic.paint import Noise, View, bump, distance, edge, open_curve, strokes

__all__ = ["eye_outline", "lip_line", "paint_brows", "paint_eyes", "paint_lips", "paint_nostrils"]


def eye_outline(person: Person, side: str, closed: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the lower lid of one eye, two polylines (N, 2) in face space from the inner to the outer corner.

    Args:
        closed: 0 for an open eye, 1 when the upper lid lies on the lower one.
    """
    p = person
    inner, outer = 0.5 - 0.48 * p.eye_width, 0.5 + 0.52 * p.eye_width
    t = np.linspace(0, 1, 25)
    x = inner + (outer - inner) * t
    base = 0.025 + (p.eye_tilt - 0.015) * t
    arch = np.sin(np.pi * t**0.92) ** 0.85
    low = base + 0.45 * p.eye_open * np.sin(np.pi * t**1.15) ** 1.1
    high = base - 0.58 * p.eye_open * arch
    high = high + closed * (low - high)
    sign = SIDES[side]
    return p.bend(np.stack([sign * x, high], -1)), p.bend(np.stack([sign * x, low], -1))


def lip_line(person: Person, x: np.ndarray) -> np.ndarray:
    """y of the line between the lips at ``x``, asymmetry not included."""
    p = person
    t = np.clip(np.abs(x) / p.mouth_width, 0, 1.2)
    dip = 0.10 * p.upper_lip * (np.exp(-((t / 0.16) ** 2)) - 0.8 * np.exp(-(((t - 0.42) / 0.25) ** 2)))
    return p.mouth - p.mouth_curve * t**2 + dip


def paint_eyes(person: Person, view: View, skin: np.ndarray, noise: Noise, closed: bool) -> np.ndarray:
    """Eyeballs, lids and lashes over lit ``skin`` (linear RGB): a new float32 (height, width, 3)."""
    x, y = view.grid()
    fibres = noise.field(x, y, 0.012)
    picture = skin
    rng = np.random.default_rng([person.texture, 11])
    for side in SIDES:
        upper, lower = eye_outline(person, side, 1.0 if closed else 0.0)
        if not closed:
            opening = distance(view, np.concatenate([upper, lower[::-1]]))
            ball = _eyeball(person, side, x, y, upper, opening, fibres)
            cover = edge(opening, 0.7 / view.unit)[..., None]
            picture = picture + cover * (ball - picture)
        picture = _lids(person, side, view, picture, upper, lower, closed, rng)
    return picture


def paint_brows(person: Person, view: View, skin: np.ndarray) -> np.ndarray:
    """Eyebrows, hair by hair, over ``skin`` (linear RGB)."""
    p = person
    rng = np.random.default_rng([p.texture, 12])
    colour = np.array(p.hair_colour, np.float32) * 0.7 + np.float32(0.003)
    for side, sign in SIDES.items():
        inner, middle, outer = (p.landmark(name, side) for name in ("inner_brow", "mid_brow", "outer_brow"))
        spine = open_curve(np.stack([inner, 0.55 * inner + 0.45 * middle - (0, 0.018), middle, outer]), 24)
        t = np.linspace(0, 1, len(spine))
        thick = p.brow_thick * np.clip(0.72 + 0.85 * t - 1.42 * t**2, 0.10, None) * np.clip(0.45 + 5 * t, 0, 1)
        hairs = [_brow_hair(rng, spine, thick, sign) for _ in range(300)]
        rise = np.stack([0 * t, 0.60 * thick], -1)
        body = distance(view, np.concatenate([spine - rise, (spine + rise)[::-1]]))
        along = np.clip(np.abs(view.grid()[0] - inner[0]) / np.float32(0.16), 0.25, 1)
        under = edge(body + 0.004, 0.036) * along * np.float32(0.78)
        cover = 1 - (1 - under) * (1 - strokes(view, hairs, 0.0065, 0.003) * np.float32(0.72))
        skin = skin + cover[..., None] * (colour - skin)
    return skin


def _brow_hair(rng: np.random.Generator, spine: np.ndarray, thick: np.ndarray, sign: int) -> np.ndarray:
    at = rng.uniform(0, 1) ** 0.85
    k = int(at * (len(spine) - 1))
    root = spine[k] + (0, thick[k] * np.clip(rng.normal(0.08, 0.40), -0.7, 0.7))
    lean = np.deg2rad(np.interp(at, [0, 0.15, 0.45, 1], [78, 52, 20, -14]) + rng.normal(0, 8))
    length = rng.uniform(0.05, 0.085) * (1 - 0.35 * at)
    tip = root + length * np.array([sign * np.cos(lean), -np.sin(lean)])
    return np.stack([root, 0.5 * (root + tip) + (0, 0.1 * length), tip])


def paint_lips(person: Person, view: View, x: np.ndarray, y: np.ndarray, skin: np.ndarray, noise: Noise) -> np.ndarray:
    """Lips over the skin's colour, before light. ``x`` and ``y`` are face space with the asymmetry taken out."""
    p = person
    t = np.clip(np.abs(x) / np.float32(p.mouth_width), 0, 1)
    line = lip_line(p, x)
    bow = 1.02 - 0.22 * np.exp(-np.square(t / 0.13)) - 0.55 * t**1.6 - 0.42 * t**5
    top = line - p.upper_lip * np.maximum(bow, 0)
    bottom = line + p.lower_lip * np.sqrt(np.maximum(1 - t**2.2, 0)) * (1 - 0.25 * t**2)
    within = np.minimum(y - top, bottom - y)
    cover = edge(within - 0.004, 0.022) * edge(1.0 - np.abs(x) / np.float32(p.mouth_width) + 0.02, 0.08)
    grooves = noise.field(x, y, 0.013, 7.0)
    red = np.array([0.93, 0.50, 0.54], np.float32) + (1 - p.lip_tint) * np.array([0.0, 0.2, 0.17], np.float32)
    lips = skin * red * (0.92 + np.float32(0.05) * grooves * edge(within, 0.05))[..., None]
    lips = lips * (1 - 0.18 * (y < line))[..., None].astype(np.float32)
    picture = skin + (0.88 * cover)[..., None] * (lips - skin)
    thin = np.float32(0.010) + 0.006 * (1 - t)
    seam = np.exp(-np.square((y - line) / thin)) * edge(1.06 - np.abs(x) / np.float32(p.mouth_width), 0.10)
    corner = bump(np.abs(x), y, (p.mouth_width, p.mouth - p.mouth_curve), (0.030, 0.022))
    dark = np.clip(0.80 * seam + 0.40 * corner, 0, 0.85)[..., None]
    return picture * (1 - dark) + dark * picture * np.array([0.20, 0.10, 0.10], np.float32)


def paint_nostrils(person: Person, x: np.ndarray, y: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Nostrils and the crease round the wings, over ``picture`` (linear RGB)."""
    p = person
    side = np.abs(x)
    hole = bump(side, y, (0.44 * p.nose_width, p.nose_tip + 0.088), (0.042, 0.018), -0.30)
    wing = bump(side, y, (p.nose_width + 0.018, p.nose_tip + 0.035), (0.012, 0.050), 0.35)
    under = bump(x, y, (0, p.nose_tip + 0.135), (0.17, 0.040))
    dark = np.clip(1.3 * hole, 0, 1) * 0.95 + 0.22 * wing + 0.10 * under
    return picture * np.exp(-dark[..., None] * np.array([1.5, 2.0, 2.1], np.float32))


def _eyeball(
    p: Person, side: str, x: np.ndarray, y: np.ndarray, upper: np.ndarray, opening: np.ndarray, fibres: np.ndarray
) -> np.ndarray:
    centre = p.bend(np.array([SIDES[side] * 0.5, -0.008]))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    radius = np.sqrt(dx * dx + dy * dy)
    white = np.array([0.56, 0.51, 0.48], np.float32) * (1 - 0.55 * np.square(np.clip(radius / 0.30, 0, 1)))[..., None]
    corner = bump(x, y, tuple(p.landmark("inner_eye", side)), (0.045, 0.04))[..., None]
    ball = white * (1 - corner * np.array([0.25, 0.55, 0.50], np.float32))
    angle = np.arctan2(dy, dx)
    spokes = 0.75 + 0.15 * np.sin(23 * angle + 5 * fibres) + 0.18 * np.sin(41 * angle + 2) + 0.12 * fibres
    ring = 1 - 0.75 * edge(radius - 0.080, 0.016)
    iris = (
        np.array(p.iris, np.float32) * (spokes * ring * (0.8 + 1.6 * bump(dx, dy, (0, 0.055), (0.06, 0.03))))[..., None]
    )
    ball = ball + edge(0.0945 - radius, 0.010)[..., None] * (np.maximum(iris, 0) - ball)
    ball = ball * (1 - 0.97 * edge(0.038 - radius, 0.008))[..., None]
    # The upper lid and its lashes shade the ball; without that an eye stares.
    lid = np.interp(x[0], *_sorted(upper)).astype(np.float32)
    ball = ball * (1 - 0.62 * np.exp(-np.maximum(y - lid, 0) / 0.032))[..., None]
    ball = ball * (0.72 + 0.28 * edge(opening, 0.03))[..., None]
    glint = bump(dx, dy, (0.030 * np.sign(p.light[0] or 1), -0.030), (0.0135, 0.0135))
    second = bump(dx, dy, (-0.035 * np.sign(p.light[0] or 1), 0.032), (0.012, 0.010))
    return ball + (0.85 * glint + 0.10 * second)[..., None]


def _lids(
    p: Person,
    side: str,
    view: View,
    picture: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    closed: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    sign = SIDES[side]
    open_upper, _ = eye_outline(p, side)
    lift = 0.030 + 0.040 * p.lid_fold
    t = np.linspace(0, 1, len(upper))
    crease = (open_upper if not closed else 0.75 * open_upper + 0.25 * upper) - np.stack(
        [0 * t, lift * np.sin(np.pi * np.clip(t, 0.03, 0.97)) ** 0.6], -1
    )
    fold = strokes(view, [crease[2:-1]], 0.016, 0.011) * np.float32(0.35 + 0.45 * p.lid_fold)
    lashes, count = [], 34
    for k in range(count):
        at = (k + 0.5) / count
        root = upper[0] + (upper[-1] - upper[0]) * at
        root[1] = np.interp(at, t, upper[:, 1])
        lean = np.deg2rad(np.interp(at, [0, 1], [105, 30]) + rng.normal(0, 7))
        down = -1 if closed else 1
        tip = root + rng.uniform(0.030, 0.055) * np.array([sign * np.cos(lean), -down * np.sin(lean) * 0.8])
        lashes.append(np.stack([root, tip]))
    rim = strokes(view, [upper], 0.020, 0.005)
    outer = strokes(view, [upper[10:]], 0.016, 0.006)
    dark = 0.80 * np.maximum(rim, outer) + 0.30 * strokes(view, lashes, 0.006, 0.003)
    dark = np.clip(dark + 0.30 * strokes(view, [lower[3:]], 0.010, 0.007), 0, 0.95)
    bag = strokes(view, [lower + np.array([0, 0.030])], 0.020, 0.018) * np.float32(0.10)
    ink = np.array([0.016, 0.010, 0.009], np.float32)
    picture = picture * np.exp(-(fold + bag)[..., None] * np.array([0.8, 1.15, 1.25], np.float32))
    waterline = strokes(view, [lower[2:-2]], 0.010, 0.004) * np.float32(0.0 if closed else 0.35)
    picture = picture + waterline[..., None] * (np.array([0.55, 0.36, 0.32], np.float32) - picture) * 0.6
    return picture + dark[..., None] * (ink - picture)


def _sorted(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(line[:, 0])
    return line[order, 0], line[order, 1]
