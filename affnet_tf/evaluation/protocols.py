"""Which clips train and which test: pure functions from clips to folds. No subject is ever on both sides."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence
from typing import Protocol

from affnet_tf.errors import InputError

__all__ = ["Fold", "Key", "hold_out_subjects", "loso", "subjects"]

Key = tuple[str, str]
"""(dataset, clip_id)."""


class HasSubject(Protocol):
    """What a protocol needs to know of a clip."""

    dataset: str
    subject: str
    clip_id: str


@dataclasses.dataclass(frozen=True)
class Fold:
    """One split of the clips.

    Attributes:
        name: unique within the protocol and fit for a file, such as ``casme2-sub01``.
        train: keys of the clips that the weights are fitted to.
        validation: keys of clips of *training* subjects that are held out to choose an epoch or a temperature.
        test: keys of the clips that are predicted.
    """

    name: str
    train: tuple[Key, ...]
    validation: tuple[Key, ...]
    test: tuple[Key, ...]


def subjects(clips: Iterable[HasSubject]) -> list[tuple[str, str]]:
    """The subjects of the clips, keyed (dataset, subject) since two datasets may both have a ``sub01``, sorted."""
    return sorted({(clip.dataset, clip.subject) for clip in clips})


def loso(clips: Sequence[HasSubject], validation: float = 0.0, seed: int = 0) -> list[Fold]:
    """Leave one subject out: one fold for each subject, who is tested on by a network that has seen all the others.

    Args:
        clips: the labelled clips.
        validation: share of each fold's training subjects that is held out for validation.
        seed: which of them.

    Raises:
        InputError: fewer than two subjects.
    """
    people = subjects(clips)
    if len(people) < 2:
        raise InputError(f"loso must have at least 2 subjects. Received: {len(people)}")
    folds = []
    for dataset, subject in people:
        test = [clip for clip in clips if (clip.dataset, clip.subject) == (dataset, subject)]
        others = [clip for clip in clips if (clip.dataset, clip.subject) != (dataset, subject)]
        train, held_out = hold_out_subjects(others, validation, seed)
        folds.append(Fold(_fold_name(dataset, subject), train, held_out, _keys(test)))
    return folds


def hold_out_subjects(clips: Sequence[HasSubject], share: float, seed: int) -> tuple[tuple[Key, ...], tuple[Key, ...]]:
    """Split training clips by subject: (train, validation). A share above 0 holds out one subject at the least.

    Raises:
        InputError: nothing would be left to train on.
    """
    people = subjects(clips)
    count = max(1, round(share * len(people))) if share else 0
    if count >= len(people):
        raise InputError(
            f"validation must leave a subject to train on. Received: a share of {share} of {len(people)} subjects"
        )
    chosen = set(random.Random(seed).sample(people, count))
    return (
        _keys(clip for clip in clips if (clip.dataset, clip.subject) not in chosen),
        _keys(clip for clip in clips if (clip.dataset, clip.subject) in chosen),
    )


def _fold_name(dataset: str, subject: str) -> str:
    """``dataset-subject``; what would make two names one, or a path of a name, is escaped as in URLs."""
    return f"{_escape(dataset, '-')}-{_escape(subject)}"


def _escape(text: str, more: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in '%/\\:*?"<>|' + more or c < " " else c for c in text)


def _keys(clips: Iterable[HasSubject]) -> tuple[Key, ...]:
    return tuple((clip.dataset, clip.clip_id) for clip in clips)
