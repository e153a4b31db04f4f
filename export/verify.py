"""Keras against the file: an export that does not answer as the network did must not leave the house."""

from __future__ import annotations

import dataclasses
import gzip
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affnet_tf.errors import InputError
from affnet_tf.evaluation import confusion
from affnet_tf.export.cost import TIMED_FRAMES, TIMING, latency, peak_memory, ready
from affnet_tf.export.graph import Operators, alone, delegated, operators
from affnet_tf.export.recipes import Recipe, lost_at_most
from affnet_tf.export.signatures import keras_classify, keras_motion_images
from affnet_tf.export.storage import storage_failures
from affnet_tf.inference.reverify import in_window, stream
from affnet_tf.inference.runtime import (
    CLASSIFY,
    CLASSIFY_CLIP,
    CLASSIFY_STATE,
    FRAME,
    FRAMES,
    MODEL_FILE,
    MOTION_IMAGE,
    UPDATE,
    TFLiteModel,
)
from affnet_tf.models.checkpoint import Checkpoint

__all__ = ["SIGNATURES", "SignatureCheck", "Verification", "VerificationError", "verify"]

SIGNATURES = (CLASSIFY, CLASSIFY_CLIP, UPDATE, CLASSIFY_STATE)


class VerificationError(InputError):
    """A network fine-tuned, or a file converted, does not keep what its recipe promises. The message is one line."""


@dataclasses.dataclass(frozen=True)
class SignatureCheck:
    """One signature of a file beside Keras.

    Attributes:
        images: number of motion images, or of clips, that were compared.
        max_delta: largest |difference| of a probability.
        mean_delta: mean |difference|.
        agreement: share of them with the same label.
        accuracy: share of them with the true label; None where the true labels are not known.
        uf1: the unweighted mean of the classes' F1, likewise.
        keras_accuracy: Keras' share of true labels on the same ones.
        keras_uf1: Keras' F1, likewise.
    """

    images: int
    max_delta: float
    mean_delta: float
    agreement: float
    accuracy: float | None = None
    uf1: float | None = None
    keras_accuracy: float | None = None
    keras_uf1: float | None = None


@dataclasses.dataclass(frozen=True)
class SignatureCost:
    """What one signature of a file is made of, and what a call costs here.

    Attributes:
        latency_ms: median time of a bare call of the interpreter on one thread, in milliseconds: inputs are set before it, and
            outputs are not read.
        latency_ms_2_threads: the same on two threads.
        frames: number of frames that the timed call looks at; None for ``classify``.
        peak_memory: bytes that loading the file and one call take; None where it cannot be measured.
        operators: how often each operator occurs.
        integer: of the convolutions and dense layers, how many compute in integers, and how many there are.
        delegated: of all operators, how many XNNPACK takes over, and how many there are.
    """

    latency_ms: float
    latency_ms_2_threads: float
    frames: int | None
    peak_memory: int | None
    operators: dict[str, int]
    integer: tuple[int, int]
    delegated: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Verification:
    """The outcome for one file.

    Attributes:
        recipe: name of the recipe.
        bytes: size of the file.
        gzip_bytes: its size as gzip leaves it, which is about what a store's download weighs.
        data: where the compared images and clips came from.
        signatures: the checks, by signature.
        costs: what the signatures cost, ``update`` among them.
        failures: what breaks the recipe's promise; empty if nothing does.
        timing: how the latency was measured.
    """

    recipe: str
    bytes: int
    gzip_bytes: int
    data: str
    signatures: dict[str, SignatureCheck]
    costs: dict[str, SignatureCost]
    failures: tuple[str, ...]
    timing: str = TIMING

    @property
    def passed(self) -> bool:
        """Whether the file may be used."""
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return {**dataclasses.asdict(self), "failures": list(self.failures), "passed": self.passed}


def verify(
    file: bytes,
    checkpoint: Checkpoint,
    recipe: Recipe,
    clips: Sequence[np.ndarray],
    data: str = "clips",
    truth: Sequence[int] | None = None,
) -> Verification:
    """Compare a converted file with the network that it came from, signature by signature, and its storage with its recipe.

    Args:
        file: the TFLite file.
        checkpoint: the network; after fine-tuning, the fine-tuned one.
        recipe: what the file promises.
        clips: uint8 (T, F, F, 3) each, any T of at least 2. Their motion images go to ``classify``; as many of
            their frames as the window has go one by one through ``update`` to ``classify_state``.
        data: where they came from, for the record.
        truth: their label indices, if they are known.

    Returns:
        The outcome; ``failures`` says what is wrong with it. The probabilities are compared after dequantisation.

    Raises:
        InputError: no clips, or clips of another shape than the network's.
    """
    if len(clips) == 0:
        raise InputError("verification must have at least one clip. Received: none")
    found = operators(file)
    sizes = (len(file), len(gzip.compress(file, mtime=0)))
    custom = sorted({name for each in found.values() for name in each.custom})
    if custom or set(found) != set(SIGNATURES):
        # A file that needs more than the built-in operators cannot even be opened by the plain runtime.
        failure = f"operators that are not built in: {', '.join(custom)}" if custom else f"signatures {sorted(found)}"
        return Verification(recipe.name, *sizes, data, {}, {}, (failure,))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        path.write_bytes(file)
        model = TFLiteModel(path)
        checks = _checks(model, checkpoint, clips, truth)
        costs = _costs(model, file, found, clips[0])
    failures = [failure for name, check in checks.items() for failure in _failures(name, check, recipe)]
    if recipe.integer:
        failures += [
            f"{name}: {cost.integer[0]} of {cost.integer[1]} convolutions and dense layers are integer"
            for name, cost in costs.items()
            if cost.integer[0] < cost.integer[1]
        ]
    failures += storage_failures(file, recipe)
    return Verification(recipe.name, *sizes, data, checks, costs, tuple(failures))


def _checks(
    model: TFLiteModel, checkpoint: Checkpoint, clips: Sequence[np.ndarray], truth: Sequence[int] | None
) -> dict[str, SignatureCheck]:
    images = keras_motion_images(checkpoint, clips)
    expected = keras_classify(checkpoint, images)

    def windows() -> Iterator[np.ndarray]:
        return (in_window(clip, model.window) for clip in clips)

    pairs = {
        CLASSIFY: (expected, [model.classify(image) for image in images]),
        CLASSIFY_CLIP: (expected, [model.classify_clip(clip)[0] for clip in clips]),
        CLASSIFY_STATE: (
            keras_classify(checkpoint, keras_motion_images(checkpoint, windows())),
            [stream(model, window) for window in windows()],
        ),
    }
    return {name: _check(keras, np.stack(ours), truth) for name, (keras, ours) in pairs.items()}


def _costs(model: TFLiteModel, file: bytes, found: dict[str, Operators], clip: np.ndarray) -> dict[str, SignatureCost]:
    specs = {name: model.signatures[name].inputs for name in SIGNATURES}
    image = np.full((1, model.input_size, model.input_size, 3), 0.5, np.float32)
    state = model.new_state()
    for frame in in_window(clip, model.window):
        state = model.update(frame, state)
    inputs = {
        CLASSIFY: {MOTION_IMAGE: specs[CLASSIFY][MOTION_IMAGE].quantise(image)},
        CLASSIFY_CLIP: {FRAMES: in_window(clip, TIMED_FRAMES)[None]},
        UPDATE: {FRAME: clip[:1], **state},
        CLASSIFY_STATE: {name: state[name] for name in specs[CLASSIFY_STATE]},
    }
    frames = {CLASSIFY: None, CLASSIFY_CLIP: TIMED_FRAMES, UPDATE: model.window, CLASSIFY_STATE: model.window}
    graphs = alone(file)
    memory, taken = peak_memory(model.path, inputs), delegated(graphs)
    return {
        name: SignatureCost(
            *(latency(ready(graphs[name], inputs[name], threads)) for threads in (1, 2)),
            frames[name],
            memory[name],
            found[name].counts,
            found[name].integer,
            taken[name],
        )
        for name in SIGNATURES
    }


def _check(reference: np.ndarray, answer: np.ndarray, truth: Sequence[int] | None) -> SignatureCheck:
    delta = np.abs(reference.astype(np.float64) - answer)
    labels, ours = reference.argmax(axis=-1), answer.argmax(axis=-1)
    scores: tuple[float | None, ...] = (None,) * 4
    if truth is not None:
        matrices = [confusion.count(truth, predicted, reference.shape[-1]) for predicted in (ours, labels)]
        scores = tuple(float(measure(matrix)) for matrix in matrices for measure in (confusion.accuracy, confusion.uf1))
    return SignatureCheck(
        len(reference),
        float(delta.max()),
        float(delta.mean()),
        float(np.mean(labels == ours)),
        *scores,
    )


def _failures(name: str, check: SignatureCheck, recipe: Recipe) -> list[str]:
    failures = []
    if not np.isfinite(check.max_delta):
        return [f"{name}: NaN among the probabilities"]
    if check.max_delta > recipe.max_delta:
        failures.append(f"{name}: max |delta p| {check.max_delta:.2g}, bound {recipe.max_delta:.2g}")
    if round((1 - check.agreement) * check.images) > lost_at_most(1 - recipe.min_agreement, check.images):
        failures.append(f"{name}: label agreement {check.agreement:.1%}, bound {recipe.min_agreement:.0%}")
    return failures
