"""The CASME family as released; ``specs_casme`` describes what readers expect."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from affnet_tf.datasets.synthetic.entries import Entry
from affnet_tf.datasets.synthetic.layout import NEGATIVE, Form, Layout, number_of
from affnet_tf.datasets.synthetic.tables import Column, Table

__all__ = ["CASME", "CASME2", "CASME3", "CASME_SQ", "CASME_SQ_MACRO"]

# From this many clips on, one thing in a release is damaged: an apex lost, a crop missing.
DAMAGED = 24


def _casme_quirks(entries: Sequence[Entry]) -> list[Entry]:
    """Names of three kinds; frame numbers padded from the middle on; capitals and spaces around the words."""
    made = []
    names = {(entry.subject, entry.name.split("_")[0]): 0 for entry in entries}
    for entry in entries:
        names[entry.subject, entry.name.split("_")[0]] += 1
    for index, entry in enumerate(entries):
        episode = entry.name.split("_")[0]
        name = entry.name
        if index % 4 == 2 and names[entry.subject, episode] == 1:
            name = episode
        elif index % 4 == 3:
            name = f"{entry.name}_2"
        entry = dataclasses.replace(entry, name=name, pad=3 if index >= len(entries) / 2 else 0)
        if index % 5 == 1:
            entry = entry.typed(Emotion=f"{entry.emotion} ")
        elif index % 5 == 3:
            entry = entry.typed(Emotion=entry.emotion.capitalize(), ApexF2=entry.apex + 1)
        made.append(entry)
    return made


CASME_TABLE = Table(
    "CASME.xlsx",
    "Sheet1",
    (
        Column("Subject", lambda entry, row: entry.subject),
        Column("Filename", lambda entry, row: entry.name),
        Column(None),
        Column("OnsetF", lambda entry, row: entry.onset),
        Column("ApexF1", lambda entry, row: entry.apex),
        Column("ApexF2"),
        Column("OffsetF", lambda entry, row: entry.offset),
        Column(None),
        Column("AU", lambda entry, row: number_of(entry.action_units)),
        Column("Emotion", lambda entry, row: entry.emotion),
    ),
)
CASME = Layout(
    classes=(("happiness",), ("disgust", "repression", "sadness", "fear", "contempt"), ("surprise",), ("tense",)),
    forms=(
        Form("cropped", (340, 280), ("Cropped/sub{subject:02d}/{name}/reg_{name}-{number:0{pad}d}.jpg",)),
        Form("raw", (480, 640), ("CASME_raw_selected/sub{subject:02d}/{name}/{name}-{number:0{pad}d}.jpg",)),
    ),
    name="EP{episode:02d}_{occurrence}",
    write_sheet=CASME_TABLE.write,
    fps=(60.0,),
    cast=1000,
    quirks=_casme_quirks,
)


def _casme2_quirks(entries: Sequence[Entry]) -> list[Entry]:
    """A subject as a number, an apex as text, an offset with a point, stray spaces; one apex that is a slash."""
    made = list(entries)
    for index, entry in enumerate(made):
        if index % 8 == 5:
            made[index] = entry.typed(
                Subject=entry.subject,
                Filename=f"{entry.name} ",
                ApexFrame=str(entry.apex),
                OffsetFrame=float(entry.offset),
            )
        elif index % 8 == 6:
            made[index] = entry.typed(**{"Estimated Emotion": f" {entry.emotion.capitalize()}"})
    if len(made) >= DAMAGED:
        lost = len(made) // 2
        made[lost] = dataclasses.replace(made[lost], apex=None).typed(ApexFrame="/")
    return made


CASME2_TABLE = Table(
    "CASME2-coding-20140508.xlsx",
    "Sheet1",
    (
        Column("Subject", lambda entry, row: f"{entry.subject:02d}"),
        Column("Filename", lambda entry, row: entry.name),
        Column(None),
        Column("OnsetFrame", lambda entry, row: entry.onset),
        Column("ApexFrame", lambda entry, row: entry.apex),
        Column("OffsetFrame", lambda entry, row: entry.offset),
        Column(None),
        Column("Action Units", lambda entry, row: number_of(entry.action_units)),
        Column("Estimated Emotion", lambda entry, row: entry.emotion),
    ),
    more={"Sheet2": (), "Sheet3": ()},
)
CASME2 = Layout(
    classes=(("happiness",), NEGATIVE, ("surprise",), ("others",)),
    forms=(
        Form("cropped", (340, 280), ("Cropped/sub{subject:02d}/{name}/reg_img{number}.jpg",)),
        Form("raw", (480, 640), ("CASME2_RAW_selected/sub{subject:02d}/{name}/img{number}.jpg",)),
    ),
    name="EP{episode:02d}_{occurrence:02d}f",
    write_sheet=CASME2_TABLE.write,
    quirks=_casme2_quirks,
)

# What subjects watched: in the clips' names, and in the long recordings'. The last recording's name is made up.
STIMULI = (
    ("anger1", "0401girlcrashing"),
    ("disgust1", "0101disgustingteeth"),
    ("happy2", "0502funnyerrors"),
    ("anger2", "0402film"),
)
SUBJECTS = (15, 16, 19, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40)


def _casme_sq_quirks(entries: Sequence[Entry]) -> list[Entry]:
    """Frames named .jpg.jpg; every seventh macro-expression with an offset of 0; a clip that the cropped release lacks."""
    made = list(entries)
    for index, entry in enumerate(made):
        if index % 4 == 1:
            made[index] = dataclasses.replace(entry, suffix=".jpg.jpg")
    for index in [index for index, entry in enumerate(made) if entry.kind == "macro"][::7]:
        made[index] = made[index].typed(offset=0)
    if len(made) >= DAMAGED:
        lost = len(made) // 3
        made[lost] = dataclasses.replace(made[lost], absent=("cropped",))
    return made


CASME_SQ_TABLE = Table(
    "CAS(ME)^2code_final.xlsx",
    "CASFEcode_final",
    (
        Column("participant", lambda entry, row: _participant(entry.subject)),
        Column("filename", lambda entry, row: entry.name),
        Column("onset", lambda entry, row: entry.onset),
        Column("apex", lambda entry, row: entry.apex),
        Column("offset", lambda entry, row: entry.offset),
        Column("aus", lambda entry, row: number_of(entry.action_units)),
        Column("emotion", lambda entry, row: entry.emotion),
        Column("expression", lambda entry, row: f"{entry.kind}-expression"),
        Column("self-report", lambda entry, row: entry.name.rstrip("0123456789_")),
    ),
    headed=False,
    more={
        "naming rule1": tuple((number, f"s{number}", place) for place, number in enumerate(SUBJECTS, 1)),
        # A spreadsheet program drops the leading zero of a code that it takes for a number.
        "naming rule2": tuple(
            (int(long[:4]) if place == 0 else long[:4], short) for place, (short, long) in enumerate(STIMULI)
        ),
    },
)


def _participant(subject: int) -> int:
    return SUBJECTS.index(subject) + 1


CASME_SQ = Layout(
    classes=(("positive",), ("negative",), ("surprise",), ("others",)),
    forms=(
        Form("cropped", (340, 280), ("cropped/{subject}/{name}/img{number}{suffix}",)),
        Form(
            "raw",
            (480, 640),
            (
                "selectedpic/s{subject}/{name}/img{number}{suffix}",
                "rawpic/s{subject}/{subject}_{video}/img{number:03d}.jpg",
            ),
        ),
    ),
    name="{stimulus}_{occurrence}",
    video="{recording}",
    stimuli=STIMULI,
    write_sheet=CASME_SQ_TABLE.write,
    fps=(30.0,),
    shown={"positive": ("happiness",), "negative": NEGATIVE},
    numbers=SUBJECTS,
    most=len(SUBJECTS),
    quirks=_casme_sq_quirks,
    beside=True,
)
CASME_SQ_MACRO = dataclasses.replace(CASME_SQ, kind="macro")


def _casme3_quirks(entries: Sequence[Entry]) -> list[Entry]:
    """Now and then an apex that lies before the onset, and a word with a capital."""
    made = list(entries)
    for index, entry in enumerate(made):
        if index % 8 == 1:
            made[index] = dataclasses.replace(entry, apex=None).typed(Apex=str(max(entry.onset - 10, 1)))
        elif index % 8 == 6:
            made[index] = entry.typed(emotion=entry.emotion.capitalize())
    return made


CASME3_TABLE = Table(
    "annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    "label",
    (
        Column("Subject", lambda entry, row: f"spNO.{entry.subject}"),
        Column("Filename", lambda entry, row: entry.name),
        Column("Onset", lambda entry, row: str(entry.onset)),
        Column("Apex", lambda entry, row: str(entry.apex)),
        Column("Offset", lambda entry, row: str(entry.offset)),
        Column("AU", lambda entry, row: entry.action_units),
        Column("Objective class", lambda entry, row: row % 7 + 1),
        Column("emotion", lambda entry, row: entry.emotion),
    ),
    more={"Sheet2": ()},
)
CASME3 = Layout(
    classes=(("happy",), ("disgust", "anger", "sad", "fear"), ("surprise",), ("others",)),
    forms=(Form("raw", (270, 480), ("part_A/spNO.{subject}/{name}/color/{number}.jpg",)),),
    name="{letter}",
    video="{letter}",
    episodes=13,
    starts=(12, 400),
    write_sheet=CASME3_TABLE.write,
    fps=(30.0,),
    shown={"happy": ("happiness",), "sad": ("sadness",)},
    cast=3000,
    quirks=_casme3_quirks,
)
