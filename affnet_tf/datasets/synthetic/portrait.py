"""The still picture of a person: neutral face, eyes open, and what a blink needs."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from affnet_tf.datasets.synthetic.face import Person
from affnet_tf.datasets.synthetic.features import paint_brows, paint_eyes, paint_lips, paint_nostrils
from affnet_tf.datasets.synthetic.paint import Noise, View, distance, edge
from affnet_tf.datasets.synthetic.skin import illuminate, pigment, relief
from affnet_tf.datasets.synthetic.surroundings import face_outline, paint_behind, paint_hair, spectacles

__all__ = ["SUPERSAMPLE", "Portrait", "portrait"]

SUPERSAMPLE = 2


@dataclasses.dataclass(frozen=True)
class Portrait:
    """A neutral face at ``SUPERSAMPLE`` times the view's size, low-passed to the view's own resolution.

    Attributes:
        face: display-encoded RGB, float32 (2H, 2W, 3), in [0, 255].
        closed: the same with the eyelids down.
        glasses: premultiplied display-encoded RGB and cover at the view's size, float32 (H, W, 4), or None.
    """

    face: np.ndarray
    closed: np.ndarray
    glasses: np.ndarray | None


@functools.lru_cache(maxsize=4)
def portrait(person: Person, view: View) -> Portrait:
    """Paint ``person``. The result depends on nothing else; treat its arrays as read-only."""
    fine = view.scaled(SUPERSAMPLE)
    x, y = fine.grid()
    points = np.stack([x, y], -1)
    straight = (2 * points - person.bend(points)).astype(np.float32)
    sx, sy = np.ascontiguousarray(straight[..., 0]), np.ascontiguousarray(straight[..., 1])
    noise = Noise([person.texture, 1])
    bare = pigment(person, sx, sy, noise)
    colour = paint_lips(person, fine, sx, sy, bare, noise)
    colour = paint_nostrils(person, sx, sy, colour)
    grain = noise.field(x, y, 0.017) + 0.6 * noise.field(x, y, 0.05)
    inside = distance(fine, face_outline(person))
    behind = paint_behind(person, fine, bare, noise)
    cover = edge(inside, 0.012)[..., None]
    pictures = []
    for closed in (False, True):
        lit = illuminate(person, colour, relief(person, sx, sy, inside, closed), fine.unit, grain)
        lit = paint_eyes(person, fine, lit, noise.apart(2), closed)
        lit = paint_brows(person, fine, lit)
        whole = paint_hair(person, fine, behind + cover * (lit - behind), noise.apart(3))
        # The lens: what one pixel of the view cannot resolve must not alias when the face moves.
        pictures.append(cv2.GaussianBlur(_display(whole), (0, 0), 0.5 * SUPERSAMPLE))
    glasses = spectacles(person, view)
    if glasses is not None:
        cover = glasses[..., 3:]
        plain = _display(glasses[..., :3] / np.maximum(cover, 1e-4))
        glasses = np.concatenate([plain * cover, cover], -1)
    return Portrait(pictures[0], pictures[1], glasses)


def _display(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] as display values in [0, 255], highlights rolled off as a camera does."""
    light = np.clip(linear, 0, None) * np.float32(1.15)
    light = np.where(light > 0.7, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3), light)
    return (np.float32(255) * np.power(light, np.float32(1 / 2.2))).astype(np.float32)
