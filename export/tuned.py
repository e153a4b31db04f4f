"""What fine-tuning did to a network: its accuracy beside that of the network as trained, held to the recipe's bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from affnet_tf.export.material import Material
from affnet_tf.export.recipes import Recipe, lost_at_most
from affnet_tf.export.signatures import keras_classify, keras_motion_images
from affnet_tf.export.verify import VerificationError
from affnet_tf.models.checkpoint import Checkpoint

__all__ = ["before_and_after"]

_PARTS = {"training": "the training images", "held_out": "the clips that verify"}


def before_and_after(trained: Checkpoint, tuned: Checkpoint, recipe: Recipe, material: Material) -> dict[str, Any]:
    """Accuracies of a network as trained and as fine-tuned.

    Args:
        trained: the network as trained.
        tuned: the same after fine-tuning; after quantisation-aware training, with its rounding.
        recipe: what it was fine-tuned by.
        material: with labelled training images; clips whose labels are not known are not judged.

    Returns:
        ``training`` and ``held_out``, each with ``before`` and ``after`` in [0, 1]; ``held_out`` is None without labels.

    Raises:
        VerificationError: fewer images of either kind have their true label afterwards than the recipe allows.
    """
    found: dict[str, Any] = {
        "training": _accuracies(trained, tuned, material.images, material.labels),
        "held_out": None,
    }
    counts = {"training": len(material.images)}
    if material.clip_labels is not None:
        clips = keras_motion_images(trained, material.clips)
        found["held_out"] = _accuracies(trained, tuned, clips, material.clip_labels)
        counts["held_out"] = len(clips)
    for part, count in counts.items():
        before, after = found[part]["before"], found[part]["after"]
        if round((before - after) * count) > lost_at_most(recipe.max_accuracy_drop, count):
            raise VerificationError(
                f"recipe {recipe.name!r}: fine-tuning must cost at most {recipe.max_accuracy_drop:g} of the accuracy on "
                f"{_PARTS[part]}. Received: {before:.3f} before, {after:.3f} after"
            )
    return found


def _accuracies(trained: Checkpoint, tuned: Checkpoint, images: np.ndarray, labels: Sequence[int]) -> dict[str, float]:
    def accuracy(checkpoint: Checkpoint) -> float:
        return float(np.mean(keras_classify(checkpoint, images).argmax(axis=-1) == np.asarray(labels)))

    return {"before": accuracy(trained), "after": accuracy(tuned)}
