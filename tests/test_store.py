import csv
import dataclasses
import functools
import hashlib
import json
import os
import shutil

import cv2
import numpy as np
import pytest
import tensorflow as tf
from forged import SIZE, forge_clips

from affnet_tf.errors import InputError
from affnet_tf.pipeline import prepare as prepare_module
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.input import read_clips
from affnet_tf.pipeline.store import check_shards, naming_damage, open_store

SETTINGS = CropConfig(size=SIZE, detector="none")


prepare = functools.partial(prepare_module.prepare, clips_per_shard=3)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Eight clips of two subjects: three shards."""
    return forge_clips(tmp_path_factory.mktemp("casme2"))


@pytest.fixture(scope="module")
def whole(clips, tmp_path_factory):
    """A store that was made in one go."""
    path = tmp_path_factory.mktemp("stores") / "whole"
    prepare(clips, path, SETTINGS)
    return path


def digests(folder) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(os.listdir(folder))}


def pixels(clip) -> np.ndarray:
    """A clip's frames, read without the project's code."""
    files = [clip.frames / f"img{i}.png" for i in range(clip.onset, clip.offset + 1)]
    return np.stack([cv2.imread(str(file))[..., ::-1] for file in files])


def test_round_trip_is_lossless(clips, whole):
    store = open_store(whole)
    assert [clip.key for clip in store.clips] == [clip.key for clip in clips]
    stored = list(read_clips(store).as_numpy_iterator())
    assert [int(row) for row, *_ in stored] == list(range(8))
    for (_, frames, _), clip, row in zip(stored, clips, store.clips, strict=True):
        assert frames.dtype == np.uint8
        np.testing.assert_array_equal(frames, pixels(clip))
        for name in ("dataset", "subject", "clip_id", "emotion", "onset", "apex", "offset", "fps", "aus"):
            assert getattr(row, name) == getattr(clip, name)
        assert row.length == len(frames)
    assert store.frame_size == SIZE
    assert len(store.shards) == 3


def test_frames_are_resized_to_the_size_asked_for(clips, tmp_path):
    for size, interpolation in ((28, cv2.INTER_CUBIC), (48, cv2.INTER_LINEAR)):
        store = prepare(clips[:2], tmp_path / str(size), CropConfig(size, "none")).store
        for (_, frames, _), clip in zip(read_clips(store).as_numpy_iterator(), clips, strict=False):
            expected = np.stack(
                [cv2.resize(frame, (size, size), interpolation=interpolation) for frame in pixels(clip)]
            )
            np.testing.assert_array_equal(frames, expected)


def test_missing_values_come_back(clips, tmp_path):
    bare = dataclasses.replace(clips[0], apex=None, fps=None, aus=())
    row = prepare([bare], tmp_path / "store", SETTINGS).store.clips[0]
    assert (row.apex, row.fps, row.aus) == (None, None, ())


def test_the_manifest(clips, whole):
    manifest = json.loads((whole / "manifest.json").read_text())
    settings = {"size": SIZE, "detector": "none", "margin": 0.1, "magnify": 0.0, "band": [1.0, 10.0]}
    assert manifest["parts"]["casme2"]["settings"] == settings
    assert manifest["stored"] == manifest["parts"]["casme2"]["clips"] == 8
    assert manifest["frames"] == sum(clip.offset - clip.onset + 1 for clip in clips)
    assert manifest["skipped"] == []
    for name, entry in manifest["shards"].items():
        assert entry["sha256"] == digests(whole)[name]
        assert entry["bytes"] == (whole / name).stat().st_size
    with open(whole / "clips.csv", newline="") as file:
        assert [row["clip_id"] for row in csv.DictReader(file)] == [clip.clip_id for clip in clips]


def test_workers_change_nothing(clips, whole, tmp_path):
    seen = []
    prepared = prepare(clips, tmp_path / "two", SETTINGS, workers=2, progress=lambda *done: seen.append(done))
    assert digests(tmp_path / "two") == digests(whole)
    assert prepared.store.hash == open_store(whole).hash
    assert seen == [(i, 8) for i in range(1, 9)]


@pytest.mark.parametrize("after", [1, 3, 4, 7])
def test_an_interrupted_store_goes_on_to_the_same_files(clips, whole, tmp_path, after):
    def stop(done, total):
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(clips, tmp_path / "store", SETTINGS, progress=stop)
    assert not [name for name in os.listdir(tmp_path / "store") if ".part" in name]
    with pytest.raises(InputError, match="must be finished: run its affnet prepare again"):
        open_store(tmp_path / "store")
    seen = []
    prepare(clips, tmp_path / "store", SETTINGS, progress=lambda *done: seen.append(done))
    assert digests(tmp_path / "store") == digests(whole)
    kept = (after - 1) // 3 * 3
    assert seen == [(i, 8) for i in range(kept + 1, 9)], "whole shards are kept"


def test_a_finished_store_is_left_as_it_is(clips, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "store")
    times = {name: (tmp_path / "store" / name).stat().st_mtime_ns for name in os.listdir(whole) if "tfrecord" in name}
    prepare(clips, tmp_path / "store", SETTINGS, progress=lambda *done: pytest.fail("nothing is left to do"))
    assert digests(tmp_path / "store") == digests(whole)
    assert all((tmp_path / "store" / name).stat().st_mtime_ns == time for name, time in times.items())


def test_what_a_kill_left_goes_and_what_is_others_stays(clips, whole, tmp_path):
    store = shutil.copytree(whole, tmp_path / "store")
    theirs = [".film.mp4.part", ".manifest.part", ".casme2.txt.a1b2c3d4.part"]
    left = [f".{name}.a1b2c3d4.part" for name in ("manifest.json", "clips.csv", "casme2.plan.json")]
    left += [f".casme2-00002-of-00003.{suffix}.a1b2c3d4.part" for suffix in ("json", "png", "tfrecord")]
    for name in (*theirs, *left):
        (store / name).touch()
    (store / ".clips.csv.x.part").mkdir()
    prepare(clips, store, SETTINGS)
    assert {path.name for path in store.glob(".*")} == {*theirs, ".clips.csv.x.part"}


def test_the_hash_tells_contents_apart(clips, whole, tmp_path):
    assert prepare(clips[:7], tmp_path / "fewer", SETTINGS).store.hash != open_store(whole).hash
    assert prepare(clips, tmp_path / "smaller", CropConfig(28, "none")).store.hash != open_store(whole).hash
    renamed = [dataclasses.replace(clips[0], emotion="fear"), *clips[1:]]
    assert prepare(renamed, tmp_path / "renamed", SETTINGS).store.hash != open_store(whole).hash


def test_a_store_of_other_settings_or_clips_is_refused(clips, whole):
    before = digests(whole)
    with pytest.raises(InputError, match=r"must have one size\. Received: 48, but casme2 in it has 32"):
        prepare(clips, whole, CropConfig(48, "none"))
    with pytest.raises(InputError, match=r"detector 'none' against 'mtcnn'; margin 0\.1 against 0\.2"):
        prepare(clips, whole, CropConfig(SIZE, "mtcnn", 0.2))
    with pytest.raises(InputError, match="clips 8 against 7; clips_sha256"):
        prepare(clips[:7], whole, SETTINGS)
    with pytest.raises(InputError, match=r"Received: clips_sha256 '\w+' against '\w+'$"):
        prepare([dataclasses.replace(clips[0], subject="sub09"), *clips[1:]], whole, SETTINGS)
    assert digests(whole) == before


def test_a_folder_of_something_else_is_refused(clips, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="must be new, empty or a store"):
        prepare(clips, tmp_path, SETTINGS)
    assert os.listdir(tmp_path) == ["thesis.txt"]
    with pytest.raises(InputError, match="must be a folder that affnet prepare wrote"):
        open_store(tmp_path)
    with pytest.raises(InputError, match="at least one clip"):
        prepare([], tmp_path / "store", SETTINGS)


@pytest.fixture
def damaged(tmp_path):
    """Clip 1 has a broken frame, clip 4 lacks one, clip 5 has a single frame, and all of the third shard is broken."""
    clips = forge_clips(tmp_path / "casme2")
    data = (clips[1].frames / "img10.png").read_bytes()
    (clips[1].frames / "img10.png").write_bytes(data[: len(data) // 2])
    (clips[4].frames / "img10.png").unlink()
    clips[5] = dataclasses.replace(clips[5], offset=clips[5].onset, apex=None)
    for clip in clips[6:]:
        (clip.frames / "img9.png").write_bytes(b"")
    return clips


@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_clips_are_skipped_and_reported(damaged, tmp_path, workers):
    prepared = prepare(damaged, tmp_path / "store", SETTINGS, left_out=["casme2 clip 'x': no"], workers=workers)
    assert [clip.clip_id for clip in prepared.store.clips] == [damaged[i].clip_id for i in (0, 2, 3)]
    assert len(prepared.skipped) == 6
    assert prepared.skipped[0] == "casme2 clip 'x': no"
    for line, i in zip(prepared.skipped[1:], (1, 4, 5, 6, 7), strict=True):
        assert line.startswith(f"casme2 clip {damaged[i].clip_id!r}: ")
    assert "breaks off" in prepared.skipped[1]
    assert "Missing 1: 10" in prepared.skipped[2]
    assert "at least 2 frames. Received: 1" in prepared.skipped[3]
    assert "must not be empty" in prepared.skipped[4]
    assert prepared.store.manifest["skipped"] == list(prepared.skipped)
    frames = [frames for _, frames, _ in read_clips(prepared.store).as_numpy_iterator()]
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[2], pixels(damaged[3]))
    assert open_store(tmp_path / "store").hash == prepared.store.hash


def test_strict_raises_at_the_first(damaged, tmp_path):
    with pytest.raises(InputError, match="casme2 clip 'sub01/EP01': image must be whole"):
        prepare(damaged, tmp_path / "store", SETTINGS, strict=True)
    assert not (tmp_path / "store").exists()
    assert len(prepare(damaged, tmp_path / "store", SETTINGS).store.clips) == 3
    with pytest.raises(InputError, match="casme2 clip 'sub01/EP01'"):
        prepare(damaged, tmp_path / "store", SETTINGS, strict=True)


def test_no_usable_clip(damaged, tmp_path):
    with pytest.raises(InputError, match=r"no clip of casme2 could be used; the first of 2: casme2 clip 'sub02/EP02'"):
        prepare(damaged[6:], tmp_path / "store", SETTINGS)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data[:1000], lambda data: data + b"x"])
def test_a_shard_of_another_size_is_noticed(whole, tmp_path, change):
    path = shutil.copytree(whole, tmp_path / "store")
    shard = path / "casme2-00001-of-00003.tfrecord"
    shard.write_bytes(change(shard.read_bytes()))
    with pytest.raises(
        InputError, match=r"shard '.*casme2-00001-of-00003\.tfrecord' must have \d+ bytes\. Received: \d+"
    ):
        open_store(path)


def test_a_flipped_byte_is_named(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "store")
    shard = path / "casme2-00001-of-00003.tfrecord"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    store = open_store(path)
    named = (
        r"^shard '.*casme2-00001-of-00003\.tfrecord' must have the SHA-256 \w+…: remove it and run .* Received: \w+…$"
    )
    with pytest.raises(InputError, match=named):
        check_shards(store)
    with pytest.raises(InputError, match=named), naming_damage(store):
        list(read_clips(store).as_numpy_iterator())
    check_shards(store, [store.shards[0], store.shards[2]])
    check_shards(open_store(whole))
    with pytest.raises(ZeroDivisionError), naming_damage(store):
        1 / 0  # noqa: B018


def test_a_store_is_read_from_another_file_system(whole):
    files = tf.io.gfile
    files.makedirs("ram://stores/whole")
    with pytest.raises(InputError, match=r"'ram://stores/whole' without manifest\.json"):
        open_store("ram://stores/whole")
    files.copy(str(whole / "casme2.plan.json"), "ram://stores/whole/casme2.plan.json")
    with pytest.raises(InputError, match="must be finished"):
        open_store("ram://stores/whole")
    for name in os.listdir(whole):
        files.copy(str(whole / name), f"ram://stores/whole/{name}", overwrite=True)
    remote, local = open_store("ram://stores/whole"), open_store(whole)
    assert (remote.clips, remote.hash, remote.frame_size) == (local.clips, local.hash, local.frame_size)
    check_shards(remote)
    for there, here in zip(read_clips(remote).as_numpy_iterator(), read_clips(local).as_numpy_iterator(), strict=True):
        for a, b in zip(there, here, strict=True):
            np.testing.assert_array_equal(a, b)
    files.remove("ram://stores/whole/casme2-00001-of-00003.tfrecord")
    with pytest.raises(InputError, match=r"casme2-00001-of-00003\.tfrecord' must have \d+ bytes\. Received: None"):
        open_store("ram://stores/whole")


@pytest.mark.parametrize("name", ["casme2-00002-of-00003.tfrecord", "manifest.json", "clips.csv"])
def test_a_missing_file_is_noticed(whole, tmp_path, name):
    path = shutil.copytree(whole, tmp_path / "store")
    (path / name).unlink()
    with pytest.raises(InputError, match=name):
        open_store(path)


def test_a_store_of_another_format_is_refused(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "store")
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(InputError, match=r"must be a store's, of format 1\. Received: 99"):
        open_store(path)
    (path / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match=r"manifest\.json"):
        open_store(path)


def test_a_clip_twice_is_refused(clips, tmp_path):
    with pytest.raises(InputError, match=r"each clip once\. Received: casme2 'sub01/EP00' twice"):
        prepare([*clips[:2], clips[0]], tmp_path / "store", SETTINGS)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions as on Unix")
def test_a_store_that_may_not_be_read(tmp_path):
    """It is not called missing. An administrator may read everything, and becomes nobody for this."""
    folder = tmp_path / "closed" / "store"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    folder.parent.chmod(0)
    administrator = os.geteuid() == 0
    try:
        if administrator:
            os.seteuid(65534)
        with pytest.raises(
            InputError, match=r"store '.*' must be readable by who runs this\. Received: Permission denied"
        ):
            open_store(folder)
    finally:
        if administrator:
            os.seteuid(0)
        folder.parent.chmod(0o755)
