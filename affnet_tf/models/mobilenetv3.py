"""MobileNetV3-Small, what anyone would try first, as a list of nodes."""

from __future__ import annotations

from affnet_tf.config import ModelConfig
from affnet_tf.models.nodes import Node, Wiring

__all__ = ["mobilenetv3small_nodes"]

# Table 2 of the paper, a bottleneck a row: kernel, expanded channels, channels, squeeze-and-excite, activation, stride.
_BOTTLENECKS = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_silu", 2),
    (5, 240, 40, True, "hard_silu", 1),
    (5, 240, 40, True, "hard_silu", 1),
    (5, 120, 48, True, "hard_silu", 1),
    (5, 144, 48, True, "hard_silu", 1),
    (5, 288, 96, True, "hard_silu", 2),
    (5, 576, 96, True, "hard_silu", 1),
    (5, 576, 96, True, "hard_silu", 1),
)


def mobilenetv3small_nodes(config: ModelConfig, classes: int) -> list[Node]:
    """MobileNetV3-Small, width 1, not the minimalistic one (Howard et al., ICCV 2019, arXiv 1905.02244); any size.

    As ``keras.applications.MobileNetV3Small`` builds it, whose answers it gives with the same weights, but for the momentum
    of batch normalisation (0.9 in place of 0.999, which a few hundred steps would leave at the start). No weights of ImageNet:
    a motion image is no photograph, and the comparison is one of networks. 1,534,068 parameters for 4 classes.

    Args:
        config: ``input_size``, at least 32, and ``dropout`` (0.2 in ``keras.applications``).
        classes: number of labels.
    """
    net = Wiring()
    source = _conv(net, "first", net.centre(), 16, 3, 2, "hard_silu")
    channels = 16
    for index, (kernel, expanded, out, squeeze, activation, stride) in enumerate(_BOTTLENECKS, start=1):
        name = f"block{index}"
        inner = source
        if expanded != channels:
            inner = _conv(net, f"{name}_expand", inner, expanded, 1, 1, activation)
        options = {"kernel_size": kernel, "strides": stride, "padding": "same", "use_bias": False}
        inner = net.add(f"{name}_depthwise", "DepthwiseConv2D", inner, **options)
        inner = _activated(net, f"{name}_depthwise", net.norm(f"{name}_depthwise_norm", inner), activation)
        if squeeze:
            inner = _squeeze_excite(net, name, inner, expanded)
        inner = _conv(net, f"{name}_narrow", inner, out, 1, 1, None)
        if stride == 1 and out == channels:
            inner = net.add(f"{name}_add", "Add", source, inner)
        source, channels = inner, out
    source = net.add("pool", "GlobalAveragePooling2D", _conv(net, "wide", source, 576, 1, 1, "hard_silu"))
    source = _activated(net, "hidden", net.add("hidden_dense", "Dense", source, units=1024), "hard_silu")
    return net.classify(source, classes, config.dropout)


def _conv(net: Wiring, name: str, source: str, filters: int, kernel: int, stride: int, activation: str | None) -> str:
    options = {"filters": filters, "kernel_size": kernel, "strides": stride, "padding": "same", "use_bias": False}
    source = net.norm(f"{name}_norm", net.add(f"{name}_conv", "Conv2D", source, **options))
    return _activated(net, name, source, activation) if activation else source


def _activated(net: Wiring, name: str, source: str, activation: str) -> str:
    if activation == "relu":
        return net.add(f"{name}_relu", "ReLU", source)
    return net.add(f"{name}_{activation}", "Activation", source, activation=activation)


def _squeeze_excite(net: Wiring, name: str, source: str, channels: int) -> str:
    """Each channel times a gate in [0, 1] that sees the means of all channels."""
    squeezed = (channels // 4 + 4) // 8 * 8  # a quarter of the channels, to the nearest multiple of 8
    gate = net.add(f"{name}_mean", "GlobalAveragePooling2D", source, keepdims=True)
    gate = net.conv_relu(f"{name}_squeeze", gate, squeezed, 1)
    gate = net.add(f"{name}_excite_conv", "Conv2D", gate, filters=channels, kernel_size=1, padding="same")
    gate = net.add(f"{name}_gate", "Activation", gate, activation="hard_sigmoid")
    return net.add(f"{name}_gated", "Multiply", source, gate)
