"""FACS action units as smooth displacement of the skin, anchored to a person's own landmarks.

Ekman, Friesen and Hager, *Facial Action Coding System* (2002), says what each muscle moves and which way; how far the
skin around follows is our reading of it.
"""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

import numpy as np

from affnet_tf.datasets.synthetic.face import SIDES, Person
from affnet_tf.datasets.synthetic.features import lip_line
from affnet_tf.datasets.synthetic.paint import View, bump
from affnet_tf.errors import unknown

__all__ = ["ACTION_UNITS", "Action", "Pull", "Shade", "action_field"]


@dataclasses.dataclass(frozen=True)
class Pull:
    """Skin at a landmark moves ``by`` (outwards, downwards), and less around it: ``size`` is standard deviations."""

    landmark: str
    by: tuple[float, float]
    size: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Shade:
    """Skin that bunches darkens: a long mark ``at`` (outwards, downwards) from a landmark, turned by ``angle``."""

    landmark: str
    at: tuple[float, float]
    size: tuple[float, float]
    depth: float
    angle: float = 0.0


@dataclasses.dataclass(frozen=True)
class Action:
    """One action unit on one side of the face.

    Attributes:
        name: what FACS calls it.
        pulls: how the skin moves; together they are scaled so that the fastest point moves one unit.
        shades: marks, in log-brightness per face unit of movement.
        parting: how far the lips part, per unit of movement.
    """

    name: str
    pulls: tuple[Pull, ...]
    shades: tuple[Shade, ...] = ()
    parting: float = 0.0


ACTION_UNITS = MappingProxyType(
    {
        1: Action(
            "inner brow raiser",
            (Pull("inner_brow", (0, -1), (0.16, 0.15)), Pull("forehead", (-0.1, -0.35), (0.25, 0.20))),
            (Shade("inner_brow", (0.02, -0.24), (0.12, 0.030), 3.5, -0.15),),
        ),
        2: Action(
            "outer brow raiser",
            (Pull("outer_brow", (0, -1), (0.20, 0.17)), Pull("mid_brow", (0, -0.55), (0.15, 0.15))),
            (Shade("mid_brow", (0.10, -0.22), (0.13, 0.030), 3.0, 0.2),),
        ),
        4: Action(
            "brow lowerer",
            (Pull("inner_brow", (-0.75, 0.75), (0.15, 0.15)), Pull("mid_brow", (-0.25, 0.45), (0.16, 0.14))),
            (Shade("glabella", (0.065, -0.02), (0.014, 0.10), 7.0, -0.2),),
        ),
        5: Action("upper lid raiser", (Pull("upper_lid", (0, -1), (0.16, 0.055)),)),
        6: Action(
            "cheek raiser",
            (
                Pull("cheek", (-0.10, -1), (0.25, 0.16)),
                Pull("outer_eye", (-0.40, 0.0), (0.13, 0.12)),
                Pull("lower_lid", (0, -0.35), (0.17, 0.06)),
            ),
            (
                Shade("lower_lid", (-0.02, 0.13), (0.18, 0.018), 4.5, 0.15),
                Shade("outer_eye", (0.10, 0.04), (0.07, 0.010), 4.5, 0.35),
                Shade("outer_eye", (0.10, -0.04), (0.07, 0.010), 3.5, -0.25),
            ),
        ),
        7: Action(
            "lid tightener",
            (
                Pull("lower_lid", (-0.15, -1), (0.17, 0.060)),
                Pull("upper_lid", (0, 0.45), (0.17, 0.050)),
                Pull("outer_eye", (-0.25, 0.0), (0.10, 0.08)),
            ),
            (Shade("lower_lid", (0, 0.07), (0.17, 0.014), 3.0, 0.05),),
        ),
        9: Action(
            "nose wrinkler",
            (
                Pull("nose_wing", (0.10, -1), (0.11, 0.13)),
                Pull("nose_bridge", (0.0, -0.6), (0.10, 0.16)),
                Pull("inner_brow", (-0.25, 0.50), (0.14, 0.12)),
                Pull("upper_lip", (0, -0.40), (0.18, 0.09)),
            ),
            (
                Shade("nose_bridge", (-0.03, -0.06), (0.07, 0.012), 6.0, -0.5),
                Shade("nose_bridge", (-0.02, 0.03), (0.07, 0.012), 5.0, -0.6),
                Shade("nose_wing", (0.05, 0.04), (0.020, 0.09), 5.0, 0.4),
            ),
        ),
        10: Action(
            "upper lip raiser",
            (
                Pull("upper_lip", (0.05, -1), (0.17, 0.085)),
                Pull("nose_wing", (0.05, -0.45), (0.10, 0.11)),
                Pull("fold", (-0.05, -0.50), (0.13, 0.15)),
            ),
            (Shade("fold", (-0.07, -0.06), (0.020, 0.15), 5.5, -0.6),),
        ),
        12: Action(
            "lip corner puller",
            (
                Pull("mouth_corner", (0.72, -0.70), (0.17, 0.14)),
                Pull("fold", (0.25, -0.45), (0.16, 0.15)),
                Pull("cheek", (0.08, -0.35), (0.22, 0.16)),
            ),
            (Shade("fold", (-0.02, 0.06), (0.020, 0.16), 5.5, -0.6),),
        ),
        14: Action(
            "dimpler",
            (Pull("mouth_corner", (1.0, 0.0), (0.085, 0.075)), Pull("fold", (-0.35, 0.10), (0.10, 0.14))),
            (Shade("mouth_corner", (0.060, 0.0), (0.020, 0.045), 10.0),),
        ),
        15: Action(
            "lip corner depressor",
            (Pull("mouth_corner", (0.05, 1), (0.13, 0.12)), Pull("jaw", (-0.05, 0.25), (0.20, 0.15))),
            (Shade("mouth_corner", (0.03, 0.10), (0.018, 0.07), 5.0, 0.3),),
        ),
        17: Action(
            "chin raiser",
            (Pull("chin", (0, -1), (0.24, 0.14)), Pull("lower_lip", (0, -0.55), (0.20, 0.08))),
            (Shade("chin", (0.0, -0.12), (0.16, 0.020), 5.0), Shade("chin", (0.02, 0.03), (0.09, 0.06), 2.0)),
        ),
        20: Action(
            "lip stretcher",
            (Pull("mouth_corner", (1, 0.12), (0.19, 0.12)), Pull("jaw", (0.30, 0.0), (0.20, 0.16))),
            (Shade("mouth_corner", (0.08, 0.0), (0.016, 0.09), 3.5),),
        ),
        23: Action(
            "lip tightener",
            (
                Pull("mouth_corner", (-0.65, 0), (0.12, 0.09)),
                Pull("upper_lip", (-0.1, 0.75), (0.20, 0.055)),
                Pull("lower_lip", (-0.1, -0.85), (0.20, 0.060)),
            ),
        ),
        24: Action(
            "lip pressor",
            (Pull("upper_lip", (0, 1), (0.24, 0.060)), Pull("lower_lip", (0, -1), (0.24, 0.065))),
            (Shade("lower_lip", (0, 0.12), (0.16, 0.020), 4.0),),
        ),
        25: Action(
            "lips part",
            (Pull("lower_lip", (0, 0.80), (0.22, 0.14)), Pull("upper_lip", (0, -0.25), (0.20, 0.09))),
            parting=0.45,
        ),
        26: Action(
            "jaw drop",
            (Pull("chin", (0, 1), (0.45, 0.22)), Pull("lower_lip", (0, 0.90), (0.26, 0.14))),
            parting=0.55,
        ),
    }
)


def action_field(person: Person, unit: int, view: View) -> dict[str, np.ndarray]:
    """What one action unit does to a face.

    Args:
        unit: number of the action unit, a key of ``ACTION_UNITS``.

    Returns:
        For each side (``L`` and ``R``, the subject's own) float32 (height, width, 3): displacement to the right and
        downwards in pixels, and log-darkening. Where both sides act together the fastest point moves one pixel.

    Raises:
        InputError: there is no such action unit.
    """
    if unit not in ACTION_UNITS:
        raise unknown("action unit", unit, ACTION_UNITS)
    action = ACTION_UNITS[unit]
    x, y = view.grid()
    fields = {}
    for side, sign in SIDES.items():
        fields[side] = moved = np.zeros((*x.shape, 3), np.float32)
        for pull in action.pulls:
            weight = bump(x, y, tuple(person.landmark(pull.landmark, side)), pull.size)
            moved[..., 0] += np.float32(sign * pull.by[0]) * weight
            moved[..., 1] += np.float32(pull.by[1]) * weight
        if action.parting:
            _part(person, action.parting, sign, x, y, moved)
    both = sum(fields.values())
    fastest = np.sqrt(np.square(both[..., :2]).sum(-1).max())
    for side, sign in SIDES.items():
        moved = fields[side]
        moved[..., :2] /= fastest
        moved[..., 2] /= fastest * view.unit
        for shade in action.shades:
            at = person.landmark(shade.landmark, side) + np.array([sign * shade.at[0], shade.at[1]])
            # Older skin folds deeper.
            depth = shade.depth * (0.35 + 0.45 * person.age) / view.unit
            moved[..., 2] += np.float32(depth) * bump(x, y, tuple(at), shade.size, sign * shade.angle)
    return fields


def _part(person: Person, parting: float, sign: int, x: np.ndarray, y: np.ndarray, moved: np.ndarray) -> None:
    """Tear the field along the line between the lips: they go apart, and it is dark between them."""
    reach = np.clip(1 - np.square(x / np.float32(0.80 * person.mouth_width)), 0, 1)
    # Half the mouth belongs to either side; both together give the whole.
    half = np.float32(0.5) * (1 + np.tanh(sign * x / np.float32(0.08)))
    below = y - lip_line(person, x).astype(np.float32)
    near = np.exp(-np.square(below / np.float32(0.09)))
    moved[..., 1] += np.float32(parting) * reach * half * near * np.tanh(below / np.float32(0.012))
    moved[..., 2] += np.float32(26 * parting) * reach * half * np.exp(-np.square(below / np.float32(0.017)))
