"""How a file stores its weights, operator by operator, held to what the recipe says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from affnet_tf.export.graph import HEAVY, operator_names
from affnet_tf.export.join import read_file
from affnet_tf.export.recipes import Recipe

__all__ = ["storage_failures"]

# Where activations are dynamic, TensorFlow's converter leaves kernels of fewer weights than this in float32.
_LEFT_FLOAT_BELOW = 1024
# Pruning counts whole weights, and ties at the threshold stay: a kernel may lack this many zeros.
_LACKING_ZEROS = 2
_TYPES = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}


def storage_failures(file: bytes, recipe: Recipe) -> list[str]:
    """What the kernels in a file, of convolutions and dense layers, break of a recipe; empty if nothing.

    Each must be stored in the type that the recipe names. Exceptions: depthwise kernels of a 4-bit recipe are ``int8``, and
    kernels of fewer than 1024 weights may be ``float32`` where activations are dynamic in 8 bits, as the converter leaves
    them. After pruning, each kernel but the depthwise ones must have its share of zeros; after clustering, each row of it, with
    the weights of one output, at most so many distinct values: a row has one scale.

    Returns:
        One line for each rule that is broken: the first operator that breaks it, and how many more do.
    """
    broken: dict[str, list[str]] = {}
    for name, tensor, data in _kernels(read_file(file)):
        for rule, received in _failures(name, tensor, data, recipe):
            broken.setdefault(rule, []).append(f"{name} {_label(tensor)}: {received}")
    return [
        f"{found[0]}, must {rule}" + (f"; so {len(found) - 1} more" if len(found) > 1 else "")
        for rule, found in broken.items()
    ]


def _failures(name: str, tensor: Any, data: np.ndarray, recipe: Recipe) -> Iterator[tuple[str, str]]:
    stored, size = _TYPES[tensor.type], int(np.prod(tensor.shape))
    depthwise = name == "DEPTHWISE_CONV_2D"
    expected = "int8" if depthwise and recipe.weights == "int4" else recipe.weights
    small = (recipe.weights, recipe.activations) == ("int8", "dynamic") and size < _LEFT_FLOAT_BELOW
    if stored != expected and not (small and stored == "float32"):
        yield f"be stored in {expected}", f"weights in {stored}"
        return
    settings = recipe.fine_tuning
    if settings is None or depthwise:
        return
    values = data.view(np.int8)  # a recipe that fine-tunes stores int8
    zeros = int(np.sum(values == 0))
    if settings.sparsity and zeros < settings.sparsity * size - _LACKING_ZEROS:
        yield f"have {settings.sparsity:.0%} zeros", f"{zeros / size:.1%} zeros"
    # The rows of a kernel of few weights were not clustered, and have no more values than weights.
    distinct = max(len(np.unique(row)) for row in values.reshape(tensor.shape[0], -1))
    if settings.clusters and distinct > settings.clusters:
        yield f"have at most {settings.clusters} distinct values in a row", f"{distinct} distinct values in a row"


def _kernels(model: Any) -> Iterator[tuple[str, Any, np.ndarray]]:
    """Operator, tensor and stored bytes of every kernel; one that several graphs share comes once."""
    names, seen = operator_names(model), set()
    for graph in model.subgraphs:
        made = {index: operator for operator in graph.operators for index in operator.outputs}
        for operator in graph.operators:
            name = names[operator.opcodeIndex]
            if name not in HEAVY:
                continue
            index = operator.inputs[1]
            while index in made and names[made[index].opcodeIndex] == "DEQUANTIZE":
                index = made[index].inputs[0]
            tensor = graph.tensors[index]
            data = model.buffers[tensor.buffer].data
            if data is None or tensor.buffer in seen:  # computed from what goes in: no weights
                continue
            seen.add(tensor.buffer)
            yield name, tensor, np.asarray(data, np.uint8)


def _label(tensor: Any) -> str:
    return repr((tensor.name or b"").decode())
