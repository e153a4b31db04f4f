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


CASME_HEADER = (
    "Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None, "AU", "Emotion",
)  # fmt: skip


def casme(root: Path, releases: tuple[str, ...] = ("cropped", "raw")) -> None:
    """CASME: int subjects, names of three kinds, frame numbers that are padded part-way."""
    rows = [
        (1, "EP01_5", None, 99, 104, None, 113, None, "4+9", "disgust"),
        (1, "EP12_4_2", None, 3, 6, None, 12, None, "4", "tense"),
        (4, "EP07", None, 1, 4, 8, 9, None, "R12", "Happiness"),
        (4, "EP08_2", None, 5, 7, None, 12, None, "?", "surprise "),
    ]
    write_workbook(root / "CASME.xlsx", {"Sheet1": [CASME_HEADER, *rows]})
    for index, (subject, name, _, onset, _, _, offset, *_) in enumerate(rows):
        number = "{:03d}" if index >= 2 else "{}"
        for folder, prefix in (("Cropped", "reg_"), ("CASME_raw_selected", "")):
            if {"Cropped": "cropped"}.get(folder, "raw") in releases:
                clip = root / folder / f"sub{subject:02d}" / name
                write_frames(clip, f"{prefix}{name}-{number}.jpg", onset - 1, offset + 1)


def casme_sq_sheets(codes: list) -> dict[str, list]:
    """CAS(ME)2's workbook: no header, participants 1.. are s15.., the stimulus' code as text or number."""
    subjects = [15, 16, 19, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40]
    rule1 = [(number, f"s{number}", index) for index, number in enumerate(subjects, start=1)]
    rule2 = [(401, "anger1"), ("0402", "anger2"), ("0101", "disgust1"), ("0502", "happy2")]
    return {"CASFEcode_final": codes, "naming rule1": rule1, "naming rule2": rule2}


def casme_sq(root: Path) -> None:
    """CAS(ME)2: with and without the s in folders, names ending in .jpg.jpg, an offset of 0, a missing crop."""
    micro, macro = "micro-expression", "macro-expression"
    codes = [
        (1, "anger1_1", 557, 562, 572, "4+7", "negative", micro, "anger"),
        (1, "anger1_2", 600, 610, 0, "4", "negative", macro, "anger"),
        (2, "disgust1_1", 20, 25, 31, "R12", "others", micro, "disgust"),
        (2, "happy2_1", 5, 9, 14, "6+12", "positive", micro, "happy"),
        (2, "happy2_2", 40, 55, 70, "6+12", "positive", macro, "happy"),
    ]
    write_workbook(root / "CAS(ME)^2code_final.xlsx", casme_sq_sheets(codes))
    raw = {"anger1": "0401girlcrashing", "disgust1": "0101disgustingteeth", "happy2": "0502funnyerrors"}
    for participant, name, onset, apex, offset, *_ in codes:
        number = {1: 15, 2: 16}[participant]
        last = offset or apex
        suffix = ".jpg.jpg" if name == "disgust1_1" else ".jpg"
        write_frames(root / "selectedpic" / f"s{number}" / name, "img{}" + suffix, onset, last)
        write_frames(root / "rawpic" / f"s{number}" / f"{number}_{raw[name[:-2]]}", "img{:03d}.jpg", onset, last)
        if name != "happy2_1":
            write_frames(root / "cropped" / str(number) / name, "img{}.jpg", onset, last)


SAMM_HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip


def samm_sheet(rows: list) -> dict[str, list]:
    """13 rows of preamble, formulas for the duration; rows are (subject, file, onset, apex, offset, AU, word)."""
    preamble = [("SAMM: coded clips",), *[("Subject means participant",)] * 12]
    body = [
        (
            subject,
            name,
            name.split("_")[1],
            onset,
            apex,
            offset,
            f"=F{index}-D{index}+1",
            "Micro - 1/2",
            aus,
            word,
            1,
            None,
        )
        for index, (subject, name, onset, apex, offset, aus, word) in enumerate(rows, start=15)
    ]
    return {"MICRO_ONLY": [*preamble, SAMM_HEADER, *body], "ALL": []}


def samm(root: Path) -> None:
    """SAMM: text subjects, a preamble, an unusable apex, paddings of 4 and 5 digits."""
    rows = [
        ("006", "006_1_2", 62, 68, 75, "4(B/C)+7B", "Anger"),
        ("006", "006_3_4", 5, 9, 15, "L12 or L14", "Contempt"),
        ("028", "028_4_1", 30, "-", 38, "12", "Happiness"),
        (28, "028_4_2", 50, 55, "59 ", "T28+14", "Others"),
    ]
    write_workbook(root / "SAMM_Micro_FACS_Codes_v2.xlsx", samm_sheet(rows))
    for _, name, onset, _, offset, *_ in rows:
        subject = name[:3]
        number = "{:05d}" if subject == "006" else "{:04d}"
        write_frames(root / "SAMM" / subject / name, f"{subject}_{number}.jpg", onset, int(offset))


def samm_lv_sheet(rows: list) -> dict[str, list]:
    """FACS_Movement_Only: header in row 10; rows are (subject, file, onset, apex, offset, type, AU)."""
    header = (
        "Subject",
        "Filename",
        "Inducement Code",
        "Onset",
        "Apex",
        "Offset",
        "Duration",
        "Type",
        "Action Units",
        "Notes",
    )
    body = [
        (subject, name, 1, onset, apex, offset, None, kind, aus, None)
        for subject, name, onset, apex, offset, kind, aus in rows
    ]
    return {"FACS_Movement_Only": [*[("SAMM Long Videos",)] * 9, header, *body]}


def samm_lv(root: Path) -> None:
    """SAMM Long Videos: one folder for a long video, an apex of -1, an onset of -1 that the apex stands in for."""
    rows = [
        (6, "006_1_2", 12.0, 18.0, 25.0, "Micro - 1/2", "4"),
        (6, "006_1_3", 30, -1, 60, "Macro", "L12"),
        (9, "009_4_1", -1, 10, 20, "Macro", "6+12"),
        (9, "009_4_2", 22, 25, 29, "Micro - 1/2", "R14A"),
    ]
    write_workbook(root / "SAMM_LongVideos_V1_Release.xlsx", samm_lv_sheet(rows))
    for video, last in (("006_1", 70), ("009_4", 40)):
        write_frames(root / "SAMM_longvideos" / video, video + "_{:04d}.jpg", 1, last)


def smic_hs(root: Path, clips: list | None = None, frames: int = 5) -> None:
    """SMIC-HS: HS/s1/micro/negative/s1_ne_01; clips are (subject, class, index)."""
    short = {"negative": "ne", "positive": "po", "surprise": "sur"}
    clips = clips or [
        (1, "negative", 1),
        (1, "positive", 10),
        (1, "positive", 2),
        (12, "surprise", 1),
        (2, "negative", 3),
    ]
    for subject, word, index in clips:
        folder = root / "HS" / f"s{subject}" / "micro" / word / f"s{subject}_{short[word]}_{index:02d}"
        write_frames(folder, "image{:06d}.bmp", 120 + index, 119 + index + frames)


def smic_hs_e(root: Path) -> None:
    """SMIC-HS-E: up to three expressions in a row, offsets as formulas without a stored value."""
    header = (
        "Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F", "Offset3F", None,
        "FirstF", "LastF", "TotalMicroL", "Emotion",
    )  # fmt: skip
    rows = [
        (3, "s3_ne_22", None, 443820, "=D2+9", 443840, "=F2+6", None, None, None, 443812, "=K2+60", None, "negative"),
        (3, "s3_po_01", None, 105, "=D3+11", "/", "-", None, None, None, 101, 130, None, "positive"),
        (14, "s14_sur_02", None, 12, 20, 30, 35, 44, "=H4+4", None, 10, 60, None, "surprise"),
    ]
    write_workbook(root / "SMIC-HS-E_annotation_2019.xlsx", {"Sheet1": [header, *rows]})
    for folder, first, last in (
        ("s03/s3_ne_22", 443812, 443872),
        ("s03/s3_po_01", 101, 130),
        ("s14/s14_sur_02", 10, 60),
    ):
        write_frames(root / "SMIC_HS_E" / folder, "image{:06d}.jpg", first, last)


def mmew(root: Path) -> None:
    """MMEW: emotion folders, and the sheet's others in the folder repression; one offset beyond the frames (row 35)."""
    header = (
        "Subject",
        "Filename",
        "OnsetFrame",
        "ApexFrame",
        "OffsetFrame",
        "Action Units",
        "Estimated Emotion",
        "remarks",
    )
    rows = [
        (13, "S13-07-001", 1, 6, 12, "4+7", "anger", None),
        (13, "S13-05-001", 2, 4, 8, "4", "others", None),
        (2, "S02-01-002", 1, 5, 9, "12", "happiness", None),
    ]
    rows += [(2, f"S02-02-{index:03d}", 1, 3, 6, "1+2", "surprise", None) for index in range(30)]
    rows.append((3, "S03-02-001", 1, 90, 100, "1+2", "surprise", "too long"))
    write_workbook(root / "MMEW_Micro_Exp.xlsx", {"Sheet1": [header, *rows]})
    for _, name, _, _, offset, _, word, _ in rows:
        folder = "repression" if word == "others" else word
        write_frames(root / "Micro_Expression" / folder / name, "{}.jpg", 1, 75 if offset == 100 else offset)


CASME3_HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
CASME3_ROWS = [
    ("spNO.1", "a", "355", "358", "366", "4", 2, "disgust"),
    ("spNO.1", "a", "400", "390", "409", "1+2", 1, "Surprise"),
    ("spNO.2", "b", "20", "24", "30", "12", 1, "happy"),
    ("spNO.172", "k", "7", "9", "12", "?", 7, "others"),
]


def casme3(root: Path, clips: bool = False) -> None:
    """CAS(ME)3: numbers as text, one file name for two expressions, an apex outside, folder names in another case."""
    write_workbook(
        root / "annotation" / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
        {"label": [CASME3_HEADER, *CASME3_ROWS], "Sheet2": []},
    )
    for subject, name, onset, _, offset, *_ in CASME3_ROWS:
        if clips:
            folder = root / "Part_A_ME_clip" / "frame" / f"{subject.replace('NO', 'No')}_{name}_{onset}"
        else:
            folder = root / "part_A" / subject / name / "color"
        write_frames(folder, "{}.jpg", int(onset), int(offset))


def fourdme(root: Path) -> None:
    """4DME: a clip with two emotions, AUs marked (k)."""
    header = ("sub_ID", "fold_name", "Onset", "Apex", "Offset", "AUs", "Emotion", "Positive", "Negative")
    rows = [
        ("S13", "S13_1st_001_01_1", 10, 14, 20, "AU4(k)+L7", "Negative", 0, 1),
        ("S13", "S13_1st_001_02_1", 30, 34, 39, "AUR2+12(k)", "Surprise + Positive", 1, 0),
        ("S14", "S14_1st_002_01_1", 5, 8, 12, "6+12", "Positive", 1, 0),
    ]
    write_workbook(root / "4DME_Labelling_Micro_release v1.xlsx", {"Sheet1": [header, *rows]})
    for subject, name, onset, _, offset, *_ in rows:
        write_frames(root / "gray_micro" / subject / name, "{:05d}.jpg", onset, offset)


def dfme(root: Path) -> None:
    """DFME: two splits, each with its own sheet and folder, and the frame rate of each clip."""
    header = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")
    splits = {
        "training_full_with_AU.xlsx": ("train_data/train_data", [
            ("sub0001", "sub0001_01", 20, 30, 41, "disgust", 2, 500, "4+7"),
            ("sub0001", "sub0001_02", 2, 6, 11, "Happiness", 4, 500, "12"),
        ]),
        "test_A_full_with_AU.xlsx": ("test_A", [("sub0210", "sub0210_01", 0, 5, 9, "fear", 3, 200, "R14A")]),
    }  # fmt: skip
    for sheet, (folder, rows) in splits.items():
        write_workbook(root / "annotation" / sheet, {"Sheet1": [header, *rows]})
        for _, name, onset, _, offset, *_ in rows:
            write_frames(root / folder / name, "{:05d}.png", onset, offset)


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
