"""What annotators type into cells, by the stated rules."""

from __future__ import annotations

from pathlib import Path

import layouts
import openpyxl
import pytest

from affnet_tf.datasets.annotations import read_dataset
from affnet_tf.datasets.sheets import find_table, read_sheets, text, whole_number
from affnet_tf.errors import InputError


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (7, 7),
        (7.0, 7),
        ("7", 7),
        (" 007 ", 7),
        ("+7", 7),
        ("7.0", 7),
        (0, 0),
        (-1, None),
        ("-1", None),
        (-1.0, None),
        (None, None),
        (float("nan"), None),
        ("", None),
        ("  ", None),
        ("/", None),
        ("-", None),
        ("?", None),
        ("NaN", None),
        ("NULL", None),
        ("n/a", None),
        ("=SUM(A1:A3)", None),
    ],
)
def test_whole_number(cell, number):
    assert whole_number(cell) == number


@pytest.mark.parametrize("cell", [1.5, "1.5", "abc", "12a", True, "1 2", "1e3"])
def test_what_is_no_whole_number(cell):
    with pytest.raises(ValueError, match=str(cell)):
        whole_number(cell)


def test_text():
    assert [text(cell) for cell in (None, 1.0, 1.5, " a ", 3, float("nan"))] == ["", "1", "1.5", "a", "3", ""]


def test_formulas_without_a_stored_value(tmp_path):
    """Worked by hand: B1 = 10; B2 = 10 + 5 - 3; B3 = B2 - B1; B8 = 30 - B1; the rest is no sum, empty, or a circle."""
    cells = [10, "=B1+5-3", "=$B$2-B1", "=SUM(B1:B2)", "=B1*2", "=B9+1", "=B7", "=-B1+30", "=B1 B2"]
    layouts.write_workbook(tmp_path / "f.xlsx", {"s": [("x", cell) for cell in cells]})
    read = [row[1] for row in read_sheets(tmp_path / "f.xlsx")["s"]]
    assert read == [10, 12, 2, None, None, None, None, 20, None]


def test_a_stored_value_is_taken(tmp_path):
    """openpyxl stores no values, so the file is written by hand, as a spreadsheet program would."""
    import zipfile

    layouts.write_workbook(tmp_path / "f.xlsx", {"s": [("a", "=SUM(1,2)")]})
    with zipfile.ZipFile(tmp_path / "f.xlsx") as source, zipfile.ZipFile(tmp_path / "g.xlsx", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("sheet1.xml"):
                assert b"<v></v>" in data or b"<v />" in data or b"<v/>" in data
                for empty in (b"<v></v>", b"<v />", b"<v/>"):
                    data = data.replace(empty, b"<v>3</v>")
            target.writestr(name, data)
    assert read_sheets(tmp_path / "g.xlsx")["s"] == [["a", 3]]


def test_the_header_is_found_under_a_preamble_and_without_blank_columns(tmp_path):
    rows = [
        ("Notes on Subject",),
        (None,),
        ("subject ", None, "ON-SET", None),
        ("01", 1, "5"),
        (None, None, None),
        (2, 0, 6),
    ]
    layouts.write_workbook(tmp_path / "f.xlsx", {"empty": [], "codes": rows})
    columns = {"subject": ("Subject",), "onset": ("OnsetFrame", "Onset"), "apex": ("Apex",)}
    found = find_table(read_sheets(tmp_path / "f.xlsx"), columns, ["subject", "onset"], "f.xlsx")
    assert [(row.number, dict(row.cells)) for row in found] == [
        (4, {"subject": "01", "onset": "5"}),
        (6, {"subject": 2, "onset": 6}),
    ]
    assert found[0].get("apex") is None


def test_a_csv_sheet_and_an_old_workbook(tmp_path):
    (tmp_path / "a.csv").write_text("Subject,Onset\n1,2\n", encoding="utf-8-sig")
    assert read_sheets(tmp_path / "a.csv") == {"a.csv": [["Subject", "Onset"], ["1", "2"]]}
    (tmp_path / "a.xls").write_bytes(b"\xd0\xcf")
    with pytest.raises(InputError, match=r"save it as \.xlsx"):
        read_sheets(tmp_path / "a.xls")


def test_which_of_several_workbooks_is_read(tmp_path):
    """The edition that published results rest on; without it the newest; never the lock file of an open one."""
    layouts.casme2(tmp_path)
    original = tmp_path / "CASME2-coding-20140508.xlsx"
    for name, word in (("20190701", "fear"), ("20180101", "sadness")):
        book = openpyxl.load_workbook(original)
        book.active["I2"] = word
        book.save(tmp_path / f"CASME2-coding-{name}.xlsx")
    Path(tmp_path / "~$CASME2-coding-20140508.xlsx").write_bytes(b"lock")
    Path(tmp_path / "CASME2-coding-20140508.xlsx.part").write_bytes(b"x")
    assert read_dataset("casme2", tmp_path)[0].emotion == "happiness"
    original.unlink()
    assert read_dataset("casme2", tmp_path)[0].emotion == "fear"


def test_a_lock_file_is_no_workbook(tmp_path):
    layouts.casme(tmp_path)
    (tmp_path / "CASME.xlsx").rename(tmp_path / "codes.xlsx")
    (tmp_path / "~$codes.xlsx").write_bytes(b"lock")
    assert len(read_dataset("casme", tmp_path)) == 4
