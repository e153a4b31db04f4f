"""Run an exported .tflite file with ai-edge-litert and NumPy, and nothing else."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affnet_tf.errors import InputError, unknown
from affnet_tf.files import read_json, restore
from affnet_tf.places import local

__all__ = [
    "BUNDLE_FILES",
    "CARD_FILE",
    "CLASSIFY",
    "CLASSIFY_CLIP",
    "CLASSIFY_STATE",
    "COUNT",
    "FRAME",
    "FRAMES",
    "GRAPH_FILE",
    "LABELS_FILE",
    "METADATA_FILE",
    "MODEL_FILE",
    "MOTION_IMAGE",
    "PROBABILITIES",
    "RECIPE_FILE",
    "SIGNED_MOTION",
    "SUM",
    "SUMS_FILE",
    "Signature",
    "State",
    "TFLiteModel",
    "TensorSpec",
    "UPDATE",
    "VECTORS_FILE",
    "VERIFY_FILE",
    "WINDOW",
    "find_model",
    "is_bundle",
    "read_recipe",
]

# The names in every exported file and bundle: who writes them and who reads them take them from here.
CLASSIFY, CLASSIFY_CLIP = "classify", "classify_clip"
UPDATE, CLASSIFY_STATE = "update", "classify_state"
FRAMES, MOTION_IMAGE, PROBABILITIES = "frames", "motion_image", "probabilities"
# What a stream keeps from frame to frame: the frames of the window, oldest first, how many of them have been seen and, with
# linear weights, their sum and their signed motion.
FRAME, WINDOW, COUNT, SUM, SIGNED_MOTION = "frame", "window", "count", "sum", "signed_motion"
MODEL_FILE, LABELS_FILE, RECIPE_FILE = "model.tflite", "labels.txt", "recipe.json"
VERIFY_FILE, VECTORS_FILE, SUMS_FILE = "verify.json", "vectors.npz", "SHA256SUMS"
METADATA_FILE, CARD_FILE, GRAPH_FILE = "metadata.json", "MODEL_CARD.md", "graph.png"
# All that an export writes into the folder of a recipe.
BUNDLE_FILES = frozenset(
    {
        *(MODEL_FILE, LABELS_FILE, RECIPE_FILE),
        *(VERIFY_FILE, VECTORS_FILE, SUMS_FILE),
        *(METADATA_FILE, CARD_FILE, GRAPH_FILE),
    }
)

State = dict[str, np.ndarray]

_IDENTIFIER = b"TFL3"
_RECIPE_FIELDS = {"recipe": dict, "labels": list, "motion": dict, "frame_size": int, "input_size": int}
_BOUNDS = {"name": str, "max_delta": (int, float), "min_agreement": (int, float)}


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """An input or output of a signature.

    Attributes:
        dtype: name of the NumPy dtype.
        shape: its dimensions; None where it is free.
        scale: for integers that stand for real numbers: real = scale * (integer - zero_point); 0 for all others.
        zero_point: see ``scale``.
    """

    dtype: str
    shape: tuple[int | None, ...]
    scale: float = 0.0
    zero_point: int = 0

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Real numbers as this tensor stores them, rounded to the nearest and kept within the dtype."""
        if not self.scale:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(values / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def dequantise(self, stored: np.ndarray) -> np.ndarray:
        """What this tensor stores as float32 real numbers."""
        if not self.scale:
            return np.asarray(stored, np.float32)
        return np.float32(self.scale) * (stored.astype(np.int32) - self.zero_point).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Signature:
    """One entry point of a file: its named inputs and outputs."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


class TFLiteModel:
    """An exported network.

    Args:
        path: a .tflite file, a folder with ``model.tflite``, or a bundle of such folders; of several, ``float32`` is
            taken where it is there, else the first by name.
        threads: threads of the interpreter.

    Attributes:
        path: the .tflite file.
        labels: name of each class, from ``labels.txt`` beside the file; None if there is none.
        recipe: what ``recipe.json`` beside the file says; empty if there is none.
        signatures: by name.
        classes: number of classes.
        input_size: height and width S of the motion image.
        frame_size: height and width F of the frames; None if the file has no ``classify_clip``.
        window: number of frames of a stream's window; None if the file has no ``update``.

    Raises:
        InputError: no such file, not a TFLite file, without the signature ``classify``, or with labels or a ``recipe.json``
            beside it that do not fit.
    """

    def __init__(self, path: str | os.PathLike, threads: int = 1) -> None:
        self.path = find_model(path)
        self._interpreter = _interpreter(self.path, threads)
        self._runners: dict[str, Any] = {}
        self.signatures = self._read_signatures()
        if CLASSIFY not in self.signatures:
            raise InputError(
                f"{str(self.path)!r} must have the signature {CLASSIFY!r}. "
                f"Received: {', '.join(self.signatures) or 'none'}"
            )
        self.recipe = read_recipe(self.path.parent) if self.path.with_name(RECIPE_FILE).exists() else {}
        self.input_size = self._input(CLASSIFY).shape[1]
        self.frame_size = self._input(CLASSIFY_CLIP).shape[2] if CLASSIFY_CLIP in self.signatures else None
        self.window = self.signatures[UPDATE].inputs[WINDOW].shape[1] if UPDATE in self.signatures else None
        self.classes = self.signatures[CLASSIFY].outputs[PROBABILITIES].shape[-1]
        self.labels = _labels(self.path.with_name(LABELS_FILE), self.classes)

    def classify(self, motion_image: np.ndarray) -> np.ndarray:
        """Probabilities of a motion image.

        Args:
            motion_image: float (S, S, 3) or (1, S, S, 3) in [0, 1]; it is quantised here if the file asks for integers.

        Returns:
            float32 (classes,).

        Raises:
            InputError: another dtype, shape or range.
        """
        image = np.asarray(motion_image)
        size = self.input_size
        rule = f"a motion image must be float of shape ({size}, {size}, 3) or (1, {size}, {size}, 3) in [0, 1]"
        if image.dtype.kind != "f" or image.shape not in ((size, size, 3), (1, size, size, 3)):
            raise InputError(f"{rule}. Received: {image.dtype} of shape {image.shape}")
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            raise InputError(f"{rule}. Received: {_range(image)}")
        return self._run(CLASSIFY, {MOTION_IMAGE: image.reshape(1, size, size, 3)})[PROBABILITIES][0]

    def classify_clip(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of a clip, and the motion image that the file made of it.

        Args:
            frames: uint8 (T, F, F, 3) or (1, T, F, F, 3), T at least 2, cropped to the face.

        Returns:
            float32 (classes,) and float32 (S, S, 3) in [0, 1].

        Raises:
            InputError: another dtype or shape, or a file without the signature ``classify_clip``.
        """
        if self.frame_size is None:
            raise unknown(f"signature of {str(self.path)!r}", CLASSIFY_CLIP, self.signatures)
        frames = np.asarray(frames)
        size = self.frame_size
        fits = frames.ndim in (4, 5) and frames.shape[-3:] == (size, size, 3) and frames.shape[-4] >= 2
        if frames.dtype != np.uint8 or not fits or (frames.ndim == 5 and frames.shape[0] != 1):
            raise InputError(
                f"frames must be uint8 of shape (T, {size}, {size}, 3), T at least 2. "
                f"Received: {frames.dtype} of shape {frames.shape}"
            )
        answer = self._run(CLASSIFY_CLIP, {FRAMES: frames.reshape(1, -1, size, size, 3)})
        return answer[PROBABILITIES][0], answer[MOTION_IMAGE][0]

    def new_state(self) -> State:
        """The state of a stream before its first frame: zeros.

        Raises:
            InputError: a file without the signature ``update``.
        """
        specs = self._signature(UPDATE).inputs
        return {name: np.zeros(spec.shape, spec.dtype) for name, spec in specs.items() if name != FRAME}

    def update(self, frame: np.ndarray, state: State) -> State:
        """Take the next frame of a stream.

        Args:
            frame: uint8 (F, F, 3) or (1, F, F, 3), cropped to the face as the frames before it.
            state: what ``new_state`` or the last ``update`` gave; it is left as it was.

        Returns:
            The next state.

        Raises:
            InputError: another dtype or shape of the frame or of a tensor of the state, or a file without ``update``.
        """
        specs = self._signature(UPDATE).inputs
        size, frame = self.frame_size, np.asarray(frame)
        if frame.dtype != np.uint8 or frame.shape not in ((size, size, 3), (1, size, size, 3)):
            raise InputError(
                f"a frame must be uint8 of shape ({size}, {size}, 3). Received: {frame.dtype} of shape {frame.shape}"
            )
        _check_state(state, {name: spec for name, spec in specs.items() if name != FRAME})
        runner = self._runner(UPDATE)
        return dict(runner(**{**state, FRAME: frame.reshape(1, size, size, 3)}))

    def classify_state(self, state: State) -> tuple[np.ndarray, np.ndarray] | None:
        """Probabilities of a stream's window, and its motion image; None until the window is full.

        Args:
            state: what ``update`` gave.

        Returns:
            float32 (classes,) and float32 (S, S, 3) in [0, 1], or None.

        Raises:
            InputError: another dtype or shape of a tensor of the state, or a file without ``classify_state``.
        """
        specs = self._signature(CLASSIFY_STATE).inputs
        _check_state(state, {name: spec for name, spec in self._signature(UPDATE).inputs.items() if name != FRAME})
        if state[COUNT][0] < self.window:
            return None
        answer = self._run(CLASSIFY_STATE, {name: state[name] for name in specs})
        return answer[PROBABILITIES][0], answer[MOTION_IMAGE][0]

    def _signature(self, name: str) -> Signature:
        if name not in self.signatures:
            raise unknown(f"signature of {str(self.path)!r}", name, self.signatures)
        return self.signatures[name]

    def _runner(self, signature: str) -> Any:
        if signature not in self._runners:
            self._runners[signature] = self._interpreter.get_signature_runner(signature)
        return self._runners[signature]

    def _run(self, signature: str, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        taken = self.signatures[signature].inputs
        answer = self._runner(signature)(**{name: taken[name].quantise(value) for name, value in values.items()})
        specs = self.signatures[signature].outputs
        return {output: specs[output].dequantise(stored) for output, stored in answer.items()}

    def _input(self, signature: str) -> TensorSpec:
        return next(iter(self.signatures[signature].inputs.values()))

    def _read_signatures(self) -> dict[str, Signature]:
        found = {}
        for name in self._interpreter.get_signature_list():
            runner = self._interpreter.get_signature_runner(name)
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
            found[name] = Signature(
                {key: _spec(detail) for key, detail in inputs.items()},
                {key: _spec(detail) for key, detail in outputs.items()},
            )
        return found


def find_model(path: str | os.PathLike) -> Path:
    """The .tflite file that a path names: the file itself, or the one in a folder or in a bundle of folders.

    Raises:
        InputError: there is none.
    """
    path = local(path, "an exported network")
    restore(path)
    if path.is_file():
        return path
    if (path / MODEL_FILE).is_file():
        return path / MODEL_FILE
    found = sorted(path.glob(f"*/{MODEL_FILE}")) if path.is_dir() else []
    if not found:
        raise InputError(
            f"an exported network must be a .tflite file, a folder with {MODEL_FILE}, or a bundle of such folders. "
            f"Received: {str(path)!r}"
        )
    return next((file for file in found if file.parent.name == "float32"), found[0])


def read_recipe(folder: str | os.PathLike) -> dict[str, Any]:
    """What ``recipe.json`` in the folder of one recipe says.

    Raises:
        InputError: it is missing or is not JSON, or lacks a field or holds one of another type; the field is named.
    """
    path = Path(folder) / RECIPE_FILE
    document = read_json(path)
    _check_fields(path, document, _RECIPE_FIELDS)
    _check_fields(path, document["recipe"], _BOUNDS, "recipe.")
    return document


def _check_fields(path: Path, document: Any, fields: Mapping[str, Any], prefix: str = "") -> None:
    if not isinstance(document, dict):
        raise InputError(f"{str(path)!r} must hold an object. Received: {document!r}")
    for name, kind in fields.items():
        if name not in document:
            raise InputError(f"{str(path)!r} must have the field {prefix + name!r}. Received: none; export it again")
        if not isinstance(document[name], kind) or isinstance(document[name], bool):
            word = {dict: "an object", list: "a list", str: "a text", int: "an integer"}.get(kind, "a number")
            raise InputError(f"{str(path)!r} must have {word} as {prefix + name!r}. Received: {document[name]!r}")


def is_bundle(path: str | os.PathLike) -> bool:
    """Whether a folder holds an exported network or several."""
    path = Path(path)
    return (path / MODEL_FILE).is_file() or (path.is_dir() and any(path.glob(f"*/{MODEL_FILE}")))


def _interpreter(path: Path, threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise InputError("to run a .tflite file, install ai-edge-litert: pip install 'affnet_tf[runtime]'") from None
    with path.open("rb") as file:
        if file.read(8)[4:] != _IDENTIFIER:
            raise InputError(f"{str(path)!r} must be a TFLite file. Received: other content")
    try:
        return Interpreter(model_path=str(path), num_threads=threads)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{str(path)!r} must be a whole TFLite file. Received: {_first_line(error)}") from None


def _check_state(state: State, specs: Mapping[str, TensorSpec]) -> None:
    for name, spec in specs.items():
        tensor = state.get(name)
        received = "none" if tensor is None else f"{tensor.dtype} of shape {tensor.shape}"
        if tensor is None or (tensor.dtype.name, tensor.shape) != (spec.dtype, spec.shape):
            raise InputError(
                f"a stream's state must have {name!r}, {spec.dtype} of shape {spec.shape}. Received: {received}"
            )


def _spec(detail: Mapping[str, Any]) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    shape = tuple(None if size < 0 else int(size) for size in detail["shape_signature"])
    return TensorSpec(np.dtype(detail["dtype"]).name, shape, float(scale), int(zero_point))


def _labels(path: Path, classes: int) -> tuple[str, ...] | None:
    if not path.exists():
        return None
    labels = tuple(path.read_text(encoding="utf-8").split("\n"))
    labels = labels[:-1] if labels[-1] == "" else labels
    if len(labels) != classes:
        raise InputError(f"{str(path)!r} must name {classes} classes, one on each line. Received: {len(labels)}")
    return labels


def _range(image: np.ndarray) -> str:
    return "NaN or infinite values" if not np.isfinite(image).all() else f"[{image.min():.3g}, {image.max():.3g}]"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
