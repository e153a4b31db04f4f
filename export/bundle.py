"""A bundle: one folder for each recipe, with the file, its labels, how it was made and how it was verified."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.export.convert import convert_motion, convert_network
from affnet_tf.export.join import join
from affnet_tf.export.recipes import RECIPES, Recipe, recipe
from affnet_tf.export.representative import calibration_notes, made_clips
from affnet_tf.export.signatures import in_float32
from affnet_tf.export.vectors import make_vectors
from affnet_tf.export.verify import Verification, VerificationError, verify
from affnet_tf.files import atomic_folder, check_folder, read_json, restore, write_json
from affnet_tf.inference.reverify import Vectors, compare, file_sums, verify_bundle
from affnet_tf.inference.runtime import (
    LABELS_FILE,
    MODEL_FILE,
    RECIPE_FILE,
    SUMS_FILE,
    VECTORS_FILE,
    VERIFY_FILE,
    TFLiteModel,
    read_recipe,
)
from affnet_tf.models.checkpoint import Checkpoint, versions

__all__ = ["Bundle", "Exported", "check_replaceable", "export", "read_bundle"]

# Made-up clips, where no others are given.
_MADE_UP = 8


@dataclasses.dataclass(frozen=True)
class Exported:
    """What one recipe made.

    Attributes:
        folder: where it lies.
        recipe: what ``recipe.json`` says.
        labels: name of each class.
        verification: what ``verify.json`` says.
    """

    folder: Path
    recipe: dict[str, Any]
    labels: tuple[str, ...]
    verification: dict[str, Any]

    @property
    def model(self) -> Path:
        """The .tflite file."""
        return self.folder / MODEL_FILE


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A bundle on disk: what was exported, by the name of the recipe, and what the reader should know of it."""

    folder: Path
    recipes: dict[str, Exported]

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all recipes."""
        return tuple(note for made in self.recipes.values() for note in made.recipe.get("notes", ()))


def export(
    checkpoint: Checkpoint,
    out: str | os.PathLike,
    recipes: Sequence[str],
    calibration: np.ndarray | None = None,
    holdout: Sequence[np.ndarray] | None = None,
    *,
    data: str = "held-out clips",
    force: bool = False,
) -> Bundle:
    """Convert a network by each recipe, verify every file, and write the bundle: all of it, or nothing.

    Args:
        checkpoint: the network.
        out: folder to make.
        recipes: names of recipes, at least one.
        calibration: float (N, S, S, 3) in [0, 1], motion images of *training* subjects, for recipes that need them.
        holdout: clips to verify with, uint8 (T, F, F, 3) each, cropped, of subjects that neither trained nor calibrated.
            None: every third calibration image is left out and verifies, as a clip that fades into it; or, if there are
            fewer than three, random patterns do. ``verify.json`` says which.
        data: what ``holdout`` is, for ``verify.json``.
        force: replace a bundle that is there already.

    Raises:
        InputError: an unknown recipe, no or wrong calibration images, clips of another size, or a folder that exists.
        VerificationError: a file does not keep its recipe's bounds. Nothing is left behind.
    """
    chosen = [recipe(name) for name in dict.fromkeys(recipes)]
    if not chosen:
        raise InputError(f"an export must name a recipe: {', '.join(each.name for each in RECIPES)}. Received: none")
    out = Path(out)
    check_replaceable(out, force)
    checkpoint = in_float32(checkpoint)
    calibration, clips, made_up = _clips(checkpoint, calibration, holdout)
    vectors = make_vectors(checkpoint, clips)
    with atomic_folder(out, replace=force) as temporary:
        motion = convert_motion(checkpoint)
        for each in chosen:
            file = join(convert_network(checkpoint, each, calibration), motion)
            verification = verify(file, checkpoint, each, clips, made_up or data)
            if not verification.passed:
                raise VerificationError(
                    f"recipe {each.name!r} must answer as Keras does. Received: {_joined(verification)}"
                )
            _write(temporary / each.name, file, checkpoint, each, verification, calibration, vectors)
        verify_bundle(temporary)
    return read_bundle(out)


def read_bundle(path: str | os.PathLike) -> Bundle:
    """Read a bundle's folder, or that of a single recipe.

    Raises:
        InputError: it is not a bundle, or a file of it is missing or damaged.
    """
    path = Path(path)
    restore(path)
    folders = [path] if (path / MODEL_FILE).is_file() else sorted(file.parent for file in path.glob(f"*/{MODEL_FILE}"))
    if not folders:
        raise InputError(f"a bundle must hold folders with {MODEL_FILE}. Received: {str(path)!r}")
    return Bundle(path, {folder.name: _read(folder) for folder in folders})


def _read(folder: Path) -> Exported:
    document = read_recipe(folder)
    verification = read_json(folder / VERIFY_FILE)
    return Exported(folder, document, tuple(document["labels"]), verification)


def _write(
    folder: Path,
    file: bytes,
    checkpoint: Checkpoint,
    chosen: Recipe,
    verification: Verification,
    calibration: np.ndarray | None,
    vectors: Vectors,
) -> None:
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(file)
    (folder / LABELS_FILE).write_text("".join(f"{label}\n" for label in checkpoint.labels), encoding="utf-8")
    write_json(
        folder / RECIPE_FILE,
        {
            "recipe": chosen.to_json(),
            "labels": list(checkpoint.labels),
            "scheme": checkpoint.config.labels,
            "motion": dataclasses.asdict(checkpoint.config.motion),
            "frame_size": checkpoint.frame_size,
            "input_size": checkpoint.config.model.input_size,
            "calibration_images": len(calibration) if chosen.needs_calibration else 0,
            "notes": list(calibration_notes(calibration, chosen)),
            "versions": versions(),
        },
    )
    vectors.save(folder / VECTORS_FILE)
    again = {name: dataclasses.asdict(worst) for name, worst in compare(TFLiteModel(folder), vectors).items()}
    bounds = {name: getattr(chosen, name) for name in ("max_delta", "min_agreement")}
    write_json(folder / VERIFY_FILE, {**verification.to_json(), "bounds": bounds, "vectors": again})
    sums = "".join(f"{digest}  {name}\n" for name, digest in file_sums(folder).items())
    (folder / SUMS_FILE).write_text(sums, encoding="utf-8")


def _clips(
    checkpoint: Checkpoint, calibration: np.ndarray | None, holdout: Sequence[np.ndarray] | None
) -> tuple[np.ndarray | None, Sequence[np.ndarray], str | None]:
    """The images to calibrate with, the clips to verify with, and what these are if they were not given."""
    size = checkpoint.frame_size
    if holdout is not None and len(holdout):
        for clip in holdout:
            if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[1:] != (size, size, 3) or len(clip) < 2:
                raise InputError(
                    f"a held-out clip must be uint8 of shape (T, {size}, {size}, 3), T at least 2. "
                    f"Received: {clip.dtype} of shape {clip.shape}"
                )
        return calibration, holdout, None
    if calibration is not None and len(calibration) >= 3:
        left_out = calibration[2::3]
        kept = np.delete(calibration, np.s_[2::3], axis=0)
        return kept, made_clips(left_out, size), f"clips made from {len(left_out)} images left out of the calibration"
    side = checkpoint.config.model.input_size
    coarse = np.random.default_rng(0).random((_MADE_UP, 8, 8, 3))
    patterns = np.stack([cv2.resize(each, (side, side), interpolation=cv2.INTER_LINEAR) for each in coarse])
    return calibration, made_clips(patterns, size), "clips made from random patterns"


def check_replaceable(out: str | os.PathLike, force: bool) -> None:
    """Raise if a bundle may not be written there.

    Raises:
        InputError: something is there, and it is no folder, not a bundle, or ``force`` is false.
    """
    out = Path(out)
    check_folder(out, "--out")
    restore(out)
    if not out.exists():
        return
    if not force:
        raise InputError(f"output folder must not exist yet; --force replaces a bundle. Received: {str(out)!r}")
    # Whoever mistypes --out must not lose anything but a bundle.
    foreign = [entry.name for entry in out.iterdir() if not (entry / MODEL_FILE).is_file()]
    if foreign:
        raise InputError(f"--force must replace a bundle and nothing else. Received: {str(out)!r} with {foreign[0]!r}")


def _joined(verification: Verification) -> str:
    return "; ".join(verification.failures)
