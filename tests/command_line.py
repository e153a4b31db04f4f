"""The command line, run in this process, and a small dataset to run it on."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from layouts import CASME2_HEADER, write_workbook

from affnet_tf.cli import main

EMOTIONS = ("happiness", "disgust", "surprise", "others")


def affnet(*words: object) -> int:
    """The exit code of a command line."""
    before, sys.argv = sys.argv, ["affnet", *map(str, words)]
    try:
        main()
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = before
    return 0


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below, with what it holds."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def write_clips(root: Path, subjects: int = 3, size: int = 40) -> list[tuple]:
    """A cropped CASME II of four clips a subject: one quarter of noise grows brighter."""
    rng, rows = np.random.default_rng(0), []
    for subject in range(1, subjects + 1):
        for number, emotion in enumerate(EMOTIONS):
            rows.append((f"{subject:02d}", f"EP{number:02d}", None, 3, 5, 9, None, "4", emotion))
            folder = root / "Cropped" / f"sub{subject:02d}" / f"EP{number:02d}"
            folder.mkdir(parents=True)
            still = rng.uniform(60, 120, (size, size, 3))
            spot = np.zeros((size, size, 1))
            half = size // 2
            spot[half * (number // 2) :, half * (number % 2) :][:half, :half] = 80
            for i in range(7):
                frame = np.clip(still + spot * i / 6, 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"reg_img{3 + i}.png"), frame)
    return write_rows(root, rows)


def write_rows(root: Path, rows: list[tuple]) -> list[tuple]:
    """Write the sheet that annotates them."""
    write_workbook(root / "CASME2-coding-20140508.xlsx", {"Sheet1": [CASME2_HEADER, *rows], "Sheet2": []})
    return rows
