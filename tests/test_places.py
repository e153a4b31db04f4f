"""Places: local ones are pathlib's own; remote ones have what stores and runs use of it, on ``ram://`` of this process."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from environments import environment_without_tensorflow

from affnet_tf.errors import InputError
from affnet_tf.files import atomic_folder, atomic_write, check_folder, on_disk, read_json, write_json
from affnet_tf.places import local, place_at


class Stopped(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("address", ["runs/loso", "/runs/loso", "C:/runs", "a:b", Path("x") / "y", "runs:loso/x"])
def test_a_local_place_is_a_path(address):
    assert place_at(address) == Path(address) == local(address, "it")
    assert type(place_at(address)) is type(Path())


def test_a_remote_place_has_what_pathlib_has():
    run = place_at("gs://bucket/runs/loso.v2/")
    assert place_at(run) is run
    assert str(run / "folds") == "gs://bucket/runs/loso.v2/folds"
    assert (run.name, str(run.parent), str(run.parent.parent.parent)) == ("loso.v2", "gs://bucket/runs", "gs://bucket")
    assert str((run / "casme2-sub01.a.json").with_suffix(".npz")) == f"{run}/casme2-sub01.a.npz"
    assert (run.absolute(), run.resolve()) == (run, run)
    with pytest.raises(TypeError):
        Path(run)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (Path("gs://bucket/run"), r"must have two slashes, and be text, not a Path\. Received: 'gs:/bucket/run'"),
        ("gs://", r"must name a folder or a file\. Received: 'gs://'"),
        ("gs:///", r"must name a folder or a file"),
    ],
)
def test_an_address_that_is_none(address, message):
    with pytest.raises(InputError, match=message):
        place_at(address)


def write_half(file):
    with atomic_write(file, "w") as opened:
        opened.write("half")
        raise Stopped


def test_files_are_whole_or_absent():
    file = place_at("ram://files/deep/a.txt")
    assert (file.exists(), file.is_file(), file.is_dir(), file.parent.glob("*")) == (False, False, False, [])
    with pytest.raises(FileNotFoundError) as missing:
        file.open("rb")
    assert (missing.value.filename, missing.value.strerror) == (str(file), "No such file or directory")
    with pytest.raises(InputError, match=r"file must exist\. Received: 'ram://files/deep/a\.txt'"):
        read_json(file)
    for text in ("größer\r\n" * 100_000, "kurz"):
        before = file.read_text("utf-8") if file.exists() else None
        with pytest.raises(Stopped):
            write_half(file)
        with atomic_write(file, "w", newline="") as opened:
            opened.write(text)
            assert (file.read_text("utf-8") if file.exists() else None) == before
        with file.open(newline="", encoding="utf-8") as opened:
            assert opened.read() == text
    assert [each.name for each in file.parent.iterdir()] == ["a.txt"]
    assert (file.is_file(), file.parent.is_dir(), file.stat().st_size) == (True, True, 4)
    with file.open("rb") as opened:
        assert (opened.seek(-2, os.SEEK_END), opened.read(), opened.seek(1), opened.tell()) == (2, b"rz", 1, 1)
    with on_disk(file) as copy:
        assert (copy.name, copy.read_text()) == ("a.txt", "kurz")
    assert not copy.exists()
    with pytest.raises(InputError, match="which is a file"):
        check_folder(file)
    file.unlink()
    file.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        file.unlink()


@pytest.fixture(params=["ram", "file"])
def folder(request, tmp_path):
    """A folder that is there, behind TensorFlow's two schemes that need no network."""
    folder = place_at(f"{request.param}://{tmp_path}/folder")
    write_json(folder / "old.json", "old")
    return folder


def broken(name, at=0):
    """In place of one of TensorFlow's functions: does what it does so many times, then fails as a lost network does."""
    function, calls = getattr(tf.io.gfile, name), []

    def fail(*words, **options):
        calls.append(words)
        if len(calls) > at:
            raise tf.errors.UnavailableError(None, None, "the network is down")
        return function(*words, **options)

    return fail


@pytest.mark.parametrize("function", ["copy", "rename"])
def test_an_error_leaves_the_old_file_and_nothing_temporary(folder, monkeypatch, function):
    monkeypatch.setattr(tf.io.gfile, function, broken(function))
    with pytest.raises(OSError, match="the network is down"):
        write_json(folder / "old.json", "new")
    assert [each.name for each in folder.iterdir()] == ["old.json"]
    assert read_json(folder / "old.json") == "old"


def test_below_a_file_nothing_is(tmp_path):
    """What pathlib answers, by TensorFlow's own scheme for local files."""
    (tmp_path / "m.tflite").write_text("x")
    for place in (tmp_path / "m.tflite" / "config.json", place_at(f"file://{tmp_path}/m.tflite/config.json")):
        assert (place.exists(), place.is_file(), place.is_dir()) == (False, False, False)
        for touch in (place.stat, lambda place=place: place.open("rb")):
            with pytest.raises(NotADirectoryError) as error:
                touch()
            assert (error.value.errno, error.value.strerror) == (errno.ENOTDIR, "Not a directory")
            assert error.value.filename == str(place)
        with pytest.raises(InputError, match=r"file must exist\. Received: '.*m\.tflite/config\.json'"):
            read_json(place)


def test_a_folder_is_no_file(folder, tmp_path):
    for place in (folder, tmp_path):
        with pytest.raises(InputError, match=rf"{place}' must be a file\. Received: a folder"):
            read_json(place)


def test_an_answer_that_is_no_systems_word_is_told_in_one_line(monkeypatch):
    def refuse(address):
        raise tf.errors.UnavailableError(None, None, f"HTTP 503; try again\nwhen reading {address}")

    monkeypatch.setattr(tf.io.gfile, "stat", refuse)
    with pytest.raises(OSError, match=r"\[Errno 5\] HTTP 503; try again: 'gs://b/x'$"):
        place_at("gs://b/x").exists()


def replace_folder(folder, *names):
    with atomic_folder(folder, replace=True) as temporary:
        for name in names:
            write_json(temporary / name, "new")


def test_an_upload_that_fails_leaves_the_old_folder(folder, monkeypatch):
    write_json(folder / "below" / "old.json", "old")
    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, "copy", broken("copy", at=1))
        with pytest.raises(OSError, match="the network is down"):
            replace_folder(folder, "a.json", "below/b.json")
    assert {each.name for each in folder.iterdir()} == {"old.json", "below"}
    assert read_json(folder / "old.json") == read_json(folder / "below" / "old.json") == "old"
    replace_folder(folder, "a.json", "below/b.json")
    assert {each.name for each in folder.iterdir()} == {"a.json", "below"}
    assert [each.name for each in (folder / "below").iterdir()] == ["b.json"]
    assert read_json(folder / "a.json") == read_json(folder / "below" / "b.json") == "new"


def test_the_first_error_of_a_broken_network_is_told(folder, monkeypatch):
    """Neither the old folder can be removed, nor what is up already."""
    for name in ("remove", "rmtree"):
        monkeypatch.setattr(tf.io.gfile, name, broken(name))
    monkeypatch.setattr(tf.io.gfile, "copy", broken("copy", at=1))
    with pytest.raises(OSError, match="the network is down") as error:
        replace_folder(folder, "a.json", "b.json")
    assert ".b.json." in error.value.filename
    assert read_json(folder / "old.json") == "old"


def test_a_folder_whose_files_could_not_be_named_is_gone(folder, monkeypatch):
    monkeypatch.setattr(tf.io.gfile, "rename", broken("rename", at=1))
    with pytest.raises(OSError, match="the network is down"):
        replace_folder(folder, "a.json", "b.json")
    assert not folder.exists()


def test_a_folder_is_made_only_where_it_is_missing(tmp_path, monkeypatch):
    folder = place_at(f"file://{tmp_path}")
    write_json(folder / "new" / "er" / "a.json", "deep")
    assert read_json(folder / "new" / "er" / "a.json") == "deep"
    monkeypatch.setattr(tf.io.gfile, "makedirs", broken("makedirs"))
    write_json(folder / "a.json", "here")
    assert read_json(folder / "a.json") == "here"


def test_a_folder_is_replaced_as_a_whole():
    folder = place_at("ram://files/folder")
    for names in (("b/c.json", "a.json"), ("a.json",)):
        with atomic_folder(folder, replace=True) as temporary:
            for name in names:
                write_json(temporary / name, name)
        assert {each.name for each in folder.iterdir()} == {name.split("/")[0] for name in names}
        assert all(read_json(folder / name) == name for name in names)
    with pytest.raises(InputError, match="must not exist yet"), atomic_folder(folder):
        pass
    with pytest.raises(Stopped), atomic_folder(folder, replace=True) as temporary:
        raise Stopped
    assert read_json(folder / "a.json") == "a.json"


@pytest.mark.skipif(sys.platform == "win32", reason="links and folders as on Unix")
def test_an_address_where_tensorflow_is_not_installed(tmp_path):
    python = environment_without_tensorflow(tmp_path)
    code = "from affnet_tf.evaluation.report import write_report; write_report('gs://bucket/run')"
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent)},
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert "an address with a scheme must be read by TensorFlow: pip install tensorflow" in last
    assert "Received: 'gs://bucket/run' without it" in last
