"""What a network said of each clip: the rows of predictions.csv, joined to labels by clip id and never by position."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from affnet_tf.errors import InputError
from affnet_tf.files import atomic_write

__all__ = ["Prediction", "Predictions", "read_predictions", "write_predictions"]

COLUMNS = ("clip_id", "dataset", "subject", "fold", "y_true", "y_pred")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One clip's row: ids, the true label's index, and one probability for each label."""

    dataset: str
    clip_id: str
    subject: str
    fold: str
    truth: int
    probabilities: tuple[float, ...]

    @property
    def label(self) -> int:
        """The index of the most probable label."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)


@dataclasses.dataclass(frozen=True)
class Predictions:
    """All rows of a run and the labels that the indices stand for.

    Raises:
        InputError: a clip occurs twice.
    """

    labels: tuple[str, ...]
    rows: tuple[Prediction, ...]

    def __post_init__(self) -> None:
        seen: set[tuple[str, str]] = set()
        for row in self.rows:
            if (row.dataset, row.clip_id) in seen:
                raise InputError(f"predictions must have each clip once. Received: {row.dataset} {row.clip_id!r} twice")
            seen.add((row.dataset, row.clip_id))

    @property
    def truth(self) -> list[int]:
        """True label indices, in row order."""
        return [row.truth for row in self.rows]

    @property
    def predicted(self) -> list[int]:
        """Predicted label indices, in row order."""
        return [row.label for row in self.rows]


def write_predictions(path: str | os.PathLike, predictions: Predictions) -> None:
    """Write ``clip_id, dataset, subject, fold, y_true, y_pred, p_<label>…``; labels by name. Atomic."""
    with atomic_write(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"p_{label}" for label in predictions.labels)])
        for row in predictions.rows:
            names = (predictions.labels[row.truth], predictions.labels[row.label])
            numbers = (f"{p:.9g}" for p in row.probabilities)
            writer.writerow([row.clip_id, row.dataset, row.subject, row.fold, *names, *numbers])


def read_predictions(path: str | os.PathLike) -> Predictions:
    """Read what ``write_predictions`` wrote.

    Raises:
        InputError: the file or a column is missing, a label is unknown, a probability is not one, ``y_pred`` is not the
            most probable label, or a clip occurs twice.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"predictions file must exist. Received: {str(path)!r}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheets begin a file with a byte-order mark
            reader = csv.DictReader(file)
            names, lines = list(reader.fieldnames or []), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{str(path)!r} must be a CSV file in UTF-8. Received: {error}") from None
    labels = tuple(name[2:] for name in names if name.startswith("p_"))
    missing = [name for name in COLUMNS if name not in names]
    if missing or len(labels) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"{str(path)!r} must have columns {', '.join(COLUMNS)} and two or more p_<label>, each once. Received: {names}"
        )
    return Predictions(labels, tuple(_row(path, number, row, labels) for number, row in enumerate(lines, 2)))


def _row(path: Path, number: int, row: dict[str, str], labels: Sequence[str]) -> Prediction:
    place = f"{str(path)!r} line {number}"
    if row["y_true"] not in labels:
        raise InputError(f"{place}: y_true must be one of {', '.join(labels)}. Received: {row['y_true']!r}")
    if None in row:
        raise InputError(f"{place}: must have as many cells as there are columns. Received: {row[None]} in addition")
    probabilities = _probabilities(place, [row[f"p_{label}"] for label in labels])
    read = Prediction(
        row["dataset"], row["clip_id"], row["subject"], row["fold"], labels.index(row["y_true"]), probabilities
    )
    if row["y_pred"] != labels[read.label]:
        raise InputError(
            f"{place}: y_pred must be the most probable label, {labels[read.label]!r}. Received: {row['y_pred']!r}"
        )
    return read


def _probabilities(place: str, cells: Iterable[str | None]) -> tuple[float, ...]:
    cells = list(cells)
    try:
        values = tuple(float(cell) for cell in cells)
    except (TypeError, ValueError):
        values = (math.nan,)
    if not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > 1e-3:
        raise InputError(f"{place}: probabilities must lie in [0, 1] and add up to 1. Received: {cells}")
    return values
