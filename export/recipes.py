"""Recipes: the named ways in which a network becomes a .tflite file, and what each must keep."""

from __future__ import annotations

import dataclasses
from typing import Any

from affnet_tf.errors import unknown

__all__ = ["RECIPES", "Recipe", "recipe"]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One way to convert, spelled out.

    Attributes:
        name: as on the command line.
        summary: what it does, in one line.
        weights: how weights are stored: ``float32`` or ``int8``.
        activations: what the network computes in: ``float32`` or ``int8``.
        interface: type of what ``classify`` takes and gives: ``float32`` or ``int8``.
        max_delta: bound of |probability - Keras' probability|, over classes, images and both signatures.
        min_agreement: bound of the share of images with the same label as Keras gives.

    The bounds are part of the recipe, stated before anything is measured: an export that breaks one fails, and ``affnet
    verify`` holds the file to the same ones wherever it goes.
    """

    name: str
    summary: str
    max_delta: float
    min_agreement: float
    weights: str = "float32"
    activations: str = "float32"
    interface: str = "float32"

    @property
    def needs_calibration(self) -> bool:
        """Whether the ranges of the activations must be measured on motion images of training subjects."""
        return self.activations != "float32"

    def to_json(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return {**dataclasses.asdict(self), "needs_calibration": self.needs_calibration}


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="float32",
        summary="the network as it was trained",
        max_delta=1e-5,
        min_agreement=1.0,
    ),
    Recipe(
        name="full_int8",
        summary="8-bit integers throughout the network, in and out; ranges calibrated on training subjects",
        weights="int8",
        activations="int8",
        interface="int8",
        # The worst of all clips: trained networks stay below a quarter of it, while a wrong scale or a lost layer breaks
        # it. What it means for an app: a lead of more than 0.4 over the second class is safe.
        max_delta=0.2,
        min_agreement=0.98,
    ),
)


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        InputError: there is none; the message lists those that exist.
    """
    for each in RECIPES:
        if each.name == name:
            return each
    raise unknown("recipe", name, [each.name for each in RECIPES])
