import json
import os

import pytest

from affnet_tf.errors import InputError
from affnet_tf.training.run import open_run

DOCUMENT = {"task": "evaluate", "config": {"train": {"epochs": 2}, "labels": "paper4"}, "store": "abc"}


def read(path):
    return json.loads(path.read_text())


def test_nothing_is_written_before_it_begins(tmp_path):
    run = open_run(tmp_path / "run", DOCUMENT, resume=False)
    assert not run.resumed
    assert not (tmp_path / "run").exists()
    run.begin("1 CPU device(s), float32", {"seed": 3})
    assert read(tmp_path / "run" / "config.json") == DOCUMENT
    manifest = read(tmp_path / "run" / "manifest.json")
    assert manifest["seed"] == 3
    assert manifest["devices"] == "1 CPU device(s), float32"
    assert "resumed" not in manifest


def test_a_resumption_keeps_the_manifest_of_the_beginning(tmp_path):
    open_run(tmp_path, DOCUMENT, resume=False).begin("1 CPU device(s), float32", {"seed": 3})
    first = read(tmp_path / "manifest.json")
    for devices in ("1 CPU device(s), float32", "1 GPU device(s), float32", "1 GPU device(s), float32"):
        run = open_run(tmp_path, DOCUMENT, resume=True)
        assert run.resumed
        run.begin(devices, {"seed": 99})
    manifest = read(tmp_path / "manifest.json")
    resumed = manifest.pop("resumed")
    assert manifest == first
    assert [each["devices"] for each in resumed] == ["1 GPU device(s), float32"]
    assert resumed[0]["versions"] == first["versions"]
    open_run(tmp_path, DOCUMENT, resume=True).begin("1 CPU device(s), float32", {})
    assert [each["devices"][:5] for each in read(tmp_path / "manifest.json")["resumed"]] == ["1 GPU", "1 CPU"]


def test_another_version_is_noted(tmp_path):
    open_run(tmp_path, DOCUMENT, resume=False).begin("cpu", {})
    manifest = read(tmp_path / "manifest.json")
    manifest["versions"]["keras"] = "3.0.0"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    open_run(tmp_path, DOCUMENT, resume=True).begin("cpu", {})
    again = read(tmp_path / "manifest.json")
    assert again["versions"]["keras"] == "3.0.0"
    assert again["resumed"][0]["versions"]["keras"] != "3.0.0"


@pytest.mark.parametrize("left", [[".config.json.x1.part"], ["config.json"], ["config.json", ".manifest.json.x2.part"]])
def test_a_beginning_that_was_killed_can_be_resumed(tmp_path, left):
    for name in left:
        (tmp_path / name).write_text(json.dumps(DOCUMENT) if name == "config.json" else "{")
    open_run(tmp_path, DOCUMENT, resume=True).begin("cpu", {"seed": 3})
    assert sorted(os.listdir(tmp_path)) == ["config.json", "manifest.json"]
    assert read(tmp_path / "config.json") == DOCUMENT
    assert read(tmp_path / "manifest.json")["seed"] == 3


@pytest.mark.parametrize("resume", [False, True])
def test_folders_that_hold_something_else(tmp_path, resume):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="run folder must be new"):
        open_run(tmp_path, DOCUMENT, resume)
    with pytest.raises(InputError, match="which is a file"):
        open_run(tmp_path / "thesis.txt", DOCUMENT, resume)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_the_fields_that_differ_are_named(tmp_path):
    open_run(tmp_path, DOCUMENT, resume=False).begin("cpu", {})
    other = {**DOCUMENT, "config": {"train": {"epochs": 3, "ema": 0.9}, "labels": "paper4"}}
    with pytest.raises(InputError) as error:
        open_run(tmp_path, other, resume=True)
    assert "Received: config.train.ema None against 0.9; config.train.epochs 2 against 3" in str(error.value)


def test_a_run_of_other_random_numbers_is_not_gone_on_with(tmp_path):
    open_run(tmp_path / "run", DOCUMENT, resume=False).begin("cpu", {"draws": 1})
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    again = open_run(tmp_path / "run", DOCUMENT, resume=True)
    with pytest.raises(
        InputError, match=r"draws random numbers as the one that began it\. Received: revision 2 against 1$"
    ):
        again.begin("gpu", {"draws": 2})
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before
    again.begin("gpu", {"draws": 1})
