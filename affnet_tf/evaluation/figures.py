"""The figures of a report as SVG, drawn here so that a report is one file that any browser shows."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np

from affnet_tf.evaluation.calibration import Bin, Kept
from affnet_tf.evaluation.headline import Headline

__all__ = ["confusion_matrix", "coverage", "interval_plot", "learning_curves", "reliability"]

ACCENT, SECOND, INK, MUTED, LINE = "#2a6f97", "#d9772b", "#1c2733", "#5b6b7b", "#dfe5eb"
# Everything is drawn about as wide as the narrowest screen, so that letters are not shrunk on it.
WIDTH = 380


def confusion_matrix(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Rows are true labels, columns predicted ones; the shade is the share of the row, the number the clips."""
    matrix = np.array(counts)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    left, top = 92, 44
    side = (WIDTH - left - 8) / len(labels)
    height = min(side, 56.0)
    shapes = [_text(left + side * len(labels) / 2, 14, "predicted", MUTED)]
    for i, label in enumerate(labels):
        shapes.append(_text(left + side * (i + 0.5), top - 10, _short(label, side), INK))
        shapes.append(_text(left - 8, top + height * (i + 0.5) + 4, _short(label, left - 8), INK, "end"))
    for (i, j), count in np.ndenumerate(matrix):
        x, y = left + side * j, top + height * i
        title = f"true {labels[i]}, predicted {labels[j]}: {count} of {matrix[i].sum()}"
        shapes.append(
            f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{side - 2:.1f}" height="{height - 2:.1f}" rx="3" '
            f'fill="{_shade(share[i, j])}"><title>{html.escape(title)}</title></rect>'
        )
        colour = "#fff" if share[i, j] > 0.55 else INK
        shapes.append(
            _text(x + side / 2, y + height / 2 + 5, str(count), colour, weight=600 if i == j else 400, size=14)
        )
    return _svg(WIDTH, top + height * len(labels) + 4, shapes, "confusion matrix")


def interval_plot(rows: Sequence[Headline]) -> str:
    """UF1 of every row with its interval, over the interval of UF1 by chance (grey)."""
    left, step = 120, 34
    chart = _Chart(WIDTH, 22 + step * len(rows) + 34, left, 16, 22, 34, (0, 1), (0, len(rows)))
    shapes = [*chart.frame([0, 0.25, 0.5, 0.75, 1], [], "UF1")]
    for i, row in enumerate(rows):
        y = 22 + step * (i + 0.5)
        low, high = (chart.x(value) for value in row.intervals.uf1)
        chance = [chart.x(value) for value in row.chance_uf1]
        shapes.append(_text(left - 10, y + 4, _short(row.name, left - 10), INK, "end"))
        shapes.append(
            f'<rect x="{chance[0]:.1f}" y="{y - 9:.1f}" width="{chance[1] - chance[0]:.1f}" height="18" fill="{LINE}">'
            f"<title>by chance</title></rect>"
        )
        shapes.append(_line([(low, y), (high, y)], ACCENT, 3))
        shapes += [_line([(x, y - 6), (x, y + 6)], ACCENT, 2) for x in (low, high)]
        shapes.append(f'<circle cx="{chart.x(row.scores.uf1):.1f}" cy="{y:.1f}" r="5" fill="{ACCENT}"/>')
    return _svg(WIDTH, chart.height, shapes, "UF1 with 95 % intervals")


def learning_curves(curves: Sequence[Sequence[float]], name: str) -> str:
    """One thin line for each fold, and their median over the epochs that all of them have."""
    longest, shortest = max(map(len, curves)), min(map(len, curves))
    values = [value for curve in curves for value in curve if math.isfinite(value)]
    top = _round_up(max(values, default=1.0))
    chart = _Chart(WIDTH, 240, 56, 12, 14, 40, (1, max(longest, 2)), (0, top))
    shapes = chart.frame(_ticks(1, longest), [0, top / 2, top], "epoch", name)
    for curve in curves:
        shapes.append(_line([(chart.x(i), chart.y(v)) for i, v in enumerate(curve, 1)], ACCENT, 1, opacity=0.35))
    median = np.median([curve[:shortest] for curve in curves], axis=0)
    shapes.append(_line([(chart.x(i), chart.y(float(v))) for i, v in enumerate(median, 1)], ACCENT, 2.5))
    return _svg(WIDTH, chart.height, shapes, f"{name} by epoch")


def reliability(bins: Sequence[Bin], after: Sequence[Bin] | None = None) -> str:
    """Accuracy over confidence; on the dashed line confidence is as high as accuracy. The bars say how many clips."""
    chart = _Chart(WIDTH, 340, 46, 12, 24, 40, (0, 1), (0, 1))
    shapes = chart.frame([0, 0.5, 1], [0, 0.5, 1], "confidence", "accuracy")
    clips = max(sum(one.clips for one in bins), 1)
    for one in bins:
        x, bottom = chart.x(one.low), chart.y(0)
        height = (bottom - chart.y(1)) * one.clips / clips
        shapes.append(
            f'<rect x="{x + 1:.1f}" y="{bottom - height:.1f}" width="{chart.x(one.high) - x - 2:.1f}" '
            f'height="{height:.1f}" fill="{LINE}"><title>{one.clips} clips</title></rect>'
        )
    shapes.append(_line([(chart.x(0), chart.y(0)), (chart.x(1), chart.y(1))], MUTED, 1, dash="4 4"))
    for group, colour in ((bins, ACCENT), (after or (), SECOND)):
        points = [(chart.x(one.confidence), chart.y(one.accuracy)) for one in group if one.clips]
        if points:
            shapes.append(_line(points, colour, 2))
        shapes += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points]
    if after:
        shapes += [
            _text(chart.x(1) - 148, 12, "as it is", ACCENT, "end", weight=600),
            _text(chart.x(1), 12, "at its temperature", SECOND, "end", weight=600),
        ]
    return _svg(WIDTH, chart.height, shapes, "reliability diagram")


def coverage(points: Sequence[Kept]) -> str:
    """Accuracy and UF1 of the clips that are kept, over the share of clips that is kept."""
    chart = _Chart(WIDTH, 340, 46, 12, 24, 40, (0, 1), (0, 1))
    shapes = chart.frame([0, 0.25, 0.5, 0.75, 1], [0, 0.5, 1], "share of clips that are answered", "score")
    for place, (name, word, colour) in enumerate((("uf1", "UF1", SECOND), ("accuracy", "accuracy", ACCENT))):
        line = [
            (chart.x(one.coverage), chart.y(getattr(one, name))) for one in points if getattr(one, name) is not None
        ]
        shapes.append(_line(line, colour, 2))
        shapes.append(_text(chart.x(1) - 42 * place, 12, word, colour, "end", weight=600))
    return _svg(WIDTH, chart.height, shapes, "scores by coverage")


class _Chart:
    """Where values lie in a drawing: a box of given size and margins, and the ranges of its axes."""

    def __init__(
        self,
        width: float,
        height: float,
        left: float,
        right: float,
        top: float,
        bottom: float,
        xs: tuple[float, float],
        ys: tuple[float, float],
    ) -> None:
        self.height = height
        self._box = (left, top, width - right, height - bottom)
        self._xs, self._ys = xs, ys

    def x(self, value: float) -> float:
        left, _, right, _ = self._box
        return left + (right - left) * (value - self._xs[0]) / (self._xs[1] - self._xs[0])

    def y(self, value: float) -> float:
        _, top, _, bottom = self._box
        return bottom - (bottom - top) * (value - self._ys[0]) / (self._ys[1] - self._ys[0])

    def frame(self, xs: Sequence[float], ys: Sequence[float], below: str, beside: str = "") -> list[str]:
        left, top, right, bottom = self._box
        shapes = [_line([(left, self.y(value)), (right, self.y(value))], LINE, 1) for value in ys]
        shapes += [_line([(self.x(value), top), (self.x(value), bottom)], LINE, 1) for value in xs]
        shapes += [_text(left - 8, self.y(value) + 4, f"{value:.3g}", MUTED, "end") for value in ys]
        shapes += [_text(self.x(value), bottom + 16, f"{value:g}", MUTED) for value in xs]
        shapes.append(_text((left + right) / 2, bottom + 33, below, MUTED))
        if beside:
            middle = (top + bottom) / 2
            shapes.append(f'<g transform="rotate(-90 12 {middle:.1f})">{_text(12, middle, beside, MUTED)}</g>')
        return shapes


def _ticks(first: int, last: int) -> list[float]:
    if last <= first:
        return [first]
    step = max(1, round((last - first) / 4))
    return [*range(first, last - step // 2, step), last]


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    unit = 10 ** math.floor(math.log10(value))
    return next(unit * factor for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * factor >= value * (1 - 1e-9))


def _short(text: str, room: float) -> str:
    letters = max(3, int(room / 6.6))
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _shade(share: float) -> str:
    white, full = (240, 244, 248), (42, 111, 151)
    return "#" + "".join(f"{round(w + (f - w) * share):02x}" for w, f in zip(white, full, strict=True))


def _text(
    x: float, y: float, text: str, colour: str, anchor: str = "middle", weight: int = 400, size: float = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size:g}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{html.escape(text)}</text>'
    )


def _line(
    points: Sequence[tuple[float, float]], colour: str, width: float, dash: str = "", opacity: float = 1.0
) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points if math.isfinite(y))
    return (
        f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-opacity="{opacity:g}" '
        f'stroke-linejoin="round"{f" stroke-dasharray={dash!r}" if dash else ""}/>'
    )


def _svg(width: float, height: float, shapes: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(shapes)}</svg>'
    )
