"""From a run folder to a bundle: what ``affnet export`` does."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from affnet_tf.datasets.labels import label_scheme
from affnet_tf.errors import InputError
from affnet_tf.export.bundle import Bundle, check_replaceable, export
from affnet_tf.export.fronts import WINDOW_LENGTH
from affnet_tf.export.origin import Origin, read_score, store_origin
from affnet_tf.export.recipes import RECIPES, Recipe, recipe
from affnet_tf.export.representative import made_clips
from affnet_tf.files import read_json
from affnet_tf.models.checkpoint import Checkpoint, is_checkpoint, load_checkpoint
from affnet_tf.pipeline.input import motion_images
from affnet_tf.pipeline.reading import ClipReader
from affnet_tf.pipeline.store import Store, StoredClip, naming_damage, open_store
from affnet_tf.places import Address, Place, place_at

__all__ = ["divide", "export_run"]

HOLDOUT = 64

Table = tuple[str, tuple[str, ...], list[tuple[object, ...]]]


def export_run(
    run: Address,
    out: str | os.PathLike,
    recipes: Sequence[str],
    *,
    every: bool = False,
    store: Address | None = None,
    scores: Address | None = None,
    window: int = WINDOW_LENGTH,
    force: bool = False,
) -> tuple[dict[str, Any], Table]:
    """Export what ``affnet train`` trained: calibrate and fine-tune on its training clips, verify on its validation clips.

    Without validation subjects, some of the training subjects verify and the others calibrate: no clip does both, if there
    are two. Without a store, which recipes that calibrate or fine-tune need, it is verified on made-up clips. ``verify.json``
    and the table say what the clips were.

    Args:
        run: a run folder, whose manifest names the store, or a checkpoint folder.
        out: folder of the bundle.
        recipes: names of recipes.
        every: all recipes that serve the network.
        store: the clip store that the network was trained on, where it lies now.
        scores: a run of ``affnet evaluate`` with the same settings, for the model card.
        window: number of frames that the streaming signatures look back.
        force: replace a bundle that is there.

    Returns:
        The verifications, JSON-ready, with ``notes`` for the reader; and a table (title, columns, rows) of them.

    Raises:
        InputError: no or an unknown recipe; no checkpoint; a store that is missing, or another than the network was
            trained on; an ``out`` that exists; a file that does not keep its recipe's bounds.
    """
    names = [each.name for each in RECIPES] if every else list(recipes)
    if not names:
        known = ", ".join(each.name for each in RECIPES)
        raise InputError(f"an export must name a --recipe ({known}), or --all. Received: none")
    chosen = [recipe(name) for name in names]
    check_replaceable(out, force)
    run = place_at(run)
    checkpoint = _trained(run)
    if every:
        chosen = [each for each in chosen if each.serves(checkpoint.config.model.network)]
    scored = () if scores is None else read_score(scores, checkpoint)
    found = _found(run, store, checkpoint, chosen)
    bundle = export(
        checkpoint,
        out,
        [each.name for each in chosen],
        found.calibration,
        found.holdout,
        calibration_labels=found.calibration_labels,
        holdout_labels=found.holdout_labels,
        data=found.data,
        origin=dataclasses.replace(found.origin, scores=scored),
        window=window,
        force=force,
    )
    title = f"{bundle.folder}: every file beside Keras, on {next(iter(bundle.recipes.values())).verification['data']}"
    return _document(bundle), (title, _COLUMNS, _rows(bundle))


def _trained(run: Place) -> Checkpoint:
    folder = run / "model" if is_checkpoint(run / "model") else run
    if not is_checkpoint(folder):
        raise InputError(
            f"a run must hold a trained network in model/, as affnet train writes it. Received: {str(run)!r}"
        )
    return load_checkpoint(folder)


def _found(run: Place, store: Address | None, checkpoint: Checkpoint, chosen: Sequence[Recipe]) -> _Found:
    """What the store holds for these recipes; nothing, if there is none and none of them needs one."""
    source = store or _recorded_store(run)
    if source is None:
        needing = next((each for each in chosen if each.needs_calibration or each.needs_labels), None)
        if needing is None:
            return _Found(origin=Origin())
        purpose = "fine-tune" if needing.needs_labels else "calibrate"
        raise InputError(
            f"recipe {needing.name!r} must {purpose} on training clips: --store names them. Received: none"
        )
    opened = _opened(source, checkpoint, given=store is not None)
    with naming_damage(opened):
        return _clips(opened, checkpoint)


def _recorded_store(run: Place) -> str | None:
    """The store that the run's manifest names; of a bare checkpoint, None."""
    manifest = run / "manifest.json"
    return read_json(manifest)["store"] if manifest.is_file() else None


def _opened(path: Address, checkpoint: Checkpoint, given: bool) -> Store:
    if not given and not place_at(path).exists():
        raise InputError(f"the run's clip store must be there; --store says where it is now. Received: {path!r}")
    store = open_store(path)
    trained = checkpoint.details.get("store")
    if store.hash != trained:
        raise InputError(
            f"store {store.path!r} must be the one that the network was trained on, {trained}. Received: {store.hash}"
        )
    labels = label_scheme(checkpoint.config.labels, store.clips).labels
    if tuple(labels) != tuple(checkpoint.labels):
        raise InputError(
            f"label scheme {checkpoint.config.labels!r} must give the network's labels, {', '.join(checkpoint.labels)}. "
            f"Received: {', '.join(labels)}"
        )
    return store


@dataclasses.dataclass(frozen=True)
class _Found:
    """Motion images to calibrate with, cropped frames to verify with, their labels, and what they are."""

    origin: Origin
    calibration: np.ndarray | None = None
    calibration_labels: list[int] | None = None
    holdout: list[np.ndarray] | None = None
    holdout_labels: list[int] | None = None
    data: str = ""


def _clips(store: Store, checkpoint: Checkpoint) -> _Found:
    config = checkpoint.config
    label_of, _ = label_scheme(config.labels, store.clips).assign(store.clips)
    people = {part: set(checkpoint.details.get(part, ())) for part in ("subjects", "validation_subjects")}
    rows = {
        part: [row for row, clip in enumerate(store.clips) if clip.key in label_of and clip.person in persons]
        for part, persons in people.items()
    }
    if not rows["subjects"]:
        raise InputError(f"store {store.path!r} must hold clips that the network was trained on. Received: none")

    def labels(chosen: Iterable[int]) -> list[int]:
        return [label_of[store.clips[row].key] for row in sorted(chosen)]

    origin = store_origin(store, [store.clips[row] for row in rows["subjects"]], len(people["validation_subjects"]))
    calibration, verification, words = divide(store.clips, rows["subjects"], rows["validation_subjects"])
    usable = [row for row in verification if _has_frames(store.clips[row])]
    images = motion_images(_chosen(store, calibration), config.motion, config.model.input_size)
    if usable:
        picked = {usable[round(i)] for i in np.linspace(0, len(usable) - 1, min(HOLDOUT, len(usable)))}
        holdout = [frames for _, frames, _ in _chosen(store, picked).as_numpy_iterator()]
        return _Found(origin, images, labels(calibration), holdout, labels(picked), f"{len(holdout)} {words}")
    shown = sorted(verification)[:HOLDOUT]
    ready = motion_images(_chosen(store, shown), config.motion, config.model.input_size)
    made = made_clips(ready, checkpoint.frame_size)
    truth = labels(shown)
    words = f"clips made from the motion images of {len(ready)} {words}"
    return _Found(origin, images, labels(calibration), made, truth, words)


def divide(
    clips: Sequence[StoredClip], trained: Sequence[int], held_out: Sequence[int]
) -> tuple[list[int], list[int], str]:
    """Which clips calibrate and which verify: never the same ones, nor the same people, as far as there are enough.

    Args:
        clips: of a store.
        trained: rows of those that the network was trained on, at least one.
        held_out: rows of those of validation subjects.

    Returns:
        Rows to calibrate with, rows to verify with, and in words what these are.
    """
    if held_out:
        return list(trained), list(held_out), "clips of validation subjects, whom the network was not trained on"
    people = sorted({clips[row].person for row in trained})
    verifying = set(people[1::3])
    if verifying:
        parts = [[row for row in trained if (clips[row].person in verifying) == wanted] for wanted in (False, True)]
        words = f"training clips of {len(verifying)} of {len(people)} subjects, of whom the others calibrated"
        return *parts, words + "; nobody was held out"
    if len(trained) == 1:
        return list(trained), list(trained), "training clip, the only one, which calibrated too"
    kept = [row for place, row in enumerate(trained) if place % 3 != 1]
    words = "training clips of the only subject, of whose clips the others calibrated; nobody was held out"
    return kept, list(trained[1::3]), words


def _has_frames(clip: StoredClip) -> bool:
    return clip.kind == "frames" and clip.length >= 2


def _chosen(store: Store, rows: Iterable[int]) -> tf.data.Dataset:
    return ClipReader(store, rows).each_by_itself()


_COLUMNS = (
    "recipe",
    "signature",
    "max |Δ|",
    "agreement",
    "accuracy",
    "KB",
    "gzip KB",
    "ms (1 thread)",
    "(2)",
    "MB",
    "integer layers",
    "delegated",
    "passed",
)


def _rows(bundle: Bundle) -> list[tuple[object, ...]]:
    rows = []
    for name, made in bundle.recipes.items():
        checked = made.verification
        for signature, check in checked["signatures"].items():
            cost = checked["costs"][signature]
            memory = cost["peak_memory"]
            accuracy = check["accuracy"]
            rows.append(
                (
                    name,
                    signature,
                    check["max_delta"],
                    f"{check['agreement']:.1%}",
                    "" if accuracy is None else f"{accuracy:.3f} ({check['keras_accuracy']:.3f})",
                    checked["bytes"] / 1000,
                    checked["gzip_bytes"] / 1000,
                    cost["latency_ms"],
                    cost["latency_ms_2_threads"],
                    "" if memory is None else round(memory / 1e6, 1),
                    "{} of {}".format(*cost["integer"]),
                    "{} of {}".format(*cost["delegated"]),
                    checked["passed"],
                )
            )
    return rows


def _document(bundle: Bundle) -> dict[str, Any]:
    recipes = {name: made.verification for name, made in bundle.recipes.items()}
    return {"bundle": str(bundle.folder), "passed": True, "notes": list(bundle.notes), "recipes": recipes}
