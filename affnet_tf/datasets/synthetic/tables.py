"""Annotation sheets, described by their columns and written as the releases have them."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affnet_tf.datasets.synthetic.entries import Entry
from affnet_tf.files import atomic_write

__all__ = ["Column", "Table", "write_csv", "write_workbook"]

Cells = Sequence[Any]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column: its name, None for a blank one, and its cell, from an entry and the row's number as shown in the program."""

    name: str | None
    cell: Callable[[Entry, int], Any] = lambda entry, row: None


@dataclasses.dataclass(frozen=True)
class Table:
    """A workbook with one row for each clip.

    Attributes:
        file: path under the root; filled in from an entry (``{split}``), so that parts may have books of their own.
        sheet: title of the sheet with the codes.
        columns: its columns.
        preamble: rows above the header.
        headed: whether the column names stand in the sheet.
        more: the workbook's further sheets.
    """

    file: str
    sheet: str
    columns: tuple[Column, ...]
    preamble: tuple[Cells, ...] = ()
    headed: bool = True
    more: Mapping[str, Sequence[Cells]] = dataclasses.field(default_factory=dict)

    @property
    def header(self) -> tuple[str | None, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def rows(self, entries: Sequence[Entry]) -> list[tuple]:
        """The cells of the entries, below preamble and header."""
        first = len(self.preamble) + self.headed + 1
        return [
            tuple(
                entry.cells[column.name] if column.name in entry.cells else column.cell(entry, row)
                for column in self.columns
            )
            for row, entry in enumerate(entries, first)
        ]

    def sheets(self, entries: Sequence[Entry]) -> dict[str, list[Cells]]:
        """The workbook's sheets as rows of cells."""
        top = [*self.preamble, *([self.header] if self.headed else [])]
        return {self.sheet: [*top, *self.rows(entries)], **self.more}

    def write(self, root: Path, entries: Sequence[Entry]) -> None:
        """Write the workbook, or one for each part, under ``root``."""
        for file in dict.fromkeys(self.file.format_map(vars(entry)) for entry in entries):
            part = [entry for entry in entries if self.file.format_map(vars(entry)) == file]
            write_workbook(root / file, self.sheets(part))


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Cells]]) -> None:
    """Write rows of cells; equal cells give equal bytes. Text that begins with = is a formula without a stored value."""
    import openpyxl  # a third of a second, and people are filmed without a workbook

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.properties.creator = "affnet"
    book.properties.created = datetime.datetime(2014, 5, 8)
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
                # The time of day would make two equal workbooks differ.
                data = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2014-05-08T00:00:00Z", data)
            info = zipfile.ZipInfo(name, (2014, 5, 8, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            plain.writestr(info, data)


def write_csv(path: Path, rows: Sequence[Cells]) -> None:
    """Write a CSV file as spreadsheet programs do, with a byte order mark."""
    with atomic_write(path, "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
