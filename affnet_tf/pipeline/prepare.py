"""``affnet prepare``: from a dataset's folder to its part of a clip store, in parallel, resumable, skipping what is broken."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from affnet_tf.cores import cores
from affnet_tf.datasets.annotations import Annotations, read_annotations
from affnet_tf.datasets.clips import Clip, Problem, validate_clips
from affnet_tf.datasets.folders import SYNTHETIC_MARKER
from affnet_tf.datasets.specs import spec
from affnet_tf.errors import InputError
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.detection import locate_faces
from affnet_tf.pipeline.lock import locked
from affnet_tf.pipeline.parts import Part, make_plan, work_folder, write_manifest
from affnet_tf.pipeline.shards import ClipTask, ShardTask, UnusableError, write_shard, write_shards
from affnet_tf.pipeline.sources import fingerprints
from affnet_tf.pipeline.store import MANIFEST, Store, open_store
from affnet_tf.pipeline.workers import Workers
from affnet_tf.places import Address, Place, local, place_at

__all__ = ["Prepared", "prepare", "prepare_dataset"]

CLIPS_PER_SHARD = 16

Progress = Callable[[int, int], None]
# Given work, the names of what is to be done and the work's other arguments: each name when it is done, in any order.
Spread = Callable[[Callable[..., Iterator[str]], Sequence[str], tuple[Any, ...]], Iterator[str]]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What ``prepare`` did.

    Attributes:
        store: the store.
        skipped: one line for each clip that could not be used.
        notes: one line for each finished shard that was made again, because its source changed.
        pictures: the contact sheet, a page for each shard: onset, apex and motion image of every clip.
    """

    store: Store
    skipped: tuple[str, ...]
    notes: tuple[str, ...] = ()
    pictures: tuple[Place, ...] = ()


def prepare_dataset(
    name: str,
    root: Address,
    store: Address,
    *,
    size: int = 128,
    detector: str | None = None,
    release: str | None = None,
    magnify: float = 0.0,
    workers: int | None = None,
    spread: Spread | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Read a dataset's annotations, check every clip, and write those that can be used to a clip store.

    A store may hold several datasets, each with one call; all have one size.

    Args:
        name: a dataset of ``affnet datasets``.
        root: its folder, as its owners ship it, on a local disk: OpenCV reads no address.
        store: the store's folder, there or at an address such as ``gs://bucket/store``.
        size: height and width of the crops, in pixels.
        detector: ``mtcnn`` or ``none``; by default ``none`` for a cropped release and ``mtcnn`` for any other.
        release: ``cropped`` or ``raw``; by default the cropped one if it is there.
        magnify: factor of the Eulerian motion magnification; 0: none.
        workers: processes; by default one for each core.
        spread: what hands the shards out instead, to machines that have ``root`` and ``store`` at the same absolute paths.
        strict: raise at the first clip that cannot be used.
        progress: called with (steps done, steps in all); a clip is one step, and one more if a face is looked for.

    Raises:
        InputError: a root or a sheet that cannot be read, a store of other clips or settings, no usable clip, and with
            ``strict`` the first clip that cannot be used.
    """
    name = spec(name).name
    root, store = local(root, "a dataset's folder"), place_at(store)
    if spread:
        root, store = root.absolute(), local(store, "a store that a cluster writes").absolute()
    annotations = read_annotations(name, root, release)
    detector = detector or ("none" if annotations.release == "cropped" else "mtcnn")
    settings = CropConfig(size=size, detector=detector, magnify=magnify)
    with Workers(workers or cores()) as processes:
        if (
            not spread
            and detector == "none"
            and len(annotations.clips) > CLIPS_PER_SHARD
            and not (store / MANIFEST).exists()
        ):
            processes.start()  # beside TensorFlow, which finds the faces, they would take memory and wait
        broken, errors = _check(annotations, strict)
        clips: dict[tuple[str, str], Clip] = {}
        for clip in annotations.clips:
            clips.setdefault(clip.key, clip)  # one that is there twice is broken, and listed once
        if broken.keys() >= clips.keys():
            raise InputError(
                f"{name} must have a clip that can be used. Received: {len(errors)} problems, such as {errors[0]}"
            )
        return prepare(
            list(clips.values()),
            store,
            settings,
            name=name,
            release=annotations.release,
            synthetic=(root / SYNTHETIC_MARKER).exists(),
            left_out=[str(problem) for problem in annotations.problems if problem.severity == "error"],
            broken=broken,
            workers=processes,
            spread=spread,
            strict=strict,
            progress=progress,
        )


def prepare(
    clips: Sequence[Clip],
    path: Address,
    settings: CropConfig,
    *,
    name: str | None = None,
    release: str | None = None,
    synthetic: bool = False,
    left_out: Sequence[str] = (),
    broken: Mapping[tuple[str, str], Sequence[str]] | None = None,
    workers: int | Workers = 1,
    spread: Spread | None = None,
    strict: bool = False,
    clips_per_shard: int = CLIPS_PER_SHARD,
    progress: Progress | None = None,
) -> Prepared:
    """Crop the clips and write them to a part of a store; a shard is written whole or not at all, and finished ones are kept.

    A run that was interrupted goes on where it stopped when it is called again with the same clips and settings; the
    result is byte for byte that of a run in one go. A finished shard is made again if a file of its clips changed on disk
    since. A clip that cannot be read is skipped and reported.

    A store at a remote place is cropped on the local disk, in ``parts.work_folder``, and copied up when all of the part is
    there, the manifest last. One ``prepare`` at a time writes to it from one machine; others are not noticed.

    Args:
        clips: what to store, in this order.
        path: the store's folder.
        settings: how frames are cropped.
        name: of the part; by default the first clip's dataset.
        release: which of the dataset's releases the clips are of; another one is refused later.
        synthetic: the people do not exist; every result from them will say so.
        left_out: one line for each row of the annotation that made no clip; the manifest lists them first.
        broken: by clip key, why clips are known to be unusable; they are listed, not read.
        workers: processes that decode, crop and write, or how many.
        spread: what hands the shards out instead of ``workers``; the clips' paths and the store's must be absolute.
        strict: raise at the first clip that cannot be used, instead of skipping it; the folder is then as it was before.
        clips_per_shard: how many clips a shard takes.
        progress: called with (steps done, steps in all); a clip is one step, and one more if a face is looked for.

    Raises:
        InputError: no clips, or one twice; the folder holds other clips or settings under that name, or something else; a
            worker was killed; another process writes to the store; with ``strict``, a clip that cannot be used; without it,
            if no clip at all can be used.
    """
    folder = local(path, "a store that a cluster writes") if spread else place_at(path)
    _check_clips(clips)
    plan = make_plan(clips, settings, release, clips_per_shard, synthetic, left_out)
    part = Part(folder, name or clips[0].dataset, plan)
    lines = [tuple((broken or {}).get(clip.key, ())) for clip in clips]
    each = [ClipTask(*task) for task in zip(clips, fingerprints(clips, lines), lines, strict=True)]
    batches = [tuple(each[i : i + clips_per_shard]) for i in range(0, len(each), clips_per_shard)]
    tasks = [
        ShardTask(part.stage, shard, batch, settings, strict) for shard, batch in zip(part.shards, batches, strict=True)
    ]
    with locked(work_folder(folder)):
        part.check(clips)
        found = {task.name: part.document(task.name) for task in tasks}
        pending = [task for task in tasks if (found[task.name] or {}).get("sources") != task.sources]
        if strict:
            left = {task.name for task in pending}
            _check_kept(left_out, [document for name, document in found.items() if name not in left])
        with part.undone_if(UnusableError):
            if pending:
                part.begin()
                with Workers(workers) if isinstance(workers, int) else contextlib.nullcontext(workers) as processes:
                    _make(pending, settings, spread or processes, len(clips), progress)
            documents = [part.document(shard) for shard in part.shards]
            skipped = [*left_out, *(line for document in documents for line in document["skipped"])]
            if not any(document["clips"] for document in documents):
                raise UnusableError(f"no clip of {part.name} could be used; the first of {len(skipped)}: {skipped[0]}")
            part.commit()
        write_manifest(folder)
        store = open_store(folder)
    notes = [_note(task, found[task.name]) for task in pending if found[task.name]]
    return Prepared(store, tuple(skipped), tuple(notes), tuple(part.pictures()))


def _make(
    tasks: Sequence[ShardTask], settings: CropConfig, by: Workers | Spread, clips: int, progress: Progress | None
) -> None:
    """Write the shards that are missing."""
    wanted = sum(len(task.clips) for task in tasks)
    faces = settings.detector != "none"
    total = clips * (1 + faces)
    done = total - wanted * (1 + faces)

    def tick() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    if faces:
        located = iter(locate_faces([each for task in tasks for each in task.clips], settings, tasks[0].folder, tick))
        tasks = [dataclasses.replace(task, clips=tuple(next(located) for _ in task.clips)) for task in tasks]
    if isinstance(by, Workers):
        for _ in by.run(write_shard, tasks, tick):
            pass
        return
    named = {task.name: task for task in tasks}
    for name in by(write_shards, list(named), (named,)):
        for _ in named[name].clips:
            tick()


def _check(annotations: Annotations, strict: bool) -> tuple[dict[tuple[str, str], list[str]], list[Problem]]:
    """The lines for each clip that breaks a rule, by its key; and all errors, those of the annotation first."""
    errors = [problem for problem in annotations.problems if problem.severity == "error"]
    found = [problem for problem in validate_clips(annotations.clips) if problem.severity == "error"]
    if strict and (errors or found):
        raise InputError(str([*errors, *found][0]))
    broken: dict[tuple[str, str], list[str]] = {}
    for problem in found:
        broken.setdefault((problem.dataset, problem.clip_id), []).append(str(problem))
    return broken, [*errors, *found]


def _check_clips(clips: Sequence[Clip]) -> None:
    if not clips:
        raise InputError("a store must be made of at least one clip. Received: none")
    seen: set[tuple[str, str]] = set()
    for clip in clips:
        if clip.key in seen:
            raise InputError(f"a store must have each clip once. Received: {clip.dataset} {clip.clip_id!r} twice")
        seen.add(clip.key)


def _check_kept(left_out: Sequence[str], documents: Sequence[dict]) -> None:
    known = [*left_out, *(line for document in documents for line in document["skipped"])]
    if known:
        raise UnusableError(known[0])


def _note(task: ShardTask, before: dict) -> str:
    changed = [
        each.clip.clip_id for each, source in zip(task.clips, before["sources"], strict=True) if each.source != source
    ]
    return f"{task.name} was made again: the files of {len(changed)} clips changed, such as those of {changed[0]!r}"
