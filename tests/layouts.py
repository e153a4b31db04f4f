"""Forged datasets for readers: the layouts of the synthetic people, with rows made by hand and tiny pictures of nothing."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from affnet_tf.datasets.synthetic import LAYOUTS as RELEASED
from affnet_tf.datasets.synthetic import Entry
from affnet_tf.datasets.synthetic.layouts_casme import CASME2_TABLE, CASME_SQ_TABLE
from affnet_tf.datasets.synthetic.layouts_more import SAMM_LV_TABLE, SAMM_TABLE
from affnet_tf.datasets.synthetic.tables import write_workbook

__all__ = ["CASME2_HEADER", "CASME2_ROWS", "LAYOUTS", "picture", "write_frames", "write_workbook"]

CASME2_HEADER = CASME2_TABLE.header
CASME2_COUNTS = {
    "others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25, "sadness": 7, "fear": 2,
}  # fmt: skip


@functools.cache
def picture(suffix: str, shift: int = 0) -> bytes:
    """A 16 x 16 picture as file content; ``shift`` moves its pattern."""
    pixels = np.roll(np.arange(768, dtype=np.uint32).reshape(16, 16, 3) % 256, shift, axis=1).astype(np.uint8)
    ok, data = cv2.imencode(suffix, pixels)
    assert ok
    return data.tobytes()


def write_frames(folder: Path, pattern: str, first: int, last: int) -> None:
    """Pictures named ``pattern.format(number)`` for every number in [first, last]; the pattern moves."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = Path(pattern).suffix
    for number in range(first, last + 1):
        (folder / pattern.format(number)).write_bytes(picture(suffix, number % 8))


def row(subject, name, onset, apex, offset, units, emotion, *, first=None, last=None, cells=None, **more) -> Entry:
    """An entry whose frames lie on disk from the onset to the offset, unless told otherwise."""
    first, last = onset if first is None else first, offset if last is None else last
    return Entry(subject, name, onset, apex, offset, units, emotion, first, last, cells=cells or {}, **more)


def write(root: Path, dataset: str, entries: Sequence[Entry], releases: Sequence[str] | None = None) -> None:
    """Sheet and frames of the entries, in the layout that ``affnet synth`` writes; by default all releases."""
    layout = RELEASED[dataset]
    root.mkdir(parents=True, exist_ok=True)
    if layout.write_sheet is not None:
        layout.write_sheet(root, entries)
    for form in layout.forms:
        for entry in entries:
            if form.release in (releases or [form.release]) and form.release not in entry.absent:
                write_entry(root, layout, form, entry)


def write_entry(root: Path, layout, form, entry: Entry) -> None:
    for number in range(entry.first, entry.last + 1):
        for path in layout.frame_paths(form, entry, number):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(picture(Path(path).suffix, number % 8))


CASME2_ENTRIES = [
    row(1, "EP02_01f", 46, 59, 86, "12", "happiness", cells={"Action Units": "12"}),
    row(1, "EP03_02", 131, 139, 161, "4+L10", "others"),
    row(2, "EP01_11f", 46, 91, 100, "4+7", "repression",
        cells={"Subject": 2, "Filename": "EP01_11f ", "ApexFrame": "91", "OffsetFrame": 100.0}),
    row(4, "EP12_01f", 261, None, 321, "4(B/C)+7B", "disgust", cells={"ApexFrame": "/"}),
    row(17, "EP05_02", 9, 10, 12, "?", "surprise", cells={"Estimated Emotion": " Surprise"}),
]  # fmt: skip
CASME2_ROWS = CASME2_TABLE.rows(CASME2_ENTRIES)


def casme2(root: Path, releases: tuple[str, ...] = ("cropped", "raw")) -> None:
    """CASME II in miniature: both releases, the workbook with blank columns and two empty sheets."""
    write(root, "casme2", CASME2_ENTRIES, releases)


def casme2_full_rows() -> list:
    """255 rows with the released sheet's class counts over 26 subjects; subjects 10 and 18 have nothing but others.

    Onsets, lengths (24..141 frames) and who shows what are made up. The two disgust clips that the MEGC2019 composite
    leaves out carry their real names.
    """
    emotions = [word for word, count in CASME2_COUNTS.items() for _ in range(count)]
    named = {"sub04": "EP12_01f", "sub05": "EP09_05f"}
    entries, others_only, rest = [], [10, 18], [n for n in range(1, 27) if n not in (10, 18)]
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
        cells = {"ApexFrame": "/"} if filename == "EP12_01f" else {}
        entries.append(row(subject, filename, onset, (onset + offset) // 2, offset, "4+7", emotion, cells=cells))
    return CASME2_TABLE.rows(entries)


def casme(root: Path) -> None:
    """CASME: int subjects, names of three kinds, frame numbers that are padded part-way."""
    write(root, "casme", [
        row(1, "EP01_5", 99, 104, 113, "4+9", "disgust", first=98, last=114),
        row(1, "EP12_4_2", 3, 6, 12, "4", "tense", first=2, last=13),
        row(4, "EP07", 1, 4, 9, "R12", "happiness", first=0, last=10, pad=3,
            cells={"ApexF2": 8, "Emotion": "Happiness"}),
        row(4, "EP08_2", 5, 7, 12, "?", "surprise", first=4, last=13, pad=3, cells={"Emotion": "surprise "}),
    ])  # fmt: skip


def casme_sq_sheets(codes: list) -> dict[str, list]:
    """CAS(ME)2's workbook around any rows of codes."""
    return {CASME_SQ_TABLE.sheet: codes, **CASME_SQ_TABLE.more}


def casme_sq(root: Path) -> None:
    """CAS(ME)2: with and without the s in folders, names ending in .jpg.jpg, an offset of 0, a missing crop."""
    recordings = {"anger1": "0401girlcrashing", "disgust1": "0101disgustingteeth", "happy2": "0502funnyerrors"}
    rows = [
        row(15, "anger1_1", 557, 562, 572, "4+7", "negative"),
        row(15, "anger1_2", 600, 610, 610, "4", "negative", kind="macro", cells={"offset": 0}),
        row(16, "disgust1_1", 20, 25, 31, "R12", "others", suffix=".jpg.jpg"),
        row(16, "happy2_1", 5, 9, 14, "6+12", "positive", absent=("cropped",)),
        row(16, "happy2_2", 40, 55, 70, "6+12", "positive", kind="macro"),
    ]
    write(root, "casme_sq", [dataclasses.replace(one, video=recordings[one.name[:-2]]) for one in rows])


def samm_sheet(rows: list) -> dict[str, list]:
    """SAMM's workbook; rows are (subject, file, onset, apex, offset, AU, word)."""
    return SAMM_TABLE.sheets([row(int(subject), *rest) for subject, *rest in rows])


def samm(root: Path) -> None:
    """SAMM: text subjects, a preamble, an unusable apex, paddings of 4 and 5 digits."""
    write(root, "samm", [
        row(6, "006_1_2", 62, 68, 75, "4(B/C)+7B", "anger", pad=5),
        row(6, "006_3_4", 5, 9, 15, "L12 or L14", "contempt", pad=5),
        row(28, "028_4_1", 30, None, 38, "12", "happiness", pad=4, cells={"Apex Frame": "-"}),
        row(28, "028_4_2", 50, 55, 59, "T28+14", "other", pad=4,
            cells={"Subject": 28, "Offset Frame": "59 ", "Estimated Emotion": "Others"}),
    ])  # fmt: skip


def samm_lv_sheet(rows: list) -> dict[str, list]:
    """SAMM Long Videos' workbook; rows are (subject, file, onset, apex, offset, type, AU)."""
    return SAMM_LV_TABLE.sheets(
        [row(subject, name, onset, apex, offset, aus, "", cells={"Type": kind})
         for subject, name, onset, apex, offset, kind, aus in rows]
    )  # fmt: skip


def samm_lv(root: Path) -> None:
    """SAMM Long Videos: one folder for a long video, an apex of -1, an onset of -1 that the apex stands in for."""
    write(root, "samm_lv", [
        row(6, "006_1_2", 12, 18, 25, "4", "micro", first=1, last=70, video="006_1",
            cells={"Onset": 12.0, "Apex": 18.0, "Offset": 25.0}),
        row(6, "006_1_3", 30, None, 60, "L12", "macro", video="006_1", kind="macro", cells={"Apex": -1}),
        row(9, "009_4_1", 10, 10, 20, "6+12", "macro", first=1, last=40, video="009_4", kind="macro",
            cells={"Onset": -1}),
        row(9, "009_4_2", 22, 25, 29, "R14A", "micro", video="009_4"),
    ])  # fmt: skip


def smic_hs(root: Path, clips: list | None = None, frames: int = 5) -> None:
    """SMIC-HS, the raw release; clips are (subject, class, index)."""
    short = {"negative": "ne", "positive": "po", "surprise": "sur"}
    clips = clips or [
        (1, "negative", 1),
        (1, "positive", 10),
        (1, "positive", 2),
        (12, "surprise", 1),
        (2, "negative", 3),
    ]
    entries = [
        row(subject, f"s{subject}_{short[word]}_{index:02d}", 120 + index, None, 119 + index + frames, "", word)
        for subject, word, index in clips
    ]
    write(root, "smic_hs", entries, ("raw",))


def smic_hs_e(root: Path) -> None:
    """SMIC-HS-E: up to three expressions in a row, offsets as formulas without a stored value."""
    write(root, "smic_hs_e", [
        row(3, "s3_ne_22", 443820, None, 443829, "", "negative", first=443812),
        row(3, "s3_ne_22", 443840, None, 443846, "", "negative", first=443830, last=443872),
        row(3, "s3_po_01", 105, None, 116, "", "positive", first=101, last=130),
        row(14, "s14_sur_02", 12, None, 20, "", "surprise", first=10),
        row(14, "s14_sur_02", 30, None, 35, "", "surprise", first=21),
        row(14, "s14_sur_02", 44, None, 48, "", "surprise", first=36, last=60),
    ])  # fmt: skip


def mmew(root: Path) -> None:
    """MMEW: the sheet's others in the folder repression; one offset beyond the frames (row 35)."""
    rows = [
        row(13, "S13-07-001", 1, 6, 12, "4+7", "anger"),
        row(13, "S13-05-001", 2, 4, 8, "4", "others", first=1),
        row(2, "S02-01-002", 1, 5, 9, "12", "happiness"),
    ]
    rows += [row(2, f"S02-02-{index:03d}", 1, 3, 6, "1+2", "surprise") for index in range(30)]
    rows.append(row(3, "S03-02-001", 1, 90, 100, "1+2", "surprise", last=75))
    write(root, "mmew", rows)


def casme3(root: Path, clips: bool = False) -> None:
    """CAS(ME)3: numbers as text, one file name for two expressions, an apex outside; with ``clips`` the other folders."""
    rows = [
        row(1, "a", 355, 358, 366, "4", "disgust"),
        row(1, "a", 400, 390, 409, "1+2", "surprise", cells={"emotion": "Surprise"}),
        row(2, "b", 20, 24, 30, "12", "happy"),
        row(172, "k", 7, 9, 12, "?", "others"),
    ]
    write(root, "casme3", rows, ("nothing",) if clips else None)
    for one in rows if clips else ():
        folder = root / "Part_A_ME_clip" / "frame" / f"spNo.{one.subject}_{one.name}_{one.onset}"
        write_frames(folder, "{}.jpg", one.onset, one.offset)


def fourdme(root: Path) -> None:
    """4DME, the raw release: a clip with two emotions, AUs marked (k)."""
    rows = [
        row(13, "S13_1st_001_01_1", 10, 14, 20, "4(k)+L7", "negative"),
        row(13, "S13_1st_001_02_1", 30, 34, 39, "R2+12(k)", "surprise+positive"),
        row(14, "S14_1st_002_01_1", 5, 8, 12, "6+12", "positive", cells={"AUs": "6+12"}),
    ]
    write(root, "4dme", rows, ("raw",))


def dfme(root: Path) -> None:
    """DFME: two splits, each with its own sheet and folder, and the frame rate of each clip."""
    write(root, "dfme", [
        row(1, "sub0001_01", 20, 30, 41, "4+7", "disgust", split="training_full", fps=500.0),
        row(1, "sub0001_02", 2, 6, 11, "12", "happiness", split="training_full", fps=500.0,
            cells={"Emotion": "Happiness"}),
        row(210, "sub0210_01", 0, 5, 9, "R14A", "fear", split="test_A_full", fps=200.0),
    ])  # fmt: skip


def custom(root: Path) -> None:
    """A user's own folder: frame folders, a video that is only named so, motion images, another dataset's name."""
    write_frames(root / "a" / "one", "f{}.png", 3, 12)
    write_frames(root / "b" / "two", "f{}.png", 1, 20)
    (root / "b" / "image.png").write_bytes(picture(".png"))
    (root / "c.mp4").write_bytes(b"not opened here")
    (root / "clips.csv").write_text(
        "path,subject,emotion,onset,apex,offset,fps,dataset\n"
        "a/one,ann,Calm,,,,,\n"
        "b/two,bob,upset,5,8,11,60,\n"
        "b/two,bob,calm,12,,20,60,\n"
        "b/image.png,bob,upset,,,,,\n"
        "c.mp4,cy,calm,,,,30,\n"
        "c.mp4,cy,upset,10,20,30,30,lab\n",
        encoding="utf-8-sig",
    )


LAYOUTS = {
    "casme": casme,
    "casme2": casme2,
    "casme_sq": casme_sq,
    "casme_sq_macro": casme_sq,
    "samm": samm,
    "samm_lv": samm_lv,
    "smic_hs": smic_hs,
    "smic_hs_e": smic_hs_e,
    "mmew": mmew,
    "casme3": casme3,
    "4dme": fourdme,
    "dfme": dfme,
    "custom": custom,
}
"""For every dataset a function that writes it, in miniature, into a root."""
