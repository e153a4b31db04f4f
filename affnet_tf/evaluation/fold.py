"""One split of the clips, and the rules that every split keeps.

A person may take part in several datasets (``datasets.people``); everything here goes by person, not by subject.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from affnet_tf.datasets.people import person
from affnet_tf.errors import InputError

__all__ = ["Fold", "HasSubject", "Key", "check_folds", "distinct", "hold_out_subjects", "keys_of", "people", "who"]

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
        name: unique within the protocol, also where file names do not tell upper from lower case, and fit for a file.
        train: keys of the clips that the weights are fitted to.
        validation: keys of clips of *training* persons that are held out to choose an epoch or a temperature.
        test: keys of the clips that are predicted.
        excluded: keys of clips that would train if their persons were not tested on: they are on no side.
        reason: why they are, in words; empty where there are none.
    """

    name: str
    train: tuple[Key, ...]
    validation: tuple[Key, ...]
    test: tuple[Key, ...]
    excluded: tuple[Key, ...] = ()
    reason: str = ""


def people(clips: Iterable[HasSubject]) -> list[str]:
    """The persons in the clips, sorted."""
    return sorted({who(clip) for clip in clips})


def who(clip: HasSubject) -> str:
    """The person in a clip."""
    return person(clip.dataset, clip.subject)


def hold_out_subjects(clips: Sequence[HasSubject], share: float, seed: int) -> tuple[tuple[Key, ...], tuple[Key, ...]]:
    """Split training clips by person: (train, validation). A share above 0 holds out one person at the least.

    Raises:
        InputError: nothing would be left to train on, or the share is not in [0, 1).
    """
    names = people(clips)
    count = max(1, round(share * len(names))) if share else 0
    if not 0 <= share < 1 or count >= len(names):
        raise InputError(
            f"validation must leave a subject to train on. Received: a share of {share} of {len(names)} subjects"
        )
    chosen = set(random.Random(seed).sample(names, count))
    return (
        keys_of(clip for clip in clips if who(clip) not in chosen),
        keys_of(clip for clip in clips if who(clip) in chosen),
    )


def check_folds(made: Sequence[Fold], label_of: Mapping[Key, int], classes: Sequence[str]) -> None:
    """Check that every class can be learnt in every fold.

    Args:
        made: the folds.
        label_of: label index by key.
        classes: label names, in the order of their indices.

    Raises:
        InputError: the labels leave a class without any clip, or the training clips of a fold lack a class.
    """
    keys = {key for fold in made for key in (*fold.train, *fold.validation, *fold.test, *fold.excluded)}
    empty = _lacking(keys, label_of, classes)
    if empty:
        raise InputError(
            f"the label scheme must give every class a clip. Received: none of {empty} in {len(keys)} clips"
        )
    lacking = {fold.name: _lacking(fold.train, label_of, classes) for fold in made}
    broken = {name: missing for name, missing in lacking.items() if missing}
    if broken:
        name, missing = next(iter(broken.items()))
        more = f", and likewise {len(broken) - 1} more of {len(made)} folds" if len(broken) > 1 else ""
        raise InputError(f"fold {name!r}: the training clips must have every class. Received: none of {missing}{more}")


def _lacking(keys: Iterable[Key], label_of: Mapping[Key, int], classes: Sequence[str]) -> str:
    present = {label_of[key] for key in keys}
    return ", ".join(repr(label) for index, label in enumerate(classes) if index not in present)


def keys_of(clips: Iterable[HasSubject]) -> tuple[Key, ...]:
    """The keys of clips, in their order."""
    return tuple((clip.dataset, clip.clip_id) for clip in clips)


def distinct(made: Iterable[Fold]) -> list[Fold]:
    """Names that are one to some file system, or too long for most, are told apart by a number."""
    taken: set[str] = set()
    named = []
    for fold in made:
        stem = fold.name.encode()[:180].decode(errors="ignore")
        tries = itertools.chain([stem], (f"{stem}~{count}" for count in itertools.count(2)))
        name = next(name for name in tries if unicodedata.normalize("NFC", name).casefold() not in taken)
        taken.add(unicodedata.normalize("NFC", name).casefold())
        named.append(dataclasses.replace(fold, name=name))
    return named
