"""Small networks with random weights, for tests."""

from __future__ import annotations

import numpy as np

from affnet_tf.config import ModelConfig, replace

SMALL = ModelConfig(input_size=32, kernels=(3, 5), widths=(4, 8), last_channels=8, dense=8)
SMALLEST = replace(SMALL, kernels=(3,), widths=(4,), taps=("after",))


def randomise(model, seed: int = 0) -> None:
    """Random weights that keep signals of size 1; the statistics of batch normalisation too, with positive variances."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        fan_in = int(np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 10
        if len(weight.shape) == 4 and weight.shape[-1] == 1:  # depthwise: each output reads one channel
            fan_in = int(np.prod(weight.shape[:2]))
        values = rng.normal(0, fan_in**-0.5, weight.shape)
        name = weight.name.split("/")[-1].split(":")[0]
        if name in ("gamma", "moving_variance"):
            values = 0.5 + np.abs(values)
        weight.assign(values.astype(np.float32))


def images(count: int, size: int, seed: int = 1) -> np.ndarray:
    """Random motion images: float32 (count, size, size, 3) in [0, 1)."""
    return np.random.default_rng(seed).random((count, size, size, 3), np.float32)
