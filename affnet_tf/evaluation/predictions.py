"""What a network said of each clip: the rows of predictions.csv, joined to labels by clip id and never by position."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from affnet_tf.datasets.people import person
from affnet_tf.errors import InputError
from affnet_tf.evaluation.megc_log import LABELS, is_megc_log, read_megc_log
from affnet_tf.files import atomic_write
from affnet_tf.places import Address, Place, place_at

__all__ = ["Prediction", "Predictions", "read_predictions", "write_predictions"]

COLUMNS = ("clip_id", "dataset", "subject", "fold", "y_true", "y_pred")
REQUIRED = tuple(name for name in COLUMNS if name != "fold")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One clip's row: ids, the true label's index, and one probability for each label.

    ``decided`` is the predicted label's index where no probabilities are known, as in other people's files, or where two
    labels are equally probable.
    """

    dataset: str
    clip_id: str
    subject: str
    fold: str
    truth: int
    probabilities: tuple[float, ...]
    decided: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """(dataset, clip_id)."""
        return self.dataset, self.clip_id

    @property
    def person(self) -> str:
        """Who it is, the same text in every dataset that the person takes part in."""
        return person(self.dataset, self.subject)

    @property
    def label(self) -> int:
        """The index of the predicted label: the one that was decided on, or the most probable one."""
        if self.decided is not None:
            return self.decided
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)


@dataclasses.dataclass(frozen=True)
class Predictions:
    """All rows of a run and the labels that the indices stand for.

    Most protocols test each clip once, and all rows are scored together: they are ``pooled``. ``cross_dataset`` tests the
    clips of one dataset in several folds; such predictions are scored by fold.

    Raises:
        InputError: a clip occurs twice in a fold; two folds share some clips but not all; a row has neither probabilities
            nor a decision, or some rows have probabilities and others none.
    """

    labels: tuple[str, ...]
    rows: tuple[Prediction, ...]

    def __post_init__(self) -> None:
        _check_once(self.rows)
        for row in self.rows:
            known = len(row.probabilities)
            if known != (len(self.labels) if self.has_probabilities else 0) or (not known and row.decided is None):
                rule = (
                    f"predictions must have {len(self.labels)} probabilities in every row, or a decision in every row"
                )
                raise InputError(f"{rule}. Received: {row.dataset} {row.clip_id!r} with {known} probabilities")

    @property
    def truth(self) -> list[int]:
        """True label indices, in row order."""
        return [row.truth for row in self.rows]

    @property
    def predicted(self) -> list[int]:
        """Predicted label indices, in row order."""
        return [row.label for row in self.rows]

    @property
    def has_probabilities(self) -> bool:
        """Whether the rows have probabilities, and not decisions alone."""
        return bool(self.rows) and bool(self.rows[0].probabilities)

    @property
    def pooled(self) -> bool:
        """Whether all rows may be scored together: every clip occurs once, and no fold is a pair of datasets, ``a-to-b``."""
        names = {row.dataset for row in self.rows}
        pairs = {f"{source}-to-{target}" for source in names for target in names if source != target}
        return len({row.key for row in self.rows}) == len(self.rows) and not pairs & {row.fold for row in self.rows}

    def by_fold(self) -> dict[str, Predictions]:
        """The rows of each fold, in the order in which the folds occur."""
        return self._by(lambda row: row.fold)

    def by_dataset(self) -> dict[str, Predictions]:
        """The rows of each dataset, in the order in which the datasets occur; the labels stay the same."""
        return self._by(lambda row: row.dataset)

    def _by(self, name: Callable[[Prediction], str]) -> dict[str, Predictions]:
        rows: dict[str, list[Prediction]] = defaultdict(list)
        for row in self.rows:
            rows[name(row)].append(row)
        return {key: Predictions(self.labels, tuple(group)) for key, group in rows.items()}


def write_predictions(path: Address, predictions: Predictions) -> None:
    """Write ``clip_id, dataset, subject, fold, y_true, y_pred, p_<label>…``; labels by name. Atomic."""
    labels = predictions.labels if predictions.has_probabilities or not predictions.rows else ()
    with atomic_write(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"p_{label}" for label in labels)])
        for row in predictions.rows:
            names = (predictions.labels[row.truth], predictions.labels[row.label])
            numbers = (f"{p:.9g}" for p in row.probabilities)
            writer.writerow([row.clip_id, row.dataset, row.subject, row.fold, *names, *numbers])


def read_predictions(path: Address, labels: Sequence[str] | None = None) -> Predictions:
    """Read what ``write_predictions`` wrote, or what somebody else wrote; the form is told by the content.

    A CSV file must have the columns clip_id, dataset, subject, y_true, y_pred; ``fold`` and ``p_<label>`` may be missing.
    A log of MEGC2019 (``megc_log``) has the labels negative, positive, surprise.

    Args:
        path: the file.
        labels: all labels, for a CSV file without probabilities. By default they are those that occur in it, in the order
            of the alphabet or of the numbers; a label that never occurs in the file is then not known, and not counted.

    Raises:
        InputError: the file or a column is missing, a label is unknown, a probability is not one, ``y_pred`` is not the
            most probable label, or a clip has no id or occurs twice.
    """
    path = place_at(path)
    if not path.is_file():
        raise InputError(f"predictions file must exist. Received: {str(path)!r}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin a file with a byte-order mark
            text = file.read()
        if is_megc_log(text):
            return _from_log(text, str(path))
        reader = csv.DictReader(io.StringIO(text, newline=""))
        names, lines = list(reader.fieldnames or []), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{str(path)!r} must be a CSV file in UTF-8. Received: {error}") from None
    columns = tuple(name[2:] for name in names if name.startswith("p_"))
    missing = [name for name in REQUIRED if name not in names]
    if missing or len(columns) == 1 or len(set(names)) < len(names):
        optional = "and may have fold and two or more p_<label>, each once"
        raise InputError(f"{str(path)!r} must have columns {', '.join(REQUIRED)}, {optional}. Received: {names}")
    known = columns or tuple(labels or _occurring(path, lines))
    if labels and set(known) != set(labels):
        raise InputError(f"{str(path)!r} must have the labels {', '.join(labels)}. Received: {', '.join(known)}")
    rows = (_row(path, number, row, known, bool(columns)) for number, row in enumerate(lines, 2))
    return Predictions(known, tuple(rows))


def _check_once(rows: Sequence[Prediction]) -> None:
    tested: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in rows:
        if row.key in tested[row.fold]:
            raise _twice(row, f"twice in fold {row.fold!r}" if row.fold else "twice")
        tested[row.fold].add(row.key)
    first: dict[tuple[str, str], str] = {}
    alike: set[tuple[str, str]] = set()
    for row in rows:
        pair = (first.setdefault(row.key, row.fold), row.fold)
        if pair[0] == pair[1] or pair in alike:
            continue
        if tested[pair[0]] != tested[pair[1]]:  # folds that test the same clips are those of cross_dataset
            raise _twice(row, f"twice, in folds {pair[0]!r} and {pair[1]!r}")
        alike.add(pair)


def _twice(row: Prediction, how: str) -> InputError:
    return InputError(f"predictions must have each clip once. Received: {row.dataset} {row.clip_id!r} {how}")


def _from_log(text: str, where: str) -> Predictions:
    rows = [
        Prediction(dataset, clip_id, subject, f"{dataset}-{subject}", truth, (), predicted)
        for dataset, subject, clip_id, truth, predicted in read_megc_log(text, where)
    ]
    return Predictions(LABELS, tuple(rows))


def _occurring(path: Place, lines: Sequence[dict[str, str]]) -> list[str]:
    names = {name for row in lines for name in (row["y_true"], row["y_pred"]) if name}
    if len(names) < 2:
        rule = "two or more labels must occur in a file without p_<label>"
        raise InputError(f"{str(path)!r}: {rule}. Received: {', '.join(names) or 'none'}")
    return sorted(names, key=lambda name: (int(name), "") if name.isdecimal() else (math.inf, name))


def _row(path: Place, number: int, row: dict[str, str], labels: Sequence[str], probable: bool) -> Prediction:
    place = f"{str(path)!r} line {number}"
    if row["y_true"] not in labels:
        raise InputError(f"{place}: y_true must be one of {', '.join(labels)}. Received: {row['y_true']!r}")
    if None in row:
        raise InputError(f"{place}: must have as many cells as there are columns. Received: {row[None]} in addition")
    for name in ("clip_id", "dataset", "subject"):
        if not row[name]:
            raise InputError(f"{place}: {name} must have a name. Received: {row[name]!r}")
    if row["y_pred"] not in labels:
        raise InputError(f"{place}: y_pred must be one of {', '.join(labels)}. Received: {row['y_pred']!r}")
    decided = labels.index(row["y_pred"])
    ids = (row["dataset"], row["clip_id"], row["subject"], row.get("fold") or "", labels.index(row["y_true"]))
    if not probable:
        return Prediction(*ids, (), decided)
    read = Prediction(*ids, _probabilities(place, [row[f"p_{label}"] for label in labels]))
    if read.label == decided:
        return read
    if read.probabilities[decided] < read.probabilities[read.label]:
        raise InputError(
            f"{place}: y_pred must be the most probable label, {labels[read.label]!r}. Received: {row['y_pred']!r}"
        )
    return dataclasses.replace(read, decided=decided)  # two labels that were told apart by digits that are not written


def _probabilities(place: str, cells: Iterable[str | None]) -> tuple[float, ...]:
    cells = list(cells)
    try:
        values = tuple(float(cell) for cell in cells)
    except (TypeError, ValueError):
        values = (math.nan,)
    if not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > 1e-3:
        raise InputError(f"{place}: probabilities must lie in [0, 1] and add up to 1. Received: {cells}")
    return values
