"""From a run's predictions to report.html, report.json, report.md and results.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any

from affnet_tf.evaluation.evaluated import EvaluatedRun, read_run
from affnet_tf.evaluation.findings import Findings, findings
from affnet_tf.evaluation.headline import ALL, Headline, Table, headlines, span, tables
from affnet_tf.evaluation.page import page
from affnet_tf.evaluation.predictions import read_predictions
from affnet_tf.files import atomic_write, write_json
from affnet_tf.places import Address

__all__ = ["RESULT_COLUMNS", "markdown_table", "result_rows", "score_file", "write_report"]

RESULT_COLUMNS = (
    "run",
    "part",
    "protocol",
    "network",
    "datasets",
    "labels",
    "clips",
    "people",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "uf1",
    "uf1_low",
    "uf1_high",
    "uar",
    "uar_low",
    "uar_high",
    "weighted_f1",
    "chance_uf1_low",
    "chance_uf1_high",
    "synthetic",
    "seed",
    "affnet_tf",
    "commit",
    "backend",
    "store_hash",
)
"""The columns of results.csv; docs/reproduce.md says what each is."""


def score_file(path: Address) -> tuple[dict[str, Any], list[Table]]:
    """Score anyone's predictions: a JSON-ready document, and tables (title, columns, rows).

    Raises:
        InputError: the file cannot be read as predictions.
    """
    rows = headlines(read_predictions(path))
    return _scores(rows), tables(rows)


def write_report(run: Address) -> tuple[dict[str, Any], list[Table]]:
    """Write report.html (one self-contained file), report.json, report.md and results.csv into a run folder.

    Returns:
        The document that report.json holds, and tables (title, columns, rows) of the scores.

    Raises:
        InputError: the folder is not an evaluated run.
    """
    read = read_run(run)
    found = findings(read)
    document = {
        **_scores(found.rows),
        "synthetic": read.synthetic,
        "protocol": read.protocol,
        "network": read.network,
        **found.to_json(),
        "manifest": read.manifest,
        "run": read.document,
    }
    text = page(read, found)
    write_json(read.path / "report.json", document)
    for name, content in (("report.html", text), ("report.md", _markdown(read, found))):
        with atomic_write(read.path / name, "w") as file:
            file.write(content)
    with atomic_write(read.path / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, RESULT_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(result_rows(read, found.rows))
    return document, tables(found.rows)


def result_rows(run: EvaluatedRun, rows: Sequence[Headline]) -> list[dict[str, Any]]:
    """The rows of results.csv: one for the run, or for ``cross_dataset`` one for each ordered pair."""
    kept = rows if run.by_fold else rows[:1]
    manifest = run.manifest
    return [
        {
            "run": run.path.resolve().name,
            "part": row.name,
            "protocol": run.protocol,
            "network": run.network,
            "datasets": " ".join(run.datasets),
            "labels": " ".join(run.predictions.labels),
            "clips": row.scores.clips,
            "people": row.intervals.people,
            **_measures(row),
            "weighted_f1": f"{row.scores.weighted_f1:.4f}",
            "chance_uf1_low": f"{row.chance_uf1[0]:.4f}",
            "chance_uf1_high": f"{row.chance_uf1[1]:.4f}",
            "synthetic": run.synthetic,
            **{name: manifest.get(name) for name in ("seed", "affnet_tf", "commit", "backend", "store_hash")},
        }
        for row in kept
    ]


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""

    def line(cells: Sequence[object]) -> str:
        return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"

    rule = line(["---", *["---:"] * (len(columns) - 1)])
    return "\n".join([line(columns), rule, *map(line, rows)]) + "\n"


def _scores(rows: Sequence[Headline]) -> dict[str, Any]:
    """The scores of all clips, where they may be pooled, and of each row."""
    first = rows[0]
    pooled = first.name == ALL
    top = {**first.scores.to_json(), "uf1_interval": first.intervals.uf1, "chance_uf1": first.chance_uf1}
    return {**(top if pooled else {}), "rows": [row.to_json() for row in rows]}


def _measures(row: Headline) -> Mapping[str, str]:
    found = {}
    for name in ("accuracy", "uf1", "uar"):
        low, high = getattr(row.intervals, name)
        found |= {name: f"{getattr(row.scores, name):.4f}", f"{name}_low": f"{low:.4f}", f"{name}_high": f"{high:.4f}"}
    return found


def _markdown(run: EvaluatedRun, found: Findings) -> str:
    rows = [
        (
            row.name,
            row.scores.clips,
            row.intervals.people,
            *(
                f"{getattr(row.scores, name):.3f} ({span(getattr(row.intervals, name))})"
                for name in ("uf1", "uar", "accuracy")
            ),
        )
        for row in found.rows
    ]
    first = "trained on, tested on" if found.by_fold else "clips of"
    table = markdown_table((first, "clips", "people", "UF1", "UAR", "accuracy"), rows)
    what = (
        "Synthetic people: these numbers measure the pipeline, not the recognition of people.\n\n"
        if run.synthetic
        else ""
    )
    manifest, commit = run.manifest, run.manifest.get("commit")
    labels = ", ".join(run.predictions.labels)
    made_by = f"affnet_tf {manifest.get('affnet_tf')}{f' ({commit})' if commit else ''}"
    return (
        f"{what}{table}\n{run.network}, {run.protocol}, labels {labels}. In brackets: 95 % intervals, bootstrap over people. "
        f"Seed {manifest.get('seed')}, {made_by}.\n"
    )
