"""AffectiveNet: affective-motion imaging and micro-expression recognition in Keras.

The public names below are loaded when they are first used: importing TensorFlow costs seconds.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "AffectiveMotion": "affnet_tf.imaging.motion",
    "ExperimentConfig": "affnet_tf.config",
    "MFL": "affnet_tf.models.layers",
    "MICRoFeat": "affnet_tf.models.layers",
    "SlidingMotion": "affnet_tf.imaging.motion",
    "affective_motion_image": "affnet_tf.imaging.motion",
    "affectivenet": "affnet_tf.models.affectivenet",
    "build_network": "affnet_tf.models.networks",
    "load_checkpoint": "affnet_tf.models.checkpoint",
    "load_predictor": "affnet_tf.inference.predictor",
    "preset": "affnet_tf.presets",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
