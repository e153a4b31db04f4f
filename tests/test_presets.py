import pytest

from affnet_tf.config import AugmentConfig, ExperimentConfig, MotionConfig, TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.models.describe import describe, describe_network
from affnet_tf.presets import PRESETS, preset, with_model

RECIPE = ExperimentConfig(
    motion=MotionConfig(weights="linear"),
    augment=AugmentConfig(flip=False),
    train=TrainConfig(epochs=7, batch_size=9),
    labels="native",
)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_every_preset_describes_a_network(name, classes):
    described = describe(preset(name).model, classes)
    assert described.layers[-1].shape == (classes,)
    assert described.parameters > 0
    assert described.macs > 0


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_json(name):
    assert ExperimentConfig.from_json(preset(name).to_json()) == PRESETS[name].config


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_its_command_its_cost_and_its_score(name):
    chosen = PRESETS[name]
    assert chosen.about.endswith(".")
    assert chosen.command.endswith(f"--preset {name}")
    described = describe(chosen.config.model, 4)
    epochs = "" if name == "majority" else f", {chosen.config.train.epochs} epochs"
    assert chosen.cost.startswith(f"{described.parameters:,} parameters, {described.macs:,} MACs{epochs}")
    assert not chosen.score or "synthetic" in chosen.score


@pytest.mark.parametrize("name", PRESETS)
def test_describe_shows_the_preset_s_facts_and_the_settings_that_apply(name):
    document, tables = describe_network(name)
    chosen = PRESETS[name]
    assert (document["about"], document["command"], document["cost"]) == (chosen.about, chosen.command, chosen.cost)
    assert document["score"] == (chosen.score or "not measured")
    assert document["config"]["network"] == chosen.config.model.network
    assert ("kernels" in document["config"]) == name.startswith("affectivenet")
    assert document["choices"]
    for title, columns, rows in tables:
        assert title
        assert rows
        assert all(len(row) == len(columns) for row in rows)


@pytest.mark.parametrize("name", PRESETS)
def test_another_network_under_the_same_recipe(name):
    chosen, other = PRESETS[name].config, with_model(RECIPE, name)
    assert other.model == chosen.model
    assert other.motion.representation == chosen.motion.representation
    assert other.motion.scaling == chosen.motion.scaling
    assert other.motion.weights == "linear"
    assert replace(other, model=RECIPE.model, motion=RECIPE.motion) == RECIPE


def test_an_unknown_model():
    with pytest.raises(InputError, match=r"^model must be one of affectivenet, .* Did you mean 'ststnet'\?$"):
        with_model(RECIPE, "stsnet")


def test_the_budget():
    full = describe(preset("affectivenet").model, 4)
    assert preset("affectivenet").model.input_size == 112
    assert full.parameters <= 2_500_000
    edge = preset("affectivenet_edge").model
    for described in (describe(edge, 4), describe(replace(edge, input_size=112), 4)):
        assert described.parameters <= 150_000
        assert described.macs <= 15_000_000


def test_unknown_preset():
    with pytest.raises(InputError, match=r"must be one of affectivenet, affectivenet_edge.* mean 'affectivenet_edge'"):
        preset("affectivnet_edge")
