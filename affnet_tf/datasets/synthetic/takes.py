"""One clip that is to be filmed, and the filming of it.

Every random stream is keyed by its purpose, the person and the clip, so that a clip's bytes depend on nothing else:
neither on the clips beside it nor on the process that films it, and nothing of a face can depend on a label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from affnet_tf.datasets.synthetic.camera import Truth, render_clip
from affnet_tf.datasets.synthetic.difficulty import Difficulty
from affnet_tf.datasets.synthetic.face import Person, invent
from affnet_tf.datasets.synthetic.nuisances import Nuisances
from affnet_tf.datasets.synthetic.paint import View
from affnet_tf.datasets.synthetic.performance import Performance, perform

__all__ = ["KINDS", "Purpose", "Take", "entropy", "film", "person", "rehearse"]

KINDS = MappingProxyType(
    {
        "micro": MappingProxyType({"seconds": (0.12, 0.5), "peak": (0.013, 0.034)}),
        "macro": MappingProxyType({"seconds": (0.6, 1.5), "peak": (0.04, 0.10)}),
    }
)
"""Seconds from onset to offset and the fastest point's displacement in face units, by the kind of expression.

Macro-expressions last up to four seconds in people; here they end sooner, to spare disks.
"""


class Purpose:
    """What a random stream is for."""

    APPEARANCE, EXPRESSION, NUISANCE, NAMES, TEMPER, WORDS, CODER = range(7)


@dataclasses.dataclass(frozen=True)
class Take:
    """One clip to be filmed.

    Attributes:
        person: who is filmed; the number alone decides the face.
        clip: number of the clip within the person, from 0.
        emotion: what is shown, a key of ``PROTOTYPES`` or two of them joined by +.
        word: what the dataset calls it.
        place: which subject of the dataset it is, from 0.
        episode: number of the film that the person watched, from 1.
        occurrence: which of the person's clips of that episode it is, from 1.
        start: number of the first frame on disk.
        kind: a key of ``KINDS``.
    """

    person: int
    clip: int
    emotion: str
    word: str
    place: int
    episode: int
    occurrence: int
    start: int
    kind: str = "micro"


def person(seed: int, number: int) -> Person:
    """The person with that number."""
    return invent(np.random.default_rng(entropy(seed, Purpose.APPEARANCE, number)))


def rehearse(
    seed: int,
    subject: int,
    clip: int,
    emotion: str,
    *,
    difficulty: float | Difficulty = 1.0,
    kind: str = "micro",
) -> Performance:
    """What ``film`` will show with the same arguments, without filming it."""
    difficulty = Difficulty.of(difficulty)
    temper = np.random.default_rng(entropy(seed, Purpose.TEMPER, subject)).normal(0, 0.18 * min(difficulty.style, 2.0))
    return perform(
        np.random.default_rng(entropy(seed, Purpose.EXPRESSION, subject, clip)),
        emotion,
        difficulty=difficulty.expression,
        ambiguity=difficulty.ambiguity,
        expressive=float(np.exp(temper)),
        **KINDS[kind],
    )


def film(
    seed: int,
    subject: int,
    clip: int,
    emotion: str,
    *,
    view: View | None = None,
    difficulty: float | Difficulty = 1.0,
    fps: float = 200.0,
    grey: bool = False,
    kind: str = "micro",
    only: Sequence[int] | None = None,
) -> tuple[np.ndarray, Truth]:
    """Film one clip: a pure function of its arguments.

    Args:
        seed: seed of the dataset.
        subject: the person's number; it alone decides the face.
        clip: number of the clip; with ``subject`` it decides performance and nuisances.
        emotion: a key of ``PROTOTYPES``, or two joined by +.
        view: the camera's window; by default a cropped face of 340 rows and 280 columns.
        difficulty: 0 is clean and easy, 1 the default, more is harder; or each cause by itself.
        fps: frames per second.
        grey: three equal channels.
        kind: ``micro`` or ``macro``.
        only: indices of the frames to render; None: all.

    Returns:
        Frames, uint8 (T, height, width, 3) RGB, and the truth about them.

    Raises:
        InputError: unknown emotion, or a difficulty out of range.
    """
    difficulty = Difficulty.of(difficulty)
    performance = rehearse(seed, subject, clip, emotion, difficulty=difficulty, kind=kind)
    nuisances = Nuisances(
        entropy(seed, Purpose.NUISANCE, subject, clip),
        difficulty=difficulty.recording,
        blinks=difficulty.blinks,
        seconds=performance.seconds,
    )
    return render_clip(
        person(seed, subject),
        performance,
        view or View.cropped((340, 280)),
        nuisances,
        fps=fps,
        grey=grey,
        only=only,
    )


def entropy(seed: int, purpose: int, *key: int) -> np.random.SeedSequence:
    """The seed of a random stream that serves one purpose."""
    return np.random.SeedSequence(seed, spawn_key=(purpose, *key))
