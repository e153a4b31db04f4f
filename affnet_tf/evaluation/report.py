"""From a run's predictions to report.html, report.json and tables."""

from __future__ import annotations

import html
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.evaluation.metrics import Scores, chance_uf1, score, uf1_interval
from affnet_tf.evaluation.predictions import Predictions, read_predictions
from affnet_tf.files import atomic_write, read_json, write_json

__all__ = ["report_tables", "score_file", "write_report"]

Table = tuple[str, tuple[str, ...], list[tuple[object, ...]]]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; margin-bottom: .2rem; }} h2 {{ font-size: 1.15rem; margin-top: 2.2rem; }}
table {{ border-collapse: collapse; margin: .5rem 0; }} td, th {{ padding: .25rem .9rem .25rem 0; text-align: right;
border-bottom: 1px solid #e3e8ee; font-variant-numeric: tabular-nums; }} td:first-child, th:first-child {{ text-align: left; }}
.note {{ color: #5b6b7b; }} figure {{ margin: .5rem 0; overflow-x: auto; }} svg {{ max-width: 100%; height: auto; }}
pre {{ background: #f5f7f9; padding: .8rem; overflow-x: auto; font-size: .85rem; }}
.synthetic {{ background: #fff4d6; border: 1px solid #e6c35c; padding: .5rem .8rem; }}
</style></head><body>
<h1>{title}</h1>
<p class="note">{subtitle}</p>
{banner}
{sections}
</body></html>
"""


def score_file(path: str | os.PathLike) -> tuple[dict[str, Any], list[Table]]:
    """Score a predictions.csv: a JSON-ready document, and tables (title, columns, rows).

    Raises:
        InputError: the file cannot be read as predictions.
    """
    predictions = read_predictions(path)
    scores, interval, chance = _scored(predictions)
    document = {**scores.to_json(), "uf1_interval": interval, "chance_uf1": chance}
    return document, report_tables(scores, interval, chance)


def report_tables(scores: Scores, interval: tuple[float, float], chance: tuple[float, float]) -> list[Table]:
    """The headline, the classes and the confusion matrix as tables (title, columns, rows)."""
    headline = (
        "Scores",
        ("clips", "accuracy", "UF1", "95 % interval", "UAR", "weighted F1", "UF1 by chance"),
        [
            (
                scores.clips,
                f"{scores.accuracy:.3f}",
                f"{scores.uf1:.3f}",
                _span(interval),
                f"{scores.uar:.3f}",
                f"{scores.weighted_f1:.3f}",
                _span(chance),
            )
        ],
    )
    classes = (
        "Classes",
        ("class", "precision", "recall", "F1", "clips"),
        [
            (label, *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")), row["clips"])
            for label, row in scores.per_class.items()
        ],
    )
    confusion = (
        "Confusion (rows: true, columns: predicted)",
        ("", *scores.labels),
        [(label, *row) for label, row in zip(scores.labels, scores.confusion, strict=True)],
    )
    return [headline, classes, confusion]


def write_report(run: str | os.PathLike) -> dict[str, Any]:
    """Write report.html (one self-contained file) and report.json into a run folder.

    Returns:
        The document that report.json holds.

    Raises:
        InputError: the folder is not an evaluated run.
    """
    run = Path(run)
    if not (run / "predictions.csv").is_file():
        raise InputError(f"a report must be made of an evaluated run, with predictions.csv. Received: {str(run)!r}")
    predictions = read_predictions(run / "predictions.csv")
    scores, interval, chance = _scored(predictions)
    config, manifest = read_json(run / "config.json"), read_json(run / "manifest.json")
    document = {**scores.to_json(), "uf1_interval": interval, "chance_uf1": chance, "manifest": manifest, "run": config}
    write_json(run / "report.json", document)
    tables = report_tables(scores, interval, chance)
    sections = [_section(title, _html_table(columns, rows)) for title, columns, rows in tables[:2]]
    sections.append(_section("Confusion matrix", f"<figure>{_confusion_figure(scores)}</figure>"))
    sections.append(_section("Accuracy by subject", f"<figure>{_subject_figure(predictions)}</figure>"))
    curves = _history_figure(run)
    if curves:
        sections.append(_section("Training loss, one line per fold", f"<figure>{curves}</figure>"))
    sections.append(
        _section(
            "How it was made", f"<pre>{html.escape(json.dumps({'run': config, 'manifest': manifest}, indent=2))}</pre>"
        )
    )
    page = _PAGE.format(
        title=f"{config.get('protocol', 'evaluation').upper()} on {', '.join(sorted({r.dataset for r in predictions.rows}))}",
        subtitle=f"{scores.clips} clips of {len({(r.dataset, r.subject) for r in predictions.rows})} subjects. "
        "Predictions of all folds are pooled, then scored. Intervals: bootstrap over subjects.",
        banner=_banner(manifest),
        sections="\n".join(sections),
    )
    with atomic_write(run / "report.html", "w") as file:
        file.write(page)
    return document


def _scored(predictions: Predictions) -> tuple[Scores, tuple[float, float], tuple[float, float]]:
    scores = score(predictions)
    return scores, uf1_interval(predictions), chance_uf1(predictions.truth, len(predictions.labels))


def _span(interval: Sequence[float]) -> str:
    return f"{interval[0]:.3f} – {interval[1]:.3f}"


def _banner(manifest: dict[str, Any]) -> str:
    if not manifest.get("synthetic"):
        return ""
    return (
        '<p class="synthetic">Synthetic people: these numbers measure the pipeline, not the recognition of people.</p>'
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{html.escape(title)}</h2>\n{body}"


def _html_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _confusion_figure(scores: Scores) -> str:
    counts = np.array(scores.confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.8 * len(scores.labels)
    figure, axes = _figure(side, side)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        axes.text(j, i, count, ha="center", va="center", color="white" if share[i, j] > 0.5 else "black")
    axes.set_xticks(range(len(scores.labels)), scores.labels, rotation=30, ha="right")
    axes.set_yticks(range(len(scores.labels)), scores.labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return _svg(figure)


def _subject_figure(predictions: Predictions) -> str:
    right: dict[str, list[bool]] = {}
    for row in predictions.rows:
        right.setdefault(f"{row.dataset} {row.subject}", []).append(row.label == row.truth)
    names = sorted(right)
    figure, axes = _figure(max(4.0, 0.35 * len(names) + 1), 2.8)
    axes.bar(range(len(names)), [np.mean(right[name]) for name in names], color="#4477aa")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_ylabel("accuracy")
    return _svg(figure)


def _history_figure(run: Path) -> str | None:
    histories = [read_json(path)["history"] for path in sorted((run / "folds").glob("*.json"))]
    if not histories:
        return None
    figure, axes = _figure(6, 3)
    for history in histories:
        axes.plot(range(1, len(history["loss"]) + 1), history["loss"], color="#4477aa", alpha=0.5, linewidth=1)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    return _svg(figure)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
