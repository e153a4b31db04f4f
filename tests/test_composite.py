"""The stand-in for the MEGC2019 composite: the published counts, three looks, and difficulty that can be set."""

from __future__ import annotations

from collections import Counter

import cv2
import pytest

from affnet_tf.datasets.annotations import read_dataset
from affnet_tf.datasets.clips import Clip, validate_clips
from affnet_tf.datasets.labels import MEGC3
from affnet_tf.datasets.synthetic import COMPOSITE, LAYOUTS, Difficulty, Part, write_composite
from affnet_tf.datasets.synthetic.composite import annotate_part, plan_part
from affnet_tf.errors import InputError

# Clips of the classes 0 negative, 1 positive, 2 surprise, and subjects, as published for MEGC2019.
PUBLISHED = {"smic_hs": ((70, 51, 43), 16), "casme2": ((88, 32, 25), 24), "samm": ((92, 26, 15), 28)}
TINY = {
    "smic_hs": Part(2, {"negative": 2, "surprise": 1}, 0.3, Difficulty()),
    "casme2": Part(2, {"disgust": 1, "happiness": 2}, 0.15, Difficulty(ambiguity=0.5)),
    "samm": Part(1, {"anger": 1, "surprise": 1}, 0.2, Difficulty()),
}


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_counts_are_those_of_megc2019(seed):
    people = set()
    for name, (counts, subjects) in PUBLISHED.items():
        pairs = annotate_part(name, COMPOSITE[name], Difficulty(), seed)
        clips = [
            Clip(name, f"sub{e.subject:02d}", f"sub{e.subject:02d}/{e.name}", "x", 1, 2, e.emotion) for _, e in pairs
        ]
        assert len({clip.key for clip in clips}) == len(clips)
        assigned, dropped = MEGC3.assign(clips)
        assert dropped == {}
        assert Counter(assigned.values()) == dict(enumerate(counts))
        each = Counter(entry.subject for _, entry in pairs)
        assert len(each) == subjects
        assert max(each.values()) >= 3 * min(each.values())
        people |= {take.person for take, _ in pairs}
    assert len(people) == 68
    assert sum(sum(counts) for counts, _ in PUBLISHED.values()) == 442


def test_rates_and_looks_differ():
    smic, casme2, samm = (annotate_part(name, COMPOSITE[name], Difficulty(), 0) for name in PUBLISHED)
    assert {entry.fps for _, entry in smic} == {100}
    assert {entry.fps for _, entry in casme2 + samm} == {200}
    assert all(entry.apex is None for _, entry in smic)
    assert sum(entry.apex is None for _, entry in casme2) == 1
    assert sum(entry.apex is None for _, entry in samm) == 2
    rows = {name: COMPOSITE[name].scale * LAYOUTS[name].forms[0].size[0] for name in PUBLISHED}
    assert rows["smic_hs"] < rows["casme2"]
    assert [LAYOUTS[name].grey for name in PUBLISHED] == [False, False, True]


def test_who_shows_what_does_not_depend_on_the_difficulty():
    for name, part in COMPOSITE.items():
        shown = [
            [(take, entry.emotion, entry.name) for take, entry in annotate_part(name, part, difficulty, 3)]
            for difficulty in (Difficulty(), Difficulty(2, 2, 2, 2, 0.5, 0.2))
        ]
        assert shown[0] == shown[1]
        assert plan_part(LAYOUTS[name], part, 3) != plan_part(LAYOUTS[name], part, 4)


def test_the_three_folders_are_read_and_repeat(tmp_path):
    seen = []
    folders = write_composite(
        tmp_path / "a", parts=TINY, workers=1, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(done, 8) for done in range(1, 9)]
    assert list(folders) == ["smic_hs", "casme2", "samm"]
    for name, folder in folders.items():
        clips = read_dataset(name, folder)
        assert validate_clips(clips) == []
        assert Counter(clip.emotion for clip in clips) == TINY[name].counts
        assert (folder / "SYNTHETIC.txt").read_text().startswith("People who do not exist: composite, seed 0")
    grey = next((tmp_path / "a" / "samm").rglob("*.jpg"))
    assert cv2.imread(str(grey), cv2.IMREAD_UNCHANGED).ndim == 2
    assert cv2.imread(str(next((tmp_path / "a" / "smic_hs").rglob("*.bmp")))).shape == (51, 42, 3)
    write_composite(tmp_path / "b", parts=TINY, workers=2)
    written = [
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "a", tmp_path / "b")
    ]
    assert written[0] == written[1]


def test_a_factor_multiplies_every_cause():
    hard = Difficulty(1, 0.5, 2, 1, 0.2, 0.05).times(2)
    assert hard == Difficulty(2, 1, 4, 2, 0.4, 0.1)
    assert Difficulty(ambiguity=0.6).times(3).ambiguity == 1
    assert Difficulty(1, 1, 1, 1, 0.3, 0.1).times(0) == Difficulty(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"difficulty": -1}, "difficulty"),
        ({"difficulty": {"samm": Difficulty()}}, "difficulty must be given for smic_hs, casme2, samm. Received: samm"),
        ({"seed": 0.5}, "seed"),
        ({"workers": 0}, "workers"),
    ],
)
def test_bad_arguments_are_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        write_composite(tmp_path / "out", parts=TINY, **options)
    assert list(tmp_path.iterdir()) == []
