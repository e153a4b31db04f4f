"""From a person and a performance to the frames that a camera would have recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from affnet_tf.datasets.synthetic.actions import action_field
from affnet_tf.datasets.synthetic.face import SIDES, Person
from affnet_tf.datasets.synthetic.features import eye_outline
from affnet_tf.datasets.synthetic.nuisances import Nuisances
from affnet_tf.datasets.synthetic.paint import View, edge
from affnet_tf.datasets.synthetic.performance import Performance, profile
from affnet_tf.datasets.synthetic.portrait import SUPERSAMPLE, Portrait, portrait

__all__ = ["Truth", "render_clip", "timing"]


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is so about a rendered clip.

    Attributes:
        onset, apex, offset: indices into the frames, inclusive.
        emotion: the native word.
        action_units: as workbooks write them.
        strength: (T,) float64 in [0, 1], the expression's course; exactly 0 up to the onset and from the offset on.
        displacement: (height, width, 2) float32, the skin's displacement in pixels at the apex, to the right and
            downwards, at the place where it arrives; without head motion.
        blinks: an eyelid closes somewhere in the clip.
    """

    onset: int
    apex: int
    offset: int
    emotion: str
    action_units: str
    strength: np.ndarray
    displacement: np.ndarray
    blinks: bool


def timing(performance: Performance, fps: float) -> tuple[int, int, int, int]:
    """Onset, apex and offset as indices of frames, and how many frames there are."""
    onset = max(2, round(performance.lead * fps))
    length = max(2, round(performance.seconds * fps))
    apex = onset + min(max(1, round(performance.apex * length)), length - 1)
    return onset, apex, onset + length, onset + length + 1 + max(2, round(performance.tail * fps))


def render_clip(
    person: Person,
    performance: Performance,
    view: View,
    nuisances: Nuisances,
    *,
    fps: float = 200.0,
    grey: bool = False,
    only: Sequence[int] | None = None,
) -> tuple[np.ndarray, Truth]:
    """Render one clip. A pure function: the same arguments give the same bytes.

    Args:
        only: indices of the frames to render, in ascending order; None: all. A frame does not depend on the others.

    Returns:
        Frames, uint8 (T, height, width, 3) RGB, the three channels equal if ``grey``; and the truth about the clip, whose
        indices count all frames.
    """
    onset, apex, offset, count = timing(performance, fps)
    wanted = range(count) if only is None else only
    time = (np.arange(count) - onset) / (offset - onset)
    courses, fields = _movement(person, performance, view, time)
    still = portrait(person, view)
    seconds = (np.arange(count) - onset) / fps
    stray = nuisances.stray(view)
    x, y = np.meshgrid(np.arange(view.width, dtype=np.float32), np.arange(view.height, dtype=np.float32))
    frames = np.empty((len(wanted), view.height, view.width, 3), np.uint8)
    for place, t in enumerate(wanted):
        field = np.zeros((view.height, view.width, 3), np.float32)
        for course, part in zip(courses, fields, strict=True):
            if course[t]:
                field = cv2.scaleAdd(part, course[t], field)
        for weight, part in zip(nuisances.stray_course(seconds[t]), stray, strict=True):
            field = cv2.scaleAdd(part, weight * view.unit, field)
        frame = _expose(person, still, view, field, nuisances, seconds[t], x, y)
        frame = nuisances.develop(frame, view, t, seconds[t])
        if grey:
            frame = np.repeat((frame @ np.array([0.299, 0.587, 0.114], np.float32))[..., None], 3, -1)
        frames[place] = np.clip(frame, 0, 255) + np.float32(0.5)
    at_apex = np.zeros((view.height, view.width, 3), np.float32)
    for course, part in zip(courses, fields, strict=True):
        at_apex += np.float32(course[apex]) * part
    truth = Truth(
        onset=onset,
        apex=apex,
        offset=offset,
        emotion=performance.emotion,
        action_units=performance.action_units,
        strength=profile(time, performance.apex, performance.hold),
        displacement=at_apex[..., :2],
        blinks=bool(nuisances.blink(seconds).any()),
    )
    return frames, truth


def _movement(
    person: Person, performance: Performance, view: View, time: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For every action unit its course over time (T,), and its field at full strength (height, width, 3)."""
    courses, fields = [], []
    for unit in sorted({move.unit for move in performance.moves}):
        moves = [move for move in performance.moves if move.unit == unit]
        sides = action_field(person, unit, view)
        fields.append(sum(np.float32(move.peak * view.unit) * sides[move.side] for move in moves))
        courses.append(profile(time, moves[0].apex, performance.hold))
    return courses, fields


def _expose(
    person: Person,
    still: Portrait,
    view: View,
    field: np.ndarray,
    nuisances: Nuisances,
    seconds: float,
    x: np.ndarray,
    y: np.ndarray,
) -> np.ndarray:
    """The picture on the sensor, display-encoded float32 (height, width, 3), without noise and flicker."""
    pose = nuisances.pose(view, seconds)
    still_head = pose is None
    if not still_head:
        # The skin's displacement belongs to the head and travels with it.
        field = cv2.warpAffine(
            field,
            pose,
            (view.width, view.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        m = pose.astype(np.float32)
        x, y = m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]
    factor, shift = np.float32(SUPERSAMPLE), np.float32(0.5 * SUPERSAMPLE - 0.5)
    u = (x - field[..., 0]) * factor + shift
    v = (y - field[..., 1]) * factor + shift
    source = still.face
    closing = float(nuisances.blink(np.array([seconds]))[0])
    if closing > 0:
        source = _blink(person, still, view.scaled(SUPERSAMPLE), closing)
    frame = cv2.remap(source, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if field[..., 2].any():
        frame *= np.exp(-field[..., 2:])
    if still.glasses is None:
        return frame
    glasses = still.glasses
    if not still_head:
        glasses = cv2.warpAffine(
            glasses, pose, (view.width, view.height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
    return frame * (1 - glasses[..., 3:]) + glasses[..., :3]


def _blink(person: Person, still: Portrait, fine: View, closing: float) -> np.ndarray:
    """The portrait with both upper lids lowered by ``closing`` in (0, 1]."""
    picture = still.face.copy()
    for side in SIDES:
        upper, lower = eye_outline(person, side, closing)
        left, top = np.floor(fine.pixels(np.minimum(upper.min(0), lower.min(0)) - np.array([0.08, 0.18]))).astype(int)
        right, bottom = np.ceil(fine.pixels(lower.max(0) + np.array([0.08, 0.10]))).astype(int)
        left, top = max(left, 0), max(top, 0)
        window = np.s_[top:bottom, left:right]
        x, y = (axis[window] for axis in fine.grid())
        order = np.argsort(upper[:, 0])
        lid = np.interp(x[0], upper[order, 0], upper[order, 1]).astype(np.float32)
        rim = np.exp(-np.square((y - lid) / np.float32(0.016))) * edge(0.27 - np.abs(x - SIDES[side] * 0.5), 0.05)
        shut = np.float32(np.clip((closing - 0.8) / 0.2, 0, 1))
        mask = np.maximum(edge(lid - y, 0.02) * np.float32(min(1.0, 6 * closing)), shut)[..., None]
        mixed = picture[window] * (1 - mask) + still.closed[window] * mask
        picture[window] = mixed * (1 - 0.6 * rim * (1 - shut) * np.float32(min(1.0, 6 * closing)))[..., None]
    return picture
