import random
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affnet_tf.errors import InputError
from affnet_tf.evaluation.protocols import hold_out_subjects, loso, subjects


class Row(NamedTuple):
    dataset: str
    subject: str
    clip_id: str


NAMES = st.sampled_from(["sub01", "sub02", "sub03", "b-sub01", "x/y", "x_y"])


@st.composite
def tables(draw, least: int = 2) -> list[Row]:
    """Clips of people in three datasets; names of subjects and of clips are shared between the datasets."""
    people = draw(st.sets(st.tuples(st.sampled_from(["a", "a-b", "casme2"]), NAMES), min_size=least, max_size=8))
    counts = {person: draw(st.integers(1, 4)) for person in people}
    rows = [
        Row(dataset, subject, f"{subject}/EP{i:02d}")
        for (dataset, subject), count in counts.items()
        for i in range(count)
    ]
    return draw(st.permutations(rows))


def owner(clips: list[Row]) -> dict[tuple[str, str], tuple[str, str]]:
    return {(clip.dataset, clip.clip_id): (clip.dataset, clip.subject) for clip in clips}


@given(tables(least=5), st.sampled_from([0.0, 0.1, 0.3, 0.5]), st.integers(0, 5))
def test_loso(clips, validation, seed):
    person = owner(clips)
    folds = loso(clips, validation, seed)
    assert len(folds) == len(set(person.values()))
    for fold in folds:
        sides = [{person[key] for key in keys} for keys in (fold.train, fold.validation, fold.test)]
        assert len(sides[2]) == 1
        assert not sides[0] & sides[1], "no subject both trained and validated on"
        assert not sides[2] & (sides[0] | sides[1]), "no subject both tested and trained or validated on"
        assert fold.train
        assert bool(fold.validation) == (validation > 0)
        assert Counter([*fold.train, *fold.validation, *fold.test]) == Counter(list(person)), (
            "every clip is on one side, once"
        )
    tested = Counter(key for fold in folds for key in fold.test)
    assert tested == Counter(list(person)), "every clip is tested on, once"


@given(tables())
def test_names_of_folds_are_unique_also_as_files(clips):
    names = [fold.name for fold in loso(clips)]
    assert len(set(names)) == len(names)
    assert not any("/" in name or "\\" in name for name in names)


def test_names_are_those_of_dataset_and_subject():
    clips = [Row("casme2", "sub01", "sub01/a"), Row("casme2", "sub02", "sub02/a"), Row("casme", "sub01", "sub01/a")]
    assert [fold.name for fold in loso(clips)] == ["casme-sub01", "casme2-sub01", "casme2-sub02"]


@given(tables(least=4), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_order_of_the_clips_decides_nothing(clips, seed, shuffler):
    shuffled = list(clips)
    shuffler.shuffle(shuffled)
    random.seed(shuffler.random())  # the protocols must not look at the shared generator
    for one, other in zip(loso(clips, 0.3, seed), loso(shuffled, 0.3, seed), strict=True):
        assert one.name == other.name
        assert set(one.train) == set(other.train)
        assert set(one.validation) == set(other.validation)
        assert set(one.test) == set(other.test)
    assert loso(clips, 0.3, seed) == loso(clips, 0.3, seed)


def test_the_same_name_in_two_datasets_is_two_people():
    clips = [Row("casme", "sub01", "sub01/EP01"), Row("casme2", "sub01", "sub01/EP01")]
    assert subjects(clips) == [("casme", "sub01"), ("casme2", "sub01")]
    first, second = loso(clips)
    assert (first.test, first.train) == ((("casme", "sub01/EP01"),), (("casme2", "sub01/EP01"),))
    assert (second.test, second.train) == (first.train, first.test)


@given(tables(), st.floats(0, 0.99), st.integers(0, 9))
def test_hold_out_subjects(clips, share, seed):
    person = owner(clips)
    total = len(set(person.values()))
    expected = 0 if share == 0 else max(1, round(share * total))
    if expected >= total:
        with pytest.raises(InputError, match="must leave a subject to train on"):
            hold_out_subjects(clips, share, seed)
        return
    train, validation = hold_out_subjects(clips, share, seed)
    assert len({person[key] for key in validation}) == expected
    assert not {person[key] for key in train} & {person[key] for key in validation}
    assert Counter([*train, *validation]) == Counter(list(person))
    places = {key: i for i, key in enumerate(person)}
    assert [places[key] for key in train] == sorted(places[key] for key in train), "in the order of the clips"


def test_seeds_choose_different_subjects():
    clips = [Row("casme2", f"sub{i:02d}", f"sub{i:02d}/a") for i in range(20)]
    assert len({hold_out_subjects(clips, 0.2, seed)[1] for seed in range(10)}) > 5


def test_one_subject_is_too_few():
    with pytest.raises(InputError, match=r"at least 2 subjects\. Received: 1"):
        loso([Row("casme2", "sub01", "a"), Row("casme2", "sub01", "b")])
