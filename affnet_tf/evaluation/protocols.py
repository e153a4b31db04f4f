"""Which clips train and which test: pure functions from clips to folds. No person is ever on two sides of one.

All protocols take the labelled clips, the share of each fold's training persons that is held out for validation, and the
seed of what is drawn. The order of the clips decides nothing but the order within a fold.
"""

from __future__ import annotations

import itertools
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from affnet_tf.errors import InputError, unknown
from affnet_tf.evaluation.fold import (
    Fold,
    HasSubject,
    Key,
    check_folds,
    distinct,
    hold_out_subjects,
    keys_of,
    people,
    who,
)

__all__ = [
    "BY_FOLD",
    "EVEN",
    "PROTOCOLS",
    "Fold",
    "Key",
    "check_folds",
    "composite",
    "cross_dataset",
    "folds",
    "hold_out_subjects",
    "holdout",
    "kfold",
    "loso",
    "people",
]

PROTOCOLS = ("loso", "kfold", "composite", "cross_dataset", "holdout")
"""The names that ``folds`` takes."""

EVEN = ("loso", "kfold", "composite")
"""Those whose folds all train on nearly as many clips."""

BY_FOLD = ("cross_dataset",)
"""Those whose folds are experiments of their own: they are scored one by one, never pooled."""


def folds(
    protocol: str,
    clips: Sequence[HasSubject],
    validation: float = 0.0,
    seed: int = 0,
    *,
    k: int | None = None,
    label_of: Mapping[Key, int] | None = None,
) -> list[Fold]:
    """The folds of a protocol by its name.

    Args:
        protocol: one of ``PROTOCOLS``.
        clips: the labelled clips.
        validation: share of each fold's training persons that is held out for validation.
        seed: of what is drawn.
        k: number of folds of ``kfold``, by default 5; no other protocol takes it.
        label_of: label index of each clip, by which ``kfold`` balances its folds.

    Raises:
        InputError: no such protocol, or one that these clips do not serve.
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS)
    if protocol == "kfold":
        return kfold(clips, 5 if k is None else k, validation, seed, label_of)
    if k is not None:
        raise InputError(f"a number of folds must go with protocol kfold. Received: {k} with {protocol}")
    made = {"loso": loso, "composite": composite, "cross_dataset": cross_dataset, "holdout": holdout}[protocol]
    return made(clips, validation, seed)


def loso(clips: Sequence[HasSubject], validation: float = 0.0, seed: int = 0) -> list[Fold]:
    """Leave one subject out: one fold for each person, who is tested on by a network that has seen all the others.

    Raises:
        InputError: fewer than two persons.
    """
    names = people(clips)
    if len(names) < 2:
        raise InputError(f"loso must have at least 2 subjects. Received: {len(names)}")
    return distinct(_fold(_person_name(name), clips, {name}, validation, seed) for name in names)


def kfold(
    clips: Sequence[HasSubject],
    k: int = 5,
    validation: float = 0.0,
    seed: int = 0,
    label_of: Mapping[Key, int] | None = None,
) -> list[Fold]:
    """``k`` folds of whole persons, as even as 20 greedy attempts make them.

    Each attempt goes through the persons in another random order and puts each where the classes (or, without
    ``label_of``, the clips) stay most even; the most even attempt is taken. Another seed gives other folds.

    Raises:
        InputError: fewer persons than folds, or fewer than two folds.
    """
    names = people(clips)
    if not 2 <= k <= len(names):
        raise InputError(f"kfold must have from 2 to {len(names)} folds for {len(names)} subjects. Received: {k}")
    rows = {name: row for row, name in enumerate(names)}
    counts = np.zeros((len(names), 1 + max(label_of.values(), default=0) if label_of else 1))
    for clip in clips:
        counts[rows[who(clip)], label_of[clip.dataset, clip.clip_id] if label_of else 0] += 1
    parts = _even_parts(counts, k, seed)
    return [
        _fold(
            f"fold{i + 1:0{len(str(k))}d}", clips, {names[row] for row in np.flatnonzero(parts == i)}, validation, seed
        )
        for i in range(k)
    ]


def composite(clips: Sequence[HasSubject], validation: float = 0.0, seed: int = 0) -> list[Fold]:
    """The composite evaluation of MEGC2019: leave one subject out over the union of two or more datasets.

    Raises:
        InputError: fewer than two datasets, or one with a single person.
    """
    _check_datasets("composite", clips)
    return loso(clips, validation, seed)


def cross_dataset(clips: Sequence[HasSubject], validation: float = 0.0, seed: int = 0) -> list[Fold]:
    """Train on one dataset, test on another: a fold for each ordered pair, named ``casme2-to-samm``.

    A clip is tested once for each dataset that another network was trained on: score by fold, not pooled. Clips of the
    training dataset whose persons also take part in the tested one are excluded.

    Raises:
        InputError: fewer than two datasets, one with a single person, or a pair that leaves nobody to train on.
    """
    made = []
    for source, target in itertools.permutations(_check_datasets("cross_dataset", clips), 2):
        pair = [clip for clip in clips if clip.dataset in (source, target)]
        made.append(_dataset_fold(_escape(source, "-"), target, pair, validation, seed))
    return distinct(made)


def holdout(clips: Sequence[HasSubject], validation: float = 0.0, seed: int = 0) -> list[Fold]:
    """Hold one dataset out and train on all the others: a fold for each dataset, named ``rest-to-samm``.

    Clips of the others whose persons also take part in the tested dataset are excluded.

    Raises:
        InputError: fewer than two datasets, one with a single person, or a fold that leaves nobody to train on.
    """
    targets = _check_datasets("holdout", clips)
    return distinct(_dataset_fold("rest", target, clips, validation, seed) for target in targets)


def _fold(name: str, clips: Sequence[HasSubject], tested: set[str], validation: float, seed: int) -> Fold:
    """The fold that tests all clips of some persons."""
    test = [clip for clip in clips if who(clip) in tested]
    rest = [clip for clip in clips if who(clip) not in tested]
    return Fold(name, *_training(name, rest, validation, seed), keys_of(test))


def _dataset_fold(source: str, target: str, clips: Sequence[HasSubject], validation: float, seed: int) -> Fold:
    """The fold that tests one dataset and trains on the other clips, but for those of the tested persons."""
    name = f"{source}-to-{_escape(target, '-')}"
    test = [clip for clip in clips if clip.dataset == target]
    tested = set(people(test))
    others = [clip for clip in clips if clip.dataset != target]
    excluded = [clip for clip in others if who(clip) in tested]
    rest = [clip for clip in others if who(clip) not in tested]
    reason = ""
    if excluded:
        shared = people(excluded)
        reason = (
            f"{len(excluded)} clips do not train, since {target} tests their {len(shared)} persons: {', '.join(shared)}"
        )
        if not rest:
            raise InputError(f"fold {name!r} must leave somebody to train on who is not tested. Received: {reason}")
    return Fold(name, *_training(name, rest, validation, seed), keys_of(test), keys_of(excluded), reason)


def _training(name: str, clips: Sequence[HasSubject], validation: float, seed: int) -> tuple[tuple[Key, ...], ...]:
    try:
        # Drawn anew in each fold: one draw for all would leave the same few persons out of training every time.
        return hold_out_subjects(clips, validation, zlib.crc32(f"{seed} {name}".encode()))
    except InputError as error:
        raise InputError(f"fold {name!r}: {error}") from None


def _even_parts(counts: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Spread rows of counts (persons, classes) over ``k`` parts: the part of each row."""
    rng = np.random.default_rng(seed)
    totals = np.maximum(counts.sum(axis=0), 1)
    best, least = np.zeros(len(counts), int), np.inf
    for _ in range(20):
        sums, parts = np.zeros((k, counts.shape[1])), np.zeros(len(counts), int)
        for row in rng.permutation(len(counts)):
            # What the sum of squared shares grows by. An empty part grows least, and has fewest clips where that is equal.
            growth = np.round((sums * counts[row] / totals**2).sum(axis=1), 12)
            part = min(range(k), key=lambda i: (growth[i], sums[i].sum(), i))
            sums[part] += counts[row]
            parts[row] = part
        unevenness = np.square(sums / totals).sum()
        if unevenness < least - 1e-12:
            best, least = parts, unevenness
    return best


def _check_datasets(protocol: str, clips: Sequence[HasSubject]) -> list[str]:
    names = sorted({clip.dataset for clip in clips})
    if len(names) < 2:
        raise InputError(f"{protocol} must have at least 2 datasets. Received: {', '.join(names) or 'none'}")
    sizes = Counter(dataset for dataset, _ in {(clip.dataset, who(clip)) for clip in clips})
    for name in names:
        if sizes[name] < 2:
            raise InputError(f"{protocol}: each dataset must have at least 2 subjects. Received: {name!r} with 1")
    return names


def _person_name(name: str) -> str:
    """``dataset-subject``; what would make two names one, or a path of a name, is escaped as in URLs."""
    dataset, _, subject = name.partition("/")
    return f"{_escape(dataset, '-')}-{_escape(subject)}"


def _escape(text: str, more: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in '%/\\:*?"<>|' + more or c < " " else c for c in text)
