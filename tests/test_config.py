import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affnet_tf.config import (
    AugmentConfig,
    ExperimentConfig,
    ModelConfig,
    MotionConfig,
    TrainConfig,
    override,
    replace,
)
from affnet_tf.errors import InputError


def unit(high: float, exclude_max: bool = False) -> st.SearchStrategy[float]:
    return st.floats(0, high, exclude_max=exclude_max, allow_subnormal=False)


MOTIONS = st.builds(MotionConfig, weights=st.sampled_from(["bilen", "linear", "published_port"]))
AFFECTIVENETS = st.builds(
    ModelConfig,
    input_size=st.integers(28, 512),
    stem=st.integers(0, 64),
    kernels=st.lists(st.sampled_from([1, 3, 5, 7, 11, 15]), min_size=1, max_size=5).map(tuple),
    widths=st.lists(st.integers(1, 256), min_size=1, max_size=4).map(tuple),
    depthwise=st.booleans(),
    exchange=st.booleans(),
    normalise=st.sampled_from(["after_exchange", "before_exchange"]),
    mfl=st.booleans(),
    taps=st.sampled_from([("before", "after"), ("before",), ("after",)]),
    tap_channels=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    last_channels=st.integers(1, 512),
    dense=st.integers(1, 512),
    dropout=unit(1, exclude_max=True),
)
SIZES, RATES = st.integers(32, 512), unit(1, exclude_max=True)
MODELS = st.one_of(
    AFFECTIVENETS,
    st.builds(ModelConfig, network=st.sampled_from(["originet", "logistic", "majority"]), input_size=SIZES),
    st.builds(
        ModelConfig,
        network=st.sampled_from(["learnet", "ststnet", "offapexnet", "mobilenetv3small"]),
        input_size=SIZES,
        dropout=RATES,
    ),
)
AUGMENTS = st.builds(
    AugmentConfig,
    jitter=unit(0.45),
    drop=unit(0.9),
    shift=unit(0.5),
    rotate=unit(180),
    scale=unit(0.9),
    flip=st.booleans(),
    gain=unit(1),
    speed=unit(0.9),
    lighting=unit(0.9),
    noise=unit(1),
    mixup=st.just(0.0) | st.floats(0.01, 10),
)
TRAININGS = st.builds(
    TrainConfig,
    epochs=st.integers(1, 500),
    batch_size=st.integers(2, 64),
    learning_rate=st.floats(1e-8, 10),
    warmup=unit(1, exclude_max=True),
    weight_decay=unit(10),
    label_smoothing=unit(1, exclude_max=True),
    focal_gamma=unit(10),
    ema=unit(1, exclude_max=True),
    class_weights=st.booleans(),
    validation=st.floats(0.01, 0.9),
    patience=st.integers(0, 20),
    precision=st.sampled_from(["auto", "float32", "mixed_bfloat16", "mixed_float16"]),
    seed=st.integers(0, 2**31 - 1),
)
EXPERIMENTS = st.builds(
    ExperimentConfig, motion=MOTIONS, model=MODELS, augment=AUGMENTS, train=TRAININGS, labels=st.text(min_size=1)
)
BROKEN_RULES = [
    ("motion.representation", "flows"),
    ("motion.scaling", "min-max"),
    ("motion.weights", "billen"),
    ("model.network", "affectivnet"),
    ("model.input_size", 27),
    ("model.stem", -1),
    ("model.kernels", []),
    ("model.kernels", [3, 4]),
    ("model.kernels", [-3]),
    ("model.widths", []),
    ("model.widths", [16, 0]),
    ("model.normalise", "after"),
    ("model.taps", []),
    ("model.taps", ["after", "before"]),
    ("model.taps", ["before", "before"]),
    ("model.tap_channels", [16]),
    ("model.tap_channels", [16, 0]),
    ("model.tap_channels", [16, 16, 16]),
    ("model.last_channels", 0),
    ("model.dense", 0),
    ("model.dropout", 1.0),
    ("model.dropout", -0.1),
    ("augment.jitter", 0.46),
    ("augment.drop", 0.91),
    ("augment.shift", 0.51),
    ("augment.rotate", -1.0),
    ("augment.rotate", 181),
    ("augment.scale", 0.91),
    ("augment.gain", 1.1),
    ("augment.speed", 0.91),
    ("augment.lighting", -0.1),
    ("augment.noise", 1.1),
    ("augment.mixup", -0.2),
    ("augment.mixup", 0.001),
    ("augment.mixup", 11),
    ("train.epochs", 0),
    ("train.batch_size", 1),
    ("train.learning_rate", 0),
    ("train.learning_rate", float("nan")),
    ("train.learning_rate", float("inf")),
    ("train.warmup", 1),
    ("train.weight_decay", -1e-3),
    ("train.weight_decay", float("inf")),
    ("train.label_smoothing", 1),
    ("train.focal_gamma", -1),
    ("train.ema", 1),
    ("train.validation", 1),
    ("train.validation", float("nan")),
    ("train.patience", -1),
    ("train.precision", "float16"),
    ("train.schedule", "step"),
    ("train.seed", -1),
    ("train.seed", 2**31),
]
WRONG_TYPES = [
    ("model", 3, "model must be an object with named fields. Received: 3"),
    ("model.input_size", 112.0, "model.input_size must be of type int. Received: 112.0"),
    ("model.input_size", True, "model.input_size must be of type int. Received: True"),
    ("model.depthwise", 1, "model.depthwise must be of type bool. Received: 1"),
    ("model.kernels", 3, "model.kernels must be a list. Received: 3"),
    ("model.kernels", "357", "model.kernels must be a list. Received: '357'"),
    ("model.kernels", [3, "5"], "model.kernels must be of type int. Received: '5'"),
    ("model.taps", "before", "model.taps must be a list"),
    ("model.dropout", "0.5", "model.dropout must be of type float"),
    ("model.dropout", None, "model.dropout must be of type float. Received: None"),
    ("train.learning_rate", False, "train.learning_rate must be of type float. Received: False"),
    ("labels", 4, "labels must be of type str. Received: 4"),
]


def document_with(name: str, value: object) -> dict:
    document = ExperimentConfig().to_json()
    *sections, field = name.split(".")
    target = document
    for section in sections:
        target = target[section]
    target[field] = value
    return document


@settings(max_examples=50, deadline=None)
@given(EXPERIMENTS)
def test_json_round_trip(config):
    text = json.dumps(config.to_json())
    again = ExperimentConfig.from_json(json.loads(text))
    assert again == config
    assert hash(again) == hash(config), "tuples must come back as tuples"
    assert json.dumps(again.to_json()) == text


def test_fields_left_out_take_their_defaults():
    assert ExperimentConfig.from_json({}) == ExperimentConfig()
    some = ExperimentConfig.from_json({"model": {"kernels": [3, 5]}, "train": {"learning_rate": 1}})
    assert some.model == ModelConfig(kernels=(3, 5))
    assert some.train.learning_rate == 1.0
    assert isinstance(some.train.learning_rate, float)


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExperimentConfig().train.epochs = 3


@pytest.mark.parametrize(("name", "value"), BROKEN_RULES)
def test_every_rule_is_checked_and_names_its_field(name, value):
    with pytest.raises(InputError) as error:
        ExperimentConfig.from_json(document_with(name, value))
    assert name in str(error.value)
    assert "Received: " in str(error.value)
    assert "\n" not in str(error.value)


def test_every_numeric_field_has_a_rule_in_the_table_above():
    ruled = {name for name, _ in BROKEN_RULES}
    for section in ("motion", "model", "augment", "train"):
        for name, value in ExperimentConfig().to_json()[section].items():
            assert isinstance(value, bool) or f"{section}.{name}" in ruled


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [("model", "input_size", 28), ("augment", "jitter", 0.45), ("augment", "gain", 1), ("train", "batch_size", 2)],
)
def test_limits_themselves_are_allowed(section, field, value):
    config = ExperimentConfig.from_json({section: {field: value}})
    assert getattr(getattr(config, section), field) == value


@pytest.mark.parametrize(("name", "value", "message"), WRONG_TYPES)
def test_wrong_types_are_refused(name, value, message):
    with pytest.raises(InputError) as error:
        ExperimentConfig.from_json(document_with(name, value))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainConfig(epochs="3"), "train.epochs must be of type int. Received: '3'"),
        (lambda: TrainConfig(epochs=3.0), "train.epochs must be of type int. Received: 3.0"),
        (lambda: TrainConfig(class_weights=1), "train.class_weights must be of type bool. Received: 1"),
        (lambda: replace(AugmentConfig(), jitter="0.1"), "augment.jitter must be of type float. Received: '0.1'"),
        (lambda: ModelConfig(kernels=3), "model.kernels must be a list. Received: 3"),
        (lambda: MotionConfig(weights=None), "motion.weights must be of type str. Received: None"),
        (lambda: ExperimentConfig(train="fast"), "train must be an object with named fields. Received: 'fast'"),
        (lambda: ExperimentConfig(labels=4), "labels must be of type str. Received: 4"),
    ],
)
def test_wrong_types_are_refused_on_construction_too(make, message):
    with pytest.raises(InputError) as error:
        make()
    assert str(error.value) == message


def test_numbers_take_the_type_of_their_field():
    config = TrainConfig(epochs=np.int64(3), learning_rate=1, weight_decay=np.float32(0.5))
    assert config == TrainConfig(epochs=3, learning_rate=1.0, weight_decay=0.5)
    assert [type(each) for each in (config.epochs, config.learning_rate, config.weight_decay)] == [int, float, float]
    assert hash(ModelConfig(kernels=[3, 5])) == hash(ModelConfig(kernels=(3, 5)))
    json.dumps(ExperimentConfig(train=config).to_json())


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"model": {"kernel": [3]}}, "a field of model must be one of network, input_size, stem, kernels,"),
        ({"model": {"kernel": [3]}}, "Received: 'kernel'. Did you mean 'kernels'?"),
        ({"trian": {}}, "a field of the config must be one of motion, model, augment, train, labels"),
        ({"trian": {}}, "Did you mean 'train'?"),
        ([], "config must be an object with named fields. Received: []"),
    ],
)
def test_unknown_fields_are_refused(document, message):
    with pytest.raises(InputError) as error:
        ExperimentConfig.from_json(document)
    assert message in str(error.value)


def test_early_stopping_needs_training_subjects_to_look_at():
    with pytest.raises(InputError, match=r"train\.validation must be above 0 when train\.patience is set"):
        TrainConfig(patience=3)
    assert TrainConfig(patience=3, validation=0.2).patience == 3


def test_replace_checks_all_rules_again():
    assert replace(TrainConfig(), epochs=3) == TrainConfig(epochs=3)
    with pytest.raises(InputError, match=r"train\.epochs"):
        replace(TrainConfig(), epochs=0)


def test_override():
    config = override(
        ExperimentConfig(),
        [
            "train.epochs=30",
            "train.learning_rate=1",
            "model.kernels=[3,5]",
            "augment.flip=false",
            "labels=megc3",
            " motion.weights=linear",
            "train.epochs=31",
        ],
    )
    assert config == ExperimentConfig(
        motion=MotionConfig(weights="linear"),
        model=ModelConfig(kernels=(3, 5)),
        augment=AugmentConfig(flip=False),
        train=TrainConfig(epochs=31, learning_rate=1.0),
        labels="megc3",
    )
    assert override(ExperimentConfig(), ["labels=a=b.json"]).labels == "a=b.json"
    assert override(config, []) == config


@settings(max_examples=30, deadline=None)
@given(EXPERIMENTS)
def test_override_can_say_everything_that_a_config_says(config):
    assignments = [
        f"{section}.{name}={json.dumps(value)}"
        for section in ("motion", "model", "augment", "train")
        for name, value in config.to_json()[section].items()
    ]
    assert override(ExperimentConfig(), [*assignments, f"labels={json.dumps(config.labels)}"]) == config


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.epochs", "a setting must look like train.epochs=30. Received: 'train.epochs'"),
        ("train.epoch=3", "a setting of train must be one of epochs,"),
        ("train.epoch=3", "Did you mean 'epochs'?"),
        ("trian.epochs=3", "Received: 'trian'. Did you mean 'train'?"),
        ("epochs=3", "a setting must be one of motion, model, augment, train, labels. Received: 'epochs'"),
        ("train.epochs.x=3", "'train.epochs' has no settings of its own"),
        ("labels.x=3", "'labels' has no settings of its own"),
        ("train.epochs=many", "train.epochs must be of type int. Received: 'many'"),
        ("train.epochs=0", "train.epochs must be at least 1. Received: 0"),
        ("train=3", "train must be an object with named fields. Received: 3"),
        ("=3", "Received: ''"),
    ],
)
def test_override_says_what_is_wrong(assignment, message):
    with pytest.raises(InputError) as error:
        override(ExperimentConfig(), [assignment])
    assert message in str(error.value)
