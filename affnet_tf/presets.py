"""Named experiments: ``affnet train --preset NAME`` and ``affnet describe NAME``."""

from __future__ import annotations

from affnet_tf.config import ExperimentConfig, ModelConfig, MotionConfig, TrainConfig
from affnet_tf.errors import unknown

__all__ = ["PRESETS", "preset"]

PRESETS: dict[str, ExperimentConfig] = {
    "affectivenet": ExperimentConfig(),
    "affectivenet_edge": ExperimentConfig(
        motion=MotionConfig(scaling="standard"),
        model=ModelConfig(
            input_size=96,
            stem=16,
            widths=(24, 32),
            depthwise=True,
            normalise="before_exchange",
            tap_channels=(8, 16),
            last_channels=48,
            dense=32,
            dropout=0.2,
        ),
        train=TrainConfig(epochs=40, weight_decay=0.1),
    ),
}


def preset(name: str) -> ExperimentConfig:
    """The experiment of that name.

    Raises:
        InputError: there is none; the message lists those that exist.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]
