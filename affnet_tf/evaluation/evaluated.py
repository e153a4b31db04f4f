"""An evaluated run: what its folder says, read for a report. Nothing of a network is loaded."""

from __future__ import annotations

import dataclasses
from typing import Any

from affnet_tf.errors import InputError
from affnet_tf.evaluation.predictions import Prediction, Predictions, read_predictions
from affnet_tf.files import check_folder, read_json
from affnet_tf.places import Address, Place, place_at

__all__ = ["SEEDS", "EvaluatedRun", "read_run"]

SEEDS = "seeds.json"
"""What lies beside the runs of one evaluation with several seeds."""


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """A run folder with predictions.

    Attributes:
        path: the folder.
        predictions: of the test clips of all folds.
        document: config.json: task, protocol, settings, labels, hash of the store.
        manifest: manifest.json: what computed it, when and on what.
        folds: folds/<name>.json by name, in the order in which the folds occur in the predictions. Each has ``history``, and
            may have ``train_clips``, ``validation_predictions``, ``excluded`` and ``reason``.
    """

    path: Place
    predictions: Predictions
    document: dict[str, Any]
    manifest: dict[str, Any]
    folds: dict[str, dict[str, Any]]

    @property
    def protocol(self) -> str:
        return str(self.document.get("protocol", ""))

    @property
    def network(self) -> str:
        return str(_model(self.document).get("network", "affectivenet"))

    @property
    def synthetic(self) -> bool:
        """Whether people who do not exist are among the clips."""
        return bool(self.manifest.get("synthetic"))

    @property
    def by_fold(self) -> bool:
        """Whether the folds are experiments of their own, to be scored apart, and not parts of one."""
        return self.protocol == "cross_dataset" or not self.predictions.pooled

    @property
    def datasets(self) -> list[str]:
        return sorted({row.dataset for row in self.predictions.rows})

    def validation(self, fold: str) -> Predictions | None:
        """The predictions of a fold's held-out training persons; None where none were kept.

        A validation clip of one fold is a test clip of another: that is where its subject and true label are known from.
        """
        known = {row.key: row for row in self.predictions.rows}
        lines = self.folds.get(fold, {}).get("validation_predictions") or []
        rows = []
        for dataset, clip_id, *numbers in lines:
            row = known.get((dataset, clip_id))
            if row is None:
                return None
            rows.append(Prediction(dataset, clip_id, row.subject, fold, row.truth, tuple(numbers)))
        return Predictions(self.predictions.labels, tuple(rows)) if rows else None


def read_run(path: Address) -> EvaluatedRun:
    """Read the folder that ``affnet evaluate`` wrote.

    Raises:
        InputError: it is not an evaluated run, or a file of it is missing or damaged.
    """
    path = place_at(path)
    check_folder(path, "a run")
    if (path / SEEDS).is_file():
        seeds = sorted(found.name for found in path.glob("seed-*"))
        raise InputError(
            f"a run of several seeds must be named by one of them: {', '.join(seeds)}. Received: {str(path)!r}"
        )
    if not (path / "predictions.csv").is_file():
        raise InputError(f"a report must be made of an evaluated run, with predictions.csv. Received: {str(path)!r}")
    predictions = read_predictions(path / "predictions.csv")
    names = dict.fromkeys(row.fold for row in predictions.rows)
    files = {name: path / "folds" / f"{name}.json" for name in names}
    folds = {name: _object(file) for name, file in files.items() if file.is_file()}
    return EvaluatedRun(path, predictions, _object(path / "config.json"), _object(path / "manifest.json"), folds)


def _object(path: Place) -> dict[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict):
        raise InputError(f"{str(path)!r} must hold an object. Received: {document!r}")
    return document


def _model(document: dict[str, Any]) -> dict[str, Any]:
    for name in ("config", "model"):
        document = document.get(name, {})
        if not isinstance(document, dict):
            return {}
    return document
