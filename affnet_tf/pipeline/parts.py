"""A part of a clip store on disk: its plan, its shards, what is finished and what is not, and the store's manifest.

What a run makes lies in a hidden folder until all of it is there, and is then moved into place. A run that was killed finds it
there; a run that fails takes away what it made. The hidden folder is the store's, or, of a store at a remote place, one on the
local disk: then what is finished is copied up, the plan first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.files import atomic_write, check_folder, left_by_a_kill, move, read_json, write_json
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.crops import REVISION
from affnet_tf.pipeline.store import CLIPS, FORMAT, MANIFEST, UNFINISHED, write_rows
from affnet_tf.places import Place

__all__ = ["Part", "make_plan", "work_folder", "write_manifest"]

PLAN, STAGED_PLAN = ".plan.json", "plan.json"
# Of the plan; what else differs between two runs, such as where the dataset lies, doesn't change what is stored.
COMPARED = ("format", "release", "clips", "clips_sha256", "clips_per_shard", "synthetic")


def make_plan(
    clips: Sequence[Clip],
    settings: CropConfig,
    release: str | None,
    clips_per_shard: int,
    synthetic: bool,
    left_out: Sequence[str],
) -> dict[str, Any]:
    """What a part is made from and how, as JSON values."""
    rows = [[c.dataset, c.subject, c.clip_id, c.emotion, c.onset, c.apex, c.offset, c.fps, *c.aus] for c in clips]
    return {
        "format": FORMAT,
        "crop_revision": REVISION,
        "settings": json.loads(json.dumps(dataclasses.asdict(settings))),
        "release": release,
        "clips": len(clips),
        "clips_sha256": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        "clips_per_shard": clips_per_shard,
        "left_out": list(left_out),
        "synthetic": synthetic,
    }


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a store.

    Attributes:
        folder: the store's.
        name: the part's; its files begin with it.
        plan: what ``make_plan`` gave.
    """

    folder: Place
    name: str
    plan: dict[str, Any]

    @property
    def stage(self) -> Path:
        """Where the part lies until it is finished; of a remote store, one place for each plan."""
        name = self.name
        if not isinstance(self.folder, Path):  # no one sees what lies there, so that other settings must not meet it
            compared = [self.plan["settings"], REVISION, *(self.plan[key] for key in COMPARED)]
            name += f"-{hashlib.sha256(json.dumps(compared).encode()).hexdigest()[:8]}"
        return work_folder(self.folder) / f".{name}{UNFINISHED}"

    @property
    def shards(self) -> list[str]:
        """Names of the shards, without suffix, in order."""
        return _shard_names(self.name, self.plan)

    def check(self, clips: Sequence[Clip]) -> None:
        """Raise unless this part can be written to this folder.

        Raises:
            InputError: the folder is something else, or holds other settings, other clips under this name, frames of another
                size or from another revision of cropping, or one of the clips in another part.
        """
        check_folder(self.folder, "store folder")
        finished = _plans(self.folder)
        staged = {path.name[1 : -len(UNFINISHED)]: path / STAGED_PLAN for path in self.folder.glob(f".*{UNFINISHED}")}
        plans = {**{name: path for name, path in staged.items() if path.exists()}, **finished}
        left = _left_by_a_kill(self.folder)
        if not finished and not staged and self.folder.exists() and any(x not in left for x in self.folder.iterdir()):
            raise InputError(
                f"store folder must be new, empty or a store. Received: {str(self.folder)!r}, which holds something else"
            )
        size = self.plan["settings"]["size"]
        for other, path in plans.items():
            found = read_json(path)
            if found["settings"]["size"] != size:
                raise InputError(
                    f"store {str(self.folder)!r} must have one size. "
                    f"Received: {size}, but {other} in it has {found['settings']['size']}"
                )
            if found.get("crop_revision") != REVISION:
                raise InputError(
                    f"store {str(self.folder)!r} must have one revision of cropping: another folder takes a new store. "
                    f"Received: crop_revision {REVISION}, but {other} in it has {found.get('crop_revision')}"
                )
            if other == self.name:
                self._check_same(found)
        keys = {clip.key for clip in clips}
        for other in finished:
            if other != self.name:
                _check_apart(self.folder, other, keys)

    def begin(self) -> None:
        """Make the folders and write down the plan."""
        self.stage.mkdir(parents=True, exist_ok=True)
        write_json(self.stage / STAGED_PLAN, self.plan)

    @contextlib.contextmanager
    def undone_if(self, error: type[Exception]) -> Iterator[None]:
        """Everything that is made inside is taken away again if it ends in this error."""
        before = set(os.listdir(self.stage)) if self.stage.exists() else None
        try:
            yield
        except error:
            if before is None:
                shutil.rmtree(self.stage, ignore_errors=True)
            else:
                for name in set(os.listdir(self.stage)) - before:
                    (self.stage / name).unlink(missing_ok=True)
            raise

    def document(self, shard: str) -> dict[str, Any] | None:
        """What is in a shard that is finished, in place or not yet; None: there is no such shard."""
        for folder in (self.stage, self.folder):
            path = folder / f"{shard}.json"
            with contextlib.suppress(InputError, FileNotFoundError):
                found = read_json(path)
                if path.with_suffix(".tfrecord").stat().st_size == found["bytes"]:
                    return found
        return None

    def commit(self) -> None:
        """Move what was made into place. A kill on the way leaves a store that says that it is unfinished."""
        plan = self.folder / f"{self.name}{PLAN}"
        made = [shard for shard in self.shards if (self.stage / f"{shard}.json").exists()]
        if made:
            (self.folder / MANIFEST).unlink(missing_ok=True)
        if not plan.exists() or read_json(plan) != self.plan:
            write_json(plan, self.plan)  # first: by it the part is known again, on a machine that has no stage too
        for shard in made:
            # A shard without its document doesn't count: it goes first and comes last. What was moved before a kill is there.
            shown = bool(read_json(self.stage / f"{shard}.json")["clips"])
            (self.folder / f"{shard}.json").unlink(missing_ok=True)
            if not shown:
                (self.folder / f"{shard}.png").unlink(missing_ok=True)
            for suffix in (".png", ".tfrecord", ".json"):
                if (self.stage / f"{shard}{suffix}").exists():
                    move(self.stage / f"{shard}{suffix}", self.folder / f"{shard}{suffix}")
        if self.stage.exists():
            shutil.rmtree(self.stage)

    def _check_same(self, found: dict[str, Any]) -> None:
        was, now = {**found["settings"], **found}, {**self.plan["settings"], **self.plan}
        keys = [*self.plan["settings"], *COMPARED]
        if differ := [f"{key} {was.get(key)!r} against {now[key]!r}" for key in keys if was.get(key) != now[key]]:
            raise InputError(
                f"{self.name} in store {str(self.folder)!r} must be made by the same settings from the same clips. "
                f"Received: {'; '.join(differ)}"
            )

    def pictures(self) -> list[Place]:
        """The pages of the part's contact sheet, one for each shard that has a clip."""
        return [path for path in (self.folder / f"{shard}.png" for shard in self.shards) if path.exists()]


def work_folder(store: Place) -> Path:
    """Where what is not finished of a store lies: in the store, or, of a remote one, in the user's folder of caches.

    A run that was killed goes on from there, on the same machine.
    """
    if isinstance(store, Path):
        return store
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "affnet_tf" / f"{store.name}-{hashlib.sha256(str(store).encode()).hexdigest()[:16]}"


def write_manifest(folder: Place) -> None:
    """Write clips.csv and the manifest over all parts, in the order of their names, unless they say the same already."""
    for path in _left_by_a_kill(folder):
        path.unlink()
    parts, shards, rows = {}, {}, []
    for part, path in _plans(folder).items():
        plan = read_json(path)
        names = _shard_names(part, plan)
        if not all((folder / f"{name}.json").exists() for name in names):
            continue  # killed while it was moved into place
        documents = {f"{name}.tfrecord": read_json(folder / f"{name}.json") for name in names}
        stored = [row for document in documents.values() for row in document["clips"]]
        skipped = [*plan.pop("left_out"), *(line for each in documents.values() for line in each["skipped"])]
        rows += stored
        shards |= {name: {key: document[key] for key in ("bytes", "sha256")} for name, document in documents.items()}
        parts[part] = {
            **plan,
            "settings_sha256": hashlib.sha256(json.dumps(plan["settings"], sort_keys=True).encode()).hexdigest(),
            "versions": _distinct(document["versions"] for document in documents.values()),
            "stored": len(stored),
            "skipped": skipped,
            "shards": list(documents),
        }
    text = io.StringIO()
    write_rows(rows, text)
    manifest = {
        "format": FORMAT,
        "hash": hashlib.sha256(json.dumps([shards, text.getvalue()]).encode()).hexdigest()[:16],
        "size": next(iter(parts.values()))["settings"]["size"],
        "stored": len(rows),
        "frames": sum(row["length"] for row in rows),
        "skipped": [line for part in parts.values() for line in part["skipped"]],
        "parts": parts,
        "shards": shards,
    }
    with contextlib.suppress(InputError, FileNotFoundError):
        if read_json(folder / MANIFEST) == manifest and (folder / CLIPS).read_text("utf-8") == text.getvalue():
            return
    with atomic_write(folder / CLIPS) as file:
        file.write(text.getvalue().encode())
    write_json(folder / MANIFEST, manifest)


def _left_by_a_kill(folder: Place) -> list[Place]:
    """Temporary files of what is written to a store, or copied up to it."""
    return left_by_a_kill(folder, CLIPS, MANIFEST, f"*{PLAN}", "*-?????-of-?????.*")


def _distinct(versions: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """What made the shards, each once: more than one if a run went on after an installation changed."""
    found: list[dict[str, str]] = []
    for each in versions:
        if each not in found:
            found.append(each)
    return found


def _plans(folder: Place) -> dict[str, Place]:
    """The plan of each part that is in place."""
    return {path.name.removesuffix(PLAN): path for path in sorted(folder.glob(f"*{PLAN}"))}


def _shard_names(part: str, plan: dict[str, Any]) -> list[str]:
    count = -(-plan["clips"] // plan["clips_per_shard"])
    return [f"{part}-{i:05d}-of-{count:05d}" for i in range(count)]


def _check_apart(folder: Place, part: str, keys: Collection[tuple[str, str]]) -> None:
    for name in _shard_names(part, read_json(folder / f"{part}{PLAN}")):
        path = folder / f"{name}.json"
        rows = read_json(path)["clips"] if path.exists() else []
        twice = [row for row in rows if (row["dataset"], row["clip_id"]) in keys]
        if twice:
            raise InputError(
                f"store {str(folder)!r} must have each clip once. "
                f"Received: {twice[0]['dataset']} {twice[0]['clip_id']!r}, which its part {part!r} holds already"
            )
