"""The benchmark that chooses the recipe: its folds, not its training."""

import sys
from pathlib import Path

import pytest
from forged import SIZE, forge_clips

from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.training.labelled import LabelledClips

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    path = prepare(forge_clips(folder / "casme2", subjects=7), folder / "store", CropConfig(SIZE, "none")).store.path
    return LabelledClips(path, recipe.settings("flow", ()))


def test_nobody_trains_the_network_that_predicts_them(data):
    everybody = {clip.person for clip in data.labelled}
    tested = {}
    for held in (*recipe.ONE, *recipe.TWO):
        fold = recipe.split(data, held)
        train, test = (set(data.subjects(keys)) for keys in (fold.train, fold.test))
        assert train
        assert test
        assert not train & test
        assert train | test == everybody
        tested[held] = test
    assert sum(len(tested[one]) for one in recipe.ONE) == len(everybody)
    assert all(tested[i, j] == tested[i,] | tested[j,] for i, j in recipe.TWO)


@pytest.mark.parametrize("changes", [*recipe.RECIPES.values(), *recipe.ABLATION.values()])
def test_every_candidate_is_an_experiment_and_changes_something(changes):
    for task in ("flow", "motion"):
        assert (recipe.settings(task, changes) == recipe.settings(task, ())) == (not changes)
