"""How people who do not exist are written to disk: who shows what, in which layout, and what is refused."""

from __future__ import annotations

import itertools
import re

import cv2
import openpyxl
import pytest

from affnet_tf.datasets.synthetic import (
    LAYOUTS,
    annotate,
    plan,
    write_synthetic,
)
from affnet_tf.errors import InputError
from affnet_tf.files import numbered_images


def test_labels_are_shared_out_evenly():
    casme2 = LAYOUTS["casme2"]
    for takes in (plan(0, casme2, 6, 12), plan(3, casme2, 5, 8)):
        for _, group in itertools.groupby(takes, lambda take: take.person):
            words = [take.emotion for take in group]
            negative = len(words) - sum(words.count(word) for word in ("happiness", "surprise", "others"))
            counts = [words.count("happiness"), words.count("surprise"), words.count("others"), negative]
            assert max(counts) == min(counts) == len(words) / 4
    assert {take.word for take in plan(0, casme2, 8, 12)} == {
        "happiness", "disgust", "repression", "surprise", "sadness", "fear", "others"
    }  # fmt: skip
    assert {take.emotion for take in plan(0, casme2, 2, 4, ("fear", "others"))} == {"fear", "others"}
    takes = plan(0, casme2, 1, 40, ("fear", "others"))
    by_clip = [take.emotion for take in sorted(takes, key=lambda take: take.clip)]
    assert 8 < sum(a == b for a, b in itertools.pairwise(by_clip)) < 31


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    root = tmp_path_factory.mktemp("forged") / "casme2"
    seen = []
    result = write_synthetic(
        root, subjects=3, clips=8, size=(40, 34), workers=1, progress=lambda done, total: seen.append((done, total))
    )
    assert result == root
    assert seen == [(done, 24) for done in range(1, 25)]
    return root


def test_the_workbook_has_the_releases_quirks(forged):
    book = openpyxl.load_workbook(forged / "CASME2-coding-20140508.xlsx")
    assert len(book.worksheets) == 3
    assert all(sheet.max_row == 1 and sheet["A1"].value is None for sheet in book.worksheets[1:])
    header, *rows = book.worksheets[0].iter_rows(values_only=True)
    assert header == (
        "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units", "Estimated Emotion"
    )  # fmt: skip
    assert len(rows) == 24
    assert {row[0] for row in rows} == {"01", "02", "03", 1, 2, 3}
    assert len({(int(row[0]), row[1].strip()) for row in rows}) == 24
    assert [row[4] for row in rows].count("/") == 1
    assert all(row[2] is None and row[6] is None for row in rows)
    for row in rows:
        assert re.fullmatch(r"EP\d\d_\d\df ?", row[1])
        assert re.fullmatch(r"[LR]?\d+(\+[LR]?\d+)*", str(row[7]))
        assert row[3] < row[5]
        assert row[4] == "/" or row[3] < int(row[4]) < row[5]
    assert {type(row[7]) for row in rows} == {int, str}
    assert {type(row[4]) for row in rows} == {int, str}
    assert {row[8].strip().lower() for row in rows} == {
        "happiness",
        "surprise",
        "others",
        "disgust",
        "repression",
        "sadness",
    }
    assert any(row[8].startswith(" ") for row in rows)


def test_the_frames_lie_where_the_release_has_them(forged):
    sheet = openpyxl.load_workbook(forged / "CASME2-coding-20140508.xlsx").worksheets[0]
    assert {path.name for path in forged.iterdir()} == {"Cropped", "CASME2-coding-20140508.xlsx", "SYNTHETIC.txt"}
    for subject, name, _, onset, _, offset, *_ in sheet.iter_rows(min_row=2, values_only=True):
        found = numbered_images(forged / "Cropped" / f"sub{int(subject):02d}" / name.strip())
        numbers = list(found)
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[0] < onset
        assert offset < numbers[-1]
        assert 24 <= offset - onset <= 100
        assert found[onset].name == f"reg_img{onset}.jpg"
        assert cv2.imread(str(found[onset])).shape == (40, 34, 3)


def test_the_bytes_depend_on_the_arguments_alone(tmp_path):
    def contents(name, **options):
        root = write_synthetic(tmp_path / name, subjects=2, clips=2, size=(40, 34), raw=True, **options)
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    alone, shared, other = contents("a", workers=1), contents("b", workers=2), contents("c", workers=1, seed=1)
    assert alone == shared
    assert alone.keys() != other.keys() or alone != other
    raw = next(path for path in (tmp_path / "a").rglob("CASME2_RAW_selected/sub01/*/img*.jpg"))
    assert cv2.imread(str(raw)).shape == (56, 78, 3)
    cropped = tmp_path / "a" / "Cropped" / "sub01" / raw.parent.name / f"reg_{raw.name}"
    assert cropped.exists()


@pytest.mark.parametrize("dataset", ["custom", "smic_hs_e"])
def test_other_layouts_are_deterministic_too(dataset, tmp_path):
    written = []
    for name in ("a", "b"):
        root = quickly(tmp_path / name, dataset, subjects=1, clips=3)
        written.append({str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()})
    assert written[0] == written[1]
    assert dataset != "custom" or any(name.endswith(".avi") for name in written[0])


def cells(path, sheet=None):
    book = openpyxl.load_workbook(path)
    return [list(row) for row in (book[sheet] if sheet else book.worksheets[0]).iter_rows(values_only=True)]


def quickly(out, dataset, **options):
    options = {"subjects": 2, "clips": 4, "size": (40, 40), "difficulty": 0, "workers": 1} | options
    return write_synthetic(out, dataset=dataset, **options)


def test_samm_is_grey_with_a_preamble_formulas_and_two_paddings(tmp_path):
    root = quickly(tmp_path / "samm", "samm", clips=5)
    rows = cells(root / "SAMM_Micro_FACS_Codes_v2.xlsx", "MICRO_ONLY")
    assert rows[13][:4] == ["Subject", "Filename", "Inducement Code", "Onset Frame"]
    assert not any("Subject" in row for row in rows[:13])
    assert [row[6] for row in rows[14:16]] == ["=F15-D15+1", "=F16-D16+1"]
    assert [type(row[0]) for row in rows[14:]].count(int) == 1
    names = {path.parts[-3]: path.name for path in root.rglob("*.jpg")}
    assert re.fullmatch(r"006_\d{5}\.jpg", names["006"])
    assert re.fullmatch(r"007_\d{4}\.jpg", names["007"])
    assert cv2.imread(str(next(root.rglob("*.jpg"))), cv2.IMREAD_UNCHANGED).ndim == 2


def test_casme_sq_has_no_header_two_kinds_and_loses_a_crop(tmp_path):
    root = quickly(tmp_path / "casme_sq", "casme_sq", clips=11, raw=True)
    rows = cells(root / "CAS(ME)^2code_final.xlsx")
    assert rows[0][0] == 1
    assert [row[7] for row in rows].count("micro-expression") == 22
    assert [row[7] for row in rows].count("macro-expression") == 2
    assert [row[4] for row in rows].count(0) == 1
    crops = {path.name for path in root.glob("cropped/15/*")} | {path.name for path in root.glob("cropped/16/*")}
    assert len(list(root.glob("cropped/*/*"))) == 23
    assert len(list(root.glob("selectedpic/s*/*"))) == 24
    assert crops <= {row[1] for row in rows}
    assert 0 < len(list(root.glob("cropped/*/*/*.jpg.jpg"))) < len(list(root.glob("cropped/*/*/*.jpg")))
    for video in root.glob("rawpic/s*/*"):  # clips of one recording follow each other, none over another
        numbers = list(numbered_images(video))
        assert numbers == list(range(numbers[0], numbers[-1] + 1))


def test_smic_hs_e_holds_several_expressions_in_a_row(tmp_path):
    rows = cells(quickly(tmp_path / "e", "smic_hs_e", clips=9) / "SMIC-HS-E_annotation_2019.xlsx")
    assert max(sum(isinstance(row[k], int) for k in (3, 5, 7)) for row in rows[1:]) >= 2
    assert all(row[4].startswith("=D") for row in rows[1:])
    assert all(row[11].startswith("=K") for row in rows[1:])


def test_frames_follow_the_datasets_rate(tmp_path):
    """The same performance lasts as many frames as its seconds hold; the shortest lasts 0.12 s, the longest 0.5 s."""
    for name, fps in (("casme3", 30), ("4dme", 60), ("samm", 200)):
        pairs = annotate(LAYOUTS[name], plan(0, LAYOUTS[name], 4, 8), 0)
        lengths = [entry.offset - entry.onset for _, entry in pairs]
        assert round(0.12 * fps) <= min(lengths) < 0.25 * fps
        assert 0.3 * fps < max(lengths) <= 0.5 * fps
    assert {entry.fps for _, entry in annotate(LAYOUTS["dfme"], plan(0, LAYOUTS["dfme"], 4, 2), 0)} == {200, 300, 500}
    assert min(e.offset - e.onset for _, e in annotate(LAYOUTS["casme_sq_macro"], plan(0, LAYOUTS["casme_sq_macro"], 2, 4), 0)
               if e.kind == "macro") >= 0.6 * 30  # fmt: skip


def test_datasets_of_the_same_people_show_the_same_faces():
    people = {name: {take.person for take in plan(0, layout, 22, 1)} for name, layout in LAYOUTS.items()}
    assert people["casme_sq"] & {take.person for take in plan(0, LAYOUTS["casme2"], 26, 1)} == {
        15, 16, 19, 20, 21, 22, 23, 24, 25, 26
    }  # fmt: skip
    assert people["samm"] == people["samm_lv"]
    assert people["smic_hs"] == people["smic_hs_e"]
    apart = ("casme", "casme2", "samm", "smic_hs", "mmew", "casme3", "4dme", "dfme", "custom")
    assert len(set().union(*(people[name] for name in apart))) == 22 * len(apart)


def test_an_interrupted_writing_leaves_nothing(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_synthetic(tmp_path / "out", subjects=1, clips=2, size=(40, 34), workers=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "casme22"}, "Did you mean 'casme2'"),
        ({"subjects": 0}, "subjects"),
        ({"clips": 1.5}, "clips"),
        ({"seed": -1}, "seed"),
        ({"difficulty": -0.1}, "difficulty"),
        ({"difficulty": float("nan")}, "difficulty"),
        ({"size": (340,)}, "size"),
        ({"size": (8, 8)}, "size"),
        ({"workers": 0}, "workers"),
        ({"labels": ("hapiness",)}, "Did you mean 'happiness'"),
        ({"dataset": "smic_hs", "labels": ("happiness",)}, "label must be one of negative, positive, surprise"),
        ({"dataset": "casme_sq", "subjects": 23}, r"subjects must be a whole number in \[1, 22\]"),
        ({"labels": ()}, "labels"),
    ],
)
def test_bad_arguments_are_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        write_synthetic(tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="empty or absent"):
        write_synthetic(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
