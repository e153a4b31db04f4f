"""The contact sheet of a clip store: onset, apex and motion image of every clip, for a person to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from affnet_tf.config import MotionConfig
from affnet_tf.files import atomic_write
from affnet_tf.imaging.motion import clip_motion_image
from affnet_tf.pipeline.crops import apex_place
from affnet_tf.pipeline.input import read_clips
from affnet_tf.pipeline.store import Store, StoredClip

__all__ = ["write_contact_sheets"]

SIDE, COLUMNS, ROWS, CAPTION, GAP = 96, 4, 12, 16, 8
PAPER, INK = 255, (40, 40, 40)


def write_contact_sheets(store: Store, folder: Path, part: str) -> list[Path]:
    """Write ``contact-<part>-01.png`` and so on, 48 clips on each: onset, apex (or middle) and motion image of each clip.

    Args:
        store: an open store.
        folder: where to write.
        part: clips of this part of the store are shown, that is the name that ``affnet prepare`` was given.

    Returns:
        The pictures.
    """
    shown = store.shards_of(part)
    tiles = [_tile(store.clips[row], frames) for row, frames in _clips(store, shown)]
    per_page = COLUMNS * ROWS
    pages = [tiles[i : i + per_page] for i in range(0, len(tiles), per_page)]
    paths = []
    for number, page in enumerate(pages, 1):
        path = folder / f"contact-{part}-{number:02d}.png"
        _, data = cv2.imencode(".png", _page(page)[..., ::-1])
        with atomic_write(path) as file:
            file.write(data.tobytes())
        paths.append(path)
    return paths


def _clips(store: Store, shards: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
    for row, frames, _ in read_clips(store, cache=False, shards=shards).as_numpy_iterator():
        yield int(row), frames


def _tile(clip: StoredClip, frames: np.ndarray) -> np.ndarray:
    if len(frames) == 1:
        pictures = [frames[0]]
    else:
        motion = np.asarray(clip_motion_image(frames[None], MotionConfig(scaling="standard"), frames.shape[1]))[0]
        pictures = [frames[0], frames[apex_place(clip, len(frames))], np.round(motion * 255).astype(np.uint8)]
    tile = np.full((SIDE + CAPTION, 3 * SIDE, 3), PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        tile[:SIDE, i * SIDE : (i + 1) * SIDE] = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    caption = f"{clip.clip_id} {clip.emotion}".encode("ascii", "replace").decode()
    cv2.putText(tile, caption, (2, SIDE + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, INK, 1, cv2.LINE_AA)
    return tile


def _page(tiles: Sequence[np.ndarray]) -> np.ndarray:
    height, width = SIDE + CAPTION + GAP, 3 * SIDE + GAP
    rows = -(-len(tiles) // COLUMNS)
    page = np.full((rows * height + GAP, min(COLUMNS, len(tiles)) * width + GAP, 3), PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = GAP + i // COLUMNS * height, GAP + i % COLUMNS * width
        page[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return page
