import itertools
import random
import unicodedata
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from affnet_tf.errors import InputError
from affnet_tf.evaluation.protocols import (
    PROTOCOLS,
    Fold,
    check_folds,
    composite,
    cross_dataset,
    folds,
    hold_out_subjects,
    holdout,
    kfold,
    loso,
    people,
)

QUICK = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])


class Row(NamedTuple):
    dataset: str
    subject: str
    clip_id: str


NAMES = st.sampled_from(["sub01", "sub02", "sub03", "b-sub01", "x/y", "x_y"])


@st.composite
def tables(draw, least: int = 2) -> list[Row]:
    """Clips of people in three datasets; names of subjects and of clips are shared between the datasets."""
    people = draw(st.sets(st.tuples(st.sampled_from(["a", "a-b", "b"]), NAMES), min_size=least, max_size=8))
    counts = {person: draw(st.integers(1, 4)) for person in people}
    rows = [
        Row(dataset, subject, f"{subject}/EP{i:02d}")
        for (dataset, subject), count in counts.items()
        for i in range(count)
    ]
    return draw(st.permutations(rows))


def owner(clips: list[Row]) -> dict[tuple[str, str], tuple[str, str]]:
    return {(clip.dataset, clip.clip_id): (clip.dataset, clip.subject) for clip in clips}


@QUICK
@given(tables(least=5), st.sampled_from([0.0, 0.1, 0.3, 0.5]), st.integers(0, 5))
def test_loso(clips, validation, seed):
    person = owner(clips)
    made = loso(clips, validation, seed)
    assert len(made) == len(set(person.values()))
    for fold in made:
        sides = [{person[key] for key in keys} for keys in (fold.train, fold.validation, fold.test)]
        assert len(sides[2]) == 1
        assert not sides[0] & sides[1], "no subject both trained and validated on"
        assert not sides[2] & (sides[0] | sides[1]), "no subject both tested and trained or validated on"
        assert fold.train
        assert bool(fold.validation) == (validation > 0)
        assert Counter([*fold.train, *fold.validation, *fold.test]) == Counter(list(person)), (
            "every clip is on one side, once"
        )
    tested = Counter(key for fold in made for key in fold.test)
    assert tested == Counter(list(person)), "every clip is tested on, once"


@QUICK
@given(tables())
def test_names_of_folds_are_unique_also_as_files(clips):
    names = [fold.name for fold in loso(clips)]
    assert len(set(names)) == len(names)
    assert not any("/" in name or "\\" in name for name in names)


def test_names_are_those_of_dataset_and_subject():
    clips = [Row("casme2", "sub01", "sub01/a"), Row("casme2", "sub02", "sub02/a"), Row("casme", "sub01", "sub01/a")]
    assert [fold.name for fold in loso(clips)] == ["casme-sub01", "casme2-sub01", "casme2-sub02"]


@QUICK
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
    assert people(clips) == ["casme/sub01", "casme2/sub01"]
    first, second = loso(clips)
    assert (first.test, first.train) == ((("casme", "sub01/EP01"),), (("casme2", "sub01/EP01"),))
    assert (second.test, second.train) == (first.train, first.test)


@QUICK
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


SHARING = {"casme2": "sub{:02d}", "casme_sq": "s{}", "casme_sq_macro": "s{}", "samm": "{:03d}", "samm_lv": "{:03d}"}


@st.composite
def releases(draw, datasets: int = 2, least: int = 2) -> list[Row]:
    """Clips of datasets that share people: numbers 13 to 17 and 27 in each."""
    chosen = draw(st.lists(st.sampled_from(sorted(SHARING)), min_size=datasets, max_size=4, unique=True))
    rows = []
    for dataset in chosen:
        for number in draw(st.sets(st.sampled_from([13, 14, 15, 16, 17, 27]), min_size=least)):
            subject = SHARING[dataset].format(number)
            rows += [Row(dataset, subject, f"{subject}/{i}") for i in range(draw(st.integers(1, 3)))]
    return draw(st.permutations(rows))


def human(row: Row) -> tuple[str, int]:
    """Who it is, by the descriptions of the datasets: written apart from the table that the code reads."""
    number = int("".join(c for c in row.subject if c.isdigit()))
    if row.dataset in ("samm", "samm_lv"):
        return "samm", number
    return ("casme2" if row.dataset == "casme2" or 15 <= number <= 26 else "casme_sq"), number


def check_sides(fold: Fold, clips: list[Row], validation: float) -> None:
    """No human being on two sides; every clip on one, or left out for a stated reason."""
    humans = {(row.dataset, row.clip_id): human(row) for row in clips}
    sides = [{humans[key] for key in keys} for keys in (fold.train, fold.validation, fold.test)]
    assert not sides[0] & sides[1]
    assert not sides[2] & (sides[0] | sides[1])
    assert fold.train
    assert fold.test
    assert bool(fold.validation) == (validation > 0)
    assert {humans[key] for key in fold.excluded} <= sides[2], "nobody is left out who is not tested"
    assert bool(fold.reason) == bool(fold.excluded)
    assert Counter([*fold.train, *fold.validation, *fold.test, *fold.excluded]) == Counter(list(humans))


def attempt(protocol, clips, validation, seed, **options) -> list[Fold]:
    """The folds; where a protocol refuses the clips, hypothesis looks for others."""
    try:
        return folds(protocol, clips, validation, seed, **options)
    except InputError as error:
        event(str(error).partition("Received")[0][-40:])
        reject()


@pytest.mark.parametrize("protocol", ["loso", "kfold", "composite", "holdout"])
@QUICK
@given(data=st.data())
def test_every_clip_is_tested_once_and_nobody_is_on_two_sides(protocol, data):
    clips = data.draw(releases())
    validation, seed = data.draw(st.sampled_from([0.0, 0.3])), data.draw(st.integers(0, 3))
    made = attempt(protocol, clips, validation, seed, k=2 if protocol == "kfold" else None)
    for fold in made:
        check_sides(fold, clips, validation)
        assert protocol == "holdout" or not fold.excluded
    assert Counter(key for fold in made for key in fold.test) == Counter((row.dataset, row.clip_id) for row in clips)
    if protocol in ("loso", "composite"):
        assert len(made) == len({human(row) for row in clips}), "one fold for a human being, not for a name"


@QUICK
@given(releases(), st.sampled_from([0.0, 0.3]), st.integers(0, 3))
def test_cross_dataset(clips, validation, seed):
    made = {fold.name: fold for fold in attempt("cross_dataset", clips, validation, seed)}
    datasets = {row.dataset for row in clips}
    assert set(made) == {f"{a}-to-{b}" for a, b in itertools.permutations(datasets, 2)}
    for a, b in itertools.permutations(datasets, 2):
        fold = made[f"{a}-to-{b}"]
        check_sides(fold, [row for row in clips if row.dataset in (a, b)], validation)
        assert Counter(fold.test) == Counter((row.dataset, row.clip_id) for row in clips if row.dataset == b)
        assert {dataset for dataset, _ in (*fold.train, *fold.validation, *fold.excluded)} <= {a}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@QUICK
@given(data=st.data())
def test_the_seed_decides_and_not_the_order_of_the_clips(protocol, data):
    clips = data.draw(releases())
    seed, shuffler = data.draw(st.integers(0, 3)), data.draw(st.randoms(use_true_random=False))
    made = attempt(protocol, clips, 0.3, seed)
    shuffled = list(clips)
    shuffler.shuffle(shuffled)
    random.seed(shuffler.random())
    again = folds(protocol, shuffled, 0.3, seed)
    for one, other in zip(made, again, strict=True):
        assert (one.name, one.reason) == (other.name, other.reason)
        for side in ("train", "validation", "test", "excluded"):
            assert set(getattr(one, side)) == set(getattr(other, side))
    assert folds(protocol, clips, 0.3, seed) == made


def test_shared_people_leave_the_training_side():
    """CAS(ME)2's s15 and s16 are CASME II's 15 and 16: worked by hand."""
    casme2 = [Row("casme2", f"sub{number}", f"sub{number}/a") for number in (14, 15, 16, 27)]
    casme_sq = [Row("casme_sq", f"s{number}", f"s{number}/a") for number in (15, 16, 27)]
    forth, back = cross_dataset([*casme2, *casme_sq])
    assert forth.name == "casme2-to-casme_sq"
    assert forth.train == (("casme2", "sub14/a"), ("casme2", "sub27/a"))
    assert forth.excluded == (("casme2", "sub15/a"), ("casme2", "sub16/a"))
    assert forth.reason == ("2 clips do not train, since casme_sq tests their 2 persons: casme2/sub15, casme2/sub16")
    assert back.train == (("casme_sq", "s27/a"),)
    names = [fold.name for fold in composite([*casme2, *casme_sq])]
    assert names == ["casme2-sub14", "casme2-sub15", "casme2-sub16", "casme2-sub27", "casme_sq-s27"]
    assert composite([*casme2, *casme_sq])[1].test == (("casme2", "sub15/a"), ("casme_sq", "s15/a"))


def test_the_composite_has_a_fold_for_each_of_68_people():
    sizes = {"smic_hs": ("s{}", 16), "casme2": ("sub{:02d}", 24), "samm": ("{:03d}", 28)}
    clips = [
        Row(dataset, form.format(number + 1), f"{number}-{i}")
        for dataset, (form, people_) in sizes.items()
        for number in range(people_)
        for i in range(3)
    ]
    assert len(composite(clips)) == 68
    assert [fold.name for fold in holdout(clips)] == ["rest-to-casme2", "rest-to-samm", "rest-to-smic_hs"]
    assert len(holdout(clips)[0].train) == 3 * (16 + 28)


@QUICK
@given(st.integers(0, 10_000), st.integers(2, 6), st.booleans())
def test_kfold_is_as_even_as_scikit_learns(seed, k, labelled):
    """The spread of every class over the folds, against StratifiedGroupKFold on the same people."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 12, 24)
    clips = [Row("d", f"p{p:02d}", f"{p}-{i}") for p, size in enumerate(sizes) for i in range(size)]
    labels = {(row.dataset, row.clip_id): int(rng.choice(3, p=[0.6, 0.25, 0.15])) for row in clips}
    y = np.array([labels[row.dataset, row.clip_id] if labelled else 0 for row in clips])

    def spread(parts: list[set]) -> float:
        counts = np.array([[np.sum(y[list(part)] == c) for c in range(3)] for part in parts])
        return float(np.square(counts / np.maximum(counts.sum(axis=0), 1)).sum())

    places = {(row.dataset, row.clip_id): i for i, row in enumerate(clips)}
    ours = [
        {places[key] for key in fold.test} for fold in kfold(clips, k, seed=seed, label_of=labels if labelled else None)
    ]
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=0)
    theirs = [set(test) for _, test in splitter.split(y, y, [row.subject for row in clips])]
    assert spread(ours) <= spread(theirs) + 0.02 * (3 if labelled else 1)


def test_kfold_by_seed():
    clips = [Row("casme2", f"sub{i:02d}", f"{i}-{j}") for i in range(20) for j in range(1 + i % 4)]
    assert len({kfold(clips, 4, seed=seed)[0].test for seed in range(10)}) > 5
    assert [fold.name for fold in kfold(clips, 12)] == [f"fold{i:02d}" for i in range(1, 13)]
    assert all(len({key[1].split("-")[0] for key in fold.test}) == 1 for fold in kfold(clips, 20))


@QUICK
@given(st.sets(st.tuples(st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=5)), min_size=2, max_size=6))
def test_names_are_fit_for_any_file_system(pairs):
    clips = [Row(dataset, subject, "a") for dataset, subject in pairs]
    names = [fold.name for fold in loso(clips)]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(names)
    assert not any(set(name) & set('/\\:*?"<>|\x00\n') for name in names)


def test_names_that_a_file_system_would_take_for_one():
    clips = [Row("custom", subject, subject) for subject in ("ann", "Ann", "ANN", "x" * 300, "x" * 300 + "y")]
    names = [fold.name for fold in loso(clips)]
    assert names[:3] == ["custom-ANN", "custom-Ann~2", "custom-ann~3"]
    assert len(set(names)) == 5
    assert max(map(len, names)) < 200


ONE = [Row("casme2", "sub01", "a"), Row("casme2", "sub01", "b")]
TWO = [*ONE, Row("casme2", "sub02", "c")]
LONE = [*TWO, Row("samm", "006", "d")]
SAME = [Row(dataset, f"s{n}", f"s{n}/a") for dataset in ("casme_sq", "casme_sq_macro") for n in (30, 31)]


@pytest.mark.parametrize(
    ("protocol", "clips", "message"),
    [
        ("loso", ONE, "loso must have at least 2 subjects. Received: 1"),
        ("loso", [], "at least 2 subjects. Received: 0"),
        ("kfold", TWO, "kfold must have from 2 to 2 folds for 2 subjects. Received: 5"),
        ("composite", TWO, "composite must have at least 2 datasets. Received: casme2"),
        ("cross_dataset", TWO, "cross_dataset must have at least 2 datasets. Received: casme2"),
        ("holdout", [], "holdout must have at least 2 datasets. Received: none"),
        ("composite", LONE, "composite: each dataset must have at least 2 subjects. Received: 'samm' with 1"),
        ("cross_dataset", LONE, "each dataset must have at least 2 subjects. Received: 'samm' with 1"),
        ("holdout", LONE, "each dataset must have at least 2 subjects. Received: 'samm' with 1"),
        ("cross_dataset", SAME, "fold 'casme_sq-to-casme_sq_macro' must leave somebody to train on"),
        ("holdout", SAME, "fold 'rest-to-casme_sq' must leave somebody to train on who is not tested"),
        ("holdon", TWO, "protocol must be one of loso, kfold, composite, cross_dataset, holdout"),
    ],
)
def test_clips_that_do_not_serve(protocol, clips, message):
    with pytest.raises(InputError) as error:
        folds(protocol, clips)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_options_that_do_not_serve():
    with pytest.raises(InputError, match=r"number of folds must go with protocol kfold\. Received: 3 with loso"):
        folds("loso", TWO, k=3)
    with pytest.raises(InputError, match=r"Received: 1"):
        folds("kfold", TWO, k=1)
    with pytest.raises(InputError, match=r"fold 'casme2-sub01': validation must leave a subject to train on"):
        folds("loso", TWO, 0.3)
    with pytest.raises(InputError, match=r"a share of -0.1"):
        hold_out_subjects(TWO, -0.1, 0)


def test_a_class_that_cannot_be_learnt():
    clips = [Row("casme2", f"sub0{i}", f"{i}{c}") for i in (1, 2, 3) for c in "ab"]
    keys = [(row.dataset, row.clip_id) for row in clips]
    labels = {key: int(key[1].endswith("b")) for key in keys}
    check_folds(loso(clips), labels, ("calm", "upset"))
    only_first = {key: int(key[1] == "1b") for key in keys}
    with pytest.raises(InputError, match=r"fold 'casme2-sub01': the training clips.*Received: none of 'upset'$"):
        check_folds(loso(clips), only_first, ("calm", "upset"))
    calm = tuple(key for key in keys if labels[key] == 0)
    made = [Fold(name, calm, (), tuple(keys)) for name in "xyz"]
    with pytest.raises(InputError, match=r"fold 'x'.*none of 'upset', and likewise 2 more of 3 folds"):
        check_folds(made, labels, ("calm", "upset"))
    with pytest.raises(InputError, match=r"must give every class a clip\. Received: none of 'sad', 'wry' in 6 clips"):
        check_folds(loso(clips), labels, ("calm", "upset", "sad", "wry"))
