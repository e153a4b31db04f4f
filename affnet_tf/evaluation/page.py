"""report.html: one self-contained page, from a run and what was counted of it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from affnet_tf.evaluation import figures
from affnet_tf.evaluation.evaluated import EvaluatedRun
from affnet_tf.evaluation.findings import Findings
from affnet_tf.evaluation.headline import Headline, span
from affnet_tf.evaluation.shown import Shown, shown_clips
from affnet_tf.evaluation.style import STYLE

__all__ = ["page"]

PROTOCOLS = {
    "loso": "Leave one subject out",
    "kfold": "Folds of whole subjects",
    "composite": "Composite evaluation: leave one subject out",
    "holdout": "One dataset held out",
    "cross_dataset": "Trained on one dataset, tested on another",
}


def page(run: EvaluatedRun, found: Findings) -> str:
    """The whole page as HTML; nothing in it is loaded from elsewhere."""
    title = f"{PROTOCOLS.get(run.protocol, run.protocol or 'Evaluation')}: {', '.join(run.datasets)}"
    sections = [
        _scores(found),
        _classes(found.rows),
        _people(run, found),
        _curves(run),
        _gallery(run),
        _calibration(found),
        _coverage(found),
        _held_out(found),
        _settings(run),
    ]
    banner = (
        '<p class="synthetic">Synthetic people: these numbers measure the pipeline, not the recognition of people.</p>'
        if run.synthetic
        else ""
    )
    seed = run.manifest.get("seed")
    facts = [
        f"{run.network}, {len(run.predictions.labels)} classes",
        f"{len({row.key for row in run.predictions.rows})} clips of {found.people} people in {len(found.folds)} folds",
        *([f"seed {seed}"] if seed is not None else []),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><main>\n"
        f'<h1>{html.escape(title)}</h1>\n<p class="note">{html.escape(" · ".join(facts))}</p>\n{banner}\n'
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


def _scores(found: Findings) -> str:
    first, cross = found.rows[0], found.by_fold
    tiles = "" if cross else _tiles(first)
    rows = [
        (
            row.name,
            row.scores.clips,
            row.intervals.people,
            *(_scored(getattr(row.scores, name), getattr(row.intervals, name)) for name in ("uf1", "uar", "accuracy")),
            f"{row.scores.weighted_f1:.3f}",
            span(row.chance_uf1),
        )
        for row in found.rows
    ]
    columns = ("trained on, tested on" if cross else "", "clips", "people", "UF1", "UAR", "accuracy", "weighted F1")
    how = (
        "Each row is an experiment of its own: trained on one dataset, tested on another."
        if cross
        else "The predictions of all folds are pooled, then scored."
    )
    plot = f"<figure>{figures.interval_plot(found.rows)}</figure>" if len(found.rows) > 1 else ""
    return _section(
        "Scores",
        f'<p class="note">{how} Intervals: 95 %, bootstrap over people. By chance: labels guessed in their true '
        f"proportions.</p>{tiles}{_table((*columns, 'UF1 by chance'), rows)}{plot}",
    )


def _tiles(row: Headline) -> str:
    tiles = "".join(
        f'<div class="tile"><b>{getattr(row.scores, name):.3f}</b><span>{word}</span>'
        f"<span>{span(getattr(row.intervals, name))}</span></div>"
        for name, word in (("uf1", "UF1"), ("uar", "UAR"), ("accuracy", "accuracy"))
    )
    return f'<div class="tiles">{tiles}</div>'


def _scored(value: float, interval: Sequence[float]) -> str:
    return f"{value:.3f} ({span(interval)})"


def _classes(rows: Sequence[Headline]) -> str:
    parts = []
    for row in rows:
        scores = row.scores
        heading = f"<h3>{html.escape(row.name)}</h3>" if len(rows) > 1 else ""
        table = _table(
            ("class", "precision", "recall", "F1", "clips"),
            [
                (label, *(f"{measures[key]:.3f}" for key in ("precision", "recall", "f1")), measures["clips"])
                for label, measures in scores.per_class.items()
            ],
        )
        figure = f"<figure>{figures.confusion_matrix(scores.labels, scores.confusion)}</figure>"
        parts.append(f"<div>{heading}{figure}{table}</div>" if heading else f"{figure}{table}")
    return _section(
        "Classes",
        '<p class="note">Rows of a matrix are true labels; the shade is the share of the row.</p>'
        f'<div class="grid">{"".join(parts)}</div>',
    )


def _people(run: EvaluatedRun, found: Findings) -> str:
    labels = run.predictions.labels
    several = len(run.datasets) > 1
    lines = []
    for subject in found.subjects:
        cells = "".join(
            f'<i{"" if row.label == row.truth else " class=wrong"} title="{html.escape(_described(row, labels))}"></i>'
            for row in subject.rows
        )
        name = f"{subject.dataset} {subject.subject}" if several else subject.subject
        lines.append(
            f'<div class="person"><b title="{html.escape(name)}">{html.escape(name)}</b>'
            f"<span>{subject.right}/{len(subject.rows)}</span><div>{cells}</div></div>"
        )
    key = '<span class="key"><i></i> right</span><span class="key"><i class="wrong"></i> wrong</span>'
    return _section(
        "Subjects",
        f'<p class="note">One square for each clip, worst subjects first. {key}</p><div class="people">{"".join(lines)}</div>',
    )


def _described(row: Any, labels: Sequence[str]) -> str:
    return f"{row.clip_id}: {labels[row.truth]}, answered {labels[row.label]}"


def _curves(run: EvaluatedRun) -> str:
    names = {"loss": "training loss", "val_loss": "validation loss", "accuracy": "training accuracy"}
    names["val_accuracy"] = "validation accuracy"
    histories = [fold["history"] for fold in run.folds.values() if isinstance(fold.get("history"), dict)]
    drawn = []
    for name, word in names.items():
        curves = [history[name] for history in histories if history.get(name)]
        if curves:
            drawn.append(f"<figure>{figures.learning_curves(curves, word)}</figure>")
    if not drawn:
        return ""
    note = "One thin line for each fold, and their median. Validation, if any, is of held-out training subjects."
    return _section("Learning curves", f'<p class="note">{note}</p><div class="grid pair">{"".join(drawn)}</div>')


def _gallery(run: EvaluatedRun) -> str:
    right, wrong = shown_clips(run)
    if not right and not wrong:
        return _section("What the network saw", '<p class="note">No pictures were kept with this run.</p>')
    note = (
        "The surest right and wrong answers, as many classes as there are. Beside the motion image, where the evidence for "
        "the answer lies in the maps before and after the last convolution, which MFL reads (Grad-CAM; the brighter, the "
        "more of it)."
    )
    parts = [
        f'<h3>{word}</h3><div class="gallery">{"".join(_clip(each, run.predictions.labels) for each in part)}</div>'
        for word, part in (("Right", right), ("Wrong", wrong))
        if part
    ]
    return _section("What the network saw", f'<p class="note">{note}</p>{"".join(parts)}')


def _clip(each: Shown, labels: Sequence[str]) -> str:
    row = each.row
    pictures = "".join(
        f'<span><img src="{address}" alt="{html.escape(word)}"><small>{html.escape(word)}</small></span>'
        for word, address in each.pictures.items()
    )
    answer = f"{labels[row.label]}, {max(row.probabilities, default=1.0):.0%}"
    if row.label == row.truth:
        kind, said = "", html.escape(answer)
    else:
        kind, said = " wrong", f"{html.escape(answer)}; it is <b>{html.escape(labels[row.truth])}</b>"
    return (
        f'<div class="clip{kind}"><div>{pictures}</div><p>{said}<br>'
        f"<small>{html.escape(row.dataset)} {html.escape(row.clip_id)}</small></p></div>"
    )


def _calibration(found: Findings) -> str:
    if found.calibration is None:
        return ""
    before, after = found.calibration, found.calibrated
    rows = [("as it is", f"{before.ece:.3f}", f"{before.nll:.3f}")]
    note = "No predictions of validation subjects were kept, so no temperature can be fitted."
    if after is not None:
        rows.append(("at its temperature", f"{after.ece:.3f}", f"{after.nll:.3f}"))
        low, high = min(found.temperatures.values()), max(found.temperatures.values())
        note = (
            f"The temperature of each fold comes from its validation subjects, who are never tested in it: {low:.2f} to "
            f"{high:.2f}."
        )
    table = _table(("", "ECE", "NLL"), rows)
    figure = f"<figure>{figures.reliability(before.bins, after.bins if after else None)}</figure>"
    return _section(
        "Calibration",
        '<p class="note">ECE: how far confidence is from accuracy, over ten bins. NLL: mean negative log-likelihood of '
        f"the true labels, in nats. {note}</p>"
        f'<div class="grid">{figure}<div class="wide">{table}</div></div>',
    )


def _coverage(found: Findings) -> str:
    if not found.coverage:
        return ""
    note = (
        "If the network answers only where it is sure: scores of the clips that it answers, over their share. "
        "A class of which it answers no clip counts as 0 in UF1."
    )
    rows = []
    for wanted in (1.0, 0.9, 0.75, 0.5, 0.25):
        near = min(found.coverage, key=lambda one: abs(one.coverage - wanted))
        row = (f"{near.coverage:.0%}", f"≥ {near.threshold:.2f}", near.clips, f"{near.accuracy:.3f}", f"{near.uf1:.3f}")
        if row not in rows:
            rows.append(row)
    table = _table(("answered", "confidence", "clips", "accuracy", "UF1"), rows)
    return _section(
        "Abstaining",
        f'<p class="note">{note}</p><div class="grid"><figure>{figures.coverage(found.coverage)}</figure>'
        f'<div class="wide">{table}</div></div>',
    )


def _held_out(found: Findings) -> str:
    rows = [
        (
            fold.name,
            _grouped(fold.tested),
            fold.clips,
            "-" if fold.train_clips is None else fold.train_clips,
            _grouped(fold.validation) or "nobody",
            fold.reason or (f"{fold.excluded} clips" if fold.excluded else "none"),
        )
        for fold in found.folds
    ]
    table = _table(
        ("fold", "tested subjects", "test clips", "training clips", "validation subjects", "excluded clips"),
        rows,
        text=(1, 4, 5),
    )
    dropped = "".join(
        f"<li>{count} clips of {html.escape(name)}: the label scheme leaves them out</li>"
        for name, count in found.dropped.items()
    )
    extra = f"<h3>Clips without a label</h3><ul>{dropped}</ul>" if dropped else ""
    body = f"<details{'' if len(rows) > 12 else ' open'}><summary>{len(rows)} folds</summary>{table}</details>{extra}"
    note = "Nothing of a tested subject trains, stops or calibrates the network that tests them."
    return _section("What was held out", f'<p class="note">{note}</p>{body}')


def _grouped(people: Sequence[tuple[str, str]]) -> str:
    datasets = dict.fromkeys(dataset for dataset, _ in people)
    return "; ".join(f"{name} {', '.join(s for dataset, s in people if dataset == name)}" for name in datasets)


def _settings(run: EvaluatedRun) -> str:
    text = json.dumps({"run": run.document, "manifest": run.manifest}, indent=2, ensure_ascii=False)
    return _section(
        "How it was made",
        f"<details><summary>Settings, versions, commit, data</summary><pre>{html.escape(text)}</pre></details>",
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>\n{body}</section>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], text: Sequence[int] = ()) -> str:
    head = "".join(
        f"<th{' class=text' if i in text else ''}>{html.escape(column)}</th>" for i, column in enumerate(columns)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=text' if i in text else ''}>{html.escape(str(cell))}</td>" for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
