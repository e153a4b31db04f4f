"""Named experiments: ``affnet evaluate --preset NAME`` and ``affnet describe NAME``.

Each says what it is, the command that ran it, what that costs and the score that it reached, with the 95 % interval over
subjects. All scores here are of synthetic people (``affnet synth``: 8 people, 12 clips each, labels ``paper4`` unless a
preset has its own), person-independent (LOSO): they measure the pipeline, not the recognition of people.
"""

from __future__ import annotations

import dataclasses

from affnet_tf.config import AugmentConfig, ExperimentConfig, ModelConfig, MotionConfig, TrainConfig, replace
from affnet_tf.errors import unknown

__all__ = ["PRESETS", "Preset", "preset", "with_model"]


@dataclasses.dataclass(frozen=True)
class Preset:
    """An experiment and what is known of it.

    Attributes:
        config: its settings.
        about: what it is, where it comes from, and what of its training is the paper's.
        command: what to type, on a store of the synthetic people that ``_PEOPLE`` makes.
        cost: parameters and multiply-accumulates at 4 classes, epochs, and what the evaluation (its 8 folds) took.
        score: UF1, its 95 % interval and UAR that the command printed; empty where it was not run.
    """

    config: ExperimentConfig
    about: str
    command: str
    cost: str
    score: str = ""

    def facts(self) -> dict[str, str]:
        """Everything but the settings."""
        return {
            "about": self.about,
            "command": self.command,
            "cost": self.cost,
            "score": self.score or "not measured",
        }


_PEOPLE = "affnet synth people && affnet prepare casme2 people stores/people"
_OURS = "Its own training is not known to us: the training settings are this project's."


def _preset(name: str, config: ExperimentConfig, about: str, cost: str, score: str = "") -> Preset:
    command = f"{_PEOPLE} && affnet evaluate stores/people --out runs/{name} --protocol loso --preset {name}"
    return Preset(config, about, command, cost, score)


_EDGE = ModelConfig(
    input_size=96,
    stem=16,
    widths=(24, 32),
    depthwise=True,
    normalise="before_exchange",
    tap_channels=(8, 16),
    last_channels=48,
    dense=32,
    dropout=0.2,
)

PRESETS: dict[str, Preset] = {
    "affectivenet": _preset(
        "affectivenet",
        ExperimentConfig(),
        "AffectiveNet (Verma, Vipparthi, Singh, IEEE MultiMedia 28(1), 2021, arXiv 2104.07569), as reconstructed here.",
        "1,441,476 parameters, 210,539,520 MACs, 40 epochs; about 5 minutes of processor time",
        "UF1 0.853 [0.786, 0.916], UAR 0.854; 96 clips of 8 synthetic people, 4 classes",
    ),
    "affectivenet_edge": _preset(
        "affectivenet_edge",
        ExperimentConfig(motion=MotionConfig(scaling="standard"), model=_EDGE),
        "The same idea for phones: depthwise kernels, a strided stem, two stages. Ours.",
        "122,436 parameters, 5,633,536 MACs, 40 epochs; about 2 minutes of processor time",
        "UF1 0.927 [0.890, 0.959], UAR 0.927; 96 clips of 8 synthetic people, 4 classes",
    ),
    "affectivenet_flow": _preset(
        "affectivenet_flow",
        ExperimentConfig(
            motion=MotionConfig(representation="flow"),
            model=replace(_EDGE, input_size=28),
            labels="megc3",
        ),
        "affectivenet_edge on optical flow from onset to apex, 28×28, three classes, as MEGC2019's networks have it. Ours.",
        "73,284 parameters, 556,576 MACs, 40 epochs; half a minute of processor time",
        "UF1 1.000 [1.000, 1.000], UAR 1.000; 66 clips of 8 synthetic people, 3 classes",
    ),
    "learnet": _preset(
        "learnet",
        ExperimentConfig(
            motion=MotionConfig(weights="published_port"),
            model=ModelConfig(network="learnet"),
        ),
        "LEARNet (Verma et al., IEEE TIP 29, 2020, arXiv 1904.09410), on dynamic images as its code makes them, whose "
        f"weights sum to T. {_OURS}",
        "1,866,500 parameters, 26,292,224 MACs, 40 epochs; about 3 minutes of processor time",
        "UF1 0.725 [0.653, 0.796], UAR 0.740; 96 clips of 8 synthetic people, 4 classes",
    ),
    "originet": _preset(
        "originet",
        ExperimentConfig(model=ModelConfig(network="originet", input_size=128)),
        "OrigiNet (Verma et al., IJCNN 2020, arXiv 2005.07991), on affective-motion images in place of its active images. "
        f"{_OURS}",
        "1,872,580 parameters, 57,279,488 MACs, 40 epochs; about 3 minutes of processor time",
        "UF1 0.897 [0.845, 0.938], UAR 0.896; 96 clips of 8 synthetic people, 4 classes",
    ),
    "ststnet": _preset(
        "ststnet",
        ExperimentConfig(
            motion=MotionConfig(representation="flow"),
            model=ModelConfig(network="ststnet", input_size=28),
            augment=AugmentConfig(jitter=0.0, drop=0.0, shift=0.0, rotate=0.0, scale=0.0, flip=False, gain=0.0),
            train=TrainConfig(
                epochs=500,
                batch_size=256,
                learning_rate=5e-5,
                schedule="constant",
                warmup=0.0,
                weight_decay=0.0,
                label_smoothing=0.0,
                class_weights=False,
            ),
            labels="megc3",
        ),
        "STSTNet (Liong et al., FG 2019, arXiv 1902.03634) on optical flow, three classes. Training as published: Adam at "
        "a constant rate of 5e-5, batches of 256, 500 epochs, no augmentation.",
        "2,116 parameters, 340,288 MACs, 500 epochs; about 4 minutes of processor time",
        "UF1 0.951 [0.878, 1.000], UAR 0.947; 66 clips of 8 synthetic people, 3 classes",
    ),
    "offapexnet": _preset(
        "offapexnet",
        ExperimentConfig(
            motion=MotionConfig(representation="flow"),
            model=ModelConfig(network="offapexnet", input_size=28),
            labels="megc3",
        ),
        "OFF-ApexNet (Gan et al., Signal Processing: Image Communication 74, 2019, arXiv 1805.08699) on optical flow, three "
        f"classes. {_OURS}",
        "2,665,500 parameters, 3,834,304 MACs, 40 epochs; about a minute of processor time",
        "UF1 1.000 [1.000, 1.000], UAR 1.000; 66 clips of 8 synthetic people, 3 classes",
    ),
    "mobilenetv3small": _preset(
        "mobilenetv3small",
        ExperimentConfig(model=ModelConfig(network="mobilenetv3small", dropout=0.2)),
        "MobileNetV3-Small (Howard et al., ICCV 2019, arXiv 1905.02244) from random weights, not the minimalistic variant; "
        "trained as AffectiveNet.",
        "1,534,068 parameters, 15,937,608 MACs, 40 epochs; about 5 minutes of processor time",
        "UF1 0.866 [0.783, 0.946], UAR 0.865; 96 clips of 8 synthetic people, 4 classes",
    ),
    "logistic": _preset(
        "logistic",
        ExperimentConfig(model=ModelConfig(network="logistic"), train=TrainConfig(weight_decay=0.01)),
        "Logistic regression on the motion image averaged in 4×4 squares: a floor; a tenth of the recipe's weight decay, which "
        "is its L2 penalty.",
        "9,412 parameters, 9,408 MACs, 40 epochs; about a minute of processor time",
        "UF1 0.793 [0.705, 0.873], UAR 0.812; 96 clips of 8 synthetic people, 4 classes",
    ),
    "majority": _preset(
        "majority",
        ExperimentConfig(model=ModelConfig(network="majority")),
        "The class frequencies of the training clips, whatever the image; in closed form, no epoch is run: a floor.",
        "16 parameters, 12 MACs; seconds",
        "UF1 0.100 [0.100, 0.100], UAR 0.250; 96 clips of 8 synthetic people, 4 classes",
    ),
}


def preset(name: str) -> ExperimentConfig:
    """The experiment of that name.

    Raises:
        InputError: there is none; the message lists those that exist.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name].config


def with_model(config: ExperimentConfig, name: str) -> ExperimentConfig:
    """An experiment with another network: ``affnet evaluate --model NAME``.

    The network comes from the preset of that name, and with it how a clip is represented and scaled; the weights of rank
    pooling, augmentation, training and labels stay, so that networks are compared under one recipe. The recipe of a
    network's own paper is its preset.

    Raises:
        InputError: there is no such preset.
    """
    if name not in PRESETS:
        raise unknown("model", name, PRESETS)
    chosen = PRESETS[name].config
    motion = replace(config.motion, representation=chosen.motion.representation, scaling=chosen.motion.scaling)
    return replace(config, model=chosen.model, motion=motion)
