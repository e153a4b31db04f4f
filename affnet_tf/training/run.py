"""A run folder: the settings that began it, what computed it, and one file for each finished fold."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import keras

from affnet_tf.errors import InputError
from affnet_tf.files import left_by_a_kill, read_json, write_json
from affnet_tf.models.checkpoint import versions
from affnet_tf.places import Address, Place, place_at

__all__ = ["Run", "open_run"]

CONFIG = "config.json"
MANIFEST = "manifest.json"
# What may change between the beginning of a run and its resumption.
MADE_BY = ("versions", "commit", "backend", "devices")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder that may be begun or gone on with.

    Attributes:
        path: the folder.
        document: the task, its settings, labels and store: what decides the result.
        resumed: the folder holds a run with the same document already.
    """

    path: Place
    document: dict[str, Any]
    resumed: bool

    def begin(self, devices: str, facts: dict[str, Any]) -> None:
        """Write config.json and manifest.json. A resumed run keeps both; what computes it now is added if it is another.

        Args:
            devices: where and in which precision it is computed.
            facts: what else the manifest of a new run says; ``draws`` is the revision of its random numbers.

        Raises:
            InputError: the run was begun with random numbers of another revision.
        """
        kept = self.path / MANIFEST
        manifest = read_json(kept) if self.resumed and kept.exists() else None
        if manifest is not None and manifest.get("draws") != facts.get("draws"):
            raise InputError(
                f"run {str(self.path)!r} must be gone on with by a version of affnet_tf that draws random numbers as the one "
                f"that began it. Received: revision {facts.get('draws')} against {manifest.get('draws')}"
            )
        made_by = {
            "versions": versions(),
            "commit": _commit(),
            "backend": keras.backend.backend(),
            "devices": devices,
        }
        for folder in (self.path, self.path / "folds"):
            for left in left_by_a_kill(folder):
                left.unlink(missing_ok=True)
        if not self.resumed:
            write_json(self.path / CONFIG, self.document)
        if manifest is None:
            write_json(kept, {"affnet_tf": made_by["versions"].get("affnet_tf"), **made_by, **facts})
            return
        resumptions = manifest.get("resumed", [])
        last = resumptions[-1] if resumptions else {name: manifest.get(name) for name in MADE_BY}
        if last != made_by:
            write_json(kept, {**manifest, "resumed": [*resumptions, made_by]})

    def fold(self, name: str) -> Place:
        """The file of one fold's outcome; it exists once the fold is finished."""
        return self.path / "folds" / f"{name}.json"


def open_run(path: Address, document: dict[str, Any], resume: bool) -> Run:
    """Check that a folder is free for a run, or holds the same one; nothing is written.

    Raises:
        InputError: the folder holds a run and ``resume`` is false, a run of other settings (the fields that differ are
            named), or something else.
    """
    path = place_at(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"run folder must be a folder. Received: {str(path)!r}, which is a file")
    if not path.exists() or set(path.iterdir()) == set(left_by_a_kill(path)):
        return Run(path, document, resumed=False)
    if not resume:
        raise InputError(f"run folder must be new, or resumed with --resume. Received: {str(path)!r}, which exists")
    if not (path / CONFIG).exists():
        raise InputError(f"run folder must be new or a run. Received: {str(path)!r}, which holds something else")
    was, now = _flat(read_json(path / CONFIG)), _flat(document)
    differ = [
        f"{name} {was.get(name)!r} against {now.get(name)!r}"
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    ]
    if differ:
        raise InputError(
            f"run {str(path)!r} must be resumed with the settings that began it. Received: {'; '.join(differ)}"
        )
    return Run(path, document, resumed=True)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {k: v for key, item in value.items() for k, v in _flat(item, f"{name}.{key}".lstrip(".")).items()}


def _commit() -> str | None:
    """The commit of the project's own checkout, or None where it was installed without one."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        git = ["git", "-C", str(Path(__file__).parent)]
        # Installed into an environment inside another project's checkout, this file is not one of that project's.
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        described = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, check=True
        )
        return described.stdout.strip() or None
    return None
