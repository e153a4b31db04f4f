"""A network as a list of nodes: stock layers and how they are wired; and AffectiveNet's. No framework is imported here.

The Keras layers walk this list over their sublayers; a flat graph of stock layers, which quantisation-aware training needs,
walks the same list; and so does whoever counts parameters. None of them can drift from the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from affnet_tf.config import ModelConfig
from affnet_tf.errors import InputError

__all__ = [
    "CHANNELS",
    "INPUT",
    "Node",
    "Wiring",
    "around_blocks",
    "logits_node",
    "mfl_nodes",
    "microfeat_nodes",
    "nodes",
    "walk",
]

CHANNELS = 3
INPUT = "input"


@dataclasses.dataclass(frozen=True)
class Node:
    """One stock layer of a block: its name, its class in ``keras.layers``, what it reads, and its arguments."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def layer(self, layers: Any, **options: Any) -> Any:
        """The layer itself, from ``keras.layers`` or ``tf_keras.layers``."""
        return getattr(layers, self.kind)(name=self.name, **self.options, **options)

    @property
    def policy(self) -> dict[str, str]:
        """The precision of the layer, where it must not be the global one: logits are float32."""
        return {"dtype": "float32"} if self.name == "logits" else {}


class Wiring:
    """A list of nodes in the making. Each method adds nodes and returns the name of the last, to be read by the next."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def add(self, name: str, kind: str, *inputs: str, **options: Any) -> str:
        """One stock layer."""
        self.nodes.append(Node(name, kind, inputs, options))
        return name

    def centre(self) -> str:
        """The motion image from [0, 1] to [-1, 1]: what does not move becomes 0."""
        return self.add("centre", "Rescaling", INPUT, scale=2.0, offset=-1.0)

    def norm(self, name: str, source: str) -> str:
        """Batch normalisation, as everywhere here."""
        self.nodes.append(_norm(name, source))
        return name

    def conv_relu(self, name: str, source: str, filters: int, kernel: int, stride: int = 1) -> str:
        """A convolution with bias, same padding, and ReLU."""
        options = {"filters": filters, "kernel_size": kernel, "strides": stride, "padding": "same"}
        return self.add(f"{name}_relu", "ReLU", self.add(f"{name}_conv", "Conv2D", source, **options))

    def dense_relu(self, name: str, source: str, units: int) -> str:
        """A dense layer and ReLU."""
        return self.add(f"{name}_relu", "ReLU", self.add(f"{name}_dense", "Dense", source, units=units))

    def classify(self, source: str, classes: int, dropout: float = 0.0) -> list[Node]:
        """Dropout if there is any, the logits, and with them the whole list."""
        if dropout:
            source = self.add("dropout", "Dropout", source, rate=dropout)
        self.nodes.append(logits_node(source, classes))
        return self.nodes


def logits_node(source: str, classes: int, **options: Any) -> Node:
    """The classifier that ends every network.

    Raises:
        InputError: ``classes`` is below 2.
    """
    if classes < 2:
        raise InputError(f"a network must have at least 2 classes. Received: {classes}")
    return Node("logits", "Dense", (source,), {"units": classes, **options})


def _norm(name: str, source: str) -> Node:
    """Batch normalisation. Its running averages must settle within the few hundred steps that small data allows."""
    return Node(name, "BatchNormalization", (source,), {"momentum": 0.9})


def walk(nodes: Sequence[Node], source: Any, apply: Callable[[Node, Any], Any]) -> Any:
    """Carry ``source`` through the nodes in order; ``apply`` gets a node and its input (a list if it reads several)."""
    values = {INPUT: source}
    for node in nodes:
        read = [values[name] for name in node.inputs]
        values[node.name] = apply(node, read[0] if len(read) == 1 else read)
    return values[nodes[-1].name]


def microfeat_nodes(
    kernels: Sequence[int], widths: Sequence[int], depthwise: bool, exchange: bool, normalise: str
) -> list[Node]:
    """The MICRoFeat block: parallel streams, one for each kernel size, every stage of stride 2, joined at the end.

    After each stage a stream adds its neighbour: the finer one in the first stage, the coarser one in the second, and so
    on in turn, so that features travel both ways and two streams never become equal.
    """
    nodes: list[Node] = []
    streams = [INPUT] * len(kernels)
    for stage, width in enumerate(widths):
        before = [
            _stream_stage(nodes, f"stage{stage + 1}_stream{i + 1}", source, kernel, width, depthwise, normalise)
            for i, (source, kernel) in enumerate(zip(streams, kernels, strict=True))
        ]
        streams = []
        for i, name in enumerate(before):
            prefix = f"stage{stage + 1}_stream{i + 1}"
            neighbour = i - 1 if stage % 2 == 0 else i + 1
            if exchange and 0 <= neighbour < len(before):
                nodes.append(Node(f"{prefix}_exchange", "Add", (name, before[neighbour])))
                name = nodes[-1].name
            if normalise == "after_exchange":
                nodes.append(_norm(f"{prefix}_norm", name))
                name = nodes[-1].name
            streams.append(name)
    if len(streams) > 1:
        nodes.append(Node("streams", "Concatenate", tuple(streams)))
    return nodes


def mfl_nodes(channels: int, taps: Sequence[str], tap_channels: Sequence[int], dense: int) -> list[Node]:
    """The MFL block: the map before and the map after the last convolution, each projected, then joined.

    ``taps`` may name one of the two alone. With only ``before`` there is no last convolution.
    """
    nodes: list[Node] = []
    maps = {"before": INPUT}
    if "after" in taps:
        maps["after"] = _conv_norm_relu(nodes, "last", INPUT, channels, 3, 2)
    projections = []
    for tap, reduced in zip(("before", "after"), tap_channels, strict=True):
        if tap in taps:
            name = _conv_norm_relu(nodes, f"{tap}_reduce", maps[tap], reduced, 1, 1)
            nodes.append(Node(f"{tap}_flatten", "Flatten", (name,)))
            nodes.append(Node(f"{tap}_project", "Dense", (f"{tap}_flatten",), {"units": dense}))
            nodes.append(Node(f"{tap}_project_relu", "ReLU", (f"{tap}_project",)))
            projections.append(f"{tap}_project_relu")
    if len(projections) > 1:
        nodes.append(Node("taps", "Concatenate", tuple(projections)))
    return nodes


def nodes(config: ModelConfig, classes: int) -> list[Node]:
    """The whole AffectiveNet as one list of stock layers, in the order of computation."""
    before, after = around_blocks(config, classes)
    blocks = [
        before,
        microfeat_nodes(config.kernels, config.widths, config.depthwise, config.exchange, config.normalise),
    ]
    if config.mfl:
        blocks.append(mfl_nodes(config.last_channels, config.taps, config.tap_channels, config.dense))
    chained: list[Node] = []
    for block in [*blocks, after]:
        source = chained[-1].name if chained else INPUT
        chained += [
            Node(node.name, node.kind, tuple(source if name == INPUT else name for name in node.inputs), node.options)
            for node in block
        ]
    return chained


def around_blocks(config: ModelConfig, classes: int) -> tuple[list[Node], list[Node]]:
    """What stands before MICRoFeat (centring, the stem) and after MFL (dropout, the classifier)."""
    before = [Node("centre", "Rescaling", (INPUT,), {"scale": 2.0, "offset": -1.0})]
    if config.stem:
        options = {"filters": config.stem, "kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False}
        before += [
            Node("stem_conv", "Conv2D", ("centre",), options),
            _norm("stem_norm", "stem_conv"),
            Node("stem_relu", "ReLU", ("stem_norm",)),
        ]
    after: list[Node] = []
    if not config.mfl:
        options = {
            "filters": config.last_channels,
            "kernel_size": 3,
            "strides": 2,
            "padding": "same",
            "use_bias": False,
        }
        after += [
            Node("last_conv", "Conv2D", (INPUT,), options),
            _norm("last_norm", "last_conv"),
            Node("last_relu", "ReLU", ("last_norm",)),
            Node("pool", "GlobalAveragePooling2D", ("last_relu",)),
        ]
    source = after[-1].name if after else INPUT
    if config.dropout:
        after.append(Node("dropout", "Dropout", (source,), {"rate": config.dropout}))
        source = "dropout"
    after.append(logits_node(source, classes))
    return before, after


def _conv_norm_relu(nodes: list[Node], prefix: str, source: str, width: int, kernel: int, stride: int) -> str:
    options = {"filters": width, "kernel_size": kernel, "strides": stride, "padding": "same", "use_bias": False}
    nodes.append(Node(f"{prefix}_conv", "Conv2D", (source,), options))
    nodes.append(_norm(f"{prefix}_norm", f"{prefix}_conv"))
    nodes.append(Node(f"{prefix}_relu", "ReLU", (f"{prefix}_norm",)))
    return nodes[-1].name


def _stream_stage(
    nodes: list[Node], prefix: str, source: str, kernel: int, width: int, depthwise: bool, normalise: str
) -> str:
    options = {"kernel_size": kernel, "strides": 2, "padding": "same"}
    if depthwise:
        for name, size, stride in _depthwise_steps(kernel):
            sized = {"kernel_size": size, "strides": stride, "padding": "same", "use_bias": False}
            nodes.append(Node(f"{prefix}_{name}", "DepthwiseConv2D", (source,), sized))
            source = nodes[-1].name
        options = {"kernel_size": 1}
    if normalise == "before_exchange":
        if depthwise:
            return _conv_norm_relu(nodes, prefix, source, width, 1, 1)
        return _conv_norm_relu(nodes, prefix, source, width, kernel, 2)
    nodes.append(Node(f"{prefix}_conv", "Conv2D", (source,), {"filters": width, **options}))
    nodes.append(Node(f"{prefix}_relu", "ReLU", (nodes[-1].name,)))
    return nodes[-1].name


def _depthwise_steps(kernel: int) -> list[tuple[str, int, int]]:
    """Name, kernel and stride of the depthwise convolutions that see as far as one k×k of stride 2.

    Above 5×5 two small ones reach exactly as far (first + 2(second - 1) = k): integer kernels of phones have fast paths for
    3×3 and 5×5 alone.
    """
    if kernel <= 5:
        return [("depthwise", kernel, 2)]
    first = 5 if (kernel - 5) % 4 == 0 else 3
    return [("depthwise", first, 2), ("wider", (kernel - first) // 2 + 1, 1)]
