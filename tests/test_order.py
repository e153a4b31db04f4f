"""Which clip comes when, and what is drawn for it."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from affnet_tf.config import AugmentConfig
from affnet_tf.pipeline import mixup, timing
from affnet_tf.pipeline.order import REVISION, picks
from affnet_tf.pipeline.warp import draw, finish

GOLDEN = [(3, 4118436389938680509), (3, 216061243077643792), (1, 1571627757416084162)]
GOLDEN_DRAWS = [[0.840804, 0.766240], [0.236655, 0.712892], [0.670377, 0.141620]]
GOLDEN_TIMING = [0.643998, 0.664032]
GOLDEN_NOISE = 0.318438
GOLDEN_SHARES = [0.464538, 0.653714]
NAMES = [f"casme2\nsub{number}/EP01" for number in range(10)]


def taken(count: int, *arguments, size: int = 1, **options) -> list[tuple[int, int]]:
    """The clip and the number of the first picks."""
    batches = picks(*arguments, size, **options).as_numpy_iterator()
    return [(int(c), int(n)) for each in itertools.islice(batches, count // size) for c, n in zip(*each, strict=True)]


def test_a_pass_has_each_clip_once_in_an_order_of_its_own():
    found = taken(40, NAMES, 3)
    passes = [[clip for clip, _ in found[10 * i : 10 * i + 10]] for i in range(4)]
    assert all(sorted(each) == list(range(10)) for each in passes)
    assert len({tuple(each) for each in passes}) == 4
    assert passes[0] != [clip for clip, _ in taken(10, NAMES, 4)], "the seed decides"


def test_every_place_of_a_pass_is_as_likely_for_a_clip():
    """Chi-squared over 600 passes of six clips: 25 degrees of freedom, exceeded by chance once in a million."""
    clips = np.array([clip for clip, _ in taken(3600, NAMES[:6], 0)]).reshape(600, 6)
    counts = np.array([[(clips[:, place] == clip).sum() for clip in range(6)] for place in range(6)])
    assert ((counts - 100) ** 2 / 100).sum() < 73


def test_random_numbers_are_uniform_and_independent():
    """Of 4,000 images: each number's distribution by Kolmogorov and Smirnov, and correlations of any two, clips and passes."""
    draws = {seed: draw(tf.constant([number for _, number in taken(4000, NAMES, seed)])).numpy() for seed in (0, 1)}
    clips = np.array([clip for clip, _ in taken(4000, NAMES, 0)]).reshape(400, 10)
    by_clip = np.take_along_axis(draws[0].reshape(400, 10, 6), np.argsort(clips)[..., None], axis=1)
    draws, others = draws.values()
    assert draws.shape == (4000, 6)
    assert draws.min() >= 0
    assert draws.max() < 1
    steps = np.arange(1, 4001) / 4000
    for column in draws.T:
        assert np.abs(np.sort(column) - steps).max() < 0.039, "exceeded by chance once in a hundred thousand"
    for columns in (
        draws,
        by_clip[..., 0],
        np.stack([draws[:-10, 2], draws[10:, 2]], axis=1),
        np.hstack([draws, others]),
    ):
        correlations = np.corrcoef(columns, rowvar=False) - np.eye(columns.shape[1])
        assert np.abs(correlations).max() * np.sqrt(len(columns)) < 5


def test_what_is_drawn_for_a_clip_does_not_depend_on_the_others():
    """Nor on the order in which clips are named, nor on TensorFlow's own seed."""
    some = NAMES[3:8]

    def named(count: int, names: list[str]) -> list[tuple[str, int]]:
        return [(names[clip], number) for clip, number in taken(count, names, 1)]

    whole = named(20, NAMES)
    tf.random.set_seed(7)
    assert named(10, some) == [pick for pick in whole if pick[0] in some]
    assert named(20, NAMES[::-1]) == whole
    assert len({number for _, number in whole}) == 20


def test_the_same_seed_gives_the_same_on_every_machine():
    """As first drawn. Where these change, experiments do: REVISION counts up."""
    assert REVISION == 2
    assert taken(12, NAMES[:5], 3)[4:7] == GOLDEN
    found = draw(tf.constant([number for _, number in GOLDEN])).numpy()[:, :2]
    np.testing.assert_allclose(found, GOLDEN_DRAWS, atol=1e-6)
    number = tf.constant(GOLDEN[0][1], tf.int64)
    once, each = timing.draw(number, 3)
    np.testing.assert_allclose([once[0], each[0]], GOLDEN_TIMING, atol=1e-6)
    grey, noise = np.full((1, 2, 2, 3), 0.5, np.float32), AugmentConfig(gain=0, noise=0.1)
    np.testing.assert_allclose(finish(grey, noise, None, number[None])[0, 0, 0, 0], GOLDEN_NOISE, atol=1e-6)
    np.testing.assert_allclose(mixup.draw(0.4, 3, tf.constant(2, tf.int64), 2), GOLDEN_SHARES, atol=1e-6)


@pytest.mark.parametrize(("size", "skip"), [(1, 1), (1, 6), (1, 7), (3, 2), (3, 7), (20, 1), (20, 2)])
def test_batches_go_on_exactly(size, skip):
    whole = taken(100, NAMES[:7], 2)[size * skip :]
    rest = taken(3 * size, NAMES[:7], 2, size=size, skip=skip)
    assert rest == whole[: 3 * size]
