"""Recipes: the named ways in which a network becomes a .tflite file, and what each must keep."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

from affnet_tf.errors import InputError, unknown

__all__ = ["RECIPES", "FineTuning", "Recipe", "lost_at_most", "recipe"]


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """How a recipe goes on training the network before it converts it, on motion images of training subjects.

    Attributes:
        method: ``quantise`` (weights and activations rounded as the file will round them, while gradients pass), ``prune``
            (the smallest weights of each layer are set to 0) or ``cluster`` (each layer keeps a few distinct weights).
        epochs: passes over the training images; few, for the network is trained already.
        batch_size: images in a batch.
        learning_rate: of Adam, constant; far below that of training.
        seed: of the order of the images.
        sparsity: of pruning, the share of zeros in the kernels at the end; reached after two thirds of the steps.
        frequency: of pruning, steps between two rounds of it. The toolkit's own default of 100 would prune nothing in a
            fit as short as this one.
        clusters: of clustering, distinct values of each kernel.
    """

    method: str
    epochs: int = 6
    batch_size: int = 16
    learning_rate: float = 2e-4
    seed: int = 0
    sparsity: float = 0.0
    frequency: int = 1
    clusters: int = 0


_KNOWN = {
    "weights": ("float32", "float16", "int8", "int4"),
    "activations": ("float32", "dynamic", "int8", "int16"),
    "interface": ("float32", "int8"),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One way to convert, spelled out.

    Attributes:
        name: as on the command line.
        summary: what it does, in one line.
        weights: how weights are stored: ``float32``, ``float16``, ``int8`` or ``int4`` (depthwise kernels stay ``int8``).
        activations: what the network computes in: ``float32``, ``dynamic`` (8 bits whose range is found anew for each
            image, inside an operator), ``int8`` or ``int16``.
        interface: type of what ``classify`` takes and gives: ``float32`` or ``int8``.
        fine_tuning: what is trained before converting; None: nothing.
        max_delta: bound of |probability - Keras' probability|, over classes, images and both signatures.
        min_agreement: bound of the share of images with the same label as Keras gives; below 1, one image may have another in
            any case, or a single near tie among few images would decide.
        max_accuracy_drop: bound of the accuracy that fine-tuning may cost, before less after, on the training images and on
            the clips that verify; one of them may be lost in any case. None where nothing is fine-tuned.

    The bounds are part of the recipe, whatever a file then reaches: an export that breaks one fails, and ``affnet
    verify`` holds the file to the same ones wherever it goes. After fine-tuning, Keras is the fine-tuned network: the first
    two bounds are about the conversion, and the third about what fine-tuning did to the network as it was trained.

    Raises:
        InputError: a name that names no folder, an unknown type, or fine-tuning without its bound or into other than int8.
    """

    name: str
    summary: str
    max_delta: float
    min_agreement: float
    max_accuracy_drop: float | None = None
    weights: str = "float32"
    activations: str = "float32"
    interface: str = "float32"
    fine_tuning: FineTuning | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w+", self.name):
            raise InputError(
                f"a recipe's name must be letters, digits and _, as it names a folder. Received: {self.name!r}"
            )
        for field, known in _KNOWN.items():
            if getattr(self, field) not in known:
                raise unknown(f"{field} of recipe {self.name!r}", getattr(self, field), known)
        if (self.fine_tuning is None) != (self.max_accuracy_drop is None):
            raise InputError(
                f"recipe {self.name!r} must state max_accuracy_drop if it fine-tunes, and only then. "
                f"Received: {self.max_accuracy_drop!r}"
            )
        if self.fine_tuning is not None and (self.weights, self.activations) != ("int8", "int8"):
            raise InputError(
                f"recipe {self.name!r} must store and compute in int8, since it fine-tunes. "
                f"Received: {self.weights!r} and {self.activations!r}"
            )

    @property
    def integer(self) -> bool:
        """Whether every convolution and dense layer must compute in integers throughout."""
        return self.activations in ("int8", "int16")

    @property
    def needs_calibration(self) -> bool:
        """Whether the ranges of the activations must be measured on motion images of training subjects."""
        return self.integer

    @property
    def needs_labels(self) -> bool:
        """Whether motion images of training subjects are needed with their labels."""
        return self.fine_tuning is not None

    def serves(self, network: str) -> bool:
        """Whether a network may be exported so: the toolkit that fine-tunes refuses layers of the networks to compare with."""
        return self.fine_tuning is None or network == "affectivenet"

    def to_json(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return {**dataclasses.asdict(self), "needs_calibration": self.needs_calibration}


# Of every recipe with 8-bit activations, the worst of all clips: trained networks stay below a quarter of it, while a wrong
# scale or a lost layer breaks it. What it means for an app: a lead of more than 0.4 over the second class is safe.
_INT8 = {"weights": "int8", "activations": "int8", "interface": "int8", "max_delta": 0.2, "min_agreement": 0.98}
# Ours: one in twenty. Fine-tuning is there to keep accuracy; what loses more went wrong, such as by too wide a step.
_TUNED = {**_INT8, "max_accuracy_drop": 0.05}

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="float32",
        summary="the network as it was trained",
        max_delta=1e-5,
        min_agreement=1.0,
    ),
    Recipe(
        name="float16",
        summary="weights stored in 16-bit floating point, computed in 32-bit; half the size, for GPUs",
        weights="float16",
        max_delta=1e-3,
        min_agreement=0.99,
    ),
    Recipe(
        name="dynamic_int8",
        summary="8-bit weights; activations become 8-bit inside each operator; needs no calibration",
        weights="int8",
        activations="dynamic",
        # Half of what 8 bits throughout may cost.
        max_delta=0.1,
        min_agreement=0.99,
    ),
    Recipe(
        name="full_int8",
        summary="8-bit integers throughout the network, in and out; ranges calibrated on training subjects",
        **_INT8,
    ),
    Recipe(
        name="int16x8",
        summary="8-bit weights, 16-bit activations; where 8-bit activations lose too much; slow on CPUs",
        weights="int8",
        activations="int16",
        # Rounding the weights is all that is left, as in dynamic_int8.
        max_delta=0.1,
        min_agreement=0.99,
    ),
    Recipe(
        name="weight4",
        summary="4-bit weights, depthwise kernels 8-bit; activations as in dynamic_int8; the smallest without training",
        weights="int4",
        activations="dynamic",
        # Ours: sixteen levels for a weight. A clip in twenty may change its label, and only where the lead was small.
        max_delta=0.4,
        min_agreement=0.95,
    ),
    Recipe(
        name="qat_int8",
        summary="full_int8 after fine-tuning with the rounding in the loop",
        fine_tuning=FineTuning("quantise"),
        **_TUNED,
    ),
    Recipe(
        name="pruned_int8",
        summary="full_int8 after half of the weights were set to 0 and the rest fine-tuned; smaller once compressed",
        fine_tuning=FineTuning("prune", epochs=9, sparsity=0.5),
        **_TUNED,
    ),
    Recipe(
        name="clustered_int8",
        summary="full_int8 after each kernel was fine-tuned to 32 distinct weights; smaller once compressed",
        fine_tuning=FineTuning("cluster", clusters=32),
        **_TUNED,
    ),
)


def lost_at_most(share: float, count: int) -> int:
    """How many of so many images may be lost under a bound of their share.

    One may in any case, unless the bound is 0: of few images, one whose lead was next to nothing must not decide.
    """
    return max(int(share > 0), math.floor(share * count + 1e-9))


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        InputError: there is none; the message lists those that exist.
    """
    for each in RECIPES:
        if each.name == name:
            return each
    raise unknown("recipe", name, [each.name for each in RECIPES])
