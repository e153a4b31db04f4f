"""What is known of each dataset: where it comes from, how it lies on disk, what its sheet says. Data, not code."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from affnet_tf.datasets.labels import EMOTIONS
from affnet_tf.errors import unknown

__all__ = ["SPECS", "DatasetSpec", "Release", "Sheet", "spec"]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """An annotation table.

    Attributes:
        files: glob patterns under the dataset's root, in order of preference.
        columns: for each field (subject, filename, onset, apex, offset, emotion, aus, fps) the column's spellings.
        required: the fields without which a row is no clip.
        sheet: the sheet's name; None: the first that has the columns.
        header_row: where the column names stand, counted from 1 as spreadsheet programs do; the reader also finds them
            in any of the first 30 rows.
    """

    files: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...] = ("subject", "filename", "onset", "offset", "emotion")
    sheet: str | None = None
    header_row: int = 1


@dataclasses.dataclass(frozen=True)
class Release:
    """One form in which the frames are shipped.

    Attributes:
        name: ``cropped`` or ``raw``.
        folders: glob patterns under the dataset's root, in order of preference.
        clips: where a clip's frames lie under that folder: templates with ``{subject}``, ``{number}`` (the integer in
            the subject's name), ``{filename}`` and ``{emotion}``, in order of preference.
        example: one path as shipped, for people to compare with.
    """

    name: str
    folders: tuple[str, ...]
    clips: tuple[str, ...]
    example: str


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """One dataset.

    Attributes:
        name: how the command line and the clips call it.
        title: its published name.
        paper: authors, title, venue, year.
        doi: the paper's DOI; empty where we could not confirm one.
        obtain: where and how a user gets it.
        licence: what the owners allow, in a few words.
        fps: frames per second as published; None where it differs from clip to clip.
        subjects: number of subjects as published.
        clips: number of clips as published or as the sheet has it.
        counts: clips by emotion in the sheet, where known.
        sheet: the annotation table; None where the class is in the path.
        releases: the forms in which the frames come, cropped ones first.
        subject: template of the subject's name, from ``{number}`` or ``{raw}`` (the sheet's cell).
        clip_id: template of the clip's id, from ``{subject}``, ``{number}``, ``{filename}``, ``{onset}``.
        notes: peculiarities that a user may stumble over.
        unconfirmed: what could not be confirmed from a public source; never to be taken as fact.
    """

    name: str
    title: str
    paper: str
    doi: str
    obtain: str
    licence: str
    fps: float | None
    subjects: int | None
    clips: int | None
    releases: tuple[Release, ...]
    sheet: Sheet | None = None
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    subject: str = "sub{number:02d}"
    clip_id: str = "{subject}/{filename}"
    notes: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()

    @property
    def emotions(self) -> tuple[str, ...]:
        """The vocabulary of the dataset's sheet, lower case; empty where any word may stand."""
        return EMOTIONS.get(self.name, ())


_ON_REQUEST = "research use only, signed licence agreement; redistribution is forbidden"

CASME2 = DatasetSpec(
    name="casme2",
    title="CASME II",
    paper="W.-J. Yan, X. Li, S.-J. Wang, G. Zhao, Y.-J. Liu, Y.-H. Chen, X. Fu: CASME II: An Improved Spontaneous "
    "Micro-Expression Database and the Baseline Evaluation. PLoS ONE 9(1), 2014",
    doi="10.1371/journal.pone.0086041",
    obtain="signed licence agreement to the Institute of Psychology, Chinese Academy of Sciences: "
    "http://casme.psych.ac.cn/casme/e2",
    licence=_ON_REQUEST,
    fps=200,
    subjects=26,
    clips=255,
    counts={
        "others": 99,
        "disgust": 63,
        "happiness": 32,
        "repression": 27,
        "surprise": 25,
        "sadness": 7,
        "fear": 2,
    },
    sheet=Sheet(
        files=("CASME2-coding-20140508.xlsx", "CASME2-coding-*.xlsx", "*/CASME2-coding-20140508.xlsx", "CASME2*.xlsx"),
        columns={
            "subject": ("Subject",),
            "filename": ("Filename", "File name"),
            "onset": ("OnsetFrame", "Onset"),
            "apex": ("ApexFrame", "Apex"),
            "offset": ("OffsetFrame", "Offset"),
            "aus": ("Action Units", "AU"),
            "emotion": ("Estimated Emotion", "Emotion"),
        },
    ),
    releases=(
        Release(
            "cropped",
            ("Cropped", "cropped", "CASME2_Cropped", "CASME2_preprocessed*/Cropped", "Cropped-updated/Cropped"),
            ("sub{number:02d}/{filename}",),
            "Cropped/sub01/EP02_01f/reg_img46.jpg",
        ),
        Release(
            "raw",
            ("CASME2_RAW_selected", "CASME2-RAW", "CASME2_RAW", "CASME2-RAW-selected"),
            ("sub{number:02d}/{filename}",),
            "CASME2_RAW_selected/sub01/EP02_01f/img46.jpg",
        ),
    ),
    notes=(
        "The paper counts 247 clips, the released sheet has 255 rows.",
        "A later edition of the sheet (20190701) relabels a few clips; where both lie side by side, 20140508 is read, "
        "because published results rest on it.",
        "The apex of sub04/EP12_01f is '/': that clip has no apex.",
    ),
)

SPECS: Mapping[str, DatasetSpec] = {entry.name: entry for entry in (CASME2,)}
"""Every supported dataset by name."""


def spec(name: str) -> DatasetSpec:
    """The spec of a dataset.

    Raises:
        InputError: no such dataset; it names the supported ones and the one that was probably meant.
    """
    if name not in SPECS:
        raise unknown("dataset", name, SPECS)
    return SPECS[name]
