"""What a network is made of: its layers with their parameters, multiply-accumulates and receptive fields."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from affnet_tf.config import ExperimentConfig, ModelConfig, check, model_fields, replace
from affnet_tf.errors import InputError
from affnet_tf.files import read_json
from affnet_tf.models.catalogue import network_nodes
from affnet_tf.models.choices import CHOICES
from affnet_tf.models.nodes import CHANNELS, Node, walk
from affnet_tf.places import place_at
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

    walk(network_nodes(config, classes), _Map((config.input_size, config.input_size, CHANNELS), 1, 1), visit)
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
    model = config.model if size is None else replace(config.model, input_size=size)
    classes = (labels or DEFAULT_CLASSES) if classes is None else classes
    check(classes >= 2, "classes", "be at least 2", classes)
    described = describe(model, classes)
    settings = {name: value for name, value in dataclasses.asdict(model).items() if name in model_fields(model.network)}
    choices = CHOICES[model.network]
    facts = PRESETS[what].facts() if what in PRESETS else {}
    document = {
        "name": what,
        "classes": classes,
        "config": settings,
        **facts,
        **dataclasses.asdict(described),
        "choices": [dataclasses.asdict(choice) for choice in choices],
    }
    layers = [
        (row.name, row.kind, "×".join(map(str, row.shape)), row.parameters, row.macs, row.receptive_field)
        for row in described.layers
    ]
    size_text = f"{model.input_size}×{model.input_size}×{CHANNELS}"
    sums = (classes, size_text, described.parameters, described.macs)
    return document, [
        (what, ("layer", "kind", "output", "parameters", "MACs", "receptive field"), layers),
        ("Sums", ("classes", "input", "parameters", "MACs"), [sums]),
        ("Settings of this network", ("setting", "value"), [(f"model.{k}", str(v)) for k, v in settings.items()]),
        *([("The preset", ("", ""), list(facts.items()))] if facts else []),
        (
            "What the paper states, and what is our reading",
            ("choice", "stated", "source or reason"),
            [dataclasses.astuple(choice) for choice in choices],
        ),
    ]


def _read(what: str) -> tuple[ExperimentConfig, int | None]:
    if what in PRESETS:
        return PRESETS[what].config, None
    for folder in (place_at(what) / "model", place_at(what)):
        if (folder / "config.json").is_file():
            document = read_json(folder / "config.json")
            labels = document.get("labels", [])
            names = labels["labels"] if isinstance(labels, dict) else labels
            return ExperimentConfig.from_json(document["config"]), len(names) or None
    if place_at(what).exists():
        raise InputError(f"a network must be a preset, or a checkpoint or run with config.json. Received: {what!r}")
    return preset(what), None


def _apply(node: Node, maps: list[_Map]) -> tuple[_Map, int, int]:
    """What a layer makes of its inputs: the map, the parameters, the multiply-accumulates."""
    first, options = maps[0], node.options
    field, step, shape = max(m.field for m in maps), first.step, first.shape
    if node.kind in ("Conv2D", "DepthwiseConv2D"):
        return _convolve(node, first)
    if node.kind == "Dense":
        units = options["units"]
        return _Map((units,), field, step), (shape[0] + 1) * units, shape[0] * units
    if node.kind == "BatchNormalization":
        return first, 4 * shape[-1], 0
    if node.kind in ("MaxPooling2D", "AveragePooling2D"):
        window, stride = options["pool_size"], options["strides"]
        beyond = 0 if options.get("padding") == "same" else window - 1
        places = tuple(math.ceil((side - beyond) / stride) for side in shape[:2])
        return _Map((*places, shape[2]), field + (window - 1) * step, step * stride), 0, 0
    if node.kind == "Concatenate":
        shape = (*shape[:-1], sum(m.shape[-1] for m in maps))
    elif node.kind == "Flatten":
        # What reads all places together sees what they see together.
        field, shape = field + (shape[0] - 1) * step, (math.prod(shape),)
    elif node.kind == "GlobalAveragePooling2D":
        field = field + (shape[0] - 1) * step
        shape = (1, 1, shape[-1]) if options.get("keepdims") else shape[-1:]
    elif node.kind == "Permute":
        shape = tuple(shape[axis - 1] for axis in options["dims"])
    elif node.kind == "Cropping2D":
        (top, bottom), (left, right) = options["cropping"]
        shape = (shape[0] - top - bottom, shape[1] - left - right, shape[2])
    elif node.kind == "Reshape":
        shape = options["target_shape"]
    return _Map(shape, field, step), 0, 0


def _convolve(node: Node, source: _Map) -> tuple[_Map, int, int]:
    kernel, stride = node.options["kernel_size"], node.options.get("strides", 1)
    height, width, channels = source.shape
    depthwise = node.kind == "DepthwiseConv2D"
    out = channels if depthwise else node.options["filters"]
    weights = kernel * kernel * (out if depthwise else channels * out)
    shape = (math.ceil(height / stride), math.ceil(width / stride), out)
    result = _Map(shape, source.field + (kernel - 1) * source.step, source.step * stride)
    bias = out if node.options.get("use_bias", True) else 0
    return result, weights + bias, weights * shape[0] * shape[1]
