"""``affnet prepare``: from a dataset's folder to its part of a clip store, in parallel, resumable, skipping what is broken."""

from __future__ import annotations

import collections
import contextlib
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

import tensorflow as tf

from affnet_tf.datasets.annotations import read_annotations
from affnet_tf.datasets.clips import Clip, validate_clips
from affnet_tf.datasets.folders import SYNTHETIC_MARKER
from affnet_tf.errors import InputError
from affnet_tf.files import atomic_write, read_json, write_json
from affnet_tf.pipeline.contact import write_contact_sheets
from affnet_tf.pipeline.crops import CropConfig, CroppedClip, crop_clip
from affnet_tf.pipeline.store import (
    CLIPS,
    FORMAT,
    MANIFEST,
    Store,
    clip_row,
    encode_clip,
    local,
    open_store,
    write_rows,
)

__all__ = ["Prepared", "prepare", "prepare_dataset"]

CLIPS_PER_SHARD = 32


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What ``prepare`` did: the store, one line for each clip that could not be used, and the contact sheets."""

    store: Store
    skipped: tuple[str, ...]
    pictures: tuple[Path, ...] = ()


def prepare_dataset(
    name: str,
    root: str | os.PathLike,
    store: str | os.PathLike,
    *,
    size: int = 128,
    detector: str | None = None,
    release: str | None = None,
    magnify: float = 0.0,
    workers: int | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Read a dataset's annotations, check every clip, and write those that can be used to a clip store.

    A store may hold several datasets, each with one call; all have one size.

    Args:
        name: a dataset of ``affnet datasets``.
        root: its folder, as its owners ship it.
        store: the store's folder.
        size: height and width of the crops, in pixels.
        detector: ``mtcnn`` or ``none``; by default ``none`` for a cropped release and ``mtcnn`` for any other.
        release: ``cropped`` or ``raw``; by default the cropped one if it is there.
        magnify: factor of the Eulerian motion magnification; 0: none.
        workers: processes; by default one for each core.
        strict: raise at the first clip that cannot be used.
        progress: called with (clips done, clips in all).

    Raises:
        InputError: a root or a sheet that cannot be read, a store of other clips or settings, no usable clip, and with
            ``strict`` the first clip that cannot be used.
    """
    annotations = read_annotations(name, root, release)
    problems = [*annotations.problems, *validate_clips(annotations.clips)]
    errors = [problem for problem in problems if problem.severity == "error"]
    if strict and errors:
        raise InputError(str(errors[0]))
    broken = {(problem.dataset, problem.clip_id) for problem in errors}
    usable = [clip for clip in annotations.clips if clip.key not in broken]
    if not usable:
        raise InputError(
            f"{name} must have a clip that can be used. Received: {len(errors)} problems, such as {errors[0]}"
        )
    detector = detector or ("none" if annotations.release == "cropped" else "mtcnn")
    prepared = prepare(
        usable,
        store,
        CropConfig(size=size, detector=detector, magnify=magnify),
        name=name,
        synthetic=(Path(root) / SYNTHETIC_MARKER).exists(),
        left_out=[str(problem) for problem in errors],
        workers=workers or os.cpu_count() or 1,
        strict=strict,
        progress=progress,
    )
    pictures = write_contact_sheets(prepared.store, local(store), name)
    return dataclasses.replace(prepared, pictures=tuple(pictures))


def prepare(
    clips: Sequence[Clip],
    path: str | os.PathLike,
    settings: CropConfig,
    *,
    name: str | None = None,
    synthetic: bool = False,
    left_out: Sequence[str] = (),
    workers: int = 1,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Crop the clips and write them to a part of a store; a shard is written whole or not at all, and finished ones are kept.

    A run that was interrupted goes on where it stopped when it is called again with the same clips and settings; the
    result is byte for byte that of a run in one go. A clip that cannot be read is skipped and reported.

    Args:
        clips: what to store, in this order.
        path: the store's folder.
        settings: how frames are cropped.
        name: of the part; by default the first clip's dataset.
        synthetic: the people do not exist; every result from them will say so.
        left_out: one line for each clip that was found unusable before; the manifest lists them first.
        workers: processes that decode and crop.
        strict: raise at the first clip that cannot be used, instead of skipping it.
        progress: called with (clips done, clips in all).

    Raises:
        InputError: no clips, or one twice; the folder holds other clips or settings under that name, or something else; with
            ``strict``, a clip that cannot be used; without it, if no clip at all can be used.
    """
    folder = local(path)
    if not clips:
        raise InputError("a store must be made of at least one clip. Received: none")
    _check_unique(clips)
    part = name or clips[0].dataset
    plan = _plan(clips, settings, synthetic, left_out)
    _check_plan(folder, part, plan)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{part}.plan.json", plan)
    batches = [clips[i : i + CLIPS_PER_SHARD] for i in range(0, len(clips), CLIPS_PER_SHARD)]
    names = _shard_names(part, len(clips))
    pending = [i for i, shard in enumerate(names) if not (folder / f"{shard}.json").exists()]
    done = len(clips) - sum(len(batches[i]) for i in pending)
    if strict and (known := _skipped(folder, [shard for i, shard in enumerate(names) if i not in pending])):
        raise InputError(known[0])
    fresh = len(pending) == len(names)
    results = _crop_all([clip for i in pending for clip in batches[i]], settings, workers)
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
            _write_shard(folder, names[i], rows)
            fresh = False
    except InputError:
        if fresh:
            _discard(folder, part, names)
        raise
    finally:
        results.close()
    if not any(read_json(folder / f"{shard}.json")["clips"] for shard in names):
        skipped = [*left_out, *_skipped(folder, names)]
        _discard(folder, part, names)
        raise InputError(f"no clip of {part} could be used; the first of {len(skipped)}: {skipped[0]}")
    _finish(folder)
    return Prepared(open_store(path), (*left_out, *_skipped(folder, names)))


def _check_unique(clips: Sequence[Clip]) -> None:
    seen: set[tuple[str, str]] = set()
    for clip in clips:
        if clip.key in seen:
            raise InputError(f"a store must have each clip once. Received: {clip.dataset} {clip.clip_id!r} twice")
        seen.add(clip.key)


def _plan(clips: Sequence[Clip], settings: CropConfig, synthetic: bool, left_out: Sequence[str]) -> dict[str, Any]:
    rows = [[c.dataset, c.subject, c.clip_id, c.emotion, c.onset, c.apex, c.offset, c.fps, *c.aus] for c in clips]
    return {
        "format": FORMAT,
        "settings": json.loads(json.dumps(dataclasses.asdict(settings))),
        "clips": len(clips),
        "clips_sha256": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        "left_out": list(left_out),
        "synthetic": synthetic,
    }


def _check_plan(folder: Path, part: str, plan: dict[str, Any]) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    plans = {path.name.removesuffix(".plan.json"): path for path in folder.glob("*.plan.json")}
    if not plans:
        raise InputError(
            f"store folder must be new, empty or a store. Received: {str(folder)!r}, which holds something else"
        )
    size = plan["settings"]["size"]
    for other, path in plans.items():
        found = read_json(path)
        if found["settings"]["size"] != size:
            raise InputError(
                f"store {str(folder)!r} must have one size. Received: {size}, but {other} in it has {found['settings']['size']}"
            )
        if other == part:
            was, now = {**found["settings"], **found}, {**plan["settings"], **plan}
            keys = [key for key in now if key != "settings" and was.get(key) != now[key]]
            differ = [f"{key} {was.get(key)!r} against {now[key]!r}" for key in keys]
            if differ:
                raise InputError(
                    f"{part} in store {str(folder)!r} must be made by the same settings from the same clips. "
                    f"Received: {'; '.join(differ)}"
                )


def _shard_names(part: str, clips: int) -> list[str]:
    count = -(-clips // CLIPS_PER_SHARD)
    return [f"{part}-{i:05d}-of-{count:05d}" for i in range(count)]


def _crop_all(clips: Sequence[Clip], settings: CropConfig, workers: int) -> Iterator[CroppedClip | str]:
    """The crops in the order of the clips, with a bounded number of them in memory."""
    if workers <= 1 or len(clips) < 2:
        yield from (crop_clip(clip, settings) for clip in clips)
        return
    # Workers are started afresh: forking a process that runs TensorFlow's threads can deadlock.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: collections.deque[Future] = collections.deque()
        try:
            for clip in clips:
                waiting.append(pool.submit(crop_clip, clip, settings))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _write_shard(folder: Path, name: str, rows: Sequence[tuple[Clip, CroppedClip | str]]) -> None:
    temporary = folder / f".{name}.tfrecord.part"
    stored = [(clip, result) for clip, result in rows if isinstance(result, CroppedClip)]
    try:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for clip, result in stored:
                writer.write(encode_clip(clip, result.frames, result.flow))
        with open(temporary, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = temporary.stat().st_size
        os.replace(temporary, folder / f"{name}.tfrecord")
    finally:
        temporary.unlink(missing_ok=True)
    document = {
        "bytes": size,
        "sha256": digest,
        "clips": [clip_row(clip, len(result.frames), result.fps) for clip, result in stored],
        "skipped": [result for _, result in rows if isinstance(result, str)],
    }
    # Last: a shard counts as finished once this file is there.
    write_json(folder / f"{name}.json", document)


def _finish(folder: Path) -> None:
    """Write clips.csv and the manifest over all finished parts, in the order of their names."""
    parts, shards, rows = {}, {}, []
    for path in sorted(folder.glob("*.plan.json")):
        part, plan = path.name.removesuffix(".plan.json"), read_json(path)
        names = _shard_names(part, plan["clips"])
        if not all((folder / f"{name}.json").exists() for name in names):
            continue
        documents = {f"{name}.tfrecord": read_json(folder / f"{name}.json") for name in names}
        stored = [row for document in documents.values() for row in document["clips"]]
        skipped = [*plan.pop("left_out"), *_skipped(folder, names)]
        rows += stored
        shards |= {name: {key: document[key] for key in ("bytes", "sha256")} for name, document in documents.items()}
        parts[part] = {**plan, "stored": len(stored), "skipped": skipped, "shards": list(documents)}
    text = io.StringIO()
    write_rows(rows, text)
    with atomic_write(folder / CLIPS) as file:
        file.write(text.getvalue().encode())
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
    write_json(folder / MANIFEST, manifest)


def _discard(folder: Path, part: str, names: Sequence[str]) -> None:
    """Remove a part without a clip, and the store if nothing else is in it."""
    for name in (f"{part}.plan.json", *(f"{shard}{suffix}" for shard in names for suffix in (".json", ".tfrecord"))):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _skipped(folder: Path, names: Sequence[str]) -> list[str]:
    return [line for name in names for line in read_json(folder / f"{name}.json")["skipped"]]
