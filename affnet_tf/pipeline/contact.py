"""The contact sheet of a clip store: onset, apex and motion image of every clip, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from affnet_tf.datasets.clips import Clip
from affnet_tf.files import atomic_write
from affnet_tf.imaging.pooling import affective_motion_image
from affnet_tf.pipeline.crops import apex_place

__all__ = ["draw_tile", "write_page"]

SIDE, COLUMNS, CAPTION, GAP = 96, 4, 16, 8
PAPER, INK = 255, (40, 40, 40)
# A motion image of this many frames, evenly spaced, looks like that of all.
POOLED = 16


def draw_tile(clip: Clip, frames: np.ndarray) -> np.ndarray:
    """Onset, apex (or middle) and motion image of one clip side by side, with its name and emotion below.

    Args:
        clip: the clip.
        frames: its crops, uint8 (T, S, S, 3); a single one is a ready-made motion image.

    Returns:
        uint8 (112, 288, 3).
    """
    if len(frames) == 1:
        pictures = [frames[0]]
    else:
        some = np.linspace(0, len(frames) - 1, min(len(frames), POOLED)).round().astype(int)
        motion = affective_motion_image(frames[some], scaling="standard")
        pictures = [frames[0], frames[apex_place(clip, len(frames))], np.round(motion * 255).astype(np.uint8)]
    tile = np.full((SIDE + CAPTION, 3 * SIDE, 3), PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        tile[:SIDE, i * SIDE : (i + 1) * SIDE] = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    caption = f"{clip.clip_id} {clip.emotion}".encode("ascii", "replace").decode()
    cv2.putText(tile, caption, (2, SIDE + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, INK, 1, cv2.LINE_AA)
    return tile


def write_page(path: Path, tiles: Sequence[np.ndarray]) -> None:
    """Write tiles as one PNG, four to a row."""
    height, width = SIDE + CAPTION + GAP, 3 * SIDE + GAP
    rows = -(-len(tiles) // COLUMNS)
    page = np.full((rows * height + GAP, min(COLUMNS, len(tiles)) * width + GAP, 3), PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = GAP + i // COLUMNS * height, GAP + i % COLUMNS * width
        page[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    _, data = cv2.imencode(".png", page[..., ::-1])
    with atomic_write(path) as file:
        file.write(data.tobytes())
