"""Pictures for a run's report: what the network saw of a few test clips, and where it looked. One file for each fold.

The maps are Grad-CAM (Selvaraju et al., ICCV 2017) at the two maps that MFL reads, as its 1×1 convolutions reduce them.
Behind those maps there is nothing but flatten, dense, ReLU, dense: the gradient is a product of two kernels and a mask, exact
and the same under every backend, and needs no automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from affnet_tf.config import ModelConfig
from affnet_tf.files import atomic_write
from affnet_tf.models.nodes import mfl_nodes, walk
from affnet_tf.places import Address

__all__ = ["Gallery", "choose", "grad_cam"]

RIGHT, WRONG = 2, 2
"""How many test clips of a fold are shown at most."""


class Gallery:
    """Writes the pictures of a fold's test clips; made once for all folds, since they share one network.

    Args:
        model: the network that is being evaluated; its weights may change between the calls of ``write``.
        config: its shape.
    """

    def __init__(self, model: keras.Model, config: ModelConfig) -> None:
        self._model = model
        self._config = config
        self._mfl = next((layer for layer in model.layers if layer.name == "mfl"), None)
        self._features = None if self._mfl is None else keras.Model(model.inputs[0], self._mfl.input)

    def write(
        self,
        path: Address,
        keys: Sequence[tuple[str, str]],
        images: np.ndarray,
        truth: Sequence[int],
        probabilities: np.ndarray,
    ) -> None:
        """Write an .npz file, atomically: ``dataset``, ``clip_id``, ``images``, ``taps``, and a map for each tap.

        Args:
            path: the file, ``folds/<name>.npz``.
            keys: (dataset, clip_id) of the fold's test clips.
            images: float32 (N, S, S, 3) in [0, 1], their motion images.
            truth: their label indices.
            probabilities: float32 (N, classes), what the network says.
        """
        rows = choose(truth, probabilities)
        predicted = np.asarray(probabilities)[rows].argmax(axis=-1)
        maps = self._maps(images[rows], predicted)
        arrays = {f"map_{tap}": np.round(each * 255).astype(np.uint8) for tap, each in maps.items()}
        with atomic_write(path) as file:
            np.savez_compressed(
                file,
                dataset=np.array([keys[row][0] for row in rows]),
                clip_id=np.array([keys[row][1] for row in rows]),
                images=np.round(images[rows] * 255).astype(np.uint8),
                taps=np.array(list(maps)),
                **arrays,
            )

    def _maps(self, images: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
        if self._mfl is None:  # another network, or one without the block
            return {}
        return grad_cam(self._mfl, self._model.get_layer("logits"), self._config, self._features(images), classes)


def grad_cam(
    mfl: keras.layers.Layer, logits: keras.layers.Layer, config: ModelConfig, features: object, classes: Sequence[int]
) -> dict[str, np.ndarray]:
    """Grad-CAM of given classes at the reduced maps of both taps.

    Args:
        mfl: the network's MFL block.
        logits: its last layer.
        config: its shape.
        features: (N, H, W, C), what MFL reads.
        classes: the class of each image, N of them.

    Returns:
        By tap, float32 (N, h, w) in [0, 1]: the share of the largest value of that image; 0 where nothing speaks for the
        class.
    """
    layers = {layer.name: layer for layer in mfl.sublayers}
    seen: dict[str, np.ndarray] = {}

    def apply(node: object, value: object) -> object:
        answer = layers[node.name](value)
        seen[node.name] = keras.ops.convert_to_numpy(keras.ops.cast(answer, "float32"))
        return answer

    walk(mfl_nodes(config.last_channels, config.taps, config.tap_channels, config.dense), features, apply)
    kernel = keras.ops.convert_to_numpy(logits.kernel)[:, list(classes)].T  # (N, dense · taps)
    maps = {}
    for place, tap in enumerate(tap for tap in ("before", "after") if tap in config.taps):
        reduced = seen[f"{tap}_reduce_relu"]
        behind = kernel[:, place * config.dense : (place + 1) * config.dense] * (seen[f"{tap}_project_relu"] > 0)
        gradient = (behind @ keras.ops.convert_to_numpy(layers[f"{tap}_project"].kernel).T).reshape(reduced.shape)
        weights = gradient.mean(axis=(1, 2), keepdims=True)
        cam = np.maximum((weights * reduced).sum(axis=-1), 0)
        largest = cam.max(axis=(1, 2), keepdims=True)
        maps[tap] = np.divide(cam, largest, out=np.zeros_like(cam), where=largest > 0)
    return maps


def choose(truth: Sequence[int], probabilities: np.ndarray, right: int = RIGHT, wrong: int = WRONG) -> list[int]:
    """The clips to show: the surest of the right answers and of the wrong ones, as rows in ascending order.

    No two right ones of one class are taken while another class has one.
    """
    truth, probabilities = np.asarray(truth), np.asarray(probabilities)
    predicted, confidence = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    order = sorted(range(len(truth)), key=lambda row: -confidence[row])
    hits = [row for row in order if predicted[row] == truth[row]]
    first = [row for place, row in enumerate(hits) if truth[row] not in truth[hits[:place]]]
    hits = [*first, *(row for row in hits if row not in first)]
    misses = [row for row in order if predicted[row] != truth[row]]
    return sorted([*hits[:right], *misses[:wrong]])
