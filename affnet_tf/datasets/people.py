"""Who is who: people take part in more than one dataset, and a person must never be on two sides of a split.

``people.csv`` beside this file is the table; its columns are dataset, subject, person, reason. ``subject`` is a number, a
range such as ``15-26``, or ``*``. It is compared with the number in the subject's name, so that ``sub15``, ``s15`` and
``15`` are one. The first row that fits decides. ``person`` may hold ``{number}``.

A reason that begins with *stated* rests on the datasets' descriptions. *Our conservative reading* takes two names for one
person where that is likely but not confirmed: it may cost a few training clips, where the opposite mistake would inflate a
score. Where nothing is known, a subject is a person of its own dataset; that is no proof that two datasets share nobody.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import re
from pathlib import Path

__all__ = ["Identity", "identities", "person"]


@dataclasses.dataclass(frozen=True)
class Identity:
    """One row of the table: the subjects of ``dataset`` numbered ``first`` to ``last`` are ``person``, because ``reason``."""

    dataset: str
    first: int
    last: float
    person: str
    reason: str


@functools.cache
def identities() -> tuple[Identity, ...]:
    """The table, in its order."""
    with open(Path(__file__).with_suffix(".csv"), encoding="utf-8", newline="") as file:
        return tuple(
            Identity(row["dataset"], *_numbers(row["subject"]), row["person"], row["reason"])
            for row in csv.DictReader(file)
        )


@functools.lru_cache(maxsize=65536)
def person(dataset: str, subject: str) -> str:
    """The person behind a subject: the same text for the same human being, in whichever dataset.

    Args:
        dataset: the dataset's name; upper and lower case are alike for the datasets of the table.
        subject: the subject's name there, such as ``sub15``, ``s15``, ``15`` or ``006``.

    Returns:
        ``dataset/subject`` of one of the person's datasets, such as ``casme2/sub15`` for CAS(ME)²'s ``s15``. A slash in a
        dataset's name is escaped, so that no two subjects can look like one.
    """
    if only := re.fullmatch(r"\D*(\d+)\D*", subject):
        number = int(only[1])
        for row in identities():
            if row.dataset == dataset.lower() and row.first <= number <= row.last:
                return row.person.format(number=number)
    return f"{dataset.replace('%', '%25').replace('/', '%2F')}/{subject}"


def _numbers(rule: str) -> tuple[int, float]:
    if rule == "*":
        return 0, float("inf")
    first, _, last = rule.partition("-")
    return int(first), int(last or first)
