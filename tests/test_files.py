import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affnet_tf import files
from affnet_tf.errors import InputError
from affnet_tf.files import (
    atomic_folder,
    atomic_write,
    check_folder,
    numbered_images,
    read_json,
    restore,
    write_json,
)


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def break_off_file(target: Path, problem: type[BaseException]) -> None:
    with atomic_write(target, "w") as file:
        file.write("half")
        raise problem


def break_off_folder(target: Path, problem: type[BaseException], replace: bool) -> None:
    with atomic_folder(target, replace=replace) as folder:
        touch(folder / "sub", "half")
        raise problem


def test_a_file_is_absent_until_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "er" / "file.bin"
    with atomic_write(target) as file:
        file.write(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert os.listdir(target.parent) == ["file.bin"]


@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_file_whose_block_raises(tmp_path, problem):
    with pytest.raises(problem):
        break_off_file(tmp_path / "file.txt", problem)
    assert os.listdir(tmp_path) == []


def test_the_old_file_survives_a_block_that_raises(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError):
        break_off_file(target, RuntimeError)
    assert target.read_text() == "old"
    with atomic_write(target, "w", newline="") as file:
        file.write("new: é")
    assert target.read_bytes() == "new: é".encode()
    assert os.listdir(tmp_path) == ["file.txt"]


def test_permissions_honour_umask(tmp_path, umask):
    with atomic_write(tmp_path / "file"):
        pass
    with atomic_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~umask
    assert os.umask(umask) == umask, "the process's umask must be as it was"


def test_a_folder_is_absent_until_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "run"
    with atomic_folder(target) as folder:
        (folder / "a.txt").write_text("a")
        assert folder.parent == target.parent, "a rename must not cross file systems"
        assert not target.exists()
    assert (target / "a.txt").read_text() == "a"
    assert os.listdir(target.parent) == ["run"]


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_folder_whose_block_raises(tmp_path, problem, replace):
    with pytest.raises(problem):
        break_off_folder(tmp_path / "run", problem, replace)
    assert os.listdir(tmp_path) == []


def test_an_existing_folder_is_refused_before_the_block(tmp_path):
    touch(tmp_path / "run", "old")
    with pytest.raises(InputError, match=r"must not exist yet\. Received: .*run"), atomic_folder(tmp_path / "run"):
        pytest.fail("the block must not run")
    assert os.listdir(tmp_path / "run") == ["old"]


def test_replace_takes_the_place_of_the_old_folder(tmp_path):
    touch(tmp_path / "run", "old")
    with pytest.raises(RuntimeError):
        break_off_folder(tmp_path / "run", RuntimeError, replace=True)
    assert os.listdir(tmp_path / "run") == ["old"]
    with atomic_folder(tmp_path / "run", replace=True) as folder:
        touch(folder, "new")
        assert os.listdir(tmp_path / "run") == ["old"]
    assert os.listdir(tmp_path / "run") == ["new"]
    assert os.listdir(tmp_path) == ["run"]


# Replaces the folder argv[1], and is killed after step argv[2] of those that change names.
_KILLED = """
import os, shutil, signal, sys
from affnet_tf import files
done = 0
def counted(step):
    def call(*arguments, **options):
        global done
        if done == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return step(*arguments, **options)
    return call
files.os.replace = counted(os.replace)
files.shutil.rmtree = counted(shutil.rmtree)
files._exchange = counted(files._exchange) if sys.argv[3] == "exchange" else (lambda one, other: False)
with files.atomic_folder(sys.argv[1], replace=True) as folder:
    (folder / "new").touch()
print("finished")
"""


@pytest.mark.parametrize("way", ["exchange", "two renames"])
@pytest.mark.parametrize("step", range(4))
def test_killed_at_any_moment_the_old_folder_or_the_new_one_is_there(tmp_path, way, step):
    touch(tmp_path / "run", "old")
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, tmp_path / "run", str(step), way], capture_output=True, text=True
    )
    assert (killed.returncode == -signal.SIGKILL) != (killed.stdout == "finished\n"), killed.stderr
    if way == "exchange" and files._exchange(touch(tmp_path / "a"), touch(tmp_path / "b")):
        assert (tmp_path / "run").is_dir(), "with an exchange nothing needs to be restored"
    restore(tmp_path / "run")
    assert os.listdir(tmp_path / "run") in (["old"], ["new"])
    with atomic_folder(tmp_path / "run", replace=True) as folder:
        touch(folder, "newer")
    assert os.listdir(tmp_path / "run") == ["newer"]


def test_a_folder_moved_aside_is_brought_back_before_it_is_replaced(tmp_path):
    touch(tmp_path / ".run.x1.old" / "run", "old")
    with pytest.raises(InputError, match="must not exist yet"), atomic_folder(tmp_path / "run"):
        pytest.fail("the block must not run")
    assert os.listdir(tmp_path) == ["run"]
    touch(tmp_path / ".run.x2.old" / "run", "older")
    restore(tmp_path / "run")
    assert os.listdir(tmp_path / "run") == ["old"], "what is there stays"


def test_a_link_to_a_folder_is_replaced_and_what_it_points_to_stays(tmp_path):
    touch(tmp_path / "there", "old")
    (tmp_path / "run").symlink_to(tmp_path / "there")
    with atomic_folder(tmp_path / "run", replace=True) as folder:
        touch(folder, "new")
    assert os.listdir(tmp_path / "run") == ["new"]
    assert os.listdir(tmp_path / "there") == ["old"]
    assert sorted(os.listdir(tmp_path)) == ["run", "there"]


def test_a_file_where_a_folder_must_be(tmp_path):
    touch(tmp_path, "file")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    check_folder(tmp_path)
    check_folder(tmp_path / "new" / "deep")
    for name, message in (
        ("file", "--out must be a folder. Received: .*file', which is a file"),
        ("file/deep", "--out must be a folder. Received: .*file/deep', where '.*file' is a file"),
        ("nowhere", "--out must be a folder"),
    ):
        with pytest.raises(InputError, match=message):
            check_folder(tmp_path / name, "--out")
        with pytest.raises(InputError, match="must be a folder"), atomic_folder(tmp_path / name, replace=True):
            pytest.fail("the block must not run")


def test_json_round_trip(tmp_path):
    value = {"name": "Élan", "numbers": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Élan" in text
    assert text.endswith("}\n")


def test_write_json_leaves_the_old_file_if_the_value_is_not_json(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"x": [1, object()]})
    assert json.loads((tmp_path / "a.json").read_text()) == 1
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("data", [b"{", b"", b"\xff\xfe\x00"])
def test_read_json_names_what_is_no_json(tmp_path, data):
    (tmp_path / "bad.json").write_bytes(data)
    with pytest.raises(InputError, match=r"bad\.json' must be JSON\. Received: "):
        read_json(tmp_path / "bad.json")
    with pytest.raises(InputError, match=r"file must exist\. Received: .*none\.json"):
        read_json(tmp_path / "none.json")


def test_images_are_ordered_by_number(tmp_path):
    folder = touch(tmp_path, "img10.jpg", "img9.jpg", "img100.jpg", "img1.JPG", "img011.png")
    found = numbered_images(folder)
    assert list(found) == [1, 9, 10, 11, 100]
    assert found[9] == folder / "img9.jpg"
    assert found[1] == folder / "img1.JPG"


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 10**9), max_size=12), st.integers(1, 12))
def test_any_numbers_with_any_padding(tmp_path_factory, numbers, padding):
    folder = touch(tmp_path_factory.mktemp("frames"), *(f"reg_EP01_5-{n:0{padding}d}.jpg" for n in numbers))
    assert list(numbered_images(folder)) == sorted(numbers)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("reg_EP01_5-113.jpg", 113),
        ("006_05562.jpg", 5562),
        ("img557.jpg.jpg", 557),
        ("7.JPG.jpg", 7),
        ("8.jpg.png", 8),
        ("image443812.bmp", 443812),
        ("12.webp", 12),
    ],
)
def test_names_of_the_releases(tmp_path, name, number):
    assert numbered_images(touch(tmp_path, name)) == {number: tmp_path / name}


def test_what_is_no_numbered_image_is_left_out(tmp_path):
    folder = touch(tmp_path, "Thumbs.db", "notes1.txt", ".img5.jpg", "._img6.jpg", "cover.jpg", "3", "img4.jpg.part")
    (folder / "img9.jpg").mkdir()
    assert numbered_images(folder) == {}


@pytest.mark.parametrize("twin", ["img01.jpg", "img1.png", "img1.jpg.jpg", "b1.jpg"])
def test_two_images_of_one_number_are_refused(tmp_path, twin):
    folder = touch(tmp_path, "img1.jpg", twin)
    with pytest.raises(InputError) as error:
        numbered_images(folder)
    assert "must be unique" in str(error.value)
    assert "img1.jpg" in str(error.value)
    assert twin in str(error.value)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(InputError, match=r"must exist\. Received: .*none"):
        numbered_images(tmp_path / "none")
    touch(tmp_path, "file")
    with pytest.raises(InputError, match=r"must be a folder\. Received: .*file"):
        numbered_images(tmp_path / "file")
