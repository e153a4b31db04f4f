"""Label schemes, against the published counts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import layouts
import pytest

from affnet_tf.datasets.clips import Clip
from affnet_tf.datasets.labels import LabelScheme, label_scheme, read_scheme
from affnet_tf.errors import InputError


def clips_of(dataset: str, *emotions: str) -> list[Clip]:
    return [Clip(dataset, "s", f"c{index}", Path("x"), 1, 2, word) for index, word in enumerate(emotions)]


def casme2_full() -> list[Clip]:
    return [
        Clip("casme2", f"sub{row[0]}", f"sub{row[0]}/{row[1]}", Path("x"), row[3], row[5], row[8])
        for row in layouts.casme2_full_rows()
    ]


def test_megc3_of_casme2():
    clips = casme2_full()
    assigned, dropped = label_scheme("megc3", clips).assign(clips)
    assert Counter(assigned.values()) == {0: 88, 1: 32, 2: 25}
    assert dropped == {
        ("casme2", "others"): 99,
        ("casme2", "disgust"): 2,
        ("casme2", "sadness"): 7,
        ("casme2", "fear"): 2,
    }
    assert ("casme2", "sub04/EP12_01f") not in assigned
    assert ("casme2", "sub05/EP09_05f") not in assigned
    assert len({clip.subject for clip in clips if clip.key in assigned}) == 24


def test_megc3_elsewhere():
    emotions = ["anger", "contempt", "disgust", "fear", "sadness", "happiness", "surprise", "other", "repression"]
    clips = clips_of("samm", *emotions)
    assigned, dropped = label_scheme("megc3", clips).assign(clips)
    assert list(assigned.values()) == [0, 0, 0, 0, 0, 1, 2]
    assert dropped == {("samm", "other"): 1, ("samm", "repression"): 1}


def test_paper4_of_casme2():
    clips = casme2_full()
    scheme = label_scheme("paper4", clips)
    assigned, dropped = scheme.assign(clips)
    counts = Counter(scheme.labels[index] for index in assigned.values())
    assert counts == {"positive": 32, "negative": 99, "surprise": 25, "others": 99}
    assert dropped == {}


def test_native_keeps_the_vocabulary_order():
    clips = clips_of("casme2", "others", "disgust", "happiness", "disgust") + clips_of("mine", "zeal", "awe")
    scheme = label_scheme("native", clips)
    assert scheme.labels == ("happiness", "disgust", "others", "awe", "zeal")
    assigned, dropped = scheme.assign(clips)
    assert list(assigned.values()) == [2, 1, 0, 1, 4, 3]
    assert dropped == {}


def test_a_users_own_scheme(tmp_path):
    path = tmp_path / "calm.json"
    value = {"mapping": {"Happiness": "calm", "disgust": "upset", "fear": None}}
    path.write_text(json.dumps(value))
    clips = clips_of("casme2", "disgust", "happiness", "fear", "others", "others")
    scheme = label_scheme(str(path), clips)
    assert (scheme.name, scheme.labels) == ("calm", ("calm", "upset"))
    assigned, dropped = scheme.assign(clips)
    assert assigned == {("casme2", "c0"): 1, ("casme2", "c1"): 0}
    assert dropped == {("casme2", "fear"): 1, ("casme2", "others"): 2}


def test_a_dataset_entry_replaces_the_general_one(tmp_path):
    mapping = {"*": {"disgust": "a", "fear": "b"}, "samm": {"disgust": "b"}}
    path = tmp_path / "two.json"
    path.write_text(json.dumps({"labels": ["b", "a"], "mapping": mapping, "left_out": [["casme2", "c1"]]}))
    scheme = read_scheme(path)
    clips = clips_of("casme2", "disgust", "disgust", "fear") + clips_of("samm", "disgust", "fear")
    assigned, dropped = scheme.assign(clips)
    assert assigned == {("casme2", "c0"): 1, ("casme2", "c2"): 0, ("samm", "c0"): 0}
    assert dropped == {("casme2", "disgust"): 1, ("samm", "fear"): 1}


@pytest.mark.parametrize("name", ["paper4", "megc3"])
def test_json_round_trip(name, tmp_path):
    scheme = label_scheme(name, [])
    (tmp_path / "scheme.json").write_text(json.dumps(scheme.to_json()))
    assert read_scheme(tmp_path / "scheme.json") == scheme


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "must be a JSON object"),
        ('{"mapping": {}}', "must be a JSON object"),
        ('{"mapping": {"fear": 3}}', "text or null"),
        ('{"mapping": {"fear": "a"}}', "2 or more distinct labels"),
        ('{"labels": ["a", "b"], "mapping": {"fear": "c"}}', "must be one of a, b. Received: 'c'"),
        ('{"labels": "ab", "mapping": {"fear": "a"}}', "list of text"),
        ('{"left_out": ["x"], "mapping": {"fear": "a", "joy": "b"}}', "left_out"),
        ("{", "must be JSON"),
    ],
)
def test_bad_schemes(content, message, tmp_path):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_scheme(tmp_path / "bad.json")


def test_unknown_scheme_guesses():
    with pytest.raises(InputError, match="Did you mean 'paper4'"):
        label_scheme("paper5", [])
    with pytest.raises(InputError, match="2 or more distinct labels"):
        LabelScheme("x", ("a", "a"), {})
