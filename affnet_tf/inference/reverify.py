"""Check a bundle again, anywhere: its files' sums, and its answers beside those that Keras gave. Needs no Keras."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.files import open_arrays, restore
from affnet_tf.inference.runtime import (
    BUNDLE_FILES,
    CLASSIFY,
    CLASSIFY_CLIP,
    CLASSIFY_STATE,
    MODEL_FILE,
    RECIPE_FILE,
    SUMS_FILE,
    VECTORS_FILE,
    VERIFY_FILE,
    TFLiteModel,
    read_recipe,
)
from affnet_tf.places import local

__all__ = ["Vectors", "Worst", "compare", "file_sums", "in_window", "spread_frames", "stream", "verify_bundle"]

Table = tuple[str, tuple[str, ...], list[tuple[object, ...]]]


@dataclasses.dataclass(frozen=True)
class Vectors:
    """What a bundle is asked, and what Keras answered.

    Attributes:
        images: uint8 (N, S, S, 3), motion images times 255.
        image_probabilities: float32 (N, classes), Keras' answers to ``images / 255``.
        clips: uint8 (M, T, F, F, 3), cropped frames.
        clip_probabilities: float32 (M, classes).
        window_frames: int64 (W,), which frames of a clip go through the stream.
        window_probabilities: float32 (M, classes), Keras' answers to those frames.
    """

    images: np.ndarray
    image_probabilities: np.ndarray
    clips: np.ndarray
    clip_probabilities: np.ndarray
    window_frames: np.ndarray
    window_probabilities: np.ndarray

    def save(self, path: str | os.PathLike) -> None:
        """Write an .npz file; ``load`` reads it back, and neither pickles."""
        np.savez_compressed(path, **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    @classmethod
    def load(cls, path: str | os.PathLike) -> Vectors:
        """Read what ``save`` wrote.

        Raises:
            InputError: it is missing, or something else.
        """
        try:
            with open_arrays(path) as file:
                return cls(**{field.name: file[field.name] for field in dataclasses.fields(cls)})
        except Exception as error:  # whatever a zip file can be broken by
            raise InputError(f"{str(path)!r} must hold a bundle's test vectors. Received: {error}") from None


@dataclasses.dataclass(frozen=True)
class Worst:
    """A signature beside Keras: the number of questions, the largest |difference|, and the widest lead that was lost.

    ``overturned`` is the largest margin, between Keras' two highest probabilities, of a question that the file gave
    another label to; 0 if there is none.
    """

    questions: int
    max_delta: float
    overturned: float


def compare(model: TFLiteModel, vectors: Vectors) -> dict[str, Worst]:
    """Ask a file everything, signature by signature.

    Raises:
        InputError: the vectors are of another shape than the file's inputs.
    """
    images = vectors.images.astype(np.float32) / 255
    return {
        CLASSIFY: _worst(model.classify, images, vectors.image_probabilities),
        CLASSIFY_CLIP: _worst(lambda clip: model.classify_clip(clip)[0], vectors.clips, vectors.clip_probabilities),
        CLASSIFY_STATE: _worst(
            lambda clip: stream(model, clip[vectors.window_frames]), vectors.clips, vectors.window_probabilities
        ),
    }


def in_window(clip: np.ndarray, window: int) -> np.ndarray:
    """A whole clip as a slower or a faster camera has it: ``window`` of its frames, evenly spread; some twice if it is shorter.

    Args:
        clip: (T, H, W, C).
        window: number of frames.
    """
    return clip[spread_frames(len(clip), window)]


def spread_frames(length: int, window: int) -> np.ndarray:
    """Which frames of so many ``in_window`` takes: int64 (window,)."""
    return np.linspace(0, length - 1, window).round().astype(np.int64)


def stream(model: TFLiteModel, frames: np.ndarray) -> np.ndarray:
    """Probabilities of a clip of at least the window's length that comes in frame by frame; float32 (classes,)."""
    state = model.new_state()
    for frame in frames:
        state = model.update(frame, state)
    return model.classify_state(state)[0]


def file_sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a recipe's folder, but for the list of the sums itself."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name != SUMS_FILE
    }


def verify_bundle(path: str | os.PathLike) -> tuple[dict[str, Any], Table]:
    """Check that a bundle is whole and answers here as it did where it was made.

    Each file of a bundle must be listed, and be there with its recorded sum; any other is named in a note. Each signature must
    keep the bound of |probability - Keras' probability| that its recipe states; nothing that was measured when the bundle was
    made loosens it. The label must be Keras' own wherever Keras' lead over the second is more than twice that, for a smaller
    one can be lost in the bound.

    Args:
        path: a bundle, or the folder of one recipe.

    Returns:
        What was found, JSON-ready, with ``notes`` for the reader; and a table (title, columns, rows).

    Raises:
        InputError: it is no bundle, or the first file, or signature of a recipe, that disagrees, and by how much.
    """
    path = local(path, "a bundle")
    restore(path)
    found, rows, notes = {}, [], []
    for folder in _folders(path):
        notes += [f"{extra} is no file of the bundle's, and was not checked" for extra in _check_sums(folder)]
        found[folder.name] = {}
        for signature, worst, bound in _checked(folder):
            found[folder.name][signature] = {"bound": bound, **dataclasses.asdict(worst)}
            rows.append((folder.name, signature, worst.questions, worst.max_delta, bound, True))
    columns = ("recipe", "signature", "questions", "max |Δ|", "bound", "passed")
    document = {"bundle": str(path), "passed": True, "notes": notes, "recipes": found}
    return document, (f"{path.name}: the files' sums, and their answers beside Keras'", columns, rows)


def _folders(path: Path) -> list[Path]:
    def is_recipe(folder: Path) -> bool:
        return any((folder / name).is_file() for name in (MODEL_FILE, SUMS_FILE, VERIFY_FILE))

    if is_recipe(path):
        return [path.absolute()]
    folders = sorted(folder for folder in path.iterdir() if is_recipe(folder)) if path.is_dir() else []
    if not folders:
        raise InputError(f"a bundle must be a folder that affnet export wrote. Received: {str(path)!r}")
    return folders


def _check_sums(folder: Path) -> list[str]:
    """The files that the sums do not list, after all that they do list were found to be as they were."""
    sums = folder / SUMS_FILE
    try:
        lines = [line.partition("  ") for line in sums.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        raise InputError(f"a bundle must have the sums of its files. Received: no readable {str(sums)!r}") from None
    expected, actual = {name: digest for digest, _, name in lines}, file_sums(folder)
    for name in sorted(
        {*expected, *(BUNDLE_FILES & actual.keys()), MODEL_FILE, RECIPE_FILE, VERIFY_FILE, VECTORS_FILE}
    ):
        if name not in expected or name not in actual:
            lacking = "no such file" if name not in actual else "a file that it does not list"
            raise InputError(f"{str(folder / name)!r} must be as {SUMS_FILE} lists it. Received: {lacking}")
        if expected[name] != actual[name]:
            raise InputError(
                f"{str(folder / name)!r} must have the SHA-256 {expected[name][:12]}… of {SUMS_FILE}. "
                f"Received: {actual[name][:12]}…"
            )
    return [str(folder / name) for name in sorted(actual.keys() - expected)]


def _checked(folder: Path) -> Iterator[tuple[str, Worst, float]]:
    bound = float(read_recipe(folder)["recipe"]["max_delta"])
    for signature, worst in compare(TFLiteModel(folder), Vectors.load(folder / VECTORS_FILE)).items():
        name = f"recipe {folder.name!r}, signature {signature!r}"
        if not worst.max_delta <= bound:  # NaN too
            raise InputError(f"{name}: max |delta p| must be at most {bound:.2g}. Received: {worst.max_delta:.2g}")
        if worst.overturned > 2 * bound:
            raise InputError(
                f"{name}: the label must be Keras'. Received: another, over a lead of {worst.overturned:.2g}"
            )
        yield signature, worst, bound


def _worst(ask: Callable[[np.ndarray], np.ndarray], questions: np.ndarray, expected: np.ndarray) -> Worst:
    answers = np.stack([ask(question) for question in questions])
    if answers.shape != expected.shape:
        raise InputError(
            f"a bundle's test vectors must have answers of shape {answers.shape}. Received: {expected.shape}"
        )
    delta = np.abs(expected.astype(np.float64) - answers).max()
    second, first = np.sort(expected, axis=-1)[:, -2:].T
    lost = answers.argmax(axis=-1) != expected.argmax(axis=-1)
    return Worst(len(questions), float(delta), float((first - second)[lost].max(initial=0.0)))
