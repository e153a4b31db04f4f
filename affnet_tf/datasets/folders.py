"""Where a dataset's frames lie under its root."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affnet_tf.datasets.forms import DatasetSpec, Release
from affnet_tf.errors import InputError, unknown

__all__ = ["SYNTHETIC_MARKER", "FrameFolders", "contents", "find_release"]

# Stands in the root of a dataset whose people do not exist.
SYNTHETIC_MARKER = "SYNTHETIC.txt"


def contents(folder: Path, limit: int = 8) -> str:
    """A folder and the first names in it, for an error message."""
    names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    more = f", … ({len(names)} in all)" if len(names) > limit else ""
    return f"{str(folder)!r} with {', '.join(names[:limit]) + more if names else 'nothing in it'}"


def find_release(entry: DatasetSpec, root: Path, wanted: str | None) -> tuple[Release, list[Path]]:
    """The release to read and its folders: the wanted one, or the first of the spec that is there.

    Raises:
        InputError: no such release, or none of its folders is there; the message names what was expected and found.
    """
    names = list(dict.fromkeys(release.name for release in entry.releases))
    if wanted is not None and wanted not in names:
        raise unknown(f"{entry.name} release", wanted, names)
    candidates = [release for release in entry.releases if wanted in (None, release.name)]
    for release in candidates:
        found: list[Path] = []
        for pattern in release.folders:
            matches = sorted(root.glob(pattern)) if pattern else [root]
            found += [path for path in matches if path.is_dir() and any(path.glob(release.holds))]
        if found:
            return release, list(dict.fromkeys(found))
    expected = " or ".join(release.example for release in candidates)
    raise InputError(f"{entry.name} root must hold frames such as {expected}. Received: {contents(root)}")


class FrameFolders:
    """The clips' frame folders of a release; every directory is listed at most once."""

    def __init__(self, release: Release, folders: Sequence[Path]) -> None:
        self._release = release
        self._bases = [Path(os.path.normpath(folder)) for folder in folders]
        self._listings: dict[Path, dict[str, str]] = {}

    def find(self, names: Mapping[str, Any]) -> Path | None:
        """Where a clip's frames lie.

        Args:
            names: what the release's templates are filled with.

        Returns:
            The first template that exists in one of the folders, exactly as written or in other letter case; the first
            template in the first folder if none exists; None where a path would leave its folder.
        """
        wanted: list[Path] = []
        for base in self._bases:
            for template in self._release.clips:
                path = Path(os.path.normpath(base / template.format(**names)))
                if path == base or not path.is_relative_to(base):
                    return None
                found = self._match(base, template, names) if "*" in template else self._existing(path)
                if found is not None:
                    return found
                wanted.append(path)
        return wanted[0]

    def _existing(self, path: Path) -> Path | None:
        if path.parent not in self._listings:
            try:
                entries = [entry.name for entry in os.scandir(path.parent) if entry.is_dir()]
            except OSError:
                entries = []
            exact = {name: name for name in entries}
            self._listings[path.parent] = {name.lower(): name for name in entries} | exact
        listing = self._listings[path.parent]
        name = listing.get(path.name) or listing.get(path.name.lower())
        return path.parent / name if name else None

    @staticmethod
    def _match(base: Path, template: str, names: Mapping[str, Any]) -> Path | None:
        escaped = {key: glob.escape(value) if isinstance(value, str) else value for key, value in names.items()}
        return min((path for path in base.glob(template.format(**escaped)) if path.is_dir()), default=None)
