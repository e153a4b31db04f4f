"""Readers, on forged layouts."""

from __future__ import annotations

from pathlib import Path

import layouts
import pytest

from affnet_tf.datasets.annotations import read_annotations, read_dataset
from affnet_tf.datasets.clips import Clip, validate_clips
from affnet_tf.errors import InputError


def test_casme2(tmp_path):
    layouts.casme2(tmp_path)
    clips = read_dataset("casme2", tmp_path)
    assert [clip.clip_id for clip in clips] == [
        "sub01/EP02_01f",
        "sub01/EP03_02",
        "sub02/EP01_11f",
        "sub04/EP12_01f",
        "sub17/EP05_02",
    ]
    frames = tmp_path / "Cropped" / "sub02" / "EP01_11f"
    assert clips[2] == Clip(
        "casme2", "sub02", "sub02/EP01_11f", frames, 46, 100, "repression", apex=91, fps=200, aus=("4", "7")
    )
    assert (clips[3].apex, clips[3].aus) == (None, ("4(B/C)", "7B"))
    assert (clips[4].emotion, clips[4].aus) == ("surprise", ())
    assert validate_clips(clips) == []


def test_release_is_cropped_where_both_lie_there(tmp_path):
    layouts.casme2(tmp_path)
    assert read_annotations("casme2", tmp_path).release == "cropped"
    raw = read_dataset("casme2", tmp_path, "raw")
    assert raw[0].frames == tmp_path / "CASME2_RAW_selected" / "sub01" / "EP02_01f"
    assert validate_clips(raw) == []
    layouts.casme2(tmp_path / "only", releases=("raw",))
    assert read_annotations("casme2", tmp_path / "only").release == "raw"
    with pytest.raises(InputError, match=r"must hold frames such as Cropped/sub01/.* with CASME2-coding"):
        read_dataset("casme2", tmp_path / "only", "cropped")
    with pytest.raises(InputError, match="casme2 release must be one of cropped, raw"):
        read_dataset("casme2", tmp_path, "croped")


def test_the_other_spelling_of_the_raw_folder_and_no_blank_columns(tmp_path):
    keep = [0, 1, 3, 4, 5, 7, 8]
    table = [[row[index] for index in keep] for row in [layouts.CASME2_HEADER, *layouts.CASME2_ROWS]]
    layouts.write_workbook(tmp_path / "CASME2-coding-20190701.xlsx", {"Sheet1": [[], *table]})
    layouts.write_frames(tmp_path / "CASME2-RAW" / "sub01" / "EP02_01f", "img{:03d}.jpg", 1, 90)
    clips = read_dataset("casme2", tmp_path)
    assert len(clips) == 5
    assert clips[0].frames == tmp_path / "CASME2-RAW" / "sub01" / "EP02_01f"
    assert validate_clips(clips[:1]) == []


def test_rows_that_make_no_clip_are_listed(tmp_path):
    rows = [
        ("01", "EP02_01f", None, 46, 59, 86, None, "12", "happiness"),
        ("01", "EP_a", None, "abc", 2, 3, None, "12", "happiness"),
        ("01", "EP_b", None, 1, 2, None, None, "12", "happiness"),
        ("01", "EP_c", None, 1, "mid", 3, None, "12", "happiness"),
        ("01", "../../../etc", None, 1, 2, 3, None, "12", "happiness"),
        (None, "EP_d", None, 1, 2, 3, None, "12", "happiness"),
        ("01", "EP_e", None, 1.5, 2, 3, None, "12", "happiness"),
        ("01", "EP_f", None, "=1+9", "=D9+5", "=E9+5", None, "12", "happiness"),
        (None,) * 9,
    ]
    layouts.write_workbook(tmp_path / "CASME2-coding-20140508.xlsx", {"a": [layouts.CASME2_HEADER, *rows]})
    (tmp_path / "Cropped" / "sub01").mkdir(parents=True)
    read = read_annotations("casme2", tmp_path)
    assert [clip.clip_id for clip in read.clips] == ["sub01/EP02_01f", "sub01/EP_c", "sub01/EP_f"]
    assert read.clips[1].apex is None
    assert (read.clips[2].onset, read.clips[2].apex, read.clips[2].offset) == (10, 15, 20)
    told = [(problem.clip_id, problem.severity, problem.value) for problem in read.problems]
    assert told == [
        ("sub01/EP_a", "error", "'abc'"),
        ("sub01/EP_b", "error", "None"),
        ("sub01/EP_c", "warning", "'mid'"),
        ("sub01/../../../etc", "error", "'../../../etc'"),
        ("row 7", "error", "subject '', filename 'EP_d'"),
        ("sub01/EP_e", "error", "'1.5'"),
    ]


def test_wrong_roots(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'casme2'"):
        read_dataset("casme-2", tmp_path)
    with pytest.raises(InputError, match="root must be a folder"):
        read_dataset("casme2", tmp_path / "gone")
    (tmp_path / "Other").mkdir()
    with pytest.raises(InputError, match=r"must hold frames such as Cropped/sub01/.* with Other"):
        read_dataset("casme2", tmp_path)
    (tmp_path / "Cropped").mkdir()
    with pytest.raises(InputError, match=r"must hold frames such as"):
        read_dataset("casme2", tmp_path)
    (tmp_path / "Cropped" / "sub01").mkdir()
    with pytest.raises(InputError, match=r"must hold CASME2-coding-20140508.xlsx or .*with Cropped, Other"):
        read_dataset("casme2", tmp_path)


def workbook(root: Path) -> Path:
    (root / "Cropped" / "sub01").mkdir(parents=True)
    return root / "CASME2-coding-20140508.xlsx"


def test_another_edition_names_the_missing_columns(tmp_path):
    layouts.write_workbook(workbook(tmp_path), {"a": [("Subject", "Filename", "Begin", "ApexFrame", "End", "AU")]})
    with pytest.raises(InputError) as caught:
        read_dataset("casme2", tmp_path)
    assert "must have the columns OnsetFrame or Onset, OffsetFrame or Offset, Estimated Emotion" in str(caught.value)
    assert "Received: Subject, Filename, Begin, ApexFrame, End, AU" in str(caught.value)


def test_damaged_or_empty_workbooks(tmp_path):
    path = workbook(tmp_path)
    path.write_bytes(b"not a zip")
    with pytest.raises(InputError, match="must be an Excel workbook"):
        read_dataset("casme2", tmp_path)
    layouts.write_workbook(path, {"a": []})
    with pytest.raises(InputError, match=r"no header row \(sheets: a\)"):
        read_dataset("casme2", tmp_path)
    layouts.write_workbook(path, {"a": [layouts.CASME2_HEADER]})
    with pytest.raises(InputError, match=r"must describe at least one usable clip"):
        read_dataset("casme2", tmp_path)


def test_a_full_sheet(tmp_path):
    layouts.write_workbook(
        tmp_path / "CASME2-coding-20140508.xlsx", {"Sheet1": [layouts.CASME2_HEADER, *layouts.casme2_full_rows()]}
    )
    (tmp_path / "Cropped" / "sub01").mkdir(parents=True)
    clips = read_dataset("casme2", tmp_path)
    assert len({clip.key for clip in clips}) == 255
    assert len({clip.subject for clip in clips}) == 26
