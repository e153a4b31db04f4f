"""Images that are made once for several folds."""

import itertools

import numpy as np
import pytest
from forged import SIZE, forge_clips

from affnet_tf.config import AugmentConfig, ExperimentConfig, ModelConfig, MotionConfig, TrainConfig, replace
from affnet_tf.errors import InputError
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.input import training_batches
from affnet_tf.pipeline.order import picks
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.pipeline.reading import ClipReader
from affnet_tf.pipeline.shared import shared_images, shared_picks, shared_targets, span

BATCH, STEPS = 3, 11
CONFIG = ExperimentConfig(
    model=ModelConfig(input_size=28), train=TrainConfig(batch_size=BATCH), augment=AugmentConfig(noise=0.02, mixup=0.4)
)
# Of eight clips; those of the last fold are in the middle, and few.
FOLDS = [[0, 1, 2, 4, 5, 6, 7], [1, 2, 3, 4, 5], [2, 4]]
NAMES = [f"casme2\nsub{number}/EP01" for number in range(10)]


def test_each_fold_takes_its_own_picks_from_the_stream():
    """Against the picks of the fold alone, and against the stream by itself."""
    stream = itertools.islice(picks(NAMES, 1, 10).as_numpy_iterator(), 20)
    stream = np.concatenate([clips for clips, *_ in stream])
    found = list(itertools.islice(shared_picks(NAMES, 1, BATCH, FOLDS), STEPS))
    clips, places = (np.concatenate(each, axis=1) for each in zip(*found, strict=True))
    for fold, own_clips, own_places in zip(FOLDS, clips, places, strict=True):
        np.testing.assert_array_equal(stream[own_places], own_clips)
        assert set(own_clips) == set(fold), "no clip of another fold, and each of its own"
        alone = itertools.islice(picks([NAMES[clip] for clip in fold], 1, BATCH).as_numpy_iterator(), STEPS)
        np.testing.assert_array_equal(np.concatenate([np.array(fold)[clip] for clip, *_ in alone]), own_clips)
        assert (np.diff(own_places) > 0).all()


def test_a_fold_without_clips_is_refused():
    with pytest.raises(InputError, match=r"at least one clip\. Received: a fold without"):
        next(shared_picks(NAMES, 1, BATCH, [[1], []]))


def test_the_span_holds_what_folds_read_in_one_step():
    assert span([8], 8, 3, 1) == 8
    assert span([8], 8, 9, 1) == 16, "a batch of nine reaches into the second pass"
    assert span([8, 2], 8, 2, 4) == 8 * 4, "at the fourth step one fold is in its fourth pass, the other in its first"
    places = np.stack([place for _, place in itertools.islice(shared_picks(NAMES, 1, BATCH, FOLDS), STEPS)])
    spread = np.ptp(places.reshape(STEPS, -1), axis=1).max() + 1
    assert spread <= span([len(fold) for fold in FOLDS], 10, BATCH, STEPS) < spread + 2 * 10


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return ClipReader(prepare(forge_clips(root / "casme2"), root / "store", CropConfig(SIZE, "none")).store)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, augment=replace(CONFIG.augment, jitter=0, drop=0, mixup=0)),
        replace(CONFIG, motion=MotionConfig(representation="flow")),
    ],
)
def test_images_made_once_are_those_that_each_fold_makes_by_itself(reader, config):
    labels = {row: row % 3 for row in range(8)}
    weights = [{row: 1.0 + row / 8 + number for row in fold} for number, fold in enumerate(FOLDS)]
    targets = list(itertools.islice(shared_targets(reader, weights, labels, 3, config, 5), STEPS))
    last = max(int(places.max()) for places, *_ in targets)
    images = shared_images(reader, labels, config, 5).as_numpy_iterator()
    images = np.concatenate(list(itertools.islice(images, last // BATCH + 1)))
    alone = [
        training_batches(reader, {row: labels[row] for row in fold}, own, 3, config, 5).as_numpy_iterator()
        for fold, own in zip(FOLDS, weights, strict=True)
    ]
    for places, labels_of, weights_of, shares in targets:
        for fold, (pictures, label, weight) in enumerate(map(next, alone)):
            own, share = images[places[fold]], 1 if shares is None else shares[fold][:, None, None, None]
            mixed = share * own + (1 - share) * np.roll(own, -1, axis=0)
            np.testing.assert_allclose(mixed, pictures, atol=1e-6)
            np.testing.assert_allclose(labels_of[fold], label, atol=1e-6)
            np.testing.assert_allclose(weights_of[fold], weight, atol=1e-6)
        assert (shares is None) == (config.augment.mixup == 0)
    assert len({image.tobytes() for image in images}) == len(images), "each image is made anew"
