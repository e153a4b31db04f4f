"""A person who does not exist: proportions, colours, and where everything lies on the face."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["SIDES", "Person", "invent"]

# The subject's left is on the picture's right: x is multiplied by the sign.
SIDES = {"L": 1, "R": -1}


@dataclasses.dataclass(frozen=True)
class Person:
    """One face. Lengths are in units of the distance between the pupils; colours are linear RGB in [0, 1].

    ``texture`` seeds everything that is painted by chance (pores, freckles, hairs), so two pictures of one person are
    the same person, at any size.
    """

    texture: int
    scale: float
    cheek: float
    jaw: float
    chin: float
    temple: float
    hairline: float
    brow: float
    brow_arch: float
    brow_tilt: float
    brow_gap: float
    brow_length: float
    brow_thick: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    lid_fold: float
    nose_tip: float
    nose_width: float
    nose_height: float
    bridge: float
    mouth: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    mouth_curve: float
    age: float
    melanin: float
    redness: float
    freckles: float
    stubble: float
    oil: float
    hair_colour: tuple[float, float, float]
    hair_length: float
    fringe: float
    parting: float
    iris: tuple[float, float, float]
    lip_tint: float
    glasses: bool
    glasses_round: float
    shirt: tuple[float, float, float]
    light: tuple[float, float]
    skew: tuple[float, ...]

    def landmark(self, name: str, side: str = "L") -> np.ndarray:
        """Where ``name`` lies on one side of the face, (2,) float64 in face space, asymmetry included."""
        x, y = _places(self)[name]
        return self.bend(np.array([x * SIDES[side], y]))

    def bend(self, points: np.ndarray) -> np.ndarray:
        """The slight asymmetry that every face has, applied to points (..., 2)."""
        points = np.asarray(points, np.float64)
        x, y = points[..., 0], points[..., 1]
        a, b, c, d = self.skew
        dx = a * np.sin(1.1 * y + 6 * b) * (0.4 + 0.6 * np.tanh(y) ** 2)
        dy = c * np.tanh(1.5 * x) * np.cos(0.9 * y) + d * np.sin(1.7 * x) * np.sin(1.3 * y)
        return points + np.stack([dx, dy], -1)


def invent(rng: np.random.Generator) -> Person:
    """Draw a person. Adult proportions vary as anthropometric tables say they do, a few percent each.

    The generator must serve appearance alone: nothing about an expression may come from it.
    """

    def about(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.standard_normal(), -1.9, 1.9))

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    masculine = between(0, 1)
    melanin = float(np.clip(rng.beta(1.4, 2.6), 0.02, 0.95))
    stubble = between(0.1, 0.6) if masculine > 0.55 else 0.0
    grey = between(0.2, 0.7) if rng.random() < 0.1 else 0.0
    brown = between(0, 1) * (1 - melanin) ** 2
    hair = np.array([0.012, 0.009, 0.008]) + brown**2 * np.array([0.16, 0.085, 0.035])
    hair = hair * (1 - grey) + grey * 0.22
    light_eyes = melanin < 0.18 and rng.random() < 0.5
    iris = (0.10, 0.17, 0.24) if light_eyes and rng.random() < 0.6 else (0.13, 0.14, 0.07)
    iris = iris if light_eyes else (about(0.055, 0.02), 0.026, 0.012)
    return Person(
        texture=int(rng.integers(2**62)),
        scale=about(1.0, 0.022),
        cheek=about(1.05, 0.035),
        jaw=about(0.80 + 0.07 * masculine, 0.03),
        chin=about(1.70 + 0.06 * masculine, 0.045),
        temple=about(0.94, 0.025),
        hairline=about(-0.98, 0.07),
        brow=about(-0.37 + 0.05 * masculine, 0.025),
        brow_arch=about(0.055 - 0.03 * masculine, 0.015),
        brow_tilt=about(0.0, 0.025),
        brow_gap=about(0.19, 0.025),
        brow_length=about(0.60, 0.035),
        brow_thick=about(0.060 + 0.030 * masculine, 0.010),
        eye_width=about(0.475, 0.02),
        eye_open=about(0.175, 0.017),
        eye_tilt=about(-0.02, 0.018),
        lid_fold=between(0.0, 1.0),
        nose_tip=about(0.63, 0.035),
        nose_width=about(0.265 + 0.05 * melanin, 0.018),
        nose_height=about(0.25 - 0.05 * melanin, 0.025),
        bridge=about(0.085, 0.012),
        mouth=about(1.08, 0.025),
        mouth_width=about(0.40, 0.025),
        upper_lip=about(0.115 + 0.03 * melanin - 0.020 * masculine, 0.013),
        lower_lip=about(0.165 + 0.03 * melanin - 0.025 * masculine, 0.015),
        mouth_curve=about(0.0, 0.012),
        age=between(0.0, 1.0),
        melanin=melanin,
        redness=about(0.5, 0.25),
        freckles=between(0.3, 1.0) if melanin < 0.35 and rng.random() < 0.3 else between(0.0, 0.12),
        stubble=stubble,
        oil=between(0.4, 1.0),
        hair_colour=tuple(float(c) for c in hair),
        hair_length=between(0.0, 0.35) if masculine > 0.5 else between(0.3, 1.0),
        fringe=between(0.3, 1.0) if rng.random() < (0.15 if masculine > 0.5 else 0.35) else 0.0,
        parting=between(-0.5, 0.5),
        iris=tuple(float(c) for c in iris),
        lip_tint=between(0.2, 1.0),
        glasses=bool(rng.random() < 0.3),
        glasses_round=between(0.0, 1.0),
        shirt=tuple(float(c) for c in rng.uniform(0.03, 0.5) * rng.uniform(0.5, 1.0, 3)),
        light=(about(0.0, 0.28), about(-0.45, 0.08)),
        skew=(about(0, 0.012), between(0, 1), about(0, 0.010), about(0, 0.010)),
    )


def _places(p: Person) -> dict[str, tuple[float, float]]:
    inner, outer = 0.5 - 0.48 * p.eye_width, 0.5 + 0.52 * p.eye_width
    far = p.brow_gap + p.brow_length
    return {
        "glabella": (0.0, 0.5 * p.brow),
        "forehead": (0.3, 0.5 * (p.hairline + p.brow)),
        "inner_brow": (p.brow_gap, p.brow + 0.02),
        "mid_brow": (0.5 * (p.brow_gap + far), p.brow - 0.6 * p.brow_arch + 0.5 * p.brow_tilt),
        "outer_brow": (far, p.brow + 0.06 + p.brow_tilt),
        "pupil": (0.5, 0.0),
        "inner_eye": (inner, 0.025),
        "outer_eye": (outer, 0.01 + p.eye_tilt),
        "upper_lid": (0.5, -0.55 * p.eye_open),
        "lower_lid": (0.5, 0.45 * p.eye_open),
        "cheek": (0.56, 0.36),
        "nose_bridge": (0.11, 0.12),
        "nose_wing": (p.nose_width, p.nose_tip + 0.02),
        "nose_tip": (0.0, p.nose_tip),
        "fold": (0.5 * (p.nose_width + p.mouth_width) + 0.14, 0.5 * (p.nose_tip + p.mouth)),
        "mouth_corner": (p.mouth_width, p.mouth - p.mouth_curve),
        "mouth": (0.0, p.mouth),
        "upper_lip": (0.16, p.mouth - 0.6 * p.upper_lip),
        "lower_lip": (0.16, p.mouth + 0.6 * p.lower_lip),
        "chin": (0.12, 0.35 * p.mouth + 0.65 * p.chin - 0.05),
        "jaw": (0.55, 0.25 * p.mouth + 0.75 * p.chin),
    }
