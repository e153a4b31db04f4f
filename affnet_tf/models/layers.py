"""MICRoFeat and MFL as Keras layers: each walks its list of nodes over sublayers of the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from affnet_tf.errors import InputError, unknown
from affnet_tf.models.nodes import Node, mfl_nodes, microfeat_nodes, walk

__all__ = ["MFL", "MICRoFeat"]


class _Block(keras.layers.Layer):
    """A layer that walks its nodes over sublayers of the same names."""

    def __init__(self, nodes: Sequence[Node], **options: Any) -> None:
        super().__init__(**options)
        self._nodes = list(nodes)
        self.sublayers = [node.layer(keras.layers, dtype=self.dtype_policy) for node in nodes]
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
        if not widths or any(w < 1 for w in widths):
            raise InputError(f"widths must be positive, one for each stage. Received: {widths!r}")
        if normalise not in ("after_exchange", "before_exchange"):
            raise unknown("normalise", normalise, ("after_exchange", "before_exchange"))
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
        if len(tap_channels) != 2 or min(tap_channels) < 1:
            raise InputError(f"tap_channels must be two positive numbers. Received: {tap_channels!r}")
        super().__init__(mfl_nodes(channels, taps, tap_channels, dense), **options)
        self._arguments = {
            "channels": channels,
            "taps": list(taps),
            "tap_channels": list(tap_channels),
            "dense": dense,
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._arguments}
