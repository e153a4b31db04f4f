"""The same convolutions, computed in a way that is faster for many folds on a GPU.

A convolution of stride 2 reads 2×2 blocks of pixels as channels here: its kernel is half as large then, with four times the
channels and stride 1. Where that leaves a kernel of 2×2 at most, the convolution is one product of matrices, as a 1×1 one is.
The sums are the same but for their order. It matters where ``jax.vmap`` maps over the kernels of many folds on a GPU: that
makes one convolution with a group for each fold, which libraries compute slowly where a group has few channels and strides. On
CPUs it brings nothing.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

__all__ = ["convolve", "rewritten"]

# Kernels up to this size are unfolded: neighbours are copied into channels, and one product of matrices does the rest.
_UNFOLDED = 2


@contextlib.contextmanager
def rewritten(model: keras.Model) -> Iterator[None]:
    """Inside, a network's convolutions of stride 2 and of 1×1 are computed by ``convolve``; depthwise ones stay as they are.

    What is traced inside keeps that; the network itself is afterwards what it was.
    """
    layers = [each for each in model._flatten_layers() if type(each) is keras.layers.Conv2D and _can(each)]
    try:
        for layer in layers:
            layer.convolution_op = functools.partial(convolve, stride=layer.strides[0])
        yield
    finally:
        for layer in layers:
            del layer.convolution_op


def convolve(images: Any, kernel: Any, stride: int) -> Any:
    """A convolution with same padding.

    Args:
        images: (B, H, W, C).
        kernel: (k, l, C, O); both sizes are 1 if ``stride`` is.
        stride: 1 or 2.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), O).
    """
    images, kernel = ops.convert_to_tensor(images), ops.convert_to_tensor(kernel)
    if stride == 2:
        images, kernel = _blocks(images, kernel)
    rows, columns, _, filters = kernel.shape
    if max(rows, columns) > _UNFOLDED:
        return ops.conv(images, kernel, padding="valid", data_format="channels_last")
    height, width = images.shape[1] - rows + 1, images.shape[2] - columns + 1
    places = [images[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    return ops.matmul(ops.concatenate(places, axis=-1), ops.reshape(kernel, (-1, filters)))


def _blocks(images: Any, kernel: Any) -> tuple[Any, Any]:
    """Images and kernel with 2×2 pixels as channels, padded so that a valid convolution of stride 1 is the one wanted."""
    padding, halves = [], []
    for size, taps in zip(images.shape[1:3], kernel.shape[:2], strict=True):
        out, half = -(-size // 2), -(-taps // 2)
        before = max(2 * (out - 1) + taps - size, 0) // 2
        padding.append((before, 2 * (out - 1 + half) - size - before))
        halves.append(half)
    images = ops.pad(images, [(0, 0), *padding, (0, 0)])
    fill = [(0, 2 * half - taps) for half, taps in zip(halves, kernel.shape[:2], strict=True)]
    kernel = ops.pad(kernel, [*fill, (0, 0), (0, 0)])
    height, width, channels = (images.shape[1] // 2, images.shape[2] // 2, images.shape[3])
    images = ops.reshape(images, (-1, height, 2, width, 2, channels))
    images = ops.reshape(ops.transpose(images, (0, 1, 3, 2, 4, 5)), (-1, height, width, 4 * channels))
    kernel = ops.reshape(kernel, (halves[0], 2, halves[1], 2, channels, kernel.shape[3]))
    kernel = ops.transpose(kernel, (0, 2, 1, 3, 4, 5))
    return images, ops.reshape(kernel, (*halves, 4 * channels, kernel.shape[-1]))


def _can(layer: keras.layers.Conv2D) -> bool:
    plain = layer.padding == "same" and layer.data_format == "channels_last" and layer.groups == 1
    plain = plain and tuple(layer.dilation_rate) == (1, 1)
    return plain and (layer.strides == (2, 2) or (layer.strides == (1, 1) and layer.kernel_size == (1, 1)))
