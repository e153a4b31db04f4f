"""Who performs what: the plan of a synthetic dataset, and the filming of one clip of it.

Every random stream is keyed by its purpose, the subject and the clip, so that a clip's bytes depend on nothing else:
neither on the clips beside it nor on the process that films it, and nothing of a face can depend on a label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from affnet_tf.datasets.synthetic.camera import Truth, render_clip
from affnet_tf.datasets.synthetic.face import Person, invent
from affnet_tf.datasets.synthetic.nuisances import Nuisances
from affnet_tf.datasets.synthetic.paint import View
from affnet_tf.datasets.synthetic.performance import PROTOTYPES, perform
from affnet_tf.errors import InputError, unknown

__all__ = ["Take", "film", "person", "plan"]

_APPEARANCE, _EXPRESSION, _NUISANCE, _NAMES, _TEMPER = range(5)
# In CASME II 63 clips show disgust, 27 repression, 7 sadness and 2 fear.
NEGATIVE = (
    "disgust",
    "repression",
    "disgust",
    "disgust",
    "repression",
    "disgust",
    "sadness",
    "disgust",
    "repression",
    "fear",
)


@dataclasses.dataclass(frozen=True)
class Take:
    """One clip to be filmed.

    Attributes:
        subject: number of the subject, from 1.
        clip: number of the clip within the subject, from 0.
        emotion: what is shown, a key of ``PROTOTYPES``.
        episode: number of the film clip that the subject watched, from 1.
        occurrence: which of the subject's clips of that episode it is, from 1.
        first: number of the first frame on disk.
    """

    subject: int
    clip: int
    emotion: str
    episode: int
    occurrence: int
    first: int


def plan(
    seed: int, subjects: int, clips: int, labels: Sequence[str] | None = None, first_subject: int = 1
) -> list[Take]:
    """The clips of a dataset, in the order of subject and name.

    Every subject gets each of happiness, a negative emotion, surprise and others equally often, give or take one; the
    negative ones cycle in about CASME II's proportions. Order within a subject, episode and frame
    numbers are drawn at random.

    Args:
        labels: emotions to cycle through instead.

    Raises:
        InputError: an unknown label, or none.
    """
    if labels is not None and not labels:
        raise InputError("labels must name at least one emotion. Received: ()")
    for label in labels or ():
        if label not in PROTOTYPES:
            raise unknown("label", label, PROTOTYPES)
    takes = []
    for subject in range(first_subject, first_subject + subjects):
        rng = np.random.default_rng(_entropy(seed, _NAMES, subject))
        emotions = [_emotion(subject, clip, labels) for clip in range(clips)]
        episodes = rng.integers(1, 20, size=clips)
        seen: dict[int, int] = {}
        for clip, which in enumerate(rng.permutation(clips)):
            episode = int(episodes[clip])
            seen[episode] = seen.get(episode, 0) + 1
            takes.append(Take(subject, clip, emotions[which], episode, seen[episode], int(rng.integers(1, 400))))
    return sorted(takes, key=lambda take: (take.subject, take.episode, take.occurrence))


def person(seed: int, subject: int) -> Person:
    """The person who plays ``subject``."""
    return invent(np.random.default_rng(_entropy(seed, _APPEARANCE, subject)))


def film(
    seed: int,
    subject: int,
    clip: int,
    emotion: str,
    *,
    view: View | None = None,
    difficulty: float = 1.0,
    fps: float = 200.0,
    grey: bool = False,
    seconds: tuple[float, float] = (0.12, 0.5),
    peak: tuple[float, float] = (0.013, 0.034),
) -> tuple[np.ndarray, Truth]:
    """Film one clip: a pure function of its arguments.

    Args:
        seed: seed of the dataset.
        subject: the subject's number; it alone decides the face.
        clip: number of the clip; with ``subject`` it decides performance and nuisances.
        emotion: a key of ``PROTOTYPES``.
        view: the camera's window; by default a cropped face of 340 rows and 280 columns.
        difficulty: 0 is clean and easy, 1 the default, more is harder.
        fps: frames per second.
        grey: three equal channels.
        seconds, peak: see ``perform``.

    Returns:
        Frames, uint8 (T, height, width, 3) RGB, and the truth about them.

    Raises:
        InputError: unknown emotion, or a difficulty out of range.
    """
    temper = np.random.default_rng(_entropy(seed, _TEMPER, subject)).normal(0, 0.18 * min(difficulty, 2.0))
    performance = perform(
        np.random.default_rng(_entropy(seed, _EXPRESSION, subject, clip)),
        emotion,
        difficulty=difficulty,
        seconds=seconds,
        peak=peak,
        expressive=float(np.exp(temper)),
    )
    nuisances = Nuisances(_entropy(seed, _NUISANCE, subject, clip), difficulty=difficulty, seconds=performance.seconds)
    return render_clip(
        person(seed, subject), performance, view or View.cropped((340, 280)), nuisances, fps=fps, grey=grey
    )


def _emotion(subject: int, clip: int, labels: Sequence[str] | None) -> str:
    if labels is not None:
        return labels[(subject + clip) % len(labels)]
    kind = (subject + clip) % 4
    if kind == 1:
        return NEGATIVE[(2 * subject + clip // 4) % len(NEGATIVE)]
    return ("happiness", "", "surprise", "others")[kind]


def _entropy(seed: int, purpose: int, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(purpose, *key))
