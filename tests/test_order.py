"""Which clip comes when, and images that are made once for several folds."""

import itertools

import numpy as np
import pytest
from forged import SIZE, forge_clips

from affnet_tf.config import AugmentConfig, ExperimentConfig, ModelConfig, MotionConfig, TrainConfig, replace
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.input import side_by_side, training_batches, training_images, training_targets
from affnet_tf.pipeline.order import picks, window
from affnet_tf.pipeline.prepare import prepare
from affnet_tf.pipeline.reading import ClipReader

BATCH, STEPS = 3, 11
CONFIG = ExperimentConfig(
    model=ModelConfig(input_size=28), train=TrainConfig(batch_size=BATCH), augment=AugmentConfig(noise=0.02, mixup=0.4)
)
# Of eight clips; those of the last fold are in the middle, and few.
FOLDS = [[0, 1, 2, 4, 5, 6, 7], [1, 2, 3, 4, 5], [2, 4]]


NAMES = [f"casme2\nsub{number}/EP01" for number in range(10)]


def taken(count: int, *arguments, **options) -> list[tuple]:
    """The clip, place, number and random numbers of the first picks."""
    return list(itertools.islice(picks(*arguments, **options).as_numpy_iterator(), count))


def names(*arguments, **options) -> list[str]:
    """The names of the clips of two passes."""
    called = arguments[0]
    return [called[clip] for clip, *_ in taken(2 * len(called), *arguments, **options)]


def test_a_pass_has_each_clip_once_in_an_order_of_its_own():
    found = taken(40, NAMES, 3)
    passes = [[int(clip) for clip, *_ in found[10 * i : 10 * i + 10]] for i in range(4)]
    assert all(sorted(each) == list(range(10)) for each in passes)
    assert len({tuple(each) for each in passes}) == 4
    assert [int(place) for _, place, *_ in found] == list(range(40))
    assert passes[0] != [int(clip) for clip, *_ in taken(10, NAMES, 4)], "the seed decides"


def test_every_place_of_a_pass_is_as_likely_for_a_clip():
    """Chi-squared over 600 passes of six clips: 25 degrees of freedom, exceeded by chance once in a million."""
    clips = np.array([int(clip) for clip, *_ in taken(3600, NAMES[:6], 0)]).reshape(600, 6)
    counts = np.array([[(clips[:, place] == clip).sum() for clip in range(6)] for place in range(6)])
    assert ((counts - 100) ** 2 / 100).sum() < 73


def test_random_numbers_are_uniform_and_independent():
    """Of 4,000 images: each number's distribution by Kolmogorov and Smirnov, and correlations of any two, clips and passes."""
    found = taken(4000, NAMES, 0)
    draws = np.array([random for *_, random in found])
    assert draws.min() >= 0
    assert draws.max() < 1
    steps = np.arange(1, 4001) / 4000
    for column in draws.T:
        assert np.abs(np.sort(column) - steps).max() < 0.039, "exceeded by chance once in a hundred thousand"
    by_clip = np.empty((10, 400, 6))
    for number, (clip, *_, random) in enumerate(found):
        by_clip[clip, number // 10] = random
    for columns in (draws, by_clip[..., 0].T, np.stack([draws[:-10, 2], draws[10:, 2]], axis=1)):
        correlations = np.corrcoef(columns, rowvar=False) - np.eye(columns.shape[1])
        assert np.abs(correlations).max() * np.sqrt(len(columns)) < 5


def test_what_is_drawn_for_a_clip_does_not_depend_on_the_others():
    found = {
        len(some): {int(number): random for *_, number, random in taken(24, some, 1)} for some in (NAMES, NAMES[3:8])
    }
    for number, random in found[5].items():
        if number in found[10]:
            np.testing.assert_array_equal(random, found[10][number])
    assert len(found[5].keys() & found[10].keys()) == 12, "two passes and a part of the third"
    assert names(NAMES[3:8], 1)[:10] == [name for name in names(NAMES, 1) if name in NAMES[3:8]], "nor does their order"
    assert names(NAMES[::-1], 1) == names(NAMES, 1), "nor in which order they are named"


def test_places_are_those_in_the_stream():
    whole = [int(clip) for clip, *_ in taken(40, NAMES, 1)]
    found = taken(6, NAMES, 1, members=[2, 5])
    assert [whole[place] for _, place, *_ in found] == [int(clip) for clip, *_ in found]
    assert [int(place) // 10 for _, place, *_ in found] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("first", [1, 6, 7, 8, 30])
def test_picks_go_on_exactly(first):
    whole, rest = taken(first + 9, NAMES, 2, members=FOLDS[0])[first:], taken(9, NAMES, 2, first, FOLDS[0])
    for one, other in zip(whole, rest, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_window_holds_what_folds_read_in_one_step():
    assert window([8], 8, 3, 1) == 8
    assert window([8], 8, 9, 1) == 16, "a batch of nine reaches into the second pass"
    assert window([8, 2], 8, 2, 4) == 8 * 4, "at the fourth step one fold is in its fourth pass, the other in its first"
    streams = [taken(BATCH * STEPS, NAMES, 1, members=fold) for fold in FOLDS]
    places = np.array([[int(place) for _, place, *_ in stream] for stream in streams]).reshape(len(FOLDS), STEPS, BATCH)
    spread = np.ptp(places.transpose(1, 0, 2).reshape(STEPS, -1), axis=1).max() + 1
    assert spread <= window([len(fold) for fold in FOLDS], 10, BATCH, STEPS) < spread + 2 * 10


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
    labels = [{row: (row + number) % 3 for row in fold} for number, fold in enumerate(FOLDS)]
    weights = [{row: 1.0 + row / 8 + number for row in fold} for number, fold in enumerate(FOLDS)]
    rows = sorted(set().union(*FOLDS))
    arguments = [(reader, *each, 3, config, 5) for each in zip(labels, weights, strict=True)]
    targets = side_by_side([training_targets(*each, stream=rows) for each in arguments])
    targets = list(itertools.islice(targets.as_numpy_iterator(), STEPS))
    last = max(int(places.max()) for places, *_ in targets)
    images = training_images(reader, rows, config, 5).as_numpy_iterator()
    images = np.concatenate(list(itertools.islice(images, last // BATCH + 1)))
    alone = [itertools.islice(training_batches(*each).as_numpy_iterator(), STEPS) for each in arguments]
    for (places, *rest), *batches in zip(targets, *alone, strict=True):
        for fold, (pictures, label, weight) in enumerate(batches):
            own, share = images[places[fold]], rest[2][fold][:, None, None, None]
            mixed = share * own + (1 - share) * np.roll(own, -1, axis=0)
            np.testing.assert_allclose(mixed, pictures, atol=1e-6)
            np.testing.assert_array_equal(rest[0][fold], label)
            np.testing.assert_array_equal(rest[1][fold], weight)
            assert config.augment.mixup or (rest[2] == 1).all()
    seen = {image.tobytes() for image in images}
    assert len(seen) == len(images), "each image is made anew"
