import pytest

from affnet_tf.config import ExperimentConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.models.describe import describe
from affnet_tf.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_every_preset_describes_a_network(name, classes):
    described = describe(preset(name).model, classes)
    assert described.layers[-1].shape == (classes,)
    assert described.parameters > 0
    assert described.macs > 0


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_json(name):
    assert ExperimentConfig.from_json(preset(name).to_json()) == PRESETS[name]


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
