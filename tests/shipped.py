"""A cropped CASME II of twenty clips, as it is shipped, and what can be wrong with a clip of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import layouts
import numpy as np

NAMES = [f"EP{number:02d}_01" for number in range(20)]


def rows() -> list[tuple]:
    """The sheet, line by line."""
    return [(f"{1 + i % 3:02d}", name, None, 5, 7, 10, None, "4", "others") for i, name in enumerate(NAMES)]


def write_people(root: Path, *releases: str) -> Path:
    """Twenty clips of six frames, two shards of a store, in some of the releases; ``root``."""
    entries = [layouts.row(1 + i % 3, name, 5, 7, 10, "4", "others") for i, name in enumerate(NAMES)]
    layouts.write(root, "casme2", entries, releases)
    return root


def folder_of(root: Path, number: int) -> Path:
    """Where the frames of a clip lie."""
    return root / "Cropped" / f"sub{1 + number % 3:02d}" / NAMES[number]


def change_sheet(root: Path, change: Callable[[list[tuple]], list[tuple]]) -> None:
    """Write the sheet anew, with its lines changed."""
    layouts.write_workbook(
        root / "CASME2-coding-20140508.xlsx", {"Sheet1": [layouts.CASME2_HEADER, *change(rows())], "Sheet2": []}
    )


# Each harms a clip of the folder, by its number, and returns what must be said of it.


def absent(root: Path, number: int) -> str:
    shutil.rmtree(folder_of(root, number))
    return "frame folder must exist"


def hole(root: Path, number: int) -> str:
    (folder_of(root, number) / "reg_img8.jpg").unlink()
    return "frames 5 to 10 of .* must all be there. Missing 1: 8"


def no_image(root: Path, number: int) -> str:
    (folder_of(root, number) / "reg_img8.jpg").write_bytes(b"these are not the bytes of a picture")
    return r"must be readable as JPEG, PNG, BMP, TIFF or WebP\. Received: .*reg_img8\.jpg"


def empty(root: Path, number: int) -> str:
    (folder_of(root, number) / "reg_img8.jpg").write_bytes(b"")
    return r"frame files must not be empty\. Received: 1 with 0 bytes: reg_img8\.jpg"


def another_size(root: Path, number: int) -> str:
    cv2.imwrite(str(folder_of(root, number) / "reg_img8.jpg"), np.zeros((20, 24, 3), np.uint8))
    return r"frames of a clip must have one size, 16x16 like the first\. Received: .*reg_img8\.jpg' of 24x20"


def breaks_off(root: Path, number: int) -> str:
    path = folder_of(root, number) / "reg_img8.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    return "image must be whole"


def twice(root: Path, number: int) -> str:
    change_sheet(root, lambda table: [*table, table[number]])
    return r"clip id must be unique in its dataset\. Received: 2 clips"


def outside(root: Path, number: int) -> str:
    def change(table):
        table[number] = ("01", "../../../etc", *table[number][2:])
        return table

    change_sheet(root, change)
    return r"must .*\. Received: '\.\./\.\./\.\./etc'"


HARMS = [absent, hole, no_image, empty, another_size, breaks_off, twice, outside]
