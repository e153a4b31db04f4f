import itertools
from configparser import ConfigParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affnet_tf.datasets.people import identities, person
from affnet_tf.datasets.specs import SPECS

ROOT = Path(__file__).parent.parent


def named(dataset: str, number: int) -> str:
    """The subject's name as the readers write it."""
    return SPECS[dataset].subject.format(number=number, raw=str(number))


@pytest.mark.parametrize("number", [15, 16, 19, 26])
@pytest.mark.parametrize("dataset", ["casme_sq", "casme_sq_macro"])
def test_people_of_casme2_in_the_later_dataset(dataset, number):
    assert person(dataset, named(dataset, number)) == person("casme2", named("casme2", number)) == f"casme2/sub{number}"


@pytest.mark.parametrize("number", [1, 14, 27, 40])
def test_other_people_of_the_later_dataset_are_not_those_of_casme2(number):
    assert person("casme_sq", f"s{number}") != person("casme2", f"sub{number:02d}")
    assert person("casme_sq", f"s{number}") == person("casme_sq_macro", f"s{number}")


@pytest.mark.parametrize(("one", "other"), [("samm", "samm_lv"), ("smic_hs", "smic_hs_e"), ("smic_hs", "smic")])
def test_releases_of_the_same_recordings(one, other):
    for number in (1, 6, 20):
        assert person(one, named(one, number)) == person(other, str(number))


@pytest.mark.parametrize(
    ("dataset", "spellings"),
    [
        ("casme2", ["sub01", "sub1", "1", "01", "S01", "subject 1"]),
        ("samm", ["006", "6", "s6"]),
        ("SAMM", ["006"]),
        ("casme_sq", ["s33", "33", "sub33"]),
        ("smic_hs", ["s3", "s03", "3"]),
    ],
)
def test_spelling_does_not_make_another_person(dataset, spellings):
    assert len({person(dataset, spelling) for spelling in spellings}) == 1


def test_the_same_number_elsewhere_is_somebody_else():
    people = [
        person(dataset, named(dataset, 15)) for dataset in ("casme", "casme2", "samm", "smic_hs", "mmew", "casme3")
    ]
    assert len(set(people)) == len(people)
    assert person("casme", "sub15") == "casme/sub15"
    assert person("custom", "ann-2 of 15") == "custom/ann-2 of 15"
    assert person("casme2", "ann") == "casme2/ann"
    assert person("casme2", "15 to 26") == "casme2/15 to 26", "two numbers: no number of a subject"


NAMES = st.text(st.sampled_from("ab/%2F01"), min_size=1, max_size=4)


@given(NAMES, NAMES, NAMES, NAMES)
def test_outside_the_table_two_subjects_are_two_people(dataset, subject, other_dataset, other_subject):
    same = person(dataset, subject) == person(other_dataset, other_subject)
    assert same == ((dataset, subject) == (other_dataset, other_subject))


def test_the_table_is_sound():
    for row in identities():
        assert row.dataset in SPECS or row.dataset == "smic"
        assert row.first <= row.last
        assert row.reason
        assert row.person.partition("/")[0] in SPECS
    for row, other in itertools.combinations(identities(), 2):
        assert (row.dataset, row.first, row.last) != (other.dataset, other.first, other.last)
    shared = [row for row in identities() if not row.person.startswith(f"{row.dataset}/")]
    assert all(row.reason.startswith(("stated: ", "our conservative reading: ")) for row in shared)


def test_the_table_is_packaged():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert "people.csv" in config["options.package_data"]["affnet_tf.datasets"]
