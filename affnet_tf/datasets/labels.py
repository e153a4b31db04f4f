"""The datasets' own emotion words, and the label schemes that are built on them."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affnet_tf.errors import InputError, unknown
from affnet_tf.files import read_json

if TYPE_CHECKING:
    from affnet_tf.datasets.clips import Clip

__all__ = [
    "EMOTIONS",
    "MEGC3",
    "PAPER4",
    "SCHEMES",
    "LabelScheme",
    "label_scheme",
    "native",
    "read_scheme",
    "scheme_from_json",
]

_SIX = ("happiness", "surprise", "anger", "disgust", "fear", "sadness")

EMOTIONS: Mapping[str, tuple[str, ...]] = {
    "casme": ("tense", "disgust", "repression", "surprise", "happiness", "sadness", "fear", "contempt"),
    "casme2": ("happiness", "disgust", "repression", "surprise", "sadness", "fear", "others"),
    "casme_sq": ("positive", "negative", "surprise", "others"),
    "casme_sq_macro": ("positive", "negative", "surprise", "others"),
    "samm": (*_SIX, "contempt", "other"),
    "samm_lv": ("micro", "macro"),
    "smic_hs": ("negative", "positive", "surprise"),
    "smic_hs_e": ("negative", "positive", "surprise"),
    "mmew": (*_SIX, "others", "repression"),
    "casme3": ("happy", "surprise", "anger", "disgust", "fear", "sad", "others"),
    "dfme": (*_SIX, "contempt"),
}
"""The words that each dataset's sheet uses, in lower case; a dataset that is not here may use any."""


@dataclasses.dataclass(frozen=True)
class LabelScheme:
    """From emotion words to label indices.

    Attributes:
        name: ``native``, ``paper4``, ``megc3``, or the name of a user's own scheme.
        labels: the label names; a label's index is its place here.
        mapping: dataset -> emotion -> label name. The entry ``*`` serves every dataset without an entry of its own.
        left_out: (dataset, clip_id) of clips that the scheme excludes by name.

    Raises:
        InputError: a label is empty or listed twice, or the mapping leads to a label that is not listed.
    """

    name: str
    labels: tuple[str, ...]
    mapping: Mapping[str, Mapping[str, str]]
    left_out: frozenset[tuple[str, str]] = frozenset()

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels) or not all(self.labels):
            raise InputError(f"label scheme {self.name!r} must have 2 or more distinct labels. Received: {self.labels}")
        for dataset, words in self.mapping.items():
            for emotion, label in words.items():
                if label not in self.labels:
                    raise unknown(f"label scheme {self.name!r}: label of {dataset} {emotion!r}", label, self.labels)

    def label_of(self, clip: Clip) -> str | None:
        """The clip's label name, or None where the scheme leaves the clip out."""
        if (clip.dataset, clip.clip_id) in self.left_out:
            return None
        words = self.mapping.get(clip.dataset, self.mapping.get("*", {}))
        return words.get(clip.emotion)

    def assign(self, clips: Iterable[Clip]) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
        """Give every clip its label.

        Returns:
            The label index by (dataset, clip_id), in the order of ``clips``, and what was dropped: the number of clips
            by (dataset, emotion). The two counts add up to the number of clips.
        """
        assigned: dict[tuple[str, str], int] = {}
        dropped: Counter[tuple[str, str]] = Counter()
        for clip in clips:
            label = self.label_of(clip)
            if label is None:
                dropped[clip.dataset, clip.emotion] += 1
            else:
                assigned[clip.dataset, clip.clip_id] = self.labels.index(label)
        return assigned, dict(dropped)

    def to_json(self) -> dict[str, Any]:
        """The scheme as JSON values; ``scheme_from_json`` and ``read_scheme`` take it back."""
        return {
            "name": self.name,
            "labels": list(self.labels),
            "mapping": {dataset: dict(words) for dataset, words in self.mapping.items()},
            "left_out": [list(key) for key in sorted(self.left_out)],
        }


def _words(**labels: str) -> dict[str, str]:
    return {emotion: label for label, emotions in labels.items() for emotion in emotions.split()}


_PAPER4 = _words(
    positive="positive happiness happy",
    negative="negative disgust sadness sad fear anger angry contempt repression",
    surprise="surprise",
    others="others other tense",
)

_MEGC3 = _words(
    negative="negative anger angry contempt disgust fear sadness sad",
    positive="positive happiness happy",
    surprise="surprise",
)

PAPER4 = LabelScheme("paper4", ("positive", "negative", "surprise", "others"), {"*": _PAPER4})
"""The four classes of the AffectiveNet paper (IEEE MultiMedia 2021): positive, negative, surprise, others.

The paper does not say which emotion goes where; this is our reading. Happiness is positive. Disgust, sadness, fear,
anger, contempt and repression are negative. Surprise is itself. ``others`` and CASME's ``tense`` are others: tense
stands for no single emotion in the sheet. So CASME II becomes 32 positive, 99 negative (63 disgust, 27 repression,
7 sadness, 2 fear), 25 surprise and 99 others.
"""

MEGC3 = LabelScheme(
    "megc3",
    ("negative", "positive", "surprise"),
    {
        "*": _MEGC3,
        "casme2": _words(negative="disgust repression", positive="happiness", surprise="surprise"),
    },
    left_out=frozenset({("casme2", "sub04/EP12_01f"), ("casme2", "sub05/EP09_05f")}),
)
"""The three classes of the MEGC2019 composite evaluation: 0 negative, 1 positive, 2 surprise.

See, Yap, Li, Hong, Wang: MEGC 2019, the second facial micro-expressions grand challenge (FG 2019). CASME II's negative
class is 61 of its 63 disgust clips and the 27 repression clips; its sadness, fear and others are not used. In every
other dataset repression is dropped, and anger, contempt, disgust, fear and sadness are negative.
"""

SCHEMES: Mapping[str, LabelScheme] = {"paper4": PAPER4, "megc3": MEGC3}
"""The schemes that do not depend on the clips; ``native`` does."""


def native(clips: Iterable[Clip]) -> LabelScheme:
    """The datasets' own words as labels: those that occur in ``clips``, in the order of the vocabularies.

    Words outside the vocabularies (a dataset of one's own) follow in alphabetical order.

    Raises:
        InputError: fewer than two words occur.
    """
    used: dict[str, set[str]] = {}
    for clip in clips:
        used.setdefault(clip.dataset, set()).add(clip.emotion)
    known = [word for name, words in EMOTIONS.items() if name in used for word in words if word in used[name]]
    rest = sorted({word for words in used.values() for word in words if word} - set(known))
    mapping = {name: {word: word for word in sorted(words) if word} for name, words in used.items()}
    return LabelScheme("native", tuple(dict.fromkeys(known + rest)), mapping)


def read_scheme(path: str | os.PathLike) -> LabelScheme:
    """A user's own scheme from a JSON file.

    The file is ``{"labels": ["calm", "upset"], "mapping": {"happiness": "calm", "disgust": "upset", "fear": null}}``,
    or has one such mapping for each dataset: ``"mapping": {"casme2": {...}, "*": {...}}``. ``labels`` may be left out
    (then they stand in the order in which the mapping names them); words that are not mapped, or mapped to null, are
    dropped.
    ``name`` and ``left_out`` (a list of [dataset, clip_id]) are optional.

    Raises:
        InputError: the file is missing, is not JSON, or is not of that form.
    """
    return scheme_from_json(read_json(path), default_name=Path(path).stem)


def scheme_from_json(value: Any, default_name: str = "own") -> LabelScheme:
    """The scheme that ``LabelScheme.to_json`` or a user's JSON file describes."""
    form = 'label scheme must be a JSON object {"labels": [...], "mapping": {emotion: label}}'
    if not isinstance(value, dict) or not isinstance(value.get("mapping"), dict) or not value["mapping"]:
        raise InputError(f"{form}. Received: {str(value)[:80]}")
    mapping = value["mapping"]
    if not all(isinstance(entry, dict) for entry in mapping.values()):
        mapping = {"*": mapping}
    cleaned: dict[str, dict[str, str]] = {}
    for dataset, words in mapping.items():
        wrong = {word: label for word, label in words.items() if not isinstance(label, str | None)}
        if wrong:
            raise InputError(f"{form}, where a label is text or null. Received: {wrong}")
        cleaned[dataset] = {word.strip().lower(): label for word, label in words.items() if label is not None}
    named = [label for words in cleaned.values() for label in words.values()]
    labels = value.get("labels") or list(dict.fromkeys(named))
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"{form}, where labels is a list of text. Received: {labels}")
    left_out = value.get("left_out", [])
    if not isinstance(left_out, list) or not all(isinstance(key, list) and len(key) == 2 for key in left_out):
        raise InputError(f"{form}, where left_out is a list of [dataset, clip_id]. Received: {left_out}")
    name = str(value.get("name", default_name))
    return LabelScheme(name, tuple(labels), cleaned, frozenset((str(a), str(b)) for a, b in left_out))


def label_scheme(name: str | os.PathLike, clips: Iterable[Clip]) -> LabelScheme:
    """The scheme called ``native``, ``paper4`` or ``megc3``, or the one in a JSON file (a name that ends in .json).

    Raises:
        InputError: no such scheme, or the file is not a scheme.
    """
    if str(name) == "native":
        return native(clips)
    if str(name).lower().endswith(".json"):
        return read_scheme(name)
    if str(name) not in SCHEMES:
        raise unknown("label scheme", str(name), ["native", *SCHEMES, "FILE.json"])
    return SCHEMES[str(name)]
