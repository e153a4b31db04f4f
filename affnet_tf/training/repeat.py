"""One evaluation with several seeds: how much of a score is chance of the initial weights and the order of clips."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

from affnet_tf.config import ExperimentConfig, check, replace
from affnet_tf.errors import InputError
from affnet_tf.evaluation.evaluated import SEEDS
from affnet_tf.evaluation.headline import Table
from affnet_tf.files import write_json
from affnet_tf.places import Address, place_at
from affnet_tf.training.experiment import Evaluation, evaluate
from affnet_tf.training.progress import Report

__all__ = ["MEASURES", "Repetition", "repeat"]

MEASURES = ("accuracy", "uf1", "uar", "weighted_f1")


@dataclasses.dataclass(frozen=True)
class Repetition:
    """The outcome of ``repeat``.

    Attributes:
        runs: an evaluation by seed.
        mean: row -> measure -> mean over the seeds; the rows are those of each evaluation.
        sd: row -> measure -> sample standard deviation over the seeds; None with one seed.
    """

    runs: dict[int, Evaluation]
    mean: dict[str, dict[str, float]]
    sd: dict[str, dict[str, float | None]]

    def table(self) -> Table:
        """Mean ± standard deviation of each row, as (title, columns, rows)."""
        cells = []
        for name, mean in self.mean.items():
            sd = self.sd[name]
            cells.append(
                (name, *(f"{mean[each]:.3f}" + ("" if sd[each] is None else f" ± {sd[each]:.3f}") for each in MEASURES))
            )
        columns = ("", "accuracy", "UF1", "UAR", "weighted F1")
        return f"Mean ± standard deviation over {len(self.runs)} seeds", columns, cells

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dictionary: the measures of each run, their mean and their standard deviation."""
        return {
            "runs": {f"seed-{seed}": _measures(run) for seed, run in self.runs.items()},
            "mean": self.mean,
            "sd": self.sd,
        }


def repeat(
    store: Address,
    out: Address,
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
    out, first = place_at(out), config.train.seed
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
    write_json(out / SEEDS, {"protocol": protocol, **result.to_json()})
    return result


def _measures(run: Evaluation) -> dict[str, dict[str, float]]:
    return {row.name: {name: getattr(row.scores, name) for name in MEASURES} for row in run.rows}


def _summary(runs: dict[int, Evaluation]) -> Repetition:
    found = [_measures(run) for run in runs.values()]

    def over_seeds(summarise: Callable[[list[float]], Any]) -> dict[str, dict[str, Any]]:
        return {row: {name: summarise([each[row][name] for each in found]) for name in MEASURES} for row in found[0]}

    return Repetition(
        runs, over_seeds(statistics.fmean), over_seeds(lambda each: statistics.stdev(each) if len(each) > 1 else None)
    )
