"""The published baselines once more: float64 loops over places, one image at a time, weights by layer name."""

from __future__ import annotations

import numpy as np


def conv(x: np.ndarray, weights: list[np.ndarray], stride: int) -> np.ndarray:
    kernel, bias = weights
    size = kernel.shape[0]
    return windows(x, size, stride, 0.0, lambda window: np.tensordot(window, kernel, 3) + bias)


def windows(x: np.ndarray, size: int, stride: int, fill: float, of) -> np.ndarray:
    """Same padding: as many places as fit from the first pixel on, what is missing split, the larger half behind."""
    places = -(-x.shape[0] // stride)
    missing = max(0, (places - 1) * stride + size - x.shape[0])
    before = missing // 2
    padded = np.pad(x, ((before, missing - before),) * 2 + ((0, 0),), constant_values=fill)
    steps = range(0, places * stride, stride)
    return np.array([[of(padded[i : i + size, j : j + size]) for j in steps] for i in steps])


def blocks(x: np.ndarray, size: int, of) -> np.ndarray:
    side = x.shape[0] // size
    cut = x[: side * size, : side * size].reshape(side, size, side, size, -1)
    return of(of(cut, axis=3), axis=1)


def norm(x: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    gamma, beta, mean, variance = weights
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def rrelu(x: np.ndarray) -> np.ndarray:
    sigmoid = 1 / (1 + np.exp(-x))
    return sigmoid + sigmoid * np.where(x > 0, x, 0.1 * x)


def dense(x: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    return x.reshape(-1) @ weights[0] + weights[1]


def learnet(image: np.ndarray, w: dict) -> np.ndarray:
    first = relu(conv(2 * image - 1, w["first_conv"], 2))
    a1 = relu(conv(first, w["branch1_step1_conv"], 2))
    a2 = relu(conv(a1, w["branch1_step2_conv"], 2))
    a3 = relu(conv(a2, w["branch1_step3_conv"], 2))
    b1 = norm(a1 + relu(conv(first, w["branch2_step1_conv"], 2)), w["branch2_step1_norm"])
    b2 = norm(a2 + relu(conv(b1, w["branch2_step2_conv"], 2)), w["branch2_step2_norm"])
    b3 = relu(conv(b2, w["branch2_step3_conv"], 2))
    c1 = relu(conv(first, w["branch3_step1_conv"], 2))
    c2 = relu(conv(c1, w["branch3_step2_conv"], 2))
    c3 = relu(conv(c2, w["branch3_step3_conv"], 2))
    d1 = norm(c1 + relu(conv(first, w["branch4_step1_conv"], 2)), w["branch4_step1_norm"])
    d2 = norm(c2 + relu(conv(d1, w["branch4_step2_conv"], 2)), w["branch4_step2_norm"])
    d3 = relu(conv(d2, w["branch4_step3_conv"], 2))
    joined = norm(np.concatenate([a3, b3, c3, d3], axis=-1), w["joined_norm"])
    hidden = relu(dense(relu(conv(joined, w["second_conv"], 2)), w["hidden_dense"]))
    return dense(hidden, w["logits"])


def originet(image: np.ndarray, w: dict) -> np.ndarray:
    x = 2 * image - 1
    for stage in (1, 2, 3):
        added = rrelu(conv(x, w[f"fine{stage}_conv"], 2)) + rrelu(conv(x, w[f"coarse{stage}_conv"], 2))
        x = norm(added, w[f"stage{stage}_norm"])
    fine = dense(rrelu(conv(x, w["fine4_conv"], 2)), w["fine4_dense"])
    coarse = dense(rrelu(conv(added, w["coarse4_conv"], 2)), w["coarse4_dense"])
    return dense(np.concatenate([fine, coarse]), w["logits"])


def ststnet(image: np.ndarray, w: dict) -> np.ndarray:
    streams = []
    for name in ("stream3", "stream5", "stream8"):
        x = norm(relu(conv(2 * image - 1, w[f"{name}_conv"], 1)), w[f"{name}_norm"])
        streams.append(windows(x, 3, 3, -np.inf, lambda window: window.max(axis=(0, 1))))
    return dense(blocks(np.concatenate(streams, axis=-1), 2, np.mean), w["logits"])


def offapexnet(image: np.ndarray, w: dict) -> np.ndarray:
    streams = []
    for channel, name in enumerate("uv"):
        x = 2 * image[..., channel : channel + 1] - 1
        for step in (1, 2):
            x = blocks(relu(conv(x, w[f"{name}{step}_conv"], 1)), 2, np.max)
        streams.append(x.reshape(-1))
    hidden = relu(dense(np.concatenate(streams), w["hidden1_dense"]))
    return dense(relu(dense(hidden, w["hidden2_dense"])), w["logits"])


def logistic(image: np.ndarray, w: dict) -> np.ndarray:
    return dense(blocks(2 * image - 1, 4, np.mean), w["logits"])


PLAIN = {
    "learnet": learnet,
    "originet": originet,
    "ststnet": ststnet,
    "offapexnet": offapexnet,
    "logistic": logistic,
}
