"""Clips that a report shows: the motion image, and where the network looked, as PNG data for a page."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import zipfile
from collections.abc import Hashable, Sequence

import numpy as np

from affnet_tf.evaluation.evaluated import EvaluatedRun
from affnet_tf.evaluation.predictions import Prediction
from affnet_tf.files import open_arrays
from affnet_tf.places import Place

__all__ = ["Shown", "shown_clips"]

MOST = 6
"""Right answers, and wrong ones, at most."""

_LEAST_SIDE = 96


@dataclasses.dataclass(frozen=True)
class Shown:
    """One clip: its row of the predictions, and ``data:`` addresses of its pictures by what they are."""

    row: Prediction
    pictures: dict[str, str]


def shown_clips(run: EvaluatedRun) -> tuple[list[Shown], list[Shown]]:
    """Right answers and wrong ones, the surest first, as many classes as there are; empty where no pictures were kept."""
    rows = {(row.fold, *row.key): row for row in run.predictions.rows}
    kept: list[tuple[Prediction, Place, int]] = []
    for fold in run.folds:
        path = run.path / "folds" / f"{fold}.npz"
        for place, key in enumerate(_keys(path)):
            if (fold, *key) in rows:
                kept.append((rows[fold, *key], path, place))
    kept.sort(key=lambda each: -max(each[0].probabilities, default=0.0))
    right = [each for each in kept if each[0].label == each[0].truth]
    wrong = [each for each in kept if each[0].label != each[0].truth]
    right = _in_turn(right, [each[0].truth for each in right])
    wrong = _in_turn(wrong, [(each[0].truth, each[0].label) for each in wrong])
    return tuple([Shown(row, _pictures(path, place)) for row, path, place in part[:MOST]] for part in (right, wrong))


def _keys(path: Place) -> list[tuple[str, str]]:
    """The clips of a gallery file; none where it is missing or damaged, since a report can do without."""
    try:
        with open_arrays(path) as file:
            return [(str(d), str(c)) for d, c in zip(file["dataset"], file["clip_id"], strict=True)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return []


def _in_turn(items: Sequence, groups: Sequence[Hashable]) -> list:
    """One of each group, then the second of each, and so on; the order within a group is kept."""
    by_group: dict[Hashable, list] = {}
    for item, group in zip(items, groups, strict=True):
        by_group.setdefault(group, []).append(item)
    return [each for turn in itertools.zip_longest(*by_group.values()) for each in turn if each is not None]


def _pictures(path: Place, place: int) -> dict[str, str]:
    with open_arrays(path) as file:
        image = file["images"][place]
        pictures = {"motion image": _address(image)}
        for tap in file["taps"]:
            pictures[f"{tap} the last convolution"] = _address(_overlaid(image, file[f"map_{tap}"][place]))
    return pictures


def _overlaid(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """The image in grey with a map over it, uint8 (S, S, 3): the higher, the more colour."""
    import cv2

    side = max(image.shape[0], _LEAST_SIDE)
    grey = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR).mean(axis=-1, keepdims=True)
    heat = cv2.resize(attention, (side, side), interpolation=cv2.INTER_CUBIC)
    colour = cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO)[..., ::-1]
    share = 0.6 * heat[..., None] / 255.0
    return np.clip(np.round(grey * (1 - share) + colour * share), 0, 255).astype(np.uint8)


def _address(image: np.ndarray) -> str:
    import cv2

    done, data = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    return f"data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}" if done else ""
