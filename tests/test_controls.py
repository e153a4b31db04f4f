"""What must and what must not be learnable from people who do not exist.

These numbers measure the pipeline, not the recognition of people.
"""

import dataclasses
import shutil

import numpy as np
import pytest

from affnet_tf.config import override
from affnet_tf.datasets.annotations import read_dataset
from affnet_tf.datasets.synthetic import write_synthetic
from affnet_tf.files import numbered_images
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.presets import preset
from affnet_tf.training.experiment import evaluate

# Smaller pictures and fewer epochs than the preset's, at which the expressions are learnt as well.
FRAMES = (136, 112)
CROP = CropConfig(size=48, detector="none")
CONFIG = override(preset("affectivenet_edge"), ["model.input_size=32", "train.epochs=25"])


def run(clips, folder, *settings):
    """Four folds of two people each, none of whom trains what is tested on them."""
    store = prepare(clips, folder / "store", CROP, workers=2).store
    return evaluate(store.path, folder / "run", override(CONFIG, settings), "kfold", k=4)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write_synthetic(tmp_path_factory.mktemp("people") / "people", size=FRAMES)


@pytest.fixture(scope="module")
def real(people, tmp_path_factory):
    return run(read_dataset("casme2", people), tmp_path_factory.mktemp("real"))


def test_expressions_are_learnt_across_people(real):
    assert real.scores.clips == 96
    assert real.scores.uf1 >= 0.85


def test_labels_permuted_over_clips_are_at_chance(people, tmp_path):
    clips = read_dataset("casme2", people)
    order = np.random.default_rng(0).permutation(len(clips))
    shuffled = [dataclasses.replace(clip, emotion=clips[i].emotion) for clip, i in zip(clips, order, strict=True)]
    result = run(shuffled, tmp_path)
    low, high = result.rows[0].chance_uf1
    assert low <= result.scores.uf1 <= high


def test_the_neutral_face_carries_no_label(people, tmp_path):
    """The onset frame repeated, pooled by the weights that keep the face in the image: appearance and nothing else.

    Who gives all clips of a person one answer may end below guessing, so that only the upper bound says something.
    """
    stills = []
    for clip in read_dataset("casme2", people):
        folder = tmp_path / "stills" / clip.clip_id
        folder.mkdir(parents=True)
        for number in (1, 2):
            shutil.copy(numbered_images(clip.frames)[clip.onset], folder / f"img{number}.jpg")
        stills.append(dataclasses.replace(clip, frames=folder, onset=1, apex=None, offset=2))
    settings = ("motion.weights=published_port", "augment.jitter=0", "augment.drop=0")
    result = run(stills, tmp_path, *settings)
    assert result.scores.uf1 <= result.rows[0].chance_uf1[1]


def test_a_harder_world_scores_lower(real, tmp_path):
    hard = write_synthetic(tmp_path / "hard", size=FRAMES, difficulty=6.0)
    result = run(read_dataset("casme2", hard), tmp_path)
    assert result.scores.uf1 < real.scores.uf1 - 0.15
