"""Who performs what, and what the coders will write about it: everything of a dataset but the pictures."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from affnet_tf.datasets.synthetic.camera import timing
from affnet_tf.datasets.synthetic.difficulty import Difficulty
from affnet_tf.datasets.synthetic.entries import Entry
from affnet_tf.datasets.synthetic.layout import Layout
from affnet_tf.datasets.synthetic.takes import Purpose, Take, entropy, rehearse
from affnet_tf.errors import InputError, unknown

__all__ = ["annotate", "plan", "shown_as"]


def plan(seed: int, layout: Layout, subjects: int, clips: int, labels: Sequence[str] | None = None) -> list[Take]:
    """The clips of a dataset, in the order of subject, episode and occurrence.

    Every subject gets each group of the layout's words equally often, give or take one, and the words of a group in
    turn. Order within a subject, episodes and frame numbers are drawn at random.

    Args:
        labels: words of the dataset to cycle through instead.

    Raises:
        InputError: a word that the dataset does not have or that cannot be shown, or none.
    """
    if labels is not None and not labels:
        raise InputError("labels must name at least one emotion. Received: ()")
    for label in labels or ():
        if label not in layout.words:
            raise unknown("label", label, layout.words)
    classes = layout.classes if labels is None else tuple((label,) for label in labels)
    takes: list[Take] = []
    for place in range(subjects):
        person = layout.cast + layout.subject(place)
        words = [_word(classes, person - layout.cast, clip) for clip in range(clips)]
        kinds = [word if layout.kind == "word" else layout.kind for word in words]
        if layout.beside:
            words.append(_word(classes, person - layout.cast, clips))
            kinds.append("micro" if layout.kind == "macro" else "macro")
        rng = np.random.default_rng(entropy(seed, Purpose.NAMES, person))
        episodes = rng.integers(1, (len(layout.stimuli) or layout.episodes) + 1, size=len(words))
        seen: Counter[int] = Counter()
        for clip, which in enumerate(rng.permutation(len(words))):
            episode = int(episodes[clip])
            seen[episode] += 1
            start, emotion = int(rng.integers(*layout.starts)), shown_as(layout, seed, person, clip, words[which])
            takes.append(Take(person, clip, emotion, words[which], place, episode, seen[episode], start, kinds[which]))
    return sorted(takes, key=lambda take: (take.place, take.episode, take.occurrence))


def annotate(
    layout: Layout, takes: Sequence[Take], seed: int, difficulty: float | Difficulty = 1.0
) -> list[tuple[Take, Entry]]:
    """What the sheet says of each take, in the sheet's order. Nothing is filmed.

    The templates of the layout's names and videos may use the subject's ``{number}``, ``{episode}``, ``{occurrence}``,
    ``{letter}`` (of the episode), ``{stimulus}`` and ``{recording}`` (of the episode), ``{word}``, ``{code}`` (of the
    word), ``{index}`` (within the subject, from 1), ``{nth}`` (within subject and word, from 1; see ``runs``) and
    ``{name}``.
    """
    difficulty = Difficulty.of(difficulty)
    named = []
    for _, group in itertools.groupby(takes, lambda take: take.place):
        counts: Counter[str] = Counter()
        for index, take in enumerate(group, 1):
            counts[take.word] += 1
            fields = _fields(layout, take, index, counts[take.word])
            fields["name"] = layout.name.format_map(fields)
            named.append((take, fields))
    named.sort(key=lambda pair: (pair[0].place, pair[1]["name"]))
    entries, ends = [], {}
    for take, fields in named:
        video = layout.video.format_map(fields)
        entry = _entry(layout, take, fields, video, seed, difficulty, ends.get((take.place, video)) if video else None)
        ends[take.place, video] = entry.last + 1
        entries.append(entry)
    return list(zip((take for take, _ in named), layout.quirks(entries), strict=True))


def shown_as(layout: Layout, seed: int, person: int, clip: int, word: str) -> str:
    """What a person shows in a clip that the dataset files under ``word``: one of the emotions that it stands for."""
    ways = layout.shown.get(word, (word,))
    return ways[int(np.random.default_rng(entropy(seed, Purpose.WORDS, person, clip)).integers(len(ways)))]


def _word(classes: Sequence[Sequence[str]], subject: int, clip: int) -> str:
    group = classes[(subject + clip) % len(classes)]
    return group[(2 * subject + clip // len(classes)) % len(group)]


def _fields(layout: Layout, take: Take, index: int, count: int) -> dict[str, Any]:
    nth = next(nth for nth, last in enumerate(itertools.accumulate(itertools.cycle(layout.runs)), 1) if last >= count)
    stimulus, recording = layout.stimuli[take.episode - 1] if layout.stimuli else ("", "")
    return {
        "number": take.person - layout.cast,
        "episode": take.episode,
        "occurrence": take.occurrence,
        "letter": chr(ord("a") + (take.episode - 1) % 26),
        "stimulus": stimulus,
        "recording": recording,
        "word": take.word,
        "code": layout.codes.get(take.word, take.word),
        "index": index,
        "nth": nth,
    }


def _entry(
    layout: Layout, take: Take, fields: dict[str, Any], video: str, seed: int, difficulty: Difficulty, start: int | None
) -> Entry:
    performance = rehearse(seed, take.person, take.clip, take.emotion, difficulty=difficulty, kind=take.kind)
    fps = layout.fps[take.place % len(layout.fps)]
    onset, apex, offset, count = timing(performance, fps)
    first = take.start if start is None else start
    if layout.trimmed:
        onset, apex, offset, count = 0, apex - onset, offset - onset, offset - onset + 1
    coder = np.random.default_rng(entropy(seed, Purpose.CODER, take.person, take.clip))
    slip = round(coder.normal(0, difficulty.apex_error * (offset - onset)))
    apex = min(max(apex + slip, onset + 1), offset - 1)
    return Entry(
        subject=fields["number"],
        name=fields["name"],
        onset=first + onset,
        apex=first + apex if layout.apex else None,
        offset=first + offset,
        action_units=performance.action_units,
        emotion=take.word,
        first=first,
        last=first + count - 1,
        video=video,
        kind=take.kind,
        split=layout.splits[take.place % len(layout.splits)],
        fps=fps,
        pad=layout.pad,
        suffix=layout.suffix,
    )
