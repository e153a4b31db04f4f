"""The clip store: cropped frames of clips, lossless, in TFRecord shards, with a manifest that says what made them."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.files import atomic_write, read_json, write_json
from affnet_tf.pipeline.crops import CropConfig, CroppedClip, crop_clip

__all__ = ["Prepared", "Store", "StoredClip", "open_store", "prepare"]

FORMAT = 1
CLIPS_PER_SHARD = 32
CLIPS = "clips.csv"
MANIFEST = "manifest.json"
PLAN = "plan.json"
COLUMNS = ("dataset", "subject", "clip_id", "emotion", "length", "onset", "apex", "offset", "fps", "aus")


@dataclasses.dataclass(frozen=True)
class StoredClip:
    """A row of the store's clips.csv. ``length`` is the number of frames; frame numbers are those of the release."""

    dataset: str
    subject: str
    clip_id: str
    emotion: str
    length: int
    onset: int
    apex: int | None
    offset: int
    fps: float | None
    aus: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """(dataset, clip_id)."""
        return self.dataset, self.clip_id


@dataclasses.dataclass(frozen=True)
class Store:
    """An open clip store: its clips, its TFRecord files in order, and its manifest."""

    path: Path
    clips: tuple[StoredClip, ...]
    shards: tuple[str, ...]
    frame_size: int
    manifest: dict[str, Any]

    @property
    def hash(self) -> str:
        """A digest of the contents: two stores with one hash hold the same frames."""
        return self.manifest["hash"]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What ``prepare`` did: the store, and one line for each clip that could not be used."""

    store: Store
    skipped: tuple[str, ...]


def prepare(
    clips: Sequence[Clip],
    path: str | os.PathLike,
    settings: CropConfig,
    *,
    left_out: Sequence[str] = (),
    workers: int = 1,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Crop the clips and write them to a store; a shard is written whole or not at all, and finished ones are kept.

    A run that was interrupted goes on where it stopped when it is called again with the same clips and settings; the
    result is byte for byte that of a run in one go. A clip that cannot be read is skipped and reported.

    Args:
        clips: what to store, in this order.
        path: the store's folder.
        settings: how frames are cropped.
        left_out: one line for each clip that was found unusable before; the manifest lists them first.
        workers: processes that decode and crop.
        strict: raise at the first clip that cannot be used, instead of skipping it.
        progress: called with (clips done, clips in all).

    Raises:
        InputError: no clips, or one twice; the folder holds a store of other clips or settings, or something else; with
            ``strict``, a clip that cannot be used; without it, if no clip at all can be used.
    """
    path = Path(path)
    if not clips:
        raise InputError("a store must be made of at least one clip. Received: none")
    _check_unique(clips)
    plan = _plan(clips, settings)
    _check_plan(path, plan)
    path.mkdir(parents=True, exist_ok=True)
    if not (path / PLAN).exists():
        write_json(path / PLAN, plan)
    batches = [clips[i : i + CLIPS_PER_SHARD] for i in range(0, len(clips), CLIPS_PER_SHARD)]
    names = [f"clips-{i:05d}-of-{len(batches):05d}" for i in range(len(batches))]
    pending = [i for i, name in enumerate(names) if not (path / f"{name}.json").exists()]
    done = len(clips) - sum(len(batches[i]) for i in pending)
    skipped = [line for i, name in enumerate(names) if i not in pending for line in _part(path, name)["skipped"]]
    if strict and skipped:
        raise InputError(skipped[0])
    todo = [clip for i in pending for clip in batches[i]]
    results = _crop_all(todo, settings, workers)
    try:
        for i in pending:
            rows = []
            for clip in batches[i]:
                rows.append((clip, next(results)))
                if strict and isinstance(rows[-1][1], str):
                    raise InputError(rows[-1][1])
                done += 1
                if progress:
                    progress(done, len(clips))
            _write_shard(path, names[i], rows)
    finally:
        results.close()
    store = _finish(path, plan, names, left_out)
    return Prepared(store, tuple(store.manifest["skipped"]))


def open_store(path: str | os.PathLike) -> Store:
    """Open a finished store.

    Raises:
        InputError: there is none, it is unfinished, or a shard is missing or of another size than the manifest says.
    """
    path = Path(path)
    if (path / PLAN).exists() and not (path / MANIFEST).exists():
        raise InputError(
            f"store {str(path)!r} must be finished: run the same affnet prepare again. Received: no {MANIFEST}"
        )
    if not (path / MANIFEST).exists():
        raise InputError(
            f"a store must be a folder that affnet prepare wrote. Received: {str(path)!r} without {MANIFEST}"
        )
    manifest = read_json(path / MANIFEST)
    found = manifest.get("format") if isinstance(manifest, dict) else manifest
    if found != FORMAT:
        raise InputError(f"{MANIFEST} of store {str(path)!r} must be of format {FORMAT}. Received: {found!r}")
    for name, entry in manifest["shards"].items():
        size = (path / name).stat().st_size if (path / name).exists() else None
        if size != entry["bytes"]:
            raise InputError(f"shard {str(path / name)!r} must have {entry['bytes']} bytes. Received: {size}")
    if not (path / CLIPS).is_file():
        raise InputError(f"store {str(path)!r} must have {CLIPS}. Received: none")
    with open(path / CLIPS, newline="", encoding="utf-8") as file:
        clips = tuple(_read_row(row) for row in csv.DictReader(file))
    shards = tuple(str(path / name) for name in manifest["shards"])
    return Store(path, clips, shards, manifest["settings"]["size"], manifest)


def _plan(clips: Sequence[Clip], settings: CropConfig) -> dict[str, Any]:
    rows = [[c.dataset, c.subject, c.clip_id, c.emotion, c.onset, c.apex, c.offset, c.fps, list(c.aus)] for c in clips]
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return {"format": FORMAT, "settings": dataclasses.asdict(settings), "clips": len(clips), "clips_sha256": digest}


def _check_unique(clips: Sequence[Clip]) -> None:
    seen: set[tuple[str, str]] = set()
    for clip in clips:
        if clip.key in seen:
            raise InputError(f"a store must have each clip once. Received: {clip.dataset} {clip.clip_id!r} twice")
        seen.add(clip.key)


def _check_plan(path: Path, plan: dict[str, Any]) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / PLAN).exists():
        raise InputError(
            f"store folder must be new, empty or a store. Received: {str(path)!r}, which holds something else"
        )
    found = read_json(path / PLAN)
    was, now = {**found.pop("settings"), **found}, {**plan["settings"], **plan}
    differ = [
        f"{name} {was.get(name)!r} against {now[name]!r}"
        for name in now
        if name != "settings" and was.get(name) != now[name]
    ]
    if differ:
        raise InputError(
            f"store {str(path)!r} must be made by the same settings from the same clips. Received: {'; '.join(differ)}"
        )


def _crop_all(clips: Sequence[Clip], settings: CropConfig, workers: int) -> Iterator[CroppedClip | str]:
    """The crops in the order of the clips, with a bounded number of them in memory."""
    if workers <= 1:
        yield from (crop_clip(clip, settings) for clip in clips)
        return
    # Workers are started afresh: forking a process that runs TensorFlow's threads can deadlock.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: list[Future] = []
        remaining = iter(clips)
        try:
            while True:
                for clip in remaining:
                    waiting.append(pool.submit(crop_clip, clip, settings))
                    if len(waiting) > 2 * workers:
                        break
                if not waiting:
                    return
                yield waiting.pop(0).result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _write_shard(path: Path, name: str, rows: Sequence[tuple[Clip, CroppedClip | str]]) -> None:
    buffer: list[dict[str, Any]] = []
    skipped = [result for _, result in rows if isinstance(result, str)]
    temporary = path / f".{name}.tfrecord.part"
    try:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for clip, result in rows:
                if not isinstance(result, str):
                    writer.write(_example(clip, result.frames))
                    buffer.append(_row(clip, result))
        digest = _sha256(temporary)
        size = temporary.stat().st_size
        os.replace(temporary, path / f"{name}.tfrecord")
    finally:
        temporary.unlink(missing_ok=True)
    write_json(path / f"{name}.json", {"bytes": size, "sha256": digest, "clips": buffer, "skipped": skipped})


def _example(clip: Clip, frames: np.ndarray) -> bytes:
    features = {
        "key": tf.train.Feature(bytes_list=tf.train.BytesList(value=[f"{clip.dataset}\n{clip.clip_id}".encode()])),
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=frames.shape)),
        "frames": tf.train.Feature(bytes_list=tf.train.BytesList(value=[frames.tobytes()])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _row(clip: Clip, cropped: CroppedClip) -> dict[str, Any]:
    values = {name: getattr(clip, name) for name in COLUMNS if name not in ("length", "aus", "offset", "fps")}
    length = len(cropped.frames)
    offset = clip.offset if clip.offset is not None else clip.onset + length - 1
    fps = clip.fps if clip.fps is not None else cropped.fps
    return {**values, "length": length, "offset": offset, "fps": fps, "aus": ";".join(clip.aus)}


def _read_row(row: dict[str, str]) -> StoredClip:
    return StoredClip(
        dataset=row["dataset"],
        subject=row["subject"],
        clip_id=row["clip_id"],
        emotion=row["emotion"],
        length=int(row["length"]),
        onset=int(row["onset"]),
        apex=int(row["apex"]) if row["apex"] else None,
        offset=int(row["offset"]),
        fps=float(row["fps"]) if row["fps"] else None,
        aus=tuple(row["aus"].split(";")) if row["aus"] else (),
    )


def _finish(path: Path, plan: dict[str, Any], names: Sequence[str], left_out: Sequence[str]) -> Store:
    parts = {f"{name}.tfrecord": _part(path, name) for name in names}
    rows = [row for part in parts.values() for row in part["clips"]]
    skipped = [*left_out, *(line for part in parts.values() for line in part["skipped"])]
    if not rows:
        raise InputError(f"no clip could be used; the first of {len(skipped)}: {skipped[0]}")
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path / CLIPS) as file:
        file.write(text.getvalue().encode())
    shards = {name: {key: part[key] for key in ("bytes", "sha256")} for name, part in parts.items()}
    contents = json.dumps([shards, text.getvalue()]).encode()
    manifest = {
        **plan,
        "hash": hashlib.sha256(contents).hexdigest()[:16],
        "stored": len(rows),
        "frames": sum(row["length"] for row in rows),
        "skipped": skipped,
        "shards": shards,
    }
    write_json(path / MANIFEST, manifest)
    return open_store(path)


def _part(path: Path, name: str) -> dict[str, Any]:
    """What a finished shard holds and what was left out of it."""
    return read_json(path / f"{name}.json")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
