"""MICRoFeat and MFL as Keras layers.

Each block is written once, as a list of nodes (stock layers and how they are wired). The Keras layer walks that list over
its sublayers; a flat graph of stock layers, which quantisation-aware training needs, walks the same list. Neither can
drift from the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from affnet_tf.errors import InputError

__all__ = ["MFL", "INPUT", "MICRoFeat", "Node", "mfl_nodes", "microfeat_nodes", "norm", "walk"]

INPUT = "input"


@dataclasses.dataclass(frozen=True)
class Node:
    """One stock layer of a block: its name, its class in ``keras.layers``, what it reads, and its arguments."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def layer(self, layers: Any = keras.layers, **options: Any) -> Any:
        """The layer itself, from ``keras.layers`` or ``tf_keras.layers``."""
        return getattr(layers, self.kind)(name=self.name, **self.options, **options)


def norm(name: str, source: str) -> Node:
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
                nodes.append(norm(f"{prefix}_norm", name))
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


class _Block(keras.layers.Layer):
    """A layer that walks its nodes over sublayers of the same names."""

    def __init__(self, nodes: Sequence[Node], **options: Any) -> None:
        super().__init__(**options)
        self._nodes = list(nodes)
        self.sublayers = [node.layer(dtype=self.dtype_policy) for node in nodes]
        self._by_name = {layer.name: layer for layer in self.sublayers}

    def build(self, input_shape: tuple) -> None:
        def build(node: Node, shape: Any) -> tuple:
            self._by_name[node.name].build(shape)
            return self._by_name[node.name].compute_output_shape(shape)

        walk(self._nodes, tuple(input_shape), build)

    def call(self, inputs: Any) -> Any:
        return walk(self._nodes, inputs, lambda node, value: self._by_name[node.name](value))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return walk(
            self._nodes, tuple(input_shape), lambda node, shape: self._by_name[node.name].compute_output_shape(shape)
        )


@keras.saving.register_keras_serializable("affnet_tf")
class MICRoFeat(_Block):
    """Parallel convolutions of several kernel sizes: (B, H, W, C) -> (B, ceil(H / 2^S), ceil(W / 2^S), streams · width_S).

    "MICRoFeat conserves the scale-invariant features, to capture both coarse and tiny edge variations" is all that the
    paper's abstract says; the rest is our reading, see ``docs/architecture.md``.

    Args:
        kernels: odd kernel sizes, one stream each.
        widths: channels of a stream after each of the S stages.
        depthwise: a depthwise k×k and a 1×1 convolution in place of a full k×k one.
        exchange: neighbouring streams add their features after each stage.
        normalise: ``after_exchange`` or ``before_exchange``.
    """

    def __init__(
        self,
        kernels: Sequence[int] = (3, 5, 7, 11),
        widths: Sequence[int] = (16, 32, 64),
        depthwise: bool = False,
        exchange: bool = True,
        normalise: str = "after_exchange",
        **options: Any,
    ) -> None:
        if not kernels or any(k < 1 or k % 2 == 0 for k in kernels):
            raise InputError(f"kernels must be odd and positive, one for each stream. Received: {kernels!r}")
        super().__init__(microfeat_nodes(kernels, widths, depthwise, exchange, normalise), **options)
        self._arguments = {
            "kernels": list(kernels),
            "widths": list(widths),
            "depthwise": depthwise,
            "exchange": exchange,
            "normalise": normalise,
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._arguments}


@keras.saving.register_keras_serializable("affnet_tf")
class MFL(_Block):
    """Two intermediate maps, projected and joined: (B, H, W, C) -> (B, dense · taps).

    "MFL learns micro-level dynamic variation from two different intermediate convolutional layers" is what the paper's
    abstract says; the rest is our reading, see ``docs/architecture.md``.

    Args:
        channels: channels of the last convolution (3×3, stride 2), which lies between the two maps.
        taps: ``before`` and ``after`` that convolution, or one of them.
        tap_channels: channels to which 1×1 convolutions reduce the two maps.
        dense: units of each projection.
    """

    def __init__(
        self,
        channels: int = 128,
        taps: Sequence[str] = ("before", "after"),
        tap_channels: Sequence[int] = (16, 32),
        dense: int = 128,
        **options: Any,
    ) -> None:
        if not taps or any(tap not in ("before", "after") for tap in taps):
            raise InputError(f"taps must be among 'before' and 'after', at least one. Received: {taps!r}")
        super().__init__(mfl_nodes(channels, taps, tap_channels, dense), **options)
        self._arguments = {
            "channels": channels,
            "taps": list(taps),
            "tap_channels": list(tap_channels),
            "dense": dense,
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._arguments}


def _conv_norm_relu(nodes: list[Node], prefix: str, source: str, width: int, kernel: int, stride: int) -> str:
    options = {"filters": width, "kernel_size": kernel, "strides": stride, "padding": "same", "use_bias": False}
    nodes.append(Node(f"{prefix}_conv", "Conv2D", (source,), options))
    nodes.append(norm(f"{prefix}_norm", f"{prefix}_conv"))
    nodes.append(Node(f"{prefix}_relu", "ReLU", (f"{prefix}_norm",)))
    return nodes[-1].name


def _stream_stage(
    nodes: list[Node], prefix: str, source: str, kernel: int, width: int, depthwise: bool, normalise: str
) -> str:
    options = {"kernel_size": kernel, "strides": 2, "padding": "same"}
    if depthwise:
        nodes.append(Node(f"{prefix}_depthwise", "DepthwiseConv2D", (source,), {**options, "use_bias": False}))
        source, options = nodes[-1].name, {"kernel_size": 1}
    if normalise == "before_exchange":
        if depthwise:
            return _conv_norm_relu(nodes, prefix, source, width, 1, 1)
        return _conv_norm_relu(nodes, prefix, source, width, kernel, 2)
    nodes.append(Node(f"{prefix}_conv", "Conv2D", (source,), {"filters": width, **options}))
    nodes.append(Node(f"{prefix}_relu", "ReLU", (nodes[-1].name,)))
    return nodes[-1].name
