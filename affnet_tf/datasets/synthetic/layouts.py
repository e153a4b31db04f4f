"""Where a dataset's release keeps its frames and annotations."""

from __future__ import annotations

import dataclasses
import datetime
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType

import openpyxl

from affnet_tf.datasets.synthetic.camera import Truth
from affnet_tf.datasets.synthetic.takes import Take
from affnet_tf.files import atomic_write

__all__ = ["LAYOUTS", "Layout", "Row"]


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of an annotation sheet; frame numbers as on disk, ``apex`` None where the coder left none."""

    take: Take
    onset: int
    apex: int | None
    offset: int
    action_units: str

    @classmethod
    def of(cls, take: Take, truth: Truth) -> Row:
        """The annotation of a filmed take."""
        first = take.first
        return cls(take, first + truth.onset, first + truth.apex, first + truth.offset, truth.action_units)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A release's shape on disk.

    Attributes:
        fps: frames per second.
        grey: frames carry no colour.
        raw_size: (height, width) of the raw frames where the cropped ones are 340 x 280.
        cropped: path of a cropped frame under the root, from the take and the frame's number.
        raw: path of a raw frame.
        write_sheet: writes the annotations under a root.
    """

    fps: float
    grey: bool
    raw_size: tuple[int, int]
    cropped: Callable[[Take, int], str]
    raw: Callable[[Take, int], str]
    write_sheet: Callable[[Path, Sequence[Row]], None]


def _casme2_clip(take: Take) -> str:
    return f"sub{take.subject:02d}/EP{take.episode:02d}_{take.occurrence:02d}f"


def _casme2_cropped(take: Take, number: int) -> str:
    return f"Cropped/{_casme2_clip(take)}/reg_img{number}.jpg"


def _casme2_raw(take: Take, number: int) -> str:
    return f"CASME2_RAW_selected/{_casme2_clip(take)}/img{number}.jpg"


def _casme2_sheet(root: Path, rows: Sequence[Row]) -> None:
    """The workbook of 2014-05-08: two nameless columns, subjects as text, two empty sheets, a slash for a lost apex."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Sheet1"
    sheet.append(
        [
            "Subject",
            "Filename",
            None,
            "OnsetFrame",
            "ApexFrame",
            "OffsetFrame",
            None,
            "Action Units",
            "Estimated Emotion",
        ]
    )
    for row in rows:
        subject, clip = _casme2_clip(row.take).split("/")
        apex = "/" if row.apex is None else row.apex
        units = int(row.action_units) if row.action_units.isdecimal() else row.action_units
        sheet.append([subject[3:], clip, None, row.onset, apex, row.offset, None, units, row.take.emotion])
    book.create_sheet("Sheet2")
    book.create_sheet("Sheet3")
    _save(book, root / "CASME2-coding-20140508.xlsx")


def _save(book: openpyxl.Workbook, path: Path) -> None:
    """Save without the time of day, so that equal content is equal bytes."""
    epoch = datetime.datetime(2014, 5, 8, tzinfo=datetime.UTC)
    book.properties.creator = "affnet"
    book.properties.created = epoch.replace(tzinfo=None)
    stream = io.BytesIO()
    book.save(stream)
    with (
        zipfile.ZipFile(stream) as dated,
        atomic_write(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as plain,
    ):
        for name in dated.namelist():
            data = dated.read(name)
            if name == "docProps/core.xml":
                data = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2014-05-08T00:00:00Z", data)
            info = zipfile.ZipInfo(name, (2014, 5, 8, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            plain.writestr(info, data)


LAYOUTS = MappingProxyType({"casme2": Layout(200.0, False, (480, 640), _casme2_cropped, _casme2_raw, _casme2_sheet)})
