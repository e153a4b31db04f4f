"""Forged datasets: folders and sheets laid out as their owners ship them, with tiny pictures of nothing."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
import openpyxl

CASME2_HEADER = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units", "Estimated Emotion",
)  # fmt: skip
CASME2_COUNTS = {
    "others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25, "sadness": 7, "fear": 2,
}  # fmt: skip


@functools.cache
def picture(suffix: str) -> bytes:
    """An 8 x 8 picture as file content."""
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    ok, data = cv2.imencode(suffix, pixels)
    assert ok
    return data.tobytes()


def write_frames(folder: Path, pattern: str, first: int, last: int) -> None:
    """Pictures named ``pattern.format(number)`` for every number in [first, last]."""
    folder.mkdir(parents=True, exist_ok=True)
    data = picture(Path(pattern).suffix)
    for number in range(first, last + 1):
        (folder / pattern.format(number)).write_bytes(data)


def write_workbook(path: Path, sheets: dict[str, list]) -> None:
    """A workbook from rows of cells; text that begins with = is stored as a formula without a value."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


CASME2_ROWS = [
    ("01", "EP02_01f", None, 46, 59, 86, None, "12", "happiness"),
    ("01", "EP03_02", None, 131, 139, 161, None, "4+L10", "others"),
    (2, "EP01_11f ", None, 46, "91", 100.0, None, "4+7", "repression"),
    ("04", "EP12_01f", None, 261, "/", 321, None, "4(B/C)+7B", "disgust"),
    ("17", "EP05_02", None, 9, 10, 12, None, "?", " Surprise"),
]


def casme2(root: Path, rows: list | None = None, releases: tuple[str, ...] = ("cropped", "raw")) -> list:
    """CASME II in miniature: both releases, the workbook with blank columns and two empty sheets."""
    rows = CASME2_ROWS if rows is None else rows
    write_workbook(root / "CASME2-coding-20140508.xlsx", {"Sheet1": [CASME2_HEADER, *rows], "Sheet2": [], "Sheet3": []})
    for subject, filename, _, onset, _, offset, *_ in rows:
        clip = Path(f"sub{int(subject):02d}") / str(filename).strip()
        if "cropped" in releases:
            write_frames(root / "Cropped" / clip, "reg_img{}.jpg", int(onset), int(offset))
        if "raw" in releases:
            write_frames(root / "CASME2_RAW_selected" / clip, "img{}.jpg", int(onset), int(offset))
    return rows


def casme2_full_rows() -> list:
    """255 rows with the released sheet's class counts over 26 subjects; subjects 10 and 18 have nothing but others.

    Onsets, lengths (24..141 frames) and who shows what are made up. The two disgust clips that the MEGC2019 composite
    leaves out carry their real names.
    """
    emotions = [word for word, count in CASME2_COUNTS.items() for _ in range(count)]
    named = {"sub04": "EP12_01f", "sub05": "EP09_05f"}
    rows, others_only, rest = [], [10, 18], [n for n in range(1, 27) if n not in (10, 18)]
    disgust = 0
    for index, emotion in enumerate(emotions):
        subject = others_only[index] if emotion == "others" and index < 2 else rest[index % len(rest)]
        filename = f"EP{index // 20 + 1:02d}_{index % 20 + 30:02d}"
        if emotion == "disgust":
            disgust += 1
            if disgust <= 2:
                subject, filename = (4, named["sub04"]) if disgust == 1 else (5, named["sub05"])
        onset = 1 + 7 * (index % 40)
        offset = onset + 23 + (index * 37) % 118
        apex = "/" if filename == "EP12_01f" else (onset + offset) // 2
        rows.append((f"{subject:02d}", filename, None, onset, apex, offset, None, "4+7", emotion))
    return rows
