"""A stand-in for the MEGC2019 composite: three datasets of its size, class counts, frame rates and looks.

See, Yap, Li, Hong, Wang: MEGC 2019, the second facial micro-expressions grand challenge (FG 2019): 442 clips of 68 subjects
from SMIC-HS, CASME II and SAMM, in the classes negative, positive and surprise.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from affnet_tf.datasets.synthetic.difficulty import Difficulty
from affnet_tf.datasets.synthetic.entries import Entry
from affnet_tf.datasets.synthetic.layout import Layout
from affnet_tf.datasets.synthetic.layouts import LAYOUTS
from affnet_tf.datasets.synthetic.planning import annotate, shown_as
from affnet_tf.datasets.synthetic.takes import Purpose, Take, entropy
from affnet_tf.datasets.synthetic.writing import Job, check_seed, film_all, new_folder, write_release
from affnet_tf.errors import InputError

__all__ = ["COMPOSITE", "Part", "annotate_part", "plan_part", "write_composite"]

# The composite leaves sub04/EP12_01f and sub05/EP09_05f of CASME II out by name: nobody watches these films.
UNSEEN = (9, 12)


@dataclasses.dataclass(frozen=True)
class Part:
    """One dataset of the composite.

    Attributes:
        subjects: how many people.
        counts: clips by the dataset's word.
        scale: height and width of the frames over those of the layout.
        difficulty: meant to be as hard for STSTNet as the real dataset; benchmarks/composite.py prints how hard it is.
    """

    subjects: int
    counts: Mapping[str, int]
    scale: float
    difficulty: Difficulty


COMPOSITE: Mapping[str, Part] = MappingProxyType(
    {
        "smic_hs": Part(
            16,
            {"negative": 70, "positive": 51, "surprise": 43},
            0.8,
            Difficulty(expression=1.8, style=1.5, recording=1.8, blinks=2.0, ambiguity=0.32),
        ),
        "casme2": Part(
            24,
            {"disgust": 61, "repression": 27, "happiness": 32, "surprise": 25},
            0.6,
            Difficulty(expression=1.2, style=1.5, recording=1.2, blinks=1.0, ambiguity=0.17, apex_error=0.1),
        ),
        "samm": Part(
            28,
            {"anger": 57, "contempt": 12, "disgust": 9, "fear": 8, "sadness": 6, "happiness": 26, "surprise": 15},
            0.7,
            Difficulty(expression=1.6, style=1.5, recording=1.6, blinks=1.8, ambiguity=0.1, apex_error=0.12),
        ),
    }
)
"""The three datasets by name, with the counts of the published composite: 70/51/43, 88/32/25 and 92/26/15."""


def write_composite(
    out: str | os.PathLike,
    *,
    difficulty: float | Mapping[str, Difficulty] = 1.0,
    seed: int = 0,
    parts: Mapping[str, Part] = COMPOSITE,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Write a composite of people who do not exist: ``out/smic_hs``, ``out/casme2`` and ``out/samm``, each in its layout.

    ``affnet prepare`` reads each into one store. The same arguments give byte-identical files. ``out`` appears whole or not
    at all.

    Args:
        out: folder to create; it may exist if it is empty.
        difficulty: 1 is the default, which differs between the datasets; another number multiplies every cause of it;
            or the difficulty of each dataset.
        seed: another seed is another cast.
        parts: the datasets and their sizes.
        workers: processes; by default one a processor.
        progress: called with the number of clips done and the number in all, 442.

    Returns:
        The datasets' folders by name.

    Raises:
        InputError: an argument is out of range, or ``out`` holds something.
    """
    check_seed(seed)
    causes = {name: _difficulty(name, parts, difficulty) for name in parts}
    pairs = {name: annotate_part(name, parts[name], causes[name], seed) for name in parts}
    with new_folder(out) as root:
        film_all(
            [
                Job(root / name, name, take, entry, False, (parts[name].scale,) * 2, seed, causes[name])
                for name in parts
                for take, entry in pairs[name]
            ],
            workers,
            progress,
        )
        for name in parts:
            entries = [entry for _, entry in pairs[name]]
            write_release(root / name, LAYOUTS[name], entries, f"composite, seed {seed}, {causes[name].told()}")
    return {name: Path(out) / name for name in parts}


def annotate_part(name: str, part: Part, difficulty: Difficulty, seed: int) -> list[tuple[Take, Entry]]:
    """The clips of one dataset of the composite and what its sheet says of them. Nothing is filmed."""
    return annotate(LAYOUTS[name], plan_part(LAYOUTS[name], part, seed), seed, difficulty)


def plan_part(layout: Layout, part: Part, seed: int) -> list[Take]:
    """Who shows what: clips are as uneven between subjects as in the real datasets, and so are the classes.

    Every subject has at least one clip; the counts of the words are exact.
    """
    rng = np.random.default_rng(entropy(seed, Purpose.NAMES, layout.cast, part.subjects))
    clips = _shares(rng.lognormal(0, 0.8, part.subjects), sum(part.counts.values()))
    words = list(part.counts)
    share = np.array([part.counts[word] for word in words], np.float64)
    tastes = rng.dirichlet(8 * share / share.sum(), part.subjects) + 0.01
    left, given = clips.copy(), [[] for _ in range(part.subjects)]
    deck = [word for word in words for _ in range(part.counts[word])]
    for word in rng.permutation(deck):
        chance = left * tastes[:, words.index(word)]
        subject = int(rng.choice(part.subjects, p=chance / chance.sum()))
        given[subject].append(str(word))
        left[subject] -= 1
    films = [film for film in range(1, layout.episodes + 1) if film not in UNSEEN]
    takes = []
    for place, words in enumerate(given):
        person, seen = layout.cast + layout.subject(place), Counter()
        for clip, word in enumerate(words):
            film = int(rng.choice(films))
            seen[film] += 1
            emotion, start = shown_as(layout, seed, person, clip, word), int(rng.integers(*layout.starts))
            takes.append(Take(person, clip, emotion, word, place, film, seen[film], start))
    return sorted(takes, key=lambda take: (take.place, take.episode, take.occurrence))


def _shares(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers of at least 1 that add up to ``total``, nearly in proportion to the weights."""
    exact = 1 + (total - len(weights)) * weights / weights.sum()
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact)[: total - counts.sum()]] += 1
    return counts


def _difficulty(name: str, parts: Mapping[str, Part], difficulty: float | Mapping[str, Difficulty]) -> Difficulty:
    if not isinstance(difficulty, Mapping):
        return parts[name].difficulty.times(difficulty)
    if set(difficulty) != set(parts):
        raise InputError(
            f"difficulty must be given for {', '.join(parts)}. Received: {', '.join(difficulty) or 'none'}"
        )
    return difficulty[name]
