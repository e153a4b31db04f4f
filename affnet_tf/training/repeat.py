"""One evaluation with several seeds: how much of a score is chance of the initial weights and the order of clips."""

from __future__ import annotations

import dataclasses
import os
import statistics
from pathlib import Path
from typing import Any

from affnet_tf.config import ExperimentConfig, check, replace
from affnet_tf.errors import InputError
from affnet_tf.files import write_json
from affnet_tf.training.experiment import Evaluation, evaluate
from affnet_tf.training.progress import Report

__all__ = ["MEASURES", "SUMMARY", "Repetition", "repeat"]

MEASURES = ("accuracy", "uf1", "uar", "weighted_f1")
SUMMARY = "seeds.json"


@dataclasses.dataclass(frozen=True)
class Repetition:
    """The outcome of ``repeat``: an evaluation by seed; mean and sample standard deviation of each measure over the seeds.

    With one seed there is no standard deviation: None.
    """

    runs: dict[int, Evaluation]
    mean: dict[str, float]
    sd: dict[str, float | None]


def repeat(
    store: str | os.PathLike,
    out: str | os.PathLike,
    config: ExperimentConfig,
    protocol: str = "loso",
    *,
    seeds: int,
    resume: bool = False,
    progress: Report | None = None,
    **options: Any,
) -> Repetition:
    """Evaluate with the seeds ``train.seed`` to ``train.seed + seeds - 1``; each is a run of its own, ``out/seed-K``.

    Writes seeds.json beside them. Resumed with more seeds, it keeps the runs that are there.

    Args:
        store: as for ``evaluate``.
        out: folder of the runs.
        config: as for ``evaluate``; its seed is the first.
        protocol: as for ``evaluate``.
        seeds: how many, at least 1.
        resume: as for ``evaluate``.
        progress: called with (folds done, folds in all, a fold's name), over all seeds.
        options: of ``evaluate``: device, parallel, tensorboard.

    Raises:
        InputError: as ``evaluate``.
    """
    out, first = Path(out), config.train.seed
    check(seeds >= 1, "seeds", "be at least 1", seeds)
    configs = {seed: replace(config, train=replace(config.train, seed=seed)) for seed in range(first, first + seeds)}
    if not resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"run folder must be new, or resumed with --resume. Received: {str(out)!r}, which exists")
    runs: dict[int, Evaluation] = {}
    for seed, each in configs.items():

        def told(done: int, total: int, what: str, place: int = len(runs), seed: int = seed) -> None:
            progress(place * total + done, seeds * total, f"seed {seed}, {what}")

        runs[seed] = evaluate(
            store, out / f"seed-{seed}", each, protocol, resume=resume, progress=told if progress else None, **options
        )
    result = _summary(runs)
    write_json(
        out / SUMMARY,
        {
            "protocol": protocol,
            "runs": {f"seed-{seed}": _measures(run) for seed, run in runs.items()},
            "mean": result.mean,
            "sd": result.sd,
        },
    )
    return result


def _measures(run: Evaluation) -> dict[str, float]:
    return {name: getattr(run.scores, name) for name in MEASURES}


def _summary(runs: dict[int, Evaluation]) -> Repetition:
    values = {name: [getattr(run.scores, name) for run in runs.values()] for name in MEASURES}
    sd = {name: statistics.stdev(each) if len(each) > 1 else None for name, each in values.items()}
    return Repetition(runs, {name: statistics.fmean(each) for name, each in values.items()}, sd)
