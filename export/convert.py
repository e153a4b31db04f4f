"""A checkpoint and a recipe in, the bytes of a .tflite file out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from affnet_tf.export.join import join
from affnet_tf.export.recipes import Recipe
from affnet_tf.export.representative import representative_dataset
from affnet_tf.export.signatures import Graph, motion_graph, network_graph
from affnet_tf.models.checkpoint import Checkpoint
from affnet_tf.silence import silent

__all__ = ["convert", "convert_graph", "convert_motion", "convert_network"]

_ENDPOINT = "serve"


def convert(checkpoint: Checkpoint, recipe: Recipe, calibration: np.ndarray | None = None) -> bytes:
    """One TFLite file with the signatures ``classify`` and ``classify_clip``; see ``join``.

    With an integer recipe every convolution and dense layer is integer in both signatures, and ``classify`` takes and
    gives integers; the motion graph of ``classify_clip`` stays float32.

    Args:
        checkpoint: the network.
        recipe: how to convert it.
        calibration: float (N, S, S, 3) in [0, 1], motion images of training subjects; only for recipes that need them.

    Raises:
        InputError: the recipe needs calibration images and they are missing or wrong, or Keras has another backend than
            TensorFlow.
    """
    return join(convert_network(checkpoint, recipe, calibration), convert_motion(checkpoint))


def convert_network(checkpoint: Checkpoint, recipe: Recipe, calibration: np.ndarray | None = None) -> bytes:
    """The network alone, motion image -> probabilities, as a TFLite file with one signature; arguments as ``convert``."""
    representative = representative_dataset(calibration, checkpoint.config.model.input_size, recipe)
    return convert_graph(network_graph(checkpoint), recipe, representative)


def convert_motion(checkpoint: Checkpoint) -> bytes:
    """The motion graph alone, frames -> motion image, as a float32 TFLite file; the same for every recipe."""
    return convert_graph(motion_graph(checkpoint))


def convert_graph(
    graph: Graph,
    recipe: Recipe | None = None,
    representative: Callable[[], Iterator[dict[str, np.ndarray]]] | None = None,
) -> bytes:
    """One graph as a TFLite file with one signature; in float32 where no recipe is given."""
    # ExportArchive, because a model inside a bare tf.Module converts without a word into a file that answers garbage.
    archive = keras.export.ExportArchive()
    if graph.model is not None:
        archive.track(graph.model)
    archive.add_endpoint(name=_ENDPOINT, fn=graph.function, input_signature=[graph.input])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[_ENDPOINT])
        if recipe is not None:
            _configure(converter, recipe, representative)
        with silent():
            return converter.convert()


def _configure(converter: Any, recipe: Recipe, representative: Callable[[], Iterator[dict]] | None) -> None:
    if recipe.weights == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ((_ENDPOINT, inputs) for inputs in representative())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(recipe.interface)
