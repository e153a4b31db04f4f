"""The form of a dataset's description; ``specs`` fills it in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from affnet_tf.datasets.labels import EMOTIONS

__all__ = ["DatasetSpec", "Release", "Sheet"]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """An annotation table.

    Attributes:
        files: glob patterns under the dataset's root, in order of preference.
        columns: for each field (subject, filename, onset, apex, offset, emotion, aus, fps) the column's spellings.
        required: the fields without which a row is no clip.
        sheet: the sheet's name; None, or a name that is not there: the first that has the columns.
        header_row: where the column names stand, counted from 1 as spreadsheet programs do; 0: there is no such row.
            The reader also finds them in any of the first 30 rows.
        more: (onset, offset) fields of further expressions in the same row.
        every_file: the table is spread over all the files that match, instead of the first match being it.
        apex_bounds: rows without an onset or offset begin or end with their apex.
        loose_apex: the sheet is known to hold apexes outside their clips: they are set aside with a warning.
    """

    files: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...] = ("subject", "filename", "onset", "offset", "emotion")
    sheet: str | None = None
    header_row: int = 1
    more: tuple[tuple[str, str], ...] = ()
    every_file: bool = False
    apex_bounds: bool = False
    loose_apex: bool = False


@dataclasses.dataclass(frozen=True)
class Release:
    """One form in which the frames are shipped.

    Attributes:
        name: ``cropped`` or ``raw``.
        folders: glob patterns under the dataset's root, in order of preference; empty text is the root itself.
        holds: glob pattern of something that such a folder holds, so that no other folder is taken for it.
        clips: where a clip's frames lie under that folder: templates in order of preference, with ``{raw}`` (the
            sheet's subject), ``{number}`` (the integer in it), ``{subject}`` (our name for it), ``{filename}``,
            ``{video}`` (the file name without its last ``_part``), ``{emotion}`` and ``{onset}``; ``*`` stands for
            anything.
        example: one path as shipped, for people to compare with.
    """

    name: str
    folders: tuple[str, ...]
    holds: str
    clips: tuple[str, ...]
    example: str


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """One dataset.

    Attributes:
        name: how the command line and the clips call it.
        title: its published name.
        paper: authors, title, venue, year.
        doi: the paper's DOI; empty where there is none.
        obtain: where and how a user gets it.
        licence: what the owners allow, in a few words.
        fps: frames per second as published; None where it differs from clip to clip or is not confirmed.
        subjects: number of subjects with clips; None where not confirmed.
        clips: number of clips in the released sheet; None where not confirmed.
        releases: the forms in which the frames come, cropped ones first.
        sheet: the annotation table; None where the annotation is in the path.
        counts: clips by emotion in the released sheet, where known.
        subject: template of the subject's name, from ``{number}`` or ``{raw}``.
        clip_id: template of the clip's id, from ``{subject}``, ``{filename}``, ``{onset}``, ``{emotion}``.
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
