"""The form of a layout: where a release keeps its frames and what its sheet says; ``layouts`` fills it in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from affnet_tf.datasets.synthetic.entries import Entry
from affnet_tf.datasets.synthetic.paint import View

__all__ = ["ANY", "NEGATIVE", "Form", "Layout", "number_of"]

# In CASME II 63 clips show disgust, 27 repression, 7 sadness and 2 fear.
NEGATIVE = (
    "disgust", "repression", "disgust", "disgust", "repression", "disgust", "sadness", "disgust", "repression", "fear",
)  # fmt: skip
ANY = ("happiness", "disgust", "surprise", "others", "repression")


@dataclasses.dataclass(frozen=True)
class Form:
    """One release of the frames.

    Attributes:
        release: ``cropped``, ``raw`` or ``own``, as ``specs`` calls it.
        size: (height, width) of the frames unless asked otherwise.
        paths: where a frame lies under the root, once for each copy: templates of the entry's fields, ``{number}``
            (the frame's) and ``{folder}`` (of the entry's split or emotion).
    """

    release: str
    size: tuple[int, int]
    paths: tuple[str, ...]

    def view(self, scale: tuple[float, float]) -> View:
        """The camera's window, every side ``scale`` times its size here."""
        size = round(self.size[0] * scale[0]), round(self.size[1] * scale[1])
        return View.raw(size) if self.release == "raw" else View.cropped(size)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A dataset's shape on disk, and who does what in it.

    Attributes:
        classes: groups of the dataset's words; every subject shows each group equally often, its words in turn.
        forms: the releases, cropped ones first.
        name: template of a clip's name; see ``planning.annotate`` for its fields.
        write_sheet: writes the annotation of entries under a root; None where it is in the paths.
        fps: frames per second; several: one subject after the other.
        grey: frames carry no colour.
        shown: for words that are no prototype of ``performance.PROTOTYPES``, the emotions that they stand for.
        codes: how names abbreviate a word.
        folders: folder of a word or of a split, where it is not called by that.
        video: template of the recording; clips of one recording follow each other in frame numbers.
        runs: how many clips share a name, in turn, where a row of the sheet holds several expressions.
        stimuli: (name, name of the recording) of the films that are watched, where names tell them.
        episodes: how many films are watched; ``stimuli`` counts for itself.
        starts: range of the number of a recording's first frame.
        pad: digits of the frame numbers; 0: not padded.
        suffix: of the frames' names.
        numbers: the subjects' numbers; it goes on from the last one.
        most: subjects that it can hold.
        cast: people's numbers are the subjects' plus this: datasets with one cast show the same people.
        apex: the apex is annotated.
        trimmed: frames begin at the onset and end at the offset.
        kind: ``micro``, ``macro``, or ``word`` where the label says it.
        beside: every subject has one more clip of the other kind, as the release holds both.
        splits: what ``{split}`` stands for: in turn over the subjects.
        quirks: what is odd in the sheet or on disk: changes the planned entries.
    """

    classes: tuple[tuple[str, ...], ...]
    forms: tuple[Form, ...]
    name: str
    write_sheet: Callable[[Path, Sequence[Entry]], None] | None = None
    fps: tuple[float, ...] = (200.0,)
    grey: bool = False
    shown: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    codes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    folders: Mapping[str, str] = dataclasses.field(default_factory=dict)
    video: str = ""
    runs: tuple[int, ...] = (1,)
    stimuli: tuple[tuple[str, str], ...] = ()
    episodes: int = 19
    starts: tuple[int, int] = (1, 400)
    pad: int = 0
    suffix: str = ".jpg"
    numbers: tuple[int, ...] = (1,)
    most: int = 99
    cast: int = 0
    apex: bool = True
    trimmed: bool = False
    kind: str = "micro"
    beside: bool = False
    splits: tuple[str, ...] = ("",)
    quirks: Callable[[Sequence[Entry]], Sequence[Entry]] = lambda entries: entries

    @property
    def words(self) -> tuple[str, ...]:
        """The dataset's words that can be shown."""
        return tuple(dict.fromkeys(word for group in self.classes for word in group))

    def subject(self, place: int) -> int:
        """The number of the subject at ``place``, from 0."""
        last = len(self.numbers) - 1
        return self.numbers[place] if place <= last else self.numbers[last] + place - last

    def chosen(self, raw: bool) -> tuple[Form, ...]:
        """The releases to write: the cropped one, or whatever there is; with ``raw`` all."""
        return self.forms if raw else self.forms[:1]

    def frame_paths(self, form: Form, entry: Entry, number: int) -> list[str]:
        """Where a frame of an entry lies, under the root; for a video file, that file."""
        folder = self.folders.get(entry.split) or self.folders.get(entry.emotion, entry.emotion)
        fields = {**vars(entry), "number": number, "folder": folder}
        paths = [template.format_map(fields) for template in form.paths]
        return [path.rpartition("/")[0] + ".avi" for path in paths] if entry.suffix == ".avi" else paths


def number_of(text: str) -> int | str:
    """Text as the number that a spreadsheet program makes of it while typing, where it can."""
    return int(text) if text.isdecimal() else text
