"""What is round a face: outline, ears, neck, hair, clothes, wall, and glasses."""

from __future__ import annotations

import cv2
import numpy as np

from affnet_tf.datasets.synthetic.face import SIDES, Person
from affnet_tf.datasets.synthetic.paint import Noise, View, bump, closed_curve, distance, edge, strokes

__all__ = ["face_outline", "paint_behind", "paint_hair", "spectacles"]


def face_outline(person: Person) -> np.ndarray:
    """The face from the crown round the jaw, a closed polyline (N, 2) in face space."""
    p = person
    right = [
        (0.0, -1.66),
        (0.52, -1.52),
        (0.84, -1.08),
        (p.temple + 0.03, -0.45),
        (p.cheek, 0.15),
        (p.cheek - 0.04, 0.55),
        (p.jaw + 0.07, 0.98),
        (p.jaw - 0.12, 1.32),
        (0.40, p.chin - 0.12),
        (0.17, p.chin - 0.005),
    ]
    left = [(-x, y) for x, y in reversed(right[1:])]
    return person.bend(closed_curve(np.array([*right, (0.0, p.chin + 0.012), *left])))


def paint_behind(person: Person, view: View, skin: np.ndarray, noise: Noise) -> np.ndarray:
    """Wall, shoulders, neck and ears, lit: linear RGB float32 (height, width, 3).

    Args:
        skin: the skin's linear RGB without light, like the result.
    """
    p = person
    x, y = view.grid()
    glow = 0.30 + 0.05 * bump(x, y, (0.4 - p.light[0], -0.6), (2.2, 1.8)) - 0.035 * y
    wall = (glow + np.float32(0.004) * noise.field(x, y, 0.05))[..., None] * np.array([0.96, 1.0, 1.02], np.float32)
    picture = wall * (1 - 0.25 * bump(x, y, (0.25, 0.7), (1.15, 1.5)))[..., None]
    neck = 0.60 + 0.10 * np.square(np.clip(y - 1.3, 0, 2)) + 0.05 * p.jaw
    round_off = np.sqrt(np.clip(1 - np.square(x / (neck + 0.05)), 0.02, 1))
    throat = 0.5 + 0.5 * edge(y - p.chin - 0.32, 0.40)
    tendon = 1 - 0.10 * bump(np.abs(x) - 0.18 * (2.4 - y), y, (0.06, 2.0), (0.05, 0.4))
    lit = skin * (0.62 * round_off * throat * tendon)[..., None]
    cover = edge(neck - np.abs(x), 0.02) * edge(y - 0.9, 0.05)
    picture = picture + cover[..., None] * (lit - picture)
    collar = 1.98 + 0.22 * np.exp(-np.square(x / 0.42)) + 0.20 * np.clip(np.abs(x) - 0.55, 0, None) ** 1.3
    cloth = (
        np.array(p.shirt, np.float32)
        * (0.75 + 0.05 * noise.field(x, y, 0.02) + 0.10 * noise.field(x, y, 0.35))[..., None]
    )
    cloth = cloth * (1 - 0.5 * np.exp(-np.abs(y - collar - 0.07) / 0.02))[..., None]
    picture = picture + edge(y - collar, 0.018)[..., None] * (cloth - picture)
    for sign in SIDES.values():
        centre = (sign * (p.cheek + 0.055), 0.30)
        ear = edge(1 - np.square((x - centre[0]) / 0.125) - np.square((y - centre[1]) / 0.33), 0.16)
        hollow = 0.45 * bump(x, y, (centre[0] + 0.02 * sign, 0.27), (0.035, 0.17)) + 0.35 * bump(
            x, y, (centre[0] - 0.06 * sign, 0.33), (0.03, 0.10)
        )
        flesh = (
            skin
            * (0.62 - 0.16 * edge(np.abs(x - centre[0]) - 0.05, 0.07) - 0.40 * hollow)[..., None]
            * np.array([1.0, 0.88, 0.86], np.float32)
        )
        picture = picture + ear[..., None] * (flesh - picture)
    return picture


def paint_hair(person: Person, view: View, picture: np.ndarray, noise: Noise) -> np.ndarray:
    """Hair over ``picture`` (lit, linear RGB): crown, temples, and for some a fringe."""
    p = person
    x, y = view.grid()
    wisp = 0.018 * noise.field(x, y, 0.09, 1.5) + 0.010 * noise.field(x, y, 0.02, 4.0)
    crown = _hair_line(p, x) - y
    shell = distance(view, _hair_shell(p))
    body = np.minimum(edge(crown + wisp - 0.03, 0.055), edge(shell + wisp, 0.050))
    cover = 1 - (1 - body) * (1 - 0.75 * strokes(view, _loose_hairs(p), 0.0065, 0.002))
    flow = np.arctan2(x - np.float32(p.parting * 0.6), -(y + 0.4)) * np.float32(0.75)
    reach = np.sqrt(np.square(x - np.float32(p.parting * 0.6)) + np.square(y + 0.4))
    strand = 0.55 * noise.field(flow, reach * 0.22, 0.012) + 0.45 * noise.field(flow + 0.05 * reach, reach * 0.2, 0.035)
    gloss = np.exp(-np.square((reach - 0.95 - 0.05 * strand) / 0.16)) * np.clip(0.8 + 0.5 * strand, 0, 2)
    tone = np.clip(0.75 + 0.30 * strand, 0.15, 2) * (0.55 + 0.45 * edge(crown, 0.12))
    hair = np.array(p.hair_colour, np.float32) * (tone + 0.9 * gloss)[..., None] + (0.014 * gloss)[..., None]
    shadow = cv2.GaussianBlur(body, (0, 0), max(0.055 * view.unit, 0.3)) * (1 - body)
    picture = picture * (1 - 0.45 * shadow)[..., None]
    return picture + cover[..., None] * (hair - picture)


def _hair_line(p: Person, x: np.ndarray) -> np.ndarray:
    """y below which the forehead is bare."""
    side = np.abs(x)
    line = p.hairline + 0.10 * np.exp(-np.square(x / 0.16)) * (p.age - 0.3)
    line = line + 0.42 * np.clip(side - 0.42, 0, None) ** 1.2 + 2.6 * np.clip(side - 0.80, 0, None)
    swept = 0.34 + 0.16 * np.cos(4 * (x - p.parting)) - 0.30 * np.exp(-np.square((x - p.parting) / 0.16))
    return line + p.fringe * swept * edge(0.95 - side, 0.25)


def _loose_hairs(p: Person) -> list[np.ndarray]:
    """Single hairs that break up the edge of the hair over the forehead."""
    rng = np.random.default_rng([p.texture, 13])
    hairs = []
    for x in rng.uniform(-0.98, 0.98, 420):
        root = np.array([x, float(_hair_line(p, np.float64(x)))])
        away = np.sign(x - 0.6 * p.parting) * (0.25 + 0.5 * abs(x))
        fall = np.array([away, 0.9]) if p.fringe else np.array([away, -1.0])
        length = rng.uniform(0.04, 0.13) * (0.7 if p.fringe else 1.0)
        root[1] += rng.normal(-0.015, 0.022)
        start = root - length * fall if p.fringe else root
        bend = rng.normal(0, 0.012, 2)
        hairs.append(np.stack([start, start + 0.5 * length * fall + bend, start + length * fall + 2.5 * bend]))
    return hairs


def spectacles(person: Person, view: View) -> np.ndarray | None:
    """Glasses as premultiplied linear RGB and cover, float32 (height, width, 4), or None for those who wear none.

    They are a layer of their own because they follow the head and not the skin.
    """
    p = person
    if not p.glasses:
        return None
    x, _ = view.grid()
    rims, glow = [], np.zeros_like(x)
    for sign in SIDES.values():
        angle = np.linspace(0, 2 * np.pi, 64)
        power = 0.55 + 0.45 * p.glasses_round
        wide = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
        tall = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
        rim = np.stack([sign * 0.53 + 0.375 * wide, 0.05 + (0.23 + 0.05 * p.glasses_round) * tall], -1)
        rims.append(rim)
        glow += edge(distance(view, rim), 0.01) * bump(
            x, view.grid()[1], (sign * 0.53 + 0.15, -0.04), (0.16, 0.05), -0.7
        )
        rims.append(np.array([(sign * 0.905, -0.02), (sign * (p.cheek + 0.03), -0.05)]))
    rims.append(np.array([(-0.155, 0.02), (-0.06, -0.035), (0.06, -0.035), (0.155, 0.02)]))
    cover = np.clip(strokes(view, rims, 0.020, 0.003), 0, 1) * np.float32(0.93)
    colour = cover[..., None] * np.array([0.018, 0.017, 0.018], np.float32) + (0.05 * glow)[..., None]
    return np.concatenate([colour, np.maximum(cover, 0.04 * glow)[..., None]], -1).astype(np.float32)


def _hair_shell(p: Person) -> np.ndarray:
    fall = 0.10 + 2.0 * p.hair_length
    thick = 0.10 + 0.12 * p.hair_length
    right = [
        (0.0, -1.80 - thick),
        (0.62, -1.62 - thick),
        (1.02 + thick, -1.05),
        (p.temple + 0.10 + thick, -0.35),
        (p.cheek + 0.10 + thick, 0.20 * fall - 0.1),
        (p.cheek + 0.06 + thick, -0.2 + fall),
        (p.cheek - 0.06, -0.15 + fall),
    ]
    left = [(-x, y) for x, y in reversed(right[1:])]
    return closed_curve(np.array([*right, (0.0, -0.3), *left]))
