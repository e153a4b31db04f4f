"""Keras against the file: an export that does not answer as the network did must not leave the house."""

from __future__ import annotations

import collections
import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from affnet_tf.errors import InputError
from affnet_tf.export.recipes import Recipe
from affnet_tf.export.signatures import keras_classify, keras_classify_clip
from affnet_tf.inference.runtime import CLASSIFY, CLASSIFY_CLIP, MODEL_FILE, TFLiteModel
from affnet_tf.models.checkpoint import Checkpoint

__all__ = ["SignatureCheck", "Verification", "VerificationError", "operators", "verify"]

_HEAVY = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_WARM_UP, _RUNS, _SECONDS = 3, 50, 0.5


class VerificationError(InputError):
    """A converted file does not keep what its recipe promises. The message is one line."""


@dataclasses.dataclass(frozen=True)
class SignatureCheck:
    """One signature of a file beside Keras.

    Attributes:
        images: number of motion images, or of clips, that were compared.
        max_delta: largest |difference| of a probability.
        mean_delta: mean |difference|.
        agreement: share of them with the same label.
        latency_ms: median time of one call on one thread, in milliseconds.
        frames: number of frames in the timed clip; None for ``classify``.
        operators: how often each operator occurs.
        integer: of the convolutions and dense layers, how many compute in integers, and how many there are.
    """

    images: int
    max_delta: float
    mean_delta: float
    agreement: float
    latency_ms: float
    frames: int | None
    operators: dict[str, int]
    integer: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Verification:
    """The outcome for one file.

    Attributes:
        recipe: name of the recipe.
        bytes: size of the file.
        data: where the compared images and clips came from.
        signatures: the checks, by signature.
        failures: what breaks the recipe's promise; empty if nothing does.
    """

    recipe: str
    bytes: int
    data: str
    signatures: dict[str, SignatureCheck]
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the file may be used."""
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return {**dataclasses.asdict(self), "failures": list(self.failures), "passed": self.passed}


def verify(
    file: bytes, checkpoint: Checkpoint, recipe: Recipe, clips: Sequence[np.ndarray], data: str = "clips"
) -> Verification:
    """Compare a converted file with the network that it came from, signature by signature.

    Args:
        file: the TFLite file.
        checkpoint: the network.
        recipe: what the file promises.
        clips: uint8 (T, F, F, 3) each, any T of at least 2. Their motion images go to ``classify``.
        data: where they came from, for the record.

    Returns:
        The outcome; ``failures`` says what is wrong with it. The probabilities are compared after dequantisation.

    Raises:
        InputError: no clips, or clips of another shape than the network's.
    """
    if len(clips) == 0:
        raise InputError("verification must have at least one clip. Received: none")
    found = operators(file)
    custom = sorted({name for ops, _ in found.values() for name in ops if name.startswith("CUSTOM")})
    if custom or set(found) != {CLASSIFY, CLASSIFY_CLIP}:
        # A file that needs more than the built-in operators cannot even be opened by the plain runtime.
        failure = f"operators that are not built in: {', '.join(custom)}" if custom else f"signatures {sorted(found)}"
        return Verification(recipe.name, len(file), data, {}, (failure,))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        path.write_bytes(file)
        model = TFLiteModel(path)
        expected = [keras_classify_clip(checkpoint, clip) for clip in clips]
        images = [image for _, image in expected]
        answers = {
            CLASSIFY: [model.classify(image) for image in images],
            CLASSIFY_CLIP: [model.classify_clip(clip)[0] for clip in clips],
        }
        references = {
            CLASSIFY: [keras_classify(checkpoint, image) for image in images],
            CLASSIFY_CLIP: [probabilities for probabilities, _ in expected],
        }
        latency = {
            CLASSIFY: _latency(lambda: model.classify(images[0])),
            CLASSIFY_CLIP: _latency(lambda: model.classify_clip(clips[0])),
        }
    checks = {
        name: _check(
            np.stack(references[name]),
            np.stack(answers[name]),
            latency[name],
            len(clips[0]) if name == CLASSIFY_CLIP else None,
            *found[name],
        )
        for name in (CLASSIFY, CLASSIFY_CLIP)
    }
    failures = [failure for name, check in checks.items() for failure in _failures(name, check, recipe)]
    return Verification(recipe.name, len(file), data, checks, tuple(failures))


def operators(file: bytes) -> dict[str, tuple[dict[str, int], tuple[int, int]]]:
    """The operators of each signature, and how many of its convolutions and dense layers are integer, of how many.

    Operators that are not built in (Flex and other custom ones) are named ``CUSTOM …``.
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(file), 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = []
    for code in model.operatorCodes:
        name = names.get(code.builtinCode, f"CUSTOM {code.builtinCode}")
        codes.append(f"CUSTOM {(code.customCode or b'').decode()}" if name == "CUSTOM" else name)
    integers = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT4, schema.TensorType.INT16)
    found = {}
    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        counts = collections.Counter(codes[operator.opcodeIndex] for operator in graph.operators)
        heavy = [operator for operator in graph.operators if codes[operator.opcodeIndex] in _HEAVY]
        integer = sum(
            all(graph.tensors[index].type in integers for index in (*operator.inputs[:2], operator.outputs[0]))
            for operator in heavy
        )
        found[signature.signatureKey.decode()] = (dict(counts.most_common()), (integer, len(heavy)))
    return found


def _check(
    reference: np.ndarray,
    answer: np.ndarray,
    latency: float,
    frames: int | None,
    counts: dict[str, int],
    integer: tuple[int, int],
) -> SignatureCheck:
    delta = np.abs(reference.astype(np.float64) - answer)
    agreement = float(np.mean(reference.argmax(axis=-1) == answer.argmax(axis=-1)))
    return SignatureCheck(
        len(reference), float(delta.max()), float(delta.mean()), agreement, latency, frames, counts, integer
    )


def _failures(name: str, check: SignatureCheck, recipe: Recipe) -> list[str]:
    failures = []
    if not np.isfinite(check.max_delta):
        return [f"{name}: NaN among the probabilities"]
    if check.max_delta > recipe.max_delta:
        failures.append(f"{name}: max |delta p| {check.max_delta:.2g}, bound {recipe.max_delta:.2g}")
    if check.agreement < recipe.min_agreement:
        failures.append(f"{name}: label agreement {check.agreement:.1%}, bound {recipe.min_agreement:.0%}")
    if recipe.activations != "float32" and check.integer[0] < check.integer[1]:
        failures.append(f"{name}: {check.integer[0]} of {check.integer[1]} convolutions and dense layers are integer")
    return failures


def _latency(call: Callable[[], Any]) -> float:
    for _ in range(_WARM_UP):
        call()
    times: list[float] = []
    while len(times) < _RUNS and sum(times) < _SECONDS:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1000)
