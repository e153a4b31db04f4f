"""What a network is made of: its layers with their parameters, multiply-accumulates and receptive fields."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from affnet_tf.config import ExperimentConfig, ModelConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.files import read_json
from affnet_tf.models.choices import CHOICES
from affnet_tf.models.nodes import CHANNELS, Node, nodes, walk
from affnet_tf.presets import PRESETS, preset

__all__ = ["Description", "LayerRow", "describe", "describe_network"]

DEFAULT_CLASSES = 4


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One stock layer: output shape without the batch, parameters, multiply-accumulates, receptive field in pixels."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    receptive_field: int


@dataclasses.dataclass(frozen=True)
class Description:
    """All layers of a network in the order of computation, and their sums."""

    layers: tuple[LayerRow, ...]
    parameters: int
    macs: int


@dataclasses.dataclass(frozen=True)
class _Map:
    """A feature map during the walk: its shape, its receptive field, and the input pixels between two neighbours."""

    shape: tuple[int, ...]
    field: int
    step: int


def describe(config: ModelConfig, classes: int) -> Description:
    """Count parameters, multiply-accumulates (of convolutions and dense layers, for one motion image) and receptive fields.

    Nothing is built and no framework is started: the counts follow from the node list.
    """
    rows: list[LayerRow] = []

    def visit(node: Node, maps: Any) -> _Map:
        maps = maps if isinstance(maps, list) else [maps]
        result, parameters, macs = _apply(node, maps)
        rows.append(LayerRow(node.name, node.kind, result.shape, parameters, macs, result.field))
        return result

    walk(nodes(config, classes), _Map((config.input_size, config.input_size, CHANNELS), 1, 1), visit)
    return Description(tuple(rows), sum(row.parameters for row in rows), sum(row.macs for row in rows))


def describe_network(
    what: str, classes: int | None = None, size: int | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """A preset, a checkpoint or a run, as a JSON-ready document and as tables (title, columns, rows).

    Args:
        what: a preset's name, or the folder of a checkpoint or run.
        classes: number of labels; by default the checkpoint's, or 4.
        size: height and width of the motion image; by default the config's.

    Raises:
        InputError: neither a preset nor a folder with a config.json.
    """
    config, labels = _read(what)
    model = replace(config.model, input_size=size) if size else config.model
    classes = classes or labels or DEFAULT_CLASSES
    described = describe(model, classes)
    document = {
        "name": what,
        "classes": classes,
        "config": dataclasses.asdict(model),
        **dataclasses.asdict(described),
        "choices": [dataclasses.asdict(choice) for choice in CHOICES],
    }
    layers = [
        (row.name, row.kind, "×".join(map(str, row.shape)), row.parameters, row.macs, row.receptive_field)
        for row in described.layers
    ]
    return document, [
        (what, ("layer", "kind", "output", "parameters", "MACs", "receptive field"), layers),
        (
            "Sums",
            ("classes", "input", "parameters", "MACs"),
            [(classes, f"{model.input_size}×{model.input_size}×{CHANNELS}", described.parameters, described.macs)],
        ),
        (
            "What the paper states, and what is our reading",
            ("choice", "stated", "source or reason"),
            [dataclasses.astuple(choice) for choice in CHOICES],
        ),
    ]


def _read(what: str) -> tuple[ExperimentConfig, int | None]:
    if what in PRESETS:
        return PRESETS[what], None
    for folder in (Path(what) / "model", Path(what)):
        if (folder / "config.json").is_file():
            document = read_json(folder / "config.json")
            labels = document.get("labels", [])
            names = labels["labels"] if isinstance(labels, dict) else labels
            return ExperimentConfig.from_json(document["config"]), len(names) or None
    if Path(what).exists():
        raise InputError(f"a network must be a preset, or a checkpoint or run with config.json. Received: {what!r}")
    return preset(what), None


def _apply(node: Node, maps: list[_Map]) -> tuple[_Map, int, int]:
    first, options = maps[0], node.options
    field, step = max(m.field for m in maps), first.step
    if node.kind in ("Conv2D", "DepthwiseConv2D"):
        kernel, stride = options["kernel_size"], options.get("strides", 1)
        height, width, channels = first.shape
        out = channels if node.kind == "DepthwiseConv2D" else options["filters"]
        weights = kernel * kernel * (out if node.kind == "DepthwiseConv2D" else channels * out)
        shape = (math.ceil(height / stride), math.ceil(width / stride), out)
        result = _Map(shape, field + (kernel - 1) * step, step * stride)
        return result, weights + (out if options.get("use_bias", True) else 0), weights * shape[0] * shape[1]
    if node.kind == "Dense":
        units = options["units"]
        return _Map((units,), field, step), (first.shape[0] + 1) * units, first.shape[0] * units
    if node.kind == "BatchNormalization":
        return first, 4 * first.shape[-1], 0
    shape = first.shape
    if node.kind == "Concatenate":
        shape = (*shape[:-1], sum(m.shape[-1] for m in maps))
    elif node.kind == "Flatten":
        # What reads all places together sees what they see together.
        field, shape = field + (shape[0] - 1) * step, (math.prod(shape),)
    elif node.kind == "GlobalAveragePooling2D":
        field, shape = field + (shape[0] - 1) * step, shape[-1:]
    return _Map(shape, field, step), 0, 0
