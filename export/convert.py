"""A checkpoint and a recipe in, the bytes of a .tflite file out."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from affnet_tf.errors import InputError
from affnet_tf.export.join import read_file, write_file
from affnet_tf.export.recipes import Recipe
from affnet_tf.export.representative import representative_dataset
from affnet_tf.export.signatures import Graph, network_graph
from affnet_tf.models.checkpoint import Checkpoint
from affnet_tf.silence import silent

__all__ = [
    "Representative",
    "convert_concrete",
    "convert_graph",
    "convert_network",
    "convert_saved",
    "saved",
]

_ENDPOINT = "serve"

Representative = Callable[[], Iterator[dict[str, np.ndarray]]]


def convert_network(checkpoint: Checkpoint, recipe: Recipe, calibration: np.ndarray | None = None) -> bytes:
    """The network alone, motion image -> probabilities, as a TFLite file with one signature; nothing is fine-tuned.

    Args:
        checkpoint: the network.
        recipe: how to convert it.
        calibration: float (N, S, S, 3) in [0, 1], motion images of training subjects; only for recipes that need them.

    Raises:
        InputError: the recipe needs calibration images and they are missing or wrong, or Keras has another backend than
            TensorFlow.
    """
    representative = representative_dataset(calibration, checkpoint.config.model.input_size, recipe)
    return convert_graph(network_graph(checkpoint), recipe, representative)


def convert_graph(graph: Graph, recipe: Recipe | None = None, representative: Representative | None = None) -> bytes:
    """One graph as a TFLite file with one signature; in float32 where no recipe is given."""
    with saved(graph) as folder:
        return convert_saved(folder, recipe, representative)


@contextlib.contextmanager
def saved(graph: Graph) -> Iterator[str]:
    """A folder with the graph as a SavedModel. To trace and save a network takes as long as to convert it once."""
    # ExportArchive, because a model inside a bare tf.Module converts without a word into a file that answers garbage.
    archive = keras.export.ExportArchive()
    if graph.model is not None:
        archive.track(graph.model)
    archive.add_endpoint(name=_ENDPOINT, fn=graph.function, input_signature=list(graph.inputs))
    with tempfile.TemporaryDirectory() as folder:
        with silent():
            archive.write_out(folder, verbose=False)
        yield folder


def convert_saved(folder: str, recipe: Recipe | None = None, representative: Representative | None = None) -> bytes:
    """A SavedModel with the endpoint ``serve`` as a TFLite file with one signature, by a recipe, or in float32."""
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[_ENDPOINT])
    if recipe is not None:
        _configure(converter, recipe, representative)
    with silent():
        file = converter.convert()
    return _four_bits(file) if recipe is not None and recipe.weights == "int4" else file


def convert_concrete(function: Any, model: Any, recipe: Recipe, representative: Representative) -> bytes:
    """A TensorFlow function of a Keras 2 model as a TFLite file with one signature, by a recipe."""
    with tempfile.TemporaryDirectory() as folder:
        with silent():
            tf.saved_model.save(model, folder, signatures={_ENDPOINT: function})
        return convert_saved(folder, recipe, representative)


def _configure(converter: Any, recipe: Recipe, representative: Representative | None) -> None:
    if recipe.weights in ("float32", "int4"):
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if not recipe.integer:
        return
    converter.representative_dataset = lambda: ((_ENDPOINT, inputs) for inputs in representative())
    kinds = tf.lite.OpsSet
    wide = recipe.activations == "int16"
    converter.target_spec.supported_ops = [
        kinds.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8 if wide else kinds.TFLITE_BUILTINS_INT8
    ]
    converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(recipe.interface)


def _four_bits(file: bytes) -> bytes:
    """4-bit kernels, one scale for each channel; 8 bits where a kernel has too few weights to average the rounding out."""
    try:
        from ai_edge_quantizer import qtyping, quantizer
    except ImportError:
        raise InputError(
            "4-bit weights need ai-edge-quantizer: pip install 'affnet_tf[export]'. Received: no such package"
        ) from None
    names = qtyping.TFLOperationName
    made = quantizer.Quantizer(bytearray(file))
    for operation, bits in ((names.CONV_2D, 4), (names.FULLY_CONNECTED, 4), (names.DEPTHWISE_CONV_2D, 8)):
        made.add_dynamic_config(regex=".*", operation_name=operation, num_bits=bits)
    with silent():
        return _in_one(bytes(made.quantize(enable_progress_report=False).quantized_model))


def _in_one(file: bytes) -> bytes:
    """The quantiser puts many weights behind the flatbuffer, at offsets that joining would move: back into it."""
    model = read_file(file)
    for buffer in model.buffers:
        if buffer.offset > 1:  # below are the schema's marks for none
            buffer.data = np.frombuffer(file, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return write_file(model)
