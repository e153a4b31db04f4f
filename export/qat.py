"""Fine-tuning before conversion: quantisation-aware, pruned or clustered. The only file that imports Keras 2.

The optimisation toolkit speaks Keras 2 alone (``tf_keras``), and refuses nested models. So the network is built once more as
a flat ``tf_keras`` twin from the same list of nodes, gets the weights by the names of the layers, is fine-tuned, and hands
its weights back; of quantisation-aware training the twin itself, with its rounding, is what is converted.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from affnet_tf.errors import InputError
from affnet_tf.export.convert import Representative, convert_concrete
from affnet_tf.export.recipes import FineTuning, Recipe
from affnet_tf.inference.runtime import MOTION_IMAGE, PROBABILITIES
from affnet_tf.models.affectivenet import copy_weights
from affnet_tf.models.catalogue import network_nodes
from affnet_tf.models.checkpoint import Checkpoint
from affnet_tf.models.networks import build_network, flat_network
from affnet_tf.silence import silent
from affnet_tf.training.fit import balanced_weights

__all__ = ["Tuned", "fine_tune", "fine_tuned_file"]

# Layers whose kernels are pruned and clustered. Depthwise kernels are few weights, each of which matters.
_HEAVY = ("Conv2D", "Dense")


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A fine-tuned network.

    Attributes:
        checkpoint: what its file is compared with. After quantisation-aware training its model is the ``tf_keras`` twin,
            which rounds as the file does; else a Keras 3 network as any.
        facts: for ``verify.json``: the images, the losses, what was reached.
    """

    checkpoint: Checkpoint
    facts: dict[str, Any]


def fine_tune(checkpoint: Checkpoint, recipe: Recipe, images: np.ndarray, labels: np.ndarray) -> Tuned:
    """Go on training a network as a recipe says.

    Args:
        checkpoint: the network; it stays as it is.
        recipe: with ``fine_tuning``.
        images: float (N, S, S, 3) in [0, 1], motion images of training subjects.
        labels: integers (N,), their label indices.

    Raises:
        InputError: the toolkit is not installed, or a loss that is not finite.
    """
    tf_keras, tfmot = _toolkit()
    settings = recipe.fine_tuning
    tf_keras.utils.set_random_seed(settings.seed)
    twin = flat_network(checkpoint.config.model, len(checkpoint.labels), tf_keras)
    copy_weights(checkpoint.model, twin)
    steps = settings.epochs * -(-len(images) // settings.batch_size)
    with silent():
        if settings.method == "quantise":
            wrapped, callbacks = _rounding(twin, checkpoint, images, tf_keras, tfmot), []
        elif settings.method == "prune":
            wrapped, callbacks = _pruned(twin, settings, steps, tf_keras, tfmot)
        else:
            wrapped, callbacks = _clustered(twin, settings, tf_keras, tfmot), []
        losses = _fit(wrapped, checkpoint, settings, images, labels, callbacks, tf_keras)
        if not np.isfinite(losses).all():
            raise InputError(f"recipe {recipe.name!r}: the loss of fine-tuning must be finite. Received: {losses[-1]}")
        facts = {"images": len(images), "steps": steps, "losses": losses}
        if settings.method == "quantise":
            return Tuned(dataclasses.replace(checkpoint, model=wrapped), facts)
        strip = (
            tfmot.sparsity.keras.strip_pruning
            if settings.method == "prune"
            else tfmot.clustering.keras.strip_clustering
        )
        model = build_network(checkpoint.config.model, len(checkpoint.labels))
        copy_weights(strip(wrapped), model)
    return Tuned(dataclasses.replace(checkpoint, model=model), {**facts, **_reached(model)})


def fine_tuned_file(tuned: Tuned, recipe: Recipe, representative: Representative) -> bytes:
    """The twin of quantisation-aware training, motion image -> probabilities, as a TFLite file with one signature.

    The learned ranges are in the graph; ``representative`` only gives those of the few tensors inside a layer that
    training does not see, such as between a free-standing normalisation's product and sum.
    """
    size, model = tuned.checkpoint.config.model.input_size, tuned.checkpoint.model

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 3), tf.float32, name=MOTION_IMAGE)])
    def classify(motion_image: Any) -> dict[str, Any]:
        return {PROBABILITIES: tf.nn.softmax(model(motion_image, training=False))}

    return convert_concrete(classify, model, recipe, representative)


def _toolkit() -> tuple[Any, Any]:
    """``tf_keras`` and the toolkit, whose import tells child processes that Keras is Keras 2: that is taken back."""
    legacy = os.environ.get("TF_USE_LEGACY_KERAS")
    try:
        with silent():
            import tensorflow_model_optimization as tfmot
            import tf_keras
    except ImportError as error:
        raise InputError(
            "recipes that fine-tune need the model optimisation toolkit and tf_keras: pip install 'affnet_tf[qat]'. "
            f"Received: {error}"
        ) from None
    finally:
        if legacy is None:
            os.environ.pop("TF_USE_LEGACY_KERAS", None)
        else:
            os.environ["TF_USE_LEGACY_KERAS"] = legacy
    return tf_keras, tfmot


def _wrapped(twin: Any, wrap: Callable[[Any], Any], tf_keras: Any) -> Any:
    """The twin with its convolutions and dense layers wrapped. The layers themselves, not copies: those would be untrained."""

    def each(layer: Any) -> Any:
        return wrap(layer) if type(layer).__name__ in _HEAVY else layer

    return tf_keras.models.clone_model(twin, clone_function=each)


def _pruned(twin: Any, settings: FineTuning, steps: int, tf_keras: Any, tfmot: Any) -> tuple[Any, list[Any]]:
    sparsity = tfmot.sparsity.keras
    schedule = sparsity.PolynomialDecay(
        0.0, settings.sparsity, begin_step=0, end_step=max(1, 2 * steps // 3), frequency=settings.frequency
    )
    model = _wrapped(twin, lambda layer: sparsity.prune_low_magnitude(layer, pruning_schedule=schedule), tf_keras)
    return model, [sparsity.UpdatePruningStep()]


def _clustered(twin: Any, settings: FineTuning, tf_keras: Any, tfmot: Any) -> Any:
    clustering = tfmot.clustering.keras
    options = {
        "number_of_clusters": settings.clusters,
        "cluster_centroids_init": clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
    }

    def cluster(layer: Any) -> Any:
        small = np.prod(layer.kernel.shape) < settings.clusters  # it has as few weights as it may keep
        return layer if small else clustering.cluster_weights(layer, **options)

    return _wrapped(twin, cluster, tf_keras)


def _rounding(twin: Any, checkpoint: Checkpoint, images: np.ndarray, tf_keras: Any, tfmot: Any) -> Any:
    quantisation = tfmot.quantization.keras
    own = _output_only(quantisation)
    nodes = {node.name: node for node in network_nodes(checkpoint.config.model, len(checkpoint.labels))}

    def annotate(layer: Any) -> Any:
        if layer.name not in nodes:  # the input
            return layer
        node = nodes[layer.name]
        source = nodes[node.inputs[0]].kind if node.inputs[0] in nodes else ""
        # The toolkit knows normalisation right behind a convolution alone, and no scaling of the input.
        odd = node.kind == "Rescaling" or (node.kind == "BatchNormalization" and "Conv" not in source)
        return quantisation.quantize_annotate_layer(layer, *([own()] if odd else []))

    annotated = tf_keras.models.clone_model(twin, clone_function=annotate)
    with quantisation.quantize_scope({own.__name__: own}):
        model = quantisation.quantize_apply(annotated)
    _set_ranges(model, twin, images, tf_keras)
    return model


def _output_only(quantisation: Any) -> type:
    class OutputOnly(quantisation.QuantizeConfig):
        """Round what the layer gives, and nothing inside it."""

        def get_weights_and_quantizers(self, layer: Any) -> list:
            return []

        def get_activations_and_quantizers(self, layer: Any) -> list:
            return []

        def set_quantize_weights(self, layer: Any, quantize_weights: list) -> None:
            pass

        def set_quantize_activations(self, layer: Any, quantize_activations: list) -> None:
            pass

        def get_output_quantizers(self, layer: Any) -> list:
            kind = quantisation.quantizers.MovingAverageQuantizer
            return [kind(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)]

        def get_config(self) -> dict:
            return {}

    return OutputOnly


def _set_ranges(model: Any, twin: Any, images: np.ndarray, tf_keras: Any) -> None:
    """Start the ranges of activations from those of the trained network.

    The toolkit starts each at [-6, 6] and moves it by a thousandth of the way in each step: after a fine-tuning of a hundred
    steps it would still be there.
    """
    layers = [layer for layer in twin.layers if layer.name != MOTION_IMAGE]
    spy = tf_keras.Model(twin.input, [layer.output for layer in layers])
    found = {layer.name: (np.inf, -np.inf) for layer in layers}
    for start in range(0, len(images), 64):
        for layer, values in zip(
            layers, spy(images[start : start + 64].astype(np.float32), training=False), strict=True
        ):
            low, high = found[layer.name]
            found[layer.name] = (min(low, float(np.min(values))), max(high, float(np.max(values))))
    for layer in model.layers:
        name = getattr(getattr(layer, "layer", None), "name", None)
        low, high = found.get(name, (0.0, 1.0))  # the input's own range, where it is rounded
        for variable in layer.weights:
            kind = variable.name.split("/")[-1].split(":")[0]
            if kind.endswith(("activation_min", "output_min", "quantize_layer_min")):
                variable.assign(min(low, 0.0))
            elif kind.endswith(("activation_max", "output_max", "quantize_layer_max")):
                variable.assign(max(high, 0.0))


def _fit(
    model: Any,
    checkpoint: Checkpoint,
    settings: FineTuning,
    images: np.ndarray,
    labels: np.ndarray,
    callbacks: list[Any],
    tf_keras: Any,
) -> list[float]:
    """Fit, and give the loss of each epoch. Smoothing and class weights are those that the network was trained with."""
    classes, train = len(checkpoint.labels), checkpoint.config.train
    loss = tf_keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=train.label_smoothing)
    # Not Keras 3's optimizer: Keras 2 refuses it.
    model.compile(optimizer=tf_keras.optimizers.Adam(settings.learning_rate), loss=loss)
    weights = balanced_weights(labels, classes)[labels] if train.class_weights else np.ones(len(labels), np.float32)
    history = model.fit(
        images.astype(np.float32),
        np.eye(classes, dtype=np.float32)[labels],
        sample_weight=weights,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        callbacks=callbacks,
        verbose=0,
    )
    return [float(each) for each in history.history["loss"]]


def _reached(model: Any) -> dict[str, Any]:
    """The share of zeros among all weights of convolutions and dense layers, and the most distinct values of a kernel."""
    layers = (layer for outer in model.layers for layer in getattr(outer, "sublayers", [outer]))
    kernels = [layer.get_weights()[0] for layer in layers if type(layer).__name__ in _HEAVY]
    zeros = sum(int(np.sum(kernel == 0)) for kernel in kernels)
    return {
        "sparsity": zeros / sum(kernel.size for kernel in kernels),
        "distinct_weights": max(len(np.unique(kernel)) for kernel in kernels),
    }
