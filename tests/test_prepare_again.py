"""``affnet prepare`` once more: after changes of the source, kills, and a disk that was full."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import layouts
import pytest
from command_line import contents
from forged import forge_clips
from shipped import absent, empty, folder_of, hole, no_image, write_people

from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.detection import locate_faces
from affnet_tf.pipeline.prepare import prepare, prepare_dataset
from affnet_tf.pipeline.shards import ClipTask

SIZE = 32
SETTINGS = CropConfig(SIZE, "none")


@pytest.fixture
def people(tmp_path):
    return write_people(tmp_path / "people", "cropped")


# Changes of the source


def test_a_changed_source_is_made_again_and_the_rest_is_kept(people, tmp_path):
    store = tmp_path / "store"
    first = prepare_dataset("casme2", people, store, size=SIZE, workers=1)
    assert first.notes == ()
    kept, other = (store / f"casme2-0000{i}-of-00002.tfrecord" for i in (0, 1))
    was, time_of = other.read_bytes(), kept.stat().st_mtime_ns
    for number in range(5, 11):
        (folder_of(people, 18) / f"reg_img{number}.jpg").write_bytes(layouts.picture(".jpg", number * 3 % 8))
    seen = []
    again = prepare_dataset("casme2", people, store, size=SIZE, workers=1, progress=lambda *done: seen.append(done))
    assert seen == [(i, 20) for i in range(17, 21)]
    assert again.notes == (
        "casme2-00001-of-00002 was made again: the files of 1 clips changed, such as those of 'sub01/EP18_01'",
    )
    assert kept.stat().st_mtime_ns == time_of
    assert other.read_bytes() != was
    assert again.store.hash != first.store.hash
    fresh = prepare_dataset("casme2", people, tmp_path / "fresh", size=SIZE, workers=1)
    assert contents(store) == contents(tmp_path / "fresh")
    assert fresh.store.hash == again.store.hash


@pytest.mark.parametrize("harm", [absent, empty, hole, no_image])
def test_a_clip_that_was_repaired_is_taken(harm, people, tmp_path):
    shutil.copytree(people, tmp_path / "sound")
    harm(people, 4)
    assert len(prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1).skipped) == 1
    shutil.copytree(folder_of(tmp_path / "sound", 4), folder_of(people, 4), dirs_exist_ok=True)
    again = prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1)
    assert (again.skipped, len(again.notes), len(again.store.clips)) == ((), 1, 20)
    prepare_dataset("casme2", people, tmp_path / "fresh", size=SIZE, workers=1)
    assert contents(tmp_path / "store") == contents(tmp_path / "fresh")


def test_a_root_may_move(people, tmp_path):
    prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1)
    before = contents(tmp_path / "store")
    os.rename(people, tmp_path / "elsewhere")
    again = prepare_dataset(
        "CASME2",
        tmp_path / "elsewhere",
        tmp_path / "store",
        size=SIZE,
        workers=1,
        progress=lambda *_: pytest.fail("work"),
    )
    assert again.notes == ()
    assert contents(tmp_path / "store") == before


def test_another_release_is_refused(tmp_path):
    write_people(tmp_path / "people", "cropped", "raw")
    prepare_dataset("casme2", tmp_path / "people", tmp_path / "store", size=SIZE, workers=1)
    with pytest.raises(InputError, match=r"release 'cropped' against 'raw'"):
        prepare_dataset("casme2", tmp_path / "people", tmp_path / "store", release="raw", detector="none", size=SIZE)


def test_a_clip_in_two_parts_of_one_store_is_refused(people, tmp_path):
    clips = forge_clips(tmp_path / "clips")
    prepare(clips, tmp_path / "store", SETTINGS)
    before = contents(tmp_path / "store")
    with pytest.raises(
        InputError,
        match=r"must have each clip once\. Received: casme2 'sub02/EP03', which its part 'casme2' holds already$",
    ):
        prepare(clips[7:], tmp_path / "store", SETTINGS, name="again")
    assert contents(tmp_path / "store") == before


def test_a_shard_that_was_removed_is_made_again(people, tmp_path):
    prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1)
    before = contents(tmp_path / "store")
    (tmp_path / "store" / "casme2-00001-of-00002.tfrecord").unlink()
    assert prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1).notes == ()
    assert contents(tmp_path / "store") == before


# Two at once

HOLDS = """
import sys, time
from affnet_tf.pipeline.prepare import prepare_dataset

def stop(done, total):
    print("at work", flush=True)
    time.sleep(60)

prepare_dataset("casme2", sys.argv[1], sys.argv[2], size=32, workers=1, progress=stop)
"""


def test_a_second_process_is_refused_while_the_first_lives(people, tmp_path, affnet):
    pytest.importorskip("fcntl")
    store = tmp_path / "a" / "store"
    words = ("prepare", "casme2", people, store, "--size", SIZE, "--workers", 1, "--quiet")
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", HOLDS, people, store], stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout.readline() == "at work\n"
            code, err = affnet(*words)
            assert (code, len(err)) == (2, 1)
            assert "must be written by one affnet prepare at a time" in err[0]
            first.kill()
    assert affnet(*words) == (0, [])
    prepare_dataset("casme2", people, tmp_path / "whole", size=SIZE, workers=1)
    assert contents(store) == contents(tmp_path / "whole")


# Kills

EVERY_STEP = """
import os, shutil, signal, sys
import cv2
from affnet_tf.datasets.clips import read_clips_csv
from affnet_tf.pipeline.crop_config import CropConfig
from affnet_tf.pipeline.prepare import prepare

cv2.setNumThreads(1)
clips = read_clips_csv(sys.argv[1])
step = 0

def run(path, stop):
    # Each change of the folder's names is a step; the process dies before the one that is told.
    def counted(function):
        def call(*arguments, **options):
            global step
            step += 1
            if step == stop:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call
    for name in ("replace", "unlink", "rmdir", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
    prepare(clips, path, CropConfig(32, "none"), clips_per_shard=2)

for stop in range(1, 200):
    path = f"{sys.argv[2]}/{stop}"
    if len(sys.argv) > 3:
        shutil.copytree(sys.argv[3], path)
    child = os.fork()
    if not child:
        run(path, stop)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        shutil.rmtree(path)
        break
    prepare(clips, path, CropConfig(32, "none"), clips_per_shard=2)
"""


@pytest.mark.parametrize("start", ["nothing", "a store whose source changed"])
def test_killed_at_every_step_it_ends_with_the_same_files(start, tmp_path):
    from affnet_tf.datasets.clips import write_clips_csv

    clips = forge_clips(tmp_path / "clips", clips=2)
    write_clips_csv(clips, tmp_path / "clips.csv")
    (tmp_path / "runs").mkdir()
    words = [tmp_path / "clips.csv", tmp_path / "runs"]
    if start != "nothing":
        prepare(clips, tmp_path / "before", SETTINGS, clips_per_shard=2)
        for clip in clips[2:]:
            os.utime(clip.frames / "img10.png")
        words.append(tmp_path / "before")
    subprocess.run([sys.executable, "-c", EVERY_STEP, *map(str, words)], check=True)
    whole = prepare(clips, tmp_path / "whole", SETTINGS, clips_per_shard=2)
    assert len(whole.store.shards) == 2
    expected = contents(tmp_path / "whole")
    runs = sorted((tmp_path / "runs").iterdir(), key=lambda path: int(path.name))
    assert len(runs) >= 20
    for path in runs:
        assert contents(path) == expected, path.name


def descendants(pid: int) -> list[int]:
    """A process's children and theirs."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *descendants(child)]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds: float = 30.0) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        time.sleep(0.005)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the children of a process are read from /proc")
def test_the_command_killed_with_its_workers_at_work(people, tmp_path):
    store = tmp_path / "store"
    words = (
        sys.executable,
        "-m",
        "affnet_tf",
        "prepare",
        "casme2",
        people,
        store,
        "--size",
        SIZE,
        "--workers",
        2,
        "--quiet",
    )
    for sign in (".casme2.unfinished/plan.json", ".casme2.unfinished/casme2-0000*.json"):
        process = subprocess.Popen(list(map(str, words)))
        wait_until(lambda sign=sign, process=process: any(store.glob(sign)) or process.poll() is not None)
        children = descendants(process.pid)
        process.kill()
        process.wait()
        wait_until(lambda children=children: not any(map(alive, children)))
    assert subprocess.run(list(map(str, words)), check=False).returncode == 0
    prepare_dataset("casme2", people, tmp_path / "whole", size=SIZE, workers=1)
    assert contents(store) == contents(tmp_path / "whole")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the children of a process are read from /proc")
def test_a_worker_that_is_killed_is_one_line_and_resumable(tmp_path):
    clips = forge_clips(tmp_path / "clips", subjects=4, clips=40)  # so many that they are not done before the kill

    def kill(done, total):
        for child in descendants(os.getpid()):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)

    with pytest.raises(InputError, match=r"the same command goes on where it stopped, .* Received: one was killed$"):
        prepare(clips, tmp_path / "store", SETTINGS, workers=2, clips_per_shard=1, progress=kill)
    prepare(clips, tmp_path / "store", SETTINGS, workers=2, clips_per_shard=1)
    prepare(clips, tmp_path / "whole", SETTINGS, clips_per_shard=1)
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


# A full disk

NO_ROOM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from affnet_tf.cli import main
main()
"""


@pytest.mark.parametrize(("workers", "room"), [(1, 100_000), (1, 295_000), (2, 100_000)])
def test_a_full_disk_is_one_line_and_resumable(people, tmp_path, workers, room):
    """A shard of 16 clips takes over 490 kB here; the limit falls into different clips of it."""
    pytest.importorskip("resource")
    words = [room, "prepare", "casme2", people, tmp_path / "store", "--size", SIZE, "--workers", workers, "--quiet"]
    answer = subprocess.run(
        [sys.executable, "-c", NO_ROOM, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer.stderr
    assert re.search(
        r"casme2-0000[01]-of-00002\.tfrecord' must have room on its disk: .*too large$", answer.stderr.strip()
    )
    assert not list((tmp_path / "store").rglob("*.tfrecord"))
    assert not list((tmp_path / "store").rglob("*.part"))
    prepare_dataset("casme2", people, tmp_path / "store", size=SIZE, workers=1)
    prepare_dataset("casme2", people, tmp_path / "whole", size=SIZE, workers=1)
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


@pytest.mark.parametrize("torn", [1, 12, -1])
def test_faces_are_noted_on_through_two_interruptions(tmp_path, torn):
    """The clips have no frames, which needs no network to be noted."""
    clips = [Clip("mine", "a", f"clip{i}", tmp_path / f"gone{i}", 1, 5, "others") for i in range(5)]
    tasks = [ClipTask(clip, "as it was") for clip in clips]
    settings, notes = CropConfig(SIZE), tmp_path / "faces.jsonl"
    locate_faces(tasks, settings, tmp_path, lambda: None)
    lines = notes.read_bytes().splitlines(keepends=True)
    assert len(lines) == 5
    notes.write_bytes(lines[0] + lines[1][:torn])
    left = iter(range(3))  # one known, and two that are looked for

    def stop():
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        locate_faces(tasks, settings, tmp_path, stop)
    found = notes.read_bytes().splitlines(keepends=True)
    assert found == lines[: len(found)]
    notes.write_bytes(b"".join(lines[:3]) + lines[3][:torn])
    known = locate_faces(tasks[:3], settings, tmp_path, lambda: None)
    assert all(f"'{each.clip.clip_id}'" in each.broken[0] for each in known)
    assert notes.read_bytes() == b"".join(lines[:3])
    locate_faces(tasks, settings, tmp_path, lambda: None)
    assert notes.read_bytes() == b"".join(lines)
