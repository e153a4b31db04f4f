"""Frozen experiment settings: checked when they are made, to and from JSON, changed by dotted names."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import numbers
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from affnet_tf.errors import InputError, unknown

__all__ = [
    "AugmentConfig",
    "ExperimentConfig",
    "ModelConfig",
    "MotionConfig",
    "TrainConfig",
    "build",
    "check",
    "check_types",
    "model_fields",
    "override",
    "replace",
]

REPRESENTATIONS = ("motion", "flow")
SCALINGS = ("minmax", "standard")
WEIGHTS = ("bilen", "linear", "published_port")
SCHEDULES = ("cosine", "constant")
DETECTORS = ("mtcnn", "none")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
# The networks, and the smallest input that each takes, in pixels.
NETWORKS = {
    "affectivenet": 28,
    "learnet": 28,
    "originet": 28,
    "ststnet": 28,
    "offapexnet": 28,
    "mobilenetv3small": 32,
    "logistic": 28,
    "majority": 28,
}
_WITH_DROPOUT = ("learnet", "ststnet", "offapexnet", "mobilenetv3small")


def check(holds: bool, field: str, rule: str, received: object) -> None:
    """Raise the error of a field that breaks its rule."""
    if not holds:
        raise InputError(f"{field} must {rule}. Received: {received!r}")


def check_types(config: Any, section: str = "") -> None:
    """Give every field its annotated type, or raise: 1 becomes 1.0 where a float is due, a list becomes a tuple."""
    for field, hint in _hints(type(config)).items():
        value = _convert(hint, getattr(config, field), f"{section}.{field}".lstrip("."))
        object.__setattr__(config, field, value)  # how a frozen dataclass sets its own fields


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def build(kind: type, value: Any, path: str) -> Any:
    """A config from named fields, or raise; ``path`` is its name in the message."""
    if not isinstance(value, Mapping):
        raise InputError(f"{path or 'config'} must be an object with named fields. Received: {value!r}")
    for name in value:
        if name not in _hints(kind):
            raise unknown(f"a field of {path or 'the config'}", name, _hints(kind))
    return kind(**value)


def _convert(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, path)
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{path} must be a list. Received: {value!r}")
        return tuple(_convert(item, each, path) for each in value)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(each for each in typing.get_args(hint) if each is not type(None))
    # NumPy's numbers count as numbers; True does not.
    number = {int: numbers.Integral, float: numbers.Real}.get(hint)
    if number and isinstance(value, number) and not isinstance(value, bool):
        return hint(value)
    if type(value) is not hint:
        raise InputError(f"{path} must be of type {hint.__name__}. Received: {value!r}")
    return value


@dataclasses.dataclass(frozen=True)
class MotionConfig:
    """How a clip becomes one motion image.

    Attributes:
        representation: ``motion``, the affective-motion image, or ``flow``, optical flow from onset to apex as (u, v,
            strain), each scaled to [0, 1] by itself: it reads neither ``weights`` nor ``scaling``, and changes in time
            (``augment.jitter``, ``drop``, ``speed``, ``lighting``) do not touch it.
        weights: of the frames in rank pooling: ``bilen`` (Bilen et al., CVPR 2016), ``linear``, or ``published_port`` (the
            port whose weights sum to T).
        scaling: of the signed motion to [0, 1]: ``minmax``, as published, or ``standard``, by mean and standard deviation.
    """

    representation: str = "motion"
    weights: str = "bilen"
    scaling: str = "minmax"

    def __post_init__(self) -> None:
        check_types(self, "motion")
        if self.scaling not in SCALINGS:
            raise unknown("motion.scaling", self.scaling, SCALINGS)
        if self.representation not in REPRESENTATIONS:
            raise unknown("motion.representation", self.representation, REPRESENTATIONS)
        if self.weights not in WEIGHTS:
            raise unknown("motion.weights", self.weights, WEIGHTS)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which network, and its shape. Every number that the paper of AffectiveNet leaves open is a field here.

    A baseline is as published: it reads ``network``, ``input_size`` and, where it has one, ``dropout``. A field that the
    network does not read must keep its default, so that no setting is without effect; ``model_fields`` lists those it reads.

    Attributes:
        network: ``affectivenet``, or one to compare with: ``learnet``, ``originet``, ``ststnet``, ``offapexnet``,
            ``mobilenetv3small``, ``logistic`` (logistic regression) and ``majority`` (the class frequencies).
        input_size: height and width of the motion image, in pixels; at least 28, for ``mobilenetv3small`` 32.
        stem: channels of a 3×3, stride 2 convolution before the streams; 0 leaves it out.
        kernels: one stream for each kernel size, from tiny to coarse; odd numbers.
        widths: channels of each stream after each stage; every stage has stride 2.
        depthwise: build each large kernel as a depthwise k×k followed by a 1×1 convolution.
        exchange: neighbouring streams add their features after each stage.
        normalise: batch normalisation ``after_exchange`` (as LEARNet) or ``before_exchange`` (folds into the convolution).
        mfl: join two intermediate maps (the MFL block); if false, the head pools the last map alone.
        taps: which maps MFL reads: ``before`` and ``after`` the last convolution.
        tap_channels: channels to which 1×1 convolutions reduce the two maps, in the order before, after.
        last_channels: channels of the last convolution.
        dense: units that each tap is projected to.
        dropout: rate before the classifier.
    """

    network: str = "affectivenet"
    input_size: int = 112
    stem: int = 0
    kernels: tuple[int, ...] = (3, 5, 7, 11)
    widths: tuple[int, ...] = (16, 32, 64)
    depthwise: bool = False
    exchange: bool = True
    normalise: str = "after_exchange"
    mfl: bool = True
    taps: tuple[str, ...] = ("before", "after")
    tap_channels: tuple[int, int] = (16, 32)
    last_channels: int = 128
    dense: int = 128
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_types(self, "model")
        if self.network not in NETWORKS:
            raise unknown("model.network", self.network, NETWORKS)
        smallest = NETWORKS[self.network]
        check(self.input_size >= smallest, "model.input_size", f"be at least {smallest}", self.input_size)
        self._check_unread()
        check(self.stem >= 0, "model.stem", "be 0 (none) or a number of channels", self.stem)
        check(
            len(self.kernels) > 0 and all(k > 0 and k % 2 for k in self.kernels),
            "model.kernels",
            "be odd and positive, one for each stream",
            self.kernels,
        )
        check(
            len(self.widths) > 0 and all(w > 0 for w in self.widths),
            "model.widths",
            "be positive, one for each stage",
            self.widths,
        )
        if self.normalise not in ("after_exchange", "before_exchange"):
            raise unknown("model.normalise", self.normalise, ("after_exchange", "before_exchange"))
        check(
            self.taps in (("before", "after"), ("before",), ("after",)),
            "model.taps",
            "be ['before', 'after'], ['before'] or ['after']",
            self.taps,
        )
        check(
            len(self.tap_channels) == 2 and min(self.tap_channels) > 0,
            "model.tap_channels",
            "be two positive numbers",
            self.tap_channels,
        )
        check(self.last_channels > 0, "model.last_channels", "be positive", self.last_channels)
        check(self.dense > 0, "model.dense", "be positive", self.dense)
        check(0 <= self.dropout < 1, "model.dropout", "lie in [0, 1)", self.dropout)

    def _check_unread(self) -> None:
        read = model_fields(self.network)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            rule = f"be {field.default!r}, its default, since network {self.network!r} does not read it"
            check(field.name in read or value == field.default, f"model.{field.name}", rule, value)


def model_fields(network: str) -> tuple[str, ...]:
    """The fields of ``ModelConfig`` that shape a network; the others must keep their defaults."""
    if network == "affectivenet":
        return tuple(field.name for field in dataclasses.fields(ModelConfig))
    return ("network", "input_size", *(("dropout",) if network in _WITH_DROPOUT else ()))


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Random changes of a training clip, drawn anew each time it is seen. All 0 or false: none.

    Attributes:
        jitter: onset and offset each move inwards by up to this share of the clip's length.
        drop: each frame is left out with this probability (two always stay).
        shift: translation, as a share of the image's side, up to this in both directions.
        rotate: rotation in degrees, up to this in both directions.
        scale: zoom by a factor in [1 - scale, 1 + scale].
        flip: mirror left and right in half of the cases.
        gain: contrast of the finished motion image around its mean, by a factor in [1 - gain, 1 + gain], clipped to [0, 1].
        speed: the clip runs faster or slower by a factor in [1 - speed, 1 + speed]; its frames are interpolated anew.
        lighting: the light changes steadily over the clip, up to a factor in [1 - lighting, 1 + lighting] at its end. (Light
            that is brighter or dimmer throughout would change nothing: the weights of the frames sum to 0, and scaling undoes
            a factor.)
        noise: standard deviation of Gaussian noise on the finished motion image, clipped to [0, 1].
        mixup: alpha of the Beta distribution by which motion images are mixed in pairs, with their labels.
    """

    jitter: float = 0.1
    drop: float = 0.1
    shift: float = 0.04
    rotate: float = 4.0
    scale: float = 0.05
    flip: bool = True
    gain: float = 0.1
    speed: float = 0.0
    lighting: float = 0.0
    noise: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        check_types(self, "augment")
        for name, limit in (
            ("jitter", 0.45),
            ("drop", 0.9),
            ("shift", 0.5),
            ("rotate", 180.0),
            ("scale", 0.9),
            ("gain", 1),
            ("speed", 0.9),
            ("lighting", 0.9),
            ("noise", 1),
        ):
            value = getattr(self, name)
            check(0 <= value <= limit, f"augment.{name}", f"lie in [0, {limit:g}]", value)
        in_range = self.mixup == 0 or 0.01 <= self.mixup <= 10
        check(in_range, "augment.mixup", "be 0 (none) or lie in [0.01, 10]", self.mixup)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Attributes:
        epochs: passes over the training clips; the weights of the last epoch are kept unless ``patience`` is set.
        batch_size: clips in a batch; every batch is full.
        learning_rate: the peak, reached after the warm-up.
        schedule: what follows: ``cosine``, down to 1 % of the peak, or ``constant``.
        warmup: share of all steps spent in a linear warm-up.
        weight_decay: decoupled weight decay of AdamW; biases and batch normalisation are exempt.
        label_smoothing: mass moved from the true class to all classes.
        focal_gamma: exponent of the focal loss, which weighs a clip the less the surer the network is; 0: cross-entropy.
        ema: momentum of an exponential moving average of the weights, which is what is validated, kept and used; 0: none.
        class_weights: weigh clips by the inverse frequency of their class among the training clips.
        validation: share of the *training* subjects held out for validation; 0 keeps them all for training.
        patience: stop after so many epochs without a better validation loss and keep the best weights; 0: never stop.
        precision: ``auto``, ``float32``, ``mixed_bfloat16`` or ``mixed_float16``.
        seed: seed of weights, shuffling, augmentation and dropout.
    """

    epochs: int = 40
    batch_size: int = 16
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup: float = 0.1
    weight_decay: float = 0.1
    label_smoothing: float = 0.1
    focal_gamma: float = 0.0
    ema: float = 0.0
    class_weights: bool = True
    validation: float = 0.0
    patience: int = 0
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self, "train")
        check(self.epochs >= 1, "train.epochs", "be at least 1", self.epochs)
        check(
            self.batch_size >= 2, "train.batch_size", "be at least 2 (batch normalisation needs two)", self.batch_size
        )
        check(0 < self.learning_rate < math.inf, "train.learning_rate", "be positive", self.learning_rate)
        check(0 <= self.warmup < 1, "train.warmup", "lie in [0, 1)", self.warmup)
        check(0 <= self.weight_decay < math.inf, "train.weight_decay", "be 0 or more", self.weight_decay)
        check(0 <= self.label_smoothing < 1, "train.label_smoothing", "lie in [0, 1)", self.label_smoothing)
        check(0 <= self.focal_gamma <= 10, "train.focal_gamma", "lie in [0, 10]", self.focal_gamma)
        check(0 <= self.ema < 1, "train.ema", "lie in [0, 1)", self.ema)
        check(0 <= self.validation < 1, "train.validation", "lie in [0, 1)", self.validation)
        check(self.patience >= 0, "train.patience", "be 0 or more", self.patience)
        check(
            self.patience == 0 or self.validation > 0,
            "train.validation",
            "be above 0 when train.patience is set: early stopping may only look at held-out training subjects",
            self.validation,
        )
        check(0 <= self.seed < 2**31, "train.seed", "lie in [0, 2**31)", self.seed)
        for name, known in (("precision", PRECISIONS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise unknown(f"train.{name}", getattr(self, name), known)


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """Everything that decides a result, apart from the clips themselves.

    Attributes:
        motion: how a clip becomes one motion image.
        model: the shape of the network.
        augment: random changes of training clips.
        train: how the network is trained.
        labels: label scheme: ``paper4``, ``megc3``, ``native``, or the path of a JSON mapping.
    """

    motion: MotionConfig = MotionConfig()
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    labels: str = "paper4"

    def __post_init__(self) -> None:
        check_types(self)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON-ready dictionaries; ``from_json`` reads them back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ExperimentConfig:
        """Read what ``to_json`` wrote; fields left out take their defaults.

        Raises:
            InputError: an unknown field, a value of the wrong type, or one that breaks a field's rule.
        """
        return build(cls, value, "")


def replace(config: Any, **changes: Any) -> Any:
    """A copy of a config with some fields changed and all rules checked again."""
    return dataclasses.replace(config, **changes)


def override(config: ExperimentConfig, assignments: Iterable[str]) -> ExperimentConfig:
    """Apply assignments such as ``train.epochs=30`` or ``model.kernels=[3,5]``; values are JSON or bare words.

    Raises:
        InputError: an assignment without ``=``, an unknown field, or a value that breaks the field's rule.
    """
    document = config.to_json()
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        check(bool(equals), "a setting", "look like train.epochs=30", assignment)
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        *sections, field = name.strip().split(".")
        target = document
        for depth, section in enumerate(sections):
            if section not in target:
                raise unknown("a setting", section, target)
            target = target[section]
            if not isinstance(target, dict):
                name = ".".join(sections[: depth + 1])
                raise InputError(f"a setting must exist: {name!r} has no settings of its own. Received: {assignment!r}")
        if field not in target:
            raise unknown("a setting" + "".join(f" of {s}" for s in sections), field, target)
        target[field] = value
    return ExperimentConfig.from_json(document)
