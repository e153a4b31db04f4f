"""``affnet prepare`` from the folder as shipped: bad input line by line, strictness, and what it loads."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata

import cv2
import layouts
import numpy as np
import pytest
from command_line import contents
from forged import forge_clips
from shipped import HARMS, NAMES, no_image, outside, write_people

from affnet_tf.errors import InputError
from affnet_tf.imaging.faces import crop_frames
from affnet_tf.imaging.frames import iterate_frames, read_image
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.crops import REVISION
from affnet_tf.pipeline.input import read_clips
from affnet_tf.pipeline.prepare import prepare, prepare_dataset
from affnet_tf.pipeline.shards import UnusableError
from affnet_tf.pipeline.store import open_store
from affnet_tf.pipeline.workers import Workers

SIZE = 32
SETTINGS = CropConfig(SIZE, "none")


@pytest.fixture
def people(tmp_path):
    return write_people(tmp_path / "people", "cropped")


# Bad input


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_clip_never_stops_the_others(harm, people, tmp_path, affnet):
    rule = harm(people, 4)
    words = ("prepare", "casme2", people, tmp_path / "store", "--size", SIZE, "--workers", 1)
    before = contents(tmp_path)
    code, err = affnet(*words, "--strict", "--quiet")
    assert (code, len(err)) == (2, 1)
    assert err[0].startswith("affnet: ")
    assert contents(tmp_path) == before
    code, err = affnet(*words)
    skipped = [line for line in err if line.startswith("skipped: casme2 clip ")]
    assert (code, len(skipped)) == (1, 1)
    assert "EP04_01" in skipped[0] or harm is outside
    assert re.search(rule, skipped[0]), skipped[0]
    store = open_store(tmp_path / "store")
    assert [clip.clip_id.split("/")[1] for clip in store.clips] == [name for name in NAMES if name != "EP04_01"]
    assert [f"skipped: {line}" for line in store.manifest["skipped"]] == skipped


def test_all_damage_at_once(people, tmp_path, affnet):
    for number, harm in enumerate(HARMS[:6]):
        harm(people, 3 * number)
    code, err = affnet("prepare", "casme2", people, tmp_path / "store", "--size", SIZE, "--workers", 2)
    assert code == 1
    assert sum(line.startswith("skipped: casme2 clip ") for line in err) == 6
    assert len(open_store(tmp_path / "store").clips) == 14


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda root: shutil.rmtree(root / "Cropped"), "root must hold frames such as Cropped/sub01/"),
        (lambda root: (root / "CASME2-coding-20140508.xlsx").unlink(), r"must hold CASME2-coding-20140508\.xlsx"),
        (lambda root: (root / "CASME2-coding-20140508.xlsx").write_bytes(b"PK"), "must be an Excel workbook"),
        (
            lambda root: layouts.write_workbook(
                root / "CASME2-coding-20140508.xlsx", {"a": [("Subject", "Filename", "Begin", "ApexFrame", "End")]}
            ),
            "must have the columns OnsetFrame or Onset, OffsetFrame or Offset, Estimated Emotion",
        ),
    ],
)
def test_a_root_that_is_not_as_expected(change, expected, people, tmp_path):
    change(people)
    with pytest.raises(InputError, match=expected) as caught:
        prepare_dataset("casme2", people, tmp_path / "store", size=SIZE)
    assert "Received: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_names_that_do_not_exist(people, tmp_path, affnet):
    for name, guess in (("casme-2", "casme2"), ("sam", "samm")):
        code, err = affnet("prepare", name, people, tmp_path / "store")
        assert (code, len(err)) == (2, 1)
        assert f"Did you mean {guess!r}" in err[0]
    code, err = affnet("prepare", "casme2", tmp_path / "gone", tmp_path / "store")
    assert (code, len(err)) == (2, 1)
    assert "root must be a folder" in err[0]
    assert not (tmp_path / "store").exists()


# Strict


@pytest.mark.parametrize("workers", [1, 2])
def test_strict_leaves_a_new_folder_as_it_was(people, tmp_path, workers):
    no_image(people, 18)  # in the second shard
    (tmp_path / "there").mkdir()
    for store in (tmp_path / "a" / "b" / "store", tmp_path / "there"):
        with pytest.raises(UnusableError, match=NAMES[18]):
            prepare_dataset("casme2", people, store, size=SIZE, workers=workers, strict=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["people", "there"]
    assert list((tmp_path / "there").iterdir()) == []


def test_strict_waits_for_the_other_workers_before_it_takes_away_what_they_made(tmp_path):
    clips = forge_clips(tmp_path / "clips", subjects=3, clips=8)
    (clips[2].frames / "img10.png").write_bytes(b"no image")
    with Workers(2) as workers:
        for number in range(6):
            store = tmp_path / f"store{number}"
            with pytest.raises(UnusableError, match=clips[2].clip_id):
                prepare(clips, store, SETTINGS, workers=workers, strict=True, clips_per_shard=1)
            assert not store.exists()
        seen = []
        prepare(
            clips[3:7], store, SETTINGS, workers=workers, progress=lambda *done: seen.append(done), clips_per_shard=1
        )
        assert seen == [(i, 4) for i in range(1, 5)], "the same processes go on to other work, and count from 0"
    assert not [path for path in tmp_path.rglob("*") if ".unfinished" in path.name]


def test_strict_keeps_what_an_earlier_run_made(people, tmp_path):
    def stop(done, total):
        if done == 17:
            raise KeyboardInterrupt

    no_image(people, 18)
    with pytest.raises(KeyboardInterrupt):
        prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1, progress=stop)
    before = contents(tmp_path / "store")
    assert ".casme2.unfinished/casme2-00000-of-00002.json" in before
    with pytest.raises(UnusableError, match=NAMES[18]):
        prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1, strict=True)
    assert contents(tmp_path / "store") == before


def test_strict_leaves_a_finished_store_as_it_was(people, tmp_path):
    prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1)
    before = contents(tmp_path / "store")
    no_image(people, 18)
    with pytest.raises(UnusableError, match=NAMES[18]):
        prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1, strict=True)
    assert contents(tmp_path / "store") == before


# What made it


def test_the_manifest_says_what_made_it(people, tmp_path):
    whole = prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1).store
    part = whole.manifest["parts"]["casme2"]
    versions = {name: metadata.version(name) for name in ("affnet_tf", "numpy")}
    assert part["versions"] == [{**versions, "opencv-python": cv2.__version__}]
    assert part["settings_sha256"] == hashlib.sha256(json.dumps(part["settings"], sort_keys=True).encode()).hexdigest()
    assert part["crop_revision"] == REVISION
    other = tmp_path / "store" / "casme2-00001-of-00002.json"  # as if another NumPy had made one shard
    document = json.loads(other.read_text())
    other.write_text(json.dumps({**document, "versions": {**document["versions"], "numpy": "1.26.4"}}))
    again = prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1).store
    found = again.manifest["parts"]["casme2"]["versions"]
    assert [each["numpy"] for each in found] == [np.__version__, "1.26.4"]
    assert again.hash == whole.hash


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("dataset", ["casme2", "samm"])
def test_another_revision_of_cropping_is_refused(tmp_path, finished, dataset):
    def stop(done, total):
        if not finished:
            raise KeyboardInterrupt

    clips = forge_clips(tmp_path / "clips", clips=2)
    with contextlib.nullcontext() if finished else pytest.raises(KeyboardInterrupt):
        prepare(clips, tmp_path / "store", SETTINGS, progress=stop)
    [plan] = (tmp_path / "store").glob("*.plan.json" if finished else ".casme2.unfinished/plan.json")
    plan.write_text(json.dumps({**json.loads(plan.read_text()), "crop_revision": REVISION - 1}))
    before = contents(tmp_path / "store")
    more = [dataclasses.replace(clip, dataset=dataset) for clip in clips]
    with pytest.raises(InputError, match=rf"Received: crop_revision {REVISION}, but casme2 in it has {REVISION - 1}$"):
        prepare(more, tmp_path / "store", SETTINGS)
    assert contents(tmp_path / "store") == before


# What is loaded


def test_neither_a_new_store_nor_a_finished_one_needs_tensorflow(people, tmp_path):
    program = (
        "import sys; from affnet_tf.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "print(sorted({'tensorflow', 'keras', 'mtcnn'} & set(sys.modules)), file=sys.stderr)"
    )
    words = [sys.executable, "-c", program, "prepare", "casme2", people, tmp_path / "store", "--workers", 1, "--quiet"]
    for _ in range(2):
        answer = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True)
        assert answer.stderr == "[]\n"


def test_faces_are_found_once_by_one_process_and_noted(tmp_path, photograph):
    pytest.importorskip("mtcnn")
    face = cv2.resize(read_image(photograph), (256, 300), interpolation=cv2.INTER_AREA)
    clips = forge_clips(tmp_path / "clips", clips=2, size=300)
    for number, clip in enumerate(clips):
        for path in clip.frames.iterdir():
            shown = face if number != 2 else np.zeros_like(face)
            cv2.imwrite(str(path), np.roll(shown, 5 * number, axis=1)[..., ::-1])
    settings = CropConfig(48, "mtcnn")
    notes = tmp_path / "store" / ".casme2.unfinished" / "faces.jsonl"

    def stop(done, total):
        if done == 6:  # two of the four clips are cropped
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(clips, tmp_path / "store", settings, clips_per_shard=2, progress=stop)
    lines = notes.read_text().splitlines()
    assert len(lines) == 4
    notes.write_text("\n".join([*lines, lines[0][:-9]]))  # killed while it wrote a last one
    seen = []
    prepared = prepare(clips, tmp_path / "store", settings, clips_per_shard=2, progress=lambda *done: seen.append(done))
    assert seen[-1] == (8, 8)
    assert [clip.clip_id for clip in prepared.store.clips] == [clips[i].clip_id for i in (0, 1, 3)]
    assert len(prepared.skipped) == 1
    assert "must show a face" in prepared.skipped[0]
    transforms = {json.loads(line)[0].split("\n")[1]: json.loads(line)[1] for line in lines}
    stored = [frames for _, frames, _ in read_clips(prepared.store).as_numpy_iterator()]
    for clip, frames in zip(prepared.store.clips, stored, strict=True):
        shown = iterate_frames(tmp_path / "clips" / clip.clip_id, clip.onset, clip.offset)
        np.testing.assert_array_equal(frames, crop_frames(shown, np.array(transforms[clip.clip_id]), 48))


def test_by_default_there_is_a_process_for_each_processor_that_may_be_used():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("the system grants no single processors")
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from affnet_tf.cores import cores; print(cores())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "1\n"
