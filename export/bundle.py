"""A bundle: one folder for each recipe, with the file, its labels, how it was made and how it was verified."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affnet_tf.config import check
from affnet_tf.errors import InputError
from affnet_tf.export.card import model_card
from affnet_tf.export.convert import convert_graph, convert_saved, saved
from affnet_tf.export.fronts import WINDOW_LENGTH, convert_fronts
from affnet_tf.export.material import Material, gather
from affnet_tf.export.metadata import describe_file, labels_text, with_metadata
from affnet_tf.export.origin import Origin
from affnet_tf.export.picture import draw_graph
from affnet_tf.export.recipes import RECIPES, Recipe, recipe
from affnet_tf.export.representative import representative_dataset
from affnet_tf.export.signatures import MotionPath, in_float32, network_graph
from affnet_tf.export.tuned import before_and_after
from affnet_tf.export.vectors import make_vectors
from affnet_tf.export.verify import Verification, VerificationError, verify
from affnet_tf.files import atomic_folder, check_folder, read_json, restore, write_json
from affnet_tf.inference.reverify import Vectors, compare, file_sums, verify_bundle
from affnet_tf.inference.runtime import (
    BUNDLE_FILES,
    CARD_FILE,
    GRAPH_FILE,
    LABELS_FILE,
    METADATA_FILE,
    MODEL_FILE,
    RECIPE_FILE,
    SUMS_FILE,
    VECTORS_FILE,
    VERIFY_FILE,
    TFLiteModel,
    read_recipe,
)
from affnet_tf.models.checkpoint import Checkpoint, versions
from affnet_tf.pipeline.crop_config import TrainedCrop
from affnet_tf.places import local

__all__ = ["Bundle", "Exported", "check_replaceable", "export", "read_bundle"]

# How macOS and Windows display a folder; they make them anew.
_SYSTEMS_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")


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
class _Made:
    """A network's file, the checkpoint that it is compared with, and what fine-tuning reached, if there was any."""

    network: bytes
    checkpoint: Checkpoint
    facts: dict[str, Any] | None


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
    recipes: Sequence[str | Recipe],
    calibration: np.ndarray | None = None,
    holdout: Sequence[np.ndarray] | None = None,
    *,
    calibration_labels: Sequence[int] | None = None,
    holdout_labels: Sequence[int] | None = None,
    data: str = "held-out clips",
    origin: Origin | None = None,
    window: int = WINDOW_LENGTH,
    force: bool = False,
) -> Bundle:
    """Convert a network by each recipe, verify every file, and write the bundle: all of it, or nothing.

    Args:
        checkpoint: the network.
        out: folder to make.
        recipes: names of recipes, at least one; or recipes themselves, such as one with other settings of its fine-tuning or
            narrower bounds.
        calibration: float (N, S, S, 3) in [0, 1], motion images of *training* subjects, for recipes that calibrate or
            fine-tune.
        holdout: clips to verify with, uint8 (T, F, F, 3) each, cropped, of subjects that neither trained nor calibrated.
            None: every third calibration image is left out and verifies, as a clip that fades into it; or, if there are
            fewer than three, random patterns do. ``verify.json`` says which.
        calibration_labels: label indices of ``calibration``, for recipes that fine-tune.
        holdout_labels: label indices of ``holdout``, if they are known: then ``verify.json`` has accuracies.
        data: what ``holdout`` is, for ``verify.json``.
        origin: where the network comes from, for the model card and the metadata.
        window: number of frames that the streaming signatures look back, 2 to 4096.
        force: replace a bundle that is there already.

    Raises:
        InputError: an unknown recipe, or two of one name; no, wrong or unlabelled calibration images; clips of another size;
            or a folder that exists.
        VerificationError: a file does not keep its recipe's bounds, or fine-tuning cost more accuracy than its recipe
            allows. Nothing is left behind.
    """
    chosen = _chosen(recipes)
    if not chosen:
        raise InputError(f"an export must name a recipe: {', '.join(each.name for each in RECIPES)}. Received: none")
    check(2 <= window <= 4096, "window", "lie in [2, 4096]", window)  # beyond, a sum of frames may not fit in 32 bits
    out = Path(out)
    check_replaceable(out, force)
    checkpoint = in_float32(checkpoint)
    material = gather(checkpoint, calibration, holdout, calibration_labels, holdout_labels, data)
    for each in chosen:  # all that may be lacking is named before anything is converted
        material.check(each, checkpoint)
    origin = origin or Origin()
    picture = draw_graph(checkpoint.config.model, len(checkpoint.labels), checkpoint.config.model.network)
    with atomic_folder(out, replace=force) as temporary, saved(network_graph(checkpoint)) as network:
        fronts = convert_fronts(MotionPath.of(checkpoint), window)
        for each in chosen:
            made = _made(checkpoint, each, material, network)
            file = fronts.around(made.network)
            metadata = describe_file(file, checkpoint, each, origin)
            file = with_metadata(file, metadata, checkpoint.labels)
            verification = verify(file, made.checkpoint, each, material.clips, material.data, material.clip_labels)
            if not verification.passed:
                raise VerificationError(
                    f"recipe {each.name!r} must answer as Keras does. Received: {_joined(verification)}"
                )
            vectors = make_vectors(made.checkpoint, material.clips, window)
            notes = material.notes(each)
            _write(temporary / each.name, file, checkpoint, each, metadata, notes, material, vectors, window)
            _write_verified(temporary / each.name, each, metadata, origin, verification, made.facts, notes, vectors)
            (temporary / each.name / GRAPH_FILE).write_bytes(picture)
            _write_sums(temporary / each.name)
        verify_bundle(temporary)
    return read_bundle(out)


def _chosen(recipes: Sequence[str | Recipe]) -> list[Recipe]:
    chosen = list(dict.fromkeys(recipe(each) if isinstance(each, str) else each for each in recipes))
    names = [each.name for each in chosen]
    for name in names:
        if names.count(name) > 1:  # each has a folder of its name
            raise InputError(f"recipes of an export must differ in name. Received: two of the name {name!r}")
    return chosen


def read_bundle(path: str | os.PathLike) -> Bundle:
    """Read a bundle's folder, or that of a single recipe.

    Raises:
        InputError: it is not a bundle, or a file of it is missing or damaged.
    """
    path = local(path, "a bundle")
    restore(path)
    folders = [path] if (path / MODEL_FILE).is_file() else sorted(file.parent for file in path.glob(f"*/{MODEL_FILE}"))
    if not folders:
        raise InputError(f"a bundle must hold folders with {MODEL_FILE}. Received: {str(path)!r}")
    return Bundle(path, {folder.name: _read(folder) for folder in folders})


def _read(folder: Path) -> Exported:
    document = read_recipe(folder)
    verification = read_json(folder / VERIFY_FILE)
    return Exported(folder, document, tuple(document["labels"]), verification)


def _made(checkpoint: Checkpoint, recipe: Recipe, material: Material, network: str) -> _Made:
    """Fine-tune, if the recipe says so, and convert."""
    representative = representative_dataset(material.images, checkpoint.config.model.input_size, recipe)
    if recipe.fine_tuning is None:
        return _Made(convert_saved(network, recipe, representative), checkpoint, None)
    from affnet_tf.export.qat import fine_tune, fine_tuned_file

    tuned = fine_tune(checkpoint, recipe, material.images, np.asarray(material.labels))
    facts = {**tuned.facts, **before_and_after(checkpoint, tuned.checkpoint, recipe, material)}
    if recipe.fine_tuning.method == "quantise":
        return _Made(fine_tuned_file(tuned, recipe, representative), tuned.checkpoint, facts)
    return _Made(convert_graph(network_graph(tuned.checkpoint), recipe, representative), tuned.checkpoint, facts)


def _write(
    folder: Path,
    file: bytes,
    checkpoint: Checkpoint,
    chosen: Recipe,
    metadata: dict[str, Any],
    notes: tuple[str, ...],
    material: Material,
    vectors: Vectors,
    window: int,
) -> None:
    crop = TrainedCrop.read(checkpoint.details)
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(file)
    (folder / LABELS_FILE).write_text(labels_text(checkpoint.labels), encoding="utf-8")
    write_json(folder / METADATA_FILE, metadata)
    write_json(
        folder / RECIPE_FILE,
        {
            "recipe": chosen.to_json(),
            "labels": list(checkpoint.labels),
            "scheme": checkpoint.config.labels,
            "motion": dataclasses.asdict(checkpoint.config.motion),
            "frame_size": checkpoint.frame_size,
            "input_size": checkpoint.config.model.input_size,
            **({"crop": crop.to_json()} if crop else {}),
            "window": window,
            "calibration_images": len(material.images) if chosen.needs_calibration else 0,
            "notes": list(notes),
            "versions": versions(),
        },
    )
    vectors.save(folder / VECTORS_FILE)


def _write_verified(
    folder: Path,
    chosen: Recipe,
    metadata: dict[str, Any],
    origin: Origin,
    verification: Verification,
    facts: dict[str, Any] | None,
    notes: tuple[str, ...],
    vectors: Vectors,
) -> None:
    again = {name: dataclasses.asdict(worst) for name, worst in compare(TFLiteModel(folder), vectors).items()}
    bounds = {name: getattr(chosen, name) for name in ("max_delta", "min_agreement", "max_accuracy_drop")}
    document = {**verification.to_json(), "bounds": bounds, "fine_tuning": facts, "vectors": again}
    write_json(folder / VERIFY_FILE, document)
    (folder / CARD_FILE).write_text(model_card(chosen, metadata, origin, document, notes), encoding="utf-8")


def _write_sums(folder: Path) -> None:
    sums = "".join(f"{digest}  {name}\n" for name, digest in file_sums(folder).items())
    (folder / SUMS_FILE).write_text(sums, encoding="utf-8")


def check_replaceable(out: str | os.PathLike, force: bool) -> None:
    """Raise if a bundle may not be written there.

    Raises:
        InputError: something is there, and it is no folder, not a bundle, holds what no export wrote, or ``force`` is false.
    """
    out = local(out, "a bundle")
    check_folder(out, "--out")
    restore(out)
    if not out.exists():
        return
    if not force:
        raise InputError(f"output folder must not exist yet; --force replaces a bundle. Received: {str(out)!r}")
    # Whoever mistypes --out, or keeps notes beside a file, must not lose anything but a bundle.
    foreign = next(_foreign(out), None)
    if foreign:
        raise InputError(f"--force must replace a bundle and nothing else. Received: {str(out)!r} with {foreign!r}")


def _foreign(out: Path) -> Iterator[str]:
    """What lies in a bundle's folder and was written neither by an export nor by a system that displays folders."""
    for entry in sorted(out.iterdir()):
        if (entry / MODEL_FILE).is_file():
            within = (file for file in sorted(entry.iterdir()) if file.name not in BUNDLE_FILES or not file.is_file())
            yield from (f"{entry.name}/{file.name}" for file in within if not _made_by_systems(file))
        elif not _made_by_systems(entry):
            yield entry.name


def _made_by_systems(path: Path) -> bool:
    return path.is_file() and (path.name in _SYSTEMS_FILES or path.name.startswith("._"))


def _joined(verification: Verification) -> str:
    return "; ".join(verification.failures)
