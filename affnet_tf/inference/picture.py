"""A prediction as a picture: the face, the motion image, the probabilities."""

from __future__ import annotations

import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.files import atomic_write
from affnet_tf.inference.prediction import PathPrediction
from affnet_tf.places import Address

__all__ = ["draw_prediction"]

_ACCENT, _MUTED, _INK = "#2a6f97", "#b8c4cc", "#22303a"


def draw_prediction(result: PathPrediction, path: Address) -> None:
    """Write a PNG: a few frames of the crop, the motion image, and a bar for each class.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("to draw a prediction, install matplotlib: pip install matplotlib") from None
    shown = list(result.shown)
    # Each picture is as wide as it is high; the bars are given twice that.
    figure = Figure(figsize=(2.1 * (len(shown) + 1) + 4.4, 2.9), dpi=120, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(shown) + 2, width_ratios=[1] * (len(shown) + 1) + [1.6], squeeze=False)[0]
    for axis, frame, number in zip(axes, shown, result.shown_numbers, strict=False):
        _image(axis, frame, f"frame {number}")
    _image(axes[-2], result.prediction.motion_image, "motion image")
    _bars(axes[-1], result)
    prediction = result.prediction
    figure.suptitle(
        f"{result.path.name}: {prediction.label}, {prediction.confidence:.0%}",
        color=_INK,
        fontsize=13,
        x=0.01,
        ha="left",
    )
    with atomic_write(path) as file:
        canvas.print_png(file)


def _image(axis, image: np.ndarray, title: str) -> None:
    axis.imshow(image, vmin=0, vmax=1 if image.dtype != np.uint8 else 255, interpolation="nearest")
    axis.set_title(title, fontsize=10, color=_INK)
    axis.set_axis_off()


def _bars(axis, result: PathPrediction) -> None:
    labels, values = result.prediction.labels, result.prediction.probabilities
    rows = np.arange(len(labels))
    colours = [_ACCENT if index == int(np.argmax(values)) else _MUTED for index in rows]
    axis.barh(rows, values, color=colours, height=0.7)
    for row, value in zip(rows, values, strict=True):
        axis.text(min(float(value), 1.0) + 0.02, row, f"{value:.0%}", va="center", fontsize=10, color=_INK)
    axis.set_yticks(rows, labels, fontsize=10, color=_INK)
    axis.set_xlim(0, 1.18)
    axis.set_xticks([])
    axis.invert_yaxis()
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.tick_params(length=0)
