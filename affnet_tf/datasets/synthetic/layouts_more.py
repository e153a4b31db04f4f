"""The releases of Manchester, Oulu and others, and a folder of one's own; ``specs`` describes what readers expect."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

from affnet_tf.datasets.synthetic.entries import Entry
from affnet_tf.datasets.synthetic.layout import ANY, NEGATIVE, Form, Layout, number_of
from affnet_tf.datasets.synthetic.tables import Column, Table, write_csv, write_workbook

__all__ = ["CUSTOM", "DFME", "FOURDME", "MMEW", "SAMM", "SAMM_LV", "SMIC_HS", "SMIC_HS_E"]

_SMIC = {"negative": "ne", "positive": "po", "surprise": "sur"}
_SIDES = {"positive": ("happiness",), "negative": NEGATIVE}


def _samm_quirks(entries: Sequence[Entry]) -> list[Entry]:
    """Frame numbers of 5 and of 4 digits; a subject as a number, an offset as text; intensities; an apex that is none."""
    made = list(entries)
    for index, entry in enumerate(made):
        made[index] = entry = dataclasses.replace(entry, pad=5 if entry.subject == made[0].subject else 4)
        if index % 6 == 4:
            made[index] = entry.typed(Subject=entry.subject, **{"Offset Frame": f"{entry.offset} "})
        elif index % 6 == 5:
            made[index] = dataclasses.replace(entry, action_units=f"{entry.action_units}B")
        if index % 80 == 6:
            made[index] = dataclasses.replace(entry, apex=None).typed(**{"Apex Frame": "-"})
    return made


SAMM_TABLE = Table(
    "SAMM_Micro_FACS_Codes_v2.xlsx",
    "MICRO_ONLY",
    (
        Column("Subject", lambda entry, row: f"{entry.subject:03d}"),
        Column("Filename", lambda entry, row: entry.name),
        Column("Inducement Code", lambda entry, row: entry.name.split("_")[1]),
        Column("Onset Frame", lambda entry, row: entry.onset),
        Column("Apex Frame", lambda entry, row: entry.apex),
        Column("Offset Frame", lambda entry, row: entry.offset),
        Column("Duration", lambda entry, row: f"=F{row}-D{row}+1"),
        Column("Micro", lambda entry, row: "Micro - 1/2"),
        Column("Action Units", lambda entry, row: number_of(entry.action_units)),
        Column("Estimated Emotion", lambda entry, row: entry.emotion.capitalize()),
        Column("Objective Classes", lambda entry, row: 1),
        Column("Notes"),
    ),
    preamble=(("SAMM: coded clips",), *[("Subject means participant",)] * 12),
    more={"ALL": ()},
)
SAMM = Layout(
    classes=(
        ("happiness",),
        ("anger", "contempt", "anger", "disgust", "anger", "fear", "anger", "sadness"),
        ("surprise",),
        ("other",),
    ),
    forms=(Form("raw", (325, 480), ("SAMM/{subject:03d}/{name}/{subject:03d}_{number:0{pad}d}.jpg",)),),
    name="{number:03d}_{episode}_{occurrence}",
    episodes=7,
    starts=(1, 7000),
    write_sheet=SAMM_TABLE.write,
    grey=True,
    numbers=(6,),
    cast=2000,
    quirks=_samm_quirks,
)


def _samm_lv_quirks(entries: Sequence[Entry]) -> list[Entry]:
    """Numbers with a point; an apex of -1; an onset of -1, for which readers take the apex."""
    made = list(entries)
    for index, entry in enumerate(made):
        if index % 6 == 0:
            made[index] = entry.typed(Onset=float(entry.onset), Apex=float(entry.apex), Offset=float(entry.offset))
        elif index % 6 == 3:
            made[index] = dataclasses.replace(entry, apex=None).typed(Apex=-1)
        elif entry.kind == "macro" and index % 6 == 4:
            made[index] = entry.typed(Onset=-1)
    return made


SAMM_LV_TABLE = Table(
    "SAMM_LongVideos_V1_Release.xlsx",
    "FACS_Movement_Only",
    (
        Column("Subject", lambda entry, row: entry.subject),
        Column("Filename", lambda entry, row: entry.name),
        Column("Inducement Code", lambda entry, row: number_of(entry.name.split("_")[1])),
        Column("Onset", lambda entry, row: entry.onset),
        Column("Apex", lambda entry, row: entry.apex),
        Column("Offset", lambda entry, row: entry.offset),
        Column("Duration"),
        Column("Type", lambda entry, row: {"micro": "Micro - 1/2", "macro": "Macro"}[entry.kind]),
        Column("Action Units", lambda entry, row: number_of(entry.action_units)),
        Column("Notes"),
    ),
    preamble=(("SAMM Long Videos",),) * 9,
)
SAMM_LV = Layout(
    classes=(("micro",), ("macro",)),
    forms=(Form("raw", (325, 480), ("SAMM_longvideos/{video}/{video}_{number:04d}.jpg",)),),
    name="{number:03d}_{episode}_{occurrence}",
    video="{number:03d}_{episode}",
    episodes=3,
    starts=(1, 2),
    write_sheet=SAMM_LV_TABLE.write,
    grey=True,
    shown={"micro": ANY, "macro": ANY},
    numbers=SAMM.numbers,
    cast=SAMM.cast,
    kind="word",
    quirks=_samm_lv_quirks,
)

SMIC_HS = Layout(
    classes=(("negative",), ("positive",), ("surprise",)),
    forms=(
        Form(
            "cropped", (170, 140), ("SMIC_all_cropped/HS/s{subject}/micro/{emotion}/{name}/reg_image{number:06d}.bmp",)
        ),
        Form("raw", (240, 320), ("HS/s{subject}/micro/{emotion}/{name}/image{number:06d}.bmp",)),
    ),
    name="s{number}_{code}_{nth:02d}",
    fps=(100.0,),
    shown=_SIDES,
    codes=_SMIC,
    starts=(1, 90000),
    suffix=".bmp",
    cast=4000,
    apex=False,
    trimmed=True,
)


def _smic_hs_e_sheet(root: Path, entries: Sequence[Entry]) -> None:
    """A row holds up to three expressions; offsets are formulas without a stored value."""
    header = (
        "Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F", "Offset3F", None, "FirstF",
        "LastF", "TotalMicroL", "Emotion",
    )  # fmt: skip
    rows = [header]
    for (subject, name), group in itertools.groupby(entries, lambda entry: (entry.subject, entry.name)):
        shown = list(group)
        number = len(rows) + 1
        numbers: list = []
        for column, entry in zip("DFH", shown, strict=False):
            formula = f"={column}{number}+{entry.offset - entry.onset}"
            numbers += [entry.onset, entry.offset if column == "H" else formula]
        numbers += [None] * (6 - len(numbers))
        if len(shown) == 1 and number % 2:
            numbers[2:4] = ["/", "-"]
        first, last = shown[0].first, shown[-1].last
        total = None if number % 3 else sum(entry.offset - entry.onset + 1 for entry in shown)
        rows.append((subject, name, None, *numbers, None, first, f"=K{number}+{last - first}", total, shown[0].emotion))
    write_workbook(root / "SMIC-HS-E_annotation_2019.xlsx", {"Sheet1": rows})


SMIC_HS_E = dataclasses.replace(
    SMIC_HS,
    forms=(Form("raw", (240, 320), ("SMIC_HS_E/s{subject:02d}/{name}/image{number:06d}.jpg",)),),
    write_sheet=_smic_hs_e_sheet,
    video="{name}",
    runs=(2, 1, 3, 1),
    suffix=".jpg",
    trimmed=False,
)

MMEW_TABLE = Table(
    "MMEW_Micro_Exp.xlsx",
    "Sheet1",
    (
        Column("Subject", lambda entry, row: entry.subject),
        Column("Filename", lambda entry, row: entry.name),
        Column("OnsetFrame", lambda entry, row: entry.onset),
        Column("ApexFrame", lambda entry, row: entry.apex),
        Column("OffsetFrame", lambda entry, row: entry.offset),
        Column("Action Units", lambda entry, row: number_of(entry.action_units)),
        Column("Estimated Emotion", lambda entry, row: entry.emotion),
        Column("remarks"),
    ),
)
MMEW = Layout(
    classes=(("happiness",), ("disgust", "fear", "anger", "sadness"), ("surprise",), ("others",)),
    forms=(Form("cropped", (231, 231), ("Micro_Expression/{folder}/{name}/{number}.jpg",)),),
    name="S{number:02d}-{code}-{nth:03d}",
    # The codes of others and anger are those of known names; the rest is made up.
    codes={
        "happiness": "01", "surprise": "02", "disgust": "03", "fear": "04", "others": "05", "sadness": "06",
        "anger": "07",
    },
    folders={"others": "repression"},
    starts=(1, 2),
    write_sheet=MMEW_TABLE.write,
    fps=(90.0,),
    cast=5000,
)  # fmt: skip


def _fourdme_quirks(entries: Sequence[Entry]) -> list[Entry]:
    """Units that are there but do not move carry a mark."""
    return [
        dataclasses.replace(entry, action_units=f"{entry.action_units}+17(k)") if index % 3 == 1 else entry
        for index, entry in enumerate(entries)
    ]


FOURDME_TABLE = Table(
    "4DME_Labelling_Micro_release v1.xlsx",
    "Sheet1",
    (
        Column("sub_ID", lambda entry, row: f"S{entry.subject}"),
        Column("fold_name", lambda entry, row: entry.name),
        Column("Onset", lambda entry, row: entry.onset),
        Column("Apex", lambda entry, row: entry.apex),
        Column("Offset", lambda entry, row: entry.offset),
        Column("AUs", lambda entry, row: f"AU{entry.action_units}"),
        Column("Emotion", lambda entry, row: " + ".join(word.capitalize() for word in entry.emotion.split("+"))),
        Column("Positive", lambda entry, row: int("positive" in entry.emotion)),
        Column("Negative", lambda entry, row: int("negative" in entry.emotion)),
    ),
)
FOURDME = Layout(
    classes=(("positive",), ("negative",), ("surprise", "surprise", "surprise+positive"), ("others",)),
    forms=(
        Form("cropped", (340, 280), ("gray_micro_crop/S{subject}/{name}/{number:05d}.jpg",)),
        Form("raw", (480, 640), ("gray_micro/S{subject}/{name}/{number:05d}.jpg",)),
    ),
    name="S{number}_1st_{episode:03d}_{occurrence:02d}_1",
    write_sheet=FOURDME_TABLE.write,
    fps=(60.0,),
    grey=True,
    shown={**_SIDES, "surprise+positive": ("surprise+happiness",)},
    numbers=(13,),
    cast=6000,
    quirks=_fourdme_quirks,
)

_DFME_WORDS = ("happiness", "anger", "disgust", "fear", "sadness", "contempt", "surprise")
DFME_TABLE = Table(
    "annotation/{split}_with_AU.xlsx",
    "Sheet1",
    (
        Column("Subject", lambda entry, row: f"sub{entry.subject:04d}"),
        Column("Filename", lambda entry, row: entry.name),
        Column("OnsetFrame", lambda entry, row: entry.onset),
        Column("ApexFrame", lambda entry, row: entry.apex),
        Column("OffsetFrame", lambda entry, row: entry.offset),
        Column("Emotion", lambda entry, row: entry.emotion if row % 4 else entry.emotion.capitalize()),
        Column("EmotionId", lambda entry, row: _DFME_WORDS.index(entry.emotion)),
        Column("Fps", lambda entry, row: int(entry.fps)),
        Column("AU", lambda entry, row: number_of(entry.action_units)),
    ),
)
DFME = Layout(
    classes=(("happiness",), ("disgust", "anger", "fear", "sadness", "contempt"), ("surprise",)),
    forms=(Form("raw", (270, 360), ("{folder}/{name}/{number:05d}.png",)),),
    name="sub{number:04d}_{index:02d}",
    starts=(0, 40),
    suffix=".png",
    write_sheet=DFME_TABLE.write,
    fps=(500.0, 200.0, 300.0),
    cast=7000,
    splits=("training_full", "training_full", "test_A_full"),
    folders={"training_full": "train_data/train_data", "test_A_full": "test_A"},
)


def _custom_quirks(entries: Sequence[Entry]) -> list[Entry]:
    """Every third clip is a video file, which is all clip; frame numbers in it count from 0."""
    return [
        dataclasses.replace(
            entry, suffix=".avi", onset=entry.onset - entry.first, apex=entry.apex - entry.first,
            offset=entry.offset - entry.first, first=0, last=entry.last - entry.first,
        )
        if index % 3 == 2
        else entry
        for index, entry in enumerate(entries)
    ]  # fmt: skip


def _custom_sheet(root: Path, entries: Sequence[Entry]) -> None:
    rows: list[tuple] = [("path", "subject", "emotion", "onset", "apex", "offset", "fps", "aus")]
    for entry in entries:
        path = f"person{entry.subject:02d}/{entry.name}" + (".avi" if entry.suffix == ".avi" else "")
        numbers = (entry.onset, entry.apex, entry.offset, f"{entry.fps:g}", entry.action_units)
        rows.append((path, f"person{entry.subject:02d}", entry.emotion, *numbers))
    write_csv(root / "clips.csv", rows)


CUSTOM = Layout(
    classes=(("happiness",), NEGATIVE, ("surprise",), ("others",)),
    forms=(Form("own", (340, 280), ("person{subject:02d}/{name}/frame{number:05d}.png",)),),
    name="clip{index:02d}",
    suffix=".png",
    write_sheet=_custom_sheet,
    fps=(100.0,),
    cast=8000,
    quirks=_custom_quirks,
)
