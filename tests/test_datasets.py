"""Every dataset: forged layout, read, checked, inspected."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import layouts
import pytest

from affnet_tf.datasets.annotations import read_annotations, read_dataset
from affnet_tf.datasets.catalogue import datasets_markdown, datasets_table
from affnet_tf.datasets.clips import validate_clips
from affnet_tf.datasets.inspection import inspect_dataset
from affnet_tf.datasets.labels import EMOTIONS, label_scheme
from affnet_tf.datasets.specs import SPECS, spec
from affnet_tf.errors import InputError

ABSENT = {"casme_sq": 1}  # the cropped release lacks a clip, as the real one does


def numbers(clip):
    return clip.onset, clip.apex, clip.offset


def by_id(name, root, release=None):
    return {clip.clip_id: clip for clip in read_dataset(name, root, release)}


@pytest.mark.parametrize("name", SPECS)
def test_every_layout_is_read_and_sound(name, tmp_path):
    layouts.LAYOUTS[name](tmp_path)
    read = read_annotations(name, tmp_path)
    assert not [problem for problem in read.problems if problem.severity == "error"]
    errors = [problem for problem in validate_clips(read.clips) if problem.severity == "error"]
    assert len(errors) == ABSENT.get(name, 0)
    assert {clip.dataset for clip in read.clips} - {"lab"} == {name}
    assert len({clip.subject for clip in read.clips}) >= 2
    assert len({clip.emotion for clip in read.clips}) >= 2
    inspection = inspect_dataset(name, tmp_path)
    assert inspection.clips == len(read.clips) == sum(inspection.emotions.values())
    assert inspection.usable == inspection.clips - len(errors)
    assert json.loads(json.dumps(inspection.to_json()))["dataset"] == name
    assert spec(name).title in inspection.to_text()


@pytest.mark.parametrize("name", SPECS)
def test_an_empty_root_says_what_was_expected(name, tmp_path):
    with pytest.raises(InputError, match=r"must hold .* with nothing in it"):
        read_dataset(name, tmp_path)


def test_casme(tmp_path):
    layouts.casme(tmp_path)
    clips = by_id("casme", tmp_path)
    assert list(clips) == ["sub01/EP01_5", "sub01/EP12_4_2", "sub04/EP07", "sub04/EP08_2"]
    assert numbers(clips["sub04/EP07"]) == (1, 4, 9)
    assert (clips["sub04/EP07"].emotion, clips["sub04/EP07"].fps) == ("happiness", 60)
    assert by_id("casme", tmp_path, "raw")["sub04/EP07"].frames == tmp_path / "CASME_raw_selected/sub04/EP07"


def test_casme_sq(tmp_path):
    layouts.casme_sq(tmp_path)
    clips = by_id("casme_sq", tmp_path)
    assert list(clips) == ["s15/anger1_1", "s16/disgust1_1", "s16/happy2_1"]
    assert clips["s15/anger1_1"].frames == tmp_path / "cropped/15/anger1_1"
    assert numbers(clips["s15/anger1_1"]) == (557, 562, 572)
    raw = by_id("casme_sq", tmp_path, "raw")
    assert raw["s16/happy2_1"].frames == tmp_path / "selectedpic/s16/happy2_1"
    assert validate_clips(raw.values()) == []
    (tmp_path / "selectedpic").rename(tmp_path / "elsewhere")
    long = by_id("casme_sq", tmp_path, "raw")
    assert long["s15/anger1_1"].frames == tmp_path / "rawpic/s15/15_0401girlcrashing"
    assert long["s16/disgust1_1"].frames == tmp_path / "rawpic/s16/16_0101disgustingteeth"
    assert validate_clips(long.values()) == []


def test_casme_sq_macro_takes_the_apex_for_an_offset_of_0(tmp_path):
    layouts.casme_sq(tmp_path)
    read = read_annotations("casme_sq_macro", tmp_path)
    assert [numbers(clip) for clip in read.clips] == [(600, 610, 610), (40, 55, 70)]
    assert [(problem.clip_id, problem.severity) for problem in read.problems] == [("s15/anger1_2", "warning")]


def test_casme_sq_of_the_true_size(tmp_path):
    words = ["negative"] * 21 + ["others"] * 19 + ["surprise"] * 9 + ["positive"] * 8
    codes = [
        (index % 22 + 1, f"anger{index % 2 + 1}_{index}", 10, 15, 20, "4", word, "micro-expression", "anger")
        for index, word in enumerate(words)
    ]
    codes += [
        (index % 22 + 1, f"happy2_{index}", 30, 40, 0 if index < 44 else 60, "12", "positive", "macro-expression", "x")
        for index in range(300)
    ]
    layouts.write_workbook(tmp_path / "CAS(ME)^2code_final.xlsx", layouts.casme_sq_sheets(codes))
    (tmp_path / "selectedpic" / "s15").mkdir(parents=True)
    micro, macro = read_annotations("casme_sq", tmp_path), read_annotations("casme_sq_macro", tmp_path)
    assert (len(micro.clips), len(macro.clips), len(macro.problems)) == (57, 300, 44)
    assert Counter(clip.emotion for clip in micro.clips) == spec("casme_sq").counts
    assert len({clip.subject for clip in micro.clips}) == 22


def test_casme_sq_of_another_form(tmp_path):
    layouts.casme_sq(tmp_path)
    path = tmp_path / "CAS(ME)^2code_final.xlsx"
    layouts.write_workbook(path, {"codes": [(1, "anger1_1", 1, 2, 3)]})
    with pytest.raises(InputError, match="must have three sheets"):
        read_dataset("casme_sq", tmp_path)
    layouts.write_workbook(path, layouts.casme_sq_sheets([(1, "anger1_1", 1, 2, 3)]))
    with pytest.raises(InputError, match=r"first sheet must have 8 columns.*Received: \['1', 'anger1_1'"):
        read_dataset("casme_sq", tmp_path)


def test_samm(tmp_path):
    layouts.samm(tmp_path)
    clips = by_id("samm", tmp_path)
    assert clips["028/028_4_1"].apex is None
    assert numbers(clips["028/028_4_2"]) == (50, 55, 59)
    assert clips["006/006_3_4"].aus == ("L12 or L14",)
    assert [clip.emotion for clip in clips.values()] == ["anger", "contempt", "happiness", "other"]
    for path in list((tmp_path / "SAMM").iterdir()):  # the subjects beside the sheet, without the folder around them
        path.rename(tmp_path / path.name)
    (tmp_path / "SAMM").rmdir()
    assert validate_clips(read_dataset("samm", tmp_path)) == []


def test_samm_lv(tmp_path):
    layouts.samm_lv(tmp_path)
    clips = by_id("samm_lv", tmp_path)
    assert {clip_id: numbers(clip) for clip_id, clip in clips.items()} == {
        "006/006_1_2_micro": (12, 18, 25),
        "006/006_1_3_macro": (30, None, 60),
        "009/009_4_1_macro": (10, 10, 20),
        "009/009_4_2_micro": (22, 25, 29),
    }
    assert clips["009/009_4_2_micro"].frames == tmp_path / "SAMM_longvideos/009_4"


def test_samm_lv_of_the_true_size(tmp_path):
    rows = [(6 + i % 30, f"{6 + i % 30:03d}_1_{i}", 10, 15, 20, "Macro", "4") for i in range(343)]
    rows += [(6 + i % 30, f"{6 + i % 30:03d}_2_{i}", 10, -1, 20, "Micro - 1/2", "4") for i in range(159)]
    layouts.write_workbook(tmp_path / "SAMM_LongVideos_V2_Release.xlsx", layouts.samm_lv_sheet(rows))
    (tmp_path / "SAMM_longvideos" / "006_1").mkdir(parents=True)
    clips = read_dataset("samm_lv", tmp_path)
    assert Counter(clip.emotion for clip in clips) == {"macro": 343, "micro": 159}
    assert len({clip.clip_id for clip in clips}) == 502


def test_smic_hs(tmp_path):
    layouts.smic_hs(tmp_path)
    clips = by_id("smic_hs", tmp_path)
    assert list(clips) == ["s1/s1_ne_01", "s1/s1_po_02", "s1/s1_po_10", "s2/s2_ne_03", "s12/s12_sur_01"]
    assert numbers(clips["s1/s1_po_10"]) == (130, None, 134)
    (tmp_path / "HS/s1/micro/negative/s1_ne_09").mkdir()
    read = read_annotations("smic_hs", tmp_path)
    assert [(problem.clip_id, problem.severity) for problem in read.problems] == [("s1/s1_ne_09", "error")]


def test_smic_hs_e(tmp_path):
    layouts.smic_hs_e(tmp_path)
    clips = by_id("smic_hs_e", tmp_path)
    assert {clip_id: (clip.onset, clip.offset) for clip_id, clip in clips.items()} == {
        "s3/s3_ne_22": (443820, 443829),
        "s3/s3_ne_22-2": (443840, 443846),
        "s3/s3_po_01": (105, 116),
        "s14/s14_sur_02": (12, 20),
        "s14/s14_sur_02-2": (30, 35),
        "s14/s14_sur_02-3": (44, 48),
    }
    assert clips["s3/s3_ne_22-2"].frames == tmp_path / "SMIC_HS_E/s03/s3_ne_22"


def test_mmew_and_its_corrections(tmp_path):
    layouts.mmew(tmp_path)
    read = read_annotations("mmew", tmp_path)
    clips = {clip.clip_id: clip for clip in read.clips}
    assert clips["S13/S13-05-001"].frames == tmp_path / "Micro_Expression/repression/S13-05-001"
    assert clips["S13/S13-05-001"].emotion == "others"
    assert numbers(clips["S03/S03-02-001"]) == (1, None, 75)  # row 35 of the sheet: 100 is not on disk, 75 is
    assert [problem.value for problem in read.problems] == ["90", "100"]
    assert numbers(clips["S02/S02-02-029"]) == (1, 3, 6)


@pytest.mark.parametrize("form", [False, True])
def test_casme3_in_both_folder_layouts(form, tmp_path):
    layouts.casme3(tmp_path, clips=form)
    read = read_annotations("casme3", tmp_path)
    assert [clip.clip_id for clip in read.clips] == ["spNO.1/a_355", "spNO.1/a_400", "spNO.2/b_20", "spNO.172/k_7"]
    assert [numbers(clip) for clip in read.clips[:2]] == [(355, 358, 366), (400, None, 409)]
    assert [problem.value for problem in read.problems] == ["390"]
    assert validate_clips(read.clips) == []


def test_4dme(tmp_path):
    layouts.fourdme(tmp_path)
    clips = read_dataset("4dme", tmp_path)
    assert [clip.emotion for clip in clips] == ["negative", "surprise+positive", "positive"]
    assert label_scheme("paper4", clips).assign(clips)[1] == {("4dme", "surprise+positive"): 1}


def test_dfme_reads_all_splits(tmp_path):
    layouts.dfme(tmp_path)
    clips = by_id("dfme", tmp_path)
    assert {clip_id: clip.fps for clip_id, clip in clips.items()} == {
        "sub0210_01": 200,
        "sub0001_01": 500,
        "sub0001_02": 500,
    }
    assert clips["sub0210_01"].onset == 0
    assert clips["sub0001_02"].frames == tmp_path / "train_data/train_data/sub0001_02"


def test_custom(tmp_path):
    layouts.custom(tmp_path)
    clips = read_dataset("custom", tmp_path)
    assert [(clip.clip_id, clip.kind, *numbers(clip)) for clip in clips] == [
        ("a/one", "folder", 3, None, 12),
        ("b/two#5", "folder", 5, 8, 11),
        ("b/two#12", "folder", 12, None, 20),
        ("b/image.png", "image", 0, None, 0),
        ("c.mp4#", "video", 0, None, None),
        ("c.mp4#10", "video", 10, 20, 30),
    ]
    assert clips[0].emotion == "calm"
    assert (clips[5].dataset, clips[5].fps) == ("lab", 30)


def test_custom_lines_that_make_no_clip(tmp_path):
    layouts.write_frames(tmp_path / "data" / "ok", "{}.png", 1, 5)
    (tmp_path / "data" / "empty").mkdir()
    lines = [
        "ok,s,calm,",
        "../secret,s,calm,",
        "/etc,s,calm,",
        ",s,calm,",
        "gone,s,calm,",
        "empty,s,calm,",
        "ok,s,calm,two",
    ]
    (tmp_path / "data" / "clips.csv").write_text("path,subject,emotion,onset\n" + "\n".join(lines))
    read = read_annotations("custom", tmp_path / "data")
    assert len(read.clips) == 1
    assert [problem.rule.split(" (")[0].split(" '")[0] for problem in read.problems] == [
        "path must lie inside",
        "path must lie inside",
        "path must lie inside",
        "frame folder must exist",
        "frame folder must hold numbered images",
        "onset must be a whole number",
    ]
    (tmp_path / "data" / "clips.csv").write_text("file,who\na,b\n")
    with pytest.raises(InputError, match="Missing: path, subject, emotion"):
        read_dataset("custom", tmp_path / "data")


def test_corrections_of_ones_own(tmp_path):
    layouts.casme2(tmp_path)
    path = tmp_path / "corrections.csv"
    head = "dataset,clip_id,column,old,new,reason\n"
    path.write_text(
        head
        + "casme2,sub01/EP02_01f,apex,59,60,looked at it\n"
        + "casme2,sub01/EP02_01f,offset,85,84,the sheet says 86\n"
        + "casme2,sub01/EP03_02,emotion,others,disgust,AU10\n"
        + "casme2,row 4,onset,,47,no need\n"
        + "casme,sub04/EP12_01f,apex,/,300,another dataset\n"
    )
    read = read_annotations("casme2", tmp_path)
    clips = {clip.clip_id: clip for clip in read.clips}
    assert numbers(clips["sub01/EP02_01f"]) == (46, 60, 86)
    assert clips["sub01/EP03_02"].emotion == "disgust"
    assert clips["sub02/EP01_11f"].onset == 46
    assert clips["sub04/EP12_01f"].apex is None
    assert [str(problem) for problem in read.problems] == [
        "casme2 clip 'sub01/EP02_01f': apex is corrected to 60 (row 2; looked at it). Received: 59",
        "casme2 clip 'sub01/EP03_02': emotion is corrected to disgust (row 3; AU10). Received: others",
    ]
    path.write_text(head + "casme2,sub01/EP02_01f,apex,59,60,\n")
    with pytest.raises(InputError, match="must give its reason"):
        read_dataset("casme2", tmp_path)
    path.write_text(head + "casme2,sub01/EP02_01f,pixels,59,60,x\n")
    with pytest.raises(InputError, match="column must be one of"):
        read_dataset("casme2", tmp_path)


def test_the_megc2019_composite_on_sheets_of_the_true_size(tmp_path):
    """MEGC2019: 442 clips of 68 subjects, 250 negative, 109 positive, 83 surprise."""
    layouts.write_workbook(
        tmp_path / "casme2" / "CASME2-coding-20140508.xlsx",
        {"Sheet1": [layouts.CASME2_HEADER, *layouts.casme2_full_rows()]},
    )
    (tmp_path / "casme2" / "Cropped" / "sub01").mkdir(parents=True)
    words = [word.title() for word, count in spec("samm").counts.items() for _ in range(count)]
    subjects = [*range(6, 34)]
    rows = [
        (f"{subject:03d}", f"{subject:03d}_{index}_1", 10, 15, 20, "4", word)
        for index, (word, subject) in enumerate(
            (word, 37 if word == "Other" and index == 57 else subjects[index % 28]) for index, word in enumerate(words)
        )
    ]
    layouts.write_workbook(tmp_path / "samm" / "SAMM_Micro_FACS_Codes_v2.xlsx", layouts.samm_sheet(rows))
    (tmp_path / "samm" / "SAMM" / "006").mkdir(parents=True)
    kinds = [word for word, count in (("negative", 70), ("positive", 51), ("surprise", 43)) for _ in range(count)]
    layouts.smic_hs(tmp_path / "smic", [(index % 16 + 1, word, index) for index, word in enumerate(kinds)], frames=2)
    roots = {"smic_hs": "smic", "casme2": "casme2", "samm": "samm"}
    clips = [clip for name, folder in roots.items() for clip in read_dataset(name, tmp_path / folder)]
    assert Counter(clip.dataset for clip in clips) == {"smic_hs": 164, "casme2": 255, "samm": 159}
    assert len({(clip.dataset, clip.subject) for clip in clips}) == 16 + 26 + 29
    scheme = label_scheme("megc3", clips)
    assigned, dropped = scheme.assign(clips)
    assert Counter(assigned.values()) == {0: 250, 1: 109, 2: 83}
    each = {name: Counter(label for (dataset, _), label in assigned.items() if dataset == name) for name in roots}
    assert each["smic_hs"] == {0: 70, 1: 51, 2: 43}
    assert each["casme2"] == {0: 88, 1: 32, 2: 25}
    assert each["samm"] == {0: 92, 1: 26, 2: 15}
    assert len({(clip.dataset, clip.subject) for clip in clips if clip.key in assigned}) == 68
    assert sum(dropped.values()) == 164 + 255 + 159 - 442
    assert dropped["samm", "other"] == 26


def test_inspection_counts(tmp_path):
    layouts.casme2(tmp_path)
    (tmp_path / "Cropped/sub01/EP02_01f/reg_img50.jpg").unlink()
    for path in (tmp_path / "Cropped/sub17/EP05_02").iterdir():
        path.unlink()
    inspection = inspect_dataset("casme2", tmp_path)
    assert inspection.subjects == {"sub01": 2, "sub02": 1, "sub04": 1, "sub17": 1}
    assert inspection.lengths == (4, 41, 61)
    assert (inspection.clips, inspection.usable, inspection.without_apex, inspection.missing_frames) == (5, 4, 1, 2)
    assert inspection.fps == {"200": 5}
    assert inspection.published["clips"] == 255
    assert inspection.published["emotions"]["disgust"] == 63
    assert [problem.severity for problem in inspection.problems] == ["warning", "error"]
    text = inspection.to_text(most=1)
    assert "clips              5, 4 usable                              (published: 255)" in text
    assert "error: casme2 clip 'sub17/EP05_02': frame folder must hold numbered images" in text
    assert text.endswith("… and 1 more")


def test_the_table_and_the_page_come_from_the_specs(request):
    table = {row["name"]: row for row in datasets_table()}
    assert list(table) == list(SPECS)
    assert table["samm"]["expects"] == ["SAMM_Micro_FACS_Codes_v2.xlsx", "SAMM/006/006_1_2/006_05562.jpg"]
    page = request.config.rootpath / "docs" / "datasets.md"
    assert page.read_text(encoding="utf-8") == datasets_markdown()
    assert "**not** tested on the\nlicensed originals" in page.read_text(encoding="utf-8")


def test_specs_are_complete():
    assert set(EMOTIONS) <= set(SPECS)
    for entry in SPECS.values():
        assert entry.title
        assert entry.releases
        assert entry.obtain
        assert set(entry.counts) <= set(entry.emotions)
        assert not entry.counts or sum(entry.counts.values()) == entry.clips
        if entry.name != "custom":
            assert entry.paper
            assert entry.doi.startswith("10.")
    assert spec("CASME2") is SPECS["casme2"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec("samm").fps = 1
