"""The log of the MEGC2019 recognition challenge: a line ``casme2 sub01``, then one line ``clip truth prediction`` a clip.

Labels are 0 negative, 1 positive, 2 surprise. Published logs spell a subject as they like (``smic 20``, ``samm 6``), and a
clip's name is unique within its subject only; both are written here as this project's readers write them, so that a log
can be joined with a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from affnet_tf.datasets.specs import SPECS
from affnet_tf.errors import InputError

__all__ = ["LABELS", "is_megc_log", "read_megc_log"]

LABELS = ("negative", "positive", "surprise")
_NAMES = {"smic": "smic_hs"}


def is_megc_log(text: str) -> bool:
    """Whether a file's text begins as such a log does: two words and no comma."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return "," not in first and len(first.split()) == 2


def read_megc_log(text: str, where: str) -> Iterator[tuple[str, str, str, int, int]]:
    """Yield dataset, subject, clip id, truth and prediction of each clip.

    Args:
        text: the log.
        where: the file's name, for errors.

    Raises:
        InputError: a line is neither a subject's nor a clip's, or a label is not 0, 1 or 2.
    """
    dataset = subject = ""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.rsplit(maxsplit=2)
        if not words:
            continue
        if (
            len(words) == 2 and _NAMES.get(words[0].lower(), words[0].lower()) in SPECS
        ):  # a clip may lack its prediction
            dataset, subject = _names(*words)
        elif len(words) == 3 and {*words[1:]} <= {"0", "1", "2"}:
            clip = words[0].strip()
            yield dataset, subject, clip if "/" in clip else f"{subject}/{clip}", int(words[1]), int(words[2])
        else:
            rule = "must be a dataset (smic, casme2, samm) and a subject, or a clip, truth and prediction (0, 1 or 2)"
            raise InputError(f"{where!r} line {number}: {rule}. Received: {line.strip()[:80]!r}")


def _names(dataset: str, subject: str) -> tuple[str, str]:
    dataset = _NAMES.get(dataset.lower(), dataset.lower())
    digits = re.findall(r"\d+", subject)
    if digits:
        subject = SPECS[dataset].subject.format(number=int(digits[-1]), raw=subject)
    return dataset, subject
