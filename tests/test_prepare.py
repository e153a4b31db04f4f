"""``affnet prepare`` from the folder as shipped: bad input line by line, kills, changes, strictness, and what it loads."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import cv2
import layouts
import numpy as np
import pytest
from forged import forge_clips

from affnet_tf.cli import main
from affnet_tf.datasets.clips import Clip
from affnet_tf.errors import InputError
from affnet_tf.imaging.faces import crop_frames
from affnet_tf.imaging.frames import iterate_frames, read_image
from affnet_tf.pipeline.crops import REVISION, CropConfig
from affnet_tf.pipeline.detection import locate_faces
from affnet_tf.pipeline.input import read_clips
from affnet_tf.pipeline.prepare import prepare, prepare_dataset
from affnet_tf.pipeline.shards import ClipTask, UnusableError
from affnet_tf.pipeline.store import open_store
from affnet_tf.pipeline.workers import Workers

SIZE = 32
SETTINGS = CropConfig(SIZE, "none")
NAMES = [f"EP{number:02d}_01" for number in range(20)]


def rows() -> list:
    return [(f"{1 + i % 3:02d}", name, None, 5, 7, 10, None, "4", "others") for i, name in enumerate(NAMES)]


def write_people(root: Path, *releases: str) -> None:
    entries = [layouts.row(1 + i % 3, name, 5, 7, 10, "4", "others") for i, name in enumerate(NAMES)]
    layouts.write(root, "casme2", entries, releases)


def folder_of(root: Path, number: int) -> Path:
    return root / "Cropped" / f"sub{1 + number % 3:02d}" / NAMES[number]


@pytest.fixture
def people(tmp_path):
    """A cropped CASME II of twenty clips of six frames: two shards."""
    write_people(tmp_path / "people", "cropped")
    return tmp_path / "people"


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def affnet(capsys):
    """Run a command line: its exit code and what it wrote to stderr."""

    def run(*words) -> tuple[int, list[str]]:
        before, sys.argv = sys.argv, ["affnet", *map(str, words)]
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        finally:
            sys.argv = before
        return code, capsys.readouterr().err.splitlines()

    return run


# Bad input


def absent(root, number):
    shutil.rmtree(folder_of(root, number))
    return "frame folder must exist"


def hole(root, number):
    (folder_of(root, number) / "reg_img8.jpg").unlink()
    return "frames 5 to 10 of .* must all be there. Missing 1: 8"


def no_image(root, number):
    (folder_of(root, number) / "reg_img8.jpg").write_bytes(b"these are not the bytes of a picture")
    return r"must be readable as JPEG, PNG, BMP, TIFF or WebP\. Received: .*reg_img8\.jpg"


def empty(root, number):
    (folder_of(root, number) / "reg_img8.jpg").write_bytes(b"")
    return r"frame files must not be empty\. Received: 1 with 0 bytes: reg_img8\.jpg"


def another_size(root, number):
    cv2.imwrite(str(folder_of(root, number) / "reg_img8.jpg"), np.zeros((20, 24, 3), np.uint8))
    return r"frames of a clip must have one size, 16x16 like the first\. Received: .*reg_img8\.jpg' of 24x20"


def breaks_off(root, number):
    path = folder_of(root, number) / "reg_img8.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    return "image must be whole"


def twice(root, number):
    change_sheet(root, lambda table: [*table, table[number]])
    return r"clip id must be unique in its dataset\. Received: 2 clips"


def outside(root, number):
    def change(table):
        table[number] = ("01", "../../../etc", *table[number][2:])
        return table

    change_sheet(root, change)
    return r"must .*\. Received: '\.\./\.\./\.\./etc'"


HARMS = [absent, hole, no_image, empty, another_size, breaks_off, twice, outside]


def change_sheet(root, change):
    layouts.write_workbook(
        root / "CASME2-coding-20140508.xlsx", {"Sheet1": [layouts.CASME2_HEADER, *change(rows())], "Sheet2": []}
    )


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
from affnet_tf.pipeline.crops import CropConfig
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
    clips = forge_clips(tmp_path / "clips")

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
