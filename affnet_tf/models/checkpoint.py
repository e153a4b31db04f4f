"""A trained network on disk: config.json, model.weights.h5, and nothing that could run code."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import itertools
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from affnet_tf.config import ExperimentConfig
from affnet_tf.errors import InputError
from affnet_tf.files import atomic_folder, on_disk, read_json, write_json
from affnet_tf.models.networks import build_network
from affnet_tf.places import Address, Place, place_at

__all__ = ["Checkpoint", "is_checkpoint", "load_checkpoint", "save_checkpoint", "versions"]

CONFIG = "config.json"
WEIGHTS = "model.weights.h5"

# Which field of the config decides the shape of a layer of AffectiveNet, by the layer's name.
_FIELDS = {
    "stem_*": "model.stem",
    "stage*_depthwise": "model.depthwise, model.kernels or model.widths",
    "stage*_exchange": "model.exchange",
    "stage*": "model.kernels, model.widths, model.depthwise or model.normalise",
    "last_*": "model.last_channels or model.taps",
    "*_reduce_*": "model.tap_channels, model.taps or model.mfl",
    "*_project": "model.input_size, model.tap_channels or model.dense",
    "logits": "labels, model.dense or model.mfl",
    "*": "model.network",
}
# The same for the other networks, which are as published apart from the size of their input.
_BASELINE_FIELDS = {
    "*_dense": "model.network or model.input_size",
    "logits": "labels, model.network or model.input_size",
    "*": "model.network",
}


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A network and what is needed to use it.

    Attributes:
        model: float32 network, motion image (B, S, S, 3) in [0, 1] -> logits (B, classes).
        config: the experiment that trained it.
        labels: the name of each class, in the order of the logits.
        frame_size: height and width of the cropped frames that it was trained on, in pixels.
        details: what else the trainer recorded: the store, its people, ``crop`` as ``pipeline.crop_config.TrainedCrop`` has it.
    """

    model: keras.Model
    config: ExperimentConfig
    labels: tuple[str, ...]
    frame_size: int
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def save_checkpoint(folder: Address, checkpoint: Checkpoint, *, replace: bool = False) -> Place:
    """Write a checkpoint folder, whole or not at all; at a remote place it is a checkpoint once both files are there.

    Raises:
        InputError: the folder exists and ``replace`` is false, or the disk is full.
    """
    with atomic_folder(folder, replace=replace) as temporary:
        write_json(
            temporary / CONFIG,
            {
                "config": checkpoint.config.to_json(),
                "labels": list(checkpoint.labels),
                "frame_size": checkpoint.frame_size,
                "shapes": _shapes(checkpoint.model),
                "versions": versions(),
                "details": dict(checkpoint.details),
            },
        )
        _make_room(temporary / WEIGHTS, checkpoint.model)
        checkpoint.model.save_weights(temporary / WEIGHTS)
    return place_at(folder)


def is_checkpoint(folder: Address) -> bool:
    """Whether the folder holds a checkpoint."""
    return all((place_at(folder) / name).is_file() for name in (CONFIG, WEIGHTS))


def load_checkpoint(folder: Address) -> Checkpoint:
    """Read a checkpoint folder into a float32 network, whatever the precision it was trained under. Nothing is unpickled.

    Raises:
        InputError: a file is missing or damaged, or the weights do not fit the config; the layer and the field are named.
    """
    folder = place_at(folder)
    if not is_checkpoint(folder):
        raise InputError(f"a checkpoint must be a folder with {CONFIG} and {WEIGHTS}. Received: {str(folder)!r}")
    document = _document(folder)
    config = ExperimentConfig.from_json(document["config"])
    labels = tuple(document["labels"])
    with _float32():
        model = build_network(config.model, len(labels))
    fields = _FIELDS if config.model.network == "affectivenet" else _BASELINE_FIELDS
    _compare(document["shapes"], _shapes(model), folder, fields)
    try:
        with on_disk(folder / WEIGHTS) as file:
            model.load_weights(file)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"{WEIGHTS} of {str(folder)!r} must hold the network of its {CONFIG}. {_reason(error, model, fields)}"
        ) from None
    return Checkpoint(model, config, labels, document["frame_size"], document.get("details", {}))


def versions() -> dict[str, str]:
    """Versions of what computes the results, as installed."""
    found = {}
    for name in ("affnet_tf", "keras", "tensorflow", "jax", "numpy", "opencv-python", "scikit-learn"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _make_room(path: Path, model: keras.Model) -> None:
    """Meet a full disk with a plain file: HDF5 may swallow the error, leave half a file, or end the process."""
    size = sum(int(np.prod(weight.shape)) * 4 + 4096 for weight in model.weights) + 65536
    with open(path, "wb") as file:
        file.write(bytes(size))
    path.unlink()


def _document(folder: Place) -> dict[str, Any]:
    document = read_json(folder / CONFIG)
    place = f"{CONFIG} of checkpoint {str(folder)!r}"
    if not isinstance(document, dict):
        raise InputError(f"{place} must be an object. Received: {document!r}")
    kinds = {"config": dict, "labels": list, "frame_size": int, "shapes": dict}
    missing = sorted(set(kinds) - set(document))
    if missing:
        raise InputError(f"{place} must have {', '.join(missing)}. Received: none")
    for name, kind in kinds.items():
        if not isinstance(document[name], kind):
            raise InputError(f"{place} must have a {kind.__name__} as {name}. Received: {document[name]!r}")
    return document


def _shapes(model: keras.Model) -> dict[str, list[list[int]]]:
    """The shapes of every layer's weights in the order of computation; additions are listed too, as the wiring."""
    layers = (layer for outer in model.layers for layer in getattr(outer, "sublayers", [outer]))
    return {
        layer.name: [list(weight.shape) for weight in layer.weights]
        for layer in layers
        if layer.weights or isinstance(layer, keras.layers.Add)
    }


def _compare(stored: Mapping[str, Any], built: Mapping[str, Any], folder: Place, fields: Mapping[str, str]) -> None:
    for theirs, ours in itertools.zip_longest(stored, built):
        name = theirs if ours is None or (theirs is not None and theirs not in built) else ours
        if stored.get(name) != built.get(name):
            raise InputError(
                f"checkpoint {str(folder)!r}: layer {name!r} must have the shapes that {_field(name, fields)} gives, "
                f"{built.get(name, 'no such layer')}. Received: {stored.get(name, 'no such layer')}"
            )


def _field(layer: str, fields: Mapping[str, str]) -> str:
    return next(field for pattern, field in fields.items() if fnmatch.fnmatch(layer, pattern))


def _reason(error: Exception, model: keras.Model, fields: Mapping[str, str]) -> str:
    layer = re.search(r"name=(\w+)", str(error))
    if layer and layer[1] in _shapes(model):
        return f"Received: other shapes in layer {layer[1]!r}, which {_field(layer[1], fields)} decides"
    return f"Received: {str(error).strip().splitlines()[0]}"


@contextlib.contextmanager
def _float32() -> Iterator[None]:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
