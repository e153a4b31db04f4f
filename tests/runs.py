"""Run folders with made-up predictions, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affnet_tf.evaluation.predictions import Prediction, Predictions, write_predictions
from affnet_tf.files import write_json

LABELS = ("negative", "positive", "surprise")


def forge_rows(
    datasets: dict[str, int], clips: int = 6, skill: float = 3.0, seed: int = 0, fold=None
) -> list[Prediction]:
    """``clips`` for each of so many subjects of each dataset; the higher the skill, the more of them are right."""
    rng = np.random.default_rng(seed)
    rows = []
    for dataset, people in datasets.items():
        for person in range(1, people + 1):
            for number in range(clips):
                truth = (number + person) % 3
                logits = rng.normal(0, 1, 3) + skill * np.eye(3)[truth]
                p = np.exp(logits) / np.exp(logits).sum()
                subject = f"sub{person:02d}"
                name = fold or f"{dataset}-{subject}"
                rows.append(
                    Prediction(dataset, f"{subject}/EP{number:02d}", subject, name, truth, tuple(map(float, p)))
                )
    return rows


def forge_run(
    path: Path, rows: list[Prediction], protocol: str = "loso", labels=LABELS, synthetic=False, **fold
) -> Path:
    """A run folder as ``affnet evaluate`` leaves it; ``fold`` adds fields to every fold's document."""
    write_predictions(path / "predictions.csv", Predictions(labels, tuple(rows)))
    config = {"model": {"network": "affectivenet", "input_size": 32}}
    write_json(path / "config.json", {"task": "evaluate", "protocol": protocol, "config": config})
    facts = {"seed": 3, "synthetic": synthetic, "affnet_tf": "0.1.0", "commit": "abc", "store_hash": "0f"}
    write_json(path / "manifest.json", {**facts, "backend": "tensorflow", "dropped": {"casme2 sadness": 7}})
    history = {"loss": [1.2, 0.8, 0.5], "accuracy": [0.4, 0.6, 0.8]}
    for name in dict.fromkeys(row.fold for row in rows):
        write_json(path / "folds" / f"{name}.json", {"history": history, "seconds": 1.0, "predictions": [], **fold})
    return path
