"""Which clip comes when, and what is drawn for it."""

import itertools

import numpy as np
import pytest

from affnet_tf.pipeline.order import picks

NAMES = [f"casme2\nsub{number}/EP01" for number in range(10)]


def taken(count: int, *arguments, size: int = 1, **options) -> list[tuple]:
    """The clip, number and random numbers of the first picks."""
    batches = picks(*arguments, size, **options).as_numpy_iterator()
    return [pick for batch in itertools.islice(batches, count // size) for pick in zip(*batch, strict=True)]


def names(*arguments, **options) -> list[str]:
    """The names of the clips of two passes."""
    called = arguments[0]
    return [called[clip] for clip, *_ in taken(2 * len(called), *arguments, **options)]


def test_a_pass_has_each_clip_once_in_an_order_of_its_own():
    found = taken(40, NAMES, 3)
    passes = [[int(clip) for clip, *_ in found[10 * i : 10 * i + 10]] for i in range(4)]
    assert all(sorted(each) == list(range(10)) for each in passes)
    assert len({tuple(each) for each in passes}) == 4
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


@pytest.mark.parametrize(("size", "skip"), [(1, 1), (1, 6), (1, 7), (3, 2), (3, 7), (20, 1), (20, 2)])
def test_batches_go_on_exactly(size, skip):
    whole = taken(100, NAMES[:7], 2)[size * skip :]
    rest = taken(3 * size, NAMES[:7], 2, size=size, skip=skip)
    assert len(rest) == 3 * size
    for one, other in zip(whole, rest, strict=False):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
