"""What a clip's frames were on disk when they were read: enough to tell that they changed, without opening a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from affnet_tf.datasets.clips import Clip
from affnet_tf.files import image_number

__all__ = ["fingerprints"]

State = tuple[str, int, int]  # name, bytes, time of change in nanoseconds


def fingerprints(clips: Sequence[Clip], notes: Sequence[Sequence[str]]) -> Iterator[str]:
    """A digest for each clip: the names, sizes and times of its files, and what is known to be wrong with it.

    Where the files lie doesn't count, so that a dataset may be moved. A file that was changed or written anew does, and so
    does one that was missing and is there now.

    Args:
        clips: the clips; those of one folder should follow each other, because one folder's listing is kept.
        notes: for each clip, lines that say why it cannot be used.
    """
    folder: Path | None = None
    listing: dict[int, list[State]] = {}
    for clip, lines in zip(clips, notes, strict=True):
        if clip.kind != "folder":
            files = [_file(clip.frames)]
        else:
            if clip.frames != folder:
                folder, listing = clip.frames, _listed(clip.frames)
            last = clip.onset if clip.offset is None else clip.offset
            files = [state for number in sorted(listing) if clip.onset <= number <= last for state in listing[number]]
        text = json.dumps([files, list(lines)])
        yield hashlib.sha256(text.encode()).hexdigest()[:16]


def _listed(folder: Path) -> dict[int, list[State]]:
    """Images of a folder by number. One that is not there is the same as an empty one: reading the clip reports both."""
    found: dict[int, list[State]] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            number = image_number(entry.name)
            if number is not None:
                state = entry.stat()
                found.setdefault(number, []).append((entry.name, state.st_size, state.st_mtime_ns))
    return found


def _file(path: Path) -> State:
    try:
        found = os.stat(path)
    except OSError:
        return path.name, -1, 0
    return path.name, found.st_size, found.st_mtime_ns
