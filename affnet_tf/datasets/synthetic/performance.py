"""A performance: which muscles a person moves, how far and when, and what disturbs the recording."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

import numpy as np

from affnet_tf.datasets.synthetic.face import SIDES
from affnet_tf.errors import InputError, unknown

__all__ = ["PROTOTYPES", "SHARED", "Move", "Performance", "Prototype", "perform", "profile"]


@dataclasses.dataclass(frozen=True)
class Prototype:
    """How an emotion may look: one of ``ways`` is chosen; units in ``core`` are what tells it from other emotions.

    Of a way's units any may fail to show, but never the last one that is in ``core``.
    """

    ways: tuple[tuple[int, ...], ...]
    core: frozenset[int]
    one_sided: float = 0.15


def _prototype(*ways: tuple[int, ...], core: tuple[int, ...], one_sided: float = 0.15) -> Prototype:
    return Prototype(ways, frozenset(core), one_sided)


_TENSE = _prototype((4,), (4, 7), (4, 5), (4, 23), (4, 24), core=(4,))

# The dataset papers' habit: CASME II's "others" are mostly variants of AU 4 and tense lips or eyes.
PROTOTYPES = MappingProxyType(
    {
        "happiness": _prototype((6, 12), (6, 12), (12,), (7, 12), (12, 25), core=(12,)),
        "surprise": _prototype((1, 2), (1, 2, 5), (1, 2, 5, 25), (1, 2, 25), (1, 2, 5, 25, 26), core=(2,)),
        "disgust": _prototype((9,), (4, 9), (9, 10), (10, 17), (4, 7, 9), (9, 17), core=(9, 10)),
        "repression": _prototype((15,), (15, 17), (14, 17), (15, 24), (17, 24), core=(15, 17)),
        "sadness": _prototype((1, 4), (1, 4, 15), (1, 15), (1, 4, 17), core=(1,)),
        "fear": _prototype((1, 2, 4, 20), (1, 4, 20), (4, 5, 20, 25), (20, 25), core=(20,)),
        "anger": _prototype((4, 7), (4, 5, 7), (4, 7, 23), (4, 7, 24), (4, 23), core=(4,)),
        "contempt": _prototype((14,), (12, 14), core=(14,), one_sided=1.0),
        "others": _TENSE,
        "other": _TENSE,
        "tense": _TENSE,
    }
)

_VAGUE = ((4,), (7,), (14,), (1,), (12, 14), (4, 5))

# What coders file now under one class and now under another: a smile that is pressed together, brows that rise while they
# are drawn together, one unit alone.
SHARED = MappingProxyType(
    {
        "happiness": ((12, 14), (14,), (12, 15), (12, 17), (10, 12), (7,), (25,)),
        "surprise": ((1,), (1, 4), (1, 2, 4), (5,), (4, 5), (25,)),
        "disgust": ((10, 12), (12, 14), (7,), (4,), (1, 4), (4, 5)),
        "repression": ((14,), (12, 14), (12, 15), (12, 17), (25,), (7,)),
        "sadness": ((1,), (1, 4), (1, 2, 4), (12, 15), (7,)),
        "fear": ((1, 2, 4), (5,), (4, 5), (1,), (25,), (1, 4)),
        "anger": ((4,), (7,), (4, 5), (5,), (10, 12), (1, 4)),
        "contempt": ((14,), (12, 14), (10, 12), (12, 15), (7,)),
        "others": _VAGUE,
        "other": _VAGUE,
        "tense": _VAGUE,
    }
)


@dataclasses.dataclass(frozen=True)
class Move:
    """One action unit on one side: it peaks with ``peak`` face units, at ``apex`` (0 is the onset, 1 the offset)."""

    unit: int
    side: str
    peak: float
    apex: float


@dataclasses.dataclass(frozen=True)
class Performance:
    """All that happens in one clip, independent of the face that shows it and of the picture's size.

    Attributes:
        emotion: the native word.
        moves: the action units.
        seconds: from the onset frame to the offset frame.
        apex: where between onset (0) and offset (1) the expression peaks.
        hold: share of the time spent near the peak.
        lead: seconds recorded before the onset frame.
        tail: seconds recorded after the offset frame.
    """

    emotion: str
    moves: tuple[Move, ...]
    seconds: float
    apex: float
    hold: float
    lead: float
    tail: float

    @property
    def action_units(self) -> str:
        """As the workbooks write it: ``4+7``; a unit on one side only carries the side, ``L14``."""
        written = []
        for unit in sorted({move.unit for move in self.moves}):
            sides = {move.side for move in self.moves if move.unit == unit}
            written.append(f"{next(iter(sides))}{unit}" if len(sides) == 1 else str(unit))
        return "+".join(written)


def perform(
    rng: np.random.Generator,
    emotion: str,
    *,
    difficulty: float = 1.0,
    ambiguity: float = 0.0,
    seconds: tuple[float, float] = (0.12, 0.5),
    peak: tuple[float, float] = (0.013, 0.034),
    expressive: float = 1.0,
) -> Performance:
    """Draw how ``emotion`` is shown.

    Args:
        rng: serves expressions alone, so that appearance and nuisances cannot carry the label.
        emotion: a key of ``PROTOTYPES``, or two joined by +, which are then shown at once.
        difficulty: 0 shows whole prototypes, strongly and evenly; more loses units, strength and symmetry.
        ambiguity: probability that a way of ``SHARED`` is shown, which other emotions have too.
        seconds: range of the time from onset to offset. The default is a micro-expression's, 1/25 to 1/2 s, as far
            as CASME II reports it; a macro-expression lasts (0.6, 3).
        peak: range of the fastest point's greatest displacement, in face units; at 280 x 340 one unit is 113 pixels.
        expressive: how strongly this person shows anything.

    Raises:
        InputError: unknown emotion, or a negative difficulty.
    """
    words = emotion.split("+")
    for word in words:
        if word not in PROTOTYPES:
            raise unknown("emotion", word, PROTOTYPES)
    if not 0 <= difficulty <= 10:
        raise InputError(f"difficulty must lie in [0, 10]. Received: {difficulty!r}")
    prototypes = [PROTOTYPES[word] for word in words]
    units = sorted({unit for prototype in prototypes for unit in _units(rng, prototype, difficulty)})
    if ambiguity and rng.random() < ambiguity:
        ways = SHARED[words[0]]
        units = sorted(ways[int(rng.integers(len(ways)))])
    core = frozenset().union(*(prototype.core for prototype in prototypes))
    one_sided = max(prototype.one_sided for prototype in prototypes)
    low, high = np.log(peak)
    strength = np.exp(rng.uniform(low, high)) * expressive * 1.4 / (1 + 0.4 * difficulty)
    apex = rng.uniform(0.32, 0.58)
    spread = 0.6 * min(difficulty, 3.0)
    uneven = np.exp(rng.normal(0, 0.16 * spread))
    alone = rng.random() < one_sided * min(difficulty, 1.0)
    if one_sided == 1.0:
        alone = True
    keep = str(rng.choice(list(SIDES)))
    moves = []
    for unit in units:
        gain = strength * np.exp(rng.normal(0, 0.18 * spread)) * (1.0 if unit in core else 0.75)
        own_apex = float(np.clip(apex + rng.normal(0, 0.035 * spread), 0.25, 0.7))
        central = unit in (17, 23, 24, 25, 26)
        for side in SIDES:
            if alone and not central and side != keep:
                continue
            tilt = 1.0 if central else (np.sqrt(uneven) if side == "L" else 1 / np.sqrt(uneven))
            moves.append(Move(int(unit), side, float(gain * tilt), own_apex))
    return Performance(
        emotion=emotion,
        moves=tuple(moves),
        seconds=float(np.exp(rng.uniform(*np.log(seconds)))),
        apex=float(apex),
        hold=float(rng.uniform(0.05, 0.30)),
        lead=float(rng.uniform(0.02, 0.06)),
        tail=float(rng.uniform(0.02, 0.06)),
    )


def profile(time: np.ndarray, apex: float, hold: float) -> np.ndarray:
    """Strength in [0, 1] at ``time`` (0 at onset, 1 at offset): smooth rise, hold, slower decay; exactly 0 outside."""
    time = np.asarray(time, np.float64)
    rise = np.clip(time / (apex - 0.5 * hold * apex), 0, 1)
    start = apex + 0.5 * hold * (1 - apex)
    fall = np.clip((1 - time) / (1 - start), 0, 1)
    return _smooth(rise) * _smooth(fall)


def _units(rng: np.random.Generator, prototype: Prototype, difficulty: float) -> list[int]:
    way = list(prototype.ways[int(rng.integers(len(prototype.ways)))])
    lost = rng.random(len(way)) < min(0.15 * difficulty, 0.6)
    kept = [unit for unit, gone in zip(way, lost, strict=True) if not gone]
    if not prototype.core & set(kept):
        spared = [unit for unit in way if unit in prototype.core]
        kept.append(spared[int(rng.integers(len(spared)))])
    return sorted(kept)


def _smooth(t: np.ndarray) -> np.ndarray:
    return t * t * t * (t * (6 * t - 15) + 10)
