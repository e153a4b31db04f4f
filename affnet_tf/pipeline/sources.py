"""What a clip's frames were on disk when they were read: enough to tell that they changed, without opening a file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.files import numbered_images

__all__ = ["fingerprints"]


def fingerprints(clips: Sequence[Clip], notes: Sequence[Sequence[str]]) -> Iterator[str]:
    """A digest for each clip: the names, sizes and times of its files, and what is known to be wrong with it.

    Where the files lie doesn't count, so that a dataset may be moved. A file that was changed or written anew does, and so
    does one that was missing and is there now.

    Args:
        clips: the clips; those of one folder should follow each other, because one folder's listing is kept.
        notes: for each clip, lines that say why it cannot be used.
    """
    folder: Path | None = None
    listing: dict[int, Path] = {}
    for clip, lines in zip(clips, notes, strict=True):
        if clip.kind != "folder":
            files = [clip.frames]
        else:
            if clip.frames != folder:
                folder, listing = clip.frames, _listed(clip.frames)
            last = clip.onset if clip.offset is None else clip.offset
            files = [path for number, path in listing.items() if clip.onset <= number <= last]
        text = json.dumps([[_state(path) for path in files], list(lines)])
        yield hashlib.sha256(text.encode()).hexdigest()[:16]


def _listed(folder: Path) -> dict[int, Path]:
    try:
        return numbered_images(folder)
    except (InputError, OSError):
        return {}  # the same as an empty folder: both are reported when the clip is read


def _state(path: Path) -> tuple[str, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return path.name, -1, 0
    return path.name, found.st_size, found.st_mtime_ns
