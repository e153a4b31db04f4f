"""Coding workbooks: finding the table in a sheet, and reading what annotators type into cells.

Cells are read by these rules, for every dataset:

- Text is stripped; a column is found by its name whatever its case, spaces and punctuation; a column without a name is
  skipped.
- A number may be an int, a float with nothing after the point, or text of either.
- Nothing, ``/``, ``-``, ``?``, ``NA``, ``NaN``, ``null``, ``none`` and negative numbers mean: not annotated.
- A formula counts as the value that the spreadsheet program stored with it. Where none is stored, a sum or difference
  of cells and whole numbers (``=E3-D3+1``) is worked out; any other formula means: not annotated.
- Anything else is refused, naming the cell's content.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affnet_tf.datasets.folders import contents
from affnet_tf.datasets.forms import Sheet
from affnet_tf.errors import InputError

__all__ = ["Row", "find_files", "find_table", "read_sheets", "text", "whole_number"]

HEADER_WITHIN = 30
_EMPTY = {"", "/", "\\", "-", "--", "?", "na", "n/a", "nan", "null", "none"}
_TERM = re.compile(r"([+-]?)(?:\$?([A-Z]{1,3})\$?([0-9]+)|([0-9]+))")

Cells = list[list[Any]]


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table: its number as the spreadsheet program shows it, and its cells by field name."""

    number: int
    cells: Mapping[str, Any]

    def get(self, field: str) -> Any:
        """The cell of a field, or None where the table has no such column."""
        return self.cells.get(field)


def find_files(root: Path, sheet: Sheet, dataset: str) -> list[Path]:
    """The annotation files under ``root``: of the first pattern that matches, the last name in order.

    A sheet with ``every_file`` is spread over several files: then all matches of all patterns.

    Raises:
        InputError: no pattern matches; the message lists what the folder holds.
    """
    matches: list[Path] = []
    for pattern in sheet.files:
        found = sorted(path for path in root.glob(pattern) if path.is_file() and not path.name.startswith(("~$", ".")))
        if found and not sheet.every_file:
            return [found[-1]]
        matches += found
    if matches:
        return list(dict.fromkeys(matches))
    expected = " or ".join(sheet.files[:3])
    raise InputError(f"{dataset} root must hold {expected}. Received: {contents(root)}")


def read_sheets(path: Path) -> dict[str, Cells]:
    """Every sheet of a workbook (.xlsx) or the one table of a .csv, as rows of cells, in order.

    Raises:
        InputError: the file is neither, or is damaged.
    """
    if path.suffix.lower() == ".csv":
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                return {path.name: [list(row) for row in csv.reader(file)]}
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{str(path)!r} must be a CSV file in UTF-8. Received: {error}") from None
    if path.suffix.lower() not in (".xlsx", ".xlsm"):
        raise InputError(f"annotation file must be .xlsx or .csv: save it as .xlsx. Received: {str(path)!r}")
    import openpyxl  # a third of a second, which `affnet --help` need not pay

    try:
        written = _load(openpyxl, path, data_only=False)
        if not any(_is_formula(cell) for cells in written.values() for row in cells for cell in row):
            return written
        stored = _load(openpyxl, path, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, SyntaxError) as error:
        raise InputError(f"{str(path)!r} must be an Excel workbook (.xlsx). Received: {error}") from None
    for name, cells in stored.items():
        _work_out(cells, written[name])
    return stored


def _load(openpyxl: Any, path: Path, data_only: bool) -> dict[str, Cells]:
    book = openpyxl.load_workbook(path, data_only=data_only)
    return {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets}


def _is_formula(cell: Any) -> bool:
    return isinstance(cell, str) and cell.startswith("=")


def _work_out(stored: Cells, written: Cells) -> None:
    for r, row in enumerate(written):
        for c, cell in enumerate(row):
            if _is_formula(cell) and stored[r][c] is None:
                stored[r][c] = _evaluate(cell, written, depth=0)


def _evaluate(formula: str, cells: Cells, depth: int) -> int | None:
    """The value of a sum or difference of cells and whole numbers, else None."""
    body = formula[1:].replace(" ", "").upper()
    terms = list(_TERM.finditer(body))
    if depth > 20 or not terms or "".join(match.group() for match in terms) != body:
        return None
    if any(not match.group(1) for match in terms[1:]):
        return None
    total = 0
    for match in terms:
        sign, column, row, number = match.groups()
        value = int(number) if number else _cell_value(column, int(row), cells, depth)
        if value is None:
            return None
        total += -value if sign == "-" else value
    return total


def _cell_value(column: str, row: int, cells: Cells, depth: int) -> int | None:
    index = 0
    for letter in column:
        index = index * 26 + ord(letter) - ord("A") + 1
    if not 1 <= row <= len(cells) or index > len(cells[row - 1]):
        return None
    cell = cells[row - 1][index - 1]
    if _is_formula(cell):
        return _evaluate(cell, cells, depth + 1)
    try:
        return whole_number(cell)
    except ValueError:
        return None


def find_table(
    sheets: Mapping[str, Cells],
    columns: Mapping[str, Sequence[str]],
    required: Iterable[str],
    where: str,
    sheet: str | None = None,
) -> list[Row]:
    """The rows under the header row that names ``columns``; rows without any of the required cells are skipped.

    Args:
        sheets: what ``read_sheets`` returned.
        columns: the spellings of each field's column name.
        required: fields whose columns must be there.
        where: the file, for the error.
        sheet: the sheet to look in; by default the first one that has the columns.

    Raises:
        InputError: no row within the first 30 names all required columns; it lists the missing and the found ones.
    """
    required = list(required)
    if sheet is not None and sheet in sheets:
        sheets = {sheet: sheets[sheet]}
    best: tuple[int, str, int, dict[str, int]] = (-1, "", 0, {})
    for name, cells in sheets.items():
        for index, row in enumerate(cells[:HEADER_WITHIN]):
            found = _match_columns(row, columns)
            score = sum(field in found for field in required)
            if score > best[0]:
                best = (score, name, index, found)
    score, name, index, found = best
    if score < len(required):
        raise InputError(_missing_columns(sheets, columns, required, where, best))
    rows = []
    for number, row in enumerate(sheets[name][index + 1 :], start=index + 2):
        cells = {field: row[column] if column < len(row) else None for field, column in found.items()}
        if any(text(cells[field]) for field in required):
            rows.append(Row(number, cells))
    return rows


def _missing_columns(
    sheets: Mapping[str, Cells], columns: Mapping[str, Sequence[str]], required: list[str], where: str, best: tuple
) -> str:
    score, name, index, found = best
    missing = [" or ".join(columns[field][:2]) for field in required if field not in found]
    header = [text(cell) for cell in sheets[name][index] if text(cell)] if score > 0 else []
    named = f"{where!r} sheet {name!r}" if score > 0 else repr(where)
    seen = ", ".join(header) if header else f"no header row (sheets: {', '.join(sheets) or 'none'})"
    return f"{named} must have the columns {', '.join(missing)}: is it another edition? Received: {seen}"


def _plain(name: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower()) if name is not None else ""


def _match_columns(row: Sequence[Any], columns: Mapping[str, Sequence[str]]) -> dict[str, int]:
    names: dict[str, int] = {}
    for index, cell in enumerate(row):
        if isinstance(cell, str) and _plain(cell):
            names.setdefault(_plain(cell), index)
    found = {}
    for field, spellings in columns.items():
        for spelling in spellings:
            if _plain(spelling) in names:
                found[field] = names[_plain(spelling)]
                break
    return found


def text(cell: Any) -> str:
    """A cell as stripped text: ``'01'``, ``1`` for the number 1.0, empty for nothing."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def whole_number(cell: Any) -> int | None:
    """A cell as a frame number, or None where it says that there is none.

    Raises:
        ValueError: the cell holds something else, such as 1.5 or ``abc``.
    """
    if isinstance(cell, bool):
        raise ValueError(repr(cell))
    if isinstance(cell, int):
        return cell if cell >= 0 else None
    content = text(cell)
    if content.lower() in _EMPTY or content.startswith("="):
        return None
    match = re.fullmatch(r"([+-]?)(\d+)(?:\.0*)?", content)
    if match is None:
        raise ValueError(repr(content))
    return None if match.group(1) == "-" else int(match.group(2))
